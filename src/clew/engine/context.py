"""What a body sees of the engine: steps, waits, progress. See `bodies.context` for the face.

A body may be entered again after its process was lost. Then what it asks here is answered from what was
recorded: a step returns its recorded value, a sleep that was over is over, an answer is not asked for again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from clew import codec
from clew.bodies import context as face
from clew.bodies.memory import MemoryOfRun
from clew.engine.doubts import declared
from clew.engine.entries import Entry, Host, stored
from clew.engine.feed import Emitted, Ephemeral, Progress
from clew.engine.heartbeats import Heartbeat
from clew.engine.memories import BodyMemory, Memories, MemoryOfVisit
from clew.engine.questions import key_of, question_of
from clew.engine.resting import Waits
from clew.engine.secrets import Secrets
from clew.engine.steps import Call, Steps
from clew.errors import InvalidInputError, MessageTimeoutError, QuestionExpiredError
from clew.graphs.bodies import Description
from clew.journal.records import Blob
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.questions import RESERVED
from clew.kernel.values import ErrorInfo, Value

#: Names the wait for a node's exclusive key among the waits of its visit.
EXCLUSIVE = f"{RESERVED}exclusive"


class BodyContext(face.Context):
    """The context of one attempt in this process.

    Args:
        host: the run.
        command: what was started; carries what earlier entries recorded.
        memories: the memory.
        secrets: of the engine.
        write: takes pieces of output, with the name of their stream.
        heartbeat: hears of each sign of life.
    """

    def __init__(
        self,
        host: Host,
        command: c.StartAttempt,
        memories: Memories,
        secrets: Secrets,
        write: Callable[[str, str], None],
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.run_id = command.run
        self.path = command.path
        self.attempt = command.attempt
        self.failed_upstream: Mapping[str, ErrorInfo] = command.failed_upstream
        self._host = host
        self._entry = Entry(host, command, secrets, heartbeat)
        self._waits = Waits(self._entry, command.waits)
        self._steps = Steps(self._entry, self._waits, command.steps)
        #: What the visit does to the memory, and undoes.
        self.remembering = MemoryOfVisit(memories, self._entry, command.run)
        self._secrets = secrets
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._emitted = 0

    @property
    def idempotency_key(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - read only
        """The same for every attempt of this visit, in this run and in no other."""
        return face.idempotency_key(self.run_id, self.path)

    def detach(self) -> None:
        """The attempt is over for the run (a thread may still hold this): nothing is let through."""
        self._entry.detached = True

    def wake(self, waits: Mapping[str, c.Wait]) -> None:
        """Some of what the body waits for may have come about, or of what it will wait for."""
        self._waits.wake(waits)

    # ------------------------------------------------------------------ steps

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
        """Call `function` once in the life of this visit; see `bodies.context.Context.step`."""
        self._entry.check(key, "the step")
        if not callable(function):
            raise InvalidInputError(f"{self.path}: step {key!r} calls a function, not {function!r:.80}")
        call = Call(
            key=key,
            function=function,
            args=args,
            kwargs=kwargs,
            effect=effect or any(each is not None for each in (on_interrupt, probe, compensate)),
            on_interrupt=declared(on_interrupt, probe),
            probe=probe,
            compensate=compensate,
        )
        return self._steps.make(call)

    def memory(self, namespace: str) -> MemoryOfRun:
        """A namespace of the memory; see `bodies.context.Context.memory`."""
        return BodyMemory(self.remembering, namespace, self._entry, self._steps)

    async def record(self, signal: s.StepEnded, *blobs: Blob) -> None:
        """Record what was done before the body is entered."""
        await self._entry.submit(signal, *blobs)

    async def read_recorded(self, value: Value) -> bytes:
        """The JSON text of what was recorded."""
        return await self._entry.read_value(value)

    # ------------------------------------------------------------------ waiting

    def sleep(self, seconds: float, key: str | None = None) -> Awaitable[None]:
        """Sleep, durably; see `bodies.context.Context.sleep`."""
        key = key if key is not None else f"sleep {seconds:g}"
        self._entry.check(key, "the sleep")
        return self._sleep(seconds, key)

    async def _sleep(self, seconds: float, key: str) -> None:
        self._entry.use(key)
        await self._until(key, "timer", due=self._due(max(0.0, seconds)))

    async def sleep_until(self, moment: float, key: str) -> None:
        """Sleep until a moment, in seconds since the epoch."""
        self._entry.check(key, "the sleep")
        self._entry.use(key)
        await self._until(key, "timer", due=moment)

    def ask(
        self,
        text: str,
        *,
        key: str | None = None,
        type: Any = str,  # noqa: A002
        choices: Sequence[Any] | None = None,
        deadline: float | None = None,
        default: Any = UNSET,
    ) -> Awaitable[Any]:
        """Ask a person; see `bodies.context.Context.ask`."""
        plain = isinstance(choices, list | tuple) and not all(isinstance(choice, str) for choice in choices)
        hint = Any if plain and type is str else type
        question = question_of(text, hint, choices)
        key = key if key is not None else key_of(text)
        self._entry.check(key, "the question")
        given = self._default(default, deadline, hint, f"question {key!r}", "deadline")
        if given is not None and choices is not None and default is not None and default not in choices:
            raise InvalidInputError(f"{self.path}: question {key!r}: the default {default!r:.80} is no choice")
        json = msgspec.json.encode(question)
        self._secrets.refuse(json)
        return self._ask(json, key, hint, deadline, given)

    async def _ask(self, json: bytes, key: str, hint: Any, deadline: float | None, default: bytes | None) -> Any:
        self._entry.use(key)
        question, blobs = stored(json)
        wait = await self._until(
            key,
            "answer",
            *blobs,
            due=self._due(deadline),
            default=default,
            question=question,
            digest=codec.digest(json),
        )
        if wait.value is None:
            raise QuestionExpiredError(f"{self.path}: nobody has answered {key!r} in time")
        return await self._value(wait, hint, f"the answer to {key!r}")

    def receive(
        self,
        name: str,
        *,
        key: str | None = None,
        type: Any = Any,  # noqa: A002
        timeout: float | None = None,
        default: Any = UNSET,
    ) -> Awaitable[Any]:
        """Wait for a message; see `bodies.context.Context.receive`."""
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"{self.path}: a message has a name, which is text, not {name!r:.80}")
        key = key if key is not None else f"message {name}"
        self._entry.check(key, "the message")
        if problem := codec.hint_problem(type):
            raise InvalidInputError(f"{self.path}: the type of message {name!r}: {problem}")
        given = self._default(default, timeout, type, f"message {name!r}", "timeout")
        return self._receive(name, key, type, timeout, given)

    async def _receive(self, name: str, key: str, hint: Any, limit_s: float | None, default: bytes | None) -> Any:
        self._entry.use(key)
        wait = await self._until(key, "message", due=self._due(limit_s), default=default, name=name)
        if wait.value is None:
            raise MessageTimeoutError(f"{self.path}: no message {name!r} has come in time")
        return await self._value(wait, hint, f"message {name!r}")

    @property
    def has_key(self) -> bool:
        """Whether it is recorded that the node's exclusive key belongs to this visit."""
        wait = self._waits.known(EXCLUSIVE)
        return wait is not None and bool(wait.outcome)

    async def take_key(self, name: str) -> None:
        """Wait until the exclusive key of this name belongs to this visit."""
        await self._until(EXCLUSIVE, "key", name=name)

    async def _until(self, key: str, kind: str, *blobs: Blob, default: bytes | None = None, **more: Any) -> c.Wait:
        value, with_default = stored(default) if default is not None else (None, [])
        wait = s.OpenWait(path=self.path, attempt=self.attempt, key=key, kind=kind, default=value, **more)
        return await self._waits.until(wait, *blobs, *with_default)

    def _due(self, seconds: float | None) -> float | None:
        return self._host.now() + seconds if seconds is not None else None

    def _default(self, default: Any, limit_s: float | None, hint: Any, what: str, limit: str) -> bytes | None:
        """The default as JSON text; None if there is none."""
        if limit_s is not None and not _is_seconds(limit_s):
            raise InvalidInputError(
                f"{self.path}: {what}: {limit} is a number of seconds from 0 on, not {limit_s!r:.80}"
            )
        if default is UNSET:
            return None
        if limit_s is None:
            raise InvalidInputError(f"{self.path}: {what} has a default but waits for ever; give {limit}=, too")
        json = self._entry.encoded(default)
        if default is not None:
            try:
                codec.decode(json, hint)
            except InvalidInputError as error:
                raise InvalidInputError(f"{self.path}: {what}: its default does not fit: {error}") from None
        return json

    async def _value(self, wait: c.Wait, hint: Any, what: str) -> Any:
        assert wait.value is not None
        json = await self._entry.read_value(wait.value)
        if wait.outcome == "expired" and json == b"null":
            return None
        try:
            return codec.decode(json, hint)
        except InvalidInputError as error:
            raise InvalidInputError(f"{self.path}: {what} does not fit its type: {error}") from None

    # ------------------------------------------------------------------ telling

    def heartbeat(self) -> None:
        """Say that the body is alive; see `bodies.context.Context.heartbeat`."""
        self._entry.alive()

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the body is; see `bodies.context.Context.progress`."""
        fraction = min(1.0, max(0.0, fraction))
        self._show(Progress(self.path, self.attempt, fraction, self._secrets.mask(message)))

    async def checkpoint(self, name: str) -> None:
        """Name the position that the run has now; see `bodies.context.Context.checkpoint`."""
        self._entry.check(name, "the checkpoint")
        self._entry.check_attached()
        await self._entry.submit(s.Checkpoint(name=name, path=self.path))

    def emit(self, item: Any) -> None:
        """Show an item to whoever looks; see `bodies.context.Context.emit`."""
        plain = self._secrets.mask_plain(codec.decode(codec.encode(item)))
        self._emitted += 1
        self._show(Emitted(self.path, self.attempt, self._emitted - 1, plain))

    def log(self, message: str) -> None:
        """Keep a line with the attempt's output."""
        if not self._entry.detached:
            self._write("log", message + "\n")

    def secret(self, name: str) -> str:
        """Look a secret up; it is masked in everything that is kept from now on."""
        return self._secrets.lookup(name)

    def _show(self, item: Ephemeral) -> None:
        if self._entry.detached:
            return
        self._entry.alive()
        if self._entry.in_loop:
            self._host.show(item)
        else:
            self._loop.call_soon_threadsafe(self._host.show, item)


def _is_seconds(limit: object) -> bool:
    return isinstance(limit, int | float) and not isinstance(limit, bool) and 0 <= limit < math.inf
