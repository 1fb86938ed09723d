"""What keeps a SQLite journal small: runs deleted and packed, values swept, space given back."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import zlib
from pathlib import Path
from typing import NamedTuple

import msgspec

from clew.errors import RefusedError, StorageError, UnknownRunError
from clew.journal.port import not_ended
from clew.journal.records import Sweep
from clew.journal.sqlite_connections import Connections
from clew.journal.sqlite_owners import dead_owners, number_of, refuse_if_busy
from clew.journal.sqlite_shelf import FORGOTTEN
from clew.journal.upcast import decode_events

#: A packed row ends at about so many bytes of JSON text, or so many events, whatever comes first.
PACK_BYTES = 1_000_000
PACK_EVENTS = 10_000

#: All that has rows of a run, but for `runs` itself.
_OF_RUN = ("events", "packs", "snapshots", "segments", "blob_refs", "inbox", "logs", "keys", "memory_changes")

_UNUSED = (
    "FROM blobs WHERE stored_at < ? AND digest NOT IN (SELECT digest FROM blob_refs) "
    "AND digest NOT IN (SELECT definition FROM runs)"
)


async def delete(db: Connections, run: str, now: float) -> None:
    """See `port.Journal.delete`."""

    def forget(connection: sqlite3.Connection) -> None:
        number = number_of(connection, run)
        sql = "SELECT owner, ended_at, labels FROM runs WHERE id = ?"
        owner, ended_at, labels = connection.execute(sql, (number,)).fetchone()
        if ended_at is None:
            refuse_if_busy(connection, run, owner, now)
        connection.executemany(
            "DELETE FROM labels WHERE key = ? AND value = ? AND run = ?",
            [(*label, number) for label in msgspec.json.decode(labels, type=dict[str, str]).items()],
        )
        for table in _OF_RUN:
            connection.execute(f"DELETE FROM {table} WHERE run = ?", (number,))  # noqa: S608 - names of our own
        connection.execute("DELETE FROM runs WHERE id = ?", (number,))

    await db.write_async(forget)


async def sweep(db: Connections, before: float, *, dry_run: bool) -> Sweep:
    """See `port.Journal.sweep`."""

    def take_away(connection: sqlite3.Connection) -> Sweep:
        blobs, size = connection.execute(
            f"SELECT count(*), coalesce(sum(length(data)), 0) {_UNUSED}", (before,)
        ).fetchone()
        owners = dead_owners(connection, before)
        if not dry_run:
            connection.execute(f"DELETE {_UNUSED}", (before,))
            connection.execute(FORGOTTEN)
            connection.executemany("DELETE FROM owners WHERE owner = ?", [(owner,) for owner in owners])
        return Sweep(blobs, size, len(owners))

    return await db.write_async(take_away)


async def reclaim(db: Connections) -> int:
    """See `port.Journal.reclaim`."""

    def rewrite(connection: sqlite3.Connection) -> int:
        before = _size(db.path)
        connection.execute("VACUUM")
        # The new file is in the log until then; a reader that is in the middle of something may keep it there.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return max(0, before - _size(db.path))

    return await db.write_async(rewrite, transaction=False)


def _size(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


# Packing -----------------------------------------------------------------------------------------------


class _Batch(NamedTuple):
    """A row of the table `events` without its run."""

    seq: int
    events: int
    version: int
    data: str


class _Pack(NamedTuple):
    """A row of the table `packs` without its run, and what it takes the place of."""

    seq: int
    events: int
    version: int
    data: bytes
    rows: int
    plain: int


async def pack(db: Connections, run: str) -> int:
    """See `port.Journal.pack`.

    What takes long, reading and compressing, is done before the transaction; whoever writes does not wait for it.
    """
    number, seq, epoch = _ended(run, db.read(_STAND, run))
    packs: list[_Pack] = []
    after = 0
    while batches := _next_batches(db, number, after, seq):
        packs.append(await asyncio.to_thread(_packed, f"{db.path}: run {run}", batches))
        after = batches[-1].seq

    def put(connection: sqlite3.Connection) -> int:
        if _ended(run, connection.execute(_STAND, (run,)).fetchall()) != (number, seq, epoch):
            raise RefusedError(f"run {run} was taken up again while it was packed; nothing was changed")
        saved = sum(_put(connection, number, made) for made in packs if len(made.data) < made.plain)
        for table in ("snapshots", "segments"):
            sql = f"DELETE FROM {table} WHERE run = ? RETURNING length(data)"  # noqa: S608 - names of our own
            saved += sum(size for (size,) in connection.execute(sql, (number,)).fetchall())
        return saved

    return await db.write_async(put)


_STAND = "SELECT id, seq, epoch, state, ended_at FROM runs WHERE run = ?"


def _ended(run: str, found: list[tuple[int, int, int, str, float | None]]) -> tuple[int, int, int]:
    """What identifies an ended run as it stands."""
    if not found:
        raise UnknownRunError(f"there is no run {run}")
    number, seq, epoch, state, ended_at = found[0]
    if ended_at is None:
        raise not_ended(run, state)
    return number, seq, epoch


def _next_batches(db: Connections, number: int, after: int, end: int) -> list[_Batch]:
    """The rows that are packed together: without a gap, of one format of events, not too many, up to `end`."""
    batches: list[_Batch] = []
    size = events = 0
    sql = "SELECT seq, count, version, data FROM events WHERE run = ? AND seq > ? AND seq <= ? ORDER BY seq"
    with contextlib.closing(db.stream(sql, number, after, end)) as rows:
        for batch in map(_Batch._make, rows):
            last = batches[-1] if batches else None
            if last is not None and (last.version, last.seq) != (batch.version, batch.seq - batch.events):
                break
            if last is not None and (size >= PACK_BYTES or events + batch.events > PACK_EVENTS):
                break
            batches.append(batch)
            size += len(batch.data)
            events += batch.events
    return batches


def _packed(where: str, batches: list[_Batch]) -> _Pack:
    """Put batches together and compress them, once it is sure that they can be read like that."""
    seq, count, version = batches[-1].seq, sum(batch.events for batch in batches), batches[0].version
    texts = [batch.data.encode() for batch in batches]
    joined = b"[%s]" % b",".join(text.strip()[1:-1] for text in texts)
    what = f"{where}: events {seq - count + 1} to {seq} cannot be read, and are not packed"
    try:
        found = len(decode_events(joined, version))
    except StorageError as error:
        raise StorageError(f"{what}: {error}") from error
    if found != count:
        raise StorageError(f"{what}: there are {found} instead of {count}")
    return _Pack(seq, count, version, zlib.compress(joined), len(batches), sum(map(len, texts)))


def _put(connection: sqlite3.Connection, number: int, made: _Pack) -> int:
    """Put a pack in the place of its rows; how many bytes that saves."""
    sql = "DELETE FROM events WHERE run = ? AND seq > ? AND seq <= ?"
    if connection.execute(sql, (number, made.seq - made.events, made.seq)).rowcount != made.rows:
        # Somebody else has packed the run meanwhile, in the same way.
        raise RefusedError("the run was packed by another process at the same time; nothing was changed")
    connection.execute(
        "INSERT INTO packs (run, seq, count, version, data) VALUES (?, ?, ?, ?, ?)",
        (number, made.seq, made.events, made.version, made.data),
    )
    return made.plain - len(made.data)
