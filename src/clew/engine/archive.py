"""Runs in files: one run with all that is known of it, to be looked at elsewhere, see `archive_file`.

Both ways are streams: a run of any length is never in memory as a whole. No secret can get into a file, because
none is in the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib.metadata import version
from typing import IO

import msgspec
from msgspec.structs import replace

from clew.engine.archive_file import (
    FORMAT,
    Chunk,
    EndLine,
    EventsLine,
    Header,
    Line,
    LogsLine,
    Reader,
    RowLine,
    ValueLine,
    Writer,
)
from clew.engine.clock import Clock
from clew.engine.committer import Committer
from clew.engine.writing import Writing
from clew.errors import RunBusyError, RunConflictError, StorageError, UnknownRunError
from clew.journal.ownership import LEASE_S, this_process
from clew.journal.port import Journal
from clew.journal.records import Append, Blob, Owner, Recorded, RunRow
from clew.journal.upcast import encode_events
from clew.journal.values_of import blobs_of, values_of
from clew.kernel import events as e

_LOG = logging.getLogger("clew.engine")

#: Stands in the note of a run whose import is under way, or was when its process died.
IMPORTING = "is being imported"
#: Events that are written and stored together, unless their values have more bytes.
CHUNK_EVENTS, CHUNK_BYTES = 1_000, 4_000_000
#: Lines of logs that are written and stored together.
CHUNK_LOGS = 1_000


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was written to a file: the run, and how many events, values and lines of output."""

    run: str
    events: int
    values: int
    logs: int


