"""Entries of the memory and what runs have changed of them, as SQL."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import msgspec

from clew.journal import shelf
from clew.journal.entries import Act, Cause, Change, Entry, Filter, Query, Space
from clew.journal.sqlite_connections import Connections

_ENTRY = "SELECT namespace, key, data, number, created_at, updated_at, by FROM memory"
_CHANGE = (
    "SELECT runs.run, path, step, digest, operation, namespace, key, at, number, existed, undone, before, "
    "memory_changes.id FROM memory_changes JOIN runs ON runs.id = memory_changes.run"
)


class SqliteShelf:
    """See `shelf.Shelf`; all in the transaction that is open.

    Args:
        connection: the one that writes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _one(self, sql: str, *values: Any) -> Any:
        return self._connection.execute(sql, values).fetchone()

    def epoch(self, run: str) -> int | None:
        """See `shelf.Shelf.epoch`."""
        found = self._one("SELECT epoch FROM runs WHERE run = ?", run)
        return found[0] if found else None

    def find(self, namespace: str, key: str) -> Entry | None:
        """See `shelf.Shelf.find`."""
        found = self._one(f"{_ENTRY} WHERE namespace = ? AND key = ?", namespace, key)
        return _entry(found) if found else None

    def put(self, entry: Entry) -> int:
        """See `shelf.Shelf.put`."""
        self.remove(entry)
        sql = (
            "INSERT INTO memory (number, namespace, key, data, created_at, updated_at, by) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        values = (entry.namespace, entry.key, entry.data, entry.created_at, entry.updated_at, entry.by)
        return self._connection.execute(sql, (entry.number or None, *values)).lastrowid or 0

    def remove(self, entry: Entry) -> None:
        """See `shelf.Shelf.remove`."""
        sql = "DELETE FROM memory WHERE namespace = ? AND key = ?"
        self._connection.execute(sql, (entry.namespace, entry.key))

    def space(self, namespace: str) -> Space:
        """See `shelf.Shelf.space`."""
        found = self._one("SELECT entries, bytes FROM memory_spaces WHERE namespace = ?", namespace)
        return Space(namespace, *(found or (0, 0)))

    def weigh(self, space: Space) -> None:
        """See `shelf.Shelf.weigh`."""
        if space.entries:
            sql = "REPLACE INTO memory_spaces (namespace, entries, bytes) VALUES (?, ?, ?)"
            self._connection.execute(sql, (space.namespace, space.entries, space.bytes))
        else:
            self._connection.execute("DELETE FROM memory_spaces WHERE namespace = ?", (space.namespace,))

    def changes(self, cause: Cause) -> list[Change]:
        """See `shelf.Shelf.changes`."""
        sql = f"{_CHANGE} WHERE runs.run = ? AND path = ? AND step = ? ORDER BY memory_changes.id"
        return [_change(found) for found in self._connection.execute(sql, (cause.run, cause.path, cause.step))]

    def change_after(self, run: str, entry: Entry) -> Change | None:
        """See `shelf.Shelf.change_after`."""
        sql = (
            f"{_CHANGE} WHERE namespace = ? AND key = ? AND runs.run = ? AND before_number = ? AND NOT undone "
            "ORDER BY memory_changes.id LIMIT 1"
        )
        found = self._one(sql, entry.namespace, entry.key, run, entry.number)
        return _change(found) if found else None

    def is_referred(self, namespace: str, key: str) -> bool:
        """See `shelf.Shelf.is_referred`."""
        sql = "SELECT 1 FROM memory_changes WHERE namespace = ? AND key = ? AND NOT undone LIMIT 1"
        return self._one(sql, namespace, key) is not None

    def add(self, change: Change) -> None:
        """See `shelf.Shelf.add`."""
        cause = change.cause
        self._connection.execute(
            "INSERT INTO memory_changes (run, path, step, digest, operation, namespace, key, at, number, existed, "
            "undone, before_number, before) "
            "VALUES ((SELECT id FROM runs WHERE run = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(
                    cause.run,
                    cause.path,
                    cause.step,
                    change.digest,
                    change.operation,
                    change.namespace,
                    change.key,
                ),
                *(change.at, change.number, change.existed, change.undone, *_before(change)),
            ),
        )

    def rewrite(self, change: Change) -> None:
        """See `shelf.Shelf.rewrite`."""
        self._connection.execute(
            "UPDATE memory_changes SET undone = ?, before_number = ?, before = ? WHERE id = ?",
            (change.undone, *_before(change), change.id),
        )


