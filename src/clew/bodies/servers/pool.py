"""The sessions that an engine keeps open: one for each server, for all calls, until the engine is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from clew.bodies.groups import ProcessGroups
from clew.bodies.servers.listing import tool_at
from clew.bodies.servers.session import Fill, GoneError, OnProgress, Session
from clew.errors import ClewError
from clew.graphs.servers import Server
from clew.graphs.tools import Tool

#: Sessions that are kept open although nothing is asked in them.
KEPT = 32
#: Sessions in which a call is tried when each is over before the server has taken it.
_TRIES = 3


class Servers:
    """Calls tools of servers. One for an engine; used in one loop. `close` it before `groups`.

    Args:
        fill: gives secrets.
        groups: starts and ends programs.
    """

    def __init__(self, fill: Fill, groups: ProcessGroups) -> None:
        self._fill = fill
        self._groups = groups
        #: By what the server is; those that were used last come last.
        self._sessions: dict[bytes, Session] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def call(
        self,
        server: Server,
        name: str,
        arguments: dict[str, Any],
        on_begin: Callable[[], None],
        on_progress: OnProgress,
    ) -> Any:
        """What a tool of a server returns; see `Session.call`.

        A server that is not there any more is started, or greeted, anew. A call during which it dies is not made
        again: nobody knows how far it has come.

        Raises:
            BodyError: the server does not come up, refuses or dies; or the tool has failed.
            UnknownSecretError: nobody knows a secret that the server is to be given.
        """
        reason: ClewError | None = None
        for _ in range(_TRIES):
            try:
                return await self._session(server).call(name, arguments, on_begin, on_progress)
            except GoneError as gone:
                reason = gone.reason
        assert reason is not None
        raise reason

    async def tools(self, server: Server) -> list[Tool]:
        """The tools of a server, over the connection that calls use.

        Raises:
            BodyError, UnknownSecretError: as `Session.tools`.
        """
        return [tool_at(server, told) for told in await self._session(server).tools()]

    async def close(self) -> None:
        """End all sessions, and the programs that were started for them."""
        sessions = [*self._sessions.values()]
        self._sessions.clear()
        await asyncio.gather(*(session.close() for session in sessions), *self._closing)

    def _session(self, server: Server) -> Session:
        key = msgspec.json.encode(server, order="deterministic")
        session = self._sessions.pop(key, None)
        if session is None or session.is_over:
            if session is not None:
                self._close_later(session)
            session = Session(server, self._fill, self._groups)
        self._sessions[key] = session
        self._forget_idle()
        return session

    def _forget_idle(self) -> None:
        """Close sessions that were not used for the longest time, if there are too many."""
        spare = len(self._sessions) - KEPT
        last = next(reversed(self._sessions))
        idle = [key for key, session in self._sessions.items() if not session.calls and key != last]
        for key in idle[: max(0, spare)]:
            self._close_later(self._sessions.pop(key))

    def _close_later(self, session: Session) -> None:
        closing = asyncio.create_task(session.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
