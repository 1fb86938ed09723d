"""What steps did, in a few words."""

import graphs_to_watch
import msgspec
import pytest
import steps_to_watch
from graphs_to_watch import board_of, recorded_run
from steps_to_watch import recorded_review, reviewed

from clew.cli.board import Board
from clew.cli.journey import Route, brief
from clew.engine.state_changes import Delta
from clew.kernel.cells import whole
from clew.kernel.values import Cell, ErrorInfo


def journey(graph):
    return board_of(graph, recorded_run(graph)).journey


def test_what_steps_wrote_is_told_by_key() -> None:
    notes = journey(steps_to_watch.parts()).notes
    assert notes["inner/draft"] == "drafts +1, score=0.5"
    assert notes["inner/both/facts"] == "notes +1, words=2"
    assert notes["inner/both"] == "notes +2, meta: 1 field, words=5"
    assert notes["inner"] == "drafts +1, score=0.5, notes +2, meta: 1 field, words=5"
    assert notes["sums"] == "score=2.5"
    assert notes["check"].endswith('check.failed=["breaks"]')
    assert notes["count"].endswith('count.failed=["1"]')
    assert "count[0]" not in notes  # nobody is told of each item


def test_ways_are_told_with_their_reasons() -> None:
    found = journey(steps_to_watch.degraded())
    told = {source: route.told() for (_, source), route in found.routes.items()}
    limit = "asks_for_less was visited once, as often as it may be (max_visits, max_iterations)"
    assert told == {
        "": "breaks",
        "breaks": "asks_for_less, the fallback",
        "asks_for_less": "draft, the fallback, which it asked for",
        "draft": f"draft#2, the fallback, because {limit}",
        "draft#2": "names_the_end",
        "names_the_end": "END, as the node said",
    }
    loop = journey(steps_to_watch.loop())
    assert loop.routes["", "draft"].told() == "draft#2, because state.score < 1"
    assert Route("x", "reroute").told() == "x, rerouted"
    assert Route("", "condition").told() == "END, because its condition holds"
    assert Route("x", "fallback").told() == "x, the fallback, as no other edge could be taken"
    failed = Route("x", "fallback", error=ErrorInfo("ValueError", "no\x1b[2J"))
    assert failed.told() == "x, the fallback"  # the error is told with the step


def test_what_people_did_is_told_at_the_step() -> None:
    found = board_of(reviewed(), recorded_review()).journey
    assert found.decisions == {"review": "rejected by ann: too short", "review#2": "approved by cleo"}
    assert found.remarks == {
        "review#2": ['the state was changed by bob: topic="dogs"', "checkpoint nearly by bob"]
    }


def test_values_are_kept_for_who_asks() -> None:
    graph = steps_to_watch.loop()
    board = Board(graph.spec(), keeps_values=True)
    for recorded in recorded_run(graph):
        board.take(recorded)
    assert board.journey.wrote["draft#2"] == {"drafts": Delta(items=["cats 2"], at=1), "score": Delta(value=1.0)}
    assert journey(graph).wrote == {}


def cell(text: str) -> Cell:
    return whole(msgspec.Raw(text.encode()))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {"a": cell("1"), "b": cell('"x"')}, 'a=1, b="x"'),
        ({"a": cell("1")}, {"a": cell("1")}, ""),
        ({"a": cell("1"), "b": cell("2")}, {"a": cell("2")}, "a=2, b deleted"),
        ({}, {"x.failed": cell("[]"), "y.failed": cell('["1"]')}, 'y.failed=["1"]'),
        ({}, {"a": cell(f'"{"x" * 99}"')}, 'a="' + "x" * 38 + "…"),
        ({}, {f"k{n}": cell("1") for n in range(10)}, ", ".join(f"k{n}=1" for n in range(8)) + ", and 2 more"),
        ({}, {"a": cell('"\x1b[2Jz"')}, 'a="z"'),
        ({"a": Cell(items=[], count=2)}, {"a": Cell(items=[], count=1)}, "a: 1 item"),
    ],
)
def test_changes_are_told_in_a_line(before, after, told) -> None:
    assert brief(before, after) == told


def test_dependency_graphs_have_no_journey() -> None:
    board = board_of(graphs_to_watch.chain(), recorded_run(graphs_to_watch.chain()))
    assert not board.journey.notes
    assert not board.journey.routes
    assert board.journey.route_from(board.run.visits["n0"]) is None
