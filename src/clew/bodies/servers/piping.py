"""Speak with a server that is a program, over its standard streams.

This stands in the place of the library's own transport, because the program is to run in a process group of ours:
it is gone when the connection is, with all it has started, also when this process is killed (see `groups`). Lines
are bounded, and what the program says on its standard error is kept for messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, cast

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage

from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups, unbroken
from clew.bodies.pipes import PipeReader, drain, read_pipe
from clew.bodies.servers.faults import died, fault, joined, not_started, shortened
from clew.graphs.servers import Server

#: Bytes of one message; a server that sends a longer one is ended.
MAX_MESSAGE = 64_000_000
#: Lines that are no messages of the protocol; a server that prints more is ended.
MAX_STRAY_LINES = 1_000
#: Between the end of a server's input and SIGTERM, and again between that and SIGKILL.
GRACE_S = 2.0
#: Bytes of standard error that are kept for messages.
_KEPT = 8_192
#: How long output may still come once the program is gone.
_DRAIN_S = 1.0

FromServer = MemoryObjectReceiveStream[SessionMessage | Exception]
ToServer = MemoryObjectSendStream[SessionMessage]


class Program:
    """A server that is started here: a transport of the library, an async context manager of two streams.

    Args:
        server: what is started.
        env: its variables, filled.
        groups: starts and ends it.
        gone: is set when it says nothing any more.

    Attributes:
        is_greeted: it has shown that it is a server, and is given time to end.
    """

    def __init__(self, server: Server, env: Mapping[str, str], groups: ProcessGroups, gone: asyncio.Event) -> None:
        self.is_greeted = False
        self._gone = gone
        self._server = server
        self._env = env
        self._groups = groups
        self._talk: _Talk | None = None
        self._is_left = False
        self._has_broken_off = False
        self._code: int | None = None
        self._offence: BodyError | None = None
        self._stray: deque[str] = deque(maxlen=3)
        self._strays = 0
        self._errors = bytearray()

    async def __aenter__(self) -> tuple[FromServer, ToServer]:
        """Start the program.

        Raises:
            BodyError: it cannot be started.
        """
        process = self._spawn()
        self._talk = talk = _Talk(process)
        try:
            return await talk.begin(self)
        except BaseException:
            await unbroken(self._end(talk))
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the program and all it has started."""
        if self._talk is not None:
            await unbroken(self._end(self._talk))

    async def _end(self, talk: _Talk) -> None:
        self._is_left = True
        self._gone.set()
        await talk.finish()
        if self.is_greeted and self._offence is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._groups.wait(talk.process), GRACE_S)
        self._code = await self._groups.stop(talk.process, GRACE_S)
        await talk.close()

    def fault(self) -> BodyError | None:
        """Why it does not answer any more; None if it did, until it was left."""
        if self._offence is not None or not self._has_broken_off:
            return self._offence
        if self._code == 127:
            return not_started(self._server, FileNotFoundError(2, "no such program"))
        return died(self._server, self._code, self.last_words())

    def has_exited(self) -> bool:
        """Whether it has ended, although that may not have been noticed yet."""
        if self._talk is None or not hasattr(os, "waitid"):
            return self._is_left
        try:
            return os.waitid(os.P_PID, self._talk.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def last_words(self) -> str:
        """What the program has printed that may tell what is wrong; empty if there is nothing."""
        words = self._errors[-_KEPT:].decode(errors="replace").strip()
        last = "\n".join(words.splitlines()[-10:])
        stray = f"it printed what is no message of the protocol: {' / '.join(self._stray)}"
        return joined([stray if self._stray else "", f"its last words:\n{last}" if last else ""])

    def _spawn(self) -> subprocess.Popen[bytes]:
        # Not all of our variables: they hold what is none of the server's business.
        env = {**get_default_environment(), **self._env}
        program = self._server.command[0]
        if "/" not in program and shutil.which(program, path=env.get("PATH", os.defpath)) is None:
            raise not_started(self._server, FileNotFoundError(2, "no such program"))
        try:
            return self._groups.spawn(self._server.command, stdin=True, env=env)
        except (OSError, ValueError) as error:
            raise not_started(self._server, error) from None

    # ------------------------------------------------------------------ what it says

    def hear(self, data: bytes) -> None:
        """Keep the end of what it says on its standard error."""
        self._errors += data
        if len(self._errors) > 2 * _KEPT:
            del self._errors[:-_KEPT]

    async def listen(self, incoming: asyncio.StreamReader, session: MemoryObjectSendStream[Any]) -> None:
        """Hand its messages over until it says no more."""
        try:
            while True:
                message = self._parsed(await incoming.readuntil(b"\n"))
                if message is not None:
                    await session.send(SessionMessage(message))
        except asyncio.LimitOverrunError:
            said = f"it sent a message of more than {MAX_MESSAGE:,} bytes, and was ended; ask it for less at once"
            self._offence = fault(self._server, "output too large", said, retryable=False)
        except _NonsenseError as error:
            said = f"{error}, and was ended; {self.last_words()}"
            self._offence = fault(self._server, "invalid output", said, "ValueError")
        except (asyncio.IncompleteReadError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # one of the two has ended
        finally:
            session.close()
            self.break_off()

    def break_off(self) -> None:
        """Nothing is heard of it any more."""
        self._has_broken_off |= not self._is_left
        self._gone.set()

    def _parsed(self, line: bytes) -> types.JSONRPCMessage | None:
        if not line.strip():
            return None
        try:
            return types.jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:  # what many print by mistake
            self._strays += 1
            self._stray.append(shortened(line[:200].decode(errors="replace")))
            if b'"jsonrpc"' in line:  # somebody waits for this one
                raise _NonsenseError("it sent a message that cannot be read") from None
            if self._strays > MAX_STRAY_LINES:
                raise _NonsenseError("it prints what is none of the protocol") from None
            return None

    async def ask(self, outgoing: _Outgoing, session: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Hand over what it is asked."""
        async for message in session:
            json = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            await outgoing.write(json.encode() + b"\n")


def _has_failed(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is not None


class _NonsenseError(Exception):
    """A program speaks, and not the protocol."""


class _Talk:
    """The pipes of a program, and the tasks that carry messages between them and the session."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._incoming: asyncio.BaseTransport | None = None
        self._outgoing: _Outgoing | None = None
        self._errors: list[PipeReader] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._streams: list[MemoryObjectSendStream[Any] | MemoryObjectReceiveStream[Any]] = []

    async def begin(self, program: Program) -> tuple[FromServer, ToServer]:
        loop = asyncio.get_running_loop()
        to_session, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
        self._streams += [to_session, from_server, to_server, from_session]
        reader = asyncio.StreamReader(limit=MAX_MESSAGE)
        self._incoming, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), cast("Any", self.process.stdout)
        )
        self._errors.append(await read_pipe(self.process.stderr, program.hear))

        def lose() -> None:
            to_session.close()
            program.break_off()

        self._outgoing = outgoing = _Outgoing(lose)
        await loop.connect_write_pipe(lambda: outgoing, cast("Any", self.process.stdin))
        self._tasks += [
            asyncio.create_task(program.listen(reader, to_session)),
            asyncio.create_task(program.ask(outgoing, from_session)),
        ]
        self._tasks[-1].add_done_callback(lambda task: lose() if _has_failed(task) else None)
        return from_server, to_server

    async def finish(self) -> None:
        """End its input, which asks it to end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._outgoing is not None:
            self._outgoing.end()

    async def close(self) -> None:
        await drain(self._errors, _DRAIN_S)
        if self._incoming is not None:
            self._incoming.close()
        if self._outgoing is not None:
            self._outgoing.abort()
        for stream in self._streams:
            stream.close()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:  # what had no transport yet has nobody else to close it
                pipe.close()


class _Outgoing(asyncio.BaseProtocol):
    """Writes into a pipe, as fast as it is read."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self._transport: asyncio.WriteTransport | None = None
        self._writable = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - that it is lost is enough
        self._transport = None
        self._writable.set()
        self._on_lost()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def write(self, data: bytes) -> None:
        await self._writable.wait()
        if self._transport is not None:
            self._transport.write(data)

    def end(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
