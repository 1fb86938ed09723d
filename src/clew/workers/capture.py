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
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any, TextIO

from clew.bodies.output import ByteLines, Lines, Sink


class _Target:
    """Where an attempt's output goes."""

    def __init__(self, sink: Sink, *, tee: bool) -> None:
        self.lines = {stream: Lines(stream, sink) for stream in ("stdout", "stderr")}
        self.bytes = {stream: ByteLines(stream, sink) for stream in ("stdout", "stderr")}
        self.sink = sink
        self.tee = tee
        #: False when the attempt is over; a thread that still runs is then writing for nobody
        self.open = True

    def close(self) -> None:
        self.open = False
        for lines in (*self.lines.values(), *self.bytes.values()):
            lines.flush()


_target: ContextVar[_Target | None] = ContextVar("clew_output_target", default=None)
_installing = Lock()


@contextmanager
def captured(sink: Sink, *, tee: bool = False) -> Generator[None]:
    """Send what is printed and logged inside to `sink`, as (stream, text), mostly whole lines.

    `install` must have been called. Once left, what was started inside and still runs (a thread that cannot
    be killed) is cut off: its output is dropped.

    Args:
        sink: takes the output, from any thread.
        tee: show it where it would have gone, too.
    """
    target = _Target(sink, tee=tee)
    token = _target.set(target)
    try:
        yield
    finally:
        _target.reset(token)
        target.close()


def install() -> None:
    """Make the standard streams and logging route; counted, one `uninstall` is needed for each."""
    with _installing:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, _Router):
                stream = _Router(name, stream)
                setattr(sys, name, stream)
            stream.users += 1
        handler = _installed_handler()
        if handler is None:
            logging.getLogger().addHandler(handler := _Handler())
        handler.users += 1


def uninstall() -> None:
    """Put back what was there, if nobody else routes any more.

    A stream that has been replaced meanwhile is left alone; the router below it then only passes through.
    """
    with _installing:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if isinstance(stream, _Router):
                stream.users -= 1
                if stream.users == 0:
                    setattr(sys, name, stream.original)
        handler = _installed_handler()
        if handler is not None:
            handler.users -= 1
            if handler.users == 0:
                logging.getLogger().removeHandler(handler)


class _Router(io.TextIOBase):
    """Writes to the sink of the attempt that is writing, else to the original stream."""

    def __init__(self, name: str, original: TextIO | None) -> None:
        self.stream = name
        self.original = original  #: None in a program without a console
        self.users = 0
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
        self.users = 0
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        target = _target.get()
        if target is not None and target.open:
            target.sink("log", f"{self.format(record)}\n")


def _installed_handler() -> _Handler | None:
    return next((each for each in logging.getLogger().handlers if isinstance(each, _Handler)), None)
