"""Looking back and going on from there: checkpoints, a run as it was, what has changed, forks.

A run is its events, so every position in it can be returned to. A *checkpoint* is a position with a reason to be
returned to: a step, a barrier, a decision, a name. Nothing is stored for it but what happened anyway.
"""

from __future__ import annotations

import secrets as random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from clew.engine.clock import Clock
from clew.engine.committer import Committer
from clew.engine.definitions import Definitions
from clew.engine.looking import Looking
from clew.engine.positions import Checkpoint, Checkpoints
from clew.engine.redefinition import Redefinition
from clew.engine.status import RunStatus, row_of, status_of
from clew.engine.writing import Writing
from clew.errors import InvalidInputError, RefusedError, RunConflictError, StorageError
from clew.journal.port import Journal
from clew.journal.records import Append, Blob, Recorded, RunRow
from clew.journal.values_of import blobs_of
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.cells import plain
from clew.kernel.fold import fold
from clew.kernel.machine import Machine
from clew.kernel.state import Run
from clew.kernel.topology import Node
from clew.kernel.visits import Walk

#: Events that are read at once.
_PAGE = 5_000


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was after one of its events.

    Attributes:
        seq: sequence number of that event.
        at: when it happened, in seconds since the epoch.
        state: of the run's state graph, as plain data; None if its graph is none.
        status: where everything stood.
    """

    seq: int
    at: float
    state: dict[str, Any] | None
    status: RunStatus


class KeyChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a key of the state differs between two positions; one that was not there has no value on that side."""

    key: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET


class Travel:
    """Looks back into the runs of one journal, and forks them.

    Args:
        journal: where they are.
        definitions: their graphs.
        looking: knows what is on disk of runs that are driven here.
        committer: takes forks.
        clock: the time.
    """

    def __init__(
        self,
        journal: Journal,
        definitions: Definitions,
        looking: Looking,
        committer: Committer,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._definitions = definitions
        self._looking = looking
        self._committer = committer
        self._clock = clock

    async def checkpoints(self, run: str) -> list[Checkpoint]:
        """The checkpoints of a run that its graph keeps, oldest first.

        Raises:
            UnknownRunError: there is no such run.
        """
        row = await self._looking.row(run)
        folded = Run("", await self._definitions.first(row))
        found = Checkpoints((await self._definitions.load(row)).topology, folded)
        async for recorded in self._recorded(row, row.seq):
            fold(folded, recorded.event)
            found.see(recorded)
        return found.kept(self._clock.now())

    async def at(self, run: str, seq: int) -> Moment:
        """A run as it was after the event with a sequence number.

        Raises:
            UnknownRunError: there is no such run.
            InvalidInputError: it has no such event.
        """
        row = await self._looking.row(run)
        folded, at = await self._folded(row, seq)
        state = plain(folded.root.cells) if isinstance(folded.root, Walk) else None
        return Moment(seq=seq, at=at, state=state, status=status_of(folded, seq))

    async def diff(self, run: str, before: int, after: int) -> list[KeyChange]:
        """How the state of a state graph differs between two positions, by key.

        Raises:
            UnknownRunError: there is no such run.
            InvalidInputError: it has no such event.
            RefusedError: it is a run of a dependency graph, which has no state.
        """
        old, new = (await self.at(run, before)).state, (await self.at(run, after)).state
        if old is None or new is None:
            raise RefusedError(f"run {run} is none of a state graph: it has no state that could differ")
        keys = [*old, *(key for key in new if key not in old)]
        gone = msgspec.UNSET
        changes = [KeyChange(key, old.get(key, gone), new.get(key, gone)) for key in keys]
        return [change for change in changes if change.before != change.after]

    async def fork(
        self,
        run: str,
        seq: int | None,
        id: str | None,  # noqa: A002 - the word that users expect
        *,
        changes: Mapping[str, bytes],
        delete: Sequence[str],
        labels: Mapping[str, str] | None,
        by: str,
        change: Redefinition | None = None,
    ) -> RunRow:
        """Store a run that begins with the events of another one, up to a position; nobody drives it yet.

        Args:
            run: the other one.
            seq: the last event to begin with; the position before it that hangs together is taken. None is now.
            id: of the new run; made up if None.
            changes: of the state, past the reducers, as JSON text by key.
            delete: keys that are taken out of it.
            labels: of the new run; those of the other one if None.
            by: who forks.
            change: the graph that it goes on with, if that is not the one of then.

        Raises:
            UnknownRunError: there is no such run.
            InvalidInputError: it has no such event.
            RefusedError: it has ended there, or the changes do not fit its state.
            RunConflictError: the id is taken, or it does not go on with that graph.
        """
        row = await self._looking.row(run)
        new = id or f"{row.name}-{random.token_hex(4)}"
        if await self._journal.row(new) is not None:
            raise RunConflictError(f"run {new} exists; give the fork another id")
        events = await self._prefix(row, row.seq if seq is None else seq)
        machine = Machine.restore(await self._definitions.first(row), None, events, _start_nothing)
        signal = s.Fork(
            run=new,
            since=events[-1].at,
            labels=dict(labels if labels is not None else row.labels),
            changes={key: msgspec.Raw(json) for key, json in changes.items()},
            delete=tuple(delete),
            by=by,
        )
        changes_graph = change is not None and change.known.hash != machine.run.graph
        redefine = [change.signal(machine.run)] if change is not None and changes_graph else []
        decision = machine.handle([signal, *redefine], self._clock.now())
        if decision.refusals:
            why = next(iter(decision.refusals.values()))
            raise RefusedError(f"run {run} cannot be forked after its event {len(events)}: {why}")
        await self._store(machine, [*events, *decision.events], [change.blob] if change is not None else [])
        return await self._looking.row(new)

    async def _store(self, machine: Machine, events: list[e.AnyEvent], new: Sequence[Blob]) -> None:
        run = machine.run
        before = RunRow(run=run.id, created_at=self._clock.now(), labels=run.labels)
        named = {digest for event in events for digest in blobs_of(event)}.difference(blob.digest for blob in new)
        blobs = [*new, *[Blob(digest, await self._journal.blob(digest)) for digest in sorted(named)]]
        after = row_of(run, before, machine.wake_at, idle=machine.is_idle)
        await Writing(self._committer).append(Append(row=after, after=0, events=events, blobs=blobs))

    async def _prefix(self, row: RunRow, seq: int) -> list[e.AnyEvent]:
        """The events up to the last position that hangs together: nothing that was decided at once is parted."""
        self._refuse_unknown(row, seq)
        events: list[e.AnyEvent] = []
        last = 0
        async for recorded in self._recorded(row, min(seq + 1, row.seq)):
            event = recorded.event
            if events and (event.at != events[-1].at or _is_step(events[-1])):
                last = len(events)
            if recorded.seq > seq:
                break
            events.append(event)
        else:
            last = len(events)
        if not last:
            raise InvalidInputError(
                f"run {row.run} has no position up to its event {seq} that it could go on from"
            )
        return events[:last]

    async def _folded(self, row: RunRow, seq: int) -> tuple[Run, float]:
        self._refuse_unknown(row, seq)
        run, at = Run("", await self._definitions.first(row)), 0.0
        async for recorded in self._recorded(row, seq):
            fold(run, recorded.event)
            at = recorded.event.at
        return run, at

    @staticmethod
    def _refuse_unknown(row: RunRow, seq: int) -> None:
        if not 1 <= seq <= row.seq:
            raise InvalidInputError(f"run {row.run} has no event {seq}; it has 1 to {row.seq}")

    async def _recorded(self, row: RunRow, up_to: int) -> AsyncIterator[Recorded]:
        """The events up to a sequence number."""
        seq = 0
        while seq < up_to:
            page = await self._journal.read(row.run, seq, min(_PAGE, up_to - seq))
            if not page:
                raise StorageError(f"run {row.run} was deleted meanwhile")
            for recorded in page:
                if recorded.seq <= up_to:
                    yield recorded
            seq = page[-1].seq


def _start_nothing(_path: str, _node: Node) -> bool:
    """A gate that refuses: whoever takes the fork up starts what is ready."""
    return False


def _is_step(event: e.AnyEvent) -> bool:
    return isinstance(event, e.Routed) and bool(event.target)
