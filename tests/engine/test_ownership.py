"""Start is idempotent by id; a run has one owner; bodies that are not found park a run."""

import asyncio
import contextlib
from collections.abc import Awaitable
from pathlib import Path

import pytest
from engine_bodies import double, numbers
from engine_kit import Gate, Later, count, history, kinds, seen, turns

from clew import (
    Context,
    Engine,
    Graph,
    RefusedError,
    RunBusyError,
    RunConflictError,
    RunFencedError,
    StorageError,
    UnresolvedBodyError,
)
from clew.bodies.functions import find
from clew.graphs.body_data import FunctionBody
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
            engine.resume("r"),
            engine.start(g, id="r"),
            engine.resume_all(),
            engine.resume("r"),
            taken(run.pause()),
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


def test_a_script_that_is_only_looked_through_starts_no_engine(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import asyncio\nfrom clew import Engine\n\nasync def body():\n    return 1\n\n"
        "async def main():\n    async with Engine('memory:'):\n        pass\n\nasyncio.run(main())\n"
    )
    known = FunctionBody("__main__:body", script=str(script))
    with pytest.raises(UnresolvedBodyError, match="__main__"):
        find(known, {})
