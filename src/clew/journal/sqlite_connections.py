"""The connections to one SQLite file: one that writes, one that reads, and a thread for what takes long.

What is in here knows transactions, locks and threads, and nothing of runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from clew.errors import StorageError
from clew.journal.sqlite_file import BUSY_S, connect, explain, file_identity, log_files, open_file, open_reader

T = TypeVar("T")


class Connections:
    """An opened journal file.

    Args:
        path: the file.
        durability: see `sqlite_file.open_file`.
        busy_s: how long to wait for another process that writes, in seconds.
    """

    def __init__(self, path: Path, durability: str, busy_s: float = BUSY_S) -> None:
        self.path = path
        self._durability = durability
        self._busy_s = busy_s
        #: Held by the thread that uses the writing connection.
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        #: Used on the event loop's thread only.
        self._reader: sqlite3.Connection | None = None
        #: There from `open` to `close`.
        self._thread: ThreadPoolExecutor | None = None
        #: Whether the writing connection waits for other processes, or gives up at once.
        self._waits = True
        #: The files that were opened (the database, its log and the log's index), against others in their places.
        self._files: dict[str, tuple[int, int]] = {}
        self._version = 0

    async def open(self) -> None:
        """Open the file; see `sqlite_file.open_file` for what is refused."""
        if self._thread is not None:
            return
        # Wherever the program goes, the file is where it was.
        self.path = self.path.absolute()
        thread = ThreadPoolExecutor(1, thread_name_prefix="clew-journal")
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._open)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        self._thread = thread

    def _open(self) -> None:
        writer = open_file(self.path, self._durability, self._busy_s)
        try:
            self._reader = open_reader(self.path, self._busy_s)
        except BaseException:
            writer.close()
            raise
        self._waits = True
        writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # there is a log from here on
        self._files = {name: file_identity(name) for name in (str(self.path), *log_files(self.path))}
        self._writer = writer

    async def close(self) -> None:
        """Wait for what is under way, then let go of the file."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        await asyncio.get_running_loop().run_in_executor(None, self._close, thread)

    def _close(self, thread: ThreadPoolExecutor) -> None:
        thread.shutdown()
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    # ------------------------------------------------------------------ writing

    @property
    def busy(self) -> bool:
        """Whether somebody writes at this moment."""
        return self._lock.locked()

    def write(self, work: Callable[[sqlite3.Connection], T], *, wait: bool = True, transaction: bool = True) -> T:
        """Do some work in one transaction, on whatever thread this is.

        Args:
            work: what to do; whatever it raises undoes all of it.
            wait: for other processes that write; if False, give up at once.
            transaction: False for the few statements that begin and end their own.

        Raises:
            LockedError: another process writes.
            UnfitError: SQLite is well and refuses what is written.
            StorageError: anything else that keeps SQLite from working.
        """
        with self._lock:
            connection = self._writer
            if connection is None:
                raise self._closed()
            self._refuse_other_files()
            try:
                self._set_patience(connection, wait)
                return _transact(connection, work) if transaction else work(connection)
            except sqlite3.Error as error:
                raise explain(error, self.path) from error

    async def write_async(self, work: Callable[[sqlite3.Connection], T], *, transaction: bool = True) -> T:
        """`write` in the writer's thread."""
        if self._thread is None:
            raise self._closed()
        job = partial(self.write, work, transaction=transaction)
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def submit(self, job: Callable[[], None]) -> bool:
        """Do something in the writer's thread (called on the loop's); False if there is none any more."""
        if self._thread is None:
            return False
        asyncio.get_running_loop().run_in_executor(self._thread, job)
        return True

    def _refuse_other_files(self) -> None:
        """Refuse to write where nobody would find it.

        The files of the log are looked at as well: what is committed goes there first.
        """
        for name, identity in self._files.items():
            if file_identity(name) == identity:
                continue
            if name == str(self.path):
                raise StorageError(
                    f"{name}: the database was deleted or replaced while it was open; nothing is written any "
                    "more. Put it back from a copy (with its -wal file, if there is one), then resume"
                )
            raise StorageError(
                f"{name}: this file of the database's log was deleted or replaced while it was open; nothing is "
                "written any more. End this program in good order before another one opens the database: that "
                "saves what is in the log. Then resume"
            )

    def _set_patience(self, connection: sqlite3.Connection, wait: bool) -> None:
        if wait != self._waits:
            connection.execute(f"PRAGMA busy_timeout = {int(self._busy_s * 1000) if wait else 0}")
            self._waits = wait

    # ------------------------------------------------------------------ reading

    def read(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a query."""
        with contextlib.closing(self.stream(sql, *values)) as rows:
            return list(rows)

    def stream(self, sql: str, *values: Any) -> Generator[Any, None, None]:
        """The rows of a query one by one. Close it: until then, other reads see the past."""
        if self._reader is None:
            raise self._closed()
        try:
            with contextlib.closing(self._reader.execute(sql, values)) as cursor:
                yield from cursor
        except sqlite3.Error as error:
            raise explain(error, self.path) from error

    async def read_apart(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read what may take long, in a thread, on a connection of its own; each statement sees one moment."""
        if self._thread is None:
            raise self._closed()
        self._refuse_other_files()

        def job() -> T:
            try:
                with contextlib.closing(connect(self.path, self._busy_s, read_only=True)) as connection:
                    return work(connection)
            except sqlite3.Error as error:
                raise explain(error, self.path) from error

        return await asyncio.to_thread(job)

    def version(self) -> int:
        """A number that changes when another connection has written."""
        if self._thread is None:
            raise self._closed()
        # Asked on the writing connection, whose own commits do not count; while another thread has it, the
        # next call will tell.
        if self._writer is not None and self._lock.acquire(blocking=False):
            try:
                self._version = self._writer.execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error as error:
                raise explain(error, self.path) from error
            finally:
                self._lock.release()
        return self._version

    def _closed(self) -> StorageError:
        return StorageError(f"{self.path}: the journal is closed")


def _transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # A full disk has ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result
