"""How SQLite keeps a journal small: packed rows, and what happens to them when they are damaged or raced for."""

import asyncio
import random
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from journal_samples import EVERY_EVENT, append, blob, commit, same, some_events, write

from clew.errors import RefusedError, StorageError
from clew.journal import sqlite_housekeeping as housekeeping
from clew.journal import upcast
from clew.journal.records import Snapshot
from clew.journal.sqlite import SqliteJournal
from clew.kernel import events as e


def query(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql).fetchall()


async def ended_run(journal: SqliteJournal, run: str, events: list[e.AnyEvent], size: int) -> list[e.AnyEvent]:
    """A run of many appends that has ended; returns all of its events."""
    for start in range(0, len(events), size):
        await write(journal, append(run, start, events[start : start + size]))
    last = append(run, len(events), 1, state="completed", ended_at=9.0)
    await write(journal, last)
    return [*events, *last.events]


async def test_many_rows_become_few_and_small(
    sqlite: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "PACK_BYTES", 100_000)
    events = await ended_run(sqlite, "a", EVERY_EVENT * 60, 5)
    await write(
        sqlite, append("a", len(events), [], state="completed", ended_at=9.0, snapshot=Snapshot(1, b"x" * 70))
    )
    ((rows, plain),) = query(path, "SELECT count(*), sum(length(CAST(data AS BLOB))) FROM events")
    saved = await sqlite.pack("a")
    ((packs, size),) = query(path, "SELECT count(*), sum(length(data)) FROM packs")
    assert plain > 2 * housekeeping.PACK_BYTES
    assert (rows, packs) == (len(EVERY_EVENT) * 12 + 1, 4)
    assert size < plain / 5
    assert saved == plain + 70 - size
    assert query(path, "SELECT * FROM events") == query(path, "SELECT * FROM snapshots") == []
    assert same([one.event for one in await sqlite.read("a", 0, 1_000_000)], events)
    for (data,) in query(path, "SELECT data FROM packs"):
        assert isinstance(msgspec.json.decode(zlib.decompress(data)), list)


async def test_packs_do_not_grow_without_bound(sqlite: SqliteJournal, path: Path) -> None:
    events = await ended_run(sqlite, "a", some_events(25_000), 3_000)
    await sqlite.pack("a")
    counts = [count for (count,) in query(path, "SELECT count FROM packs ORDER BY seq")]
    assert sum(counts) == len(events)
    assert max(counts) <= housekeeping.PACK_EVENTS
    assert len(counts) == 3
    assert len(await sqlite.read("a", 0, 1)) == counts[0]


async def test_what_does_not_get_smaller_stays_as_it_is(sqlite: SqliteJournal, path: Path) -> None:
    await write(sqlite, append("a", 0, [e.RunStarted(at=1.0)], state="failed", ended_at=1.0))
    before = query(path, "SELECT * FROM events")
    assert await sqlite.pack("a") == 0
    assert query(path, "SELECT * FROM events") == before
    assert query(path, "SELECT * FROM packs") == []


async def test_events_of_several_formats_are_packed_apart(
    sqlite: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(sqlite, append("a", 0, 50), append("a", 50, 50))
    monkeypatch.setattr(upcast, "VERSION", e.VERSION + 1)
    monkeypatch.setattr(upcast, "UPCASTERS", (*upcast.UPCASTERS, lambda event: event))
    monkeypatch.setattr("clew.journal.sqlite_append.VERSION", e.VERSION + 1)
    await write(sqlite, append("a", 100, 50, state="failed", ended_at=1.0))
    await sqlite.pack("a")
    assert query(path, "SELECT seq, count, version FROM packs") == [
        (100, 100, e.VERSION),
        (150, 50, e.VERSION + 1),
    ]
    assert len(await sqlite.read("a", 0, 1_000)) == 150
    monkeypatch.undo()
    with pytest.raises(StorageError, match=r"run a: events 101 to 150 cannot be read: .* newer Clew"):
        await sqlite.read("a")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            "UPDATE events SET data = substr(data, 1, 20) WHERE seq = 10",
            "events 1 to 31 cannot be read, and are not",
        ),
        ("UPDATE events SET data = '[]' WHERE seq = 20", "are not packed: .*damaged"),
        ("UPDATE events SET data = '[' || substr(data, instr(data, '}') + 2) WHERE seq = 20", "30 instead of 31"),
        ("UPDATE events SET version = 99 WHERE seq = 20", "newer Clew"),
    ],
)
async def test_what_cannot_be_read_is_not_packed(sqlite: SqliteJournal, path: Path, change: str, why: str) -> None:
    await ended_run(sqlite, "a", some_events(30), 10)
    await write(sqlite, append("a", 31, [], state="completed", ended_at=9.0, snapshot=Snapshot(1, b"{}")))
    query(path, change)
    before = query(path, "SELECT * FROM events")
    with pytest.raises(StorageError, match=why):
        await sqlite.pack("a")
    assert query(path, "SELECT * FROM events") == before
    assert query(path, "SELECT * FROM packs") == []
    assert await sqlite.snapshot("a") is not None


