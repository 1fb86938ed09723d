"""Folding: what each event does to the state. Facts only, no policy, no time but the event's own.

`fold(run, event)` is total on what `machine` can emit and raises on anything else, so that a journal that
does not fit its definition is found at once. Everything derived (who is ready, what can be opened, which
timers run) is kept here as well, so that a restored machine knows it without looking for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clew.kernel import events as e
from clew.kernel import inheriting, rebinding, undoing, walking
from clew.kernel.definition import OnInterrupt
from clew.kernel.errors import KernelError
from clew.kernel.recording import CAME_ABOUT, GIVEN, RECEIVED, RECORDING, keep_waits, serves_undoing
from clew.kernel.reset import reset_group, reset_run
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, UNDER_WAY, NodeState, RunState
from clew.kernel.visits import Group, Items, Scope, Undoing, Visit, Walk, new_group

#: Declarations by which a lost attempt is not simply made again.
_DOUBTFUL = frozenset({OnInterrupt.PROBE, OnInterrupt.ASK})


def fold(run: Run, event: e.AnyEvent) -> None:
    """Apply one event to the state."""
    _FOLDS[type(event)](run, event)
    run.seq += 1


def group_at(run: Run, path: str) -> Group:
    """The group at an address; the empty one is the run's own graph."""
    group = run.visits[path].inner if path else run.root
    if group is None:
        raise KernelError(f"run {run.id}: {path or 'the graph'} has not begun")
    return group


def _run_admitted(run: Run, event: e.RunAdmitted) -> None:
    run.id = event.run
    run.graph = event.graph
    run.definition = event.definition
    run.labels = event.labels
    run.inputs = event.inputs
    run.timeout_s = event.timeout_s
    run.confirmed = event.confirmed
    run.admitted_at = event.at


def _run_started(run: Run, event: e.RunStarted) -> None:
    run.enter(RunState.RUNNING)
    run.started_at = event.at
    _set_run_timer(run, event.at)
    if run.topology.routing is None:
        run.root = Scope("", None, run.topology)
        _open_scope(run, run.root)
    else:
        run.root = Walk("", None, run.topology)
        walking.begin(run.root, walking.given(run.inputs))


def _run_paused(run: Run, _: e.RunPaused) -> None:
    run.enter(RunState.PAUSED)


def _run_resumed(run: Run, _: e.RunResumed) -> None:
    run.enter(RunState.RUNNING)


def _run_completed(run: Run, event: e.RunCompleted) -> None:
    run.enter(RunState.COMPLETED)
    run.ended_at = event.at


def _run_failed(run: Run, event: e.RunFailed) -> None:
    run.enter(RunState.FAILED)
    run.ended_at = event.at
    run.error = event.error


def _run_cancelled(run: Run, event: e.RunCancelled) -> None:
    run.enter(RunState.CANCELLED)
    run.ended_at = event.at
    run.reason = event.reason


def _run_retried(run: Run, event: e.RunRetried) -> None:
    run.enter(RunState.RUNNING)
    run.generation = event.generation
    run.ended_at = run.error = None
    run.reason = ""
    _set_run_timer(run, event.at)
    reset_run(run, event.at)


def _ownership_taken(run: Run, event: e.OwnershipTaken) -> None:
    run.epoch = event.epoch


def _group_stopping(run: Run, event: e.GroupStopping) -> None:
    group = group_at(run, event.path)
    if group is run.root:
        run.enter(RunState.STOPPING)
    else:
        assert group.owner is not None
        run.move(group.owner, NodeState.STOPPING)
        group.owner.stop = event.reason
        group.owner.cause = event.cause
    group.stop = event.reason
    group.error = event.error
    for visit in group.members:
        if visit is not None and visit.state not in SETTLED and visit.state not in UNDER_WAY:
            _settle(run, visit, NodeState.CANCELLED, event.at)


def _scope_opened(run: Run, event: e.ScopeOpened) -> None:
    visit = run.visits[event.path]
    run.begin_group(visit, event.at)
    if visit.inner is not None:  # a retry of the run kept its members
        reset_group(run, visit.inner, event.at)
        return
    visit.inner = group = new_group(visit)
    if isinstance(group, Scope):
        _open_scope(run, group)
    elif visit.node.spec.inputs:
        run.gathering[visit.path] = visit
    else:
        walking.begin(group, {})


def _open_scope(run: Run, scope: Scope) -> None:
    run.total += scope.topology.leaves
    for index in scope.topology.sources:
        run.make_ready(run.visit(scope, index, scope.topology.nodes[index]))
    run.expect_report(scope)


