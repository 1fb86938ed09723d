"""What `clew.journal.port` promises of deleting, packing and sweeping, and of definitions that are not there."""

from collections.abc import Callable

import pytest
from journal_samples import EVERY_EVENT, append, blob, commit, elsewhere, ended_process, same, some_events, write

from clew.errors import (
    MissingDefinitionError,
    RefusedError,
    RunBusyError,
    RunConflictError,
    RunFencedError,
    StorageError,
    UnknownRunError,
)
from clew.journal.ownership import LEASE_S, this_process
from clew.journal.port import AGE_STEP_S, Journal
from clew.journal.records import LogLine, RunFilter, Snapshot, Sweep
from clew.kernel import events as e

GRAPH = blob(b'{"name":"g"}')
LARGE = blob(b'"' + b"x" * 5_000 + b'"')
OTHER = blob(b'"other"')
NOTHING = Sweep(0, 0, 0)


def at(when: float) -> list[e.AnyEvent]:
    return [e.RunStarted(at=when)]


async def is_kept(journal: Journal, digest: str) -> bool:
    try:
        await journal.blob(digest)
    except StorageError as error:
        assert "is missing" in str(error)
        return False
    return True


# Definitions -------------------------------------------------------------------------------------------


async def test_a_run_without_its_definition_is_refused_and_touches_nothing(journal: Journal) -> None:
    bad = append("a", 0, definition=GRAPH.digest, blobs=[OTHER], snapshot=Snapshot(1, b"{}"), labels={"k": "v"})
    before, refused, behind = await commit(journal, append("b", 0), bad, append("c", 0))
    assert (before, behind) == (None, None)
    assert isinstance(refused, MissingDefinitionError)
    assert isinstance(refused, StorageError)
    assert f"{GRAPH.digest[:12]}… of run a is not in the journal; send it along" in str(refused)
    assert await journal.row("a") is None
    assert [row.run for row in await journal.rows()] == ["c", "b"]
    assert await journal.rows(RunFilter(labels={"k": "v"})) == []
    assert not await is_kept(journal, OTHER.digest)
    assert await journal.snapshot("a") is None
    bad.blobs.append(GRAPH)
    await write(journal, bad)
    await write(journal, append("d", 0, definition=GRAPH.digest))
    assert await journal.blob(GRAPH.digest) == GRAPH.data


async def test_a_run_that_exists_is_a_conflict_whatever_its_definition(journal: Journal) -> None:
    await write(journal, append("a", 0))
    (refused,) = await commit(journal, append("a", 0, definition=GRAPH.digest))
    assert isinstance(refused, RunConflictError)


async def test_only_a_new_run_needs_its_definition(journal: Journal) -> None:
    await write(journal, append("a", 0))
    await write(journal, append("a", 1, definition=GRAPH.digest))


# Deleting ----------------------------------------------------------------------------------------------


async def fill(journal: Journal, run: str, **row: object) -> int:
    """A run with something of everything; returns its signal."""
    events = append("", 0, 3).events
    await write(
        journal,
        append(run, 0, events, blobs=[LARGE], snapshot=Snapshot(2, b"{}"), labels={"k": "v", "": "\0"}, **row),
    )
    await journal.write_logs(run, [LogLine("n", 1, 1.0, "stdout", "x")])
    return await journal.post(run, b"1", 1.0, "ann")


async def test_nothing_is_left_of_a_run_that_is_deleted(make: Callable[[], Journal]) -> None:
    journal = make()
    await journal.open()
    item, kept = await fill(journal, "a"), await fill(journal, "b")
    await journal.take_key("a", "n", "1")
    await journal.delete("a", 1.0)
    for again in (False, True):
        if again:
            await journal.close()
            journal = make()
            await journal.open()
        assert await journal.row("a") is None
        assert [row.run for row in await journal.rows()] == ["b"]
        assert [row.run for row in await journal.rows(RunFilter(labels={"k": "v", "": "\0"}))] == ["b"]
        assert await journal.count() == await journal.count(RunFilter(labels={"": "\0"})) == 1
        assert await journal.read("a") == []
        assert await journal.snapshot("a") is None
        assert await journal.read_logs("a") == []
        assert [waiting.id for waiting in await journal.inbox()] == [kept]
        assert await journal.outcome(item) == "there is no such signal"
        assert await journal.keys() == []
        assert (len(await journal.read("b")), len(await journal.read_logs("b"))) == (3, 1)
    await journal.close()


async def test_a_run_may_be_there_again_after_it_was_deleted(journal: Journal) -> None:
    item = await fill(journal, "a")
    await journal.delete("a", 1.0)
    (fenced,) = await commit(journal, append("a", 3))
    assert isinstance(fenced, RunFencedError)
    await write(journal, append("a", 0, 2, name="new"))
    assert len(await journal.read("a")) == 2
    assert await journal.snapshot("a") is None
    assert await journal.inbox("a") == await journal.read_logs("a") == []
    assert await journal.rows(RunFilter(labels={"k": "v"})) == []
    assert await journal.post("a", b"2", 1.0, "") > item


