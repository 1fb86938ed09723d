"""Servers of tools in files: those of a plan, or a file of servers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from clew.errors import GraphError
from clew.graphs.documents import Document, Keys
from clew.graphs.permissions import Permissions
from clew.graphs.reading import read
from clew.graphs.servers import Server, read_servers
from clew.graphs.tools import Tool

#: Under which key servers stand in a file; the second is that of other programs.
_KEYS = ("servers", "mcpServers")


def servers_in(document: Document, keys: Keys, given: object) -> tuple[dict[str, Server], list[str]]:
    """Servers that stand in a file.

    Args:
        document: the file.
        keys: where in it.
        given: what stands there.

    Returns:
        Those with which nothing is wrong, by name; and what is wrong with the others, with its place in the file.
    """
    servers, problems = read_servers(given)
    told = [
        document.place((*keys, *where)).before(f"{'.'.join(map(str, (*keys, *where)))}: {why}")
        for where, why in problems
    ]
    return servers, told


def tool_unasked(servers: Mapping[str, Server], name: str) -> Tool | None:
    """The tool ``SERVER.TOOL`` of one of these servers, without asking it; None if there is no such server.

    Whether it is there, and what it takes, is asked when a run starts.
    """
    server, dot, remote = name.partition(".")
    if not dot or not remote or server not in servers:
        return None
    everything = Permissions(network=None, shell=True)  # noqa: S604 - nothing is called
    return Tool(name=name, server=servers[server], remote=remote, ask_first=True, permissions=everything)


def load_servers(file: str | Path) -> list[Server]:
    """The servers of a file (YAML, TOML or JSON) that has them under ``servers`` or ``mcpServers``.

    Raises:
        GraphError: the file cannot be read, or a server in it is not described well; with all that is wrong.
    """
    path = Path(file)
    document = read(path)
    data: Any = document.data
    top = cast("dict[Any, Any]", data) if isinstance(data, dict) else {}
    key = next((each for each in _KEYS if each in top), None)
    if key is None:
        raise GraphError([document.place(()).before("there is no mapping 'servers' in it")], path.name)
    servers, problems = servers_in(document, (key,), top[key])
    if found := document.problems + problems:
        raise GraphError(found, path.name)
    return [*servers.values()]
