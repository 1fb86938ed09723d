"""Facts become a story: the narrator folds the events of a run, and tells of each what it meant.

It knows nothing but the events that it was given, in order, so that whoever reads a run from its beginning is told
the same as who watched it. It does no input or output: what has to be read from the journal is told as a recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from clew import codec
from clew.engine import stream_items as i
from clew.engine.endings import duration, log_of, outputs_of
from clew.engine.feed import Emitted, Ephemeral, Progress
from clew.engine.positions import Checkpoints
from clew.engine.scribe import Scribe, Telling, Told
from clew.engine.traces import span_id, trace_id
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.cells import plain
from clew.kernel.fold import fold, group_at
from clew.kernel.questions import DECISION, Question
from clew.kernel.resolve import output_of
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, UNDER_WAY, NodeState
from clew.kernel.topology import Topology
from clew.kernel.visits import Visit, Walk
from clew.kernel.writes import Judgement


class Narrator:
    """Tells one run.

    Args:
        run: its id; one that was forked is told under its own from the beginning.
        topology: the compiled definition that it began with.
        values: whole states and outputs are told, too.

    Attributes:
        run: its folded state.
    """

    def __init__(self, run: str, topology: Topology, *, values: bool = False) -> None:
        self.run = Run("", topology)
        self._id = run
        self._values = values
        self._scribe = Scribe(run, self.run)
        self._checkpoints = Checkpoints(topology, self.run)
        #: Where the token went from a visit, and why.
        self._routes: dict[str, tuple[str, str]] = {}

    def tell(self, recorded: Recorded) -> list[Told]:
        """Fold the next event; what there is to tell of it, in order.

        Raises:
            Exception: of whatever kind, if it does not fit the graph or the events before it.
        """
        event = recorded.event
        self._scribe.begin(recorded)
        tells = self._TELLS.get(type(event))
        if tells is None:
            fold(self.run, event)
            told: list[Told] = []
        else:
            told = [each if isinstance(each, Told) else Told(each) for each in tells(self, event)]
        changed = any(isinstance(each.item, i.StateChanged) and not each.item.path for each in told)
        if self._values and changed and isinstance(self.run.root, Walk):
            told.append(Told(i.Values(**self._scribe.stamp, state=plain(self.run.root.cells))))
        if (found := self._checkpoints.see(recorded)) is not None:
            # The end of the run is told last.
            told.insert(len(told) - isinstance(event, e.RunCompleted), Told(self._scribe.checkpoint(found)))
        return told

    def tell_ephemeral(self, item: Ephemeral) -> i.StreamItem | None:
        """What a body showed; None if it is void by now, or output, which is kept in logs."""
        visit = self.run.visits.get(item.path)
        if visit is None or visit.attempt != item.attempt:
            return None
        span = span_id(self._id, item.path, item.attempt)
        where: dict[str, Any] = {
            "path": item.path, "node": visit.node.spec.id, "attempt": item.attempt, "span_id": span,
        }  # fmt: skip
        if isinstance(item, Emitted):
            return i.Custom(**where, index=item.index, item=item.item)
        if isinstance(item, Progress):
            return i.NodeProgress(**where, fraction=item.fraction, message=item.message)
        return None

    # ------------------------------------------------------------------ runs

    def _run_started(self, event: e.RunStarted) -> Telling:
        fold(self.run, event)
        assert self.run.root is not None
        yield self._scribe.graph_started(self.run.root)
        if isinstance(self.run.root, Walk):
            yield self._scribe.state_begins(self.run.root)

    def _run_retried(self, event: e.RunRetried) -> Telling:
        settled = self._settled_groups()
        fold(self.run, event)
        assert self.run.root is not None
        yield self._scribe.graph_started(self.run.root)
        yield from self._begun_again(settled)

    def _run_ended(self, event: e.RunCompleted | e.RunFailed | e.RunCancelled) -> Telling:
        fold(self.run, event)
        root = self.run.root
        assert root is not None
        if isinstance(event, e.RunCompleted):
            yield from self._scribe.partial_failure(root)
        lasted = self._scribe.lasted(root.path)
        graph = self._scribe.graph(root)
        yield i.GraphEnded(**graph, outcome=self.run.state.value, duration_s=lasted, error=self.run.error)
        match event:
            case e.RunCompleted():
                yield self._ending(i.Complete)
            case e.RunFailed():
                yield self._ending(i.Error, error=event.error)
            case e.RunCancelled():
                yield self._ending(i.Cancelled, reason=event.reason)

    def _rollback_started(self, event: e.RollbackStarted) -> Telling:
        fold(self.run, event)
        yield i.RollbackStarted(**self._scribe.stamp, why=event.why, by=event.by)

    def _rolled_back(self, event: e.RunRolledBack) -> Telling:
        fold(self.run, event)
        yield self._ending(i.RolledBack, undone=event.undone)

    def _rollback_failed(self, event: e.RollbackFailed) -> Telling:
        fold(self.run, event)
        yield self._ending(i.RollbackFailed, undone=event.undone, remaining=event.remaining)

    def _ending(self, kind: Callable[..., i.StreamItem], **more: Any) -> Told:
        run, root = self.run, self.run.root
        assert root is not None
        log, omitted = log_of(run, self._routes, self._scribe.reached, self._scribe.openings)
        item = kind(
            **self._scribe.stamp,
            **more,
            trace_id=trace_id(self._id),
            duration_s=duration(run.started_at, run.ended_at),
            state=plain(root.cells) if isinstance(root, Walk) else None,
            log=log,
            omitted=omitted,
        )
        return Told(item) if isinstance(root, Walk) else Told(item, outputs_of(run, root), "outputs")

    def _run_paused(self, event: e.RunPaused) -> Telling:
        fold(self.run, event)
        yield i.GraphPaused(**self._scribe.stamp, by=event.by)

    def _run_resumed(self, event: e.RunResumed) -> Telling:
        fold(self.run, event)
        yield i.GraphResumed(**self._scribe.stamp, by=event.by)

    # ------------------------------------------------------------------ groups

    def _group_stopping(self, event: e.GroupStopping) -> Telling:
        begun = [v for v in group_at(self.run, event.path).members if v is not None and _is_at_rest(v)]
        fold(self.run, event)
        yield i.GraphStopping(
            **self._scribe.stamp, path=event.path, reason=event.reason, error=event.error, cause=event.cause
        )
        for visit in begun:  # they are cancelled by this event; what is under way tells of its end by itself
            yield from self._scribe.cancelled(visit, event.reason)

    def _scope_opened(self, event: e.ScopeOpened) -> Telling:
        visit = self.run.visits[event.path]
        again = visit.inner is not None
        settled = self._settled_groups() if again else []
        fold(self.run, event)
        yield from self._scribe.group_began(visit)
        if again:
            yield from self._begun_again(settled)
        elif isinstance(visit.inner, Walk) and visit.inner.entered:
            yield self._scribe.state_begins(visit.inner)

    def _settled_groups(self) -> list[Visit]:
        return [v for v in self.run.visits.values() if v.inner is not None and v.state in SETTLED]

    def _begun_again(self, settled: list[Visit]) -> Telling:
        """Groups that had settled go on with the members that they have, without an event of their own."""
        for visit in settled:
            if visit.state is NodeState.RUNNING:
                yield from self._scribe.group_began(visit)

    def _map_opened(self, event: e.MapOpened) -> Telling:
        fold(self.run, event)
        yield from self._scribe.group_began(self.run.visits[event.path])

    # ------------------------------------------------------------------ nodes

    def _attempt_started(self, event: e.AttemptStarted) -> Telling:
        visit = self.run.visits[event.path]
        first = visit.started_at is None
        fold(self.run, event)
        yield from self._scribe.began(visit, first=first, probe=event.probe)

    def _attempt_interrupted(self, event: e.AttemptInterrupted) -> Telling:
        fold(self.run, event)
        visit = self.run.visits[event.path]
        lasted = self._scribe.lasted(visit.path)
        yield i.NodeInterrupted(**self._scribe.node(visit), duration_s=lasted)

    def _attempt_ended(self, event: e.RetryScheduled | e.DoubtCleared) -> Telling:
        fold(self.run, event)
        visit = self.run.visits[event.path]
        due, error = (event.due, event.error) if isinstance(event, e.RetryScheduled) else (event.at, None)
        lasted = self._scribe.lasted(visit.path)
        yield i.NodeRetrying(**self._scribe.node(visit), due=due, error=error, duration_s=lasted)

    def _node_completed(self, event: e.NodeCompleted) -> Telling:
        visit = self.run.visits[event.path]
        walk = visit.group if isinstance(visit.group, Walk) else None
        before = dict(walk.cells) if walk is not None else {}
        fold(self.run, event)
        lasted = self._scribe.lasted(visit.path)
        yield from self._scribe.group_ended(visit, lasted)
        where = self._scribe.node(visit)
        yield i.NodeFinished(**where, duration_s=lasted, cost=event.cost, effects=event.effects)
        if walk is not None:
            decision = (visit.waits or {}).get(DECISION)
            by = decision.by if decision is not None else ""
            yield from self._scribe.changed(walk, before, visit.path, by)
        yield from self._scribe.branch_ended(visit)
        if self._values and visit.group is self.run.root and walk is None:
            output = i.NodeOutput(**self._scribe.stamp, path=visit.path, node=visit.node.spec.id)
            yield Told(output, output_of(self.run, visit), "value")

    def _node_failed(self, event: e.NodeFailed) -> Telling:
        fold(self.run, event)
        visit = self.run.visits[event.path]
        lasted = self._scribe.lasted(visit.path)
        yield from self._scribe.group_ended(visit, lasted, event.error)
        yield i.NodeFailed(**self._scribe.node(visit), error=event.error, duration_s=lasted)
        yield from self._scribe.branch_ended(visit, event.error)

    def _node_skipped(self, event: e.NodeSkipped) -> Telling:
        fold(self.run, event)
        visit = self.run.visits[event.path]
        lasted = self._scribe.lasted(visit.path)
        yield from self._scribe.group_ended(visit, lasted)
        yield i.NodeSkipped(**self._scribe.node(visit), cause=event.cause, duration_s=lasted)
        yield from self._scribe.branch_ended(visit)

    def _node_cancelled(self, event: e.NodeCancelled) -> Telling:
        fold(self.run, event)
        yield from self._scribe.cancelled(self.run.visits[event.path], event.reason)

    # ------------------------------------------------------------------ waits and decisions

    def _usage_recorded(self, event: e.UsageRecorded) -> Telling:
        fold(self.run, event)
        yield i.NodeUsage(**self._scribe.node(self.run.visits[event.path]), used=event.used)

    def _wait_opened(self, event: e.WaitOpened) -> Telling:
        visit = self.run.visits[event.path]
        again = visit.state is NodeState.WAITING
        fold(self.run, event)
        if event.key == DECISION:
            yield from self._barrier_waiting(visit, event, again=again)
            return
        where = self._scribe.node(visit)
        yield i.NodeWaiting(**where, key=event.key, kind=event.kind, name=event.name, due=event.due)

    def _barrier_waiting(self, visit: Visit, event: e.WaitOpened, *, again: bool) -> Telling:
        if not again:
            self._scribe.reached[visit.path] = event.at
            yield from self._scribe.began(visit)
        spec, walk = visit.node.spec.barrier, visit.group.walk
        assert spec is not None
        assert walk is not None
        assert event.question is not None
        names = spec.shows or sorted(walk.cells)
        yield i.BarrierWaiting(
            **self._scribe.node(visit),
            text=msgspec.json.decode(event.question.json, type=Question).text,
            shows=plain({name: walk.cells[name] for name in names if name in walk.cells}),
            digest=event.digest,
            default=spec.default.value,
            due=event.due,
        )

    def _wait_resolved(self, event: e.WaitResolved) -> Telling:
        fold(self.run, event)
        where = self._scribe.node(self.run.visits[event.path])
        if event.key != DECISION:
            yield i.NodeWoken(**where, key=event.key, outcome=event.outcome, by=event.by)
            return
        assert event.value is not None
        judgement = msgspec.json.decode(event.value.json, type=Judgement)
        how = "standing" if event.standing else "kept" if event.kept else "decided"
        yield i.BarrierResolved(
            **where,
            decision=judgement.kind,
            how="expired" if event.outcome == "expired" else how,
            reason=judgement.reason,
            by=event.by,
            shown=event.shown,
            target=judgement.target if judgement.kind == "reroute" else None,
            changes={key: codec.decode(json) for key, json in judgement.changes.items()} or None,
            deleted=judgement.delete,
        )

    # ------------------------------------------------------------------ states

    def _walk_entered(self, event: e.WalkEntered) -> Telling:
        fold(self.run, event)
        yield self._scribe.state_begins(self._walk_at(event.path))

    def _routed(self, event: e.Routed) -> Telling:
        why = _why_degraded(self._walk_at(event.path), event)
        fold(self.run, event)
        self._routes[event.source] = event.target, event.why
        way: dict[str, Any] = {"path": event.path, "source": event.source, "target": event.target}
        if event.why == "fallback":
            yield i.Degraded(**self._scribe.stamp, **way, why=why, error=event.error)
        yield i.EdgeTaken(**self._scribe.stamp, **way, why=event.why)

    def _state_changed(self, event: e.StateChanged) -> Telling:
        walk = self._walk_at(event.path)
        before = dict(walk.cells)
        fold(self.run, event)
        yield from self._scribe.changed(walk, before, by=event.by)

    def _definition_changed(self, event: e.DefinitionChanged) -> Telling:
        before = {walk.path: dict(walk.cells) for walk in self._walks()}
        fold(self.run, event)
        yield i.DefinitionChanged(**self._scribe.stamp, graph=event.graph, by=event.by, forced=event.forced)
        for walk in self._walks():
            yield from self._scribe.changed(walk, before[walk.path], by=event.by)

    def _walks(self) -> list[Walk]:
        """The state graphs that have begun."""
        groups = (self.run.root, *(visit.inner for visit in self.run.visits.values()))
        return [group for group in groups if isinstance(group, Walk) and group.entered]

    def _walk_at(self, path: str) -> Walk:
        walk = group_at(self.run, path)
        assert isinstance(walk, Walk)
        return walk

    #: Each folds its event, and looks before and after; what is not here is folded without a word.
    _TELLS: ClassVar[dict[type, Callable[[Narrator, Any], Telling]]] = {
        e.RunStarted: _run_started,
        e.RunRetried: _run_retried,
        e.RunCompleted: _run_ended,
        e.RunFailed: _run_ended,
        e.RunCancelled: _run_ended,
        e.RollbackStarted: _rollback_started,
        e.RunRolledBack: _rolled_back,
        e.RollbackFailed: _rollback_failed,
        e.RunPaused: _run_paused,
        e.RunResumed: _run_resumed,
        e.GroupStopping: _group_stopping,
        e.ScopeOpened: _scope_opened,
        e.MapOpened: _map_opened,
        e.WalkEntered: _walk_entered,
        e.AttemptStarted: _attempt_started,
        e.AttemptInterrupted: _attempt_interrupted,
        e.RetryScheduled: _attempt_ended,
        e.DoubtCleared: _attempt_ended,
        e.NodeCompleted: _node_completed,
        e.NodeFailed: _node_failed,
        e.NodeSkipped: _node_skipped,
        e.NodeCancelled: _node_cancelled,
        e.UsageRecorded: _usage_recorded,
        e.WaitOpened: _wait_opened,
        e.WaitResolved: _wait_resolved,
        e.Routed: _routed,
        e.StateChanged: _state_changed,
        e.DefinitionChanged: _definition_changed,
    }


def _is_at_rest(visit: Visit) -> bool:
    """Whether a visit has begun, has not settled, and nothing of it is under way."""
    if visit.state in SETTLED or visit.state in UNDER_WAY:
        return False
    return visit.started_at is not None or visit.state is NodeState.WAITING


def _why_degraded(walk: Walk, event: e.Routed) -> str:
    """Why a fallback edge is taken, told by how things stand before it is."""
    if walk.last is not None and walk.last.state is not NodeState.COMPLETED:
        return "failed"
    if event.error is not None:
        return "limit"
    return "asked" if walk.wants_fallback else "no_edge"
