"""Where a visit's inputs come from: bindings of the definition become recipes of stored values.

The result names no node and no graph any more, so that it can be read anywhere: its leaves are `Known`
values and literals, its branches lists, mappings, picks and expressions. The output of a group is put
together from its members here and is never stored twice.
"""

from __future__ import annotations

from typing import assert_never

from clew.kernel.errors import KernelError
from clew.kernel.questions import BEFORE
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.values import (
    NONE,
    Absent,
    Binding,
    DictOf,
    Expression,
    FromInput,
    FromItem,
    FromNode,
    FromOutput,
    FromState,
    Known,
    ListOf,
    Literal,
    Pick,
    Value,
    View,
)
from clew.kernel.visits import Group, Items, Scope, Visit, Walk


def resolve_inputs(run: Run, visit: Visit) -> dict[str, Binding]:
    """The recipe of each of a visit's inputs."""
    if visit.undoes is not None:
        return _compensation_inputs(run, visit.undoes, visit)
    scope, item = surroundings(visit)
    return {name: _resolve(run, binding, scope, item) for name, binding in visit.node.spec.inputs.items()}


def resolve_undo(run: Run, visit: Visit) -> dict[str, Binding]:
    """What a visit's compensation is to be given, as recipes in which the body's output is open."""
    assert visit.node.undo is not None
    scope, item = surroundings(visit)
    return {name: _resolve(run, binding, scope, item) for name, binding in visit.node.undo.spec.inputs.items()}


def with_output(binding: Binding, output: Binding) -> Binding:
    """The same recipe, with what a body returned in the places that are left open for it."""
    match binding:
        case FromOutput():
            return output
        case Pick(of=of, path=path):
            inner = with_output(of, output)
            return inner if isinstance(inner, Absent) else Pick(inner, path)
        case ListOf(items=items):
            return ListOf(tuple(with_output(item, output) for item in items))
        case DictOf(items=items):
            return DictOf({key: with_output(item, output) for key, item in items.items()})
        case Expression(source=source, names=names, where=where):
            return Expression(source, {name: with_output(part, output) for name, part in names.items()}, where)
        case _:
            return binding


def _compensation_inputs(run: Run, undone: Visit, visit: Visit) -> dict[str, Binding]:
    """What a compensation is given: what was kept when the visit completed, or what its bindings say by now."""
    if visit.undone_step:
        return visit.node.spec.inputs
    if (how := undone.node.spec.compensation) is not None and how.before:
        kept = (step.value for key, step in (undone.steps or {}).items() if key.startswith(BEFORE))
        return {"before": ListOf(tuple(Known(value) for value in kept if value is not None))}
    if undone.undo is not None:
        return {name: Pick(Known(undone.undo), (name,)) for name in visit.node.spec.inputs}
    done = undone.state is NodeState.COMPLETED and undone.group.walk is None
    output = output_of(run, undone) if done else Absent(undone.path)
    return {name: with_output(binding, output) for name, binding in resolve_undo(run, undone).items()}


def resolve_sets(run: Run, visit: Visit) -> dict[str, Binding]:
    """What a visit writes to the state, as recipes in which the body's output is open."""
    scope, item = surroundings(visit)
    return {name: _resolve(run, binding, scope, item) for name, binding in visit.node.spec.sets.items()}


def resolve_exclusive(run: Run, visit: Visit) -> Binding:
    """The recipe of the key that a visit's attempts hold."""
    assert visit.node.spec.exclusive is not None
    scope, item = surroundings(visit)
    return _resolve(run, visit.node.spec.exclusive, scope, item)


def resolve_over(run: Run, visit: Visit) -> Binding:
    """The recipe of the list that a map runs over."""
    assert visit.node.spec.map is not None
    scope, item = surroundings(visit)
    return _resolve(run, visit.node.spec.map.over, scope, item)


