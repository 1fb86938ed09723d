"""What people complain of in other engines of agent graphs; here, each of it is a test that it does not happen.

Branches and checkpoints are in `test_better_branches.py`, storage in `test_state_storage.py`.
"""

import asyncio
from contextlib import aclosing

import pytest
from engine_kit import Gate, count, history, seen, turns, until_idle
from state_kit import State, add_a, chain, decisions, routes, waits_at

from clew import END, START, Context, Engine, Recorded, Run, RunFailedError, StateGraph
from clew.engine import drivers
from clew.kernel import events as e

# Going on --------------------------------------------------------------------------------------------------


async def test_resuming_goes_on_at_the_node_where_it_stopped_and_not_at_the_start(url: str) -> None:
    """Elsewhere, resuming restarts at the start node."""
    entered: list[str] = []
    gate = Gate()

    async def first(state: State) -> State:
        entered.append("first")
        return {"log": ["first"], "number": 1}

    async def second(state: State) -> State:
        entered.append("second")
        await gate.wait()
        return {"log": [f"second after {state['log'][-1]}"], "number": state["number"] + 1}

    graph = chain(first, second, add_a)
    async with Engine(url) as engine:
        await engine.start(graph, id="r")
        await gate.arrivals()
    gate.open()
    async with Engine(url, graphs=[graph]) as engine:
        run = await engine.start(graph, id="r")  # not even this begins anew
        assert (await run.result()).output == {"log": ["first", "second after first", "a"], "number": 2}
        assert [event.target for event in await routes(run)] == ["first", "second", "add_a", ""]
    assert entered == ["first", "second", "second"]


async def test_a_completed_run_does_not_run_again(url: str) -> None:
    """Elsewhere, invoking a thread that is done starts it over."""
    graph = chain(add_a)
    async with Engine(url) as engine:
        before = len(await history(await _ended(engine, graph)))
    async with Engine(url, graphs=[graph]) as engine:
        run = await engine.start(graph, id="r")
        assert (await run.result()).output == {"log": ["a"]}
        assert len(await history(run)) == before


async def _ended(engine: Engine, graph: StateGraph) -> Run:
    run = await engine.start(graph, id="r")
    await run.result()
    return run


# Cancelling and leaving ------------------------------------------------------------------------------------


