"""Bodies that other processes must find by name."""

import os
import threading
from pathlib import Path

from clew import Context, Happened, node


@node(timeout=60)
def in_process(x: int, ctx: Context) -> dict[str, int]:
    """Say where it runs, and something to those who look on."""
    print("hello from", x)
    ctx.progress(0.5, "half")
    ctx.emit({"x": x})
    return {"pid": os.getpid(), "x": x}


def hang_in_process(note: str) -> int:
    """Leave the process's number, then hang."""
    Path(note).write_text(str(os.getpid()))
    threading.Event().wait()
    return 1


def leaving_its_number(note: str) -> None:
    Path(note).write_text(str(os.getpid()))


@node(timeout=60)
def tell_secret(token: str) -> int:
    """Print a secret from another process."""
    print("the token is", token)
    return len(token)


@node(timeout=60)
def fail_with_secret(token: str) -> int:
    raise ValueError(f"bad token {token}")


@node(timeout=60)
def ask_for_step(ctx: Context) -> int:
    """Steps cannot be made from here."""
    return ctx.step("a", os.getpid)  # type: ignore[return-value]


async def double(x: int) -> int:
    return x * 2


async def total(xs: list[int]) -> int:
    return sum(xs)


async def numbers(n: int) -> list[int]:
    return list(range(n))


@node(timeout=60)
def ask_for_answer(ctx: Context) -> int:
    """Nor can anybody be asked."""
    return ctx.ask("Q")  # type: ignore[return-value]


@node(timeout=60)
def wait_for_message(ctx: Context) -> int:
    return ctx.receive("m")  # type: ignore[return-value]


def beats_then_hangs(note: str, beats: int, ctx: Context) -> None:
    """Leave the process's number, give signs of life for a while, then hang."""
    for _ in range(beats):
        threading.Event().wait(0.4)
        ctx.heartbeat()
    Path(note).write_text(f"{os.getpid()} beaten")
    threading.Event().wait()


def keeps_beating(how: str, ctx: Context) -> int:
    """Work for longer than it may be silent, and say so in some way."""
    signs = {
        "heartbeat": ctx.heartbeat,
        "print": lambda: print("alive"),
        "dots": lambda: print(".", end="", flush=True),
        "progress": lambda: ctx.progress(0.5),
    }
    for _ in range(6):
        threading.Event().wait(0.4)
        signs[how]()
    return os.getpid()


def writes_file(path: str, at_once: bool, ctx: Context) -> str:
    """Write a file, at once or never, and hang; the second time, write it and return."""
    begun = Path(f"{path}.begun")
    if begun.exists():
        return "written again"
    if at_once:
        Path(path).write_text("x")
    begun.write_text("x")
    ctx.progress(0.5)
    threading.Event().wait()
    return "never"


def looks_for_file(path: str) -> Happened[str] | None:
    return Happened("found") if Path(path).exists() else None
