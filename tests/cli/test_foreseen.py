"""How far a run is and how long it takes yet, wherever it is looked at."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from graph_texts import ASKING, SHOP, SMALL
from graphs_to_watch import number
from test_screen import picture
from waiting_runs import leave_waiting

from clew import Graph
from clew.cli.board import FORESEEN_S, Board
from clew.cli.usage import told_progress
from clew.engine.feed import Progress as Told
from clew.engine.progress import Progress
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.values import NONE

Write = Callable[[str], str]


def two_nodes() -> Board:
    """A board of a run whose second node began after 100 seconds."""
    graph = Graph("two")
    graph.add(number, graph.add(number, 1, id="one"), id="two")
    board = Board(graph.spec())
    events: list[e.AnyEvent] = [
        e.RunAdmitted(at=0, run="t", graph="", definition="", inputs={}, labels={}, timeout_s=None),
        e.RunStarted(at=0),
        e.AttemptStarted(at=0, path="one", attempt=1),
        e.NodeCompleted(at=100, path="one", attempt=1, output=NONE),
        e.AttemptStarted(at=100, path="two", attempt=1),
    ]
    for seq, event in enumerate(events, 1):
        board.take(Recorded(seq, event))
    return board


def test_the_picture_goes_by_what_nodes_take() -> None:
    board = two_nodes()
    board.tick(100.0)
    assert "  1/2  50 %\n" in picture(board, now=100.0)
    board.durations = {"one": 100.0, "two": 300.0}
    board.tick(130.0)
    assert "  1/2  32 %  about 4 min left\n" in picture(board, now=130.0)
    assert board.left_s(140.0) == 260.0  # it goes on between two looks
    board.take(Told("two", 1, 0.9, ""))
    board.tick(130.0 + FORESEEN_S / 2)
    assert board.left_s(131.0) == 269.0
    board.tick(190.0)
    assert board.left_s(190.0) == pytest.approx(10.0)


def test_an_ended_run_is_as_far_as_its_nodes_are() -> None:
    board = two_nodes()
    board.durations = {"one": 100.0, "two": 300.0}
    board.tick(130.0)
    board.take(Recorded(6, e.NodeCompleted(at=400, path="two", attempt=1, output=NONE)))
    board.take(Recorded(7, e.RunCompleted(at=400, settled=2, failed=0)))
    text = picture(board, now=400.0)
    assert "  2/2  100 %" in text
    assert board.left_s(400.0) is None


def test_progress_in_words() -> None:
    assert told_progress(Progress()) == ""
    assert told_progress(Progress(current=("a",))) == ""
    assert told_progress(Progress(fraction=0.004, current=("a", "b[1]"))) == "1 % done; under way: a, b[1]"
    assert told_progress(Progress(fraction=0.42, left_s=180.0)) == "42 % done, about 3 min left"


def test_runs_are_learned_from_and_shown_with_their_progress(clew, graph_file: Write) -> None:
    clew("run", graph_file(SMALL))
    with closing(sqlite3.connect("clew.db")) as connection:
        learned = connection.execute("SELECT graph, place, count FROM durations").fetchall()
    assert sorted(learned) == [("small", "one", 1), ("small", "twice", 1)]
    leave_waiting(graph_file(ASKING), "w")
    assert "\n33 % done; under way: approve\n" in clew("show", "w").out
    progress = clew("show", "w", "--json").json["progress"]
    assert round(progress["fraction"], 2) == 0.33
    assert progress["current"] == ["approve"]
    assert "left_s" not in progress
    clew("cancel", "w")
    assert clew("show", "w", "--json").json["progress"] == {}


@pytest.mark.slow
def test_a_list_says_how_far_runs_are(start, graph_file: Write) -> None:
    Path("traffic").touch()
    driving = start("run", graph_file(SHOP), "--id", "s", "--tee")
    driving.wait_for("on the road")
    listed = start("ls")
    assert listed.end() == 0
    assert listed.lines[1].split()[:4] == ["s", "shop", "running", "3/4"]
    assert listed.lines[1].endswith("  75 % done")
    Path("home").touch()
    Path("traffic").unlink()
    assert driving.end() == 0
    Path("traffic").touch()
    again = start("run", driving.popen.args[-4], "--id", "t", "--tee")
    again.wait_for("on the road")
    foreseen = start("ls", "--state", "running")
    assert foreseen.end() == 0
    assert foreseen.lines[1].endswith(" % done, a few seconds left")
