"""Start is idempotent by id; a run has one owner; who was fenced off stops; bodies that are not found park a run."""

import asyncio
import contextlib
from collections.abc import Awaitable

import pytest
from engine_bodies import double, numbers
from engine_kit import Gate, Later, count, history, kinds, seen, turns

from clew import (
    ClewError,
    Context,
    Engine,
    Graph,
    RefusedError,
    RunBusyError,
    RunConflictError,
    RunFailedError,
    RunFencedError,
    StorageError,
    UnknownRunError,
    UnresolvedBodyError,
)
from clew.journal.memory import MemoryJournal
from clew.kernel import events as e
from clew.kernel import signals as s


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


# The same id again -----------------------------------------------------------------------------------------


async def test_start_is_idempotent_by_id(url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine(url) as engine:
        runs = [await engine.start(g, id="r") for _ in range(2)]
        await gate.arrivals()
        runs.append(await engine.start(g, {"x": 1}, id="r"))
        gate.open()
        assert [dict(await run.result()) for run in runs] == [{"held": 1, "double": 2}] * 3
        again = await engine.start(g, id="r")
        assert dict(await again.result()) == {"held": 1, "double": 2}
    async with Engine(url) as engine:
        assert dict(await (await engine.start(g, id="r")).result()) == {"held": 1, "double": 2}
    assert made == [1]


@pytest.mark.parametrize("journal", ["memory:", "sqlite"])
async def test_many_starts_at_the_same_moment_are_one(journal: str, url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    gate.open()
    async with Engine(journal if journal == "memory:" else url) as engine:
        runs = await asyncio.gather(*(engine.start(g, id="r") for _ in range(10)))
        results = [dict(await run.result()) for run in runs]
        assert results == [{"held": 1, "double": 2}] * 10
        assert (await count(runs[0]))["OwnershipTaken", ""] == 0
    assert made == [1]


async def test_taking_up_at_the_same_moment_happens_once(url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    gate.open()
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.open_run("r")
        await asyncio.gather(
            engine.resume("r"), engine.start(g, id="r"), engine.resume_all(), engine.resume("r"), taken(run.pause())
        )
        await taken(run.resume())
        assert dict(await run.result()) == {"held": 1, "double": 2}
        assert (await count(run))["OwnershipTaken", ""] == 1
    assert made == [1, 1]


async def test_two_engines_that_start_the_same_run_at_once(url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    gate.open()
    async with Engine(url) as a, Engine(url) as b:
        runs = await asyncio.gather(*(engine.start(g, id="r") for engine in (a, b, a, b)))
        assert [dict(await run.result()) for run in runs] == [{"held": 1, "double": 2}] * 4
    assert made == [1]


async def test_another_graph_or_other_inputs_are_a_conflict(url: str) -> None:
    g = Graph("g")
    g.add(double, g.input("x", int))
    g.input("y", dict[str, int], default={"a": 1, "b": 2})
    other = Graph("g")
    other.add(numbers, other.input("x", int))
    async with Engine(url) as engine:
        await engine.start(g, {"x": 1}, id="r")
        await engine.start(g, {"x": 1, "y": {"b": 2, "a": 1}}, id="r")
        with pytest.raises(RunConflictError, match="x was 1, now 2"):
            await engine.start(g, {"x": 2}, id="r")
        with pytest.raises(RunConflictError, match="another graph"):
            await engine.start(other, {"x": 1}, id="r")


# Several engines -------------------------------------------------------------------------------------------


async def test_a_run_that_is_driven_elsewhere_is_busy(url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine(url) as a, Engine(url, graphs=[g]) as b:
        run = await a.start(g, id="r")
        await gate.arrivals()
        with pytest.raises(RunBusyError):
            await b.resume("r")
        assert await b.resume_all() == []
        assert (await b.runs())[0].note == ""
        gate.open()
        await run.result()
        assert await b.resume("r")
    assert made == [1]


async def test_a_fenced_run_stops_and_the_others_go_on(url: str) -> None:
    gate, stopped = Gate(), []

    async def held(x: int, ctx: Context) -> int:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            stopped.append(ctx.run_id)
            raise
        return x

    g = Graph("g")
    g.add(held, 1)
    async with Engine(url) as a, Engine(url, graphs=[g]) as b:
        lost, kept = await a.start(g, id="lost"), await a.start(g, id="kept")
        await gate.arrivals(2)
        waiter = asyncio.ensure_future(lost.result())
        await asyncio.sleep(0)
        await a.journal.release("lost", a._owner)
        other = await b.resume("lost")
        await gate.arrivals(3)
        with pytest.raises(RunFencedError):
            await a.tell("lost", s.Pause())
        with pytest.raises(RunFencedError):
            await waiter
        await turns(lambda: stopped == ["lost"])
        gate.open()
        assert dict(await kept.result()) == {"held": 1}
        assert dict(await other.result()) == {"held": 1}
        # Who asks again is told what has become of it.
        assert dict(await lost.result()) == {"held": 1}
        assert (await kinds(other)).count("AttemptInterrupted") == 1


async def test_a_ghost_makes_no_step_of_a_run_that_it_lost(url: str) -> None:
    gate, done, clock = Gate(), [], Later()

    async def body(ctx: Context) -> int:
        await gate.wait()
        await ctx.step("effect", done.append, ctx.attempt)
        return ctx.attempt

    g = Graph("g")
    g.add(body)
    async with Engine(url, clock=clock) as ghost, Engine(url, graphs=[g]) as other:
        run = await ghost.start(g, id="r")
        await gate.arrivals()
        await ghost.journal.release("r", ghost._owner)
        taken = await other.resume("r")
        await gate.arrivals(2)
        clock.ahead_s = 3600  # the ghost slept for an hour
        waiter = asyncio.ensure_future(run.result())
        await asyncio.sleep(0)
        gate.open()
        assert dict(await taken.result()) == {"body": 2}
        with pytest.raises(RunFencedError):
            await waiter
    assert done == [2]


async def test_a_refused_append_loses_the_run_and_says_why() -> None:
    class Full(MemoryJournal):
        full = False

        def commit(self, appends, done):  # type: ignore[no-untyped-def]
            if self.full:
                done([StorageError("the disk is full")] * len(appends))
            else:
                super().commit(appends, done)

    gate, made, journal = Gate(), [], Full()
    g = held_graph(gate, made)
    async with Engine(journal) as engine:
        run = await engine.start(g, id="r")
        await gate.arrivals()
        waiter = asyncio.ensure_future(run.result())
        stream = asyncio.ensure_future(seen(run, e.RunCompleted))
        await asyncio.sleep(0)
        journal.full = True
        gate.open()
        for waiting in (waiter, stream):
            with pytest.raises(StorageError, match="full"):
                await waiting
        with pytest.raises(StorageError):
            await engine.start(g, id="another")
        assert engine.driver_of("another") is None
        journal.full = False
        assert (await run.status()).state == "running"
        await engine.resume("r")
        assert dict(await run.result()) == {"held": 1, "double": 2}
    assert made == [1, 1]


# Bodies that are not found ---------------------------------------------------------------------------------


async def test_a_run_without_its_functions_is_parked(url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    async with Engine(url) as engine:
        with pytest.raises(UnresolvedBodyError, match="held"):
            await engine.resume("r")
        assert await engine.resume_all() == []
        row = (await engine.runs())[0]
        assert "held" in row.note
        assert row.owner == ""
        run = await engine.open_run("r")
        assert (await run.status()).state == "running"
        assert (await history(run))[-1].event.path == "held"  # type: ignore[union-attr]
    gate.open()
    async with Engine(url, graphs=[g]) as engine:
        (run,) = await engine.resume_all()
        assert dict(await run.result()) == {"held": 1, "double": 2}
        assert (await engine.runs())[0].note == ""


async def test_starting_again_gives_the_functions(url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    gate.open()
    async with Engine(url) as engine:
        assert dict(await (await engine.start(g, id="r")).result()) == {"held": 1, "double": 2}


async def test_a_damaged_run_does_not_keep_the_others_from_going_on(url: str) -> None:
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine(url) as engine:
        await engine.start(g, id="damaged")
        await engine.start(g, id="whole")
        await gate.arrivals(2)
    gate.open()
    import sqlite3

    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    with connection:
        connection.execute("UPDATE events SET data = 'torn' WHERE run = 1")
    connection.close()
    async with Engine(url, graphs=[g]) as engine:
        (run,) = await engine.resume_all()
        assert run.id == "whole"
        assert dict(await run.result()) == {"held": 1, "double": 2}
        with pytest.raises(StorageError):
            await engine.resume("damaged")
        assert [row.owner for row in await engine.runs() if row.run == "damaged"] == [""]


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
    gate, made = Gate(), []
    g = held_graph(gate, made)
    async with Engine("memory:") as engine:
        for turn in range(12):
            gate = made_gate = Gate()
            run = await engine.start(held_graph(made_gate, made))
            await gate.arrivals()
            gate.open()
            for _ in range(turn):
                await asyncio.sleep(0)
            await asyncio.gather(taken(run.pause()), run.cancel(), taken(run.resume()), taken(run.retry()))
            try:
                await run.result()
            except RunFailedError as error:
                assert "cancelled" in str(error)
        assert engine._drivers == {}


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
        assert [r for r in await history(run)][before:] == [] or (await kinds(run))[before:] == ["OwnershipTaken"]


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
