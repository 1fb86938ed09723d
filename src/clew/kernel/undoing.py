"""What a rollback has to undo, and in which order: read off the visits, the same each time.

The unit is the visit, and the step that declares a compensation. Whatever was begun and is not known to have had
no effect is undone; a sub-graph by a compensation of its own, or by those of its parts. What caused something is
undone after it: the nodes of a dependency graph when all that depend on them are, the steps of a state graph from
the last to the first, items and branches side by side.

The order is a graph of *points*. Most of them only order others: the beginning and the end of a group, a visit
that has nothing to undo.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from clew.kernel import addresses
from clew.kernel import events as e
from clew.kernel.commands import Step
from clew.kernel.definition import NodeSpec, Retry
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, NodeState, RunState
from clew.kernel.topology import Node
from clew.kernel.values import Absent, Binding, Known
from clew.kernel.visits import Group, Scope, Undoing, Visit, Walk

#: How often the compensation of a step is tried; that of a node says so itself.
STEP_RETRY = Retry(max_attempts=3)

Ends = tuple[int, int]


def begin(run: Run) -> None:
    """Find what is to be undone, and make ready what can be undone first."""
    undoing = order(run)
    run.undoing = undoing
    for visit in undoing.members:
        assert visit is not None
        run.visits[visit.path] = visit
    run.total += len(undoing.members)
    for point in [point for point, waits in enumerate(undoing.waits) if waits == 0]:
        _reach(run, undoing, point)


def resume(run: Run, undoing: Undoing) -> None:
    """The same of a run that was restored; where its compensations stand is known."""
    run.undoing = undoing
    run.total += len(undoing.members)
    for point in [point for point, waits in enumerate(undoing.waits) if waits == 0]:
        _reach(run, undoing, point)


def begin_again(run: Run) -> None:
    """What could not be undone is tried again, all of it at once."""
    undoing = run.undoing
    assert undoing is not None
    for visit in list(undoing.members):
        if visit is not None and visit.state is NodeState.FAILED:
            run.move(visit, NodeState.PENDING)
            visit.failures = visit.interruptions = 0
            visit.error = visit.ended_at = None
            run.make_ready(visit)


def settled(run: Run, undoing: Undoing, visit: Visit) -> None:
    """A compensation is over, well or not: what waited for it may be undone."""
    _pass(run, undoing, undoing.point_of[visit.index])


def order(run: Run) -> Undoing:
    """What is to be undone, and what waits for what; nothing of the run is changed."""
    assert run.root is not None
    undoing = Undoing()
    _group(undoing, run.root)
    for follows in undoing.follows:
        for point in follows:
            undoing.waits[point] += 1
    return undoing


def in_order(undoing: Undoing) -> Iterator[Visit]:
    """The compensations, in an order in which they can be made one by one."""
    waits = [0] * len(undoing.follows)
    for follows in undoing.follows:
        for point in follows:
            waits[point] += 1
    todo = deque(point for point, count in enumerate(waits) if count == 0)
    while todo:
        point = todo.popleft()
        if (member := undoing.member_at[point]) >= 0 and (visit := undoing.members[member]) is not None:
            yield visit
        for next_ in undoing.follows[point]:
            waits[next_] -= 1
            if waits[next_] == 0:
                todo.append(next_)


def irreversible(run: Run) -> Iterator[Visit]:
    """What was begun and cannot be undone; of a map, its items."""
    return (visit for visit in run.visits.values() if _is_irreversible(visit) and _was_begun(visit))


def _is_irreversible(visit: Visit) -> bool:
    return visit.node.spec.irreversible and visit.undoes is None and not visit.is_map


def _was_begun(visit: Visit) -> bool:
    """Whether it may have had an effect that is this run's own."""
    return not visit.inherited and (visit.started_at is not None or visit.begun or bool(visit.steps))


def _point(undoing: Undoing, member: int = -1) -> int:
    undoing.waits.append(0)
    undoing.follows.append([])
    undoing.member_at.append(member)
    return len(undoing.waits) - 1


