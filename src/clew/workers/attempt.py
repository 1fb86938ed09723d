"""An attempt that a process makes: its parts arrive by three ways, and it is over when all are there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import msgspec

from clew.bodies.output import ByteLines, Sink
from clew.workers.protocol import (
    Answer,
    Asked,
    Beaten,
    Done,
    Emitted,
    Failed,
    Job,
    Logged,
    Progressed,
    ToParent,
)

#: Bytes of standard error that are told when a process dies.
_TOLD = 1_000


class ProcessGone(Exception):
    """The process has ended before the attempt."""


class Attempt:
    """A job under way, and how its parts come together.

    Args:
        job: what is to be done.
        sink: takes what is printed and logged.
        on_progress: told of `ctx.progress`.
        on_emit: given what `ctx.emit` shows, encoded.
        secret: answers `ctx.secret`.
        on_beat: told of every sign of life.

    Attributes:
        over: the reply, or what ended the attempt; settled when both streams have reached the marker as well.
    """

    def __init__(
        self,
        job: Job,
        sink: Sink,
        on_progress: Callable[[float, str], None] | None,
        on_emit: Callable[[msgspec.Raw], None] | None,
        secret: Callable[[str], str] | None,
        on_beat: Callable[[], None] | None = None,
    ) -> None:
        self.job = msgspec.structs.replace(job, marker=f"\0clew {secrets.token_hex(16)}\n")
        self.sink = sink
        self.over: asyncio.Future[Done | Failed] = asyncio.get_running_loop().create_future()
        self.reply: Done | Failed | None = None
        self.streams = {
            name: UpToMarker(self.job.marker.encode(), ByteLines(name, sink)) for name in ("stdout", "stderr")
        }
        self._on_progress = on_progress
        self._on_emit = on_emit
        self._secret = secret
        self._on_beat = on_beat

    def take(self, message: ToParent) -> Answer | None:
        """Deal with a message; return what is to be answered."""
        self._beat()
        match message:
            case Beaten():
                pass
            case Progressed(fraction=fraction, message=text):
                if self._on_progress is not None:
                    self._on_progress(fraction, text)
            case Emitted(item=item):
                if self._on_emit is not None:
                    self._on_emit(item)
            case Logged(text=text):
                self.sink("log", text)
            case Asked(name=name):
                return self._answer(name)
            case Done() | Failed():
                self.reply = message
                self.settle()
        return None

    def feed(self, stream: str, data: bytes) -> None:
        """Take output."""
        self._beat()
        self.streams[stream].feed(data)
        self.settle()

    def settle(self) -> None:
        """End the attempt if all of it has arrived."""
        whole = all(stream.ended for stream in self.streams.values())
        if self.reply is not None and whole and not self.over.done():
            self.over.set_result(self.reply)

    def cut_off(self) -> str:
        """End the attempt because its process has; return what that last said on standard error."""
        try:
            for stream in self.streams.values():
                stream.end()
        except Exception as error:  # of the sink
            self.fail(error)
        self.fail(ProcessGone())
        return self.streams["stderr"].last.decode(errors="replace").strip()

    def fail(self, error: Exception) -> None:
        """End the attempt without a reply."""
        if not self.over.done():
            self.over.set_exception(error)

    def _beat(self) -> None:
        if self._on_beat is not None:
            self._on_beat()

    def _answer(self, name: str) -> Answer:
        try:
            if self._secret is None:
                raise LookupError("this program has no secrets")  # noqa: TRY301
            return Answer(value=self._secret(name))
        except LookupError as error:
            return Answer(why=str(error.args[0]) if error.args else f"there is no secret {name}")


class UpToMarker:
    """Passes on what a stream brings, up to the attempt's marker; what follows belongs to nobody."""

    def __init__(self, marker: bytes, lines: ByteLines) -> None:
        self.ended = False
        self.last = b""  #: the last bytes that were passed on
        self._marker = marker
        self._lines = lines
        self._held = b""  #: what may be the beginning of the marker

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if self.ended:
            return
        data = self._held + data
        found = data.find(self._marker)
        if found >= 0:
            self._pass_on(data[:found])
            self._held = b""
            self.end()
            return
        start = data.rfind(b"\0", max(0, len(data) - len(self._marker) + 1))
        cut = start if start >= 0 and self._marker.startswith(data[start:]) else len(data)
        self._held = data[cut:]
        self._pass_on(data[:cut])

    def end(self) -> None:
        """Nothing more comes."""
        if not self.ended:
            self._pass_on(self._held)
            self.ended = True
            self._lines.flush()

    def _pass_on(self, data: bytes) -> None:
        if data:
            self._lines.feed(data)
            self.last = (self.last + data[-_TOLD:])[-_TOLD:]
