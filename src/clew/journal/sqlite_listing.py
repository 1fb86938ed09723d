"""Finding runs in SQLite by what they are like, so that a page never reads more than it must.

A filter becomes *arms*: queries that share no run and each walk one index (or the table itself) from the newest
run to the oldest, so that SQLite can merge them and stop when the page is full. Which one is walked is decided
here; a plus sign before a column keeps SQLite from walking its index, because it has no statistics and would
guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from clew.journal.records import RunFilter, RunRow
from clew.journal.sqlite_append import COLUMNS
from clew.journal.sqlite_connections import Connections
from clew.kernel.states import RUN_ENDED, RunState

_ROW = ", ".join(f"runs.{name}" for name in ("run", "labels", *COLUMNS))
#: Rows as `row_of` reads them.
SELECT = f"SELECT {_ROW} FROM runs"  # noqa: S608 - names of our own

#: What `due` looks at; the words of the index `runs_due`.
_FREE = "owner = '' AND ended_at IS NULL AND imported = 0"
_DUE = (
    f"{SELECT} WHERE {_FREE} AND state <> 'paused' AND idle = 0 ORDER BY wake_at, id LIMIT ?",
    f"{SELECT} WHERE {_FREE} AND state <> 'paused' AND idle = 1 AND wake_at <= ? ORDER BY wake_at, id LIMIT ?",
    f"{SELECT} WHERE {_FREE} AND id IN (SELECT run FROM inbox WHERE outcome IS NULL) ORDER BY id LIMIT ?",  # noqa: S608
)
_NEXT_WAKE = (
    f"SELECT wake_at FROM runs WHERE {_FREE} AND state <> 'paused' AND idle = 1 AND wake_at IS NOT NULL "  # noqa: S608
    "ORDER BY wake_at LIMIT 1"
)


class _Arm(NamedTuple):
    """A query without its columns.

    Attributes:
        tables: what is walked, and joined to it.
        id: the column with the run's number that the walk is in the order of.
        where: conditions.
        values: for the conditions, in order.
    """

    tables: str
    id: str
    where: list[str]
    values: list[Any]

    def sql(self, columns: str) -> str:
        """The query, without an order."""
        # Without a condition no word of one: SQLite counts a whole table much quicker.
        where = f" WHERE {' AND '.join(self.where)}" if self.where else ""
        return f"SELECT {columns} FROM {self.tables}{where}"  # noqa: S608


def row_of(found: Sequence[Any]) -> RunRow:
    """A row of `SELECT`."""
    run, labels, *rest = found
    row = RunRow(
        run=run,
        labels=msgspec.json.decode(labels, type=dict[str, str]),
        **dict(zip(COLUMNS, rest, strict=True)),
    )
    row.idle, row.imported = bool(row.idle), bool(row.imported)
    return row


def list_rows(db: Connections, wanted: RunFilter, limit: int, before: str) -> list[RunRow]:
    """See `port.Journal.rows`."""
    sql, values = page_query(wanted, limit, before)
    return [row_of(found) for found in db.read(sql, *values)]


def count_rows(db: Connections, wanted: RunFilter) -> int:
    """See `port.Journal.count`."""
    sql, values = count_query(wanted)
    return db.read(sql, *values)[0][0]


def page_query(wanted: RunFilter, limit: int, before: str = "") -> tuple[str, list[Any]]:
    """The SQL of a page, and its values."""
    arms = _arms(wanted)
    if before:
        for arm in arms:
            arm.where.append(f"{arm.id} < (SELECT id FROM runs WHERE run = ?)")  # noqa: S608
            arm.values.append(before)
    values = [value for arm in arms for value in arm.values]
    if len(arms) == 1:
        sql = f"{arms[0].sql(_ROW)} ORDER BY {arms[0].id} DESC LIMIT ?"
    else:
        merged = " UNION ALL ".join(arm.sql(f"{arm.id} AS id") for arm in arms)
        sql = f"{SELECT} WHERE id IN (SELECT id FROM ({merged} ORDER BY id DESC LIMIT ?)) ORDER BY id DESC"  # noqa: S608
    return sql, [*values, max(0, limit)]


def count_query(wanted: RunFilter) -> tuple[str, list[Any]]:
    """The SQL of a count, and its values."""
    arms = _arms(wanted)
    counts = " + ".join(f"({arm.sql('count(*)')})" for arm in arms)
    return f"SELECT {counts}", [value for arm in arms for value in arm.values]


def due_rows(db: Connections, now: float, limit: int) -> list[RunRow]:
    """See `port.Journal.due`."""
    limit = max(0, limit)
    at_once, woken, told = _DUE
    found = [*db.read(at_once, limit), *db.read(woken, now, limit), *db.read(told, limit)]
    rows = {row.run: row for row in map(row_of, found)}
    return list(rows.values())[:limit]


def next_wake(db: Connections) -> float | None:
    """See `port.Journal.next_wake`."""
    found = db.read(_NEXT_WAKE)
    return found[0][0] if found else None


def _arms(wanted: RunFilter) -> list[_Arm]:
    """At least one; they share no run."""
    named = bool(wanted.name) and not wanted.unfinished
    if wanted.labels:
        first, *others = wanted.labels.items()
        arm = _Arm("labels CROSS JOIN runs ON runs.id = labels.run", "labels.run", [], [])
        arm.where.append("labels.key = ? AND labels.value = ?")
        arm.values.extend(first)
        for other in others:
            arm.where.append(
                "EXISTS (SELECT 1 FROM labels AS l WHERE l.key = ? AND l.value = ? AND l.run = runs.id)"
            )
            arm.values.extend(other)
        arms = [_with_states(arm, wanted)]
    elif named and (not wanted.states or RunState.COMPLETED in wanted.states):
        # Of all states only this one is common: to walk the runs with the name is less.
        arm = _Arm("runs", "runs.id", ["name = ?"], [wanted.name])
        return [_with_rest(_with_states(arm, wanted), wanted)]
    else:
        arms = _arms_by_state(wanted)
    for arm in arms:
        if wanted.name:
            arm.where.append("+name = ?")
            arm.values.append(wanted.name)
        _with_rest(arm, wanted)
    return arms


def _arms_by_state(wanted: RunFilter) -> list[_Arm]:
    states = dict.fromkeys(wanted.states)
    if not states:
        return [_Arm("runs", "runs.id", [], [])]
    ended = [state for state in states if state in RUN_ENDED and not wanted.unfinished]
    going = [state for state in states if state not in RUN_ENDED and wanted.ended_before is None]
    arms = [_Arm("runs", "runs.id", ["ended_at IS NOT NULL AND state = ?"], [state]) for state in ended]
    if going:
        marks = ", ".join("?" * len(going))
        arms.append(_Arm("runs", "runs.id", [f"ended_at IS NULL AND +state IN ({marks})"], list[Any](going)))
    return arms or [_Arm("runs", "runs.id", ["0"], [])]


def _with_states(arm: _Arm, wanted: RunFilter) -> _Arm:
    if wanted.states:
        arm.where.append(f"+state IN ({', '.join('?' * len(wanted.states))})")
        arm.values.extend(wanted.states)
    return arm


def _with_rest(arm: _Arm, wanted: RunFilter) -> _Arm:
    if wanted.unfinished:
        arm.where.append("ended_at IS NULL")
    for column, limit in (("ended_at", wanted.ended_before), ("created_at", wanted.created_before)):
        if limit is not None:
            arm.where.append(f"{column} < ?")
            arm.values.append(limit)
    return arm
