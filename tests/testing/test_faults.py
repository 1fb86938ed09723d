"""The faulty journal is a journal: it passes calls on, fails those it is told to, and is silent when dead."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clew.errors import StorageError
from clew.journal.entries import Act, Cause, Query
from clew.journal.memory import MemoryJournal
from clew.journal.ownership import this_process
from clew.journal.port import Journal
from clew.journal.records import Append, LogLine, RunFilter, RunRow
from clew.kernel.events import RunStarted
from clew.testing import CrashPlan, Faults, FaultyJournal, SimulatedCrash
from clew.testing.faults import CALLS

OWNER = this_process("mine")

#: One call of each, in an order in which each has something to tell.
EXAMPLES: dict[str, Callable[[Journal], Any]] = {
    "row": lambda j: j.row("a"),
    "rows": lambda j: j.rows(RunFilter(states=("queued",)), limit=1, before="b"),
    "count": lambda j: j.count(RunFilter(name="x")),
    "due": lambda j: j.due(1.0, 1),
    "next_wake": lambda j: j.next_wake(),
    "read": lambda j: j.read("a", 0, 1),
    "snapshot": lambda j: j.snapshot("a"),
    "post": lambda j: j.post("a", b"1", 1.0, "ann"),
    "inbox": lambda j: j.inbox("a"),
    "outcome": lambda j: j.outcome(7),
    "note": lambda j: j.note("a", "text"),
    "write_logs": lambda j: j.write_logs("a", [LogLine("n", 1, 1.0, "stdout", "x")]),
    "read_logs": lambda j: j.read_logs("a", "n", 0, 1),
    "take_key": lambda j: j.take_key("a", "n", "k"),
    "keys": lambda j: j.keys(),
    "remember": lambda j: j.remember(Act(operation="store", namespace="n", key="k", data=b"1")),
    "entry": lambda j: j.entry("n", "k"),
    "entries": lambda j: j.entries(Query(namespace="n")),
    "spaces": lambda j: j.spaces(),
    "take_back": lambda j: j.take_back(Cause(run="a", epoch=1, path="n")),
    "changes": lambda j: j.changes("a"),
    "learn": lambda j: j.learn([], 1.0),
    "learned": lambda j: j.learned("g"),
    "acquire": lambda j: j.acquire("b", OWNER, 1.0),
    "renew": lambda j: j.renew(OWNER, 2.0),
    "live_owners": lambda j: j.live_owners(3.0),
    "free_dead": lambda j: j.free_dead(3.0),
    "release": lambda j: j.release("b", OWNER),
    "retire": lambda j: j.retire(OWNER),
    "pack": lambda j: j.pack("c"),
    "delete": lambda j: j.delete("b", 1.0),
    "sweep": lambda j: j.sweep(1.0, dry_run=True),
    "reclaim": lambda j: j.reclaim(),
    "blob": lambda j: j.blob("d"),
}


async def told(call: Callable[[Journal], Any], journal: Journal) -> object:
    """What a call says, or the text of what it raises."""
    try:
        answer = call(journal)
        return await answer if isinstance(answer, Awaitable) else answer
    except StorageError as error:
        return str(error)


def filled() -> MemoryJournal:
    journal = MemoryJournal()
    rows = [RunRow(run="a", seq=1, name="x"), RunRow(run="b", seq=1), RunRow(run="c", seq=1, ended_at=2.0)]
    outcomes: list[Exception | None] = []
    appends = [Append(row=row, after=0, events=[RunStarted(at=1.0)]) for row in rows]
    journal.commit(appends, outcomes.extend)
    assert outcomes == [None] * 3
    return journal


def test_every_call_of_a_journal_can_fail() -> None:
    calls = {name for name, member in vars(Journal).items() if inspect.isfunction(member) and name[0] != "_"}
    assert calls - {"open", "close", "commit", "version"} == set(CALLS) == set(EXAMPLES)
    for name in calls:
        assert inspect.signature(getattr(FaultyJournal, name)) == inspect.signature(getattr(Journal, name)), name


def test_every_call_is_passed_on() -> None:
    async def scenario() -> None:
        plain, faulty = filled(), FaultyJournal(filled(), Faults())
        for name, call in EXAMPLES.items():
            assert str(await told(call, faulty)) == str(await told(call, plain)), name
        assert [row.run for row in await faulty.rows()] == ["c", "a"]
        assert faulty.version() == 0
        await faulty.close()
        with pytest.raises(StorageError, match="closed"):
            await faulty.rows()

    asyncio.run(scenario())


@pytest.mark.parametrize("name", CALLS)
def test_a_call_fails_when_it_is_told_to(name: str) -> None:
    async def scenario() -> None:
        inner = filled()
        faulty = FaultyJournal(inner, Faults(fail_at=frozenset({1})))
        assert await told(EXAMPLES[name], faulty) == f"the disk failed at {name} (on purpose)"
        assert [row.note for row in await inner.rows()] == ["", "", ""]
        assert str(await told(EXAMPLES[name], faulty)) == str(await told(EXAMPLES[name], filled()))

    asyncio.run(scenario())


@pytest.mark.parametrize("name", CALLS)
def test_a_dead_process_makes_no_call(name: str) -> None:
    async def scenario() -> None:
        inner = filled()
        faulty = FaultyJournal(inner, Faults(crash=CrashPlan(at_commit=1, durable=False)))
        outcomes: list[Exception | None] = []
        faulty.commit([Append(row=RunRow(run="d", seq=0), after=0, events=[])], outcomes.extend)
        with pytest.raises(SimulatedCrash):
            await told(EXAMPLES[name], faulty)
        assert outcomes == []
        assert await inner.count() == 3

    asyncio.run(scenario())
