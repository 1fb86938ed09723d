"""Bodies that the tests of the process pool run in its processes."""

import ctypes
import dataclasses
import logging
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from clew.bodies.context import Context

started = time.perf_counter_ns()  # when the module was imported


@dataclasses.dataclass
class Page:
    title: str
    size: int = 0


def page(page: Page) -> Page:
    return Page(page.title.upper(), page.size + 1)


def default(value: int = 7, *, other: str | None = "x") -> list[Any]:
    return [value, other]


def identity() -> list[int]:
    return [os.getpid(), started]


def context(ctx: Context) -> dict[str, Any]:
    ctx.progress(0.25, "a quarter \ud800")
    ctx.emit({"token": 1})
    ctx.log("a line")
    logging.getLogger("w").info("informed")
    return {
        "run": ctx.run_id,
        "path": ctx.path,
        "attempt": ctx.attempt,
        "key": ctx.idempotency_key,
        "failed": {name: error.type for name, error in ctx.failed_upstream.items()},
        "secret": ctx.secret("NAME"),
    }


def no_secret(ctx: Context) -> str:
    return ctx.secret("NONE")


def step(ctx: Context) -> None:
    ctx.step("pay", print)


def sleep(ctx: Context) -> None:
    ctx.sleep(5)


def emits_a_set(ctx: Context) -> None:
    ctx.emit({1})


async def asynchronous() -> None: ...


def prints() -> None:
    sys.stdout.write("no end yet, ")
    sys.stdout.flush()
    subprocess.run([sys.executable, "-c", "print('from a program')"], check=True)
    print("oh", file=sys.stderr)
    ctypes.CDLL(None).printf(b"from native code\n")
    os.write(1, b"bytes \xff\0 and\n")
    print("last words", end="")


def prints_a_lot(lines: int) -> None:
    line = "x" * 99 + "\n"
    for number in range(lines // 1000):
        sys.stdout.write(f"{number:99}\n" + line * 999)


def fails() -> None:
    raise ConnectionResetError("gone\n" + "x" * 100_000)


def returns(what: str) -> Any:
    return {"set": {1}, "huge": "x" * 20_000_000, "none": None}[what]


def ends(how: str) -> None:
    print("before the end", flush=True)
    match how:
        case "exit":
            os._exit(7)
        case "sys.exit":
            sys.exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            ctypes.string_at(0)
        case "nonsense" | "too much":
            for number in range(3, 256):
                with suppress(OSError):
                    if stat.S_ISSOCK(os.fstat(number).st_mode):
                        os.write(number, (b"\xff" if how == "too much" else b"\0") * 7 + b"\1" + b"?")
            Event().wait()


def interrupts_itself() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "still here"


def holds(fifo: str, ctx: Context) -> None:
    """Hang, with a program that hangs, too; all of them hold the pipe."""
    held = Path(fifo).open("w")  # noqa: SIM115
    command = "trap '' TERM HUP INT; while :; do sleep 1000; done"
    program = subprocess.Popen(["sh", "-c", command], pass_fds=(held.fileno(),))
    ctx.emit([os.getpid(), program.pid])
    Event().wait()


def disturbs() -> None:
    os.environ["W_DISTURBED"] = "yes"
    os.chdir("/")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.close(2)
    sys.stdout = None  # type: ignore[assignment]


def disturbed() -> list[Any]:
    print("heard")
    print("heard, too", file=sys.stderr)
    return [os.environ.get("W_DISTURBED"), str(Path.cwd())]


late = Event()


def leaves_a_thread(ctx: Context) -> None:
    def later() -> None:
        late.wait()
        ctx.emit("too late")
        late.clear()

    Thread(target=later, daemon=True).start()


def wakes_the_thread() -> None:
    late.set()
    while late.is_set():
        os.sched_yield()
