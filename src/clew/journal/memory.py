"""The journal that keeps nothing: for tests, for trying things, and for work that may be lost.

It keeps the same promises as the others for as long as the process lives; only `durability` has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from clew.errors import RunBusyError, RunConflictError, RunFencedError, StorageError, UnknownRunError
from clew.journal.ownership import is_alive
from clew.journal.port import Outcomes
from clew.journal.records import Append, InboxItem, LogLine, Owner, Recorded, RunRow, Snapshot
from clew.kernel.events import AnyEvent

_ADMITTED = ("name", "graph", "definition", "created_at", "labels", "owner", "epoch")


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
        self._inbox: list[InboxItem] = []
        self._outcomes: dict[int, str] = {}
        self._closed = False

    async def open(self) -> None:
        """Nothing to connect to."""
        self._closed = False

    async def close(self) -> None:
        """Refuse to be written to from now on."""
        self._closed = True

    def commit(self, appends: Sequence[Append], done: Callable[[Outcomes], None]) -> None:
        """See `port.Journal.commit`."""
        if self._closed:
            done([StorageError("the journal is closed")] * len(appends))
            return
        done([self._append(append) for append in appends])

    def _append(self, append: Append) -> Exception | None:
        row = append.row
        stored = self._runs.get(row.run)
        if append.after == 0:
            if stored is not None:
                return RunConflictError(f"run {row.run} exists already")
            stored = self._runs[row.run] = _Stored(row)
        else:
            if stored is None or stored.row.epoch != row.epoch or len(stored.events) != append.after:
                return RunFencedError(f"run {row.run} has another owner now; epoch {row.epoch} may not write it")
            stored.row = row
        stored.events += append.events
        for blob in append.blobs:
            self._blobs.setdefault(blob.digest, blob.data)
        if append.snapshot is not None:
            stored.snapshot = append.snapshot
        for item in append.inbox:
            self._outcomes[item.id] = item.refusal
            self._inbox = [waiting for waiting in self._inbox if waiting.id != item.id]
        return None

    async def row(self, run: str) -> RunRow | None:
        """See `port.Journal.row`."""
        stored = self._runs.get(run)
        return msgspec.structs.replace(stored.row) if stored else None

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
        rows = [stored.row for stored in reversed(self._runs.values())]
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
        return [msgspec.structs.replace(row) for row, _ in zip(fitting, range(limit), strict=False)]

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> list[Recorded]:
        """See `port.Journal.read`."""
        stored = self._runs.get(run)
        events = stored.events[after : after + limit] if stored else []
        return [Recorded(after + 1 + i, event) for i, event in enumerate(events)]

    async def snapshot(self, run: str) -> Snapshot | None:
        """See `port.Journal.snapshot`."""
        stored = self._runs.get(run)
        return stored.snapshot if stored else None

    async def blob(self, digest: str) -> bytes:
        """See `port.Journal.blob`."""
        if digest not in self._blobs:
            raise StorageError(f"the value {digest[:12]}… is missing")
        return self._blobs[digest]

    def version(self) -> int:
        """Nobody else can write here."""
        return 0

    async def acquire(self, run: str, owner: Owner, now: float) -> RunRow:
        """See `port.Journal.acquire`."""
        row = self._stored(run).row
        if row.owner and row.owner != owner.id:
            known = self._owners.get(row.owner)
            if known is not None and is_alive(*known, now):
                raise RunBusyError(f"run {run} is being driven by {row.owner}, which is alive")
        self.renew(owner, now)
        self._stored(run).row = msgspec.structs.replace(row, owner=owner.id, epoch=row.epoch + 1)
        return msgspec.structs.replace(self._stored(run).row)

    async def release(self, run: str, owner: Owner) -> None:
        """See `port.Journal.release`."""
        stored = self._runs.get(run)
        if stored is not None and stored.row.owner == owner.id:
            stored.row = msgspec.structs.replace(stored.row, owner="")

    def renew(self, owner: Owner, now: float) -> None:
        """See `port.Journal.renew`."""
        self._owners[owner.id] = (owner, now)

    async def retire(self, owner: Owner) -> None:
        """See `port.Journal.retire`."""
        for run, stored in self._runs.items():
            if stored.row.ended_at is None:
                await self.release(run, owner)
        self._owners.pop(owner.id, None)

    async def note(self, run: str, text: str) -> None:
        """See `port.Journal.note`."""
        stored = self._stored(run)
        stored.row = msgspec.structs.replace(stored.row, note=text)

    async def post(self, run: str, data: bytes, at: float, by: str) -> int:
        """See `port.Journal.post`."""
        self._stored(run)
        item = InboxItem(len(self._inbox) + len(self._outcomes) + 1, run, data, at, by)
        self._inbox.append(item)
        return item.id

    async def inbox(self, run: str) -> list[InboxItem]:
        """See `port.Journal.inbox`."""
        return [item for item in self._inbox if item.run == run]

    async def outcome(self, item: int) -> str | None:
        """See `port.Journal.outcome`."""
        if item in self._outcomes or any(waiting.id == item for waiting in self._inbox):
            return self._outcomes.get(item)
        return "there is no such signal"

    async def write_logs(self, run: str, lines: Sequence[LogLine]) -> None:
        """See `port.Journal.write_logs`."""
        logs = self._stored(run).logs
        logs += [msgspec.structs.replace(line, id=len(logs) + 1 + i) for i, line in enumerate(lines)]

    async def read_logs(self, run: str, path: str = "", after: int = 0, limit: int = 1_000) -> list[LogLine]:
        """See `port.Journal.read_logs`."""
        stored = self._runs.get(run)
        lines = (
            line for line in (stored.logs if stored else ()) if line.id > after and (not path or line.path == path)
        )
        return [line for line, _ in zip(lines, range(limit), strict=False)]

    def _stored(self, run: str) -> _Stored:
        stored = self._runs.get(run)
        if stored is None:
            raise UnknownRunError(f"there is no run {run}")
        return stored
