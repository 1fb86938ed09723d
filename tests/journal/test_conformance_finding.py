"""What `clew.journal.port` promises of finding runs: pages and counts of what fits, what is due, who is alive."""

import random
from typing import Any

import pytest
from journal_samples import append, elsewhere, ended_process, write
from msgspec.structs import replace

from clew.journal.ownership import LEASE_S, this_process
from clew.journal.port import Journal
from clew.journal.records import Append, InboxOutcome, RunFilter, RunRow

ENDED = ("completed", "failed", "cancelled")
STATES = ("queued", "running", "paused", "stopping", *ENDED)


async def runs(journal: Journal, **wanted: Any) -> str:
    """The runs that fit, each named by one letter; the count says the same."""
    rows = await journal.rows(RunFilter(**wanted))
    assert len(rows) == await journal.count(RunFilter(**wanted))
    return "".join(row.run for row in rows)


async def ready(journal: Journal, now: float = 100.0, limit: int = 100) -> str:
    rows = await journal.due(now, limit)
    assert rows == [await journal.row(row.run) for row in rows]
    return "".join(row.run for row in rows)


# Pages and counts --------------------------------------------------------------------------------------


async def test_everything_is_counted(journal: Journal) -> None:
    assert await journal.count() == 0
    await write(journal, *(append(f"r{i}", 0) for i in range(7)))
    assert await journal.count() == 7


async def test_runs_are_found_by_time_and_by_having_ended(journal: Journal) -> None:
    await write(
        journal,
        append("a", 0, state="completed", created_at=1.0, ended_at=10.0),
        append("b", 0, state="failed", created_at=2.0, ended_at=20.0),
        append("c", 0, state="running", created_at=3.0),
        append("d", 0, state="paused", created_at=4.0, name="x"),
    )
    assert await runs(journal, unfinished=True) == "dc"
    assert await runs(journal, unfinished=True, name="x") == "d"
    assert await runs(journal, unfinished=True, states=("running", "failed")) == "c"
    assert await runs(journal, unfinished=True, states=ENDED) == ""
    assert await runs(journal, ended_before=20.0) == "a"
    assert await runs(journal, ended_before=20.5) == "ba"
    assert await runs(journal, ended_before=20.5, states=("failed", "running")) == "b"
    assert await runs(journal, ended_before=20.5, states=("running",)) == ""
    assert await runs(journal, ended_before=20.5, unfinished=True) == ""
    assert await runs(journal, created_before=3.0) == "ba"
    assert await runs(journal, created_before=4.5, unfinished=True) == "dc"
    assert await runs(journal, created_before=2.0, ended_before=50.0) == "a"


async def test_a_run_is_found_in_its_state_of_now(journal: Journal) -> None:
    await write(journal, append("a", 0, state="running"))
    await write(journal, append("a", 1, state="failed", ended_at=2.0))
    assert await runs(journal, states=("running",)) == ""
    assert await runs(journal, states=("failed",)) == "a"
    await write(journal, append("a", 2, state="running"))
    assert await runs(journal, states=("failed",)) == ""
    assert await runs(journal, states=("running",)) == await runs(journal, unfinished=True) == "a"
    await write(journal, append("a", 3, state="completed", ended_at=3.0))
    assert await runs(journal, states=("completed", "failed", "completed")) == "a"


def some_row(chance: random.Random, run: str) -> RunRow:
    state = chance.choice(STATES)
    return RunRow(
        run=run,
        name=chance.choice("xy"),
        state=state,
        seq=1,
        created_at=float(chance.randrange(10)),
        ended_at=float(chance.randrange(10)) if state in ENDED else None,
        labels={key: chance.choice("12") for key in "kl" if chance.random() < 0.5},
    )


def some_filter(chance: random.Random) -> RunFilter:
    def maybe(value: Any, nothing: Any = None) -> Any:
        return value if chance.random() < 0.4 else nothing

    return RunFilter(
        states=maybe(tuple(chance.choices(STATES, k=chance.randint(1, 4))), ()),
        name=maybe(chance.choice("xyz"), ""),
        labels=maybe({key: chance.choice("12") for key in chance.choice(["k", "l", "kl"])}, {}),
        ended_before=maybe(float(chance.randrange(12))),
        created_before=maybe(float(chance.randrange(12))),
        unfinished=chance.random() < 0.2,
    )


@pytest.mark.parametrize("seed", range(3))
async def test_pages_of_any_filter_are_what_fits_newest_first(journal: Journal, seed: int) -> None:
    """Told by the plain words of the contract; whatever way a journal finds them, it finds the same."""
    chance = random.Random(seed)
    rows = [some_row(chance, f"r{i}") for i in range(60)]
    await write(journal, *(Append(row=row, after=0, events=append("", 0).events) for row in rows))
    for _ in range(60):
        wanted = some_filter(chance)
        fitting = [
            row.run
            for row in reversed(rows)
            if (not wanted.states or row.state in wanted.states)
            and (not wanted.name or row.name == wanted.name)
            and all(row.labels.get(key) == value for key, value in wanted.labels.items())
            and (wanted.ended_before is None or (row.ended_at is not None and row.ended_at < wanted.ended_before))
            and (wanted.created_before is None or row.created_at < wanted.created_before)
            and (not wanted.unfinished or row.ended_at is None)
        ]
        found: list[str] = []
        while page := await journal.rows(wanted, limit=7, before=found[-1] if found else ""):
            assert len(page) <= 7
            found += [row.run for row in page]
        assert found == fitting, wanted
        assert await journal.count(wanted) == len(fitting), wanted