def _compensation(undoing: Undoing, path: str, node: Node, undone: Visit, step: str = "") -> int:
    visit = Visit(path, node, undoing, len(undoing.members))
    visit.undoes, visit.undone_step = undone, step
    undoing.members.append(visit)
    point = _point(undoing, visit.index)
    undoing.point_of.append(point)
    return point


def _chain(undoing: Undoing, parts: list[Ends]) -> Ends:
    """The points of parts that are undone one after the other."""
    if not parts:
        point = _point(undoing)
        return point, point
    for (_, before), (after, _) in pairwise(parts):
        undoing.follows[before].append(after)
    return parts[0][0], parts[-1][1]


def _visit(undoing: Undoing, visit: Visit | None) -> Ends:
    """The first and the last point of a visit; the last that it did is undone first."""
    if visit is None or not _was_begun(visit):
        return _chain(undoing, [])
    parts: list[Ends] = []
    if visit.node.undo is not None and not visit.is_map:
        point = _compensation(undoing, addresses.undo(visit.path), visit.node.undo, visit)
        parts.append((point, point))
    elif visit.inner is not None:
        parts.append(_group(undoing, visit.inner))
    for key, step in reversed((visit.steps or {}).items()):
        if step.undo is not None and step.error is None:
            point = _compensation(undoing, addresses.undo(visit.path, key), _step_node(visit, step), visit, key)
            parts.append((point, point))
    return _chain(undoing, parts)


def _step_node(visit: Visit, step: Step) -> Node:
    """The compensation of a step, as a node."""
    undo = step.undo
    assert undo is not None
    inputs: dict[str, Binding] = {name: Known(value) for name, value in undo.inputs.items()}
    if undo.output:
        inputs[undo.output] = Known(step.value) if step.value is not None else Absent(visit.path)
    spec = NodeSpec(id=visit.node.spec.id, kind=undo.kind, body=undo.body, inputs=inputs, retry=STEP_RETRY)
    return Node(spec, index=-1)


def _group(undoing: Undoing, group: Group) -> Ends:
    if isinstance(group, Walk):
        return _chain(undoing, [_visit(undoing, visit) for visit in reversed(group.members)])
    begin_ = _point(undoing)
    parts = [_visit(undoing, visit) for visit in group.members]
    end = _point(undoing)
    for first, last in parts:
        undoing.follows[begin_].append(first)
        undoing.follows[last].append(end)
    if isinstance(group, Scope):
        for node in group.topology.nodes:
            for dependent in (*node.releases, *node.feeds):
                undoing.follows[parts[dependent][1]].append(parts[node.index][0])
    if not parts:
        undoing.follows[begin_].append(end)
    return begin_, end


def _reach(run: Run, undoing: Undoing, point: int) -> None:
    """Everything that a point waits for is over."""
    member = undoing.member_at[point]
    if member < 0:
        _pass(run, undoing, point)
        return
    visit = undoing.members[member]
    assert visit is not None
    if visit.state is NodeState.PENDING:
        run.make_ready(visit)
    elif visit.state in SETTLED:
        _pass(run, undoing, point)


def _pass(run: Run, undoing: Undoing, point: int) -> None:
    """A point is over; points that only order others are passed at once, however many there are."""
    todo = [point]
    while todo:
        for next_ in undoing.follows[todo.pop()]:
            undoing.waits[next_] -= 1
            if undoing.waits[next_] > 0:
                continue
            if undoing.member_at[next_] < 0:
                todo.append(next_)
            else:
                _reach(run, undoing, next_)


def _rollback_started(run: Run, _: e.RollbackStarted) -> None:
    run.enter(RunState.ROLLING_BACK)
    run.ended_at = None
    if run.undoing is None:
        begin(run)
    else:
        begin_again(run)


def _run_rolled_back(run: Run, event: e.RunRolledBack) -> None:
    run.enter(RunState.ROLLED_BACK)
    run.ended_at = event.at


def _rollback_failed(run: Run, event: e.RollbackFailed) -> None:
    run.enter(RunState.ROLLBACK_FAILED)
    run.ended_at = event.at


UNDOING: dict[type, Callable[[Run, Any], None]] = {
    e.RollbackStarted: _rollback_started,
    e.RunRolledBack: _run_rolled_back,
    e.RollbackFailed: _rollback_failed,
}
