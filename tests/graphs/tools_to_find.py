"""A module with tools, and a function that is none."""

from clew.graphs.tools import Tool, tool


@tool(effects="none", write=())
def marked(count: int) -> int:
    """Count."""
    return count


def plain(count: int) -> int:
    return count


made = Tool(name="made", description="Made by hand.", parameters={"type": "object"}, function=plain)
