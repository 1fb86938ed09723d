"""`clew rollback` of runs that another process drives or has left; and processes that die while they undo."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import Process, Terminal
from graph_texts import SHOP

pytestmark = pytest.mark.slow

Write = Callable[[str], str]
Start = Callable[..., Process]


def told() -> list[str]:
    return Path("told").read_text().splitlines()


def state_of(start: Start) -> str:
    listed = start("ls", "--json")
    assert listed.end() == 0
    return json.loads(listed.lines[0])[0]["state"]


@pytest.fixture
def driving(start: Start, graph_file: Write) -> Process:
    """A process that drives a run whose last node is under way, and has made one step."""
    Path("traffic").touch()
    process = start("run", graph_file(SHOP), "--id", "s", "--tee")
    process.wait_for("on the road")
    return process


def test_a_run_is_undone_where_it_is_driven(start: Start, driving: Process) -> None:
    Path("open").touch()
    looking = start("rollback", "s", "--dry-run")
    assert looking.end() == 0
    assert looking.lines[1].startswith("it is cancelled first; then it would undo, in this order:")
    assert re.search(r"1  deliver .* uncertain: it is under way$", "\n".join(looking.lines), re.MULTILINE)
    undoing = start("rollback", "s", "--yes", "--by", "ann")
    assert undoing.end() == 0
    assert "run s is driven by another process, which undoes it; this one only shows it" in undoing.lines
    assert any("run s was rolled back in " in line for line in undoing.lines)
    assert driving.end() == 1
    assert any(line.endswith("run s stops what is under way: rolled back by ann") for line in driving.lines)
    assert any(line.endswith("run s is rolled back: 4 things are to be undone") for line in driving.lines)
    assert any(line.startswith("run s was rolled back in ") for line in driving.lines)
    assert "  rolled back by ann" in driving.lines
    assert sorted(told()) == ["collect None", "pay", "pay back R-A", "unbook van", "unpack"]


def test_a_paused_run_is_undone(start: Start, driving: Process) -> None:
    Path("open").touch()
    assert start("pause", "s").end() == 0
    assert start("rollback", "s", "--yes").end() == 0
    assert driving.end() == 1
    assert state_of(start) == "rolled_back"


def test_a_run_whose_process_died_is_undone(start: Start, driving: Process) -> None:
    Path("open").touch()
    driving.end(signal.SIGKILL)
    looking = start("rollback", "s", "--dry-run")
    assert looking.end() == 0
    undoing = start("rollback", "s", "--yes")
    assert undoing.end() == 0
    assert sorted(told()) == ["collect None", "pay", "pay back R-A", "unbook van", "unpack"]


def test_a_rollback_goes_on_after_its_process_was_killed(start: Start, driving: Process) -> None:
    driving.end(signal.SIGKILL)
    Path("slow").touch()
    first = start("rollback", "s", "--yes")
    first.wait_for("pay is undone")
    first.end(signal.SIGKILL)
    assert state_of(start) == "rolling_back"
    shown = start("show", "s")
    assert shown.end() == 0
    assert shown.lines[0] == "run s of graph shop: rolling_back"
    assert re.search(r"^rollback: 3 of 4 things undone$", "\n".join(shown.lines), re.MULTILINE)
    Path("open").touch()
    again = start("rollback", "s")  # what was agreed to need not be agreed to again
    assert again.end() == 0
    assert again.lines[0].startswith(
        "the rollback of run s goes on; what is undone stays so; 1 attempt was under way"
    )
    assert any("pack: attempt 1 to undo it was under way when its process ended" in line for line in again.lines)
    assert (told().count("pay back R-A"), told().count("unbook van"), told().count("unpack")) == (1, 1, 2)
    assert state_of(start) == "rolled_back"


def test_who_asked_for_a_rollback_goes_on_with_it_when_the_other_process_dies(
    start: Start, driving: Process
) -> None:
    Path("slow").touch()
    undoing = start("rollback", "s", "--yes")
    undoing.wait_for("pack is being undone")
    undoing.wait_for("pay is undone")
    cancelled = start("cancel", "s")
    assert cancelled.end() == 2
    assert cancelled.lines == ["error: run s: it is being rolled back, which is not cancelled"]
    driving.end(signal.SIGKILL)
    undoing.wait_for("pack: attempt 1 to undo it was under way when its process ended")
    Path("open").touch()
    assert undoing.end() == 0
    assert told().count("pay back R-A") == 1


def test_a_terminal_shows_which_compensations_run(start: Start, driving: Process) -> None:
    driving.end(signal.SIGKILL)
    Path("slow").touch()
    terminal = Terminal(80, 24, "rollback", "s", "--yes")
    terminal.wait_for(r"s  shop  rolling_back  ")
    terminal.wait_for(r"3/4 undone  75 %")
    terminal.wait_for(r"● pack +\d\S* m?s  function \S+:unpack")
    terminal.wait_for(r"✓ deliver, step book ")
    other = start("rollback", "s")
    assert "driven by another process" in other.wait_for("driven by another process")
    Path("open").touch()
    assert terminal.end() == 0
    assert other.end() == 0
    assert "run s was rolled back in" in terminal.plain