async def test_a_run_that_is_driven_is_not_deleted(journal: Journal) -> None:
    far, gone = elsewhere("far"), ended_process()
    for owner in (far, gone):
        journal.renew(owner, 100.0)
    await write(
        journal,
        append("a", 0, owner="far"),
        append("b", 0, owner=gone.id),
        append("c", 0, owner="far", state="failed", ended_at=1.0),
        append("d", 0, owner="never heard of"),
    )
    with pytest.raises(RunBusyError, match=r"run a is being driven by far .*, which is alive"):
        await journal.delete("a", 100.0 + LEASE_S)
    assert len(await journal.read("a")) == 1
    for run in "bcd":
        await journal.delete(run, 100.0 + LEASE_S)
    assert [row.run for row in await journal.rows()] == ["a"]
    await journal.delete("a", 100.1 + LEASE_S)
    assert await journal.count() == 0


async def test_what_is_not_there_cannot_be_deleted_or_packed(journal: Journal) -> None:
    with pytest.raises(UnknownRunError, match="no run x"):
        await journal.delete("x", 1.0)
    with pytest.raises(UnknownRunError, match="no run x"):
        await journal.pack("x")


# Packing -----------------------------------------------------------------------------------------------


async def stored_events(journal: Journal, run: str, limit: int) -> list[e.AnyEvent]:
    found: list[e.AnyEvent] = []
    while page := await journal.read(run, len(found), limit):
        assert [one.seq for one in page] == list(range(len(found) + 1, len(found) + len(page) + 1))
        assert len(page) <= limit + 10_000
        found += [one.event for one in page]
    return found


async def test_a_packed_run_reads_as_before(make: Callable[[], Journal]) -> None:
    journal = make()
    await journal.open()
    events = EVERY_EVENT * 20
    for start in range(0, len(events), 7):
        await write(journal, append("a", start, events[start : start + 7], snapshot=Snapshot(1, b"x" * 100)))
    await write(journal, append("b", 0, EVERY_EVENT))
    end = len(events) + 1
    await write(journal, append("a", end - 1, at(9.0), state="completed", ended_at=9.0))
    saved = await journal.pack("a")
    assert saved >= 100
    assert await journal.snapshot("a") is None
    await journal.close()
    again = make()
    await again.open()
    for limit in (1, 100, 100_000):
        assert same(await stored_events(again, "a", limit), [*events, *at(9.0)])
    (last,) = await again.read("a", end - 1)
    assert (last.seq, last.event) == (end, at(9.0)[0])
    assert await again.read("a", end) == []
    assert len(await again.read("b")) == len(EVERY_EVENT)
    row = await again.row("a")
    assert row is not None
    assert (row.state, row.seq) == ("completed", end)
    assert await again.pack("a") == 0
    await again.close()


async def test_a_run_that_goes_on_is_not_packed(journal: Journal) -> None:
    await write(journal, append("a", 0, 3, state="running", snapshot=Snapshot(1, b"{}")))
    with pytest.raises(RefusedError, match=r"run a has not ended \(running\)"):
        await journal.pack("a")
    assert await journal.snapshot("a") == Snapshot(1, b"{}")


async def test_a_packed_run_goes_on_and_is_packed_again(journal: Journal) -> None:
    await write(journal, append("a", 0, 50, state="failed", ended_at=1.0))
    await journal.pack("a")
    retried = e.RunRetried(at=2.0, generation=2)
    await write(journal, append("a", 50, [retried, *some_events(60)], state="running"))
    for _ in range(2):
        found = await stored_events(journal, "a", 10)
        assert same(found, [*some_events(50), retried, *some_events(60)])
        with pytest.raises(RefusedError):
            await journal.pack("a")
    await write(journal, append("a", 111, 1, state="failed", ended_at=3.0, snapshot=Snapshot(100, b"{}")))
    await journal.pack("a")
    assert same(
        await stored_events(journal, "a", 10), [*some_events(50), retried, *some_events(60), *some_events(1)]
    )
    await write(journal, append("a", 112, 1, state="running"))
    assert len(await journal.read("a", 111)) == 2


async def test_a_packed_run_is_deleted_like_any_other(journal: Journal) -> None:
    await write(journal, append("a", 0, 50, state="failed", ended_at=1.0))
    await journal.pack("a")
    await journal.delete("a", 1.0)
    assert await journal.read("a") == []
    await write(journal, append("a", 0, 2))
    assert len(await journal.read("a")) == 2


# Sweeping ----------------------------------------------------------------------------------------------


