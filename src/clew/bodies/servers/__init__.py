"""Servers of tools that speak the Model Context Protocol, through its official client library.

That library is an extra, and loading it takes most of a second: the modules in here import it, and are imported by
whoever has to do with a server, when he has. `require` comes first.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec

from clew.errors import UnresolvedBodyError

#: What the library logs is told by errors, too; it is shown by nobody who does not ask for it.
logging.getLogger("mcp").addHandler(logging.NullHandler())


def require(server: str) -> None:
    """See to it that the client library is there.

    Args:
        server: the name of the server that is to be asked.

    Raises:
        UnresolvedBodyError: it is not; says how it is installed.
    """
    if problem := missing(server):
        raise UnresolvedBodyError(problem)


def missing(server: str) -> str:
    """Why a server cannot be asked in this environment; empty if it can."""
    if find_spec("mcp") is not None and find_spec("mcp_types") is not None:  # its first edition has no mcp_types
        return ""
    return f"server {server}: the client library of its protocol is not installed: pip install 'clew[mcp]'"
