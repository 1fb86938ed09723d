"""The board: what it keeps up to date is true after each event."""

import asyncio

import graphs_to_watch
import pytest
from graphs_to_watch import board_of, recorded_run

from clew.cli.board import Board
from clew.cli.outlook import Pace
from clew.engine.feed import Progress
from clew.errors import UnknownRunError
from clew.graphs import Graph
from clew.kernel import events as e
from clew.kernel.states import NodeState


@pytest.mark.parametrize("make", graphs_to_watch.ALL)
def test_nothing_is_counted_wrong_after_any_event(make) -> None:
    graph = make()
    board = Board(graph.spec())
    for recorded in recorded_run(graph):
        board.take(recorded)
        graphs_to_watch.check(board)
    assert board.run.ended
    assert not board.live
    assert board.outlook.unknown == 0
    assert board.expected == board.run.total


@pytest.mark.parametrize("make", [graphs_to_watch.collecting, graphs_to_watch.skipping, graphs_to_watch.nested])
def test_a_retried_run_is_counted_again(make) -> None:
    async def retry(run) -> None:
        await run.wait_ended()
        await run.retry()

    graph = make()
    recorded = recorded_run(graph, retry)
    assert any(isinstance(each.event, e.RunRetried) for each in recorded)
    board = Board(graph.spec())
    for each in recorded:
        board.take(each)
        graphs_to_watch.check(board)
        if isinstance(each.event, e.RunRetried):
            assert not board.failures


def test_a_cancelled_run_is_counted_again() -> None:
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    async def cancel(run) -> None:
        await started.wait()
        await run.cancel("enough")

    graph = Graph("hanging")
    inner = Graph("inner")
    inner.map(graphs_to_watch.number, over=inner.add(graphs_to_watch.numbers, 3))
    graph.add(inner, depends_on=graph.add(hang))
    board = Board(graph.spec())
    for recorded in recorded_run(graph, cancel):
        board.take(recorded)
        graphs_to_watch.check(board)
    assert board.counts[NodeState.CANCELLED] == 2
    assert board.run.reason == "enough"


def test_failures_are_those_of_leaves() -> None:
    graph = graphs_to_watch.failing_fast()
    board = board_of(graph, recorded_run(graph))
    assert [(each.path, each.error.type) for each in board.failures] == [("odd_fails[1]", "ValueError")]


def test_progress_is_of_the_attempt_under_way() -> None:
    graph = Graph("one")
    graph.add(graphs_to_watch.number, 1, id="a")
    board = Board(graph.spec())
    recorded = recorded_run(graph)
    told = Progress("a", 1, 0.5, "half")
    board.take(told)
    assert not board.progress
    for each in recorded:
        board.take(each)
        if isinstance(each.event, e.AttemptStarted):
            board.take(told)
            assert board.progress == {"a": told}
    assert not board.progress


def test_addresses_of_a_run_are_known() -> None:
    graph = graphs_to_watch.nested()
    board = board_of(graph, recorded_run(graph))
    for path in ("research", "research/each", "research/each[2]/check", "last"):
        board.must_know(path)
    with pytest.raises(UnknownRunError, match="no node 'reserch'; did you mean 'research'"):
        board.must_know("reserch")
    assert not board.knows("research/nothing")
    assert not board.knows("last/inside")


def test_items_of_sub_graphs_are_expected_before_they_begin() -> None:
    graph = graphs_to_watch.nested()
    board = Board(graph.spec())
    sizes: dict[type, tuple[int, bool]] = {}
    for each in recorded_run(graph):
        board.take(each)
        sizes.setdefault(type(each.event), (board.expected, board.is_total_known))
    assert sizes[e.RunStarted] == (3, False)  # numbers, second_time, last; the map has not told its items
    assert sizes[e.MapOpened] == (3 + 4 * 2, True)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.rate(0.0, 0) is None
    for tenth in range(300):
        now = tenth / 10
        pace.sample(now, int(now * 10) if now < 10 else 100 + int((now - 10) * 2))
    assert pace.rate(29.9, 139) == pytest.approx(2.0, rel=0.1)
    assert pace.left_s(29.9, 139, 20) == pytest.approx(10, rel=0.1)


def test_the_rate_is_unknown_without_samples_and_the_end_without_progress() -> None:
    pace = Pace()
    pace.sample(0.0, 5)
    assert pace.rate(0.5, 5) is None
    assert pace.rate(5.0, 5) == 0.0
    assert pace.left_s(5.0, 5, 10) is None
    assert pace.left_s(5.0, 6, 10) is None  # one node says nothing
    pace.sample(6.0, 2)  # the run was taken up again
    assert pace.rate(6.1, 2) is None
