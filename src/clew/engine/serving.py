"""Calls of tools of servers: connections kept for the engine, secrets filled in where they are made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from clew import codec
from clew.bodies import servers
from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups
from clew.engine.jobs import Input, Job, plain_texts
from clew.engine.secrets import Secrets
from clew.errors import ToolServerError
from clew.graphs.arguments import argument_problems
from clew.graphs.body_data import ToolBody
from clew.graphs.functions_of import unasked_calls
from clew.graphs.names import did_you_mean
from clew.kernel.definition import GraphSpec

if TYPE_CHECKING:
    from clew.bodies.servers.pool import Servers


class RemoteCalls:
    """Calls tools of servers. One for an engine.

    Args:
        groups: starts and ends servers that are programs; `close` this before it.
        secrets: what ``secret://NAME`` in variables and headers stands for.
    """

    def __init__(self, groups: ProcessGroups, secrets: Secrets) -> None:
        self._groups = groups
        self._secrets = secrets
        self._servers: Servers | None = None

    async def __call__(self, job: Job, call: ToolBody, given: dict[str, Input]) -> bytes:
        """What a tool of a server returns, as JSON text.

        Args:
            job: the attempt.
            call: the tool, which has a server.
            given: its arguments, which fit.

        Raises:
            BodyError: the server does not come up, refuses or dies; or the tool has failed.
            UnresolvedBodyError: the client library is not installed.
        """
        assert call.server is not None
        arguments: dict[str, Any] = {name: codec.decode(json) for name, json in plain_texts(given).items()}
        pool = self._pool(call.server.name)
        context = job.context()

        def begin() -> None:
            if job.heartbeat is not None:
                job.heartbeat.begin()

        def tell(fraction: float, message: str) -> None:
            context.progress(fraction if math.isfinite(fraction) else 0.0, message)

        return codec.encode(await pool.call(call.server, call.remote or call.name, arguments, begin, tell))

    async def problems(self, spec: GraphSpec) -> list[str]:
        """What is wrong with the calls of tools that no server was asked about when the graph was written.

        Raises:
            ToolServerError: a server does not come up, or is none; says which one, what, and what to do.
            UnknownSecretError: nobody knows a secret that it is to be given.
        """
        found: list[str] = []
        for where, call, inputs in unasked_calls(spec):
            assert call.server is not None
            try:
                told = await self._pool(call.server.name).tools(call.server)
            except BodyError as error:
                raise ToolServerError(self._secrets.mask(error.info.message)) from None
            tool = next((each for each in told if each.remote == (call.remote or call.name)), None)
            if tool is None:
                has = did_you_mean(call.name, [each.name for each in told])
                found.append(f"node {where}: the server {call.server.name} has no tool {call.name!r}{has}")
                continue
            for name, sentence in argument_problems(tool.parameters, inputs):
                found.append(f"node {where}, {name}: {sentence}" if name else f"node {where}: {sentence}")
        return found

    async def close(self) -> None:
        """End all connections, and the servers that were started for them."""
        if self._servers is not None:
            await self._servers.close()

    def _pool(self, name: str) -> Servers:
        if self._servers is None:
            servers.require(name)
            from clew.bodies.servers.pool import Servers  # noqa: PLC0415 - what it imports is an extra, and large

            self._servers = Servers(self._secrets.filled, self._groups)
        return self._servers
