"""One worker process, as its engine sees it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import IO, Protocol

import msgspec

from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups, unbroken
from clew.bodies.pipes import PipeReader, drain, read_pipe
from clew.kernel.values import ErrorInfo
from clew.workers.attempt import Attempt
from clew.workers.protocol import HEADER, MAX_MESSAGE, Answer, Failed, Job, ToParent, framed

#: How long the last words of a process may take when it has ended, or it to end when it says nothing more.
_LAST_WORDS_S = 1.0

_CHILD = "clew.workers.child"
_BOOT = (
    "import sys; fd = int(sys.argv[1]); sys.path[:] = sys.argv[2:]; del sys.argv[1:]; "
    f"from {_CHILD} import main; main(fd)"
)


class Hosted(Protocol):
    """A worker process, as whoever starts it hands it over."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    @property
    def stdout(self) -> IO[bytes] | None:
        """The reading end of its standard output."""
        ...

    @property
    def stderr(self) -> IO[bytes] | None:
        """The reading end of its standard error."""
        ...

    async def wait(self) -> None:
        """Wait until it has ended; it is not reaped by that."""
        ...

    async def reap(self) -> int:
        """Kill what is left of it and all it started; return its exit code (negative: the signal)."""
        ...


#: Starts a worker process that finds its engine at the socket.
Spawn = Callable[[socket.socket], Awaitable[Hosted]]


class InGroup:
    """A worker process that leads a process group.

    Args:
        groups: starts and ends it.
        link: the socket on which it hears of jobs.
    """

    def __init__(self, groups: ProcessGroups, link: socket.socket) -> None:
        command = [sys.executable, "-c", _BOOT, str(link.fileno()), *sys.path]
        self._groups = groups
        self._process: subprocess.Popen[bytes] = groups.spawn_waiting(command, pass_fds=(link.fileno(),))
        self.pid = self._process.pid
        self.stdout = self._process.stdout
        self.stderr = self._process.stderr

    async def wait(self) -> None:
        """See `Hosted`."""
        await self._groups.wait(self._process)

    async def reap(self) -> int:
        """See `Hosted`."""
        return await self._groups.reap(self._process)


class WarmProcess:
    """A process that takes one job after the other.

    Args:
        spawn: starts it.
        on_end: called when it has ended, for whatever reason, and is reaped.
    """

    def __init__(self, spawn: Spawn, on_end: Callable[[WarmProcess], None]) -> None:
        self._spawn = spawn
        self._on_end = on_end
        self._process: Hosted | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._outputs: list[PipeReader] = []
        self._attempt: Attempt | None = None
        self._life: asyncio.Task[None] | None = None  #: ends when the process is reaped
        self._code = 0
        self._hung_up = False  #: what it sent made no sense, or it closed the socket and lived on
        self._last_words = ""

    @property
    def alive(self) -> bool:
        """It can take a job."""
        return self._life is not None and not self._life.done()

    @property
    def pid(self) -> int:
        """Its number, and that of its process group; 0 before it is started."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start it, if that has not been done."""
        if self._process is not None:
            return
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = self._process = await self._spawn(theirs)
            theirs.close()
            try:
                reader, self._writer = await asyncio.open_connection(sock=ours.dup())
                for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
                    self._outputs.append(await read_pipe(pipe, partial(self._feed, name)))
            except BaseException:
                await process.reap()
                self._close(process)
                raise
        self._life = asyncio.ensure_future(self._live(process, reader))

    async def run(self, attempt: Attempt) -> bytes:
        """Run a job; return its encoded output. If it does not come to that, the process is gone by then.

        Raises:
            BodyError: the body raised; the process can take another job.
            ProcessGone: the process ended.
        """
        self._attempt = attempt
        try:
            self._send(attempt.job)
            reply = await attempt.over
        except BaseException:
            await self.end()
            raise
        finally:
            self._attempt = None
        if isinstance(reply, Failed):
            raise BodyError(reply.error)
        return bytes(reply.output)

    async def end(self) -> None:
        """Kill it with all it started, and wait until that is done."""
        if self._process is not None and self._life is not None:
            await self._process.reap()
            await unbroken(asyncio.wait({self._life}))

    async def _live(self, process: Hosted, reader: asyncio.StreamReader) -> None:
        """Listen until the process ends, by itself or by others, and clear it away."""
        listening = asyncio.ensure_future(self._listen(reader))
        exited = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait({listening, exited}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({listening, exited}, timeout=_LAST_WORDS_S)
            self._hung_up = not exited.done()
        finally:
            self._code = await process.reap()
            listening.cancel()
            await asyncio.gather(listening, exited, return_exceptions=True)
            await drain(self._outputs, _LAST_WORDS_S)
            self._close(process)
            self._on_end(self)
            if self._attempt is not None:
                self._last_words = self._attempt.cut_off()

    def _close(self, process: Hosted) -> None:
        for each in (self._writer, *self._outputs, process.stdout, process.stderr):
            if each is not None:
                each.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        decode = msgspec.json.Decoder(ToParent).decode
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError):
            while True:
                size = int.from_bytes(await reader.readexactly(HEADER), "big")
                if size > MAX_MESSAGE:
                    return
                self._receive(decode(await reader.readexactly(size)))

    def _receive(self, message: ToParent) -> None:
        attempt = self._attempt
        if attempt is not None:
            try:
                answer = attempt.take(message)
            except Exception as error:  # of those who are told; the attempt fails with it
                attempt.fail(error)
            else:
                if answer is not None:
                    self._send(answer)

    def _feed(self, stream: str, data: bytes) -> None:
        attempt = self._attempt
        if attempt is not None:
            try:
                attempt.feed(stream, data)
            except Exception as error:  # of the sink; the attempt fails with it
                attempt.fail(error)

    def _send(self, message: Job | Answer) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(framed(message))

    def obituary(self) -> ErrorInfo:
        """What is known about the end of the process."""
        if self._hung_up:
            how = "broke its connection to the engine"
        elif self._code >= 0:
            how = f"ended with exit code {self._code}"
        else:
            name = signal.Signals(-self._code).name
            hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
            how = f"was killed by {name} (signal {-self._code}{hint})"
        words = f"; its last words:\n{self._last_words}" if self._last_words else ""
        return ErrorInfo(
            type="process died",
            message=f"the process that ran the body {how}{words}",
            classes=("ProcessDied", "Exception"),
        )
