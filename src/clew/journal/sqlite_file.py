"""Opening a SQLite file: is it ours, is it whole, is it of this version; nothing is changed before all that.

Every fault that a user can meet at the door is told here, with what to do about it.

The file is never read except through SQLite: closing any other handle on it would drop the locks that this
process holds on it (https://www.sqlite.org/howtocorrupt.html, section 2.2), and with them another engine's
claim to the write-ahead log.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from functools import lru_cache
from importlib import resources
from pathlib import Path

from clew.errors import StorageError, UnfitError
from clew.journal.sqlite_migrations import MIGRATIONS

#: Marks a SQLite file as a journal of Clew ("CLEW").
APPLICATION_ID = 0x434C4557
#: How long to wait for another process that writes, in seconds.
BUSY_S = 10.0

DURABILITIES = {"full": "FULL", "process": "NORMAL"}

#: The first with STRICT tables.
_OLDEST_SQLITE = (3, 37, 0)

_NETWORK_FILE_SYSTEMS = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs",
        "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.glusterfs",
    }
)  # fmt: skip


class LockedError(StorageError):
    """Another process is writing to the database, or keeps it to itself."""


def open_file(path: Path, durability: str, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A connection to the journal at `path`, made or migrated if need be.

    Args:
        path: the database file; its folder must exist.
        durability: ``full`` (a commit survives a power cut) or ``process`` (it survives the process).
        busy_s: how long to wait for another process that writes, in seconds.

    Raises:
        StorageError: the file or its place is not fit; it has not been changed.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        needed = ".".join(map(str, _OLDEST_SQLITE))
        raise StorageError(
            f"this Python comes with SQLite {sqlite3.sqlite_version}; Clew needs {needed} or later. "
            "Use another Python, e.g. from python.org"
        )
    try:
        fresh = _check_place(path)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: the file cannot be opened ({error}); choose another place") from error
    try:
        if not fresh:
            _check_identity(path, busy_s)
        connection = connect(path, busy_s)
        try:
            _prepare(connection, path, durability, busy_s)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return connection


def open_reader(path: Path, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A second connection, for reading only."""
    try:
        connection = connect(path, busy_s)
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return connection


def connect(path: Path, busy_s: float, *, read_only: bool = False) -> sqlite3.Connection:
    """A bare connection; with `read_only`, one that does not even tidy up what a crash left behind."""
    # Autocommit: every transaction is begun and ended in so many words. One lock guards the writing
    # connection, so that it may be used from the loop's thread and from the writer's.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
        uri=True,
        timeout=busy_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def explain(error: sqlite3.Error, path: Path) -> StorageError:
    """An error of SQLite in words that say what to do."""
    code: str = getattr(error, "sqlite_errorname", "")
    if "Could not decode" in str(error):
        return StorageError(f"{path}: {_EXPLANATIONS['SQLITE_CORRUPT']} (a text in it is no Unicode)")
    for start, what in _EXPLANATIONS.items():
        if code.startswith(start):
            kind = LockedError if start in ("SQLITE_BUSY", "SQLITE_LOCKED") else StorageError
            return kind(f"{path}: {what} ({error})")
    if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
        return StorageError(f"{path}: SQLite refused ({code or 'no code'}: {error})")
    return UnfitError(f"{path}: SQLite does not take what was to be written ({error})")


_EXPLANATIONS = {
    "SQLITE_FULL": "the disk (or the database's size limit) is full; make room, then resume: "
    "nothing acknowledged is lost",
    "SQLITE_BUSY": "another process is holding the database; end it or wait for it, then resume",
    "SQLITE_LOCKED": "another connection is holding the database; end it or wait for it, then resume",
    "SQLITE_READONLY": "the database or its folder is read-only for this user; change its rights or choose "
    "another place",
    "SQLITE_CORRUPT": "the database is damaged; keep the file, and restore it from a copy, or save what can be "
    "read with `sqlite3 FILE .recover`",
    "SQLITE_NOTADB": "this is not a SQLite database (or its beginning is damaged); nothing was written to it. "
    "Choose another file",
    "SQLITE_CANTOPEN": "the file cannot be opened; look at the rights of its folder, and of the files beside it",
    "SQLITE_IOERR": "the disk cannot be read or written (full, over quota or failing); mend that, then resume: "
    "nothing acknowledged is lost",
}


def log_files(path: Path) -> tuple[str, str]:
    """The write-ahead log of an open database, and its index."""
    return f"{path}-wal", f"{path}-shm"