@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize("default", ["approve", "reject", "skip"])
async def test_a_cancel_at_a_barrier_is_a_cancel_at_once_and_no_decision(
    url: str, default: str, parked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere, it is swallowed until somebody decides, or taken for a rejection."""
    if parked:
        monkeypatch.setattr(drivers, "IDLE_S", 0.0)
        monkeypatch.setattr(drivers, "COUNT_S", 0.0)
    graph = StateGraph(State, name="g")
    graph.add_barrier("review", timeout=3_600, default=default)
    graph.add_node(add_a)
    graph.add_edge(START, "review")
    graph.add_edge("review", "add_a")
    graph.add_edge("add_a", END)
    async with Engine(url) as engine:
        run = await engine.start(graph)
        await waits_at(run)
        if parked:
            await turns(lambda: engine.driver_of(run.id) is None)
        await run.cancel("not needed", by="ann")
        with pytest.raises(RunFailedError, match=r"cancelled: not needed by ann") as failed:
            await run.result()
        assert dict(failed.value.result) == {}  # neither approved nor rejected
        assert not await decisions(run)
        assert [event.target for event in await routes(run)] == ["review"]
        assert not await run.barriers()


async def test_a_cancel_that_a_body_swallows_is_a_cancel_all_the_same() -> None:
    gate = Gate()

    async def stubborn(state: State) -> State:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            raise ValueError("an error of its own") from None
        return {}

    async with Engine("memory:") as engine:
        run = await engine.start(chain(stubborn, add_a))
        await gate.arrivals()
        await run.cancel()
        with pytest.raises(RunFailedError, match="cancelled"):
            await run.result()
        assert (await run.status()).state == "cancelled"


async def test_a_consumer_that_goes_away_neither_ends_nor_completes_the_run() -> None:
    """Elsewhere, breaking out of the stream cancels the run, or marks it as done."""
    gate = Gate()

    async def slow(state: State) -> State:
        await gate.wait()
        return {"log": ["slow"]}

    async with Engine("memory:") as engine:
        run = await engine.start(chain(slow, "review", add_a), id="r")
        for stream in (run.events(), run.stream("debug"), run.feed()):
            async with aclosing(stream) as items:
                await anext(items)
        del run, items, stream
        await gate.arrivals()
        gate.open()
        again = await engine.open_run("r")
        await waits_at(again)
        reading = asyncio.create_task(_read_all(again))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert (await again.status()).state == "running"
        assert (await again.barriers())[0].path == "review"
        await again.approve()
        assert (await again.result())["log"] == ["slow", "a"]


async def _read_all(run: Run) -> list[Recorded]:
    return [recorded async for recorded in run.events()]


async def test_a_slow_consumer_stalls_nothing_and_misses_nothing() -> None:
    """Elsewhere, the run waits until the consumer has taken the last item."""

    async def step(state: State) -> State:
        return {"log": [str(len(state.get("log", [])))]}

    graph = StateGraph(State, name="g", max_steps=1_000)
    graph.add_node(step)
    graph.add_edge(START, "step")
    graph.add_edge("step", "step", when=lambda state: len(state["log"]) < 500)
    graph.add_edge("step", END)
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        async with aclosing(run.events()) as events:
            first = await anext(events)
            assert len((await run.result())["log"]) == 500  # and nobody has read on
            rest = [recorded async for recorded in events]
        assert [first, *rest] == await history(run)


# Questions and decisions -----------------------------------------------------------------------------------


async def test_one_of_two_questions_that_is_answered_makes_nothing_happen_again(url: str) -> None:
    """Elsewhere, each answer runs the node again from its top, with its effects and its other questions."""
    effects: list[str] = []

    async def pay(what: str) -> str:
        effects.append(what)
        return what

    async def asks(state: State, ctx: Context) -> State:
        paid = await ctx.step("pay", pay, "paid", effect=True)
        async with asyncio.TaskGroup() as tasks:
            left = tasks.create_task(ctx.ask("Left?", key="left", type=str))
            right = tasks.create_task(ctx.ask("Right?", key="right", type=str))
        told = await ctx.step("tell", pay, f"told {left.result()}", effect=True)
        return {"log": [paid, left.result(), right.result(), told]}

    graph = chain(asks)
    async with Engine(url) as engine:
        run = await engine.start(graph, id="r")
        await until_idle(engine)
        await run.answer("l", key="left", by="ann")
        await seen(run, e.WaitResolved)
        assert [question.key for question in await run.questions()] == ["right"]
    assert effects == ["paid"]
    async with Engine(url, graphs=[graph]) as engine:  # the body is entered again, and nothing happens again
        run = await engine.resume("r")
        await until_idle(engine)
        assert [question.key for question in await run.questions()] == ["right"]
        await run.answer("r", key="right", by="bob")
        assert (await run.result())["log"] == ["paid", "l", "r", "told l"]
        counted = await count(run)
        assert counted["WaitOpened", "asks"] == counted["WaitResolved", "asks"] == 2
        assert counted["StepCompleted", "asks"] == 2
    assert effects == ["paid", "told l"]


async def test_what_was_decided_is_not_asked_again_and_the_next_visit_is(url: str) -> None:
    """Elsewhere, an interrupt that was resolved fires again after a restart, or once for all visits."""
    graph = StateGraph(State, name="g")
    graph.add_node(add_a)
    graph.add_barrier("review")
    graph.add_barrier("publish")
    graph.add_edge(START, "add_a")
    graph.add_edge("add_a", "review")
    graph.add_edge("review", "add_a", when=lambda state: not state["review.approved"])
    graph.add_edge("review", "publish")
    graph.add_edge("publish", END)
    async with Engine(url) as engine:
        run = await engine.start(graph, id="r")
        await waits_at(run, "review")
        await run.reject("review", "too short")
        await waits_at(run, "review#2")
        await run.approve("review#2")
        await waits_at(run, "publish")
    async with Engine(url, graphs=[graph]) as engine:
        run = await engine.resume("r")
        assert [each.path for each in await run.barriers()] == ["publish"]
        await run.approve()
        assert (await run.result())["log"] == ["a", "a"]
        counted = await count(run)
        asked = {path: times for (kind, path), times in counted.items() if kind == "WaitOpened"}
        assert asked == {"review": 1, "review#2": 1, "publish": 1}
        assert [(each.path, each.outcome) for each in await decisions(run)] == [
            ("review", "answered"),
            ("review#2", "answered"),
            ("publish", "answered"),
        ]