def _map_opened(run: Run, event: e.MapOpened) -> None:
    visit = run.visits[event.path]
    run.begin_group(visit, event.at)
    group = Items(visit, event.count, event.keys, event.items)
    visit.inner = group
    if visit.node.inner is None:
        run.total += event.count
    source = group.source
    anew = bool(run.earlier_attempts)
    group.first_order = run.next_order if source is None else -1
    group.touched = event.count
    begun = 0
    for index in range(event.count):
        member = run.visit(group, index, visit.node)
        if source is None or source.member_state(index) is NodeState.COMPLETED:
            run.make_ready(member)
            begun = index + 1
    if not anew:  # all became ready in order, or are pending, and nothing else tells them apart
        run.touch(group, 0 if source is None else begun)
    _release(run, visit, visit.node.feeds)


def _attempt_started(run: Run, event: e.AttemptStarted) -> None:
    visit = run.visits[event.path]
    run.move(visit, NodeState.RUNNING)
    visit.attempt = event.attempt
    visit.probing = event.probe
    if visit.started_at is None:
        visit.started_at = event.at
    spec = visit.node.spec
    if spec.timeout_s is not None:
        visit.attempt_due = event.at + spec.timeout_s
        run.timers.set(visit.attempt_due, "attempt", visit)
    if spec.total_timeout_s is not None and visit.total_due is None and not isinstance(visit.group, Items):
        visit.total_due = event.at + spec.total_timeout_s
        run.set_total_timer(visit)


def _attempt_suspended(run: Run, event: e.AttemptSuspended) -> None:
    visit = run.visits[event.path]
    run.move(visit, NodeState.WAITING)
    visit.suspended_at = event.at


def _attempt_resumed(run: Run, event: e.AttemptResumed) -> None:
    visit = run.visits[event.path]
    run.move(visit, NodeState.RUNNING)
    visit.resumes = False
    if visit.started_at is None:  # by the run that this one was forked from
        visit.started_at = event.at
    assert visit.suspended_at is not None
    waited = event.at - visit.suspended_at
    visit.suspended_at = None
    if visit.attempt_due is not None:
        visit.attempt_due += waited
        run.timers.set(visit.attempt_due, "attempt", visit)
    if visit.total_due is not None:
        visit.total_due += waited
        run.set_total_timer(visit)


def _attempt_stopping(run: Run, event: e.AttemptStopping) -> None:
    visit = run.visits[event.path]
    run.move(visit, NodeState.STOPPING)
    visit.stop = event.reason


def _attempt_interrupted(run: Run, event: e.AttemptInterrupted) -> None:
    visit = run.visits[event.path]
    paused = visit.stop == "pause"
    if not visit.stops_for_good:  # one that does has done so; what follows is next
        run.make_ready(visit)
        visit.stop = ""
    if paused:
        run.set_total_timer(visit)
    elif not event.left:
        visit.interruptions += 1
    visit.attempt_due = None
    visit.in_doubt = visit.node.spec.on_interrupt in _DOUBTFUL and (visit.in_doubt or not event.left)
    visit.probing = visit.probing and visit.in_doubt
    if event.left:
        inheriting.leave(visit)


def _doubt_cleared(run: Run, event: e.DoubtCleared) -> None:
    visit = run.visits[event.path]
    run.make_ready(visit)
    visit.in_doubt = visit.probing = False
    visit.attempt_due = None


def _retry_scheduled(run: Run, event: e.RetryScheduled) -> None:
    visit = run.visits[event.path]
    run.move(visit, NodeState.RETRYING)
    _record_failure(visit, event)
    visit.stop = ""
    visit.retry_due = event.due
    run.timers.set(event.due, "retry", visit)
    run.set_total_timer(visit)


def _retry_due(run: Run, event: e.RetryDue) -> None:
    visit = run.visits[event.path]
    run.make_ready(visit)
    visit.retry_due = None


def _node_completed(run: Run, event: e.NodeCompleted) -> None:
    visit = run.visits[event.path]
    _settle(run, visit, NodeState.COMPLETED, event.at)
    visit.output = event.output
    visit.error = None
    # What the body recorded serves entering it again, which will not happen; and undoing it.
    if visit.steps is not None:
        visit.steps = {key: step for key, step in visit.steps.items() if serves_undoing(key, step)} or None
    visit.undo = event.undo
    keep_waits(visit, RECEIVED)  # should the visit be made anew all the same, its messages are given back
    visit.in_doubt = visit.probing = False
    if isinstance(visit.group, Undoing):
        undoing.settled(run, visit.group, visit)
    elif visit.group.walk is not None:
        walking.take_writes(visit.group.walk, visit, event)
    else:
        _release_dependents(run, visit)


