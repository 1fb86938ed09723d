"""How long the nodes of graphs have taken, in a SQLite journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from clew.journal.durations import GRAPHS, PLACES, Duration, merged
from clew.journal.sqlite_connections import Connections

_FOUND = "SELECT graph, place, count, mean_s, last_s FROM durations WHERE graph = ?"
_PUT = (
    "INSERT INTO durations (graph, place, count, mean_s, last_s, at) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET count = excluded.count, mean_s = excluded.mean_s, last_s = excluded.last_s, "
    "at = excluded.at"
)
#: Graphs beyond the limit, those that ran longest ago.
_FORGET = (
    "DELETE FROM durations WHERE graph IN "
    "(SELECT graph FROM durations GROUP BY graph ORDER BY max(at) DESC, max(id) DESC LIMIT -1 OFFSET ?)"
)


async def learn(db: Connections, durations: Sequence[Duration], at: float) -> None:
    """See `port.Journal.learn`."""

    def put(connection: sqlite3.Connection) -> None:
        by_graph: dict[str, list[Duration]] = {}
        for each in durations:
            by_graph.setdefault(each.graph, []).append(each)
        for graph, of_graph in by_graph.items():
            known = {row[1]: Duration(*row) for row in connection.execute(_FOUND, (graph,))}
            for new in of_graph:
                if new.place in known or len(known) < PLACES:
                    known[new.place] = now = merged(known.get(new.place), new)
                    connection.execute(_PUT, (graph, now.place, now.count, now.mean_s, now.last_s, at))
        connection.execute(_FORGET, (GRAPHS,))

    if durations:
        await db.write_async(put)
    else:
        db.version()


def learned(db: Connections, graph: str) -> dict[str, Duration]:
    """See `port.Journal.learned`."""
    return {row[1]: Duration(*row) for row in db.read(_FOUND, graph)}