def output_of(run: Run, visit: Visit) -> Binding:
    """The recipe of a completed visit's output."""
    if visit.output is None or not visit.output.gathered:
        return Known(visit.output) if visit.output is not None else Absent(visit.path)
    return Known(NONE) if visit.inner is None else output_of_group(run, visit.inner)


def output_of_group(run: Run, group: Group) -> Binding:
    """The recipe of a group's output: a map's successes in order, or what the graph returns."""
    if isinstance(group, Items):
        done = (m for m in group.members if m is not None and m.state is NodeState.COMPLETED)
        return ListOf(tuple(output_of(run, member) for member in done))
    assert isinstance(group, Scope | Walk)
    spec = group.topology.spec
    if spec.output is not None:
        return _resolve(run, spec.output, group, None)
    if isinstance(group, Walk):
        return View(dict(group.cells))
    last = [node for node in group.topology.nodes if not node.releases and not node.feeds]
    return DictOf({node.spec.id: _resolve(run, FromNode(node.spec.id), group, None) for node in last})


def surroundings(visit: Visit) -> tuple[Scope | Walk, Visit | None]:
    """The graph that a visit's bindings speak of, and the visit itself if it is an item."""
    item = visit if isinstance(visit.group, Items) else None
    group = visit.group
    if isinstance(group, Items):
        assert group.owner is not None
        group = group.owner.group
    assert isinstance(group, Scope | Walk)
    return group, item


def _resolve(run: Run, binding: Binding, scope: Scope | Walk, item: Visit | None) -> Binding:
    match binding:
        case Literal() | Known() | Absent() | View() | FromOutput():
            return binding
        case FromState(key=key):
            return _state(scope, key)
        case FromInput(name=name):
            return _graph_input(run, name, scope)
        case FromNode(node=node):
            assert isinstance(scope, Scope)
            index = scope.topology.index[node]
            visit = scope.members[index]
            return Absent(scope.member_path(index)) if visit is None else output_of(run, visit)
        case FromItem():
            assert item is not None
            return _item(run, item)
        case Pick(of=of, path=path):
            inner = _resolve(run, of, scope, item)
            return inner if isinstance(inner, Absent) else Pick(inner, path)
        case ListOf(items=items):
            return ListOf(tuple(_resolve(run, part, scope, item) for part in items))
        case DictOf(items=items):
            return DictOf({key: _resolve(run, part, scope, item) for key, part in items.items()})
        case Expression(source=source, names=names, where=where):
            parts = {name: _resolve(run, part, scope, item) for name, part in names.items()}
            return Expression(source, parts, where)
        case _:
            assert_never(binding)


def _state(scope: Scope | Walk, key: str) -> Binding:
    """A part of the state that a node reads; `Absent` if it is not there."""
    walk = scope.walk
    assert walk is not None
    if not key:
        return View(dict(walk.cells))
    cell = walk.cells.get(key)
    return Known(Value(json=cell.text())) if cell is not None else Absent(key)


def _graph_input(run: Run, name: str, scope: Scope | Walk) -> Binding:
    """An input of a graph: the run's own, or what the sub-graph's node was given."""
    if scope.owner is None:
        given = run.inputs.get(name)
        if given is not None:
            return Known(given, given=True)
    else:
        outer, item = surroundings(scope.owner)
        binding = scope.owner.node.spec.inputs.get(name)
        if binding is not None:
            given = _resolve(run, binding, outer, item)
            if not (isinstance(given, Absent) and isinstance(binding, FromState)):
                return given
    for spec in scope.topology.spec.inputs:
        if spec.name == name:
            return Literal(spec.default)
    raise KernelError(f"run {run.id}: graph {scope.topology.spec.name} has no input {name}")


def _item(run: Run, visit: Visit) -> Binding:
    group = visit.group
    assert isinstance(group, Items)
    source = group.source
    if source is not None:
        fed = source.members[visit.index]
        assert fed is not None
        return output_of(run, fed)
    assert group.owner is not None
    items = Known(group.items) if group.items is not None else resolve_over(run, group.owner)
    return Pick(items, (visit.index,))