class Archive:
    """Writes runs of one journal to files, and reads them from files.

    Args:
        journal: where the runs are.
        committer: takes what is imported.
        clock: the time.
    """

    def __init__(self, journal: Journal, committer: Committer, clock: Clock) -> None:
        self._journal = journal
        self._committer = committer
        self._clock = clock

    # ------------------------------------------------------------------ out

    async def export_run(self, run: str, out: IO[bytes]) -> Exported:
        """Write a run as it is on disk now.

        Args:
            run: its id.
            out: a binary file; it is not closed.

        Raises:
            UnknownRunError: there is none, or it was deleted meanwhile.
            StorageError: it cannot be read.
            OSError: the file cannot be written.
        """
        row = await self._journal.row(run)
        if row is None:
            raise UnknownRunError(f"there is no run {run} in {self._journal.url}")
        writer = Writer(out)
        header = Header(format=FORMAT, clew=version("clew"), run=run, exported_at=self._clock.now())
        definition = ValueLine(row.definition, (await self._journal.blob(row.definition)).decode())
        writer.write(header, RowLine(replace(row, owner="")), definition)
        seen = {row.definition}
        async for chunk in self._recorded(row):
            lines = await self._lines(chunk, seen)
            await asyncio.to_thread(writer.write, *lines)
        logs, last = 0, 0
        while page := await self._journal.read_logs(run, after=last, limit=CHUNK_LOGS):
            await asyncio.to_thread(writer.write, LogsLine(page))
            logs, last = logs + len(page), page[-1].id
            if len(page) < CHUNK_LOGS:
                break  # of a run that goes on, what is printed from now on is left out
        await asyncio.to_thread(writer.end, EndLine(events=row.seq, values=len(seen), logs=logs))
        return Exported(run=run, events=row.seq, values=len(seen) - 1, logs=logs)

    async def _recorded(self, row: RunRow) -> AsyncIterator[list[Recorded]]:
        """The events up to those that the row tells of, in chunks."""
        seq = 0
        while seq < row.seq:
            page = [each for each in await self._journal.read(row.run, seq) if each.seq <= row.seq]
            if not page:
                raise UnknownRunError(f"run {row.run} was deleted while it was exported")
            chunk: list[Recorded] = []
            size = 0
            for recorded in page:
                chunk.append(recorded)
                size += sum(value.size for value in values_of(recorded.event))
                if size >= CHUNK_BYTES or len(chunk) >= CHUNK_EVENTS:
                    yield chunk
                    chunk, size = [], 0
            if chunk:
                yield chunk
            seq = page[-1].seq

    async def _lines(self, chunk: list[Recorded], seen: set[str]) -> list[Line]:
        lines: list[Line] = []
        for recorded in chunk:
            for digest in blobs_of(recorded.event):
                if digest not in seen:
                    seen.add(digest)
                    lines.append(ValueLine(digest, (await self._journal.blob(digest)).decode()))
        events = msgspec.Raw(encode_events([recorded.event for recorded in chunk]))
        return [*lines, EventsLine(chunk[0].seq - 1, e.VERSION, events)]

    # ------------------------------------------------------------------ in

    async def import_run(self, file: IO[bytes], id: str = "", *, name: str = "the file") -> RunRow:  # noqa: A002
        """Read a run from a file, as a copy to be looked at; nobody ever drives it.

        The file is read twice: nothing is imported of one that is damaged. Until all of it is stored, the run is
        marked by `IMPORTING`; one that was left like this by a process that died is replaced.

        Args:
            file: binary and seekable.
            id: of the copy; as in the file if empty.
            name: of the file, for messages.

        Raises:
            RunConflictError: a run with this id exists.
            RunBusyError: another process is importing it.
            StorageError: the file is not an export or is damaged, or the journal refuses.
        """
        reader = await asyncio.to_thread(_verified, file, name)
        run = id or reader.row.run
        await self._make_room(run)
        owner = this_process("import")
        writing = Writing(self._committer)
        row = _unfinished(reader.row, run, owner.id)
        renewed_at = -LEASE_S
        try:
            chunks = reader.chunks()
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                if self._clock.now() - renewed_at > LEASE_S / 3:
                    renewed_at = self._clock.now()
                    await asyncio.to_thread(self._journal.renew, owner, renewed_at)
                if chunk.logs:
                    await self._journal.write_logs(run, chunk.logs)
                else:
                    await writing.append(_append(row, chunk))
            idle = reader.row.idle or reader.row.ended_at is None
            last = replace(reader.row, run=run, owner="", imported=True, idle=idle, wake_at=None)
            await writing.append(Append(row=last, after=last.seq, events=[]))
        except BaseException:
            await self._leave(owner, run if writing.begun else "")
            raise
        await self._leave(owner)
        return last

    async def _leave(self, owner: Owner, failed: str = "") -> None:
        """The owner is not needed any more; of a run that was not imported as a whole, nothing is to be left."""
        try:
            await self._journal.retire(owner)
            if failed:
                with suppress(UnknownRunError):
                    await self._journal.delete(failed, self._clock.wall())
        except StorageError as error:
            # What is left is known by its note, and that its owner is gone when this process has ended.
            _LOG.warning("after the import of a run: %s", error)

    async def _make_room(self, run: str) -> None:
        row = await self._journal.row(run)
        if row is None:
            return
        if not is_left_over(row):
            raise RunConflictError(f"run {run} exists already; give the copy another id (clew import --as ID)")
        try:
            await self._journal.delete(run, self._clock.wall())
        except RunBusyError:
            raise RunBusyError(f"run {run} is being imported by another process ({row.owner})") from None


def is_left_over(row: RunRow) -> bool:
    """Whether a run is being imported, or was when its process died (then its owner is dead)."""
    return row.imported and row.ended_at is None and row.note == IMPORTING


def _verified(file: IO[bytes], name: str) -> Reader:
    """A reader of a file of which it is known that nothing is wrong with it."""
    if not file.seekable():
        raise StorageError(f"{name} cannot be read twice; copy it to a file first")
    for _ in Reader(file, name).chunks():
        pass
    file.seek(0)
    return Reader(file, name)


def _unfinished(row: RunRow, run: str, owner: str) -> RunRow:
    """The row while the events of the run are not all there."""
    return RunRow(
        run=run, name=row.name, graph=row.graph, definition=row.definition, epoch=row.epoch, owner=owner,
        created_at=row.created_at, idle=True, imported=True, labels=row.labels, note=IMPORTING,
    )  # fmt: skip


def _append(row: RunRow, chunk: Chunk) -> Append:
    events = chunk.events
    first = events[0]
    if isinstance(first, e.RunAdmitted) and first.run != row.run:
        events = [replace(first, run=row.run), *events[1:]]
    blobs = [Blob(digest, data) for digest, data in chunk.values.items()]
    return Append(row=replace(row, seq=chunk.after + len(events)), after=chunk.after, events=events, blobs=blobs)
