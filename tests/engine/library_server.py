"""A server of tools made with the official library; run as a program it speaks on its standard streams."""

import asyncio
import os
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp_types import CallToolResult, TextContent, ToolAnnotations

server = MCPServer("library")


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
def add(a: int, b: int = 1) -> dict[str, int]:
    """Add two numbers."""
    return {"sum": a + b}


@server.tool(annotations=ToolAnnotations(idempotent_hint=True), structured_output=False)
def say(text: str) -> str:
    """Say something."""
    return text


@server.tool(structured_output=False)
def draw() -> list[Any]:
    """Draw a picture, with a word about it."""
    return ["a dot", Image(data=b"dot", format="png")]


@server.tool()
def wrapped(count: int) -> list[int]:
    """Count."""
    return [*range(count)]


@server.tool(structured_output=False)
def nothing() -> None:
    """Do nothing."""


@server.tool()
def refuse(why: str) -> str:
    """Fail."""
    raise ValueError(why)


@server.tool()
def untrue() -> CallToolResult:
    """Return something else than was said."""
    return CallToolResult(content=[TextContent(type="text", text="none")], structured_content={"other": "none"})


@server.tool()
def variables(names: list[str]) -> dict[str, str]:
    """Tell what is in the environment."""
    return {name: os.environ.get(name, "") for name in names}


@server.tool()
def process() -> dict[str, int]:
    """Tell who this is."""
    return {"pid": os.getpid()}


@server.tool()
async def slow(ctx: Context, folder: str) -> str:
    """Tell how far it is, and wait to be cancelled; of which a file tells."""
    Path(folder, "begun").touch()
    await ctx.report_progress(1, 4, "a quarter")
    try:
        await asyncio.Event().wait()
    except BaseException:
        Path(folder, "cancelled").touch()
        raise
    return "never"


if __name__ == "__main__":
    server.run("stdio")
