"""A simulated process dies when it is told to, at whatever it does, and leaves what a dead process leaves."""

import asyncio
from collections import Counter

import pytest

from clew import Graph
from clew.journal.memory import MemoryJournal
from clew.kernel import events as e
from clew.testing import (
    CrashingEngine,
    CrashPlan,
    Faults,
    FaultyJournal,
    VirtualClock,
    run_until_crash,
    run_virtual,
)

made: Counter[int] = Counter()


async def act() -> int:
    made[0] += 1
    return 1


def graph() -> Graph:
    g = Graph("g")
    g.add(act)
    return g


def live(journal: MemoryJournal, crash: CrashPlan, start_s: float = 0.0) -> int | None:
    faulty = FaultyJournal(journal, Faults(crash=crash))

    async def main() -> int:
        async with CrashingEngine(faulty, clock=VirtualClock(asyncio.get_running_loop())) as engine:
            run = await engine.start(graph(), id="r")
            return (await run.result())["act"]

    async def life() -> int | None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = await run_until_crash(main(), faulty.crashed)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not complaints
        return result

    made.clear()
    return run_virtual(life(), start_s=start_s)


def events_of(journal: MemoryJournal) -> list[type]:
    asyncio.run(journal.open())
    return [type(recorded.event) for recorded in asyncio.run(journal.read("r"))]


def test_a_life_without_a_death_counts_what_happens() -> None:
    crash = CrashPlan()
    assert live(MemoryJournal(), crash) == 1
    assert (crash.commits, crash.commands) == (2, 1)


@pytest.mark.parametrize("performed", [False, True])
def test_death_at_a_command_comes_after_its_commit(performed: bool) -> None:
    journal = MemoryJournal()
    assert live(journal, CrashPlan(at_command=1, performed=performed)) is None
    assert events_of(journal) == [e.RunAdmitted, e.RunStarted, e.AttemptStarted]
    assert made[0] <= performed
    assert live(journal, CrashPlan(), 20.0) == 1
    assert e.AttemptInterrupted in events_of(journal)


@pytest.mark.parametrize(("durable", "count"), [(False, 3), (True, 5)])
def test_death_at_a_commit(durable: bool, count: int) -> None:
    journal = MemoryJournal()
    assert live(journal, CrashPlan(at_commit=2, durable=durable)) is None
    assert len(events_of(journal)) == count
    assert live(journal, CrashPlan(), 20.0) == 1
    assert made[0] == (not durable)


@pytest.mark.parametrize("durable", [False, True])
def test_death_at_any_call(durable: bool) -> None:
    faults = Faults()

    async def count() -> None:
        async with CrashingEngine(
            FaultyJournal(MemoryJournal(), faults), clock=VirtualClock(asyncio.get_running_loop())
        ) as engine:
            await (await engine.start(graph(), id="r")).result()

    run_virtual(count())
    assert faults.calls > 4
    for call in range(1, faults.calls):
        journal = MemoryJournal()
        assert live(journal, CrashPlan(at_call=call, durable=durable)) is None, call
        assert live(journal, CrashPlan(), 20.0) == 1, call


def test_an_engine_that_does_not_die_is_closed_like_any() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        faulty = FaultyJournal(journal, Faults())
        async with CrashingEngine(faulty, clock=VirtualClock(asyncio.get_running_loop())) as engine:
            run = await engine.start(graph(), id="r")
            await run.result()
        with pytest.raises(Exception, match="closed"):
            await journal.row("r")

    run_virtual(main())
