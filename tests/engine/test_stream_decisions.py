"""SG7: what a run tells of decisions, waits and checkpoints."""

import asyncio
from typing import Any

import pytest
from engine_kit import Gate, pass_time
from stream_kit import State, line, of, one, plan_b, sound, step, until

from clew import END, START, Context, Engine, StateGraph
from clew.engine import stream_items as i
from clew.engine.state_changes import Delta
from clew.testing import VirtualClock, run_virtual

# Barriers ---------------------------------------------------------------------------------------------------


def asking(**options: Any) -> StateGraph:
    g = StateGraph(State)
    g.add_node(step)
    g.add_barrier("review", "Well?", shows="round", **options)
    g.add_edge(START, "step")
    g.add_edge("step", "review")
    g.add_edge("review", "step", when=lambda s: not s.get("review.approved", True))
    g.add_edge("review", END)
    return g


async def test_decisions_are_told_with_what_was_shown() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(asking())
        asked = await until(run, i.BarrierWaiting)
        assert (asked.text, asked.shows, asked.due, asked.default) == ("Well?", {"round": 1}, None, "reject")
        assert (asked.path, asked.step) == ("review", 2)
        assert [x.digest for x in await run.barriers()] == [asked.digest]
        await run.modify({"round": 7}, by="ada")
        changed = await until(run, i.BarrierWaiting, after=asked.seq)
        assert changed.shows == {"round": 7}
        assert changed.digest != asked.digest
        await run.reject("review", "no", by="eva", shown=changed.digest)
        await run.approve("review#2", standing=False, by="ada")
        await run.result()
        items = await sound(run)
    decided = [(x.path, x.decision, x.how, x.by, x.reason) for x in of(items, i.BarrierResolved)]
    assert decided[:2] == [
        ("review", "modify", "decided", "ada", ""),
        ("review", "reject", "decided", "eva", "no"),
    ]
    assert decided[2][:2] == ("review#2", "approve")
    assert of(items, i.BarrierResolved)[1].shown == changed.digest
    assert of(items, i.BarrierResolved)[0].changes == {"round": 7}
    by_hand = next(x for x in of(items, i.StateChanged) if x.by == "ada" and not x.source)
    assert by_hand.changes == {"round": Delta(value=7)}
    assert [x.by for x in of(items, i.StateChanged) if x.source in {"review", "review#2"}] == ["eva", "ada"]
    assert [x.kind for x in of(items, i.NodeStarted) if x.node == "review"] == ["barrier", "barrier"]


async def test_decisions_that_are_kept_stand_or_lead_elsewhere() -> None:
    async with Engine("memory:") as engine:
        gate = Gate()

        async def held(state: State) -> None:
            await gate.wait()

        g = asking()
        g.add_node(held)
        g.add_edge(START, "held", when=lambda s: True)
        g.add_edge("held", "step")
        run = await engine.start(g)
        await gate.arrivals()
        await run.reject("review", by="eva")
        await run.reroute(END, "review", by="ada", standing=True)
        gate.open()
        await run.result()
        items = await sound(run)
    decided = [(x.path, x.decision, x.how, x.by, x.target) for x in of(items, i.BarrierResolved)]
    assert decided == [
        ("review", "reject", "kept", "eva", None),
        ("review#2", "reroute", "standing", "ada", ""),
    ]
    assert of(items, i.EdgeTaken)[-1].why == "reroute"


@pytest.mark.parametrize("default", ["approve", "reject", "skip"])
def test_a_deadline_is_no_decision_of_a_person(default: str) -> None:
    async def main() -> list[Any]:
        async with Engine("memory:", clock=VirtualClock(asyncio.get_running_loop())) as engine:  # type: ignore[arg-type]
            run = await engine.start(asking(timeout=60, default=default))
            asked = await until(run, i.BarrierWaiting)
            assert asked.due == asked.at + 60
            assert asked.default == default
            if default == "reject":
                await pass_time(61)
                await run.approve("review#2", by="eva")
            await run.result()
            return await sound(run)

    items = run_virtual(main())
    first = of(items, i.BarrierResolved)[0]
    assert (first.decision, first.how, first.by) == (default, "expired", "")
    assert of(items, i.NodeFinished, "review")[0].duration_s == 60
    assert next(x for x in items[-1].log if x.path == "review").duration_s == 60


async def test_a_cancel_at_a_barrier_is_no_decision() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(asking())
        await until(run, i.BarrierWaiting)
        await run.cancel()
        await run.wait_ended()
        items = await sound(run)
    assert not of(items, i.BarrierResolved)
    assert one(items, i.NodeCancelled).path == "review"
    assert isinstance(items[-1], i.Cancelled)


# Waits and checkpoints --------------------------------------------------------------------------------------


async def test_waits_of_bodies_and_names_of_positions() -> None:
    async def asks(state: State, ctx: Context) -> dict[str, Any]:
        return {"text": await ctx.ask("Which?", key="which")}

    async with Engine("memory:") as engine:
        run = await engine.start(line(step, asks, checkpoints="manual"))
        waiting = await until(run, i.NodeWaiting)
        await run.checkpoint("before the answer", by="eva")
        await run.answer("this", by="ada")
        await run.result()
        items = await sound(run)
        assert [x.seq for x in of(items, i.CheckpointReached)] == [x.seq for x in await run.checkpoints()]
    assert (waiting.path, waiting.key, waiting.kind, waiting.step) == ("asks", "which", "answer", 2)
    woken = one(items, i.NodeWoken)
    assert (woken.path, woken.key, woken.outcome, woken.by) == ("asks", "which", "answered", "ada")
    named = next(x for x in of(items, i.CheckpointReached) if x.why == "named")
    assert (named.name, named.by) == ("before the answer", "eva")


async def test_checkpoints_are_those_of_the_policy() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(line(step, plan_b))
        await run.result()
        items = await sound(run)
        found = await run.checkpoints()
    reached = of(items, i.CheckpointReached)
    assert [(x.seq, x.step, x.why, x.path, x.next) for x in reached] == [
        (x.seq, x.step, x.why, x.path, x.next) for x in found
    ]
    assert [x.why for x in reached] == ["start", "step", "step", "end"]
