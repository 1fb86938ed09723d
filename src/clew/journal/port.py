"""What every journal promises. The conformance suite in `tests/journal` holds each of them to it.

A journal stores bytes and facts; it decides nothing. Its one hard duty is `commit`: all of an append or
nothing, only if the epoch and the sequence number on disk are the ones that the append expects, and `done`
not before it is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from clew.errors import RunFencedError
from clew.journal.records import Append, InboxItem, LogLine, Owner, Recorded, RunRow, Snapshot

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
        run to be created exists) or `StorageError`. The others are not affected, except by a `StorageError` that
        is the store's own fault, which all of them get. At most one commit is under way at a time.
        """
        ...

    async def row(self, run: str) -> RunRow | None:
        """The row of one run."""
        ...

    async def rows(
        self,
        *,
        states: Sequence[str] = (),
        name: str = "",
        labels: dict[str, str] | None = None,
        limit: int = 50,
        before: str = "",
    ) -> list[RunRow]:
        """Rows, newest first, from the one after run `before`; at most `limit`. All that is given must fit."""
        ...

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> list[Recorded]:
        """Events with sequence numbers above `after`, in order; at least one if there is one, about `limit`."""
        ...

    async def snapshot(self, run: str) -> Snapshot | None:
        """The newest snapshot of a run; None as well if a version of Clew took it that thinks otherwise."""
        ...

    async def blob(self, digest: str) -> bytes:
        """A stored value.

        Raises:
            StorageError: there is none with this digest.
        """
        ...

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

    def version(self) -> int:
        """A number that changes when another process has written to the store (it may change without that)."""
        ...


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
