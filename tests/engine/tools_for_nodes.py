"""Tools that the tests of tool nodes call; some in a process, which has to find them by name."""

import os
import threading
from typing import TypedDict

from clew import Context, tool


class Where(TypedDict):
    pid: int
    thread: str


@tool(effects="none", write=())
def where(path: str = "") -> Where:
    """Say where this runs."""
    return {"pid": os.getpid(), "thread": f"{threading.current_thread().name}{path}"}


@tool(effects="none", write=(), isolation="process")
def where_apart() -> Where:
    """Say where this runs."""
    return {"pid": os.getpid(), "thread": threading.current_thread().name}


@tool(effects="none", write=(), isolation="loop")
def where_in_loop() -> Where:
    """Say where this runs."""
    return {"pid": os.getpid(), "thread": threading.current_thread().name}


@tool(isolation="process")
def die() -> None:
    """End the process that this runs in."""
    os._exit(3)


@tool(isolation="process")
def hang() -> None:
    """Do not end."""
    threading.Event().wait()


@tool(isolation="process")
def refuse(path: str) -> str:
    """Read what may not be read."""
    raise PermissionError(13, "not allowed", path)


@tool
async def told(text: str, ctx: Context) -> str:
    """Say what was said, and where."""
    print("told", text)
    return f"{ctx.path}: {text}"


@tool
def exact(count: int, names: list[str] | None = None) -> int:
    """Count."""
    return count + len(names or [])