async def test_a_gap_stays_a_gap(sqlite: SqliteJournal, path: Path) -> None:
    await ended_run(sqlite, "a", some_events(300), 100)
    query(path, "DELETE FROM events WHERE seq = 200")
    await sqlite.pack("a")
    assert query(path, "SELECT seq, count FROM packs") == [(100, 100), (301, 101)]
    assert len(await sqlite.read("a", 0, 1)) == 100
    with pytest.raises(StorageError, match="events 101 to 200 cannot be read: they are missing"):
        await sqlite.read("a")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE packs SET data = substr(data, 1, 20)", "they are damaged: Error -5"),
        ("UPDATE packs SET data = x'ffff'", "they are damaged: Error -3"),
        ("UPDATE packs SET count = 30", "events 2 to 31 cannot be read"),
        ("DELETE FROM packs", None),
    ],
)
async def test_packs_that_were_edited_are_told(
    sqlite: SqliteJournal, path: Path, change: str, why: str | None
) -> None:
    await ended_run(sqlite, "a", some_events(30), 10)
    await sqlite.pack("a")
    await write(sqlite, append("a", 31, 1, state="running"))
    query(path, change)
    with pytest.raises(StorageError, match=why or "they are missing"):
        await sqlite.read("a")


async def test_a_value_whose_bytes_have_changed_is_told(sqlite: SqliteJournal, path: Path) -> None:
    value = blob(b"x" * 100_000)
    await write(sqlite, append("a", 0, blobs=[value]))
    query(path, "UPDATE blobs SET data = CAST(replace(CAST(data AS TEXT), 'xx', 'xy') AS BLOB)")
    with pytest.raises(StorageError, match=f"the value {value.digest} is damaged: .* Restore the file"):
        await sqlite.blob(value.digest)


# Races -------------------------------------------------------------------------------------------------


async def in_the_middle(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]
) -> int | Exception:
    """Pack run a, and do something just before what was read is replaced."""
    packed = housekeeping._packed

    def then(where: str, batches: list[Any]) -> Any:
        made = packed(where, batches)
        asyncio.run(work())
        return made

    monkeypatch.setattr(housekeeping, "_packed", then)
    try:
        return await journal.pack("a")
    except Exception as error:
        return error
    finally:
        monkeypatch.undo()