# Due ---------------------------------------------------------------------------------------------------


async def test_what_is_not_idle_and_nobodys_is_due(journal: Journal) -> None:
    await write(
        journal,
        append("a", 0, state="running"),
        append("b", 0, state="running", owner="somebody"),
        append("c", 0, state="completed", ended_at=1.0),
        append("d", 0, state="running", imported=True),
        append("e", 0, state="paused"),
        append("f", 0, state="running", idle=True),
        append("g", 0, state="queued", wake_at=1e9),
    )
    assert sorted(await ready(journal)) == ["a", "g"]
    assert len(await ready(journal, limit=1)) == 1
    assert await ready(journal, limit=0) == ""


async def test_an_idle_run_is_due_when_its_time_has_come(journal: Journal) -> None:
    await write(
        journal,
        append("a", 0, state="running", idle=True, wake_at=100.5),
        append("b", 0, state="running", idle=True, wake_at=100.0),
        append("c", 0, state="running", idle=True, wake_at=50.0),
        append("d", 0, state="paused", idle=True, wake_at=50.0),
        append("e", 0, state="running", idle=True, wake_at=50.0, owner="somebody"),
        append("f", 0, state="failed", ended_at=1.0, idle=True, wake_at=50.0),
        append("g", 0, state="running", idle=True, wake_at=50.0, imported=True),
        append("h", 0, state="running", wake_at=200.0),
    )
    assert await ready(journal, 49.9) == "h"
    assert await ready(journal, 50.0) == "hc"
    assert await ready(journal, 100.0) == "hcb"
    assert await ready(journal, 101.0) == "hcba"
    assert await ready(journal, 101.0, limit=3) == "hcb"


async def test_a_run_is_due_when_a_signal_waits_for_it(journal: Journal) -> None:
    await write(
        journal,
        append("a", 0, state="running", idle=True),
        append("b", 0, state="paused", idle=True),
        append("c", 0, state="running", idle=True, owner="somebody"),
        append("d", 0, state="failed", ended_at=1.0),
        append("e", 0, state="running", idle=True, imported=True),
        append("f", 0, state="running", idle=True, wake_at=50.0),
        append("g", 0, state="paused"),
    )
    assert await ready(journal) == "f"
    items = {run: await journal.post(run, b"1", 1.0, "") for run in "abcdefg"}
    await journal.post("a", b"2", 1.0, "")
    assert await ready(journal) == "fabg"
    await write(journal, append("b", 1, state="paused", idle=True, inbox=[InboxOutcome(items["b"])]))
    assert await ready(journal) == "fag"
    assert await ready(journal, limit=2) == "fa"


async def test_being_idle_changes_with_every_append_and_with_the_owner(journal: Journal) -> None:
    mine = elsewhere("mine")
    await write(journal, append("a", 0, state="running"))
    assert await ready(journal) == "a"
    await journal.acquire("a", mine, 100.0)
    assert await ready(journal) == ""
    await write(journal, append("a", 1, epoch=2, state="running", idle=True, wake_at=500.0, owner=mine.id))
    assert await journal.next_wake() is None
    await journal.release("a", mine)
    assert await ready(journal) == ""
    assert await journal.next_wake() == 500.0
    assert await ready(journal, 500.0) == "a"
    await journal.acquire("a", mine, 100.0)
    await write(journal, append("a", 2, epoch=3, state="running", owner=mine.id))
    await journal.retire(mine)
    assert await ready(journal) == "a"
    assert await journal.next_wake() is None


async def test_the_next_wake_is_the_earliest_of_those_that_sleep(journal: Journal) -> None:
    assert await journal.next_wake() is None
    await write(
        journal,
        append("a", 0, state="running", idle=True, wake_at=70.0),
        append("b", 0, state="running", idle=True, wake_at=60.0),
        append("c", 0, state="running", idle=True),
        append("d", 0, state="paused", idle=True, wake_at=1.0),
        append("e", 0, state="running", wake_at=2.0),
        append("f", 0, state="running", idle=True, wake_at=3.0, owner="somebody"),
        append("g", 0, state="running", idle=True, wake_at=4.0, imported=True),
        append("h", 0, state="failed", idle=True, wake_at=5.0, ended_at=6.0),
    )
    assert await journal.next_wake() == 60.0
    await write(journal, append("b", 1, state="completed", ended_at=61.0))
    assert await journal.next_wake() == 70.0


# Owners ------------------------------------------------------------------------------------------------


async def test_the_living_are_told(journal: Journal) -> None:
    assert await journal.live_owners(100.0) == set()
    mine, far, gone = this_process("mine"), elsewhere("far"), ended_process()
    for owner in (mine, far, gone, replace(mine, id="other", started="1")):
        journal.renew(owner, 100.0)
    assert await journal.live_owners(100.0) == {mine.id, "far"}
    journal.renew(far, 110.0)
    assert await journal.live_owners(101.0 + LEASE_S) == {"far"}
    await journal.retire(far)
    assert await journal.live_owners(101.0) == {mine.id}


async def test_what_is_listed_is_ones_own(journal: Journal) -> None:
    await write(journal, append("a", 0))
    for row in [*(await journal.rows()), *(await journal.due(1.0))]:
        row.state = "failed"
    assert [row.state for row in await journal.rows()] == ["queued"]
