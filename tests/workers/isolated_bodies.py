"""Bodies that the tests of isolated jobs run."""

import os
import socket
import sys
from pathlib import Path
from threading import Event
from typing import Any

from clew.bodies.context import Context

calls: list[str] = []


def speaks(word: str, ctx: Context) -> dict[str, Any]:
    before = len(calls)
    calls.append(word)
    ctx.emit(word)
    print("printed")
    print("erred", file=sys.stderr)
    return {
        "said": word.upper(),
        "secret": ctx.secret("NAME"),
        "pid": os.getpid(),
        "before": before,
        "folder": str(Path.cwd()),
    }


def fails() -> None:
    raise ValueError("no")


def exits() -> None:
    os._exit(7)


def eats(size: int) -> int:
    eaten = []
    while len(eaten) << 20 < size:
        eaten.append(bytearray(os.urandom(1 << 10)) * (1 << 10))
    return len(eaten)


def hangs(ctx: Context) -> None:
    child = os.fork()
    if child == 0:
        os.setsid()
        Event().wait()
    ctx.emit([os.getpid(), child])
    Event().wait()


def writes(path: str) -> str:
    Path(path).write_text("x")
    return "written"


def connects(port: int) -> None:
    socket.create_connection(("127.0.0.1", port))
