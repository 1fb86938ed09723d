"""What several kinds of events have in common when they are told: how things begin and end, and for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from clew.engine import stream_items as i
from clew.engine.endings import duration
from clew.engine.places import attempts_of, branch_of, is_parallel, kind_of, lacks_attempts, step_of
from clew.engine.positions import Checkpoint
from clew.engine.state_changes import changes_between
from clew.engine.traces import span_id
from clew.journal.records import Recorded
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.values import Binding, Cells, ErrorInfo
from clew.kernel.visits import Group, Items, Scope, Visit, Walk

#: Addresses that a warning names.
NAMED = 100


class Told(NamedTuple):
    """An item, and what is to be read for one of its fields before it is complete."""

    item: i.StreamItem
    reads: Binding | None = None
    field: str = ""


Telling = Iterator[i.StreamItem | Told]


class Scribe:
    """Writes the items of one run, by its folded state and a few notes of its own.

    Args:
        run: its id.
        folded: its state; the narrator folds it.

    Attributes:
        openings: how often what has no attempts of its own has begun.
        reached: when barriers were, which the fold does not know.
        stamp: number and time of the event that is told.
    """

    def __init__(self, run: str, folded: Run) -> None:
        self._id = run
        self._run = folded
        self.openings: Counter[str] = Counter()
        self.reached: dict[str, float] = {}
        self.stamp: dict[str, Any] = {}
        #: When what is under way began: attempts, groups, barriers, and the run's own graph.
        self._since: dict[str, float] = {}

    def begin(self, recorded: Recorded) -> None:
        """All items that follow are of this event."""
        self.stamp = {"seq": recorded.seq, "at": recorded.event.at}

    # ------------------------------------------------------------------ nodes

    def node(self, visit: Visit) -> dict[str, Any]:
        """What all items of a visit tell."""
        attempt = attempts_of(visit, self.openings)
        return {
            **self.stamp,
            "path": visit.path,
            "node": visit.node.spec.id,
            "step": step_of(visit),
            "attempt": attempt,
            "span_id": span_id(self._id, visit.path, attempt),
        }

    def began(self, visit: Visit, *, first: bool = True, probe: bool = False) -> Telling:
        """An attempt began, or what has none; `first`, if it is the first one of the visit."""
        self._since[visit.path] = self.stamp["at"]
        if lacks_attempts(visit):
            self.openings[visit.path] += 1
        where = self.node(visit)
        if first and (branch := branch_of(visit)) is not None:
            yield i.BranchStarted(**where, **branch)
        yield i.NodeStarted(
            **where,
            kind=kind_of(visit),
            parent_id=self._span_of(visit.group),
            discards=visit.attempt > 1,
            probe=probe,
            undoes=visit.undoes.path if visit.undoes is not None else "",
        )

    def lasted(self, path: str) -> float | None:
        """How long something was under way that is not any more; None if it was not."""
        return duration(self._since.pop(path, None), self.stamp["at"])

    def cancelled(self, visit: Visit, reason: str) -> Telling:
        """A visit that had begun was cancelled."""
        lasted = self.lasted(visit.path)
        yield from self.group_ended(visit, lasted)
        yield i.NodeCancelled(**self.node(visit), reason=reason, duration_s=lasted)
        yield from self.branch_ended(visit)

    def branch_ended(self, visit: Visit, error: ErrorInfo | None = None) -> Telling:
        """A visit has settled, which may be a branch."""
        branch = branch_of(visit)
        if branch is not None:
            lasted = duration(self.reached.get(visit.path, visit.started_at), self.stamp["at"])
            outcome = visit.state.value
            where = self.node(visit)
            yield i.BranchEnded(**where, **branch, outcome=outcome, duration_s=lasted, error=error)

    # ------------------------------------------------------------------ groups

    def graph_started(self, group: Group) -> i.GraphStarted:
        """A graph began; the run's own again when the run is retried."""
        if group.owner is None:
            self._since[group.path] = self.stamp["at"]
        kind = "state" if isinstance(group, Walk) else "dependency"
        return i.GraphStarted(**self.graph(group), kind=kind, generation=self._run.generation)

    def graph(self, group: Group) -> dict[str, Any]:
        """What all items of a graph tell."""
        assert isinstance(group, Scope | Walk)
        name = group.topology.spec.name
        return {**self.stamp, "path": group.path, "graph": name, "span_id": self._span_of(group)}

    def group_began(self, visit: Visit) -> Telling:
        """A sub-graph, a parallel node or a map began."""
        inner = visit.inner
        assert inner is not None
        yield from self.began(visit)
        if not is_parallel(inner):
            yield self.graph_started(inner)
            return
        yield i.ParallelStarted(
            **self.node(visit),
            kind="map" if isinstance(inner, Items) else "parallel",
            count=len(inner.members),
            branches=tuple(inner.topology.index) if isinstance(inner, Scope) else (),
        )

    def group_ended(self, visit: Visit, lasted: float | None, error: ErrorInfo | None = None) -> Telling:
        """A visit has settled, which may be a group that had begun."""
        inner, outcome = visit.inner, visit.state.value
        if inner is None:
            return
        if visit.state is NodeState.COMPLETED:
            yield from self.partial_failure(inner)
        if is_parallel(inner):
            counts = Counter(inner.member_state(index).value for index in range(len(inner.members)))
            yield i.ParallelJoined(**self.node(visit), outcome=outcome, counts=dict(counts), duration_s=lasted)
        else:
            yield i.GraphEnded(**self.graph(inner), outcome=outcome, duration_s=lasted, error=error)

    def partial_failure(self, group: Group) -> Telling:
        """A group has completed; what failed in a state graph was gone on from, and is told as degraded."""
        if group.failed and not isinstance(group, Walk):
            yield i.PartialFailure(
                **self.stamp,
                path=group.path,
                failed=len(group.failed),
                count=len(group.members),
                paths=tuple(map(group.member_path, sorted(group.failed)[:NAMED])),
            )

    def changed(self, walk: Walk, before: Cells, source: str = "", by: str = "") -> Telling:
        """The state of a state graph may have changed."""
        if changes := changes_between(before, walk.cells):
            yield i.StateChanged(**self.stamp, path=walk.path, changes=changes, source=source, by=by)

    def checkpoint(self, found: Checkpoint) -> i.CheckpointReached:
        """The event made a checkpoint."""
        return i.CheckpointReached(
            **self.stamp,
            step=found.step,
            why=found.why,
            path=found.path,
            next=found.next,
            name=found.name,
            by=found.by,
        )

    def state_begins(self, walk: Walk) -> i.StateChanged:
        """A state graph knows what it starts with."""
        return i.StateChanged(**self.stamp, path=walk.path, changes=changes_between({}, walk.cells), begins=True)

    def _span_of(self, group: Group) -> str:
        owner = group.owner
        beginning = attempts_of(owner, self.openings) if owner is not None else self._run.generation
        return span_id(self._id, group.path, beginning)
