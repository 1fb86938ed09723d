"""The journal that keeps nothing: for tests, for trying things, and for work that may be lost.

It keeps the same promises as the others for as long as the process lives; only `durability` has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, islice

from msgspec.structs import replace

from clew.errors import InternalError, RunBusyError, RunConflictError, StorageError, UnknownRunError
from clew.journal.ownership import is_alive
from clew.journal.port import Outcomes, fenced
from clew.journal.records import CHANGING, Append, InboxItem, LogLine, Owner, Recorded, RunRow, Snapshot
from clew.kernel.events import AnyEvent


@dataclass(slots=True)
class _Stored:
    row: RunRow
    events: list[AnyEvent] = field(default_factory=list[AnyEvent])
    snapshot: Snapshot | None = None
    logs: list[LogLine] = field(default_factory=list[LogLine])


class MemoryJournal:
    """A journal in memory; see `port.Journal` for what it promises."""

    url = "memory:"

    def __init__(self) -> None:
        self._runs: dict[str, _Stored] = {}
        self._blobs: dict[str, bytes] = {}
        self._owners: dict[str, tuple[Owner, float]] = {}
        self._ids = count(1)
        #: Signals by id, and what became of those that have an outcome.
        self._inbox: dict[int, InboxItem] = {}
        self._outcomes: dict[int, str] = {}
        self._closed = False

    async def open(self) -> None:
        """Nothing to connect to; what was kept before `close` is there again."""
        self._closed = False

    async def close(self) -> None:
        """Refuse to be used from now on."""
        self._closed = True

    def commit(self, appends: Sequence[Append], done: Callable[[Outcomes], None]) -> None:
        """See `port.Journal.commit`."""
        if self._closed:
            done([_closed()] * len(appends))
            return
        done([self._append(append) for append in appends])

    def _append(self, append: Append) -> Exception | None:
        row = append.row
        if row.seq != append.after + len(append.events):
            return InternalError(f"its last event is {row.seq}, not {append.after} + {len(append.events)}")
        stored = self._runs.get(row.run)
        if append.after == 0:
            if stored is not None:
                return RunConflictError(f"run {row.run} exists already")
            stored = self._runs[row.run] = _Stored(replace(row))
        elif stored is None or (stored.row.epoch, stored.row.seq) != (row.epoch, append.after):
            return fenced(append, (stored.row.epoch, stored.row.seq) if stored else None)
        for name in CHANGING:
            setattr(stored.row, name, getattr(row, name))
        stored.events += append.events
        for blob in append.blobs:
            self._blobs.setdefault(blob.digest, blob.data)
        if append.snapshot is not None:
            stored.snapshot = append.snapshot
        for item in append.inbox:
            if item.id in self._inbox and self._inbox[item.id].run == row.run:
                self._outcomes.setdefault(item.id, item.refusal)
        return None

    async def row(self, run: str) -> RunRow | None:
        """See `port.Journal.row`."""
        stored = self._open().get(run)
        return replace(stored.row) if stored else None

    async def rows(
        self,
        *,
        states: Sequence[str] = (),
        name: str = "",
        labels: dict[str, str] | None = None,
        limit: int = 50,
        before: str = "",
    ) -> list[RunRow]:
        """See `port.Journal.rows`."""
        rows = [stored.row for stored in reversed(self._open().values())]
        if before:
            ids = [row.run for row in rows]
            rows = rows[ids.index(before) + 1 :] if before in ids else []
        fitting = (
            row
            for row in rows
            if (not states or row.state in states)
            and (not name or row.name == name)
            and (labels or {}).items() <= row.labels.items()
        )
        return [replace(row) for row in islice(fitting, max(0, limit))]

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> list[Recorded]:
        """See `port.Journal.read`."""
        stored = self._open().get(run)
        events = stored.events[after : after + max(1, limit)] if stored else []
        return [Recorded(after + 1 + i, event) for i, event in enumerate(events)]

    async def snapshot(self, run: str) -> Snapshot | None:
        """See `port.Journal.snapshot`."""
        stored = self._open().get(run)
        return stored.snapshot if stored else None

    async def blob(self, digest: str) -> bytes:
        """See `port.Journal.blob`."""
        self._open()
        if digest not in self._blobs:
            raise StorageError(f"the value {digest[:12]}… is missing")
        return self._blobs[digest]

    def version(self) -> int:
        """Nobody else can write here."""
        self._open()
        return 0

    async def acquire(self, run: str, owner: Owner, now: float) -> RunRow:
        """See `port.Journal.acquire`."""
        row = self._stored(run).row
        known = self._owners.get(row.owner)
        if row.owner != owner.id and known is not None and is_alive(*known, now):
            raise RunBusyError(
                f"run {run} is being driven by {row.owner} (process {known[0].pid}), which is alive"
            )
        self.renew(owner, now)
        row.owner, row.epoch = owner.id, row.epoch + 1
        return replace(row)

    async def release(self, run: str, owner: Owner) -> None:
        """See `port.Journal.release`."""
        stored = self._open().get(run)
        if stored is not None and stored.row.owner == owner.id:
            stored.row.owner = ""

    def renew(self, owner: Owner, now: float) -> None:
        """See `port.Journal.renew`."""
        self._open()
        self._owners[owner.id] = (owner, now)

    async def retire(self, owner: Owner) -> None:
        """See `port.Journal.retire`."""
        for run, stored in self._open().items():
            if stored.row.ended_at is None:
                await self.release(run, owner)
        self._owners.pop(owner.id, None)

    async def note(self, run: str, text: str) -> None:
        """See `port.Journal.note`."""
        self._stored(run).row.note = text

    async def post(self, run: str, data: bytes, at: float, by: str) -> int:
        """See `port.Journal.post`."""
        self._stored(run)
        item = InboxItem(next(self._ids), run, data, at, by)
        self._inbox[item.id] = item
        return item.id

    async def inbox(self, run: str = "") -> list[InboxItem]:
        """See `port.Journal.inbox`."""
        self._open()
        return [
            item
            for item in self._inbox.values()
            if item.run == (run or item.run) and item.id not in self._outcomes
        ]

    async def outcome(self, item: int) -> str | None:
        """See `port.Journal.outcome`."""
        self._open()
        return self._outcomes.get(item) if item in self._inbox else "there is no such signal"

    async def write_logs(self, run: str, lines: Sequence[LogLine]) -> None:
        """See `port.Journal.write_logs`."""
        logs = self._stored(run).logs
        logs += [replace(line, id=number) for number, line in enumerate(lines, len(logs) + 1)]

    async def read_logs(self, run: str, path: str = "", after: int = 0, limit: int = 1_000) -> list[LogLine]:
        """See `port.Journal.read_logs`."""
        stored = self._open().get(run)
        lines = stored.logs if stored else ()
        fitting = (line for line in lines if line.id > after and (not path or line.path == path))
        return list(islice(fitting, max(0, limit)))

    def _stored(self, run: str) -> _Stored:
        stored = self._open().get(run)
        if stored is None:
            raise UnknownRunError(f"there is no run {run}")
        return stored

    def _open(self) -> dict[str, _Stored]:
        """The runs, if the journal may be used."""
        if self._closed:
            raise _closed()
        return self._runs


def _closed() -> StorageError:
    return StorageError("memory: the journal is closed")
