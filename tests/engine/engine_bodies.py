"""Bodies that other processes must find by name."""

import os
import threading
from pathlib import Path

from clew import Context, node


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
