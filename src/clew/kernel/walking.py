"""Folding what happens to state graphs: what they start with, what is written, where the token goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from clew.kernel import addresses
from clew.kernel import events as e
from clew.kernel.cells import changed, elements_of, fields_of, whole
from clew.kernel.definition import Reducer
from clew.kernel.errors import KernelError
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.values import Value
from clew.kernel.visits import Scope, Visit, Walk
from clew.kernel.writes import Change, Kept, Write

#: What becomes of a write through these reducers is told by the write itself.
TELLING = frozenset({Reducer.ERROR, Reducer.REPLACE, Reducer.APPEND, Reducer.MERGE})


def given(inputs: Mapping[str, Value]) -> dict[str, msgspec.Raw]:
    """What a run of a state graph starts with; the driver stores it in the event, never beside it."""
    if any(value.blob for value in inputs.values()):
        raise KernelError("what a state graph starts with is not in its first event")
    return {name: value.json for name, value in inputs.items()}


def begin(walk: Walk, values: Mapping[str, msgspec.Raw]) -> None:
    """A state graph starts: on what it is given, on what the enclosing state has, on what it has by default."""
    assert walk.topology.routing is not None
    outer = walk.outer
    for name, key in walk.topology.routing.keys.items():
        if name in values:
            walk.cells[name] = whole(values[name])
        elif outer is not None and name in outer.cells:
            walk.cells[name] = outer.cells[name]
        elif key.default:
            walk.cells[name] = whole(key.default)
    walk.size = 2 + sum(cell.size for cell in walk.cells.values())
    walk.entered = True


def implied(reducer: Reducer, write: Write) -> Change:
    """What becomes of a write, as far as the write alone tells.

    Raises:
        msgspec.DecodeError: what was written is no list, or no object, where it has to be.
    """
    if write.put or reducer in (Reducer.ERROR, Reducer.REPLACE):
        return Change(json=write.value)
    if reducer is Reducer.APPEND:
        return Change(items=elements_of(write.value), at=-1)
    assert reducer is Reducer.MERGE
    return Change(fields=fields_of(write.value))


def contributions(visit: Visit, walk: Walk) -> Iterator[Write]:
    """What a visit writes to the state, in order, as it was written; of branches, one after the other."""
    group = visit.inner
    if group is None or (isinstance(group, Scope) and group.reports):
        yield from visit.writes
    elif isinstance(group, Walk):
        assert walk.topology.routing is not None
        yield from (w for w in group.writes or () if w.key in walk.topology.routing.keys)
    else:
        for member in group.members:
            if member is not None and member.state is NodeState.COMPLETED:
                yield from contributions(member, walk)


def take_writes(walk: Walk, visit: Visit, event: e.NodeCompleted) -> None:
    """A node of a state graph is done: what it wrote is in the state; what a branch wrote waits for the others."""
    if visit.group is not walk:
        visit.writes = event.writes
        return
    walk.goto, walk.wants_fallback = event.goto, event.fallback
    if visit.inner is not None and not (isinstance(visit.inner, Scope) and visit.inner.reports):
        for write in contributions(visit, walk):
            if _reducer(walk, write.key) in TELLING:
                _apply(walk, msgspec.structs.replace(write, becomes=None))
            _remember(walk, write)
        for write in event.writes:
            _apply(walk, write)
            if write.value:  # not what came of what the branches wrote
                _remember(walk, write)
    else:
        for write in event.writes:
            _apply(walk, write)
            _remember(walk, write)


def _reducer(walk: Walk, key: str) -> Reducer:
    assert walk.topology.routing is not None
    return walk.topology.routing.keys[key].reducer


def _apply(walk: Walk, write: Write) -> None:
    before = walk.cells.get(write.key)
    walk.size -= before.size if before is not None else 0
    if write.deleted:
        walk.cells.pop(write.key, None)
        return
    change = write.becomes or implied(_reducer(walk, write.key), write)
    after = walk.cells[write.key] = changed(before, change)
    walk.size += after.size


def _remember(walk: Walk, write: Write) -> None:
    if walk.writes is not None:
        walk.writes.append(write)


def _walk_at(run: Run, path: str) -> Walk:
    group = run.visits[path].inner if path else run.root
    if not isinstance(group, Walk):
        raise KernelError(f"run {run.id}: {path or 'the graph'} is no state graph that has begun")
    return group


def _walk_entered(run: Run, event: e.WalkEntered) -> None:
    begin(_walk_at(run, event.path), event.values)
    run.gathering.pop(event.path, None)


def _routed(run: Run, event: e.Routed) -> None:
    walk = _walk_at(run, event.path)
    walk.routed = True
    walk.goto, walk.wants_fallback = None, False
    if event.edge >= 0:
        walk.taken[event.edge] = walk.taken.get(event.edge, 0) + 1
    if event.target:
        run.enter_node(walk, walk.topology.nodes[walk.topology.index[event.target]])
    else:
        walk.done = True


def _state_changed(run: Run, event: e.StateChanged) -> None:
    walk = _walk_at(run, event.path)
    for write in event.writes:
        _apply(walk, write)
        _remember(walk, write)


def _decision_kept(run: Run, event: e.DecisionKept) -> None:
    barrier = addresses.all_visits(event.barrier) if event.standing else event.barrier
    run.kept[barrier] = Kept(event.value, event.by, event.standing)


def _checkpoint_taken(_: Run, __: e.CheckpointTaken) -> None:
    """A position has a name: nothing of the run's state depends on it."""


WALKING: dict[type, Callable[[Run, Any], None]] = {
    e.WalkEntered: _walk_entered,
    e.Routed: _routed,
    e.StateChanged: _state_changed,
    e.DecisionKept: _decision_kept,
    e.CheckpointTaken: _checkpoint_taken,
}
