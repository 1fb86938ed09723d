"""The picture of a state graph: the last steps, what is in the one under way, and the command that decides."""

import pytest
import steps_to_watch
from graphs_to_watch import recorded_run
from steps_to_watch import ALL, recorded_review, reviewed
from test_screen import SIZES, picture

from clew.cli.board import Board
from clew.cli.choosing import choose_steps
from clew.cli.symbols import ASCII
from clew.cli.waits import standing
from clew.graphs import END, START, StateGraph
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.questions import DECISION
from clew.kernel.states import NodeState


def until(graph, recorded: list[Recorded], reached) -> Board:
    """A board that has taken events up to the first one that is what it should be."""
    board = Board(graph.spec())
    for each in recorded:
        board.take(each)
        if reached(each.event):
            return board
    raise AssertionError("it never came")


def waiting(event: e.AnyEvent) -> bool:
    return isinstance(event, e.WaitOpened) and event.key == DECISION


@pytest.mark.parametrize("make", ALL)
def test_every_moment_of_a_state_graph_fits_every_terminal(make) -> None:
    graph = make()
    board = Board(graph.spec())
    for size in SIZES:
        picture(board, *size)
    for recorded in recorded_run(graph):
        board.take(recorded)
        size = SIZES[recorded.seq % len(SIZES)]
        hints = [*standing(board, "")]
        assert picture(board, *size, now=recorded.event.at + 100, hints=hints, symbols=ASCII).isascii()


def test_steps_stand_in_their_order_with_what_they_wrote() -> None:
    graph = steps_to_watch.loop()
    board = until(graph, recorded_run(graph), lambda event: isinstance(event, e.RunCompleted))
    lines = picture(board, 100).splitlines()
    assert lines[1] == "step 2 of at most 50  draft 2x"
    assert lines[3].startswith("✓ draft ")
    assert lines[3].endswith("drafts +1, score=0.5  -> draft#2, because state.score < 1")
    assert lines[4].startswith("✓ draft#2 ")
    assert lines[4].endswith("drafts +1, score=1.0")
    narrow = picture(board, 76).splitlines()
    assert narrow[3].endswith("…  -> draft#2, because state.score < 1")  # where it went is not cut off


def test_branches_are_shown_below_their_node() -> None:
    graph = steps_to_watch.parts()
    board = until(graph, recorded_run(graph), lambda event: getattr(event, "path", "") == "check/breaks")
    lines = picture(board, now=board.run.started_at).splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("● check"))
    assert [line.split()[:2] for line in lines[place + 1 : place + 4]] == [
        ["●", "facts"],
        ["●", "breaks"],
        ["·", "inner"],
    ]


def test_a_state_graph_in_another_graph_says_where_it_is() -> None:
    graph = steps_to_watch.parts()
    recorded = recorded_run(graph)
    board = until(graph, recorded, lambda event: getattr(event, "path", "") == "inner/both")
    lines = picture(board, now=board.run.started_at).splitlines()
    assert any(line.startswith("● inner") and line.endswith("step 2, at both") for line in lines)
    assert any(line.startswith("  ✓ draft") for line in lines)
    assert any(line.startswith("  ● both") for line in lines)


def test_failures_and_fallbacks_are_seen() -> None:
    graph = steps_to_watch.degraded()
    board = until(graph, recorded_run(graph), lambda event: isinstance(event, e.RunCompleted))
    lines = picture(board, 120).splitlines()
    assert lines[1].startswith("step 5 of at most 50  1 failed  draft 2x")
    assert lines[3].startswith("✗ breaks")
    assert lines[3].endswith("ValueError: it broke,  -> asks_for_less, the fallback")
    assert lines[4].endswith("notes +1  -> draft, the fallback, which it asked for")


@pytest.mark.parametrize("width", [80, 200])
def test_a_barrier_is_shown_with_the_command_that_decides(width: int) -> None:
    graph = reviewed(timeout=60)
    recorded = recorded_run(graph, steps_to_watch.rejected_once)
    board = until(graph, recorded, waiting)
    board.run.id = "a-run-with-a-long-name"
    hints = [*standing(board, "other.db")]
    now = board.run.visits["review"].waits[DECISION].since + 2
    lines = picture(board, width, now=now, hints=hints).splitlines()
    row = next(line for line in lines if line.startswith("◔ review"))
    assert row.split(maxsplit=4)[2:] == ["2.0", "s", "waits for a decision, 58.0 s to go: Good enough?"]
    how = "to decide: clew approve a-run-with-a-long-name review --db other.db (or reject, modify, reroute)"
    asked = "review waits for a decision: Good enough?"
    assert lines[-2:] == [asked, f"  {how}"[:79] + "…"] if width == 80 else lines[-1:] == [f"{asked}; {how}"]
    done = until(graph, recorded, lambda event: isinstance(event, e.RunCompleted))
    assert "rejected by ann: too short  -> draft#2, because not state['review.approved']" in picture(done, 120)


def test_the_newest_steps_are_shown_and_the_others_counted() -> None:
    graph = StateGraph(steps_to_watch.Paper, name="long")
    graph.add_node(steps_to_watch.draft)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "draft", when="{{ state.score < 20 }}")
    graph.add_edge("draft", END)
    board = until(graph, recorded_run(graph), lambda event: isinstance(event, e.RunCompleted))
    lines = picture(board).splitlines()
    assert lines[1] == "step 40 of at most 50  draft 40x"
    assert lines[3] == "  … 21 earlier steps"
    assert lines[4].startswith("✓ draft#22 ")
    assert lines[-1].startswith("✓ draft#40 ")
    shown, earlier = choose_steps(board, 5)
    assert ([line.name for line in shown], earlier) == (["draft#37", "draft#38", "draft#39", "draft#40"], 36)
    assert all(line.state is NodeState.COMPLETED for line in shown)


def test_a_run_that_has_not_begun_has_no_steps() -> None:
    assert choose_steps(Board(reviewed().spec()), 5) == ([], 0)


def test_a_review_fits_every_terminal() -> None:
    graph = reviewed()
    for size in SIZES:
        board = Board(graph.spec())
        for recorded in recorded_review():
            board.take(recorded)
            picture(board, *size, now=recorded.event.at, hints=[*standing(board, "")], notice="Ctrl-C stops")
