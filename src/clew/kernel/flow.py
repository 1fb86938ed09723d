"""What follows from a visit that settles: policies, groups that end, groups that open, attempts that start.

`Flow` is the half of the machine that no signal reaches directly. It records what it decides as events, each
folded at once, and collects commands; `machine` turns signals into calls of it.
"""

from __future__ import annotations

from collections.abc import Callable

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import reasons
from clew.kernel.definition import ErrorPolicy, ItemPolicy
from clew.kernel.fold import fold
from clew.kernel.policies import is_retried, retry_delay
from clew.kernel.resolve import resolve_inputs, resolve_over, surroundings
from clew.kernel.state import Group, Items, Run, Scope, Visit
from clew.kernel.states import SETTLED, UNDER_WAY, NodeState, RunState
from clew.kernel.topology import Node
from clew.kernel.values import GATHERED, ErrorInfo, Value

#: May this attempt start now? A yes takes the slots; the driver gives them back when the attempt has ended.
Gate = Callable[[str, Node], bool]


class Flow:
    """Moves one run on.

    Attributes:
        run: the folded state.
        gate: asked before each attempt, besides the run's own `max_concurrency`.
        now: the time of the call, seconds since the epoch.
        events: decided, and folded, in this call.
        commands: to be performed when `events` are durable.
    """

    def __init__(self, run: Run, gate: Gate) -> None:
        self.run = run
        self.gate = gate
        self.now = 0.0
        self.events: list[e.AnyEvent] = []
        self.commands: list[c.Command] = []

    def begin(self, now: float) -> None:
        """Start collecting for a call at time `now`."""
        self.now = now
        self.events, self.commands = [], []

    def emit(self, event: e.AnyEvent) -> None:
        """Record a fact: fold it now, store it with the rest of this call."""
        fold(self.run, event)
        self.events.append(event)

    def failed(self, visit: Visit, error: ErrorInfo) -> None:
        """An attempt failed: it is tried again, or the visit has failed for good."""
        retry = visit.node.spec.retry
        failures = visit.failures + 1
        if not is_retried(retry, error, failures):
            self.fail(visit, error)
            return
        delay = retry_delay(retry, failures, error, f"{self.run.id} {visit.path} {visit.attempt}")
        self.emit(
            e.RetryScheduled(
                at=self.now, path=visit.path, attempt=visit.attempt, error=error, due=self.now + delay
            )
        )

    def fail(self, visit: Visit, error: ErrorInfo) -> None:
        """A visit failed for good."""
        self.emit(e.NodeFailed(at=self.now, path=visit.path, attempt=visit.attempt, error=error))
        self.settled(visit)

    def stopped(self, visit: Visit, reason: str) -> None:
        """An attempt that was told to stop has done so (or was lost, which is the same)."""
        if reason == "timeout":
            self.failed(visit, reasons.timed_out("the attempt", visit.node.spec.timeout_s))
        elif reason == "total_timeout":
            self.fail(visit, reasons.timed_out("the node with its retries", visit.node.spec.total_timeout_s))
        else:
            self.emit(e.NodeCancelled(at=self.now, path=visit.path, attempt=visit.attempt, reason=reason))
            self.settled(visit)

    def settled(self, visit: Visit) -> None:
        """A visit settled: its group's policy decides what that means, and the group may end with it."""
        group = visit.group
        if isinstance(group, Scope):
            if visit.state is NodeState.FAILED and not group.stop:
                self._apply_policy(group, visit)
        else:
            assert isinstance(group, Items)
            self._item_settled(group, visit)
        if group.finished:
            self.close(group)

    def _apply_policy(self, scope: Scope, visit: Visit) -> None:
        policy = visit.node.spec.on_error or scope.topology.spec.on_error
        match policy:
            case ErrorPolicy.STOP_GRAPH:
                self.stop(scope, "failed", reasons.because(visit))
            case ErrorPolicy.SKIP_DOWNSTREAM:
                self._skip_downstream(scope, visit)
            case ErrorPolicy.CONTINUE:
                self._skip_unfed_items(scope, visit)

    def _skip_downstream(self, scope: Scope, failed: Visit) -> None:
        """Skip whatever depends on a failed node, at any distance; maps that it feeds end early."""
        todo = [*failed.node.releases, *failed.node.feeds]
        while todo:
            index = todo.pop()
            state = scope.member_state(index)
            if state in UNDER_WAY:
                member = scope.members[index]
                assert member is not None
                assert member.inner is not None
                if not member.inner.stop:
                    self.stop(member.inner, "upstream", reasons.because(failed))
            elif state not in SETTLED:
                self.emit(e.NodeSkipped(at=self.now, path=scope.member_path(index), cause=failed.path))
            else:
                continue
            node = scope.topology.nodes[index]
            todo += [*node.releases, *node.feeds]

    def _skip_unfed_items(self, scope: Scope, failed: Visit) -> None:
        """A failed map goes on for its readers: those that take its items do without the missing ones."""
        if failed.inner is None:
            return
        for index in range(len(failed.inner.members)):
            self._skip_fed(failed, index)
        for index in failed.node.feeds:
            consumer = scope.members[index]
            if consumer is not None and consumer.inner is not None and consumer.inner.finished:
                self.close(consumer.inner)

    def _item_settled(self, group: Items, item: Visit) -> None:
        assert group.owner is not None
        if item.state is not NodeState.COMPLETED:
            self._skip_fed(group.owner, item.index)
        spec = group.node.spec.map
        assert spec is not None
        if item.state is NodeState.FAILED and not group.stop and spec.on_item_error is ItemPolicy.FAIL_FAST:
            self.stop(group, "failed", reasons.because(item))

    def _skip_fed(self, owner: Visit, index: int) -> None:
        """The items that were to be made from a failed item are not made."""
        scope = owner.group
        assert owner.inner is not None
        source = owner.inner.members[index]
        assert source is not None
        if source.state is NodeState.COMPLETED:
            return
        for feed in owner.node.feeds:
            consumer = scope.members[feed]
            if consumer is None or consumer.inner is None or consumer.inner.stop:
                continue
            member = consumer.inner.members[index]
            assert member is not None
            if member.state is NodeState.PENDING:
                self.emit(e.NodeSkipped(at=self.now, path=member.path, cause=source.path))
                self.settled(member)

    def stop(self, group: Group, reason: str, error: ErrorInfo) -> None:
        """End a group early: what has not started never will, what is under way is told to stop."""
        idle = [v for v in group.members if v is not None and v.state is NodeState.WAITING]
        self.emit(e.GroupStopping(at=self.now, path=group.path, reason=reason, error=error))
        for visit in idle:
            self.commands.append(c.StopAttempt(path=visit.path, attempt=visit.attempt, reason=reason))
        for visit in group.members:
            if visit is None or visit.state is not NodeState.RUNNING:
                continue
            if visit.inner is None:
                self.stop_attempt(visit, reason)
            else:
                self.stop(visit.inner, reason, error)
        if group.finished and not self._is_closed(group):
            self.close(group)

    def stop_attempt(self, visit: Visit, reason: str) -> None:
        """Tell the worker of an attempt to stop it; the visit settles when it has."""
        self.emit(e.AttemptStopping(at=self.now, path=visit.path, attempt=visit.attempt, reason=reason))
        self.commands.append(c.StopAttempt(path=visit.path, attempt=visit.attempt, reason=reason))

    def close(self, group: Group) -> None:
        """A group has ended: settle the visit that owns it, or end the run."""
        if self._is_closed(group):
            return
        error = self._outcome(group)
        if group.owner is None:
            self._end_run(error)
            return
        owner = group.owner
        if error is None:
            done = e.NodeCompleted(at=self.now, path=owner.path, attempt=owner.attempt, output=GATHERED)
            self.emit(done)
        elif group.stop == "upstream":
            self.emit(e.NodeSkipped(at=self.now, path=owner.path, cause=error.message))
        elif group.stop == "cancel" or (group.stop and owner.group.stop):
            self.emit(e.NodeCancelled(at=self.now, path=owner.path, attempt=owner.attempt, reason=group.stop))
        else:
            self.emit(e.NodeFailed(at=self.now, path=owner.path, attempt=owner.attempt, error=error))
        self.settled(owner)

    def _is_closed(self, group: Group) -> bool:
        return self.run.ended if group.owner is None else group.owner.state in SETTLED

    def _outcome(self, group: Group) -> ErrorInfo | None:
        """Why the group failed; None if it did not."""
        if group.stop and group.settled < len(group.members):
            return group.error
        failed = [group.members[i] for i in group.failed]
        if isinstance(group, Items):
            collects = group.node.spec.map is not None and group.node.spec.map.on_item_error is ItemPolicy.COLLECT
            bad = [] if collects else failed
        else:
            bad = [visit for visit in failed if visit is not None and not visit.node.goes_on]
        first = bad[0] if bad else None
        if first is not None:
            return reasons.because(first, len(bad) - 1)
        return group.error if group.stop and group.stop != "timeout" else None

    def _end_run(self, error: ErrorInfo | None) -> None:
        run = self.run
        assert run.root is not None
        counts: dict[str, int] = {"settled": run.settled, "failed": run.failed}
        if error is None:
            self.emit(e.RunCompleted(at=self.now, **counts))
        elif run.root.stop == "cancel":
            self.emit(e.RunCancelled(at=self.now, reason=error.message, **counts))
        else:
            self.emit(e.RunFailed(at=self.now, error=error, **counts))

    def advance(self) -> None:
        """Open the groups whose turn has come, then start what is ready and admitted."""
        run = self.run
        while run.openable and run.state is RunState.RUNNING:
            for visit in self._take_openable():
                self._open(visit)
        if run.state is not RunState.RUNNING:
            return
        limit = run.topology.spec.max_concurrency
        for lane in list(run.ready):
            while run.running < limit and (visit := run.next_ready(lane)) is not None:
                if not self._lane_has_room(visit) or not self.gate(visit.path, visit.node):
                    break
                self._begin(visit)

    def _take_openable(self) -> list[Visit]:
        visits, self.run.openable = self.run.openable, []
        return [visit for visit in visits if visit.state is NodeState.READY]

    def _open(self, visit: Visit) -> None:
        if visit.state is not NodeState.READY:
            return  # an earlier one of this batch ended the group
        if not visit.is_map:
            self.emit(e.ScopeOpened(at=self.now, path=visit.path))
            self._close_if_finished(visit)
        elif visit.node.fed_by is not None:
            feeder = visit.group.members[visit.node.fed_by]
            assert feeder is not None
            source = feeder.inner
            assert isinstance(source, Items)
            self.open_map(visit, len(source.members), source.keys, None)
        else:
            self.commands.append(self.expand(visit))

    def open_map(self, visit: Visit, count: int, keys: tuple[str, ...], items: Value | None) -> None:
        """The items of a map are known: make a visit for each."""
        self.emit(e.MapOpened(at=self.now, path=visit.path, count=count, keys=keys, items=items))
        source = visit.inner.source if isinstance(visit.inner, Items) else None
        if source is not None and source.owner is not None:
            for index, member in enumerate(source.members):
                if member is not None and member.state in SETTLED:
                    self._skip_fed(source.owner, index)
        self._close_if_finished(visit)

    def _close_if_finished(self, visit: Visit) -> None:
        if visit.inner is not None and visit.inner.finished:
            self.close(visit.inner)

    def _lane_has_room(self, visit: Visit) -> bool:
        """Whether the map of an item may have one more under way."""
        spec = visit.node.spec.map
        return spec is None or spec.max_concurrency is None or visit.group.active < spec.max_concurrency

    def _begin(self, visit: Visit) -> None:
        if visit.resumes:
            command = self.start(visit, resumed=True)
            self.emit(e.AttemptResumed(at=self.now, path=visit.path, attempt=visit.attempt))
        else:
            self.emit(e.AttemptStarted(at=self.now, path=visit.path, attempt=visit.attempt + 1))
            command = self.start(visit)
        self.commands.append(command)

    def start(self, visit: Visit, *, resumed: bool = False) -> c.StartAttempt:
        """The command that runs a visit's body."""
        spec = visit.node.spec
        return c.StartAttempt(
            run=self.run.id,
            path=visit.path,
            attempt=visit.attempt,
            kind=spec.kind,
            body=spec.body,
            inputs=resolve_inputs(self.run, visit),
            timeout_s=spec.timeout_s,
            uses=spec.uses,
            steps=visit.steps or {},
            waits=visit.waits or {},
            failed_upstream=self._failed_upstream(visit),
            resumed=resumed,
        )

    def _failed_upstream(self, visit: Visit) -> dict[str, ErrorInfo]:
        scope, _ = surroundings(visit)
        if not scope.failed:
            return {}
        failed = (scope.members[need] for need in visit.node.needs)
        return {
            v.node.spec.id: v.error for v in failed if v is not None and v.state is NodeState.FAILED and v.error
        }

    def expand(self, visit: Visit) -> c.ExpandMap:
        """The command that finds a map's items."""
        assert visit.node.spec.map is not None
        return c.ExpandMap(path=visit.path, over=resolve_over(self.run, visit), map=visit.node.spec.map)
