"""The tools that the steps of a plan may call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from types import ModuleType
from typing import Any

from clew.graphs.tools import Tool, Tools

#: Has the tools that come with Clew: named, not imported, like the modules of users.
_BUILTIN = "clew.bodies.tools"

Given = Tools | Iterable[Tool | Callable[..., Any] | ModuleType]


def builtin() -> Tools:
    """A new registry of the tools that come with Clew."""
    made: Tools = import_module(_BUILTIN).builtin()
    return made


def tools_for(given: Given | None) -> Tools:
    """The registry of a plan: the one that is given, or what is given besides the tools that come with Clew.

    Raises:
        InvalidInputError: two tools have the same name, or something is no tool.
    """
    if isinstance(given, Tools):
        return given
    tools = builtin()
    for each in given or ():
        if isinstance(each, ModuleType):
            tools.add_module(each)
        else:
            tools.add(each)
    return tools
