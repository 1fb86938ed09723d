"""A session with a server, owned by one task for as long as it is open."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, nullcontext
from contextvars import Context
from importlib.metadata import version
from typing import Any, cast

import mcp_types as types
from mcp import Client, MCPError
from mcp.client import IncomingMessage
from pydantic import ValidationError

from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups, unbroken
from clew.bodies.servers.faults import fault, joined, nonsense, refusal, shortened, unexpected
from clew.bodies.servers.listing import disarm
from clew.bodies.servers.piping import GRACE_S, Program
from clew.bodies.servers.requesting import Answer, HttpSender, at_url, listen
from clew.bodies.servers.results import output_of, texts_of
from clew.errors import ClewError
from clew.graphs.names import did_you_mean
from clew.graphs.servers import Server

#: Tools of one server.
MAX_TOOLS = 10_000
#: Within so many seconds a session is over that is to be.
_CLOSING_S = 4 * GRACE_S
#: A server that does not take in, for so many seconds, that a call is cancelled is given up.
_HEARING_S = 1.0
#: Gives text with its ``secret://NAME`` replaced.
Fill = Callable[[str], str]
#: Takes how far a call is: from 0 to 1, and a message.
OnProgress = Callable[[float, str], None]


class GoneError(Exception):
    """The session was over before the server has taken a request: it can be made in another one.

    Args:
        reason: what to tell if that is of no use.
    """

    def __init__(self, reason: ClewError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Session:
    """A session with a server. It begins to open when it is made; `close` it in the end.

    Args:
        server: with whom.
        fill: gives secrets.
        groups: starts and ends programs.

    Attributes:
        calls: how many are under way.
    """

    def __init__(self, server: Server, fill: Fill, groups: ProcessGroups) -> None:
        self.calls = 0
        self._server = server
        self._fill = fill
        self._groups = groups
        self._program: Program | None = None
        self._client: Client | None = None
        self._tools: dict[str, types.Tool] = {}
        self._is_stale = False
        self._over = asyncio.Event()
        self._failure: ClewError | None = None
        self._opening = asyncio.Event()
        # What the library opens it has to close in the same task; and what that task prints is no body's output.
        self._owner = asyncio.create_task(self._own(), name=f"session with {server.name}", context=Context())

    @property
    def is_over(self) -> bool:
        """Whether nothing can be asked in it any more."""
        return self._over.is_set() or self._owner.done()

    async def close(self) -> None:
        """End it, with the program if there is one."""
        self._over.set()
        if self._opening.is_set():
            await asyncio.wait([self._owner], timeout=_CLOSING_S)
        if not self._owner.done():
            self._owner.cancel()
            await asyncio.wait([self._owner])

    async def tools(self) -> list[types.Tool]:
        """The tools of the server.

        Raises:
            BodyError: the server does not come up, or speaks nonsense; says which one, what, and what to do.
            UnknownSecretError: nobody knows a secret that it is to be given.
        """
        await self._opened()
        return [*self._tools.values()]

    async def call(
        self, name: str, arguments: dict[str, Any], on_begin: Callable[[], None], on_progress: OnProgress
    ) -> Any:
        """What a tool returns; see `results`.

        Args:
            name: of the tool, as the server has it.
            arguments: by name, plain data.
            on_begin: is called when the server is there and is about to be asked.
            on_progress: is told what the server tells.

        Raises:
            BodyError: the server does not come up, refuses or dies; or the tool has failed.
            GoneError: the session was over before the call.
            UnknownSecretError: nobody knows a secret that the server is to be given.
        """
        self.calls += 1
        try:
            client = await self._opened()
            await self._find(client, name)
            on_begin()
            return await self._call(client, name, arguments, on_progress)
        finally:
            self.calls -= 1

    # ------------------------------------------------------------------ the owner

    async def _own(self) -> None:
        answer = listen()
        error: Exception | None = None
        try:
            async with AsyncExitStack() as stack:
                streams = await self._reach(stack)
                async with asyncio.timeout(self._server.connect_s):
                    client = await self._greet(stack, streams)
                    self._tools = await self._list(client)
                if self._program is not None:
                    self._program.is_greeted = True
                self._client = client
                self._opening.set()
                await self._over.wait()
        except Exception as raised:
            error = raised
        finally:
            # The program has been left, so that it is known how it has ended.
            self._failure = self._explained(error, answer)
            self._over.set()
            self._opening.set()

    async def _reach(self, stack: AsyncExitStack) -> Any:
        """The streams to and from the server."""
        if self._server.command:
            env = {name: self._fill(text) for name, text in self._server.env.items()}
            self._program = Program(self._server, env, self._groups, self._over)
            return await stack.enter_async_context(self._program)
        headers = {name: self._fill(text) for name, text in self._server.headers.items()}
        sender = await stack.enter_async_context(HttpSender(self._server, headers))
        return await stack.enter_async_context(at_url(self._server, sender))

    async def _greet(self, stack: AsyncExitStack, streams: Any) -> Client:
        client = Client(
            nullcontext(streams),  # left by the stack, where no time limit cuts it off
            client_info=types.Implementation(name="clew", version=version("clew")),
            message_handler=self._hear,
            cache=None,
        )
        return await stack.enter_async_context(client)

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._is_stale = True

    async def _list(self, client: Client) -> dict[str, types.Tool]:
        """All tools, page by page."""
        if client.server_capabilities.tools is None:
            raise fault(self._server, "tool not found", "it has no tools", retryable=False)
        found: dict[str, types.Tool] = {}
        cursors: set[str] = set()
        cursor: str | None = None
        while True:
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools:
                disarm(tool.input_schema)
                disarm(tool.output_schema)
                found[tool.name] = tool
            cursor = page.next_cursor
            if cursor is None:
                return found
            if cursor in cursors or not page.tools or len(found) > MAX_TOOLS:
                said = f"its list of tools does not end ({len(found):,} tools in {len(cursors) + 1:,} pages)"
                raise fault(self._server, "invalid output", said, retryable=False)
            cursors.add(cursor)

    # ------------------------------------------------------------------ calls

    async def _opened(self) -> Client:
        await self._opening.wait()
        if self._client is None:
            raise self._failure or self._closed()
        if self.is_over or (self._program is not None and self._program.has_exited()):
            self._over.set()
            raise GoneError(self._closed())
        return self._client

    async def _find(self, client: Client, name: str) -> None:
        """See to it that the server has a tool, and the library its schemas."""
        if name in self._tools and not self._is_stale:
            return
        self._is_stale = False
        answer = listen()
        try:
            async with asyncio.timeout(self._server.connect_s):
                self._tools = await self._list(client)
        except Exception as error:
            raise await self._reason(error, answer) from None
        if name not in self._tools:
            hint = did_you_mean(name, self._tools)
            raise fault(self._server, "tool not found", f"it has no tool {name!r}{hint}", retryable=False)

    async def _call(self, client: Client, name: str, arguments: dict[str, Any], on_progress: OnProgress) -> Any:
        async def tell(progress: float, total: float | None, message: str | None) -> None:
            if math.isfinite(progress):
                on_progress(
                    progress / total if total else 0.0, shortened(message or ("" if total else f"{progress:g}"))
                )

        answer = listen()
        try:
            result = await self._until_told(client.call_tool(name, arguments, progress_callback=tell))
        except Exception as error:
            raise await self._reason(error, answer) from None
        if result.is_error:
            said = shortened("\n".join(texts_of(result))) or "it says no more"
            raise fault(self._server, "tool failed", f"{name}: {said}", "ToolError")
        return output_of(result)

    async def _until_told(self, calling: Coroutine[Any, Any, types.CallToolResult]) -> types.CallToolResult:
        """Await a call; if that is cancelled, the server is told, and given up if it does not even hear that."""
        task = asyncio.create_task(calling)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            await unbroken(self._stop(task))
            raise
        return task.result()

    async def _stop(self, task: asyncio.Task[types.CallToolResult]) -> None:
        task.cancel()
        await asyncio.wait([task], timeout=_HEARING_S)
        if not task.done():
            self._over.set()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it does not matter any more

    async def _reason(self, error: Exception, answer: Answer) -> Exception:
        """Why a request failed."""
        told = self._explained(error, answer)
        if answer.status == 404 and told is not None:
            self._over.set()  # the server has forgotten the session, and done nothing
            return GoneError(told)
        if isinstance(error, MCPError) and error.code == types.CONNECTION_CLOSED and self.is_over:
            await asyncio.wait([self._owner])
            return self._failure or self._closed()
        return told or error

    def _explained(self, error: Exception | None, answer: Answer) -> ClewError | None:
        """What an error of the library, or the end of the session without one, means."""
        while isinstance(error, ExceptionGroup):
            error = cast("Exception", error.exceptions[0])
        below = self._program.fault() if self._program is not None else answer.fault(self._server)
        match error:
            case None:
                return below if self._program is not None else None
            case ClewError():
                return error
            case TimeoutError():
                return self._too_slow(below)
            case _ if below is not None:
                return below
            case MCPError():
                return refusal(self._server, error, greeted=self._client is not None)
            case ValidationError() | RuntimeError():
                return nonsense(self._server, error)
            case _:
                return unexpected(self._server, error)

    def _too_slow(self, below: BodyError | None) -> BodyError:
        words = self._program.last_words() if self._program is not None else ""
        if not words and below is not None:
            words = below.info.message
        said = f"it has not come up within {self._server.connect_s:g} s (connect_s); is it a server of tools?"
        return fault(self._server, "timeout", joined([said, words]), "TimeoutError")

    def _closed(self) -> BodyError:
        return fault(self._server, "network", "the connection was closed", "ConnectionError", "OSError")
