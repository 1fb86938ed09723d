"""Tools that return at once; apart from what measures them, because a process that calls one imports this."""

from __future__ import annotations

from clew.graphs.tools import tool


@tool(effects="none", isolation="loop")
def in_loop(number: int) -> int:
    """Return at once, in the loop."""
    return number


@tool(effects="none")
def in_thread(number: int) -> int:
    """Return at once, in a thread."""
    return number


@tool(effects="none", isolation="process", network=None, shell=True)  # noqa: S604 - it may start programs
def in_process(number: int) -> int:
    """Return at once, in a process of its own."""
    return number