async def remember(db: Connections, act: Act) -> bool:
    """See `port.Journal.remember`."""
    return await db.write_async(lambda connection: shelf.remember(SqliteShelf(connection), act))


async def take_back(db: Connections, cause: Cause) -> int:
    """See `port.Journal.take_back`."""
    return await db.write_async(lambda connection: shelf.take_back(SqliteShelf(connection), cause))


def entry(db: Connections, namespace: str, key: str) -> Entry | None:
    """See `port.Journal.entry`."""
    found = db.read(f"{_ENTRY} WHERE namespace = ? AND key = ? AND data IS NOT NULL", namespace, key)
    return _entry(found[0]) if found else None


async def entries(db: Connections, query: Query) -> list[Entry]:
    """See `port.Journal.entries`; in a thread, and as all was when it began."""
    query.check()
    fitting = Filter(query)
    where = "namespace = ? AND data IS NOT NULL AND number < ? AND substr(key, 1, ?) = ?"
    sql = f"{_ENTRY} WHERE {where} ORDER BY number DESC"
    values = (query.namespace, query.below or 1 << 62, len(query.prefix), query.prefix)

    def look(connection: sqlite3.Connection) -> list[Entry]:
        found: list[Entry] = []
        with contextlib.closing(connection.execute(sql, values)) as rows:
            for row in rows:
                each = _entry(row)
                if fitting.fits(each):
                    found.append(each)
                    if len(found) == query.limit:
                        break
        return found

    return await db.read_apart(look)


def spaces(db: Connections) -> list[Space]:
    """See `port.Journal.spaces`."""
    return [
        Space(*row) for row in db.read("SELECT namespace, entries, bytes FROM memory_spaces ORDER BY namespace")
    ]


def changes(db: Connections, run: str) -> list[Change]:
    """See `port.Journal.changes`."""
    sql = f"{_CHANGE} WHERE runs.run = ? AND operation <> '' ORDER BY memory_changes.id"
    return [_change(row) for row in db.read(sql, run)]


#: What was deleted and can be put back by nobody any more.
FORGOTTEN = (
    "DELETE FROM memory WHERE data IS NULL AND NOT EXISTS (SELECT 1 FROM memory_changes AS c "
    "WHERE c.namespace = memory.namespace AND c.key = memory.key AND NOT c.undone)"
)


def _entry(row: tuple[Any, ...]) -> Entry:
    namespace, key, data, number, created_at, updated_at, by = row
    return Entry(
        namespace=namespace, key=key, data=data, number=number, created_at=created_at, updated_at=updated_at, by=by
    )


def _change(row: tuple[Any, ...]) -> Change:
    run, path, step, digest, operation, namespace, key, at, number, existed, undone, before, id_ = row
    return Change(
        cause=Cause(run=run, epoch=0, path=path, step=step),
        digest=digest,
        operation=operation,
        namespace=namespace,
        key=key,
        at=at,
        number=number,
        existed=bool(existed),
        undone=bool(undone),
        before=msgspec.json.decode(before, type=Entry) if before else None,
        id=id_,
    )


def _before(change: Change) -> tuple[int, str]:
    if change.before is None:
        return 0, ""
    return change.before.number, msgspec.json.encode(change.before).decode()
