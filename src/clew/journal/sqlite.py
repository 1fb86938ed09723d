"""The journal in one SQLite file.

One connection writes, guarded by a lock; another reads. A commit is made on the event loop's own thread as
long as commits are quick there, because a hop to another thread and back costs more than a small commit on a
quick disk; when the measured time of commits grows, they move to the writer's thread and the loop stays free.
See docs/decisions/0002.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clew.errors import RunBusyError, RunConflictError, RunFencedError, StorageError, UnknownRunError
from clew.journal.ownership import is_alive
from clew.journal.port import Outcomes
from clew.journal.records import Append, InboxItem, LogLine, Owner, Recorded, RunRow, Snapshot
from clew.journal.sqlite_file import DURABILITIES, explain, open_file, open_reader
from clew.journal.upcast import decode_events, encode_events
from clew.kernel.events import VERSION

T = TypeVar("T")

#: Commits slower than this, in seconds, are made in the writer's thread.
INLINE_LIMIT_S = 0.002
#: An append of more events than this goes to the writer's thread at once.
INLINE_EVENTS = 256
#: A batch of more events is stored in several rows, so that reading can stop between them.
ROW_EVENTS = 1_000

_COLUMNS = tuple(name for name in RunRow.__struct_fields__ if name != "run")
_SELECT = f"SELECT run, {', '.join(_COLUMNS)} FROM runs"  # noqa: S608 - names of our own
_INSERT = f"INSERT INTO runs (run, {', '.join(_COLUMNS)}) VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"  # noqa: S608
#: What an append may change: not the epoch, nor what was fixed at admission. A run that has ended has no owner.
_CHANGING = (
    "state", "seq", "owner", "generation", "started_at", "ended_at", "wake_at", "total", "settled", "failed", "running",
    "waiting", "error", "note",
)  # fmt: skip
_UPDATE = f"UPDATE runs SET {', '.join(f'{c} = ?' for c in _CHANGING)} WHERE run = ? AND epoch = ? AND seq = ? RETURNING id"  # noqa: S608, E501


class SqliteJournal:
    """A journal in a SQLite file; see `port.Journal` for what it promises.

    Args:
        path: the file.
        durability: ``full`` or ``process``; see `sqlite_file.open_file`.
    """

    def __init__(self, path: Path, durability: str = "full") -> None:
        if durability not in DURABILITIES:
            raise StorageError(f"durability {durability!r} is not one of {', '.join(DURABILITIES)}")
        self.url = f"sqlite:///{path}"
        self._path = path
        self._durability = durability
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clew-journal")
        #: Smoothed time of a commit made on the loop, in seconds.
        self._commit_s = 0.0
        self._version = 0

    async def open(self) -> None:
        """Open the file; see `sqlite_file.open_file` for what is refused."""
        self._writer = open_file(self._path, self._durability)
        self._reader = open_reader(self._path)

    async def close(self) -> None:
        """Wait for a commit under way, then let go of the file."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        with self._lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    # ------------------------------------------------------------------ appending

    def commit(self, appends: Sequence[Append], done: Callable[[Outcomes], None]) -> None:
        """Commit on this thread while that is quick, else in the writer's."""
        if self._is_quick(appends):
            start = time.perf_counter()
            outcomes = self._commit(appends)
            self._measured(time.perf_counter() - start)
            done(outcomes)
            return
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, self._commit_measured, appends)
        future.add_done_callback(lambda finished: done(finished.result()))

    def _is_quick(self, appends: Sequence[Append]) -> bool:
        return self._commit_s < INLINE_LIMIT_S and sum(len(a.events) for a in appends) <= INLINE_EVENTS

    def _measured(self, seconds: float) -> None:
        self._commit_s += (seconds - self._commit_s) / 8

    def _commit_measured(self, appends: Sequence[Append]) -> Outcomes:
        start = time.perf_counter()
        outcomes = self._commit(appends)
        # A batch of any size tells about the disk: what it takes beyond writing its events is the commit.
        self._measured(max(0.0, time.perf_counter() - start - 2e-6 * sum(len(a.events) for a in appends)))
        return outcomes

    def _commit(self, appends: Sequence[Append]) -> Outcomes:
        try:
            return self._write(lambda connection: [self._append(connection, append) for append in appends])
        except StorageError as error:
            return [error] * len(appends)

    def _append(self, connection: sqlite3.Connection, append: Append) -> Exception | None:
        row = append.row
        if append.after == 0:
            try:
                cursor = connection.execute(_INSERT, (row.run, *_values(row, _COLUMNS)))
            except sqlite3.IntegrityError:
                return RunConflictError(f"run {row.run} exists already")
            key = cursor.lastrowid
        else:
            found = connection.execute(
                _UPDATE, (*_values(row, _CHANGING), row.run, row.epoch, append.after)
            ).fetchall()
            if not found:
                return RunFencedError(f"run {row.run} has another owner now; epoch {row.epoch} may not write it")
            key = found[0][0]
        self._append_events(connection, key, append)
        if append.blobs:
            connection.executemany(
                "INSERT INTO blobs (digest, data) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [(blob.digest, blob.data) for blob in append.blobs],
            )
        if append.snapshot is not None:
            connection.execute(
                "REPLACE INTO snapshots (run, seq, data) VALUES (?, ?, ?)", (key, append.snapshot.seq, append.snapshot.data)
            )
        for item in append.inbox:
            connection.execute("UPDATE inbox SET outcome = ? WHERE id = ?", (item.refusal, item.id))
        return None

    def _append_events(self, connection: sqlite3.Connection, key: int | None, append: Append) -> None:
        events = append.events
        for start in range(0, len(events), ROW_EVENTS):
            part = events[start : start + ROW_EVENTS]
            connection.execute(
                "INSERT INTO events (run, seq, count, version, data) VALUES (?, ?, ?, ?, ?)",
                (key, append.after + start + len(part), len(part), VERSION, encode_events(part)),
            )

    # ------------------------------------------------------------------ reading

    async def row(self, run: str) -> RunRow | None:
        """See `port.Journal.row`."""
        found = self._read(f"{_SELECT} WHERE run = ?", run)
        return _row(found[0]) if found else None

    async def rows(
        self,
        *,
        states: Sequence[str] = (),
        name: str = "",
        labels: dict[str, str] | None = None,
        limit: int = 50,
        before: str = "",
    ) -> list[RunRow]:
        """See `port.Journal.rows`."""
        where, values = ["1"], list[Any]()
        if states:
            where.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        if name:
            where.append("name = ?")
            values.append(name)
        for key, value in (labels or {}).items():
            where.append("labels ->> ? = ?")
            values += [key, value]
        if before:
            where.append("id < (SELECT id FROM runs WHERE run = ?)")
            values.append(before)
        sql = f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"
        return [_row(found) for found in self._read(sql, *values, limit)]

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> list[Recorded]:
        """See `port.Journal.read`."""
        recorded: list[Recorded] = []
        for seq, count, version, data in self._rows_of(run, after):
            first = seq - count + 1
            events = enumerate(decode_events(data, version), first)
            recorded += [Recorded(number, event) for number, event in events if number > after]
            if len(recorded) >= limit:
                break
        return recorded

    async def snapshot(self, run: str) -> Snapshot | None:
        """See `port.Journal.snapshot`."""
        found = self._read("SELECT seq, data FROM snapshots WHERE run = (SELECT id FROM runs WHERE run = ?)", run)
        return Snapshot(*found[0]) if found else None

    async def blob(self, digest: str) -> bytes:
        """See `port.Journal.blob`."""
        found = self._read("SELECT data FROM blobs WHERE digest = ?", digest)
        if not found:
            raise StorageError(f"{self._path}: the value {digest[:12]}… is missing; was the file cut or edited?")
        return found[0][0]

    def version(self) -> int:
        """See `port.Journal.version`."""
        # Asked on the writing connection, whose own commits do not count; while the writer's thread has it,
        # the next call will tell.
        if self._writer is not None and self._lock.acquire(blocking=False):
            try:
                self._version = self._writer.execute("PRAGMA data_version").fetchone()[0]
            finally:
                self._lock.release()
        return self._version

    # ------------------------------------------------------------------ ownership

    async def acquire(self, run: str, owner: Owner, now: float) -> RunRow:
        """See `port.Journal.acquire`."""

        def take(connection: sqlite3.Connection) -> RunRow:
            found = connection.execute(f"{_SELECT} WHERE run = ?", (run,)).fetchone()
            if found is None:
                raise UnknownRunError(f"there is no run {run} in {self._path}")
            row = _row(found)
            _refuse_if_busy(connection, row, owner, now)
            _renew(connection, owner, now)
            connection.execute("UPDATE runs SET owner = ?, epoch = epoch + 1 WHERE run = ?", (owner.id, run))
            row.owner, row.epoch = owner.id, row.epoch + 1
            return row

        return await self._write_async(take)

    async def release(self, run: str, owner: Owner) -> None:
        """See `port.Journal.release`."""
        sql = "UPDATE runs SET owner = '' WHERE run = ? AND owner = ?"
        await self._write_async(lambda connection: connection.execute(sql, (run, owner.id)))

    def renew(self, owner: Owner, now: float) -> None:
        """See `port.Journal.renew`."""
        self._write(lambda connection: _renew(connection, owner, now))

    async def retire(self, owner: Owner) -> None:
        """See `port.Journal.retire`."""

        def leave(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE runs SET owner = '' WHERE owner = ? AND ended_at IS NULL", (owner.id,))
            connection.execute("DELETE FROM owners WHERE owner = ?", (owner.id,))

        await self._write_async(leave)

    async def note(self, run: str, text: str) -> None:
        """See `port.Journal.note`."""
        sql = "UPDATE runs SET note = ? WHERE run = ?"
        await self._write_async(lambda connection: connection.execute(sql, (text, run)))

    # ------------------------------------------------------------------ inbox and logs

    async def post(self, run: str, data: bytes, at: float, by: str) -> int:
        """See `port.Journal.post`."""

        def put(connection: sqlite3.Connection) -> int:
            key = _key(connection, run, self._path)
            cursor = connection.execute(
                "INSERT INTO inbox (run, data, at, by) VALUES (?, ?, ?, ?)", (key, data, at, by)
            )
            return cursor.lastrowid or 0

        return await self._write_async(put)

    async def inbox(self, run: str) -> list[InboxItem]:
        """See `port.Journal.inbox`."""
        sql = (
            "SELECT inbox.id, runs.run, data, at, by FROM inbox JOIN runs ON runs.id = inbox.run "
            "WHERE runs.run = ? AND outcome IS NULL ORDER BY inbox.id"
        )
        return [InboxItem(*found) for found in self._read(sql, run)]

    async def outcome(self, item: int) -> str | None:
        """See `port.Journal.outcome`."""
        found = self._read("SELECT outcome FROM inbox WHERE id = ?", item)
        return found[0][0] if found else "there is no such signal"

    async def write_logs(self, run: str, lines: Sequence[LogLine]) -> None:
        """See `port.Journal.write_logs`."""

        def put(connection: sqlite3.Connection) -> None:
            key = _key(connection, run, self._path)
            connection.executemany(
                "INSERT INTO logs (run, path, attempt, at, stream, text) VALUES (?, ?, ?, ?, ?, ?)",
                [(key, line.path, line.attempt, line.at, line.stream, line.text) for line in lines],
            )

        await self._write_async(put)

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
        return [LogLine(*found) for found in self._read(sql + " ORDER BY id LIMIT ?", *values, limit)]

    # ------------------------------------------------------------------ connections

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work in one transaction, on whatever thread this is."""
        with self._lock:
            connection = self._writer
            if connection is None:
                raise StorageError(f"{self._path}: the journal is closed")
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    result = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise explain(error, self._path) from error
            return result

    async def _write_async(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, work)

    def _rows_of(self, run: str, after: int) -> Iterator[Any]:
        """The batches of events that end after a sequence number, read one by one."""
        if self._reader is None:
            raise StorageError(f"{self._path}: the journal is closed")
        sql = (
            "SELECT seq, count, version, data FROM events "
            "WHERE run = (SELECT id FROM runs WHERE run = ?) AND seq > ? ORDER BY seq"
        )
        try:
            with contextlib.closing(self._reader.execute(sql, (run, after))) as cursor:
                yield from cursor
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def _read(self, sql: str, *values: Any) -> list[Any]:
        if self._reader is None:
            raise StorageError(f"{self._path}: the journal is closed")
        try:
            return self._reader.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise explain(error, self._path) from error


def _values(row: RunRow, columns: Sequence[str]) -> list[Any]:
    return [msgspec.json.encode(row.labels).decode() if c == "labels" else getattr(row, c) for c in columns]


def _row(found: Sequence[Any]) -> RunRow:
    fields = dict(zip(("run", *_COLUMNS), found, strict=True))
    fields["labels"] = msgspec.json.decode(fields["labels"], type=dict[str, str])
    return RunRow(**fields)


def _key(connection: sqlite3.Connection, run: str, path: Path) -> int:
    found = connection.execute("SELECT id FROM runs WHERE run = ?", (run,)).fetchone()
    if found is None:
        raise UnknownRunError(f"there is no run {run} in {path}")
    return found[0]


def _renew(connection: sqlite3.Connection, owner: Owner, now: float) -> None:
    connection.execute(
        "INSERT INTO owners (owner, host, pid, started, renewed_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET renewed_at = excluded.renewed_at",
        (owner.id, owner.host, owner.pid, owner.started, now),
    )


def _refuse_if_busy(connection: sqlite3.Connection, row: RunRow, owner: Owner, now: float) -> None:
    if not row.owner or row.owner == owner.id:
        return
    sql = "SELECT owner, host, pid, started, renewed_at FROM owners WHERE owner = ?"
    found = connection.execute(sql, (row.owner,)).fetchone()
    if found is not None and is_alive(Owner(*found[:4]), found[4], now):
        raise RunBusyError(f"run {row.run} is being driven by {row.owner} (process {found[2]}), which is alive")
