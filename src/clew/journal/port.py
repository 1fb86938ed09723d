"""What every journal promises. The conformance suite in `tests/journal` holds each of them to it.

A journal stores bytes and facts; it decides nothing. Its one hard duty is `commit`: all of an append or
nothing, only if the epoch and the sequence number on disk are the ones that the append expects, and `done`
not before it is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from clew.errors import MissingDefinitionError, RefusedError, RunFencedError
from clew.journal.durations import Duration
from clew.journal.entries import Act, Cause, Change, Entry, Query, Space
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

#: One outcome per append: None when it is durable, otherwise why it is not.
Outcomes = list[Exception | None]


class Journal(Protocol):
    """A store of runs. All but `open` and `close` raise `StorageError` before the one and after the other."""

    url: str

    async def open(self) -> None:
        """Connect, create or migrate the store.

        Raises:
            StorageError: foreign, damaged, too new, read-only or unreachable; nothing was changed.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of the store. Safe to call twice."""
        ...

    def commit(self, appends: Sequence[Append], done: Callable[[Outcomes], None]) -> None:
        """Make some appends durable in one transaction, and say so.

        `done` is called on the event loop, before `commit` returns or later, with one outcome per append in
        their order: None, `RunFencedError` (another epoch or sequence number is on disk), `RunConflictError` (a
        run to be created exists), `MissingDefinitionError` (the definition of a run to be created or redefined is
        neither stored nor among the append's blobs) or `StorageError`. The others are not affected, except by a
        `StorageError` that is the store's own fault, which all of them get. At most one commit is under way at a
        time. A run whose `definition` is empty has none.
        """
        ...

    # ------------------------------------------------------------------ looking

    async def row(self, run: str) -> RunRow | None:
        """The row of one run."""
        ...

    async def rows(
        self,
        filter: RunFilter = ALL_RUNS,  # noqa: A002 - the word that users expect
        *,
        limit: int = 50,
        before: str = "",
    ) -> list[RunRow]:
        """Rows of the runs that fit, newest first, from the one after run `before`; at most `limit`.

        Nothing comes after a run that is not there (any more).
        """
        ...

    async def count(self, filter: RunFilter = ALL_RUNS) -> int:  # noqa: A002
        """How many runs fit."""
        ...

    async def due(self, now: float, limit: int = 100) -> list[RunRow]:
        """Runs that nobody owns and that have something to do: at most `limit`.

        First come those that are not idle, then those whose `wake_at` has come, the earliest first, then those
        for which a signal waits in the inbox. A paused run is due for the last reason only; an ended or an
        imported one never is. What a dead owner has left is not among them: see `live_owners`.
        """
        ...

    async def next_wake(self) -> float | None:
        """The earliest `wake_at` of a run that nobody owns and that is idle until then; None without one."""
        ...

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> list[Recorded]:
        """Events with sequence numbers above `after`, in order; at least one if there is one.

        About `limit` of them, but for the rest of what was stored together: up to 1,000 more, or 10,000 of a run
        that was packed.
        """
        ...

    async def snapshot(self, run: str) -> Snapshot | None:
        """The newest snapshot of a run; None as well if a version of Clew took it that thinks otherwise."""
        ...

    async def blob(self, digest: str) -> bytes:
        """A stored value.

        Raises:
            LostValueError: there is none with this digest, or what is stored has another one (it was damaged).
        """
        ...

    # ------------------------------------------------------------------ owners

    async def acquire(self, run: str, owner: Owner, now: float) -> RunRow:
        """Become the one who may write a run; its epoch rises by one.

        Raises:
            UnknownRunError: there is no such run.
            RunBusyError: another owner has it and is alive.
        """
        ...

    async def release(self, run: str, owner: Owner) -> None:
        """Give a run back, so that anybody may acquire it at once; no effect on a run of another owner."""
        ...

    def renew(self, owner: Owner, now: float) -> None:
        """Say that an owner is alive. Called from a thread of its own; quick."""
        ...

    async def retire(self, owner: Owner) -> None:
        """An owner ends in good order: its runs are free."""
        ...

    async def free_dead(self, now: float) -> int:
        """The runs that dead owners have left are free, as if these had retired; how many there were."""
        ...

    async def live_owners(self, now: float) -> set[str]:
        """The ids of the owners that must be taken for alive."""
        ...

    # ------------------------------------------------------------------ keys

    async def take_key(self, run: str, path: str, key: str) -> KeyHolder | None:
        """Take an exclusive key for a visit, unless another visit has it; atomic, whoever else tries.

        It is given back by `Append.freed`. A run that has ended or was deleted holds no keys.

        Returns:
            None if the visit has it now (or had it already), else who has it.

        Raises:
            UnknownRunError: there is no such run.
        """
        ...

    async def keys(self) -> list[tuple[str, KeyHolder]]:
        """All keys that are held, in order."""
        ...

    # ------------------------------------------------------------------ notes, inbox and logs

    async def note(self, run: str, text: str) -> None:
        """Keep a remark for people on a run that nobody drives.

        Raises:
            UnknownRunError: there is no such run.
        """
        ...

    async def post(self, run: str, data: bytes, at: float, by: str) -> int:
        """Put a signal from outside into the durable inbox; returns its id.

        Raises:
            UnknownRunError: there is no such run.
        """
        ...

    async def inbox(self, run: str = "") -> list[InboxItem]:
        """The signals of a run (of all, with an empty name) that have no outcome yet, in order of arrival."""
        ...

    async def outcome(self, item: int) -> str | None:
        """What became of a signal: None while it waits, empty when it was taken, else the refusal."""
        ...

    async def write_logs(self, run: str, lines: Sequence[LogLine]) -> None:
        """Keep what attempts printed. Not facts: losing the last of them in a crash loses no work.

        Raises:
            UnknownRunError: there is no such run.
        """
        ...

    async def read_logs(self, run: str, path: str = "", after: int = 0, limit: int = 1_000) -> list[LogLine]:
        """Lines with ids above `after`, of one visit or (with an empty path) of all."""
        ...

    # ------------------------------------------------------------------ the memory

    async def remember(self, act: Act) -> bool:
        """Change an entry of the memory, durably; a visit or a step of a run does so once.

        If it has done that before (its process died, and nobody heard of it), nothing is changed.

        Returns:
            Whether the entry was there before.

        Raises:
            UnknownEntryError: there is nothing to update.
            InvalidInputError: the namespace or the key is no name.
            UnstorableError: the value is too large, or the namespace is full.
            UnknownRunError: there is no such run.
            RunFencedError: another owner has the run.
            RefusedError: what the visit or the step has changed was taken back.
        """
        ...

    async def take_back(self, cause: Cause) -> int:
        """Put back what a visit or a step has changed, and let it change nothing any more.

        Taken back again, nothing happens; so it does if the entry is what it was, whoever has made it that.

        Returns:
            How many changes were taken back.

        Raises:
            MemoryConflictError: somebody else has changed the entry since; nothing was changed.
            UnknownRunError: there is no such run.
            RunFencedError: another owner has the run.
        """
        ...

    async def entry(self, namespace: str, key: str) -> Entry | None:
        """One entry of the memory."""
        ...

    async def entries(self, query: Query) -> list[Entry]:
        """The entries that fit, those that were changed last first.

        It may have to read the whole namespace, of which the limits in `entries` say how large it can be; whoever
        writes does not wait for it.

        Raises:
            InvalidInputError: the query is beyond the limits.
        """
        ...

    async def spaces(self) -> list[Space]:
        """All namespaces that have entries, in order."""
        ...

    async def changes(self, run: str) -> list[Change]:
        """What a run has changed in the memory, in order; kept as long as the run."""
        ...

    # ------------------------------------------------------------------ durations

    async def learn(self, durations: Sequence[Duration], at: float) -> None:
        """Remember how long nodes have taken, with what is known already; see `durations` for the limits."""
        ...

    async def learned(self, graph: str) -> dict[str, Duration]:
        """What is known of how long the nodes of a graph take, by place."""
        ...

    # ------------------------------------------------------------------ housekeeping

    async def delete(self, run: str, now: float) -> None:
        """Take away all that is kept of a run, at once or not at all; its values go with the next `sweep`.

        The memory stays as it is.

        Raises:
            UnknownRunError: there is no such run.
            RunBusyError: it has not ended, and its owner is alive.
        """
        ...

    async def pack(self, run: str) -> int:
        """Store the events of an ended run compressed, and drop its snapshot; it reads as before.

        Nothing is decided by it: a packed run can be retried, and packed again when it has ended.

        Returns:
            How many bytes less it takes, 0 or more.

        Raises:
            UnknownRunError: there is no such run.
            RefusedError: it has not ended, or was taken up again meanwhile; nothing was changed.
            StorageError: its events cannot be read; nothing was changed.
        """
        ...

    async def sweep(self, before: float, *, dry_run: bool = False) -> Sweep:
        """Take away values that no run refers to, owners that are gone, and what is kept of deleted entries.

        Args:
            before: only values stored before this time (a definition: last used to create a run, give or take
                `AGE_STEP_S`), and owners that were dead by then; not in the future.
            dry_run: only tell what would go.
        """
        ...

    async def reclaim(self) -> int:
        """Give space that is not used any more back to the system; returns how many bytes.

        This may take long and needs room for a copy. Whoever writes waits meanwhile, the renewal of leases
        included: call it while nothing is driven.
        """
        ...

    def version(self) -> int:
        """A number that changes when another process has written to the store (it may change without that)."""
        ...


#: The age of a definition is written anew if it is off by more than this, in seconds.
AGE_STEP_S = 60.0


def lacks_definition(append: Append) -> MissingDefinitionError:
    """Why a run is not created, or redefined: nothing tells what its graph is."""
    return MissingDefinitionError(
        f"the definition {append.row.definition[:12]}… of run {append.row.run} is not in the journal; "
        "send it along with the run"
    )


def not_ended(run: str, state: str) -> RefusedError:
    """Why a run is not packed."""
    return RefusedError(f"run {run} has not ended ({state}); its events are packed when it has")


def fenced(append: Append, stored: tuple[int, int] | None) -> RunFencedError:
    """Why an append is refused; `stored` is the epoch and the sequence number of the run in the journal."""
    run = append.row.run
    if stored is None:
        return RunFencedError(f"run {run} is not in the journal any more; nothing more is written for it")
    epoch, seq = stored
    if epoch != append.row.epoch:
        return RunFencedError(
            f"run {run} has another owner now (epoch {epoch} instead of {append.row.epoch}), which goes on with it"
        )
    return RunFencedError(f"run {run} has {seq} events in the journal instead of {append.after}; load it again")
