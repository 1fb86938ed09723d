"""Tools that are called by nodes."""

from typing import Literal, TypedDict

from clew import Context, tool


class Size(TypedDict):
    width: int
    height: int


def would_draw(name: str, size: Size, kind: str = "png", copies: int = 1) -> str:
    return f"would draw {name} {size} {kind} {copies}"


@tool(dry_run=would_draw)
def draw(name: str, size: Size, kind: Literal["png", "svg"] = "png", copies: int = 1) -> str:
    """Draw a picture."""
    return f"{name}.{kind} {size['width']}x{size['height']} {copies}"


@tool(effects="none", write=())
def look(name: str) -> int:
    """Look at a picture."""
    return len(name)


@tool(write=(), network=["example.com"])
async def ask_server(url: str) -> dict[str, str]:
    """Ask a server."""
    return {"url": url}


@tool(effects="idempotent")
def put(name: str) -> str:
    """Put a picture somewhere."""
    return name


@tool(isolation="process")
def apart(name: str, ctx: Context) -> str:
    """Work in a process."""
    return f"{name} {ctx.path}"


@tool
def many(first: str, **more: str) -> dict[str, str]:
    """Take many."""
    return {"first": first, **more}
