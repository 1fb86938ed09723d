"""The journal in one SQLite file.

A commit is made on the event loop's own thread as long as commits are quick there, because a hop to another
thread and back costs more than a small commit on a quick disk; when the measured time of commits grows, they
move to the writer's thread and the loop stays free. See docs/decisions/0002.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clew import codec
from clew.errors import LostValueError, StorageError, UnfitError
from clew.journal import sqlite_durations as known_durations
from clew.journal import sqlite_housekeeping as housekeeping
from clew.journal import sqlite_listing as listing
from clew.journal import sqlite_owners as owners
from clew.journal import sqlite_shelf as shelf
from clew.journal.durations import Duration
from clew.journal.entries import Act, Cause, Change, Entry, Query, Space
from clew.journal.port import Outcomes
from clew.journal.records import (
    ALL_RUNS,
    Append,
    InboxItem,
    KeyHolder,
    LogLine,
    Owner,
    Recorded,
    RunFilter,
    RunRow,
    Snapshot,
    Sweep,
)
from clew.journal.sqlite_append import append_to, weigh
from clew.journal.sqlite_connections import Connections
from clew.journal.sqlite_file import BUSY_S, DURABILITIES, LockedError
from clew.journal.upcast import decode_events
from clew.kernel import snapshot as images
from clew.kernel.events import AnyEvent

_LOG = logging.getLogger("clew.journal")

#: Commits slower than this, in seconds, are made in the writer's thread.
INLINE_LIMIT_S = 0.002
#: A group of more appends or events, or with more bytes of values and snapshots, goes to the writer's thread at
#: once: writing it would hold up the loop, however quick the disk.
INLINE_APPENDS = 64
INLINE_EVENTS = 256
INLINE_BYTES = 256_000
#: What an append, an event and a byte take in a commit, in seconds; the rest of its time tells about the disk.
_APPEND_S, _EVENT_S, _BYTE_S = 15e-6, 2e-6, 2e-9


#: The batches of a run, packed ones first; they are told apart by the type of their data.
_EVENTS = (
    "SELECT seq, count, version, data FROM packs WHERE run = (SELECT id FROM runs WHERE run = ?) AND seq > ? "
    "UNION ALL "
    "SELECT seq, count, version, data FROM events WHERE run = (SELECT id FROM runs WHERE run = ?) AND seq > ? "
    "ORDER BY seq"
)


class SqliteJournal:
    """A journal in a SQLite file; see `port.Journal` for what it promises.

    Args:
        path: the file.
        durability: ``full`` or ``process``; see `sqlite_file.open_file`.
        busy_s: how long to wait for another process that writes, in seconds.
    """

    def __init__(self, path: Path, durability: str = "full", *, busy_s: float = BUSY_S) -> None:
        if durability not in DURABILITIES:
            raise StorageError(f"durability {durability!r} is not one of {', '.join(DURABILITIES)}")
        self.url = f"sqlite:///{path}"
        self._db = Connections(path, durability, busy_s)
        #: Smoothed time of a commit, in seconds: what the disk takes, without the events themselves.
        self._commit_s = 0.0

    def __repr__(self) -> str:
        return f"<journal {self.url}, {self._commit_s * 1e3:.2f} ms a commit>"

    async def open(self) -> None:
        """Open the file; see `sqlite_file.open_file` for what is refused."""
        await self._db.open()

    async def close(self) -> None:
        """Wait for a commit under way, then let go of the file."""
        await self._db.close()

    def version(self) -> int:
        """See `port.Journal.version`."""
        return self._db.version()

    # ------------------------------------------------------------------ appending

    def commit(self, appends: Sequence[Append], done: Callable[[Outcomes], None]) -> None:
        """Commit on this thread while that is quick, else in the writer's."""
        # Whoever writes already, here or in another process, is waited for in the writer's thread.
        if self._is_quick(appends) and not self._db.busy:
            try:
                outcomes = self._commit(appends, wait=False)
            except LockedError as error:
                _LOG.debug("the writer's thread waits: %s", error)
            else:
                done(outcomes)
                return
        loop = asyncio.get_running_loop()

        def job() -> None:
            loop.call_soon_threadsafe(done, self._commit(appends))

        if not self._db.submit(job):
            done([StorageError(f"{self._db.path}: the journal is closed")] * len(appends))

    def _is_quick(self, appends: Sequence[Append]) -> bool:
        if self._commit_s >= INLINE_LIMIT_S or len(appends) > INLINE_APPENDS:
            return False
        events, size = weigh(appends)
        return events <= INLINE_EVENTS and size <= INLINE_BYTES

    def _commit(self, appends: Sequence[Append], *, wait: bool = True) -> Outcomes:
        start = time.perf_counter()
        outcomes: Outcomes
        try:
            outcomes = self._db.write(
                lambda connection: [append_to(connection, append) for append in appends], wait=wait
            )
        except LockedError as error:
            if not wait:
                raise
            outcomes = [error] * len(appends)
        except Exception as error:  # whatever it is, each run must be told
            if isinstance(error, StorageError) and not isinstance(error, UnfitError):
                outcomes = [error] * len(appends)
            elif len(appends) > 1:
                # One of them holds what cannot be stored; the others do not suffer for it.
                return [outcome for append in appends for outcome in self._commit([append])]
            else:
                text = f"run {appends[0].row.run}: what happened in it cannot be stored: {error}"
                outcomes = [StorageError(text)]
        events, size = weigh(appends)
        writing_s = _APPEND_S * len(appends) + _EVENT_S * events + _BYTE_S * size
        disk_s = max(0.0, time.perf_counter() - start - writing_s)
        self._commit_s += (disk_s - self._commit_s) / 8
        return outcomes

    # ------------------------------------------------------------------ reading

    async def row(self, run: str) -> RunRow | None:
        """See `port.Journal.row`."""
        found = self._db.read(f"{listing.SELECT} WHERE run = ?", run)
        return listing.row_of(found[0]) if found else None

    async def rows(
        self,
        filter: RunFilter = ALL_RUNS,  # noqa: A002 - the word that users expect
        *,
        limit: int = 50,
        before: str = "",
    ) -> list[RunRow]:
        """See `port.Journal.rows`."""
        return listing.list_rows(self._db, filter, limit, before)

    async def count(self, filter: RunFilter = ALL_RUNS) -> int:  # noqa: A002
        """See `port.Journal.count`."""
        return listing.count_rows(self._db, filter)

    async def due(self, now: float, limit: int = 100) -> list[RunRow]:
        """See `port.Journal.due`."""
        return listing.due_rows(self._db, now, limit)

    async def next_wake(self) -> float | None:
        """See `port.Journal.next_wake`."""
        return listing.next_wake(self._db)

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> list[Recorded]:
        """See `port.Journal.read`."""
        recorded: list[Recorded] = []
        last = after
        with contextlib.closing(self._db.stream(_EVENTS, run, after, run, after)) as batches:
            for batch in batches:
                first, events = self._decode(run, *batch)
                if first > last + 1:
                    raise self._damaged(run, last + 1, first - 1, "they are missing; was the file edited?")
                if first <= after:
                    events = events[after + 1 - first :]
                recorded += map(Recorded, range(last + 1, batch[0] + 1), events)
                last = batch[0]
                if len(recorded) >= limit:
                    break
        return recorded

    def _decode(
        self, run: str, seq: int, count: int, version: int, data: str | bytes
    ) -> tuple[int, list[AnyEvent]]:
        """The number of the first event of a batch, and its events."""
        first = seq - count + 1
        try:
            events = decode_events(zlib.decompress(data) if isinstance(data, bytes) else data, version)
        except zlib.error as error:
            raise self._damaged(run, first, seq, f"they are damaged: {error}") from error
        except StorageError as error:
            raise self._damaged(run, first, seq, str(error)) from error
        if len(events) != count:
            raise self._damaged(run, first, seq, f"there are {len(events)} instead of {count}")
        return first, events

    def _damaged(self, run: str, first: int, last: int, why: str) -> StorageError:
        return StorageError(f"{self._db.path}: run {run}: events {first} to {last} cannot be read: {why}")

    async def snapshot(self, run: str) -> Snapshot | None:
        """See `port.Journal.snapshot`."""
        sql = (
            "SELECT run, seq, data FROM snapshots WHERE run = (SELECT id FROM runs WHERE run = ?) AND version = ?"
        )
        found = self._db.read(sql, run, images.VERSION)
        if not found:
            return None
        number, seq, data = found[0]
        return Snapshot(seq, data, dict(self._db.read("SELECT name, data FROM segments WHERE run = ?", number)))

    async def blob(self, digest: str) -> bytes:
        """See `port.Journal.blob`."""
        found = self._db.read("SELECT data FROM blobs WHERE digest = ?", digest)
        if not found:
            raise LostValueError(f"{self._db.path}: the value {digest[:12]}… is missing; was the file edited?")
        data: bytes = found[0][0]
        if codec.digest(data) != digest:
            raise LostValueError(
                f"{self._db.path}: the value {digest} is damaged: what is stored has another digest. "
                "Restore the file from a copy"
            )
        return data

    # ------------------------------------------------------------------ owners and keys

    async def acquire(self, run: str, owner: Owner, now: float) -> RunRow:
        """See `port.Journal.acquire`."""
        return await owners.acquire(self._db, run, owner, now)

    async def release(self, run: str, owner: Owner) -> None:
        """See `port.Journal.release`."""
        await owners.release(self._db, run, owner)

    def renew(self, owner: Owner, now: float) -> None:
        """See `port.Journal.renew`."""
        self._db.write(lambda connection: owners.renew(connection, owner, now))

    async def retire(self, owner: Owner) -> None:
        """See `port.Journal.retire`."""
        await owners.retire(self._db, owner)

    async def free_dead(self, now: float) -> int:
        """See `port.Journal.free_dead`."""
        return await owners.free_dead(self._db, now)

    async def live_owners(self, now: float) -> set[str]:
        """See `port.Journal.live_owners`."""
        return owners.live_owners(self._db, now)

    async def take_key(self, run: str, path: str, key: str) -> KeyHolder | None:
        """See `port.Journal.take_key`."""
        return await owners.take_key(self._db, run, path, key)

    async def keys(self) -> list[tuple[str, KeyHolder]]:
        """See `port.Journal.keys`."""
        return owners.keys(self._db)

    # ------------------------------------------------------------------ notes, inbox and logs

    async def note(self, run: str, text: str) -> None:
        """See `port.Journal.note`."""

        def keep(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE runs SET note = ? WHERE id = ?", (text, owners.number_of(connection, run)))

        await self._db.write_async(keep)

    async def post(self, run: str, data: bytes, at: float, by: str) -> int:
        """See `port.Journal.post`."""

        def put(connection: sqlite3.Connection) -> int:
            sql = "INSERT INTO inbox (run, data, at, by) VALUES (?, ?, ?, ?)"
            return (
                connection.execute(sql, (owners.number_of(connection, run), data.decode(), at, by)).lastrowid or 0
            )

        return await self._db.write_async(put)

    async def inbox(self, run: str = "") -> list[InboxItem]:
        """See `port.Journal.inbox`."""
        of_run = "AND inbox.run = (SELECT id FROM runs WHERE run = ?)" if run else ""
        sql = (
            "SELECT inbox.id, runs.run, data, at, by FROM inbox JOIN runs ON runs.id = inbox.run "  # noqa: S608
            f"WHERE outcome IS NULL {of_run} ORDER BY inbox.id"
        )
        found = self._db.read(sql, *([run] if run else []))
        return [InboxItem(item, name, data.encode(), at, by) for item, name, data, at, by in found]

    async def outcome(self, item: int) -> str | None:
        """See `port.Journal.outcome`."""
        found = self._db.read("SELECT outcome FROM inbox WHERE id = ?", item)
        return found[0][0] if found else "there is no such signal"

    async def write_logs(self, run: str, lines: Sequence[LogLine]) -> None:
        """See `port.Journal.write_logs`."""

        def put(connection: sqlite3.Connection) -> None:
            key = owners.number_of(connection, run)
            connection.executemany(
                "INSERT INTO logs (run, path, attempt, at, stream, text) VALUES (?, ?, ?, ?, ?, ?)",
                [(key, line.path, line.attempt, line.at, line.stream, line.text) for line in lines],
            )

        await self._db.write_async(put)

    async def read_logs(self, run: str, path: str = "", after: int = 0, limit: int = 1_000) -> list[LogLine]:
        """See `port.Journal.read_logs`."""
        sql = (
            "SELECT path, attempt, at, stream, text, id FROM logs "
            "WHERE run = (SELECT id FROM runs WHERE run = ?) AND id > ?"
        )
        values: list[Any] = [run, after]
        if path:
            sql += " AND path = ?"
            values.append(path)
        return [LogLine(*found) for found in self._db.read(sql + " ORDER BY id LIMIT ?", *values, max(0, limit))]

    # ------------------------------------------------------------------ the memory

    async def remember(self, act: Act) -> bool:
        """See `port.Journal.remember`."""
        return await shelf.remember(self._db, act)

    async def take_back(self, cause: Cause) -> int:
        """See `port.Journal.take_back`."""
        return await shelf.take_back(self._db, cause)

    async def entry(self, namespace: str, key: str) -> Entry | None:
        """See `port.Journal.entry`."""
        return shelf.entry(self._db, namespace, key)

    async def entries(self, query: Query) -> list[Entry]:
        """See `port.Journal.entries`."""
        return await shelf.entries(self._db, query)

    async def spaces(self) -> list[Space]:
        """See `port.Journal.spaces`."""
        return shelf.spaces(self._db)

    async def changes(self, run: str) -> list[Change]:
        """See `port.Journal.changes`."""
        return shelf.changes(self._db, run)

    # ------------------------------------------------------------------ durations

    async def learn(self, durations: Sequence[Duration], at: float) -> None:
        """See `port.Journal.learn`."""
        await known_durations.learn(self._db, durations, at)

    async def learned(self, graph: str) -> dict[str, Duration]:
        """See `port.Journal.learned`."""
        return known_durations.learned(self._db, graph)

    # ------------------------------------------------------------------ housekeeping

    async def delete(self, run: str, now: float) -> None:
        """See `port.Journal.delete`."""
        await housekeeping.delete(self._db, run, now)

    async def pack(self, run: str) -> int:
        """See `port.Journal.pack`."""
        return await housekeeping.pack(self._db, run)

    async def sweep(self, before: float, *, dry_run: bool = False) -> Sweep:
        """See `port.Journal.sweep`."""
        return await housekeeping.sweep(self._db, before, dry_run=dry_run)

    async def reclaim(self) -> int:
        """See `port.Journal.reclaim`."""
        return await housekeeping.reclaim(self._db)
