"""What a body sees of the engine. A body asks for it with a parameter annotated `Context`, or named `ctx`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from clew import codec
from clew.bodies.memory import MemoryOfRun
from clew.graphs.bodies import Description
from clew.kernel.values import ErrorInfo


def idempotency_key(run: str, path: str, step: str | None = None) -> str:
    """The key of a visit, or of a step in it: the same in each attempt, in no other run the same."""
    named = (run, path) if step is None else (run, path, step)
    return codec.digest("\0".join(named).encode())[:32]


class Context(ABC):
    """The attempt that a body is run for, and its way to the journal and to whoever is watching.

    `heartbeat`, `progress`, `emit` and `log` may be called from any thread. Once the attempt is over (timed
    out, cancelled, returned), they do nothing. What is awaited (steps, sleeps, questions, messages) has a key
    each, which names it in its visit: entered again, the body gets for the same key what was recorded. Keys
    that begin with ``#`` are reserved.

    Attributes:
        run_id: the run's id.
        path: the visit, e.g. ``fetch[3]``.
        attempt: which try, from 1.
        idempotency_key: the same for every try of this visit; give it to services that charge or send.
        failed_upstream: errors of the nodes it depends on that failed, by node id (``on_error="continue"``).
    """

    run_id: str
    path: str
    attempt: int
    idempotency_key: str
    failed_upstream: Mapping[str, ErrorInfo]

    @abstractmethod
    def secret(self, name: str) -> str:
        """Look a secret up where the body runs; it is never stored and is masked in output and errors.

        Raises:
            LookupError: there is no secret of that name.
        """

    @abstractmethod
    def step(
        self,
        key: str,
        function: Callable[..., Any],
        *args: Any,
        effect: bool = False,
        on_interrupt: str | None = None,
        probe: Callable[..., Any] | None = None,
        compensate: Callable[..., Any] | Description | None = None,
        **kwargs: Any,
    ) -> Awaitable[Any]:
        """Call `function` and record what it returns; when the body is entered again, return the record.

        A step that acts on the outside world says so with `effect`, or one of those below: then it is on
        disk that it has begun before `function` is called, and its record is kept also when the attempt fails.
        One that had begun and was lost with its process (or was stopped) is treated as `on_interrupt` says.

        Args:
            key: names the step in this visit.
            function: sync or async.
            args: what it is called with, by position.
            effect: it changes the outside world.
            on_interrupt: what becomes of one that was lost: ``retry`` (it is made again; so it is if nothing is
                said), ``probe``, ``ask`` (a person is asked) or ``fail`` (`StepInterruptedError`).
            probe: called like `function`, it finds out whether a lost one took effect: `Happened(value)`, which
                is then the value of the step, or None.
            compensate: undoes it if the run is rolled back: a function that can be found by its name, called like
                `function`, and with what that returned as `output` if it takes that (None if that is not known),
                and a `Context` of its own if it takes one; or ``restore("PATH", ...)``, which puts files back as
                they were before the step.
            kwargs: what it is called with, by name.

        Raises:
            InvalidInputError: the key is none, or what is declared does not go together.
            StepConflictError: the key has been used in this entry, or was recorded with other arguments.
            StepError: the step raised in an earlier entry of this attempt.
            StepInterruptedError: it was lost, and is not made again.
        """

    def key_for(self, step: str) -> str:
        """The idempotency key of a step: give it to the service that the step calls."""
        return idempotency_key(self.run_id, self.path, step)

    @abstractmethod
    def memory(self, namespace: str) -> MemoryOfRun:
        """A namespace of the memory that outlives runs."""

    @abstractmethod
    def sleep(self, seconds: float, key: str | None = None) -> Awaitable[None]:
        """Wait durably: without a slot, without a process if need be, and only for what is left of it."""

    @abstractmethod
    def ask(
        self,
        text: str,
        *,
        key: str | None = None,
        type: Any = str,  # noqa: A002 - what it is
        choices: Sequence[Any] | None = None,
        deadline: float | None = None,
        default: Any = UNSET,
    ) -> Awaitable[Any]:
        """Ask a person, and wait durably for the answer: without a slot, without a process if need be.

        Args:
            text: what people read.
            key: names the question in this visit; the text (shortened, if it is long) if not given.
            type: the answer is decoded as this; answers that do not fit are refused when they are given.
            choices: the answer is one of these. If they are no text, `type` may be left out.
            deadline: how long an answer is waited for, in seconds from the first asking; for ever if not given.
            default: what counts as the answer when there is none in time; it fits `type`, or is None.

        Raises:
            QuestionExpiredError: there was no answer in time, and there is no default.
            StepConflictError: another question was asked by this key.
        """

    @abstractmethod
    def receive(
        self,
        name: str,
        *,
        key: str | None = None,
        type: Any = Any,  # noqa: A002 - what it is
        timeout: float | None = None,
        default: Any = UNSET,
    ) -> Awaitable[Any]:
        """Wait durably for a message to the run by this name; each message is received once, the oldest first.

        Args:
            name: of the message.
            key: names the waiting in this visit, ``message NAME`` if not given; needed for the second of a name.
            type: the message is decoded as this.
            timeout: how long to wait, in seconds from the first time; for ever if not given. With 0, only what
                is there already is received.
            default: what is returned when none comes in time; it fits `type`, or is None.

        Raises:
            MessageTimeoutError: none came in time, and there is no default.
            InvalidInputError: the message does not fit `type`.
        """

    @abstractmethod
    def heartbeat(self) -> None:
        """Say that the body is alive. So do `progress`, `emit`, `log`, output and steps.

        A node with a ``heartbeat`` fails when its body gives no such sign for that long; waiting does not count.
        """

    @abstractmethod
    def progress(self, fraction: float, message: str = "") -> None:
        """Show how far the body is, from 0 to 1. Not stored."""

    @abstractmethod
    def checkpoint(self, name: str) -> Awaitable[None]:
        """Name the position that the run has now, to be returned to; when this returns, the name is on disk.

        Entering the body again names the position again.

        Raises:
            InvalidInputError: the name is empty or too long.
        """

    @abstractmethod
    def emit(self, item: Any) -> None:
        """Show an item (a token, a partial result) to those who watch. Not stored."""

    @abstractmethod
    def log(self, message: str) -> None:
        """Keep a line with the attempt's output."""
