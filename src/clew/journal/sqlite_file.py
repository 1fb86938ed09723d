"""Opening a SQLite file: is it ours, is it whole, is it of this version; nothing is changed before all that.

Every fault that a user can meet at the door is told here, with what to do about it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from clew.errors import StorageError

#: Marks a SQLite file as a journal of Clew ("CLEW").
APPLICATION_ID = 0x434C4557
#: Version of the tables; a step in `_MIGRATIONS` leads from each former one to the next.
SCHEMA_VERSION = 1
#: How long to wait for another process that writes, in seconds.
BUSY_S = 10.0

DURABILITIES = {"full": "FULL", "process": "NORMAL"}

_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {}

_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"}
)


def open_file(path: Path, durability: str) -> sqlite3.Connection:
    """A connection to the journal at `path`, made or migrated if need be.

    Args:
        path: the database file; its folder must exist.
        durability: ``full`` (a commit survives a power cut) or ``process`` (it survives the process).

    Raises:
        StorageError: the file or its place is not fit; it has not been changed.
    """
    _check_place(path)
    fresh = not path.exists() or path.stat().st_size == 0
    if not fresh:
        _check_header(path)
    try:
        connection = _connect(path)
        try:
            if not fresh:
                _check_identity(connection, path)
            _prepare(connection, path, durability)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A second connection, for reading only."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def explain(error: sqlite3.Error, path: Path) -> StorageError:
    """An error of SQLite in words that say what to do."""
    text = str(error)
    code = getattr(error, "sqlite_errorname", "")
    if "full" in text or code == "SQLITE_FULL":
        what = (
            "the disk (or the database's size limit) is full; make room, then resume: nothing acknowledged is lost"
        )
    elif "locked" in text or code.startswith("SQLITE_BUSY"):
        what = f"another process has held the database for over {BUSY_S:g} s; end it or wait, then resume"
    elif "readonly" in text or "read-only" in text or code.startswith("SQLITE_READONLY"):
        what = "the database or its folder is read-only for this user; change its rights or choose another place"
    elif "malformed" in text or "not a database" in text or code in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
        what = "the database is damaged; keep the file, and restore it from a copy (or `sqlite3 FILE .recover`)"
    elif "unable to open" in text:
        what = "the file cannot be opened; look at its folder's rights"
    else:
        what = "SQLite refused"
    return StorageError(f"{path}: {what} ({text})")


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit: every transaction is begun and ended in so many words. One lock guards the writing
    # connection, so that it may be used from the loop's thread and from the writer's.
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, durability: str) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StorageError(f"{path}: this file system does not allow SQLite's write-ahead log (got {mode})")
    connection.execute(f"PRAGMA synchronous = {DURABILITIES[durability]}")
    connection.execute("PRAGMA cache_size = -16000")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            _create(connection)
        for step in range(version, SCHEMA_VERSION) if version else ():
            _MIGRATIONS[step](connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection) -> None:
    script = resources.files("clew.journal").joinpath("sqlite_schema.sql").read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement)


def _check_place(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise StorageError(f"{path}: the folder {folder} does not exist; make it, or choose another place")
    if path.is_dir():
        raise StorageError(f"{path}: this is a folder; name a file in it, e.g. {path / 'clew.db'}")
    target = path if path.exists() else folder
    if not os.access(target, os.W_OK) or not os.access(folder, os.W_OK):
        raise StorageError(
            f"{path}: {target} is read-only for this user; change its rights or choose another place"
        )
    kind = _file_system(folder.resolve())
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StorageError(f"{path}: SQLite is not safe on a network file system ({kind}); choose a local disk")


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(16)
    if head != b"SQLite format 3\0":
        raise StorageError(
            f"{path}: this is not a SQLite database; nothing was written to it. Choose another file"
        )


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (application or tables):
        raise StorageError(f"{path}: this SQLite database belongs to another program; nothing was written to it")
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"{path}: the database was written by a newer Clew (tables of version {version}, this one knows up to "
            f"{SCHEMA_VERSION}); nothing was changed. Install that version"
        )


def _file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`, where the system tells (Linux); else empty."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in mounts:
        _, place, type_name, *_ = line.split(" ")
        place = place.replace("\\040", " ")
        if (str(folder) + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best):
            best, kind = place, type_name
    return kind
