"""One append as SQL: the row of the run, fenced; its events, values and snapshot; what it answers and frees."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from clew.errors import InternalError, RunConflictError
from clew.journal.port import AGE_STEP_S, fenced, lacks_definition
from clew.journal.records import CHANGING, REDEFINING, Append, RunRow, Snapshot
from clew.journal.upcast import encode_events
from clew.kernel import snapshot as images
from clew.kernel.events import VERSION

#: A batch of more events is stored in several rows, so that reading can stop between them.
ROW_EVENTS = 1_000

#: Of the table `runs`, besides the id and the labels.
COLUMNS = tuple(name for name in RunRow.__struct_fields__ if name not in ("run", "labels"))

_INSERT = (
    f"INSERT INTO runs (run, labels, {', '.join(COLUMNS)}) "  # noqa: S608 - names of our own
    f"VALUES ({', '.join('?' * (len(COLUMNS) + 2))})"
)
#: Fields that decide which indexes a run is in. Most appends change none of them, and then SQLite is not told to
#: set them: it would write the indexes anew without looking, a fifth of what a small append takes.
_INDEXED = ("state", "owner", "idle", "ended_at")
_STEADY = tuple(name for name in CHANGING if name not in _INDEXED)


def _update_of(names: Sequence[str], where: str) -> str:
    return f"UPDATE runs SET {', '.join(f'{name} = ?' for name in names)} WHERE {where} RETURNING id"  # noqa: S608


_UPDATE = _update_of(CHANGING, "run = ? AND epoch = ? AND seq = ?")
_UPDATE_STEADY = _update_of(
    _STEADY, "run = ? AND epoch = ? AND seq = ? AND state = ? AND owner = ? AND idle = ? AND ended_at IS NULL"
)
_UPDATE_ALL = _update_of((*CHANGING, *REDEFINING), "run = ? AND epoch = ? AND seq = ?")
_all_of: Callable[[RunRow], tuple[Any, ...]] = attrgetter(*COLUMNS)
_changing_of: Callable[[RunRow], tuple[Any, ...]] = attrgetter(*CHANGING)
_redefined_of: Callable[[RunRow], tuple[Any, ...]] = attrgetter(*CHANGING, *REDEFINING)
_steady_of: Callable[[RunRow], tuple[Any, ...]] = attrgetter(*_STEADY)


def append_to(connection: sqlite3.Connection, append: Append) -> Exception | None:
    """Write an append in the transaction that is open; why it was refused, if it was, with nothing written."""
    row = append.row
    if row.seq != append.after + len(append.events):
        raise InternalError(f"its last event is {row.seq}, not {append.after} + {len(append.events)}")
    if append.after == 0:
        key = _create(connection, append)
    else:
        key = _redefine(connection, append) if append.redefines else _update(connection, append)
    if isinstance(key, Exception):
        return key
    for start in range(0, len(append.events), ROW_EVENTS):
        part = append.events[start : start + ROW_EVENTS]
        connection.execute(
            "INSERT INTO events (run, seq, count, version, data) VALUES (?, ?, ?, ?, ?)",
            (key, append.after + start + len(part), len(part), VERSION, encode_events(part).decode()),
        )
    if append.blobs:
        _store_blobs(connection, append, key)
    if append.snapshot is not None:
        _store_snapshot(connection, append.snapshot, key)
    for item in append.inbox:
        connection.execute(
            "UPDATE inbox SET outcome = ? WHERE id = ? AND run = ? AND outcome IS NULL",
            (item.refusal, item.id, key),
        )
    for path in append.freed:
        connection.execute("DELETE FROM keys WHERE run = ? AND path = ?", (key, path))
    if row.ended_at is not None:
        connection.execute("DELETE FROM keys WHERE run = ?", (key,))
    return None


def weigh(appends: Sequence[Append]) -> tuple[int, int]:
    """How many events some appends have, and how many bytes of values and snapshots go with them."""
    events = size = 0
    for append in appends:
        events += len(append.events)
        if append.blobs:
            size += sum(len(blob.data) for blob in append.blobs)
        if append.snapshot is not None:
            size += len(append.snapshot.data) + sum(map(len, append.snapshot.segments.values()))
    return events, size


def _create(connection: sqlite3.Connection, append: Append) -> int | Exception:
    row = append.row
    labels = msgspec.json.encode(row.labels).decode()
    try:
        key = connection.execute(_INSERT, (row.run, labels, *_all_of(row))).lastrowid or 0
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        return RunConflictError(f"run {row.run} exists already")
    if not _has_definition(connection, append):
        connection.execute("DELETE FROM runs WHERE id = ?", (key,))
        return lacks_definition(append)
    if row.labels:
        connection.executemany(
            "INSERT INTO labels (key, value, run) VALUES (?, ?, ?)",
            [(name, value, key) for name, value in row.labels.items()],
        )
    return key


def _has_definition(connection: sqlite3.Connection, append: Append) -> bool:
    """Whether the definition that a run gets is there or comes along; one that is there is young again."""
    digest = append.row.definition
    if not digest:
        return True
    found = connection.execute("SELECT stored_at FROM blobs WHERE digest = ?", (digest,)).fetchone()
    if found is None:
        return any(blob.digest == digest for blob in append.blobs)
    if found[0] < append.at - AGE_STEP_S:
        connection.execute("UPDATE blobs SET stored_at = ? WHERE digest = ?", (append.at, digest))
    return True


def _store_blobs(connection: sqlite3.Connection, append: Append, key: int) -> None:
    connection.executemany(
        "INSERT INTO blobs (digest, stored_at, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(blob.digest, append.at, blob.data) for blob in append.blobs],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO blob_refs (run, digest) VALUES (?, ?)",
        # The definition is referred to by the row itself.
        [(key, blob.digest) for blob in append.blobs if blob.digest != append.row.definition],
    )


def _store_snapshot(connection: sqlite3.Connection, snapshot: Snapshot, key: int) -> None:
    connection.execute(
        "REPLACE INTO snapshots (run, seq, version, data) VALUES (?, ?, ?, ?)",
        (key, snapshot.seq, images.VERSION, snapshot.data),
    )
    if snapshot.whole:
        connection.execute("DELETE FROM segments WHERE run = ?", (key,))
    connection.executemany(
        "REPLACE INTO segments (run, name, data) VALUES (?, ?, ?)",
        [(key, name, data) for name, data in snapshot.segments.items()],
    )


def _update(connection: sqlite3.Connection, append: Append) -> int | Exception:
    row = append.row
    place = (row.run, row.epoch, append.after)
    found: list[Any] = []
    if row.ended_at is None:
        steady = (*_steady_of(row), *place, row.state, row.owner, row.idle)
        found = connection.execute(_UPDATE_STEADY, steady).fetchall()
    if not found:
        found = connection.execute(_UPDATE, (*_changing_of(row), *place)).fetchall()
    if found:
        return found[0][0]
    stored = connection.execute("SELECT epoch, seq FROM runs WHERE run = ?", (row.run,)).fetchone()
    return fenced(append, stored)


def _redefine(connection: sqlite3.Connection, append: Append) -> int | Exception:
    """Like `_update`, with the fields that tell of the definition; this is rare."""
    row = append.row
    stored = connection.execute("SELECT id, epoch, seq FROM runs WHERE run = ?", (row.run,)).fetchone()
    if stored is None or stored[1:] != (row.epoch, append.after):
        return fenced(append, stored[1:] if stored is not None else None)
    if not _has_definition(connection, append):
        return lacks_definition(append)
    connection.execute(_UPDATE_ALL, (*_redefined_of(row), row.run, row.epoch, append.after)).fetchall()
    return stored[0]
