"""A worker process: takes one job after the other, until its engine is gone.

It is started with the descriptor of a socket to the engine (`protocol`). Its standard output and error are
pipes that the engine reads, so that whatever prints in here, also native code and the programs that a body
starts, is kept with the attempt.

Everything imported here is paid for at each start of a process.
"""

from __future__ import annotations

import faulthandler
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

import msgspec

from clew import codec
from clew.bodies.context import Context
from clew.bodies.errors import error_info
from clew.bodies.functions import Signature, find
from clew.bodies.output import storable
from clew.bodies.probes import encode_result
from clew.errors import ClewError
from clew.kernel.values import Absent
from clew.workers.protocol import (
    HEADER,
    Answer,
    Asked,
    Beaten,
    Done,
    Emitted,
    Failed,
    Job,
    Logged,
    Progressed,
    ToChild,
    ToParent,
    framed,
)

if TYPE_CHECKING:
    import logging

_SYNC_ONLY = (
    "a synchronous body with a time limit or a heartbeat runs in a process of its own, as a tool with limits "
    "does; from there, {what} cannot be recorded; make the body async, and no tool with limits"
)
#: Of the signs of life of a body only so many are sent while it may be silent once.
_BEATS = 20


def main(descriptor: int) -> NoReturn:
    """Work until the engine closes the socket."""
    # Stopping is the engine's to decide. A handler instead of SIG_IGN: programs that a body starts inherit the
    # latter and could not be interrupted by it.
    signal.signal(signal.SIGINT, _stay)
    faulthandler.enable(all_threads=False)
    os.set_inheritable(descriptor, False)
    link = _Link(descriptor)
    streams = _Streams()
    Thread(target=link.receive, name="clew-link", daemon=True).start()
    while True:
        job = link.jobs.get()
        streams.begin()
        answer = _perform(job, link)
        streams.end(job.marker)
        link.send(answer)


def _stay(number: int, frame: object) -> None:
    """Do nothing about a signal."""


def _perform(job: Job, link: _Link) -> Done | Failed:
    context = _ChildContext(job, link)
    handler: logging.Handler | None = None
    try:
        function = find(job, {})
        handler = _log_handler(job.log_level, context)
        arguments = _arguments(job, function, context)
        context.heartbeat()  # importing the function has taken its time
        value = function(**arguments)
        if inspect.iscoroutine(value):
            import asyncio  # noqa: PLC0415 - few bodies in processes are asynchronous

            value = asyncio.run(value)
        return Done(msgspec.Raw(encode_result(value, probe=job.probe, updates=job.updates)))
    except BaseException as error:  # `sys.exit()` in a body fails the body; the process goes on
        return Failed(error_info(error))
    finally:
        link.end(context)
        if handler is not None:
            sys.modules["logging"].getLogger().removeHandler(handler)


def _arguments(job: Job, function: Callable[..., Any], context: Context) -> dict[str, Any]:
    signature = Signature.of(function)
    absent = {name: Absent(node) for name, node in job.absent.items()}
    inputs = {**job.inputs, **absent}
    arguments = signature.bind(signature.wanted(inputs) if job.probe else inputs)
    if signature.context:
        arguments[signature.context] = context
    return arguments


class _Link:
    """The socket to the engine."""

    def __init__(self, descriptor: int) -> None:
        self.jobs: SimpleQueue[Job] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._descriptor = descriptor
        self._sending = Lock()
        self._asking = Lock()
        self._decode = msgspec.json.Decoder(ToChild).decode

    def send(self, message: ToParent, of: _ChildContext | None = None) -> None:
        """Send, unless the attempt it is `of` is over; waits while the engine has no time to read."""
        data = memoryview(framed(message))
        with self._sending:
            while data and not (of is not None and of.over):
                data = data[os.write(self._descriptor, data) :]

    def end(self, context: _ChildContext) -> None:
        """Cut threads that a body has left behind off from the next attempt."""
        with self._sending:
            context.over = True

    def ask(self, name: str) -> Answer:
        """Ask the engine for a secret."""
        with self._asking:
            self.send(Asked(storable(name)))
            return self._answers.get()

    def receive(self) -> None:
        """Sort what comes in; when nothing can come any more, end with everything the bodies started."""
        try:
            while True:
                size = int.from_bytes(self._read(HEADER), "big")
                message = self._decode(self._read(size))
                if isinstance(message, Job):
                    self.jobs.put(message)
                else:
                    self._answers.put(message)
        finally:
            if os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)
            os._exit(1)

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            chunk = os.read(self._descriptor, min(size - len(data), 1 << 20))
            if not chunk:
                raise EOFError
            data += chunk
        return bytes(data)


