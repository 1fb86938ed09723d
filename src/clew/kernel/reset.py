"""Taking an ended run up again: what was completed stays, everything else is as if it had not been tried.

A node is done again if it did not complete, if something failed inside of it (``on_error="continue"``, a map
that collects), or if something it depends on is done again: it saw a failure, and now sees a result. Groups
that ended early keep their completed members. A state graph goes on where its token is.
"""

from __future__ import annotations

from clew.kernel.mail import give_back
from clew.kernel.questions import BEFORE
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, NodeState
from clew.kernel.visits import Group, Items, Scope, Visit, Walk


def reset_run(run: Run, at: float) -> None:
    """Make everything that is not completed pending again, and ready what can start, at time `at`."""
    run.ready.clear()
    run.openable.clear()
    assert run.root is not None
    reset_group(run, run.root, at)


def reset_group(run: Run, group: Group, at: float) -> None:
    """The same for the members of one group."""
    group.stop = ""
    group.error = None
    if isinstance(group, Scope):
        _reset_scope(run, group, at)
    elif isinstance(group, Walk):
        _reset_walk(run, group, at)
    else:
        assert isinstance(group, Items)
        _reset_items(run, group, at)


def is_released(scope: Scope, need: int, dependent: int) -> bool:
    """Whether `dependent` does not wait for `need` any more."""
    visit = scope.members[need]
    if visit is None:
        return False
    if scope.topology.nodes[dependent].fed_by == need and visit.inner is not None:
        return True
    return visit.state is NodeState.COMPLETED or (visit.state is NodeState.FAILED and visit.node.goes_on)


def _is_whole(visit: Visit | None) -> bool:
    """Whether a visit is completed, and everything in it."""
    if visit is None or visit.state is not NodeState.COMPLETED:
        return False
    if isinstance(visit.inner, Walk) or visit.group.walk is not None:  # what failed in it has been gone on from
        return True
    return visit.inner is None or all(_is_whole(member) for member in visit.inner.members)


def _reset_scope(run: Run, scope: Scope, at: float) -> None:
    again = [True] * len(scope.members)
    for index in scope.topology.order:
        node = scope.topology.nodes[index]
        visit = scope.members[index]
        again[index] = any(again[need] for need in node.needs) or not _is_whole(visit)
        scope.remaining[index] = sum(not is_released(scope, need, index) for need in node.needs)
        if visit is not None and again[index]:
            _clear(run, visit)
            if _inputs_change(scope, visit, again):
                _make_anew(run, visit)
        if again[index] and scope.remaining[index] == 0:
            _begin_again(run, run.visit(scope, index, node), at)
    run.expect_report(scope)


def _inputs_change(scope: Scope, visit: Visit, again: list[bool]) -> bool:
    """Whether something a visit depends on is made anew; a feeding map that keeps its items is not."""
    fed_by = visit.node.fed_by
    feeder = None if fed_by is None else scope.members[fed_by]
    kept = fed_by if feeder is not None and feeder.inner is not None else None
    return any(again[need] for need in visit.node.needs if need != kept)


def _reset_walk(run: Run, walk: Walk, at: float) -> None:
    """The node that the token is at is made again if it did not complete; limits count from here."""
    walk.steps_before = len(walk.members)
    walk.visited = [0] * len(walk.visited)
    walk.taken = {}
    visit = walk.last
    if not walk.entered:
        assert walk.owner is not None
        run.gathering[walk.path] = walk.owner
    if visit is not None and visit.state is not NodeState.COMPLETED:
        walk.routed = True
        _clear(run, visit)
        _begin_again(run, visit, at)


def _reset_items(run: Run, group: Items, at: float) -> None:
    source = group.source
    for visit in group.members:
        assert visit is not None
        fed = source is None or source.member_state(visit.index) is NodeState.COMPLETED
        if fed and _is_whole(visit):
            continue
        _clear(run, visit)
        if fed:
            _begin_again(run, visit, at)
        else:
            _make_anew(run, visit)


def _begin_again(run: Run, visit: Visit, at: float) -> None:
    if visit.inner is None or run.is_limited(visit):
        run.make_ready(visit)
    else:
        run.begin_group(visit, at)
        reset_group(run, visit.inner, at)


def _clear(run: Run, visit: Visit) -> None:
    """Make a visit pending; what its body recorded serves the next attempt."""
    run.move(visit, NodeState.PENDING)
    visit.failures = visit.interruptions = 0
    visit.begun = visit.begun or (visit.started_at is not None and not visit.inherited)
    visit.inherited = False
    visit.output = visit.error = visit.started_at = visit.ended_at = visit.total_due = None
    visit.cause = visit.stop = ""


def _make_anew(run: Run, visit: Visit) -> None:
    """Forget what was done for other inputs."""
    give_back(run, visit)
    visit.steps = {key: step for key, step in (visit.steps or {}).items() if key.startswith(BEFORE)} or None
    visit.waits = None
    if visit.inner is not None:
        _forget(run, visit.inner)
        visit.inner = None


def _forget(run: Run, group: Group) -> None:
    """Drop a group's members, and what they counted for."""
    if isinstance(group, Scope):
        run.total -= group.topology.leaves
    elif isinstance(group, Walk):
        run.total -= sum(visit is not None and not visit.is_group for visit in group.members)
    elif group.owner is not None and group.owner.node.inner is None:
        run.total -= len(group.members)
    for visit in group.members:
        if visit is None:
            continue
        run.settled -= visit.state in SETTLED and not visit.is_group
        run.failed -= visit.state is NodeState.FAILED and visit.inner is None
        give_back(run, visit)
        if visit.attempt:
            run.earlier_attempts[visit.path] = visit.attempt, visit.in_doubt
        run.gathering.pop(visit.path, None)
        del run.visits[visit.path]
        if visit.inner is not None:
            _forget(run, visit.inner)
