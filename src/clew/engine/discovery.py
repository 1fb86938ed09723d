"""Ask servers which tools they have."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from clew.bodies import servers as client
from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups
from clew.engine.secrets import Secrets
from clew.errors import GraphError, ToolServerError
from clew.graphs.servers import Server, server_problems
from clew.graphs.tools import Tool, Tools


async def server_tools(*servers: Server, secrets: Mapping[str, str] | None = None) -> Tools:
    """The tools of servers that speak the Model Context Protocol, as a registry.

    They are called ``SERVER.TOOL``. The servers are started, or greeted, all at once, and left again: a node that
    calls a tool has its engine connect.

    Args:
        *servers: whom to ask.
        secrets: by name, for what refers to them by ``secret://NAME``; also looked for where an engine does.

    Raises:
        GraphError: a server is not described as it has to be; with all that is wrong.
        ToolServerError: a server does not come up, or is none; says which one, what, and what to do.
        UnknownSecretError: nobody knows a secret that a server is to be given.
        UnresolvedBodyError: the client library is not installed.
    """
    if problems := [
        ".".join((server.name or "(no name)", *where)) + f": {why}"
        for server in servers
        for where, why in server_problems(server)
    ]:
        raise GraphError(problems, "servers of tools")
    for server in servers:
        client.require(server.name)
    known = Secrets(secrets)
    groups = ProcessGroups()
    try:
        found = await asyncio.gather(*(_asked(each, known, groups) for each in servers), return_exceptions=True)
    finally:
        groups.close()
    for each in found:
        if isinstance(each, BodyError):
            raise ToolServerError(known.mask(each.info.message))
        if isinstance(each, BaseException):
            raise each
    return Tools(*(tool for tools in found if isinstance(tools, list) for tool in tools))


def ask_servers(*servers: Server, secrets: Mapping[str, str] | None = None) -> Tools:
    """`server_tools` for what is not asynchronous, such as the reading of a file; it may be called in a loop.

    Raises:
        GraphError, ToolServerError, UnknownSecretError, UnresolvedBodyError: as `server_tools`.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="clew-servers") as thread:
        return thread.submit(lambda: asyncio.run(server_tools(*servers, secrets=secrets))).result()


async def _asked(server: Server, secrets: Secrets, groups: ProcessGroups) -> list[Tool]:
    from clew.bodies.servers.listing import tool_at  # noqa: PLC0415 - what they import is an extra, and large
    from clew.bodies.servers.session import Session  # noqa: PLC0415

    session = Session(server, secrets.filled, groups)
    try:
        return [tool_at(server, told) for told in await session.tools()]
    finally:
        await session.close()