class _Streams:
    """The standard streams, given to each body as if it were the first."""

    def __init__(self) -> None:
        #: copies that a body does not know and cannot close
        self._outputs = {1: os.dup(1), 2: os.dup(2)}
        # Lines go out as they are made, in order with what started programs print.
        for stream in (sys.stdout, sys.stderr):
            cast("Any", stream).reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")
        self._stdout: TextIO = sys.stdout
        self._stderr: TextIO = sys.stderr
        self._folder = os.getcwd()  # noqa: PTH109 - pathlib costs the start of a process 5 ms
        self._environment = dict(os.environ)
        self._flush_native = _native_flush()

    def begin(self) -> None:
        """Undo what the last body did to the process as far as others would notice."""
        sys.stdout, sys.stderr = self._stdout, self._stderr
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        os.chdir(self._folder)

    def end(self, marker: str) -> None:
        """Write out all that was printed, and the marker behind it."""
        for stream in (sys.stdout, sys.stderr, self._stdout, self._stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):  # closed or replaced by the body
                continue
        self._flush_native(None)
        for number, copy in self._outputs.items():
            os.dup2(copy, number)
            _write_all(copy, marker.encode())


def _native_flush() -> Callable[[None], object]:
    """The function of the C library that writes out what native code has printed."""
    try:
        import ctypes  # noqa: PLC0415 - some builds of Python are without it

        return ctypes.CDLL(None).fflush
    except (ImportError, OSError, AttributeError):
        return lambda _: None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class _ChildContext(Context):
    """What a body in a process sees of the engine: all but what has to be recorded in the journal."""

    def __init__(self, job: Job, link: _Link) -> None:
        self.run_id = job.run
        self.path = job.path
        self.attempt = job.attempt
        self.idempotency_key = job.idempotency_key
        self.failed_upstream = job.failed_upstream
        self.over = False
        self._link = link
        self._pause_s = job.heartbeat_s / _BEATS if job.heartbeat_s is not None else None
        self._next_beat = 0.0

    def secret(self, name: str) -> str:
        answer = self._link.ask(name)
        if answer.value is None:
            raise LookupError(answer.why)
        return answer.value

    def step(self, key: str, *_: Any, **__: Any) -> NoReturn:
        raise ClewError(_SYNC_ONLY.format(what=f"the step {key!r}"))

    def memory(self, namespace: str) -> NoReturn:
        raise ClewError(_SYNC_ONLY.format(what=f"a change of the memory {namespace!r}"))

    def sleep(self, seconds: float, key: str | None = None) -> NoReturn:  # noqa: ARG002
        raise ClewError(_SYNC_ONLY.format(what="a durable sleep"))

    def ask(self, text: str, **_: Any) -> NoReturn:
        raise ClewError(_SYNC_ONLY.format(what=f"the question {text!r:.80}"))

    def receive(self, name: str, **_: Any) -> NoReturn:
        raise ClewError(_SYNC_ONLY.format(what=f"that the message {name!r} was received"))

    def checkpoint(self, name: str) -> NoReturn:
        raise ClewError(_SYNC_ONLY.format(what=f"the checkpoint {name!r}"))

    def heartbeat(self) -> None:
        if self._pause_s is not None and time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + self._pause_s
            self._send(Beaten())

    def progress(self, fraction: float, message: str = "") -> None:
        self._send(Progressed(float(fraction), storable(str(message))))

    def emit(self, item: Any) -> None:
        self._send(Emitted(msgspec.Raw(codec.encode(item))))

    def log(self, message: str) -> None:
        self._send(Logged(storable(f"{message}\n")))

    def _send(self, message: ToParent) -> None:
        self._link.send(message, of=self)


def _log_handler(level: int, context: Context) -> logging.Handler | None:
    """Send log records to the engine, if anything in here can make one; logging is not imported for it."""
    if "logging" not in sys.modules:
        return None
    import logging  # noqa: PLC0415

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            context.log(self.format(record))

    handler = Handler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(handler)
    return handler
