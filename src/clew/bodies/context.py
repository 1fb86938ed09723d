"""What a body sees of the engine. A body asks for it with a parameter annotated `Context`, or named `ctx`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from clew.kernel.values import ErrorInfo


class Context(ABC):
    """The attempt that a body is run for, and its way to the journal and to whoever is watching.

    `progress`, `emit` and `log` may be called from any thread. Once the attempt is over (timed out,
    cancelled, returned), they do nothing.

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
        **kwargs: Any,
    ) -> Awaitable[Any]:
        """Call `function` and record what it returns; when the body is entered again, return the record.

        Args:
            key: names the step in this visit.
            function: sync or async.
            args: what it is called with, by position.
            effect: it changes the outside world; its record is kept also when the attempt fails.
            kwargs: what it is called with, by name.
        """

    @abstractmethod
    def sleep(self, seconds: float, key: str | None = None) -> Awaitable[None]:
        """Wait durably: without a slot, without a process if need be, and only for what is left of it."""

    @abstractmethod
    def progress(self, fraction: float, message: str = "") -> None:
        """Show how far the body is, from 0 to 1. Not stored."""

    @abstractmethod
    def emit(self, item: Any) -> None:
        """Show an item (a token, a partial result) to those who watch. Not stored."""

    @abstractmethod
    def log(self, message: str) -> None:
        """Keep a line with the attempt's output."""
