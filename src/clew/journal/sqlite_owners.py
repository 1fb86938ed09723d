"""Who drives a run, who is alive, and who holds a key, as SQL; each function has one transaction to itself."""

from __future__ import annotations

import sqlite3

from clew.errors import RunBusyError, UnknownRunError
from clew.journal.ownership import is_alive
from clew.journal.records import KeyHolder, Owner, RunRow
from clew.journal.sqlite_connections import Connections
from clew.journal.sqlite_listing import SELECT, row_of

_OWNERS = "SELECT owner, host, pid, started, renewed_at FROM owners"
#: A run that has ended holds nothing.
_HELD = "SELECT key, runs.run, path FROM keys JOIN runs ON runs.id = keys.run WHERE runs.ended_at IS NULL"


def number_of(connection: sqlite3.Connection, run: str) -> int:
    """What the other tables call a run.

    Raises:
        UnknownRunError: there is no such run.
    """
    found = connection.execute("SELECT id FROM runs WHERE run = ?", (run,)).fetchone()
    if found is None:
        raise UnknownRunError(f"there is no run {run}")
    return found[0]


async def acquire(db: Connections, run: str, owner: Owner, now: float) -> RunRow:
    """See `port.Journal.acquire`."""

    def take(connection: sqlite3.Connection) -> RunRow:
        found = connection.execute(f"{SELECT} WHERE run = ?", (run,)).fetchone()
        if found is None:
            raise UnknownRunError(f"there is no run {run} in {db.path}")
        row = row_of(found)
        if row.owner != owner.id:
            refuse_if_busy(connection, run, row.owner, now)
        renew(connection, owner, now)
        connection.execute("UPDATE runs SET owner = ?, epoch = epoch + 1 WHERE run = ?", (owner.id, run))
        row.owner, row.epoch = owner.id, row.epoch + 1
        return row

    return await db.write_async(take)


async def release(db: Connections, run: str, owner: Owner) -> None:
    """See `port.Journal.release`."""
    sql = "UPDATE runs SET owner = '' WHERE run = ? AND owner = ?"
    await db.write_async(lambda connection: connection.execute(sql, (run, owner.id)))


def renew(connection: sqlite3.Connection, owner: Owner, now: float) -> None:
    """Write down that an owner is alive, in the transaction that is open."""
    connection.execute(
        "INSERT INTO owners (owner, host, pid, started, renewed_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET renewed_at = excluded.renewed_at",
        (owner.id, owner.host, owner.pid, owner.started, now),
    )


async def retire(db: Connections, owner: Owner) -> None:
    """See `port.Journal.retire`."""

    def leave(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE runs SET owner = '' WHERE owner = ? AND ended_at IS NULL", (owner.id,))
        connection.execute("DELETE FROM owners WHERE owner = ?", (owner.id,))

    await db.write_async(leave)


async def free_dead(db: Connections, now: float) -> int:
    """See `port.Journal.free_dead`."""
    if len(live_owners(db, now)) == len(db.read(_OWNERS)):
        return 0

    def free(connection: sqlite3.Connection) -> int:
        known = connection.execute(_OWNERS).fetchall()
        dead = [owner for owner, *rest in known if not is_alive(Owner(owner, *rest[:3]), rest[3], now)]
        sql = "UPDATE runs SET owner = '' WHERE owner = ? AND ended_at IS NULL"
        freed = sum(connection.execute(sql, (owner,)).rowcount for owner in dead)
        connection.executemany("DELETE FROM owners WHERE owner = ?", [(owner,) for owner in dead])
        return freed

    return await db.write_async(free)


def live_owners(db: Connections, now: float) -> set[str]:
    """See `port.Journal.live_owners`."""
    return {owner for owner, *rest in db.read(_OWNERS) if is_alive(Owner(owner, *rest[:3]), rest[3], now)}


def dead_owners(connection: sqlite3.Connection, now: float) -> list[str]:
    """The ids of the owners that are dead and have no unfinished run, in the transaction that is open."""
    idle = "owner NOT IN (SELECT owner FROM runs WHERE ended_at IS NULL)"
    found = connection.execute(f"{_OWNERS} WHERE {idle} AND renewed_at <= ?", (now,)).fetchall()
    return [owner for owner, *rest in found if not is_alive(Owner(owner, *rest[:3]), rest[3], now)]


def refuse_if_busy(connection: sqlite3.Connection, run: str, owner: str, now: float) -> None:
    """Refuse to touch a run whose owner is alive, in the transaction that is open.

    Raises:
        RunBusyError: it is.
    """
    found = connection.execute(f"{_OWNERS} WHERE owner = ?", (owner,)).fetchone()
    if found is not None and is_alive(Owner(*found[:4]), found[4], now):
        raise RunBusyError(f"run {run} is being driven by {owner} (process {found[2]}), which is alive")


async def take_key(db: Connections, run: str, path: str, key: str) -> KeyHolder | None:
    """See `port.Journal.take_key`."""

    def take(connection: sqlite3.Connection) -> KeyHolder | None:
        number = number_of(connection, run)
        found = connection.execute(f"{_HELD} AND key = ?", (key,)).fetchone()
        if found is None:
            connection.execute("REPLACE INTO keys (key, run, path) VALUES (?, ?, ?)", (key, number, path))
            return None
        holder = KeyHolder(*found[1:])
        return None if holder == KeyHolder(run, path) else holder

    return await db.write_async(take)


def keys(db: Connections) -> list[tuple[str, KeyHolder]]:
    """See `port.Journal.keys`."""
    return [(key, KeyHolder(run, path)) for key, run, path in db.read(f"{_HELD} ORDER BY key")]
