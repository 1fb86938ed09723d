"""SG7: who reads a stream may be late, slow, gone, or one of many, and changes nothing."""

import asyncio
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import pytest
from engine_bodies import double, in_process
from engine_kit import Gate, history, kinds, turns
from stream_kit import collect, line, of, paper, sound, step, until

from clew import END, START, Context, Engine, Graph, Retry, Run, StateGraph, fixed
from clew.engine import endings, feed
from clew.engine import stream_items as i
from clew.engine.feed import Emitted, Output
from clew.engine.narrator import Narrator
from clew.engine.stream_items import Custom, NodeProgress, NodeStarted
from clew.engine.streaming import AT_ONCE
from clew.kernel.topology import compile_graph

MODES = ("values", "changes", "custom", "debug")


async def papers(engine: Engine) -> Run:
    """A run that has ended and has much to tell."""
    run = await engine.start(paper(), {"topic": "cats"})
    await until(run, i.BarrierWaiting)
    await run.reject("review", "no", by="eva")
    await until(run, i.BarrierWaiting, path="review#2")
    await run.approve("review#2", by="ada")
    await run.result()
    return run


def chain(length: int) -> StateGraph:
    """A loop of so many steps."""
    g = StateGraph({"n": int}, name="chain", max_steps=length + 1)

    async def count(state: Any) -> dict[str, int]:
        return {"n": state.get("n", 0) + 1}

    g.add_node(count)
    g.add_edge(START, "count")
    g.add_edge("count", "count", when=lambda s: s["n"] < length)
    g.add_edge("count", END)
    return g


# Late -------------------------------------------------------------------------------------------------------


async def test_a_stream_goes_on_from_every_event() -> None:
    async with Engine("memory:") as engine:
        run = await papers(engine)
        past = len(await history(run)) + 2
        each = [(("debug", "values"), 1), *(((mode,), 7) for mode in MODES)]
        for modes, stride in each:
            everything = await collect(run, *modes)
            for after in range(0, past, stride):
                rest = [item for item in everything if item.seq > after]
                assert await collect(run, *modes, after=after) == rest, (modes, after)


async def test_one_that_was_interrupted_at_any_item_loses_nothing() -> None:
    """Who keeps the number of the last event that it has seen all items of is shown the others again."""
    async with Engine("memory:") as engine:
        run = await papers(engine)
        everything = await collect(run)
        for place in range(len(everything)):
            seen = everything[: place + 1]
            whole = [item.seq for item in seen if not item.more]
            after = whole[-1] if whole else 0
            kept = [item for item in seen if item.seq <= after]
            assert [*kept, *await collect(run, after=after)] == everything


async def test_live_and_from_the_journal_are_the_same() -> None:
    gates = [Gate(), Gate()]

    async def first(state: Any) -> dict[str, Any]:
        await gates[0].wait()
        return {"text": "a"}

    async def second(state: Any) -> dict[str, Any]:
        await gates[1].wait()
        return {"log": ["b"]}

    async with Engine("memory:") as engine:
        run = await engine.start(line(step, first, second))
        early = asyncio.ensure_future(collect(run))
        await gates[0].arrivals()
        middle = (await history(run))[-1].seq
        gates[0].open()
        await gates[1].arrivals()
        late = asyncio.ensure_future(collect(run, after=middle))
        values = asyncio.ensure_future(collect(run, "values", after=middle))
        await asyncio.sleep(0)
        gates[1].open()
        await run.result()
        everything = await sound(run)
        assert await early == everything
        assert await late == [item for item in everything if item.seq > middle]
        assert [item.state for item in await values] == [
            {"log": ["step"], "round": 1, "text": "a"},
            {"log": ["step", "b"], "round": 1, "text": "a"},
        ]


# Slow, gone, many -------------------------------------------------------------------------------------------


