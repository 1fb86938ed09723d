"""The program as a process: signals, sudden death, pipes, and a real terminal. Nothing here waits for time."""

import fcntl
import json
import os
import signal
import struct
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import Terminal

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


def started() -> list[int]:
    return [int(line) for line in Path("starts").read_text().split()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_lets_what_is_under_way_finish(start, graph_file: Write, number: int, code: int) -> None:
    graph = graph_file(GATED)
    process = start("run", graph, "--id", "g", "--tee", "--db", "r.db")
    process.wait_for("item 5 is under way")
    process.popen.send_signal(number)
    process.wait_for("stopping: nothing new starts, 3 attempts under way may finish; Ctrl-C again ends them now")
    Path("go").touch()
    assert process.end() == code
    assert process.lines[-2:] == [
        "run g stopped: 7 of 11 nodes are done and are kept",
        "to go on: clew resume g --db r.db",
    ]
    resumed = start("resume", "g", "--db", "r.db")
    resumed.wait_for("run g goes on: 7 of 11 nodes were done already and are kept")
    assert resumed.end() == 0
    assert "result: 36" in resumed.lines
    assert sorted(started()) == [*range(9)]  # nothing was interrupted, nothing made twice


def test_the_second_signal_ends_it_at_once(start, graph_file: Write) -> None:
    graph = graph_file(GATED)
    process = start("run", graph, "--id", "g", "--tee")
    process.wait_for("item 5 is under way")
    process.popen.send_signal(signal.SIGINT)
    process.wait_for("stopping: ")
    assert process.end(signal.SIGINT) == 130
    assert process.lines[-2:] == [
        "run g ended at once; what was under way counts as interrupted",
        "to go on: clew resume g",
    ]
    Path("go").touch()
    again = start("run", graph, "--id", "g")
    first = again.wait_for("goes on")
    assert first == (
        "run g goes on: 4 of 11 nodes were done already and are kept; 3 attempts were under way and are made again"
    )
    assert again.end() == 0
    assert sorted(started()) == sorted([*range(9), 3, 4, 5])


def test_a_killed_run_is_seen_as_it_is_and_goes_on(start, graph_file: Write) -> None:
    graph = graph_file(GATED)
    process = start("run", graph, "--id", "g", "--tee")
    process.wait_for("item 5 is under way")
    assert process.end(signal.SIGKILL) == -signal.SIGKILL
    Path("go").touch()
    resumed = start("resume", "--all", "--json")
    assert resumed.end() == 0
    summary = json.loads(resumed.lines[-1])
    assert (summary["run"], summary["state"], summary["output"]) == ("g", "completed", 36)
    assert sorted(started()) == sorted([*range(9), 3, 4, 5])


def test_a_run_that_another_process_drives_is_left_to_it(start, graph_file: Write) -> None:
    graph = graph_file(GATED)
    driving = start("run", graph, "--id", "g", "--tee")
    driving.wait_for("item 5 is under way")
    other = start("resume", "g")
    assert other.end() == 5
    assert f"(process {driving.popen.pid})" in other.lines[0]
    assert "stop it there first" in other.lines[1]
    following = start("logs", "g", "--follow")
    following.wait_for("gated[5] | item 5 is under way")
    looking = start("run", graph, "--id", "g")
    looking.wait_for("is driven by another process")
    Path("go").touch()
    assert (driving.end(), looking.end(), following.end()) == (0, 0, 0)
    assert "result: 36" in looking.lines
    assert any("item 8 is under way" in line for line in following.lines)


def test_a_run_that_another_process_drives_is_cancelled_there(start, graph_file: Write) -> None:
    driving = start("run", graph_file(GATED), "--id", "g", "--tee")
    driving.wait_for("item 5 is under way")
    other = start("cancel", "g", "--reason", "not needed", "--by", "ann")
    assert (other.end(), driving.end()) == (0, 3)
    assert other.lines == ["run g is cancelled"]
    assert any("run g is cancelled: not needed (ann)" in line for line in driving.lines)


def test_a_cancelled_run_starts_nothing(start, graph_file: Write) -> None:
    process = start("run", graph_file(GATED), "--id", "g", "--tee")
    process.wait_for("item 5 is under way")
    process.end(signal.SIGKILL)
    before = started()
    assert start("cancel", "g", "--reason", "not needed", "--by", "ann").end() == 0
    assert started() == before
    shown = start("show", "g")
    assert shown.end() == 0
    assert shown.lines[:2] == ["run g of graph gated: cancelled", "  not needed (ann)"]
    assert start("resume", "g").end() == 3


def test_a_pipe_gets_no_control_characters(start, graph_file: Write) -> None:
    Path("go").touch()
    process = start("run", graph_file(GATED), "--tee")
    assert process.end() == 0
    assert all(line.isprintable() for line in process.lines)


def test_a_reader_that_leaves_does_not_end_the_run(start, graph_file: Write) -> None:
    graph = graph_file(GATED)
    process = start("run", graph, "--id", "g", "--tee")
    process.wait_for("item 5 is under way")
    assert process.popen.stdout is not None
    process.popen.stdout.close()
    Path("go").touch()
    assert process.popen.wait(30) == 0
    process.popen.stdout = Path(os.devnull).open()  # noqa: SIM115 - closed with the process
    shown = start("show", "g")
    assert shown.end() == 0
    assert shown.lines[0].endswith(": completed")


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
