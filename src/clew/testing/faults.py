"""A journal with faults: it fails, delays, loses or tears, as told by a plan or by a seed."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from clew.errors import StorageError
from clew.journal.durations import Duration
from clew.journal.entries import Act, Cause, Change, Entry, Query, Space
from clew.journal.port import Journal, Outcomes
from clew.journal.records import (
    ALL_RUNS,
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
from clew.testing.crashes import CrashPlan, SimulatedCrash

T = TypeVar("T")

#: The calls that can be made to fail, besides `commit`.
CALLS = (
    "row", "rows", "count", "due", "next_wake", "read", "snapshot", "blob", "acquire", "release", "renew",
    "retire", "live_owners", "free_dead", "take_key", "keys", "note", "post", "inbox", "outcome", "write_logs",
    "read_logs", "remember", "take_back", "entry", "entries", "spaces", "changes", "learn", "learned",
    "delete", "pack", "sweep", "reclaim",
)  # fmt: skip


@dataclass(slots=True)
class Faults:
    """What goes wrong.

    Attributes:
        seed: of everything that is left to chance; print it with a failure.
        fail: share of calls that fail with a `StorageError`, 0 to 1.
        fail_at: numbers of calls that fail, counted from 1 over all calls.
        delay_s: commits are confirmed after up to so many seconds.
        tear: at the crash, of a group of appends only some reach the disk (each whole, as transactions are).
        crash: when to die.
        calls: how many calls there have been, commits included; those of other threads (the engine renews its
            lease from one) come when they like, so they are not counted and never fail.
    """

    seed: int = 0
    fail: float = 0.0
    fail_at: frozenset[int] = frozenset()
    delay_s: float = 0.0
    tear: bool = False
    crash: CrashPlan = field(default_factory=CrashPlan)
    calls: int = 0


class FaultyJournal:
    """Any journal, with faults.

    Args:
        inner: keeps what is stored; give it to the next `FaultyJournal` after a crash.
        faults: what goes wrong.

    Attributes:
        crashed: set when the simulated process has died; nothing is stored from then on.
    """

    def __init__(self, inner: Journal, faults: Faults) -> None:
        self.url = inner.url
        self.inner = inner
        self.faults = faults
        self.crashed = asyncio.Event()
        self._random = random.Random(faults.seed)  # noqa: S311 - chance that can be made again
        self._thread = threading.get_ident()

    async def open(self) -> None:
        """Open the journal inside; this never fails on purpose."""
        await self.inner.open()

    async def close(self) -> None:
        """Close the journal inside, unless the process has died, which closes nothing."""
        if not self.crashed.is_set():
            await self.inner.close()

    def commit(self, appends: Sequence[Append], done: Callable[[Outcomes], None]) -> None:
        """Commit, fail, delay or die."""
        if self.crashed.is_set():
            return
        if self._fails():
            done([StorageError("the disk failed (on purpose)")] * len(appends))
        elif self.faults.crash.dies_at_commit() or self._dies_at_call():
            self._die(appends)
        elif self.faults.delay_s:
            loop = asyncio.get_running_loop()
            delay = self._random.uniform(0, self.faults.delay_s)
            loop.call_later(delay, self._commit_late, appends, done)
        else:
            self.inner.commit(appends, done)

    def _commit_late(self, appends: Sequence[Append], done: Callable[[Outcomes], None]) -> None:
        if not self.crashed.is_set():
            self.inner.commit(appends, done)

    def _die(self, appends: Sequence[Append]) -> None:
        kept = list(appends) if self.faults.crash.durable else []
        if self.faults.tear:
            kept = [append for append in appends if self._random.random() < 0.5]
        if kept:
            self.inner.commit(kept, lambda _: None)
        self.crashed.set()

    def _fails(self) -> bool:
        faults = self.faults
        faults.calls += 1
        return faults.calls in faults.fail_at or (faults.fail > 0 and self._random.random() < faults.fail)

    def _dies_at_call(self) -> bool:
        return self.faults.calls == self.faults.crash.at_call

    def perform(self, command: Callable[[], None]) -> None:
        """Perform a command of the engine, or die before it or after it."""
        if self.crashed.is_set():
            return
        crash = self.faults.crash
        dies = crash.dies_at_command()
        if not dies or crash.performed:
            command()
        if dies:
            self.crashed.set()

    def _enter(self, call: str) -> None:
        """Count a call; raise if it fails, or if the process is dead or dies now without having made it."""
        if self.crashed.is_set():
            raise SimulatedCrash
        if self._fails():
            raise StorageError(f"the disk failed at {call} (on purpose)")
        if self._dies_at_call() and not self.faults.crash.durable:
            self.crashed.set()
            raise SimulatedCrash

    def _die_if_due(self, call: int) -> None:
        """A call was made; raise if the process dies before it hears of it, or has died meanwhile."""
        if call == self.faults.crash.at_call:
            self.crashed.set()
        if self.crashed.is_set():
            raise SimulatedCrash

    async def _pass_on(self, call: str, make: Callable[[], Awaitable[T]]) -> T:
        self._enter(call)
        number = self.faults.calls
        result = await make()
        self._die_if_due(number)
        return result

    # ------------------------------------------------------------------ everything else is passed on

    async def row(self, run: str) -> RunRow | None:
        """See `journal.port`; may fail, like all below."""
        return await self._pass_on("row", lambda: self.inner.row(run))

    async def rows(
        self,
        filter: RunFilter = ALL_RUNS,  # noqa: A002 - the word that users expect
        *,
        limit: int = 50,
        before: str = "",
    ) -> list[RunRow]:
        """See `journal.port`."""
        return await self._pass_on("rows", lambda: self.inner.rows(filter, limit=limit, before=before))

    async def count(self, filter: RunFilter = ALL_RUNS) -> int:  # noqa: A002
        """See `journal.port`."""
        return await self._pass_on("count", lambda: self.inner.count(filter))

    async def due(self, now: float, limit: int = 100) -> list[RunRow]:
        """See `journal.port`."""
        return await self._pass_on("due", lambda: self.inner.due(now, limit))

    async def next_wake(self) -> float | None:
        """See `journal.port`."""
        return await self._pass_on("next_wake", self.inner.next_wake)

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> list[Recorded]:
        """See `journal.port`."""
        return await self._pass_on("read", lambda: self.inner.read(run, after, limit))

    async def snapshot(self, run: str) -> Snapshot | None:
        """See `journal.port`."""
        return await self._pass_on("snapshot", lambda: self.inner.snapshot(run))

    async def blob(self, digest: str) -> bytes:
        """See `journal.port`."""
        return await self._pass_on("blob", lambda: self.inner.blob(digest))

    async def acquire(self, run: str, owner: Owner, now: float) -> RunRow:
        """See `journal.port`."""
        return await self._pass_on("acquire", lambda: self.inner.acquire(run, owner, now))

    async def release(self, run: str, owner: Owner) -> None:
        """See `journal.port`."""
        return await self._pass_on("release", lambda: self.inner.release(run, owner))

    def renew(self, owner: Owner, now: float) -> None:
        """See `journal.port`."""
        if threading.get_ident() != self._thread:
            if not self.crashed.is_set():
                self.inner.renew(owner, now)
            return
        self._enter("renew")
        self.inner.renew(owner, now)
        self._die_if_due(self.faults.calls)

    async def retire(self, owner: Owner) -> None:
        """See `journal.port`."""
        return await self._pass_on("retire", lambda: self.inner.retire(owner))

    async def free_dead(self, now: float) -> int:
        """See `journal.port`."""
        return await self._pass_on("free_dead", lambda: self.inner.free_dead(now))

    async def live_owners(self, now: float) -> set[str]:
        """See `journal.port`."""
        return await self._pass_on("live_owners", lambda: self.inner.live_owners(now))

    async def take_key(self, run: str, path: str, key: str) -> KeyHolder | None:
        """See `journal.port`."""
        return await self._pass_on("take_key", lambda: self.inner.take_key(run, path, key))

    async def keys(self) -> list[tuple[str, KeyHolder]]:
        """See `journal.port`."""
        return await self._pass_on("keys", self.inner.keys)

    async def note(self, run: str, text: str) -> None:
        """See `journal.port`."""
        return await self._pass_on("note", lambda: self.inner.note(run, text))

    async def post(self, run: str, data: bytes, at: float, by: str) -> int:
        """See `journal.port`."""
        return await self._pass_on("post", lambda: self.inner.post(run, data, at, by))

    async def inbox(self, run: str = "") -> list[InboxItem]:
        """See `journal.port`."""
        return await self._pass_on("inbox", lambda: self.inner.inbox(run))

    async def outcome(self, item: int) -> str | None:
        """See `journal.port`."""
        return await self._pass_on("outcome", lambda: self.inner.outcome(item))

    async def write_logs(self, run: str, lines: Sequence[LogLine]) -> None:
        """See `journal.port`."""
        return await self._pass_on("write_logs", lambda: self.inner.write_logs(run, lines))

    async def read_logs(self, run: str, path: str = "", after: int = 0, limit: int = 1_000) -> list[LogLine]:
        """See `journal.port`."""
        return await self._pass_on("read_logs", lambda: self.inner.read_logs(run, path, after, limit))

    async def remember(self, act: Act) -> bool:
        """See `journal.port`."""
        return await self._pass_on("remember", lambda: self.inner.remember(act))

    async def take_back(self, cause: Cause) -> int:
        """See `journal.port`."""
        return await self._pass_on("take_back", lambda: self.inner.take_back(cause))

    async def entry(self, namespace: str, key: str) -> Entry | None:
        """See `journal.port`."""
        return await self._pass_on("entry", lambda: self.inner.entry(namespace, key))

    async def entries(self, query: Query) -> list[Entry]:
        """See `journal.port`."""
        return await self._pass_on("entries", lambda: self.inner.entries(query))

    async def spaces(self) -> list[Space]:
        """See `journal.port`."""
        return await self._pass_on("spaces", self.inner.spaces)

    async def changes(self, run: str) -> list[Change]:
        """See `journal.port`."""
        return await self._pass_on("changes", lambda: self.inner.changes(run))

    async def learn(self, durations: Sequence[Duration], at: float) -> None:
        """See `journal.port`."""
        return await self._pass_on("learn", lambda: self.inner.learn(durations, at))

    async def learned(self, graph: str) -> dict[str, Duration]:
        """See `journal.port`."""
        return await self._pass_on("learned", lambda: self.inner.learned(graph))

    async def delete(self, run: str, now: float) -> None:
        """See `journal.port`."""
        return await self._pass_on("delete", lambda: self.inner.delete(run, now))

    async def pack(self, run: str) -> int:
        """See `journal.port`."""
        return await self._pass_on("pack", lambda: self.inner.pack(run))

    async def sweep(self, before: float, *, dry_run: bool = False) -> Sweep:
        """See `journal.port`."""
        return await self._pass_on("sweep", lambda: self.inner.sweep(before, dry_run=dry_run))

    async def reclaim(self) -> int:
        """See `journal.port`."""
        return await self._pass_on("reclaim", self.inner.reclaim)

    def version(self) -> int:
        """See `journal.port`; never fails."""
        return self.inner.version()
