"""One entry of a body: its way to the run that it belongs to, and the keys that it has used."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

from clew import codec
from clew.engine.feed import Ephemeral
from clew.engine.heartbeats import Heartbeat
from clew.engine.inputs import refuse_large, store
from clew.engine.secrets import Secrets
from clew.errors import ClewError, InvalidInputError, LostValueError, StepConflictError, StorageError
from clew.journal.records import Blob, RunRow
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.questions import RESERVED
from clew.kernel.values import Value

T = TypeVar("T")

#: Characters of a key.
MAX_KEY = 500


class Host(Protocol):
    """What a body needs of the run that it belongs to."""

    @property
    def row(self) -> RunRow:
        """The run's row as it is on disk; says who owns it."""
        ...

    def submit(self, signal: s.AnySignal, *blobs: Blob) -> asyncio.Future[str]:
        """Hand in a signal; done when what follows is durable."""
        ...

    def show(self, item: Ephemeral) -> None:
        """Show something that is no fact."""
        ...

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        ...

    async def read_value(self, value: Value) -> bytes:
        """The JSON text of a stored value."""
        ...

    def lose(self, error: Exception) -> None:
        """The run cannot be driven on from here."""
        ...

    async def check_lease(self) -> None:
        """Stop whoever asks, if the run may belong to another process by now, and does."""
        ...


class Entry:
    """A body that was entered, for one attempt.

    Args:
        host: the run.
        command: what was started.
        secrets: of the engine.
        heartbeat: hears of each sign of life.

    Attributes:
        detached: the attempt is over for the run (a thread may still hold this): nothing is let through.
    """

    def __init__(self, host: Host, command: c.StartAttempt, secrets: Secrets, heartbeat: Heartbeat | None) -> None:
        self.host = host
        self.path = command.path
        self.attempt = command.attempt
        self.secrets = secrets
        self.detached = False
        self._looks_only = command.probe
        self._heartbeat = heartbeat
        self._thread = threading.get_ident()
        self._used: set[str] = set()

    @property
    def in_loop(self) -> bool:
        """Whether this is called on the loop, not in a thread."""
        return threading.get_ident() == self._thread

    def check(self, key: str, what: str) -> None:
        """Refuse a call whose outcome cannot be recorded: before anything is done.

        Raises:
            ClewError: it is made in a thread, or by a probe.
            InvalidInputError: the key is none.
        """
        if self._looks_only:
            raise ClewError(
                f"{self.path}: this is the node's probe, which only looks; {what} {key!r} is for its body"
            )
        if not self.in_loop:
            raise ClewError(
                f"{self.path}: a synchronous body runs in a thread, where {what} {key!r} cannot be waited for; "
                "make the body async"
            )
        if not isinstance(key, str) or not key or len(key) > MAX_KEY:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(
                f"{self.path}: {what} needs a key, which is text of 1 to {MAX_KEY} characters, not {key!r:.80}"
            )
        if key.startswith(RESERVED):
            raise InvalidInputError(
                f"{self.path}: the key {key!r} of {what} begins with {RESERVED!r}; such keys are Clew's own"
            )

    def use(self, key: str) -> None:
        """Remember that a key was used; a sign of life, also if all that follows is recorded.

        Raises:
            StepConflictError: it has been used before.
        """
        if key in self._used:
            raise StepConflictError(
                f"{self.path}: the key {key!r} is used twice; each step, sleep, question and message of a body "
                "needs its own: in a loop, give key=… with what tells its turns apart"
            )
        self._used.add(key)
        self.alive()

    def alive(self) -> None:
        """The body has given a sign of life; from any thread."""
        if self._heartbeat is not None:
            self._heartbeat.beat()

    def check_attached(self) -> None:
        """End a body whose attempt is over."""
        if self.detached:
            raise asyncio.CancelledError

    async def read_value(self, value: Value) -> bytes:
        """The JSON text of a stored value."""
        return await or_lose(self.host, self.host.read_value(value))

    async def check_lease(self) -> None:
        """End a body whose run belongs to another process by now."""
        await or_lose(self.host, self.host.check_lease())
        self.check_attached()

    async def submit(self, signal: s.AnySignal, *blobs: Blob) -> None:
        """Hand in a signal, and wait until what follows is durable."""
        self.check_attached()
        self.alive()
        await self.host.submit(signal, *blobs)
        self.alive()

    def encoded(self, value: Any) -> bytes:
        """A value of the body as JSON text.

        Raises:
            UnstorableError: it cannot be stored, or holds a secret.
        """
        json = codec.encode(value)
        refuse_large(json)
        self.secrets.refuse(json)
        return json


class Losing(Protocol):
    """Who stops driving when the journal fails."""

    def lose(self, error: Exception) -> None:
        """The run cannot be driven on from here."""
        ...


async def or_lose(host: Losing, reading: Awaitable[T]) -> T:
    """What a run needs of the journal: a fault of that is no failure of a body, so none hears of it.

    The run is lost instead, and is taken up again when the journal may do better.

    Raises:
        LostValueError: what is to be read is not there, and will not be there later.
        CancelledError: the journal failed.
    """
    try:
        return await reading
    except LostValueError:
        raise
    except StorageError as error:
        host.lose(error)
        raise asyncio.CancelledError from error


def stored(json: bytes) -> tuple[Value, list[Blob]]:
    """A reference to a value, and the blobs to store with it."""
    value, data = store(json)
    return value, [Blob(value.blob, data)] if data is not None else []
