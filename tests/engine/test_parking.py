"""Runs that only wait are let go of, and are there when they are due: for a moment, an answer, a message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from engine_kit import Later, pass_time, turns, until_idle

from clew import Context, Engine, Graph, RefusedError, Run
from clew.engine import drivers
from clew.errors import InvalidInputError
from clew.journal.ownership import LEASE_S, this_process
from clew.journal.records import Owner
from clew.kernel import events as e
from clew.testing import VirtualClock, run_virtual

HOUR_S = 3_600.0


async def nap(ctx: Context, seconds: float) -> float:
    await ctx.sleep(seconds)
    return seconds


async def approve(ctx: Context) -> bool:
    return await ctx.ask("Ship it?", type=bool, key="ship")


async def listen(ctx: Context) -> list[int]:
    return [await ctx.receive("number", type=int, key=f"number {i}") for i in range(2)]


def graph_of(body: object, **inputs: object) -> Graph:
    g = Graph("waits")
    g.add(body, id="n", **inputs)
    return g


@pytest.fixture(autouse=True)
def _park_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "IDLE_S", 2.0)


@asynccontextmanager
async def virtual_engine(journal: str = "memory:", **options: object) -> AsyncIterator[Engine]:
    loop = asyncio.get_running_loop()
    async with Engine(journal, clock=VirtualClock(loop), **options) as engine:
        yield engine


async def until_parked(engine: Engine, run: Run) -> None:
    """In virtual time: a run is parked a few seconds after it has become idle."""
    for _ in range(100):
        if engine.driver_of(run.id) is None:
            return
        await pass_time(1)
    raise AssertionError(f"{run} is not parked")


def test_a_sleeping_run_leaves_memory_and_wakes_to_the_second() -> None:
    async def main() -> None:
        async with virtual_engine() as engine:
            run = await engine.start(graph_of(nap, seconds=HOUR_S))
            began = asyncio.get_running_loop().time()
            await until_parked(engine, run)
            assert (await engine.runs())[0].idle
            result = await run.result()
            assert result["n"] == HOUR_S
            assert asyncio.get_running_loop().time() - began == pytest.approx(HOUR_S, abs=2)

    run_virtual(main())


def test_streams_and_results_outlive_the_parking() -> None:
    async def main() -> None:
        async with virtual_engine() as engine:
            run = await engine.start(graph_of(nap, seconds=100.0))
            seen = [type(recorded.event) async for recorded in run.events()]
            assert seen[-1] is e.RunCompleted
            assert seen.count(e.AttemptStarted) == 1
            assert e.AttemptResumed in seen

    run_virtual(main())


def test_a_parked_run_is_asked_and_answered() -> None:
    async def main() -> None:
        async with virtual_engine() as engine:
            run = await engine.start(graph_of(approve))
            await until_parked(engine, run)
            (question,) = await run.questions()
            assert (question.node, question.key, question.question.text) == ("n", "ship", "Ship it?")
            with pytest.raises(InvalidInputError):
                await run.answer("perhaps")
            await run.answer(True, by="ada", shown=question.digest)
            assert (await run.result())["n"] is True
            with pytest.raises(RefusedError, match="does not ask"):
                await run.answer(True)

    run_virtual(main())


def test_a_parked_run_receives_messages_in_order() -> None:
    async def main() -> None:
        async with virtual_engine() as engine:
            run = await engine.start(graph_of(listen))
            await until_parked(engine, run)
            await run.send("number", 1)
            await until_parked(engine, run)
            await run.send("number", 2, by="ada")
            assert (await run.result())["n"] == [1, 2]
            with pytest.raises(RefusedError, match="ended"):
                await run.send("number", 3)

    run_virtual(main())


def test_a_parked_run_is_cancelled_at_once() -> None:
    async def main() -> None:
        async with virtual_engine() as engine:
            run = await engine.start(graph_of(approve))
            await until_parked(engine, run)
            await run.cancel("no need")
            assert (await run.status()).state == "cancelled"

    run_virtual(main())


def test_of_many_idle_runs_few_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "MAX_IDLE", 5)
    monkeypatch.setattr(drivers, "IDLE_S", 1e9)

    async def main() -> None:
        async with virtual_engine() as engine:
            runs = [await engine.start(graph_of(nap, seconds=50.0 + i)) for i in range(40)]
            await pass_time(5)
            assert len(engine._drivers.by_run) == 5
            results = await asyncio.gather(*(run.result() for run in runs))
            assert [result["n"] for result in results] == [50.0 + i for i in range(40)]

    run_virtual(main())


async def test_an_answer_of_another_process_wakes_a_parked_run(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "IDLE_S", 0.0)
    monkeypatch.setattr(drivers, "COUNT_S", 0.0)
    async with Engine(url) as driving, Engine(url, drives=False) as looking:
        run = await driving.start(graph_of(approve), id="r")
        await turns(lambda: driving.driver_of("r") is None)
        other = await looking.open_run("r")
        await other.answer(True, by="ada")
        assert (await run.result())["n"] is True
        assert looking.driver_of("r") is None


async def test_who_does_not_drive_answers_a_run_that_nobody_drives(url: str) -> None:
    async with Engine(url) as engine:
        await engine.start(graph_of(approve), id="r")
        await until_idle(engine)
    async with Engine(url, drives=False) as telling:
        run = await telling.open_run("r")
        await run.answer(False)
        status = await run.status()
        assert (status.state, status.nodes[0].state) == ("running", "ready")  # it is answered, and starts nothing
    async with Engine(url, graphs=[graph_of(approve)]) as engine:
        assert (await (await engine.resume("r")).result())["n"] is False


async def test_after_a_restart_waiting_runs_are_taken_up_when_they_are_due(url: str) -> None:
    clock = Later()
    g = graph_of(nap, seconds=1000.0)
    async with Engine(url, clock=clock) as engine:
        for number in range(5):
            await engine.start(g, id=f"r{number}")
        await until_idle(engine, 5)
    async with Engine(url, graphs=[g], clock=clock) as engine:
        assert await engine.resume_all() == []
        assert len(engine._drivers.by_run) == 0
        clock.ahead_s = 1001.0
        for number in range(5):
            assert (await (await engine.open_run(f"r{number}")).result())["n"] == 1000.0


def test_an_answer_that_was_given_in_time_beats_the_timer(tmp_path: Path) -> None:
    """The answer lies in the inbox, and nobody has looked, when the deadline comes."""

    async def decide(ctx: Context) -> str:
        return await ctx.ask("Which?", choices=["left", "right"], deadline=50, default="right")

    g = graph_of(decide)
    url = f"sqlite:///{tmp_path / 'clew.db'}"

    async def ask() -> None:
        async with virtual_engine(url) as engine:
            await engine.start(g, id="r")
            await pass_time(10)

    async def answer() -> None:
        async with virtual_engine(url, drives=False) as engine:
            (question,) = await (await engine.open_run("r")).questions()
            data = b'{"type":"Answer","path":"n","key":"%b","value":{"json":"left"}}' % question.key.encode()
            await engine.journal.post("r", data, engine.clock.now() + 49, "ada")

    async def late() -> str:
        loop = asyncio.get_running_loop()
        await pass_time(100)
        async with Engine(url, clock=VirtualClock(loop), graphs=[g]) as engine:
            return (await (await engine.resume("r")).result())["n"]

    run_virtual(ask())
    run_virtual(answer())
    assert run_virtual(late()) == "left"


async def test_what_was_due_while_the_machine_slept_happens_when_it_wakes(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop's clock stands still meanwhile, and the run is in memory, with its alarm far ahead."""
    monkeypatch.setattr(drivers, "IDLE_S", 1e9)
    clock = Later()
    async with Engine(url, clock=clock) as engine:
        run = await engine.start(graph_of(nap, seconds=1000.0))
        await until_idle(engine)
        clock.ahead_s = 990.0
        await turns(lambda: engine._drivers._drift > 900)
        assert engine.driver_of(run.id) is not None
        clock.ahead_s = 1001.0
        assert (await run.result())["n"] == 1000.0


async def test_who_attends_takes_up_what_a_dead_process_has_left(url: str) -> None:
    entered: list[int] = []

    async def work(ctx: Context) -> int:
        entered.append(ctx.attempt)
        if ctx.attempt == 1:
            await asyncio.Event().wait()
        return ctx.attempt

    g = graph_of(work)
    dead = Owner(id="dead", host=this_process().host, pid=2**22 + 1, started="1")
    async with Engine(url) as first:
        await first.start(g, id="left")
        await turns(lambda: bool(entered))
    async with Engine(url, graphs=[g]) as attending:
        attending.journal.renew(dead, attending.clock.wall() - 2 * LEASE_S)
        await attending.journal.acquire("left", dead, attending.clock.wall())
        attending._drivers.attend()
        assert (await (await attending.open_run("left")).result())["n"] == 2
    assert entered == [1, 2]
