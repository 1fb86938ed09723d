"""The program as a process: signals, sudden death, pipes, and a real terminal. Nothing here waits for time."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Write = Callable[[str], str]

#: Items wait for the file `go`; three of them are under way at once.
GATED = """
import asyncio, os

async def items() -> list[int]:
    return list(range(9))

async def gated(n: int, ctx=None) -> int:
    with open("starts", "a") as file:
        print(n, file=file)
    print("item", n, "is under way")
    while n > 2 and not os.path.exists("go"):
        await asyncio.sleep(0.01)
    return n

async def total(ns: list[int]) -> int:
    return sum(ns)

g = Graph("gated", max_concurrency=3)
g.returns(g.add(total, g.map(gated, over=g.add(items))))
"""

PROGRAM = [sys.executable, "-c", "from clew.cli.main import main; main()"]


class Process:
    """A `clew` process whose lines are waited for."""

    def __init__(self, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []

    def wait_for(self, text: str, times: int = 1) -> str:
        """Read on until a line with `text` has come so many times."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))
            times -= text in line
            if times == 0:
                return self.lines[-1]
        raise AssertionError(f"{text!r} did not come in:\n" + "\n".join(self.lines))

    def end(self, signal_number: int | None = None) -> int:
        """Send a signal, if any, and wait for the end; the exit code."""
        if signal_number is not None:
            self.popen.send_signal(signal_number)
        assert self.popen.stdout is not None
        self.lines += self.popen.stdout.read().splitlines()
        return self.popen.wait(30)


@pytest.fixture
def clew() -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []

    def start(*arguments: str) -> Process:
        processes.append(Process(*arguments))
        return processes[-1]

    yield start
    for process in processes:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait()
        assert process.popen.stdout is not None
        process.popen.stdout.close()


