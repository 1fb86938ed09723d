"""The journal that keeps nothing: for tests, for trying things, and for work that may be lost.

It keeps the same promises as the others for as long as the process lives; only `durability` has no meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from operator import itemgetter

from msgspec.structs import replace

from clew import codec
from clew.errors import (
    InternalError,
    LostValueError,
    RunBusyError,
    RunConflictError,
    StorageError,
    UnknownRunError,
)
from clew.journal.durations import Learns
from clew.journal.ownership import is_alive
from clew.journal.port import AGE_STEP_S, Outcomes, fenced, lacks_definition, not_ended
from clew.journal.records import (
    ALL_RUNS,
    CHANGING,
    REDEFINING,
    Append,
    InboxItem,
    KeyHolder,
    LogLine,
    Owner,
    Recorded,
    RunFilter,
    RunRow,
    Snapshot,
    Sweep,
)
from clew.journal.shelf_in_memory import Remembers
from clew.kernel.events import AnyEvent
from clew.kernel.states import RunState


@dataclass(slots=True)
class _Stored:
    row: RunRow
    events: list[AnyEvent] = field(default_factory=list[AnyEvent])
    snapshot: Snapshot | None = None
    logs: list[LogLine] = field(default_factory=list[LogLine])
    #: Digests of the values that its events refer to.
    refs: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class _Blob:
    data: bytes
    stored_at: float


class MemoryJournal(Learns, Remembers):
    """A journal in memory; see `port.Journal` for what it promises."""

    url = "memory:"

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, _Stored] = {}
        self._blobs: dict[str, _Blob] = {}
        self._keys: dict[str, KeyHolder] = {}
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
            if not self._has_definition(append):
                return lacks_definition(append)
            stored = self._runs[row.run] = _Stored(replace(row))
        elif stored is None or (stored.row.epoch, stored.row.seq) != (row.epoch, append.after):
            return fenced(append, (stored.row.epoch, stored.row.seq) if stored else None)
        elif append.redefines and not self._has_definition(append):
            return lacks_definition(append)
        for name in (*CHANGING, *REDEFINING) if append.redefines else CHANGING:
            setattr(stored.row, name, getattr(row, name))
        stored.events += append.events
        for blob in append.blobs:
            self._blobs.setdefault(blob.digest, _Blob(blob.data, append.at))
            stored.refs.add(blob.digest)
        if append.snapshot is not None:
            before = {} if append.snapshot.whole or stored.snapshot is None else stored.snapshot.segments
            segments = before | append.snapshot.segments
            stored.snapshot = replace(append.snapshot, segments=segments, whole=False)
        for item in append.inbox:
            if item.id in self._inbox and self._inbox[item.id].run == row.run:
                self._outcomes.setdefault(item.id, item.refusal)
        if row.ended_at is not None:
            self._free(row.run)
        elif append.freed:
            self._free(row.run, append.freed)
        return None

    def _has_definition(self, append: Append) -> bool:
        digest = append.row.definition
        known = self._blobs.get(digest)
        if known is None:
            return not digest or any(blob.digest == digest for blob in append.blobs)
        if known.stored_at < append.at - AGE_STEP_S:
            known.stored_at = append.at
        return True

    def _free(self, run: str, paths: Sequence[str] | None = None) -> None:
        held = self._keys.items()
        self._keys = {
            key: holder
            for key, holder in held
            if holder.run != run or (paths is not None and holder.path not in paths)
        }

    async def row(self, run: str) -> RunRow | None:
        """See `port.Journal.row`."""
        stored = self._open().get(run)
        return replace(stored.row) if stored else None

    async def rows(
        self,
        filter: RunFilter = ALL_RUNS,  # noqa: A002 - the word that users expect
        *,
        limit: int = 50,
        before: str = "",
    ) -> list[RunRow]:
        """See `port.Journal.rows`."""
        newest_first = (stored.row for stored in reversed(self._open().values()))
        if before:
            # Reads on until it is found.
            any(row.run == before for row in newest_first)
        fitting = (row for row in newest_first if _fits(row, filter))
        return [replace(row) for row in islice(fitting, max(0, limit))]

    async def count(self, filter: RunFilter = ALL_RUNS) -> int:  # noqa: A002
        """See `port.Journal.count`."""
        return sum(_fits(stored.row, filter) for stored in self._open().values())

    async def due(self, now: float, limit: int = 100) -> list[RunRow]:
        """See `port.Journal.due`."""
        told = {item.run for item in await self.inbox()}
        free = [row for row in self._free_rows() if row.state != RunState.PAUSED]
        at_once = sorted((row for row in free if not row.idle), key=_by_time)
        woken = sorted((row for row in free if row.wake_at is not None and row.wake_at <= now), key=_by_time)
        rows = {row.run: row for row in [*at_once, *woken]}
        rows |= {row.run: row for row in self._free_rows() if row.run in told}
        return [replace(row) for row in islice(rows.values(), max(0, limit))]

    async def next_wake(self) -> float | None:
        """See `port.Journal.next_wake`."""
        times = (row.wake_at for row in self._free_rows() if row.idle and row.state != RunState.PAUSED)
        return min((at for at in times if at is not None), default=None)

    def _free_rows(self) -> list[RunRow]:
        """Of runs that somebody might drive and nobody does."""
        rows = [stored.row for stored in self._open().values()]
        return [row for row in rows if not row.owner and row.ended_at is None and not row.imported]

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
            raise LostValueError(f"the value {digest[:12]}… is missing")
        data = self._blobs[digest].data
        if codec.digest(data) != digest:
            raise LostValueError(f"the value {digest} is damaged: what is stored has another digest")
        return data

    def version(self) -> int:
        """Nobody else can write here."""
        self._open()
        return 0

    async def acquire(self, run: str, owner: Owner, now: float) -> RunRow:
        """See `port.Journal.acquire`."""
        row = self._stored(run).row
        if row.owner != owner.id:
            self._refuse_if_busy(row, now)
        self.renew(owner, now)
        row.owner, row.epoch = owner.id, row.epoch + 1
        return replace(row)

    def _refuse_if_busy(self, row: RunRow, now: float) -> None:
        known = self._owners.get(row.owner)
        if known is not None and is_alive(*known, now):
            raise RunBusyError(
                f"run {row.run} is being driven by {row.owner} (process {known[0].pid}), which is alive"
            )

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

    async def free_dead(self, now: float) -> int:
        """See `port.Journal.free_dead`."""
        alive = await self.live_owners(now)
        left = [s for s in self._open().values() if s.row.ended_at is None and s.row.owner not in {"", *alive}]
        for stored in left:
            stored.row = replace(stored.row, owner="")
        return len(left)

    async def live_owners(self, now: float) -> set[str]:
        """See `port.Journal.live_owners`."""
        self._open()
        return {id_ for id_, known in self._owners.items() if is_alive(*known, now)}

    async def take_key(self, run: str, path: str, key: str) -> KeyHolder | None:
        """See `port.Journal.take_key`."""
        self._stored(run)
        mine = KeyHolder(run, path)
        holder = dict(await self.keys()).get(key)
        if holder is None:
            self._keys[key] = mine
        return None if holder == mine else holder

    async def keys(self) -> list[tuple[str, KeyHolder]]:
        """See `port.Journal.keys`."""
        runs = self._open()
        return sorted(
            ((key, holder) for key, holder in self._keys.items() if runs[holder.run].row.ended_at is None),
            key=itemgetter(0),
        )

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

    async def delete(self, run: str, now: float) -> None:
        """See `port.Journal.delete`."""
        row = self._stored(run).row
        if row.ended_at is None:
            self._refuse_if_busy(row, now)
        del self._runs[run]
        self._free(run)
        self.shelf.forget(run)
        for item in [item.id for item in self._inbox.values() if item.run == run]:
            del self._inbox[item]
            self._outcomes.pop(item, None)

    async def pack(self, run: str) -> int:
        """See `port.Journal.pack`; events take what they take here."""
        stored = self._stored(run)
        if stored.row.ended_at is None:
            raise not_ended(run, stored.row.state)
        snapshot, stored.snapshot = stored.snapshot, None
        if snapshot is None:
            return 0
        return len(snapshot.data) + sum(map(len, snapshot.segments.values()))

    async def sweep(self, before: float, *, dry_run: bool = False) -> Sweep:
        """See `port.Journal.sweep`."""
        runs = self._open().values()
        used = {stored.row.definition for stored in runs}.union(*(stored.refs for stored in runs))
        blobs = [digest for digest, blob in self._blobs.items() if blob.stored_at < before and digest not in used]
        busy = {stored.row.owner for stored in runs if stored.row.ended_at is None}
        old = {id_: known for id_, known in self._owners.items() if id_ not in busy and known[1] <= before}
        gone = [id_ for id_, known in old.items() if not is_alive(*known, before)]
        swept = Sweep(len(blobs), sum(len(self._blobs[digest].data) for digest in blobs), len(gone))
        if not dry_run:
            for digest in blobs:
                del self._blobs[digest]
            for id_ in gone:
                del self._owners[id_]
            self.shelf.sweep()
        return swept

    async def reclaim(self) -> int:
        """Nothing is given back here."""
        self._open()
        return 0

    def epoch_of(self, run: str) -> int | None:
        """The epoch of a run; None if there is no such run."""
        stored = self._open().get(run)
        return stored.row.epoch if stored else None

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


def _fits(row: RunRow, wanted: RunFilter) -> bool:
    ended, before, created = row.ended_at, wanted.ended_before, wanted.created_before
    return (
        (not wanted.states or row.state in wanted.states)
        and (not wanted.name or row.name == wanted.name)
        and wanted.labels.items() <= row.labels.items()
        and (before is None or (ended is not None and ended < before))
        and (created is None or row.created_at < created)
        and (not wanted.unfinished or ended is None)
    )


def _by_time(row: RunRow) -> float:
    return row.wake_at if row.wake_at is not None else -math.inf


def _closed() -> StorageError:
    return StorageError("memory: the journal is closed")