def file_identity(path: str) -> tuple[int, int]:
    """What tells a file from another one that was put in its place; (0, 0) if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - asked before each commit, and a good deal quicker
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def newest_version() -> int:
    """The version of the tables that this Clew writes."""
    return len(MIGRATIONS) + 1


@lru_cache(1)
def schema() -> str:
    """The SQL of the newest tables."""
    return resources.files("clew.journal").joinpath("sqlite_schema.sql").read_text(encoding="utf-8")


def _prepare(connection: sqlite3.Connection, path: Path, durability: str, busy_s: float) -> None:
    connection.execute(f"PRAGMA synchronous = {DURABILITIES[durability]}")
    connection.execute("PRAGMA cache_size = -16000")
    # The tables and the mark that they are ours are made before the write-ahead log is chosen: so both are in
    # the file itself from its first moment, whatever a crash leaves behind.
    if _pragma(connection, "user_version") != newest_version():
        _bring_up_to_date(connection, path)
    mode = _choose_log(connection, busy_s)
    if mode != "wal":
        raise StorageError(
            f"{path}: this file system does not allow SQLite's write-ahead log (got {mode}); choose a local disk"
        )


def _choose_log(connection: sqlite3.Connection, busy_s: float) -> str:
    deadline = time.monotonic() + busy_s
    while True:
        try:
            return connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            # SQLite itself does not wait here, when several processes open a new file at once.
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
        time.sleep(0.002)


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again, now that no other process can do the same.
        version = _pragma(connection, "user_version")
        _refuse_newer(version, path)
        if version == 0:
            for statement in schema().split(";\n"):
                if statement.strip():
                    connection.execute(statement)
        else:
            _migrate(connection, version, path)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {newest_version()}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, version: int, path: Path) -> None:
    try:
        for step in MIGRATIONS[version - 1 :]:
            step(connection)
    except StorageError as error:
        raise StorageError(f"{path}: {error}") from error


def _check_place(path: Path) -> bool:
    """Refuse a place that is not fit; tell whether a new database is to be made there."""
    if "\0" in str(path):
        raise ValueError("a name cannot have a null character in it")
    folder = path.parent
    if not folder.is_dir():
        raise StorageError(f"{path}: the folder {folder} does not exist; make it, or choose another place")
    if path.is_dir():
        raise StorageError(f"{path}: this is a folder; name a file in it, e.g. {path / 'clew.db'}")
    if path.exists() and not path.is_file():
        raise StorageError(f"{path}: this is not an ordinary file; choose another place")
    for place in (folder, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise StorageError(
                f"{path}: {place} is read-only for this user; change its rights or choose another place"
            )
    kind = _file_system(folder.resolve())
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StorageError(f"{path}: SQLite is not safe on a network file system ({kind}); choose a local disk")
    return _is_fresh(path)


def _is_fresh(path: Path) -> bool:
    if path.exists() and path.stat().st_size > 0:
        return False
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > 0:
        raise StorageError(
            f"{path}: the database is gone, but its write-ahead log {log.name} is there, with commits in it. Put "
            "the database back from a copy, or move the log away to begin anew"
        )
    return True


def _check_identity(path: Path, busy_s: float) -> None:
    with contextlib.closing(connect(path, busy_s, read_only=True)) as connection:
        try:
            application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK" or not _is_ours_half_made(path):
                raise
            return
    if application != APPLICATION_ID and (application or version or tables):
        raise StorageError(
            f"{path}: this SQLite database belongs to another program; nothing was written to it. "
            "Choose another file"
        )
    _refuse_newer(version, path)


def _is_ours_half_made(path: Path) -> bool:
    """Whether what was killed in a transaction here was the making of a journal, which SQLite can undo.

    Only then has a journal of ours a rollback journal; nobody has the file open, so it may be looked at. The
    header of a rollback journal tells how many pages the database had before
    (https://www.sqlite.org/fileformat.html, sections 1.3 and 3).
    """
    with path.open("rb") as file:
        head = file.read(100)
    with path.with_name(f"{path.name}-journal").open("rb") as file:
        undo = file.read(20)
    return head[68:72] == APPLICATION_ID.to_bytes(4, "big") or undo[16:] == bytes(4)


def _refuse_newer(version: int, path: Path) -> None:
    if version > newest_version():
        raise StorageError(
            f"{path}: the database was written by a newer Clew (tables of version {version}, this one knows up to "
            f"{newest_version()}); nothing was changed. Install that version"
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`, where the system tells (Linux); else empty."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return file_system_of(folder, mounts)


def file_system_of(folder: Path, mounts: str) -> str:
    """The type of the file system that holds `folder`, by a table of mounts as Linux writes it."""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, place, type_name, *_ = line.split(" ")
        place = place.replace("\\040", " ")
        if (str(folder) + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best):
            best, kind = place, type_name
    return kind
