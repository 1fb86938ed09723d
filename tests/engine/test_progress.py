"""How far runs are and how long they take yet: weighted by what nodes take, and nothing said that nobody knows."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

import pytest
from engine_kit import seen as seen_event

from clew import END, START, Context, Engine, Graph, StateGraph, append
from clew.engine.durations import measured, place_of
from clew.engine.progress import Progress, progress_of
from clew.graphs import WrittenGraph
from clew.journal.memory import MemoryJournal
from clew.kernel import events as e
from clew.kernel.fold import fold
from clew.kernel.state import Run
from clew.kernel.topology import compile_graph
from clew.kernel.values import NONE
from clew.testing import VirtualClock, run_virtual
from clew.testing.virtual_time import VirtualLoop


async def one(n: int = 0) -> int:
    return n


def folded(graph: WrittenGraph, *events: e.AnyEvent) -> Run:
    """A run that has begun, and what happened in it."""
    spec = graph.spec()
    run = Run("", compile_graph(spec))
    admitted = e.RunAdmitted(at=0, run="r", graph="", definition="", inputs={}, labels={}, timeout_s=None)
    for event in (admitted, e.RunStarted(at=0), *events):
        fold(run, event)
    return run


def started(path: str, at: float = 0.0) -> e.AttemptStarted:
    return e.AttemptStarted(at=at, path=path, attempt=1)


def completed(path: str, at: float) -> e.NodeCompleted:
    return e.NodeCompleted(at=at, path=path, attempt=1, output=NONE)


def seen(run: Run, now: float, expected: Mapping[str, float] | None = None, **more: Any) -> tuple[Any, Any]:
    found = progress_of(run, expected or {}, now, **more)
    return tuple(None if each is None else round(each, 2) for each in (found.fraction, found.left_s))


def chain(*expected: float | None) -> Graph:
    graph = Graph("chain")
    handle: Any = ()
    for number, seconds in enumerate(expected):
        handle = graph.add(one, depends_on=handle, id=f"n{number}", **({"expected": seconds} if seconds else {}))
    return graph


# Shares and time ---------------------------------------------------------------------------------------------


def test_nodes_count_by_what_they_are_declared_to_take() -> None:
    run = folded(chain(2, 6), started("n0"))
    assert seen(run, 1.0) == (0.12, 7.0)
    run = folded(chain(2, 6), started("n0"), completed("n0", 2.0), started("n1", 2.0))
    assert seen(run, 2.0) == (0.25, 6.0)
    assert seen(run, 5.0) == (0.62, 3.0)


def test_what_was_learned_counts_more_than_what_is_declared() -> None:
    run = folded(chain(2, 6), started("n0"), completed("n0", 2.0), started("n1", 2.0))
    assert seen(run, 2.0, {"n0": 30.0, "n1": 10.0}) == (0.75, 10.0)


def test_of_what_nobody_knows_no_end_is_told_and_it_counts_like_the_others() -> None:
    run = folded(chain(4, None), started("n0"))
    assert seen(run, 2.0) == (0.25, None)
    run = folded(chain(None, None), started("n0"), completed("n0", 1.0))
    assert seen(run, 1.0) == (0.5, None)


def test_who_takes_longer_than_expected_is_never_done_before_its_end() -> None:
    run = folded(chain(2), started("n0"))
    assert seen(run, 2.0) == (0.91, 0.2)
    assert seen(run, 2_000.0) == (0.91, 200.0)
    assert seen(folded(chain(2), started("n0"), completed("n0", 1.0)), 1.0)[0] == 0.99


def test_what_a_body_tells_of_itself_counts_most() -> None:
    run = folded(chain(100), started("n0"))
    assert seen(run, 10.0, told={"n0": 0.5}) == (0.5, 10.0)


def test_nodes_side_by_side_take_as_long_as_the_longest_way_or_as_there_is_room_for() -> None:
    graph = Graph("wide")
    slow = graph.add(one, id="slow", expected=10)
    quick = [graph.add(one, id=f"q{i}", expected=2) for i in range(10)]
    graph.add(one, id="last", depends_on=[slow, *quick], expected=5)
    run = folded(graph, started("slow"))
    assert seen(run, 0.0)[1] == 15.0
    assert seen(run, 0.0, at_once=1)[1] == 35.0


def test_a_map_counts_its_items() -> None:
    graph = Graph("map")
    graph.map(one, over=[*range(8)], id="m", expected=3, max_concurrency=2)
    run = folded(graph)
    assert seen(run, 0.0) == (None, None)  # it has not told how many there are
    assert seen(run, 0.0, {"m": 12.0}) == (0.0, 12.0)
    opened = e.MapOpened(at=0, path="m", count=8)
    run = folded(graph, opened, *(started(f"m[{i}]") for i in range(2)))
    assert seen(run, 0.0) == (0.0, 12.0)
    run = folded(
        graph, opened, *(started(f"m[{i}]") for i in range(4)), *(completed(f"m[{i}]", 3.0) for i in range(2))
    )
    assert seen(run, 0.0) == (0.25, 9.0)


@pytest.mark.parametrize("expected", [None, 5])
def test_a_large_map_goes_by_its_own_pace(expected: float | None) -> None:
    graph = Graph("map")
    graph.map(one, over=[*range(100)], id="m", **({"expected": expected} if expected else {}))
    opened = e.MapOpened(at=0, path="m", count=100)
    done = [event for i in range(20) for event in (started(f"m[{i}]"), completed(f"m[{i}]", 4.0))]
    run = folded(graph, opened, *done, started("m[20]"))
    assert seen(run, 4.0) == (0.2, 16.0)


def test_a_sub_graph_counts_by_what_is_in_it() -> None:
    graph = Graph("outer")
    graph.add(one, id="after", depends_on=graph.add(chain(2, 6), id="inner"), expected=2)
    run = folded(graph, e.ScopeOpened(at=0, path="inner"), started("inner/n0"))
    assert seen(run, 1.0) == (0.1, 9.0)
    mapped = Graph("mapped")
    part = chain(2, 6)
    part.input("n", int)
    mapped.map(part, over=[1, 2], id="each")
    opened = e.MapOpened(at=0, path="each", count=2)
    run = folded(mapped, opened, e.ScopeOpened(at=0, path="each[0]"), started("each[0]/n0"))
    assert seen(run, 1.0) == (0.06, 8.0)


# State graphs ------------------------------------------------------------------------------------------------


class State(TypedDict, total=False):
    notes: Annotated[list[str], append]


async def step(state: State) -> State:
    return {"notes": ["x"]}


def walk(*, again: bool) -> StateGraph:
    graph = StateGraph(State, name="walk")
    for name, seconds in (("a", 2), ("b", 4), ("c", 10)):
        graph.add_node(name, step, expected=seconds)
    graph.add_edge(START, "a")
    graph.add_edge("a", "c", when="{{ state.notes | length > 3 }}")
    graph.add_edge("a", "b")
    if again:
        graph.add_edge("b", "a", when="{{ state.notes | length < 3 }}")
    graph.add_edge("b", END)
    graph.add_edge("c", END)
    return graph


def test_a_state_graph_that_does_not_go_round_counts_its_longest_way() -> None:
    to_a = e.Routed(at=0, path="", source="", target="a", edge=0, why="edge")
    run = folded(walk(again=False), to_a, started("a"))
    assert seen(run, 1.0) == (0.08, 11.0)
    run = folded(walk(again=True), to_a, started("a"))
    assert seen(run, 1.0) == (None, None)


# Runs --------------------------------------------------------------------------------------------------------


def test_places_leave_out_visits_and_keys() -> None:
    assert place_of("research#2/summarise[a/b]/check") == "research/summarise[]/check"


async def wait(seconds: float, ctx: Context) -> float:
    await ctx.sleep(seconds)
    return seconds


async def ask(ctx: Context) -> str:
    return await ctx.ask("Well?")


def taught() -> Graph:
    graph = Graph("taught")
    first = graph.add(wait, 2.0, id="first")
    graph.map(wait, over=[4.0, 4.0], id="each", depends_on=first)
    graph.add(ask, id="ask", depends_on=first)
    return graph


def test_runs_teach_how_long_their_nodes_take_and_later_ones_tell() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        clock = VirtualClock(loop)
        async with Engine(journal, clock=clock) as engine:
            run = await engine.start(taught())
            await seen_event(run, e.WaitOpened, "ask")
            await run.answer("well")
            await run.result()
            folded_run = await engine.looking.folded(run.id)
            assert {place: round(each.mean_s) for place, each in measured(folded_run).items()} == {
                "first": 2,
                "each": 4,
                "each[]": 4,
            }
            assert (await run.status()).progress == Progress(fraction=1.0)
        async with Engine(journal, clock=clock) as engine:
            assert set(await journal.learned("taught")) == {"first", "each", "each[]"}
            run = await engine.start(taught())
            await seen_event(run, e.AttemptSuspended, "first")
            loop.advance(1.0)
            progress = (await run.status()).progress
            assert progress is not None
            assert progress.current == ("first",)
            assert progress.fraction is not None
            assert 0.1 < progress.fraction < 0.2
            assert progress.left_s is None  # a person is asked, and nobody knows how long that takes
            await run.cancel()

    run_virtual(main())


def test_a_run_that_failed_or_was_driven_by_nobody_tells_no_end() -> None:
    async def bad() -> None:
        raise ValueError("no")

    async def main() -> None:
        graph = Graph("bad")
        graph.add(bad, id="bad", expected=1)
        journal = MemoryJournal()
        async with Engine(journal) as engine:
            run = await engine.start(graph)
            await run.wait_ended()
            assert (await run.status()).progress == Progress()
        slow = Graph("slow")
        slow.add(wait, 1_000.0, id="slow", expected=2_000)
        clock = VirtualClock(asyncio.get_running_loop())
        async with Engine(journal, clock=clock) as engine:
            assert await journal.learned("bad") == {}
            run = await engine.start(slow, id="s")
            await seen_event(run, e.AttemptSuspended, "slow")
            status = await run.status()
            assert status.progress is not None
            assert status.progress.left_s is not None
        async with Engine(journal, clock=clock, drives=False) as engine:
            status = await (await engine.open_run("s")).status()
            assert status.progress is not None
            assert status.progress.left_s is None
            assert status.progress.fraction is not None

    run_virtual(main())