async def test_values_go_when_no_run_needs_them(journal: Journal) -> None:
    await write(
        journal,
        append("a", 0, at(10.0), definition=GRAPH.digest, blobs=[GRAPH, LARGE]),
        append("b", 0, at(10.0), definition=GRAPH.digest),
        append("c", 0, at(10.0), blobs=[OTHER]),
    )
    await write(journal, append("b", 1, at(20.0), blobs=[LARGE]))
    assert await journal.sweep(1_000.0) == NOTHING
    await journal.delete("a", 1.0)
    await journal.delete("c", 1.0)
    expected = Sweep(1, len(OTHER.data), 0)
    assert await journal.sweep(1_000.0, dry_run=True) == expected
    assert await is_kept(journal, OTHER.digest)
    assert await journal.sweep(1_000.0) == expected
    assert not await is_kept(journal, OTHER.digest)
    assert await journal.sweep(1_000.0) == NOTHING
    assert await is_kept(journal, LARGE.digest)
    assert await is_kept(journal, GRAPH.digest)
    await journal.delete("b", 1.0)
    assert await journal.sweep(1_000.0) == Sweep(2, len(LARGE.data) + len(GRAPH.data), 0)
    assert not await is_kept(journal, GRAPH.digest)


async def test_a_run_without_a_definition_keeps_none(journal: Journal) -> None:
    await write(journal, append("a", 0, at(10.0), blobs=[OTHER]), append("b", 0, at(10.0), blobs=[LARGE]))
    await journal.delete("a", 1.0)
    assert (await journal.sweep(1_000.0)).blobs == 1
    assert await is_kept(journal, LARGE.digest)


async def test_a_refused_append_refers_to_nothing(journal: Journal) -> None:
    await write(journal, append("a", 0, at(10.0), blobs=[OTHER]), append("b", 0))
    await commit(journal, append("b", 7, at(10.0), blobs=[OTHER]))
    await journal.delete("a", 1.0)
    assert (await journal.sweep(1_000.0)).blobs == 1


async def test_young_values_stay(journal: Journal) -> None:
    await write(journal, append("a", 0, at(100.0), blobs=[OTHER]))
    await write(journal, append("a", 1, at(200.0), blobs=[LARGE]))
    await journal.delete("a", 1.0)
    assert await journal.sweep(100.0) == NOTHING
    assert (await journal.sweep(200.0)).blobs == 1
    assert await is_kept(journal, LARGE.digest)
    assert (await journal.sweep(200.1)).blobs == 1


async def test_a_definition_is_as_young_as_its_newest_run(journal: Journal) -> None:
    later = 100.0 + 10 * AGE_STEP_S
    await write(journal, append("a", 0, at(100.0), definition=GRAPH.digest, blobs=[GRAPH]))
    await write(journal, append("b", 0, at(later), definition=GRAPH.digest))
    await write(journal, append("c", 0, at(50.0), definition=GRAPH.digest))
    # What the run itself would do to it, nobody else does: neither a refused run nor an append.
    await commit(journal, append("a", 0, at(2 * later), definition=GRAPH.digest))
    await write(journal, append("a", 1, at(2 * later)))
    for run in "abc":
        await journal.delete(run, 1.0)
    assert await journal.sweep(later) == NOTHING
    assert (await journal.sweep(later + 0.1)).blobs == 1


async def test_owners_go_when_they_are_dead_and_have_no_work(journal: Journal) -> None:
    now = 1_000.0
    mine, gone = this_process("mine"), ended_process()
    old, idle = elsewhere("old"), elsewhere("idle")
    for owner in (mine, gone):
        journal.renew(owner, now)
    for owner in (old, idle):
        journal.renew(owner, now - LEASE_S - 1)
    await write(journal, append("a", 0, owner="old"), append("b", 0, owner="idle", state="failed", ended_at=1.0))
    assert (await journal.sweep(now, dry_run=True)).owners == 2
    assert (await journal.sweep(now)).owners == 2
    assert (await journal.sweep(now)).owners == 0
    with pytest.raises(RunBusyError):
        await journal.acquire("a", mine, now - LEASE_S)
    assert await journal.live_owners(now - LEASE_S) == {mine.id, "old"}
    await write(journal, append("a", 1, owner="old", state="failed", ended_at=1.0))
    assert (await journal.sweep(now)).owners == 1
    assert await journal.live_owners(now) == {mine.id}


# Reclaiming --------------------------------------------------------------------------------------------


async def test_reclaiming_loses_nothing(journal: Journal) -> None:
    large = [blob(b'"%d' % i + b"x" * 50_000 + b'"') for i in range(20)]
    await write(journal, append("a", 0, at(1.0), blobs=large), append("b", 0, 5, blobs=[LARGE]))
    await journal.delete("a", 1.0)
    await journal.sweep(1_000.0)
    freed = await journal.reclaim()
    assert freed > 900_000 or journal.url == "memory:"
    assert await journal.reclaim() < 10_000
    assert len(await journal.read("b")) == 5
    assert await journal.blob(LARGE.digest) == LARGE.data
    await write(journal, append("b", 5, 1_000))
    assert len(await journal.read("b", 0, 5_000)) == 1_005
