"""Taking an ended run up again: what was completed stays, everything else is as if it had not been tried.

A node is done again if it did not complete, or if something it depends on is done again (it may have seen a
failure under ``on_error="continue"``). Groups that ended early keep their completed members.
"""

from __future__ import annotations

from clew.kernel.state import Group, Items, Run, Scope, Visit
from clew.kernel.states import SETTLED, NodeState


def reset_run(run: Run) -> None:
    """Make everything that is not completed pending again, and ready what can start."""
    run.ready.clear()
    run.openable.clear()
    assert run.root is not None
    _reset_group(run, run.root)


def is_released(scope: Scope, need: int, dependent: int) -> bool:
    """Whether `dependent` does not wait for `need` any more."""
    visit = scope.members[need]
    if visit is None:
        return False
    if scope.topology.nodes[dependent].fed_by == need:
        return visit.inner is not None
    return visit.state is NodeState.COMPLETED or (visit.state is NodeState.FAILED and visit.node.goes_on)


def _reset_group(run: Run, group: Group) -> None:
    group.stop = ""
    group.error = None
    if isinstance(group, Scope):
        _reset_scope(run, group)
    else:
        assert isinstance(group, Items)
        _reset_items(run, group)


def _reset_scope(run: Run, scope: Scope) -> None:
    again = [True] * len(scope.members)
    for index in scope.topology.order:
        node = scope.topology.nodes[index]
        visit = scope.members[index]
        needs_again = any(again[need] for need in node.needs)
        scope.remaining[index] = sum(not is_released(scope, need, index) for need in node.needs)
        again[index] = needs_again or visit is None or visit.state is not NodeState.COMPLETED
        if not again[index]:
            continue
        if visit is None:
            visit = run.visit(scope, index, node) if scope.remaining[index] == 0 else None
        else:
            _clear(run, visit)
            if visit.inner is not None and _items_may_change(scope, visit, again):
                _forget(run, visit.inner)
                visit.inner = None
        if visit is not None and scope.remaining[index] == 0:
            _begin_again(run, visit)


def _items_may_change(scope: Scope, visit: Visit, again: list[bool]) -> bool:
    """Whether a group's inputs are made anew, so that its members say nothing any more."""
    fed_by = visit.node.fed_by
    feeder = None if fed_by is None else scope.members[fed_by]
    kept = fed_by if feeder is not None and feeder.inner is not None else None
    return any(again[need] for need in visit.node.needs if need != kept)


def _reset_items(run: Run, group: Items) -> None:
    source = group.source
    for visit in group.members:
        assert visit is not None
        if visit.state is NodeState.COMPLETED:
            continue
        _clear(run, visit)
        if source is None or source.member_state(visit.index) is NodeState.COMPLETED:
            _begin_again(run, visit)


def _begin_again(run: Run, visit: Visit) -> None:
    if visit.inner is None:
        run.make_ready(visit)
    else:
        run.move(visit, NodeState.RUNNING)
        _reset_group(run, visit.inner)


def _clear(run: Run, visit: Visit) -> None:
    if visit.state is not NodeState.PENDING:
        run.move(visit, NodeState.PENDING)
    visit.failures = visit.interruptions = 0
    visit.output = visit.error = visit.started_at = visit.ended_at = None
    visit.attempt_due = visit.total_due = visit.retry_due = visit.suspended_at = None
    visit.cause = visit.stop = ""
    visit.resumes = False


def _forget(run: Run, group: Group) -> None:
    """Drop a group's members, and what they counted for."""
    if isinstance(group, Scope):
        run.total -= group.topology.leaves
    elif group.owner is not None and group.owner.node.inner is None:
        run.total -= len(group.members)
    for visit in group.members:
        if visit is None:
            continue
        if visit.inner is not None:
            _forget(run, visit.inner)
        if not visit.is_group and visit.state in SETTLED:
            run.settled -= 1
            run.failed -= visit.state is NodeState.FAILED
        del run.visits[visit.path]