async def test_a_run_that_is_taken_up_while_it_is_packed_stays_as_it_is(
    sqlite: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SqliteJournal(path, "process")
    await other.open()
    await ended_run(sqlite, "a", some_events(30), 10)

    async def retry() -> None:
        await write(other, append("a", 31, 1, state="running"))

    async def end() -> None:
        await write(other, append("a", 32, 1, state="failed", ended_at=2.0))

    assert "has not ended (running)" in str(await in_the_middle(sqlite, monkeypatch, retry))
    await end()
    assert len(await sqlite.read("a")) == 33

    async def again() -> None:
        await write(other, append("a", 33, 1, state="running"))
        await write(other, append("a", 34, 1, state="failed", ended_at=3.0))

    said = await in_the_middle(sqlite, monkeypatch, again)
    assert isinstance(said, RefusedError)
    assert "taken up again while it was packed; nothing was changed" in str(said)
    assert query(path, "SELECT * FROM packs") == []
    assert len(await sqlite.read("a")) == 35
    await other.close()


async def test_two_who_pack_the_same_run_lose_nothing(
    sqlite: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SqliteJournal(path, "process")
    await other.open()
    events = await ended_run(sqlite, "a", some_events(30), 10)

    async def pack() -> None:
        monkeypatch.undo()
        assert await other.pack("a") > 0

    said = await in_the_middle(sqlite, monkeypatch, pack)
    assert isinstance(said, RefusedError)
    assert "packed by another process at the same time" in str(said)
    assert same([one.event for one in await other.read("a")], events)
    await other.close()


async def test_a_run_that_is_deleted_while_it_is_packed_is_gone(
    sqlite: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SqliteJournal(path, "process")
    await other.open()
    await ended_run(sqlite, "a", some_events(30), 10)
    said = await in_the_middle(sqlite, monkeypatch, lambda: other.delete("a", 1.0))
    assert "there is no run a" in str(said)
    for table in ("runs", "events", "packs", "snapshots", "labels", "blob_refs", "inbox", "logs", "keys"):
        assert query(path, f"SELECT * FROM {table}") == []
    await other.close()


async def test_nothing_of_a_deleted_run_is_left_in_any_table(sqlite: SqliteJournal, path: Path) -> None:
    """Whatever table a later version adds: what names a run goes with it."""
    await write(sqlite, append("a", 0, labels={"k": "v"}, blobs=[blob(b"1")], snapshot=Snapshot(1, b"{}")))
    await sqlite.post("a", b"1", 1.0, "")
    await sqlite.take_key("a", "n", "k")
    tables = [name for (name,) in query(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
    naming = [
        t for t in tables if any(found[2] == "runs" for found in query(path, f"PRAGMA foreign_key_list({t})"))
    ]
    assert set(naming) == {*housekeeping._OF_RUN, "labels"}
    await sqlite.delete("a", 1.0)
    assert [query(path, f"SELECT * FROM {table}") for table in naming] == [[]] * len(naming)


async def test_commits_go_on_while_a_run_is_packed(sqlite: SqliteJournal, path: Path) -> None:
    await ended_run(sqlite, "a", EVERY_EVENT * 200, 50)
    packing = asyncio.ensure_future(sqlite.pack("a"))
    seq = 0
    while not packing.done():
        (outcome,) = await commit(sqlite, append("b", seq))
        assert outcome is None
        seq += 1
    assert await packing > 0
    assert len(await sqlite.read("b", 0, 100_000)) == seq


@pytest.mark.parametrize("seed", range(3))
async def test_any_batches_survive_packing(sqlite: SqliteJournal, seed: int) -> None:
    chance = random.Random(seed)
    events = [chance.choice(EVERY_EVENT) for _ in range(500)]
    start = 0
    while start < len(events):
        size = chance.choice([1, 2, 50])
        part = events[start : start + size]
        start += len(part)
        done = {"state": "failed", "ended_at": 1.0} if start == len(events) or chance.random() < 0.2 else {}
        await write(sqlite, append("a", start - len(part), part, **done))
        if done:
            await sqlite.pack("a")
        after = chance.randrange(start)
        assert same([one.event for one in await sqlite.read("a", after, 9_999)], events[after:start])


async def test_the_file_itself_shrinks(sqlite: SqliteJournal, path: Path) -> None:
    await write(sqlite, append("a", 0, blobs=[blob(b"%d" % i + b"x" * 50_000) for i in range(40)]))
    await sqlite.close()
    await sqlite.open()
    await sqlite.delete("a", 1.0)
    assert (await sqlite.sweep(1_000.0)).blobs == 40
    large = path.stat().st_size
    saved = await sqlite.reclaim()
    assert saved > 0.9 * large > 900_000
    # The log is empty as well, so that what was saved is there for others.
    assert path.with_name("clew.db-wal").stat().st_size == 0
    assert path.stat().st_size < 0.1 * large
    await write(sqlite, append("b", 0))


async def test_space_is_given_back_while_somebody_reads(sqlite: SqliteJournal, path: Path) -> None:
    """What cannot be cut off yet is only kept for later."""
    await write(sqlite, append("a", 0, 5), append("b", 0, blobs=[blob(b"x" * 500_000)]))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (2,)
        await sqlite.delete("b", 1.0)
        assert await sqlite.reclaim() >= 0
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (2,)
    assert len(await sqlite.read("a")) == 5
    await sqlite.sweep(1_000.0)
    assert await sqlite.reclaim() > 400_000
