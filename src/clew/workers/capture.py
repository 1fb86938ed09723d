"""Keep what bodies print and log with their attempt, although all of them share one ``sys.stdout``.

While an engine is open, ``sys.stdout`` and ``sys.stderr`` are routers: what is written inside `captured` goes
to that attempt's sink, everything else to the stream that was there before. Which attempt is writing is a
context variable, so it follows tasks and `run_in_thread`; threads that a body starts by itself begin with an
empty context and print to the terminal.
"""

from __future__ import annotations

import io
import logging
import sys
from contextvars import ContextVar
from threading import RLock
from typing import Any, TextIO

from clew.bodies.output import ByteLines, Lines, Sink


class _Target:
    """Where an attempt's output goes."""

    __slots__ = ("_bytes", "_lines", "open", "sink", "tee")

    def __init__(self, sink: Sink, *, tee: bool) -> None:
        # Made when something is written; most bodies write nothing.
        self._lines: dict[str, Lines] | None = None
        self._bytes: dict[str, ByteLines] | None = None
        self.sink = sink
        self.tee = tee
        #: False when the attempt is over; a thread that still runs is then writing for nobody
        self.open = True

    @property
    def lines(self) -> dict[str, Lines]:
        if self._lines is None:
            with _installing:
                self._lines = self._lines or {name: Lines(name, self.sink) for name in ("stdout", "stderr")}
        return self._lines

    @property
    def bytes(self) -> dict[str, ByteLines]:
        if self._bytes is None:
            with _installing:
                self._bytes = self._bytes or {name: ByteLines(name, self.sink) for name in ("stdout", "stderr")}
        return self._bytes

    def close(self) -> None:
        self.open = False
        for lines in (*(self._lines or {}).values(), *(self._bytes or {}).values()):
            lines.flush()


_target: ContextVar[_Target | None] = ContextVar("clew_output_target", default=None)
_installing = RLock()


class captured:  # noqa: N801 - read as a verb, like `suppress`
    """Send what is printed and logged inside to `sink`, as (stream, text), mostly whole lines.

    `install` must have been called. Once left, what was started inside and still runs (a thread that cannot
    be killed) is cut off: its output is dropped.

    Args:
        sink: takes the output, from any thread.
        tee: show it where it would have gone, too.
    """

    __slots__ = ("_target", "_token")

    def __init__(self, sink: Sink, *, tee: bool = False) -> None:
        self._target = _Target(sink, tee=tee)

    def __enter__(self) -> None:
        if not isinstance(sys.stdout, _Router) or not isinstance(sys.stderr, _Router):
            _route()
        self._token = _target.set(self._target)

    def __exit__(self, *_: object) -> None:
        _target.reset(self._token)
        self._target.close()


def install() -> None:
    """Make the standard streams and logging route; counted, one `uninstall` is needed for each."""
    with _installing:
        handler = _installed_handler()
        if handler is None:
            logging.getLogger().addHandler(handler := _Handler())
        handler.users += 1
    _route()


def uninstall() -> None:
    """Put back what was there, if nobody else routes any more.

    A stream that has been replaced meanwhile is left alone; the router below it then only passes through.
    """
    with _installing:
        handler = _installed_handler()
        if handler is None:
            return
        handler.users -= 1
        if handler.users == 0:
            logging.getLogger().removeHandler(handler)
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if isinstance(stream, _Router):
                    setattr(sys, name, stream.original)


def _route() -> None:
    """Put routers over the streams, also over those that a live display or a test has put there since."""
    with _installing:
        if _installed_handler() is not None:
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if not isinstance(stream, _Router):
                    setattr(sys, name, _Router(name, stream))


class _Router(io.TextIOBase):
    """Writes to the sink of the attempt that is writing, else to the original stream."""

    def __init__(self, name: str, original: TextIO | None) -> None:
        self.stream = name
        self.original = original  #: None in a program without a console
        self._bytes = _ByteRouter(self)

    def write(self, text: str, /) -> int:
        target = _target.get()
        if target is None:
            return len(text) if self.original is None else self.original.write(text)
        if target.open:
            target.lines[self.stream].write(text)
            if target.tee and self.original is not None:
                self.original.write(text)
        return len(text)

    def flush(self) -> None:
        target = _target.get()
        if target is not None and target.open:
            target.lines[self.stream].flush()
        if self.original is not None and not self.original.closed:
            self.original.flush()

    def close(self) -> None:
        """A body that closes its output must not close everybody's."""
        self.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return _target.get() is None and self.original is not None and self.original.isatty()

    def fileno(self) -> int:
        if self.original is None:
            raise io.UnsupportedOperation("fileno")
        return self.original.fileno()

    @property
    def buffer(self) -> io.BufferedIOBase:
        return self._bytes

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return getattr(self.original, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return getattr(self.original, "errors", None)

    def __getattr__(self, name: str) -> Any:
        # `reconfigure`, `line_buffering`, `mode`, ... of the original.
        return getattr(self.original, name)

    def __repr__(self) -> str:
        return f"<{self.stream} routed by clew, over {self.original!r}>"


class _ByteRouter(io.BufferedIOBase):
    """The `buffer` of a router."""

    def __init__(self, router: _Router) -> None:
        self._router = router

    def write(self, data: Any, /) -> int:
        below: Any = getattr(self._router.original, "buffer", None)
        size = memoryview(data).nbytes
        target = _target.get()
        if target is not None and target.open:
            target.bytes[self._router.stream].feed(bytes(data))
        if (target is None or (target.open and target.tee)) and below is not None:
            below.write(data)
        return size

    def flush(self) -> None:
        self._router.flush()

    def writable(self) -> bool:
        return True


class _Handler(logging.Handler):
    """Gives log records to the attempt that logs; the level is that of the loggers."""

    def __init__(self) -> None:
        super().__init__()
        self.users = 0  #: engines that are open; it is installed while there are any
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        target = _target.get()
        if target is not None and target.open:
            target.sink("log", f"{self.format(record)}\n")


def _installed_handler() -> _Handler | None:
    return next((each for each in logging.getLogger().handlers if isinstance(each, _Handler)), None)
