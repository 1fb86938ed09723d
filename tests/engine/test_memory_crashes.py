"""A run that changes the memory dies at every call of its journal, done and not done; goes on, and is undone."""

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest

from clew import Context, Graph, RunFailedError, memory
from clew.journal.entries import Act
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

SPACE = "n"


async def talk(ctx: Context, known: Any) -> Any:
    notes = ctx.memory(SPACE)
    await notes.update("a", {"talked": True})
    await notes.delete("b")
    return known


async def fails(known: Any, fail: bool) -> Any:
    if fail:
        raise ValueError("on purpose")
    return known


def graph() -> Graph:
    g = Graph("g", rollback=True)
    first = g.add(memory("store", namespace=SPACE, key="a", value={"n": 1}), id="a")
    second = g.add(memory("update", namespace=SPACE, key="b", value={"n": 2}), id="b")
    known = g.add(memory("search", namespace=SPACE), id="known", depends_on=[first, second])
    g.add(fails, g.add(talk, known), g.input("fail", bool))
    return g


def live(journal: MemoryJournal, crash: CrashPlan, start_s: float, *, fail: bool) -> tuple[str, int]:
    """One life of a process: how the run ended, empty if it died before; and how many calls were made."""
    faulty = FaultyJournal(journal, Faults(crash=crash))

    async def main() -> str:
        async with CrashingEngine(faulty, clock=VirtualClock(asyncio.get_running_loop())) as engine:
            run = await engine.start(graph(), {"fail": fail}, id="r")
            with contextlib.suppress(RunFailedError):
                await run.result()
            return (await run.status()).state

    return run_virtual(run_until_crash(main(), faulty.crashed), start_s=start_s) or "", faulty.faults.calls


def begun() -> MemoryJournal:
    """A journal in which something is remembered."""
    journal = MemoryJournal()
    asyncio.run(journal.remember(Act(operation="store", namespace=SPACE, key="b", data=b'{"old":true}')))
    return journal


def left(journal: MemoryJournal) -> dict[str, str | None]:
    """What is in the memory."""
    return {key: entry.data for (_, key), entry in journal.shelf._entries.items() if entry.data is not None}


AFTER = {True: {"b": '{"old":true}'}, False: {"a": '{"n":1,"talked":true}'}}


@pytest.mark.parametrize("fail", [False, True])
def test_wherever_it_dies_each_change_is_made_and_undone_once(fail: bool) -> None:
    die_everywhere(fail=fail, every=4)


@pytest.mark.slow
@pytest.mark.parametrize("fail", [False, True])
def test_wherever_at_all_it_dies(fail: bool) -> None:
    die_everywhere(fail=fail, every=1)


def die_everywhere(*, fail: bool, every: int) -> None:
    """Die at every so many calls, twice at the same one, and live on."""
    _, calls = live(begun(), CrashPlan(), 0.0, fail=fail)
    assert calls > 15
    for call in range(every, calls + 1, every):
        for durable in (False, True):
            journal, lives, state = begun(), 0, ""
            while not state:
                plan = CrashPlan(at_call=call, durable=durable) if lives < 2 else CrashPlan()
                state, _ = live(journal, plan, lives * 100.0, fail=fail)
                lives += 1
            assert state == ("rolled_back" if fail else "completed"), (call, durable)
            assert left(journal) == AFTER[fail], (call, durable)
            asyncio.run(check(journal, fail=fail))


async def check(journal: MemoryJournal, *, fail: bool) -> None:
    await journal.open()
    changes = await journal.changes("r")
    assert sorted((change.cause.path, change.cause.step, change.undone) for change in changes) == [
        ("a", "", fail),
        ("b", "", fail),
        ("talk", f"memory delete {SPACE}/b", fail),
        ("talk", f"memory update {SPACE}/a", fail),
    ]
    done = Counter(r.event.path for r in await journal.read("r") if isinstance(r.event, e.NodeCompleted))
    assert set(done.values()) == {1}
    assert sum("#undo" in path for path in done) == 4 * fail
