"""One append as SQL: the row of the run, fenced; its events, values and snapshot; what it answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from clew.errors import InternalError, RunConflictError
from clew.journal.port import fenced
from clew.journal.records import CHANGING, Append, RunRow
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
_UPDATE = (
    f"UPDATE runs SET {', '.join(f'{name} = ?' for name in CHANGING)} "  # noqa: S608
    "WHERE run = ? AND epoch = ? AND seq = ? RETURNING id"
)
_all_of: Callable[[RunRow], tuple[Any, ...]] = attrgetter(*COLUMNS)
_changing_of: Callable[[RunRow], tuple[Any, ...]] = attrgetter(*CHANGING)


def append_to(connection: sqlite3.Connection, append: Append) -> Exception | None:
    """Write an append in the transaction that is open; why it was refused, if it was, with nothing written."""
    row = append.row
    if row.seq != append.after + len(append.events):
        raise InternalError(f"its last event is {row.seq}, not {append.after} + {len(append.events)}")
    key = _create(connection, row) if append.after == 0 else _update(connection, append)
    if isinstance(key, Exception):
        return key
    for start in range(0, len(append.events), ROW_EVENTS):
        part = append.events[start : start + ROW_EVENTS]
        connection.execute(
            "INSERT INTO events (run, seq, count, version, data) VALUES (?, ?, ?, ?, ?)",
            (key, append.after + start + len(part), len(part), VERSION, encode_events(part).decode()),
        )
    if append.blobs:
        connection.executemany(
            "INSERT INTO blobs (digest, data) VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(blob.digest, blob.data) for blob in append.blobs],
        )
    if append.snapshot is not None:
        connection.execute(
            "REPLACE INTO snapshots (run, seq, version, data) VALUES (?, ?, ?, ?)",
            (key, append.snapshot.seq, images.VERSION, append.snapshot.data),
        )
    for item in append.inbox:
        connection.execute(
            "UPDATE inbox SET outcome = ? WHERE id = ? AND run = ? AND outcome IS NULL",
            (item.refusal, item.id, key),
        )
    return None


def weigh(appends: Sequence[Append]) -> tuple[int, int]:
    """How many events some appends have, and how many bytes of values and snapshots go with them."""
    events = size = 0
    for append in appends:
        events += len(append.events)
        if append.blobs:
            size += sum(len(blob.data) for blob in append.blobs)
        if append.snapshot is not None:
            size += len(append.snapshot.data)
    return events, size


def _create(connection: sqlite3.Connection, row: RunRow) -> int | Exception | None:
    labels = msgspec.json.encode(row.labels).decode()
    try:
        return connection.execute(_INSERT, (row.run, labels, *_all_of(row))).lastrowid
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        return RunConflictError(f"run {row.run} exists already")


def _update(connection: sqlite3.Connection, append: Append) -> int | Exception:
    row = append.row
    found = connection.execute(_UPDATE, (*_changing_of(row), row.run, row.epoch, append.after)).fetchall()
    if found:
        return found[0][0]
    stored = connection.execute("SELECT epoch, seq FROM runs WHERE run = ?", (row.run,)).fetchone()
    return fenced(append, stored)