def started() -> list[int]:
    return [int(line) for line in Path("starts").read_text().split()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_lets_what_is_under_way_finish(clew, graph_file: Write, number: int, code: int) -> None:
    graph = graph_file(GATED)
    process = clew("run", graph, "--id", "g", "--tee", "--db", "r.db")
    process.wait_for("item 5 is under way")
    process.popen.send_signal(number)
    process.wait_for("stopping: nothing new starts, 3 attempts under way may finish; Ctrl-C again ends them now")
    Path("go").touch()
    assert process.end() == code
    assert process.lines[-2:] == [
        "run g stopped: 7 of 11 nodes are done and are kept",
        "to go on: clew resume g --db r.db",
    ]
    resumed = clew("resume", "g", "--db", "r.db")
    resumed.wait_for("run g goes on: 7 of 11 nodes were done already and are kept")
    assert resumed.end() == 0
    assert "result: 36" in resumed.lines
    assert sorted(started()) == [*range(9)]  # nothing was interrupted, nothing made twice


def test_the_second_signal_ends_it_at_once(clew, graph_file: Write) -> None:
    graph = graph_file(GATED)
    process = clew("run", graph, "--id", "g", "--tee")
    process.wait_for("item 5 is under way")
    process.popen.send_signal(signal.SIGINT)
    process.wait_for("stopping: ")
    assert process.end(signal.SIGINT) == 130
    assert process.lines[-2:] == [
        "run g ended at once; what was under way counts as interrupted",
        "to go on: clew resume g",
    ]
    Path("go").touch()
    again = clew("run", graph, "--id", "g")
    first = again.wait_for("goes on")
    assert first == (
        "run g goes on: 4 of 11 nodes were done already and are kept; 3 attempts were under way and are made again"
    )
    assert again.end() == 0
    assert sorted(started()) == sorted([*range(9), 3, 4, 5])


def test_a_killed_run_is_seen_as_it_is_and_goes_on(clew, graph_file: Write) -> None:
    graph = graph_file(GATED)
    process = clew("run", graph, "--id", "g", "--tee")
    process.wait_for("item 5 is under way")
    assert process.end(signal.SIGKILL) == -signal.SIGKILL
    Path("go").touch()
    resumed = clew("resume", "--all", "--json")
    assert resumed.end() == 0
    summary = json.loads(resumed.lines[-1])
    assert (summary["run"], summary["state"], summary["output"]) == ("g", "completed", 36)
    assert sorted(started()) == sorted([*range(9), 3, 4, 5])


def test_a_run_that_another_process_drives_is_left_to_it(clew, graph_file: Write) -> None:
    graph = graph_file(GATED)
    driving = clew("run", graph, "--id", "g", "--tee")
    driving.wait_for("item 5 is under way")
    other = clew("resume", "g")
    assert other.end() == 5
    assert f"(process {driving.popen.pid})" in other.lines[0]
    assert "stop it there first" in other.lines[1]
    following = clew("logs", "g", "--follow")
    following.wait_for("gated[5] | item 5 is under way")
    looking = clew("run", graph, "--id", "g")
    looking.wait_for("is driven by another process")
    Path("go").touch()
    assert (driving.end(), looking.end(), following.end()) == (0, 0, 0)
    assert "result: 36" in looking.lines
    assert any("item 8 is under way" in line for line in following.lines)


def test_a_run_that_another_process_drives_is_cancelled_there(clew, graph_file: Write) -> None:
    driving = clew("run", graph_file(GATED), "--id", "g", "--tee")
    driving.wait_for("item 5 is under way")
    other = clew("cancel", "g", "--reason", "not needed")
    assert (other.end(), driving.end()) == (0, 3)
    assert other.lines == ["run g is cancelled"]
    assert any("run g is cancelled: not needed" in line for line in driving.lines)


def test_a_cancelled_run_starts_nothing(clew, graph_file: Write) -> None:
    process = clew("run", graph_file(GATED), "--id", "g", "--tee")
    process.wait_for("item 5 is under way")
    process.end(signal.SIGKILL)
    before = started()
    assert clew("cancel", "g", "--reason", "not needed").end() == 0
    assert started() == before
    shown = clew("show", "g")
    assert shown.end() == 0
    assert shown.lines[:2] == ["run g of graph gated: cancelled", "  not needed"]
    assert clew("resume", "g").end() == 3


def test_a_pipe_gets_no_control_characters(clew, graph_file: Write) -> None:
    Path("go").touch()
    process = clew("run", graph_file(GATED), "--tee")
    assert process.end() == 0
    assert all(line.isprintable() for line in process.lines)


def test_a_reader_that_leaves_does_not_end_the_run(clew, graph_file: Write) -> None:
    graph = graph_file(GATED)
    process = clew("run", graph, "--id", "g", "--tee")
    process.wait_for("item 5 is under way")
    assert process.popen.stdout is not None
    process.popen.stdout.close()
    Path("go").touch()
    assert process.popen.wait(30) == 0
    process.popen.stdout = Path(os.devnull).open()  # noqa: SIM115 - closed with the process
    shown = clew("show", "g")
    assert shown.end() == 0
    assert shown.lines[0].endswith(": completed")


class Terminal:
    """A `clew` process in a terminal of its own."""

    def __init__(self, width: int, height: int, *arguments: str) -> None:
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # The environment as Python knows it: pytest imports readline, which sets COLUMNS behind its back.
            environment = {**os.environ, "TERM": "xterm-256color"}
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            os.execve(sys.executable, [*PROGRAM, *arguments], environment)

    def wait_for(self, pattern: str) -> None:
        """Read until the pattern has come, without what only colours and moves."""
        limit = time.monotonic() + 30
        while not re.search(pattern, self.plain):
            ready, _, _ = select.select([self.fd], [], [], max(0.0, limit - time.monotonic()))
            assert ready, f"{pattern} did not come in {self.plain[-2_000:]}"
            try:
                self.text += os.read(self.fd, 65_536).decode()
            except OSError:  # the other side is closed
                raise AssertionError(f"{pattern} did not come in {self.plain[-2_000:]}") from None

    @property
    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text).replace("\r", "")

    def end(self) -> int:
        """Read to the end; the exit code."""
        while True:
            try:
                data = os.read(self.fd, 65_536)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_terminal_gets_a_picture_and_its_cursor_back(graph_file: Write) -> None:
    terminal = Terminal(80, 24, "run", graph_file(GATED), "--id", "g")
    terminal.wait_for(r"● gated .* 3/9  3 running")
    terminal.wait_for(r"● \[5\]")
    terminal.wait_for("Ctrl-C stops; to go on: clew resume g")
    assert "\x1b[?25l" in terminal.text
    os.write(terminal.fd, b"\x03")
    terminal.wait_for("stopping; Ctrl-C again ends them now")
    os.write(terminal.fd, b"\x03")
    assert terminal.end() == 130
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
    assert terminal.plain.rstrip().endswith("to go on: clew resume g")


def test_a_window_may_change_its_size(graph_file: Write) -> None:
    terminal = Terminal(100, 30, "run", graph_file(GATED), "--id", "g")
    terminal.wait_for(r"● \[5\]")
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 6, 40, 0, 0))
    terminal.wait_for("  … and 1 pending, 1 completed")
    Path("go").touch()
    assert terminal.end() == 0
    assert "result: 36" in terminal.plain
