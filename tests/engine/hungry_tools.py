"""Tools that want too much; they run in processes, which find them by name."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

from clew import tool

#: Runs for much longer than any test; the argument tells whose it is.
SLEEPER = "import sys, threading; threading.Event().wait(float(sys.argv[1]))"


@tool(effects="none", limits={"memory_bytes": "150MB"})
def eat_memory(size: int, hold_s: float = 0.0) -> int:
    """Fill memory."""
    held = bytearray(size)
    held[::4096] = b"x" * len(held[::4096])
    Event().wait(hold_s)
    return len(held)


@tool(effects="none", limits={"cpu_s": 0.5})
def burn(seconds: float) -> float:
    """Use processor time."""
    while time.process_time() < seconds:
        pass
    return seconds


@tool(effects="none", limits={"processes": 20}, shell=True)
def fork_bomb(mark: str) -> str:
    """Start ever more processes that leave their session."""
    for _ in range(200):
        subprocess.Popen([sys.executable, "-c", SLEEPER, mark], start_new_session=True)
        Event().wait(0.01)
    return "survived"


@tool(effects="none", limits={"disk_bytes": "5MB"})
def fill_disk(path: str) -> int:
    """Write until it is enough."""
    with Path(path).open("wb") as file:
        for _ in range(10_000):
            file.write(b"x" * 100_000)
            file.flush()
            Event().wait(0.002)
    return 1


@tool(effects="none", limits={"wall_s": 0.3}, shell=True)
def ignore_everything(mark: str) -> None:
    """Hang, with a child of another session, and take no notice of being asked to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", SLEEPER, mark], start_new_session=True)
    Event().wait()


@tool(effects="none", isolation="process")
def die_by(number: int) -> None:
    """End by a signal."""
    os.kill(os.getpid(), number)


@tool(effects="none", isolation="process")
def print_much(size: int) -> int:
    """Print."""
    line = "x" * 99 + "\n"
    for _ in range(size // 100):
        sys.stdout.write(line)
    return size


@tool(effects="none", isolation="process")
def write_to(path: str, text: str) -> int:
    """Write a file."""
    return Path(path).write_text(text)


@tool(effects="none", isolation="process")
def read_from(path: str) -> str:
    """Read a file."""
    return Path(path).read_text()


@tool(effects="none", isolation="process", network=None)
def connect(port: int, times: int = 1) -> int:
    """Connect to a port of this machine."""
    for _ in range(times):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    return times


@tool(effects="none", isolation="process")
def start_program() -> str:
    """Start a program, which this may not."""
    return subprocess.run(["true"], check=True, capture_output=True, text=True).stdout


@tool(effects="none")
def nothing() -> int:
    """Do nothing."""
    return 1


@tool(effects="idempotent")
def make(path: str) -> str:
    """Make a file."""
    Path(path).write_text("made")
    return path


@tool(effects="idempotent")
def unmake(path: str) -> None:
    """Remove a file, however often."""
    Path(path).unlink(missing_ok=True)


@tool(effects="idempotent")
def refuse_to_undo(path: str) -> None:
    """Fail to undo."""
    raise PermissionError(f"{path} is not given back")
