"""Tools that come with Clew; `clew.bodies.tools.builtin()` is a registry of all of them."""

from __future__ import annotations

from clew.graphs.tools import Tools


def builtin() -> Tools:
    """A new registry of the tools that come with Clew."""
    from clew.bodies.tools import files, programs, web  # noqa: PLC0415 -- only where tools are used

    tools = Tools()
    for module in (files, programs, web):
        tools.add_module(module)
    return tools
