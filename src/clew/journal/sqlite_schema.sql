-- Version 4. The steps from older versions are in sqlite_migrations.py; a test compares a migrated database with
-- a new one.
-- Times are seconds since the epoch.

CREATE TABLE runs (
  id         INTEGER PRIMARY KEY,
  run        TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  graph      TEXT NOT NULL,
  definition TEXT NOT NULL,
  state      TEXT NOT NULL,
  seq        INTEGER NOT NULL,
  epoch      INTEGER NOT NULL,
  owner      TEXT NOT NULL,
  generation INTEGER NOT NULL,
  created_at REAL NOT NULL,
  started_at REAL,
  ended_at   REAL,
  wake_at    REAL,
  total      INTEGER NOT NULL,
  settled    INTEGER NOT NULL,
  failed     INTEGER NOT NULL,
  running    INTEGER NOT NULL,
  waiting    INTEGER NOT NULL,
  labels     TEXT NOT NULL,
  error      TEXT NOT NULL,
  note       TEXT NOT NULL,
  idle       INTEGER NOT NULL DEFAULT 0,
  imported   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Unfinished runs are few among many ended ones; whoever starts up looks for just these.
CREATE INDEX runs_unfinished ON runs (id) WHERE ended_at IS NULL;

-- Written when a run ends, so that the many appends of a run that goes on do not pay for it.
CREATE INDEX runs_ended ON runs (state) WHERE ended_at IS NOT NULL;

-- Written when a run is created.
CREATE INDEX runs_named ON runs (name);

-- What nobody drives and is to be woken, by time; a run that is driven is not in it.
CREATE INDEX runs_due ON runs (idle, wake_at)
  WHERE owner = '' AND ended_at IS NULL AND imported = 0 AND state <> 'paused';

-- The labels of runs once more, to find runs by them; a run without labels costs nothing here.
CREATE TABLE labels (
  key   TEXT NOT NULL,
  value TEXT NOT NULL,
  run   INTEGER NOT NULL REFERENCES runs (id),
  PRIMARY KEY (key, value, run)
) STRICT, WITHOUT ROWID;

-- One row per append: `seq` is the number of its last event, `data` the JSON array of its events. An ordinary
-- table, so that the appends of many runs that share a commit are written side by side, and not page by page.
CREATE TABLE events (
  run     INTEGER NOT NULL REFERENCES runs (id),
  seq     INTEGER NOT NULL,
  count   INTEGER NOT NULL,
  version INTEGER NOT NULL,
  data    TEXT NOT NULL,
  PRIMARY KEY (run, seq)
) STRICT;

-- The events of ended runs, once they are packed: like `events`, but many appends in one row, and `data` is
-- compressed by zlib. What is in here is not in `events`.
CREATE TABLE packs (
  run     INTEGER NOT NULL REFERENCES runs (id),
  seq     INTEGER NOT NULL,
  count   INTEGER NOT NULL,
  version INTEGER NOT NULL,
  data    BLOB NOT NULL,
  PRIMARY KEY (run, seq)
) STRICT;

-- The newest of each run. It only saves time: one of another `version` is passed over.
CREATE TABLE snapshots (
  run     INTEGER PRIMARY KEY REFERENCES runs (id),
  seq     INTEGER NOT NULL,
  version INTEGER NOT NULL,
  data    BLOB NOT NULL
) STRICT;

-- `stored_at` has no default: a process of an older version, which would write no references, is refused.
-- What the snapshot of a run names: parts that have settled and do not change any more.
CREATE TABLE segments (
  run  INTEGER NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (run, name)
) STRICT;

CREATE TABLE blobs (
  digest    TEXT PRIMARY KEY,
  stored_at REAL NOT NULL,
  data      BLOB NOT NULL
) STRICT;

-- Which runs need a blob, besides those whose definition it is.
CREATE TABLE blob_refs (
  run    INTEGER NOT NULL REFERENCES runs (id),
  digest TEXT NOT NULL,
  PRIMARY KEY (run, digest)
) STRICT, WITHOUT ROWID;

-- Exclusive keys, and the visits that hold them.
CREATE TABLE keys (
  key  TEXT PRIMARY KEY,
  run  INTEGER NOT NULL REFERENCES runs (id),
  path TEXT NOT NULL
) STRICT;

CREATE INDEX keys_of_run ON keys (run, path);

CREATE TABLE owners (
  owner      TEXT PRIMARY KEY,
  host       TEXT NOT NULL,
  pid        INTEGER NOT NULL,
  started    TEXT NOT NULL,
  renewed_at REAL NOT NULL
) STRICT;

-- Signals from other processes; `outcome` is NULL while one waits, empty when it was taken, else why not.
CREATE TABLE inbox (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  run     INTEGER NOT NULL REFERENCES runs (id),
  data    TEXT NOT NULL,
  at      REAL NOT NULL,
  by      TEXT NOT NULL,
  outcome TEXT
) STRICT;

CREATE INDEX inbox_waiting ON inbox (run, id) WHERE outcome IS NULL;

CREATE TABLE logs (
  id      INTEGER PRIMARY KEY,
  run     INTEGER NOT NULL REFERENCES runs (id),
  path    TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at      REAL NOT NULL,
  stream  TEXT NOT NULL,
  text    TEXT NOT NULL
) STRICT;

CREATE INDEX logs_of_run ON logs (run, id);

-- The memory: entries by namespace and key, which outlive runs. `number` counts all changes of all entries; `data`
-- is NULL for an entry that was deleted, and is kept because a run may put it back.
CREATE TABLE memory (
  number     INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace  TEXT NOT NULL,
  key        TEXT NOT NULL,
  data       TEXT,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  by         TEXT NOT NULL,
  UNIQUE (namespace, key)
) STRICT;

-- The entries of a namespace, in the order in which they were changed.
CREATE INDEX memory_by_number ON memory (namespace, number) WHERE data IS NOT NULL;

-- How full each namespace is; written with each change.
CREATE TABLE memory_spaces (
  namespace TEXT PRIMARY KEY,
  entries   INTEGER NOT NULL,
  bytes     INTEGER NOT NULL
) STRICT;

-- What runs have changed in the memory, once for each visit or step, and the JSON text of the entry before that;
-- empty if there was none, and once it was undone. Without an operation: nothing was changed and may be no more.
CREATE TABLE memory_changes (
  id            INTEGER PRIMARY KEY,
  run           INTEGER NOT NULL REFERENCES runs (id),
  path          TEXT NOT NULL,
  step          TEXT NOT NULL,
  digest        TEXT NOT NULL,
  operation     TEXT NOT NULL,
  namespace     TEXT NOT NULL,
  key           TEXT NOT NULL,
  at            REAL NOT NULL,
  number        INTEGER NOT NULL,
  existed       INTEGER NOT NULL,
  undone        INTEGER NOT NULL,
  before_number INTEGER NOT NULL,
  before        TEXT NOT NULL
) STRICT;

CREATE INDEX memory_changes_of_run ON memory_changes (run, path, step);

CREATE INDEX memory_changes_of_entry ON memory_changes (namespace, key) WHERE NOT undone;

-- How long what is at a place of a graph has taken; of the graphs that ran last.
CREATE TABLE durations (
  id     INTEGER PRIMARY KEY,
  graph  TEXT NOT NULL,
  place  TEXT NOT NULL,
  count  INTEGER NOT NULL,
  mean_s REAL NOT NULL,
  last_s REAL NOT NULL,
  at     REAL NOT NULL,
  UNIQUE (graph, place)
) STRICT;
