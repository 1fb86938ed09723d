"""The engine's side of isolated steps: has keepers forked, gives them their orders, and hears how steps end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import IO

import msgspec

from clew.bodies.groups import unbroken
from clew.errors import ClewError, InternalError
from clew.workers.isolation.limits import KeeperDiedError, LaunchError, Outcome, Violation
from clew.workers.isolation.mechanisms import Mechanisms
from clew.workers.isolation.orders import Inbox, Message, Order, Report, Sample, Started, Stop, framed
from clew.workers.isolation.owners import sweep

_BOOT = (
    "import sys; fd = int(sys.argv[1]); sys.path[:] = sys.argv[2:]; del sys.argv[1:]; "
    "from clew.workers.isolation.zygote import main; main(fd)"
)
_HELLO_HEADER = 4
#: How long a zygote may take to come up, or to go, in seconds.
_PATIENCE_S = 60.0


class Warden:
    """Starts isolated steps. One for an engine; used in one event loop.

    `close` it after the steps have ended; those that have not are killed.

    Args:
        mechanisms: what is used of what the machine offers; None finds that out.
    """

    def __init__(self, mechanisms: Mechanisms | None = None) -> None:
        self._given = mechanisms
        self._found: Mechanisms | None = None
        self._zygote: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._starting = asyncio.Lock()
        self._steps: set[KeptStep] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Warden {len(self._steps)} steps{', closed' * self._closed}>"

    async def mechanisms(self) -> Mechanisms:
        """What is used of what the machine offers.

        Raises:
            ClewError: the process that finds it out does not start.
        """
        if self._given is not None:
            return self._given
        await self._open()
        assert self._found is not None
        return self._found

    async def start(
        self,
        order: Order,
        *,
        stdin: bool = False,
        worker: socket.socket | None = None,
        on_sample: Callable[[Sample], Violation | None] | None = None,
    ) -> KeptStep:
        """Start a step; returns as soon as its keeper has its order.

        Args:
            order: what is to be run.
            stdin: its standard input is a pipe, instead of empty.
            worker: the other end of a worker's socket.
            on_sample: told what it uses, as often as the order says; what it returns ends the step.

        Raises:
            ClewError: the process that starts keepers does not start, or this is closed.
        """
        await self._open()
        if self._closed:
            raise ClewError("no step can be started any more: the engine is being closed")
        step = KeptStep(stdin=stdin, on_sample=on_sample)
        self._steps.add(step)
        try:
            await self._hand_over(step.given([worker.fileno()] if worker is not None else []))
            await step.begin(order)
        except BaseException:
            step.give_up()
            self._steps.discard(step)
            raise
        finally:
            step.close_given()
        step.over.add_done_callback(lambda _: self._steps.discard(step))
        step.over.add_done_callback(lambda over: self._look_after(over))  # noqa: PLW0108
        return step

    async def close(self) -> None:
        """Kill the steps that are still there, and end the zygote."""
        self._closed = True
        await asyncio.gather(*(step.stop(0.0) for step in [*self._steps]), return_exceptions=True)
        async with self._starting:
            zygote, link = self._zygote, self._link
            self._zygote = self._link = None
            if link is not None:
                link.close()
            if zygote is not None:
                await unbroken(asyncio.to_thread(_end, zygote))

    async def _hand_over(self, descriptors: Sequence[int]) -> None:
        """Give the zygote what a keeper needs; to another one, if it has been killed just now."""
        assert self._link is not None
        try:
            socket.send_fds(self._link, [b"!"], descriptors)
        except OSError:
            assert self._zygote is not None
            self._zygote.kill()
            self._zygote.wait()
            await self._open()
            socket.send_fds(self._link, [b"!"], descriptors)

    async def _open(self) -> None:
        async with self._starting:
            if self._closed or (self._zygote is not None and self._zygote.poll() is None):
                return
            if self._link is not None:
                self._link.close()
            ours, theirs = socket.socketpair()
            with theirs:
                command = [sys.executable, "-c", _BOOT, str(theirs.fileno()), *sys.path]
                self._zygote = subprocess.Popen(  # noqa: ASYNC220
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            self._link = ours
            self._found = await unbroken(asyncio.to_thread(_hear_hello, ours, self._zygote))

    def _look_after(self, over: asyncio.Future[Outcome]) -> None:
        """A keeper that was killed cannot clear away; what it has left is ended here."""
        if not over.cancelled() and isinstance(over.exception(), KeeperDiedError) and self._found is not None:
            sweep((self._given or self._found).places)


def _hear_hello(link: socket.socket, zygote: subprocess.Popen[bytes]) -> Mechanisms:
    link.settimeout(_PATIENCE_S)
    try:
        with link.makefile("rb") as said:
            size = int.from_bytes(said.read(_HELLO_HEADER), "big")
            text = said.read(size)
        link.settimeout(None)
        return msgspec.json.decode(text, type=Mechanisms)
    except (OSError, msgspec.DecodeError) as error:
        zygote.kill()
        _, words = zygote.communicate()
        raise ClewError(
            f"the process that starts isolated steps did not come up ({error}); its last words:\n"
            f"{words.decode(errors='replace')[-2_000:]}"
        ) from None
    finally:
        if zygote.stderr is not None:
            zygote.stderr.close()


def _end(zygote: subprocess.Popen[bytes]) -> None:
    """It ends by itself when its socket has; keepers are not its to wait for."""
    try:
        zygote.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        zygote.kill()
        zygote.wait()


class KeptStep:
    """A step under way, and its keeper's word about it.

    Attributes:
        stdin: the writing end of its input, if it has one.
        stdout: the reading end of its output.
        stderr: the reading end of its errors.
        pid: of its first process, once that has become the program.
        begun: settled when it has.
        over: how it ended, once it has, and nothing of it is left. Raises LaunchError if it was never begun, and
            KeeperDiedError if its keeper was killed.
    """

    def __init__(self, *, stdin: bool, on_sample: Callable[[Sample], Violation | None] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.pid = 0
        self.begun: asyncio.Future[int] = loop.create_future()
        self.over: asyncio.Future[Outcome] = loop.create_future()
        self._ours, self._theirs = socket.socketpair()
        self._inbox = Inbox()
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._given: list[int] = []
        self._stop: Stop | None = None  #: it was stopped before it was begun
        self._on_sample = on_sample
        self._passed: Violation | None = None  #: what it has passed together with other steps
        inward, self.stdin = self._pipe(inward=True) if stdin else (os.open(os.devnull, os.O_RDONLY), None)
        outward, self.stdout = self._pipe()
        errors, self.stderr = self._pipe()
        self._given += [inward, outward, errors]

    @staticmethod
    def _pipe(*, inward: bool = False) -> tuple[int, IO[bytes]]:
        reading, writing = os.pipe()
        given, kept, mode = (reading, writing, "wb") if inward else (writing, reading, "rb")
        return given, open(kept, mode, buffering=0)  # noqa: PTH123 - closed by its reader or writer

    def given(self, more: Sequence[int]) -> list[int]:
        """The descriptors for the keeper."""
        return [self._theirs.fileno(), *self._given, *more]

    def close_given(self) -> None:
        """Close our copies of what the keeper has got."""
        self._theirs.close()
        for each in self._given:
            os.close(each)
        self._given.clear()

    def give_up(self) -> None:
        """It was not started."""
        self._fail(ClewError("the step was not started"))
        self._ours.close()
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()

    async def begin(self, order: Order) -> None:
        """Send the order, and listen from now on."""
        reader, self._writer = await asyncio.open_connection(sock=self._ours)
        self._listening = asyncio.ensure_future(self._listen(reader))
        self._writer.write(framed(order))
        if self._stop is not None:
            self._writer.write(framed(self._stop))

    async def wait(self) -> Outcome:
        """Wait until it has ended; as `over` says."""
        return await asyncio.shield(self.over)

    async def stop(self, grace_s: float) -> None:
        """End it, and wait until it has; a cancellation is raised only then.

        Args:
            grace_s: between asking and killing, in seconds; 0 kills at once.
        """
        if self._writer is None:
            self._stop = Stop(grace_s=grace_s)
        elif not self._writer.is_closing():
            self._writer.write(framed(Stop(grace_s=grace_s)))
        await unbroken(self._ended())

    async def _ended(self) -> None:
        await asyncio.wait({self.over})

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                while not self.over.done() and (data := await reader.read(1 << 16)):
                    for message in self._inbox.feed(data):
                        self._take(message)
        finally:
            if self._writer is not None:
                self._writer.close()
            if not self.over.done():
                self._fail(
                    KeeperDiedError("the process that kept a step was killed; what the step did is not known")
                )

    def _take(self, message: Message) -> None:
        match message:
            case Started(pid=pid):
                self.pid = pid
                self.begun.set_result(pid)
            case Report(fault=fault) if fault:
                self._fail(InternalError(f"the process that kept a step failed:\n{fault}"))
            case Report(stage=stage, why=why, errno=errno) if stage:
                self._fail(LaunchError(stage, why, errno))
            case Sample() if self._on_sample is not None:
                self._compare(self._on_sample(message))
            case Report(outcome=outcome):
                passed = outcome.violation or self._passed
                self.over.set_result(msgspec.structs.replace(outcome, violation=passed))
            case _:
                self._fail(InternalError(f"a keeper has sent {type(message).__name__}"))

    def _compare(self, passed: Violation | None) -> None:
        """End the step if it has passed a limit that it has together with others."""
        if passed is not None and self._passed is None and self._writer is not None:
            self._passed = passed
            self._writer.write(framed(Stop(grace_s=0.0)))

    def _fail(self, error: ClewError) -> None:
        for each in (self.begun, self.over):
            if not each.done():
                each.set_exception(error)
                each.exception()  # whoever is interested asks; nobody has to
