"""What people complain of in other engines: branches that hang together, checkpoints that are none."""

import asyncio
from pathlib import Path

import pytest
from engine_kit import Gate, history, seen
from state_kit import State, add_a, add_b, chain, waits_at

from clew import END, START, Context, Engine, RunFailedError, StateGraph, barrier
from clew.journal.sqlite import SqliteJournal
from clew.kernel import events as e

# Branches --------------------------------------------------------------------------------------------------


async def test_two_parallel_writers_lose_nothing_silently() -> None:
    """Elsewhere, the last one wins."""

    async def one(state: State) -> State:
        return {"number": 1}

    async def two(state: State) -> State:
        return {"number": 2, "log": ["two"]}

    graph = StateGraph(State, name="g")
    graph.add_parallel("both", [one, two])
    graph.add_edge(START, "both")
    graph.add_edge("both", END)
    async with Engine("memory:") as engine:
        run = await engine.start(graph, {"number": 0})
        with pytest.raises(
            RunFailedError, match=r"both/one and both/two write to 'number', which has no reducer"
        ) as failed:
            await run.result()
        assert dict(failed.value.result) == {"number": 0}  # neither of them, and not half of the second


async def test_parallel_writers_to_a_key_with_a_reducer_are_all_kept_in_the_order_of_the_branches() -> None:
    gate = Gate()

    async def late(state: State) -> State:
        await gate.wait()
        return {"log": ["first branch"]}

    async def early(state: State) -> State:
        return {"log": ["second branch"]}

    graph = StateGraph(State, name="g")
    graph.add_parallel("both", [late, early])
    graph.add_edge(START, "both")
    graph.add_edge("both", END)
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        await seen(run, e.NodeCompleted, "both/early")
        gate.open()
        assert (await run.result())["log"] == ["first branch", "second branch"]


@pytest.mark.parametrize("how", ["fail_fast", "collect_all"])
async def test_the_failure_of_a_later_branch_is_noticed_at_once(how: str) -> None:
    """Elsewhere, branches are waited for in the order in which they were declared."""
    gate, stopped = Gate(), asyncio.Event()

    async def first(state: State) -> State:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            stopped.set()
            raise
        return {"log": ["first"]}

    async def second(state: State) -> State:
        await gate.arrivals()
        raise ValueError("at once")

    graph = StateGraph(State, name="g")
    graph.add_parallel("both", [first, second], on_branch_error=how)
    graph.add_edge(START, "both")
    graph.add_edge("both", END)
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        failed = await seen(run, e.NodeFailed, "both/second")  # the first one is under way yet
        assert failed.error.message == "at once"
        if how == "fail_fast":
            with pytest.raises(RunFailedError, match="both/second: at once"):
                await run.result()
            assert stopped.is_set()
        else:
            gate.open()
            assert dict(await run.result()) == {"log": ["first"], "both.failed": ["second"]}


async def test_a_fast_branch_does_not_wait_for_a_slow_sibling(url: str) -> None:
    """Elsewhere, branches go on in lockstep, and a branch that is done is lost with one that is not."""
    gate, entered = Gate(), []

    async def slow(state: State) -> State:
        await gate.wait()
        return {"log": ["slow"]}

    async def fast(state: State) -> State:
        entered.append("fast")
        return {"log": ["fast"]}

    async def faster(state: State) -> State:
        entered.append("faster")
        return {"log": ["faster"]}

    graph = StateGraph(State, name="g")
    graph.add_parallel("both", {"slow": slow, "quick": chain(fast, faster)})
    graph.add_edge(START, "both")
    graph.add_edge("both", END)
    async with Engine(url) as engine:
        run = await engine.start(graph, id="r")
        await gate.arrivals()
        await seen(run, e.NodeCompleted, "both/quick")
        assert await _stored(url, "both/quick/faster")
        assert gate.came == 1  # the other one has not done its first step yet
    gate.open()
    async with Engine(url, graphs=[graph]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["log"] == ["slow", "fast", "faster"]
    assert entered == ["fast", "faster"]


async def _stored(url: str, path: str) -> bool:
    """Whether another process finds on disk that a visit is completed."""
    journal = SqliteJournal(Path(url.removeprefix("sqlite:///")), "process")
    await journal.open()
    events = [recorded.event for recorded in await journal.read("r")]
    await journal.close()
    return any(isinstance(event, e.NodeCompleted) and event.path == path for event in events)


async def test_a_barrier_in_a_branch_does_not_hold_up_the_others() -> None:
    """Elsewhere, an interrupt stops everything that is under way."""
    graph = StateGraph(State, name="g")
    graph.add_parallel("both", {"review": barrier("ok?"), "work": chain(add_a, add_b)})
    graph.add_edge(START, "both")
    graph.add_edge("both", END)
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        await seen(run, e.NodeCompleted, "both/work")
        assert [each.path for each in await run.barriers()] == ["both/review"]
        await run.approve()
        assert dict(await run.result()) == {"log": ["a", "b"], "review.approved": True}


# Checkpoints -----------------------------------------------------------------------------------------------


async def test_a_checkpoint_holds_what_its_node_has_changed(url: str) -> None:
    """Elsewhere, it is taken before, and who resumes from it does the node once more."""
    graph = chain(add_a, add_b)
    async with Engine(url) as engine:
        run = await engine.start(graph, id="r")
        await run.result()
        found = {each.path: each for each in await run.checkpoints()}
        assert (await run.at(found["add_a"].seq)).state == {"log": ["a"]}
        assert (found["add_a"].step, found["add_a"].next) == (1, "add_b")
        assert (await run.at(found["add_b"].seq)).state == {"log": ["a", "b"]}
        fork = await engine.fork("r", found["add_a"].seq, id="f")
        assert (await fork.result())["log"] == ["a", "b"]
        started = [
            recorded.event for recorded in await history(fork) if isinstance(recorded.event, e.AttemptStarted)
        ]
        assert [event.path for event in started] == ["add_a", "add_b"]  # the first of them is inherited


async def test_an_explicit_checkpoint_is_one(url: str) -> None:
    """Elsewhere, it is a call that saves nothing."""

    async def names(state: State, ctx: Context) -> State:
        await ctx.checkpoint("in the middle")
        return {"log": ["named"]}

    graph = chain(add_a, names, "review", add_b, checkpoints="manual")
    async with Engine(url) as engine:
        run = await engine.start(graph, id="r")
        await waits_at(run)
        await run.checkpoint("before the review", by="ann")
    async with Engine(url, graphs=[graph]) as engine:
        run = await engine.resume("r")
        await run.approve()
        await run.result()
        middle, named = await run.checkpoints()
        assert (middle.name, middle.path, middle.why, middle.step) == ("in the middle", "names", "named", 2)
        assert (await run.at(middle.seq)).state == {"log": ["a"]}
        assert (named.name, named.by, named.why, named.step) == ("before the review", "ann", "named", 3)
        assert (await run.at(named.seq)).state == {"log": ["a", "named"]}
        fork = await engine.fork("r", named.seq, changes={"log": ["other"]}, id="f")
        assert (await waits_at(fork)).shows == {"log": ["other"]}
