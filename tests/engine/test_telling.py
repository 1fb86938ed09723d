"""Runs are told to stop, to wait, to try again: at any moment, in this process and after it."""

import asyncio
import contextlib
from collections.abc import Awaitable

import pytest
from engine_bodies import double
from engine_kit import Gate, history, kinds, seen

from clew import (
    ClewError,
    Context,
    Engine,
    Graph,
    RefusedError,
    RunFailedError,
    UnknownRunError,
)
from clew.kernel import events as e


async def taken(signal: Awaitable[None]) -> None:
    """Tell a run something that its state may not allow."""
    with contextlib.suppress(RefusedError):
        await signal


def held_graph(gate: Gate, made: list[int]) -> Graph:
    async def held(x: int) -> int:
        made.append(x)
        await gate.wait()
        return x

    g = Graph("held")
    g.add(double, g.add(held, g.input("x", int, default=1)))
    return g


# Cancelling, pausing, retrying -----------------------------------------------------------------------------


async def test_cancel_while_running_waiting_and_queued() -> None:
    gate = Gate()

    async def hang() -> None:
        await gate.wait()

    async def sleeps(ctx: Context) -> None:
        await ctx.sleep(3600)

    g = Graph("g")
    g.add(hang)
    g.add(sleeps)
    g.add(double, 1, depends_on=["hang"])
    async with Engine("memory:", max_concurrency=2) as engine:
        run = await engine.start(g)
        await gate.arrivals()
        await seen(run, e.AttemptSuspended)
        await run.cancel("no more", by="ann")
        with pytest.raises(RunFailedError, match="no more by ann"):
            await run.result()
        status = await run.status()
        assert status.state == "cancelled"
        assert status.reason == "no more by ann"
        assert {n.state for n in status.nodes} == {"cancelled"}
        await run.cancel("again")
        assert (await kinds(run)).count("RunCancelled") == 1

        other = Graph("other", max_concurrency=1)
        other.add(hang)
        holders = [await engine.start(other) for _ in range(2)]
        await gate.arrivals(3)
        queued = await engine.start(other)
        await queued.cancel()
        with pytest.raises(RunFailedError):
            await queued.result()
        gate.open()
        for holder in holders:
            await holder.result()
        assert engine._slots._free == {"": 2}


async def test_cancel_of_a_run_that_nobody_drives_starts_nothing(url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    async with Engine(url) as engine:
        run = await engine.open_run("r")
        await run.cancel()
        with pytest.raises(RunFailedError):
            await run.result()
    assert made == [1]


async def test_signals_at_the_moment_of_the_end_are_answered() -> None:
    async with Engine("memory:") as engine:
        for turn in range(12):
            gate = Gate()
            run = await engine.start(held_graph(gate, []))
            await gate.arrivals()
            gate.open()
            for _ in range(turn):
                await asyncio.sleep(0)
            await asyncio.gather(taken(run.pause()), run.cancel(), taken(run.resume()), taken(run.retry()))
            try:
                await run.result()
            except RunFailedError as error:
                assert "cancelled" in str(error)
        assert engine._drivers.by_run == {}


async def test_retry_keeps_done_work_and_makes_the_rest_anew(url: str) -> None:
    made: list[str] = []
    broken = True

    async def fine() -> int:
        made.append("fine")
        return 1

    async def item(x: int) -> int:
        made.append(f"item {x}")
        if x == 1 and broken:
            raise ValueError("broken")
        return x

    g = Graph("g")
    g.add(double, g.map(item, over=[0, 1, 2], id="m", depends_on=[g.add(fine)])[1])
    g.draft.max_concurrency = 1
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        with pytest.raises(RunFailedError, match="broken"):
            await run.result()
        broken = False
        await run.retry(by="ann")
        assert (await run.result())["double"] == 2
        assert (await run.status()).generation == 2
        assert await engine.start(g, id="r")
    assert made == ["fine", "item 0", "item 1", "item 1", "item 2"]


@pytest.mark.parametrize("again", ["same engine", "another"])
async def test_retry_of_a_cancelled_run(url: str, again: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await gate.arrivals()
        await run.cancel()
        with pytest.raises(RunFailedError):
            await run.result()
        gate.open()
        if again == "same engine":
            await run.retry()
            assert dict(await run.result()) == {"held": 1, "double": 2}
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.open_run("r")
        await taken(run.retry())
        assert dict(await run.result()) == {"held": 1, "double": 2}
    assert made == [1, 1]


async def test_a_retry_of_what_completed_changes_nothing(url: str) -> None:
    g = Graph("g")
    g.add(double, 1)
    async with Engine(url) as engine:
        run = await engine.start(g)
        await run.result()
        before = len(await history(run))
        with pytest.raises(RefusedError, match="completed"):
            await run.retry()
        assert dict(await run.result()) == {"double": 2}
        assert (await kinds(run))[before:] in ([], ["OwnershipTaken"])


async def test_pause_lets_what_runs_finish_and_survives_the_engine(url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await gate.arrivals()
        await run.pause(by="ann")
        gate.open()
        await seen(run, e.NodeCompleted, "held")
        assert (await run.status()).state == "paused"
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.open_run("r")
        assert (await run.status()).state == "paused"
        await run.resume(by="ann")
        assert dict(await run.result()) == {"held": 1, "double": 2}
    assert made == [1]


async def test_unknown_runs() -> None:
    async with Engine("memory:") as engine:
        for call in (engine.resume, engine.open_run):
            with pytest.raises(UnknownRunError):
                await call("nothing")
    with pytest.raises(ClewError, match="closed"):
        await engine.start(Graph("g"))
    with pytest.raises(ClewError, match="opened once"):
        await engine.open()
    with pytest.raises(ClewError, match="not open"):
        await Engine("memory:").resume("r")