async def test_a_slow_consumer_does_not_hold_a_run_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends while nobody reads, and what waits for the reader stays within its bound."""
    monkeypatch.setattr(feed, "QUEUE", 5)
    async with Engine("memory:") as engine:
        run = await engine.start(chain(40))
        driver = engine.driver_of(run.id)
        assert driver is not None
        stream = run.stream(("debug", "values"))
        got = [await anext(stream)]
        await run.result()
        (guest,) = driver.feed._guests
        assert len(guest._items) <= 5
        got += [item async for item in stream]
        assert got == await sound(run)
        assert len(of(got, i.NodeFinished)) == 40
        assert not driver.feed._guests


async def test_a_consumer_that_leaves_changes_nothing() -> None:
    async with Engine("memory:") as engine:
        undisturbed = await papers(engine)
        run = await engine.start(paper(), {"topic": "cats"})
        driver = engine.driver_of(run.id)
        assert driver is not None
        async with aclosing(run.stream("debug")) as stream:  # type: ignore[type-var]
            async for item in stream:
                if isinstance(item, NodeStarted) and item.node == "library":
                    break
        cancelled = asyncio.ensure_future(collect(run))
        await until(run, i.BarrierWaiting)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert (await run.status()).state == "running"
        assert [x.path for x in await run.barriers()] == ["review"]
        await turns(lambda: not driver.feed._guests)
        await run.reject("review", "no", by="eva")
        await until(run, i.BarrierWaiting, path="review#2")
        await run.approve("review#2", by="ada")
        await run.result()
        assert await kinds(run) == await kinds(undisturbed)


async def test_a_consumer_that_raises_is_alone_with_it() -> None:
    async def reads(run: Run) -> None:
        async for _ in run.stream("debug"):
            raise RuntimeError("a consumer's own fault")

    async with Engine("memory:") as engine:
        run = await engine.start(chain(10))
        with pytest.raises(RuntimeError, match="own fault"):
            await reads(run)
        assert (await run.result())["n"] == 10


async def test_all_consumers_see_the_same() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(chain(20))
        all_of_them = await asyncio.gather(*(collect(run) for _ in range(3)), collect(run, "debug"))
        assert all_of_them[0] == all_of_them[1] == all_of_them[2] == await sound(run)
        without_values = [(x.seq, type(x)) for x in all_of_them[0] if not isinstance(x, i.Values)]
        assert [(x.seq, type(x)) for x in all_of_them[3]] == without_values


async def test_who_catches_up_lets_others_have_their_turn() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(chain(4 * AT_ONCE))
        await run.result()
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        beside = asyncio.ensure_future(tick())
        assert await collect(run, "values", after=10_000) == []
        beside.cancel()
        assert ticks >= len(await history(run)) // AT_ONCE


# What is no fact --------------------------------------------------------------------------------------------


async def test_what_bodies_emit_and_what_makes_it_void() -> None:
    async def talks(ctx: Context) -> None:
        ctx.progress(0.5, "half")
        ctx.emit({"token": f"a{ctx.attempt}"})
        ctx.emit("b")
        print("printed")
        if ctx.attempt == 1:
            raise OSError("lost the line")

    g = StateGraph({"n": int})
    g.add_node(talks, retry=Retry(max_attempts=2, backoff=fixed(0)))
    g.add_node(lambda ctx: ctx.emit("quiet"), "after")
    g.add_edge(START, "talks")
    g.add_edge("talks", "after")
    g.add_edge("after", END)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        items = await collect(run, "custom")
        assert [(x.path, x.attempt, x.item if isinstance(x, Custom) else type(x).__name__) for x in items] == [
            ("talks", 1, "NodeProgress"),
            ("talks", 1, {"token": "a1"}),
            ("talks", 1, "b"),
            ("talks", 2, "NodeStarted"),
            ("talks", 2, "NodeProgress"),
            ("talks", 2, {"token": "a2"}),
            ("talks", 2, "b"),
            ("after", 1, "quiet"),
        ]
        assert items[0] == NodeProgress(
            path="talks", node="talks", attempt=1, span_id=items[1].span_id, fraction=0.5, message="half"
        )
        assert [x.index for x in of(items, Custom)] == [0, 1, 0, 1, 0]
        assert items[3].discards
        assert items[3].span_id == items[5].span_id != items[1].span_id
        assert {x.seq for x in of(items, Custom)} == {None}
        # Nobody has kept them, and what makes them void is a fact.
        assert await collect(run, "custom") == [items[3]]
        assert await collect(run, "custom", after=items[3].seq) == []


async def test_bodies_in_other_processes_are_heard() -> None:
    g = Graph("g")
    g.add(in_process, 3)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        items = await collect(run, "debug")
        assert [x.item for x in of(items, Custom)] == [{"x": 3}]
        assert [x.fraction for x in of(items, NodeProgress)] == [0.5]
        started = of(items, NodeStarted)[0]
        assert items.index(started) < items.index(of(items, Custom)[0]) < items.index(of(items, i.NodeFinished)[0])


async def test_what_comes_too_late_is_not_shown() -> None:
    """Who has fallen behind may find items of an attempt in the queue that is over by now."""

    async def fails_once(ctx: Context) -> None:
        if ctx.attempt == 1:
            raise OSError("not yet")

    g = Graph("g")
    g.add(fails_once, retry=Retry(max_attempts=2, backoff=fixed(0)))
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await run.result()
        narrator = Narrator(run.id, compile_graph(g.spec()))
        for recorded in await history(run):
            narrator.tell(recorded)
        assert narrator.tell_ephemeral(Emitted("fails_once", 1, 0, "x")) is None
        assert narrator.tell_ephemeral(Emitted("nobody", 1, 0, "x")) is None
        assert narrator.tell_ephemeral(Output("fails_once", 2, "stdout", "x")) is None
        assert isinstance(narrator.tell_ephemeral(Emitted("fails_once", 2, 0, "x")), Custom)


# Bounds -----------------------------------------------------------------------------------------------------


async def test_the_log_at_the_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "ENTRIES", 3)
    async with Engine("memory:") as engine:
        run = await engine.start(chain(10))
        last = (await collect(run))[-1]
        assert [entry.path for entry in last.log] == ["count#8", "count#9", "count#10"]
        assert last.omitted == 7
        g = Graph("g")
        g.add(double, 1)
        short = (await collect(await engine.start(g)))[-1]
        assert (len(short.log), short.omitted) == (1, 0)


async def test_a_change_is_told_by_what_was_added() -> None:
    """Following a list that grows costs what it grows by, not what it is."""

    async def talk(state: Any) -> dict[str, Any]:
        return {"log": [f"word {len(state.get('log', []))}"]}

    async with Engine("memory:") as engine:
        g = line(talk)
        g.add_edge("talk", "talk", when=lambda s: len(s["log"]) < 30)
        run = await engine.start(g)
        grown = [x.changes["log"] for x in await collect(run, "changes") if "log" in x.changes]
        assert [(change.items, change.at) for change in grown[1:]] == [([f"word {n}"], n) for n in range(1, 30)]
        states = [x.state.get("log", []) for x in await collect(run, "values")]
        assert all(len(after) == len(before) + 1 for before, after in pairwise(states))
