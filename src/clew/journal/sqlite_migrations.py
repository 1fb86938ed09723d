"""How the tables of older versions become those of today, one step per version.

A step runs in the transaction in which the file is opened, before anybody reads it; a test compares what it
makes of an old database with a new one.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable

import msgspec

from clew.errors import StorageError

#: A value in the text of an event that is stored as a blob.
_BLOB = re.compile(r'"blob":"([0-9a-f]{64})"')


_SECOND = """
ALTER TABLE runs ADD COLUMN idle INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_ended ON runs (state) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_named ON runs (name);
CREATE INDEX runs_due ON runs (idle, wake_at)
  WHERE owner = '' AND ended_at IS NULL AND imported = 0 AND state <> 'paused';
CREATE TABLE labels (
  key TEXT NOT NULL, value TEXT NOT NULL, run INTEGER NOT NULL REFERENCES runs (id), PRIMARY KEY (key, value, run)
) STRICT, WITHOUT ROWID;
CREATE TABLE packs (
  run INTEGER NOT NULL REFERENCES runs (id), seq INTEGER NOT NULL, count INTEGER NOT NULL,
  version INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (run, seq)
) STRICT;
CREATE TABLE dated_blobs (digest TEXT PRIMARY KEY, stored_at REAL NOT NULL, data BLOB NOT NULL) STRICT;
INSERT INTO dated_blobs SELECT digest, 0, data FROM blobs;
DROP TABLE blobs;
ALTER TABLE dated_blobs RENAME TO blobs;
CREATE TABLE segments (
  run  INTEGER NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (run, name)
) STRICT;
CREATE TABLE blob_refs (
  run INTEGER NOT NULL REFERENCES runs (id), digest TEXT NOT NULL, PRIMARY KEY (run, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE keys (
  key TEXT PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id), path TEXT NOT NULL
) STRICT;
CREATE INDEX keys_of_run ON keys (run, path)
"""


def _first_to_second(connection: sqlite3.Connection) -> None:
    """Idle and imported runs, indexes for listing, packed events, exclusive keys, references to blobs."""
    for statement in _SECOND.split(";\n"):
        connection.execute(statement)
    for run, name, labels in connection.execute("SELECT id, run, labels FROM runs WHERE labels <> '{}'"):
        try:
            pairs = msgspec.json.decode(labels, type=dict[str, str]).items()
        except msgspec.MsgspecError as error:
            raise StorageError(f"the labels of run {name} are damaged: {error}; nothing was changed") from error
        connection.executemany("INSERT INTO labels (key, value, run) VALUES (?, ?, ?)", [(*p, run) for p in pairs])
    for run, data in connection.execute("SELECT run, data FROM events WHERE instr(data, '\"blob\"')"):
        # What only looks like one, in a value of a user, names nothing.
        connection.executemany(
            "INSERT OR IGNORE INTO blob_refs (run, digest) SELECT ?, digest FROM blobs WHERE digest = ?",
            [(run, digest) for digest in set(_BLOB.findall(data))],
        )


_THIRD = """
CREATE TABLE memory (
  number INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, key TEXT NOT NULL, data TEXT,
  created_at REAL NOT NULL, updated_at REAL NOT NULL, by TEXT NOT NULL, UNIQUE (namespace, key)
) STRICT;
CREATE INDEX memory_by_number ON memory (namespace, number) WHERE data IS NOT NULL;
CREATE TABLE memory_spaces (
  namespace TEXT PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE memory_changes (
  id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id), path TEXT NOT NULL, step TEXT NOT NULL,
  digest TEXT NOT NULL, operation TEXT NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL,
  number INTEGER NOT NULL, existed INTEGER NOT NULL, undone INTEGER NOT NULL, before_number INTEGER NOT NULL,
  before TEXT NOT NULL
) STRICT;
CREATE INDEX memory_changes_of_run ON memory_changes (run, path, step);
CREATE INDEX memory_changes_of_entry ON memory_changes (namespace, key) WHERE NOT undone
"""


def _second_to_third(connection: sqlite3.Connection) -> None:
    """The memory, and what runs have changed of it."""
    for statement in _THIRD.split(";\n"):
        connection.execute(statement)


def _third_to_fourth(connection: sqlite3.Connection) -> None:
    """How long nodes take."""
    connection.execute(
        "CREATE TABLE durations (id INTEGER PRIMARY KEY, graph TEXT NOT NULL, place TEXT NOT NULL, "
        "count INTEGER NOT NULL, mean_s REAL NOT NULL, last_s REAL NOT NULL, at REAL NOT NULL, "
        "UNIQUE (graph, place)) STRICT"
    )


#: `MIGRATIONS[n - 1]` leads from the tables of version n to those of n + 1; `sqlite_schema.sql` are the newest.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _first_to_second,
    _second_to_third,
    _third_to_fourth,
)
