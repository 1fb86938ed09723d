"""What a plan grants its steps, and what of that a step's tool is left with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from clew.graphs.permissions import PLACES, Permissions, excess, listed_places, permissions_of
from clew.graphs.tools import Tool

#: A plan that says nothing grants everything.
EVERYTHING = Permissions(read=None, write=None, network=None, shell=True)  # noqa: S604 -- starts nothing


def grants_of(given: Permissions | Mapping[str, Any]) -> Permissions:
    """What a plan grants, as it was written; what is not named is granted.

    Raises:
        InvalidInputError: there is no such permission, or it cannot be that.
    """
    return given if isinstance(given, Permissions) else permissions_of(given, EVERYTHING)


def granted(tool: Tool, grants: Permissions | None) -> tuple[Tool, list[tuple[str, str]]]:
    """A tool with no more rights than a plan grants, and what it needs that the plan does not grant.

    A tool that may do everything of a kind is held to what the plan grants of it; if it names places, it needs
    them. A tool of a server cannot be held to anything.
    """
    if grants is None:
        return tool, []
    less: dict[str, Any] = {
        name: getattr(grants, name)
        for name in PLACES
        if getattr(tool.permissions, name) is None and getattr(grants, name) is not None and tool.server is None
    }
    asked = msgspec.structs.replace(tool.permissions, **less)
    problems = [(field, _told(tool, field, place, grants)) for field, place in excess(grants, asked)]
    if problems or not less:
        return tool, problems
    return tool.within(**less), []


def _told(tool: Tool, field: str, place: str, grants: Permissions) -> str:
    if field == "shell":
        return f"the tool {tool.name} starts programs, which the plan does not grant; add shell to its permissions"
    some = listed_places(getattr(grants, field))
    what = "connect to" if field == "network" else field
    if tool.server is not None:
        return f"the tool {tool.name} of a server may {what} {place}, and the plan grants {some}; grant it"
    return (
        f"the tool {tool.name} may {what} {place}, and the plan grants {some}; narrow it in the step by {field}, "
        f"or grant it"
    )
