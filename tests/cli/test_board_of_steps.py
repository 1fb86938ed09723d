"""The board of a state graph: what it keeps up to date is true after each event, whatever happens to the run."""

import asyncio
import contextlib

import graphs_to_watch
import pytest
import steps_to_watch
from graphs_to_watch import board_of, recorded_run
from steps_to_watch import ALL, recorded_review, rejected_once, reviewed

from clew.cli.board import Board
from clew.engine.engine import Engine
from clew.errors import RunFailedError, UnknownRunError
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.states import NodeState


def checked(graph, recorded: list[Recorded]) -> Board:
    board = Board(graph.spec())
    for each in recorded:
        board.take(each)
        graphs_to_watch.check(board)
    return board


@pytest.mark.parametrize("make", ALL)
def test_nothing_is_counted_wrong_after_any_event_of_a_state_graph(make) -> None:
    graph = make()
    board = checked(graph, recorded_run(graph))
    assert board.run.ended
    assert not board.live
    assert board.outlook.unknown == 0
    assert board.expected == board.run.total


def test_steps_are_the_rows_of_a_state_graph() -> None:
    board = checked(reviewed(), recorded_review())
    assert board.is_walk
    assert +board.counts == {NodeState.COMPLETED: 4}
    assert [visit.path for visit in board.run.root.members] == ["draft", "review", "draft#2", "review#2"]


def cancelled_after(graph, number: int) -> list[Recorded]:
    """A run that is cancelled when so many events are recorded."""

    async def drive() -> list[Recorded]:
        async with Engine("memory:") as engine:
            run = await engine.start(graph)
            async for recorded in run.events():
                if recorded.seq >= number:
                    break
            await run.cancel("enough")
            with contextlib.suppress(RunFailedError):
                await run.result()
            return [recorded async for recorded in run.events(live=False)]

    return asyncio.run(drive())


@pytest.mark.parametrize("make", [steps_to_watch.parts, steps_to_watch.inside])
@pytest.mark.parametrize("number", [3, 8, 14, 22, 31])
def test_a_cancelled_run_expects_nothing(make, number: int) -> None:
    graph = make()
    board = checked(graph, cancelled_after(graph, number))
    assert board.outlook.unknown == 0
    assert board.outlook.leaves == 0


@pytest.mark.parametrize("make", [steps_to_watch.failing, steps_to_watch.inside])
def test_a_retried_state_graph_is_counted_again(make) -> None:
    async def retry(run) -> None:
        await run.wait_ended()
        await run.retry()

    graph = make()
    recorded = recorded_run(graph, retry)
    assert any(isinstance(each.event, e.RunRetried) for each in recorded)
    checked(graph, recorded)


def test_nested_graphs_that_have_not_begun_are_forgotten_when_a_run_is_stopped() -> None:
    """A sub-graph that waits for its turn inside of another one, when the run is cancelled."""
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    async def cancel(run) -> None:
        await started.wait()
        await run.cancel("enough")

    from clew.graphs import Graph

    deepest = Graph("deepest")
    deepest.map(graphs_to_watch.number, over=deepest.add(graphs_to_watch.numbers, 3))
    inner = Graph("inner")
    inner.add(deepest, depends_on=inner.add(hang))
    graph = Graph("outer")
    graph.add(inner)
    board = checked(graph, recorded_run(graph, cancel))
    assert (board.outlook.leaves, board.outlook.unknown) == (0, 0)


def test_a_limited_map_of_graphs_is_counted_when_it_is_taken_up_again() -> None:
    from clew.graphs import Graph

    async def retry(run) -> None:
        await run.wait_ended()
        await run.retry()

    leaf = Graph("leaf")
    inner = Graph("inner")
    inner.add(graphs_to_watch.numbers, 2)
    failed = leaf.add(graphs_to_watch.odd_fails, leaf.input("n", int))
    leaf.add(inner, depends_on=failed)
    graph = Graph("limited")
    numbers = graph.add(graphs_to_watch.numbers, 4)
    graph.map(leaf, over={"n": numbers}, on_item_error="collect", max_concurrency=1)
    checked(graph, recorded_run(graph, retry))


def test_barriers_are_among_what_is_asked() -> None:
    graph = reviewed()
    board, asking = Board(graph.spec()), []
    for recorded in recorded_run(graph, rejected_once):
        board.take(recorded)
        asking.append([visit.path for visit, _, _ in board.asking()])
    assert asking[-1] == []
    assert ["review"] in asking
    assert ["review#2"] in asking


def test_steps_that_were_not_come_to_are_told_from_those_that_are_not_there() -> None:
    graph = steps_to_watch.degraded()
    board = board_of(graph, recorded_run(graph)[:4])
    board.must_know("breaks")
    with pytest.raises(UnknownRunError, match="has not come to draft#2 yet"):
        board.must_know("draft#2")
    with pytest.raises(UnknownRunError, match="no node 'braeks'; did you mean 'breaks'"):
        board.must_know("braeks")
    nested = board_of(steps_to_watch.parts(), recorded_run(steps_to_watch.parts()))
    nested.must_know("inner/both/facts")
    with pytest.raises(UnknownRunError, match=r"has not come to inner/draft#2$"):
        nested.must_know("inner/draft#2")