def _node_failed(run: Run, event: e.NodeFailed) -> None:
    visit = run.visits[event.path]
    _settle(run, visit, NodeState.FAILED, event.at)
    _record_failure(visit, event)
    if visit.node.goes_on and isinstance(visit.group, Scope):
        _release(run, visit, visit.node.releases)
        if visit.inner is None:
            _release(run, visit, visit.node.feeds)  # they wait for items that will never be known
    if isinstance(visit.group, Undoing):
        undoing.settled(run, visit.group, visit)


def _settle(run: Run, visit: Visit, state: NodeState, at: float) -> None:
    run.move(visit, state)
    if isinstance(visit.group, Walk):
        visit.group.routed = False
    visit.ended_at = at
    visit.attempt_due = visit.retry_due = visit.suspended_at = None
    visit.resumes = False
    # Nobody waits any more; what came about serves a retry of the run, but a key is given back.
    keep_waits(visit, CAME_ABOUT)


def _record_failure(visit: Visit, event: e.NodeFailed | e.RetryScheduled) -> None:
    visit.error = event.error
    visit.failures += 1
    visit.attempt_due = visit.suspended_at = None
    visit.resumes = False
    if visit.probing:  # the body has not failed: what it had done before it was lost stays done
        keep_waits(visit, CAME_ABOUT)
        return
    keep_waits(visit, GIVEN)
    if visit.steps is not None:
        visit.steps = {
            key: step for key, step in visit.steps.items() if step.effect and step.error is None
        } or None


def _node_skipped(run: Run, event: e.NodeSkipped) -> None:
    visit = run.visits.get(event.path) or _member_of_path(run, event.path)
    _settle(run, visit, NodeState.SKIPPED, event.at)
    visit.cause = event.cause


def _node_cancelled(run: Run, event: e.NodeCancelled) -> None:
    _settle(run, run.visits[event.path], NodeState.CANCELLED, event.at)


def _release_dependents(run: Run, visit: Visit) -> None:
    if isinstance(visit.group, Items):
        _release_fed_item(run, visit)
    else:
        _release(run, visit, visit.node.releases)


def _release(run: Run, visit: Visit, dependents: tuple[int, ...]) -> None:
    scope = visit.group
    if not isinstance(scope, Scope) or scope.stop:  # nobody depends on a step of a state graph
        return
    remaining, nodes = scope.remaining, scope.topology.nodes
    for index in dependents:
        remaining[index] -= 1
        if remaining[index] == 0 and scope.member_state(index) is NodeState.PENDING:
            run.make_ready(run.visit(scope, index, nodes[index]))


def _release_fed_item(run: Run, visit: Visit) -> None:
    """An item of a map is done: the maps that take its items one by one may go on with it."""
    owner = visit.group.owner
    assert owner is not None
    for index in owner.node.feeds:
        consumer = owner.group.members[index]
        if consumer is None or consumer.inner is None or consumer.inner.stop:
            continue
        member = consumer.inner.members[visit.index]
        assert member is not None
        run.make_ready(member)


def _set_run_timer(run: Run, at: float) -> None:
    limit = run.timeout_s if run.timeout_s is not None else run.topology.spec.timeout_s
    if limit is not None:
        run.due = at + limit
        run.timers.set(run.due, "run", None)


def _member_of_path(run: Run, path: str) -> Visit:
    """Make the visit of a node that was never ready: it is skipped without having been touched."""
    parent, _, name = path.rpartition("/")
    scope = group_at(run, parent)
    assert isinstance(scope, Scope)
    index = scope.topology.index[name]
    return run.visit(scope, index, scope.topology.nodes[index])


_FOLDS: dict[type, Callable[[Run, Any], None]] = {
    e.RunAdmitted: _run_admitted,
    e.RunForked: inheriting.run_forked,
    e.RunStarted: _run_started,
    e.RunPaused: _run_paused,
    e.RunResumed: _run_resumed,
    e.RunCompleted: _run_completed,
    e.RunFailed: _run_failed,
    e.RunCancelled: _run_cancelled,
    e.RunRetried: _run_retried,
    e.OwnershipTaken: _ownership_taken,
    e.GroupStopping: _group_stopping,
    e.ScopeOpened: _scope_opened,
    e.MapOpened: _map_opened,
    e.AttemptStarted: _attempt_started,
    e.AttemptSuspended: _attempt_suspended,
    e.AttemptResumed: _attempt_resumed,
    e.AttemptStopping: _attempt_stopping,
    e.AttemptInterrupted: _attempt_interrupted,
    e.DoubtCleared: _doubt_cleared,
    e.RetryScheduled: _retry_scheduled,
    e.RetryDue: _retry_due,
    e.NodeCompleted: _node_completed,
    e.NodeFailed: _node_failed,
    e.NodeSkipped: _node_skipped,
    e.NodeCancelled: _node_cancelled,
    e.DefinitionChanged: rebinding.definition_changed,
    **RECORDING,
    **walking.WALKING,
    **undoing.UNDOING,
}
