"""What must hold of state graphs, and how two that came about in different ways are compared."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from clew.kernel import commands as c
from clew.kernel import snapshot
from clew.kernel.definition import ErrorPolicy, ItemPolicy
from clew.kernel.states import NodeState
from clew.kernel.values import Binding, Cell, Cells, DictOf, Expression, ListOf, Pick, View
from clew.kernel.visits import Group, Items, Scope, Visit, Walk

# One form for all ---------------------------------------------------------------------------------------


def still_cell(cell: Cell) -> Cell:
    """The same value as JSON text alone; looking leaves no trace in the cell."""
    copy = Cell(json=cell.json, items=cell.items, count=cell.count, fields=cell.fields)
    return Cell(json=msgspec.Raw(bytes(copy.text())), size=cell.size)


def still_cells(cells: Cells) -> Cells:
    return {key: still_cell(cell) for key, cell in sorted(cells.items())}


def still_image(data: snapshot.RunImage) -> snapshot.RunImage:
    """The same image, whatever the parts are in which the values of states are held."""
    if data.root is not None:
        _still(data.root)
    return data


def _still(group: snapshot.GroupImage) -> None:
    if group.walk is not None:
        group.walk = replace(group.walk, cells=still_cells(group.walk.cells))
    for part in group.members:
        if part.inner is not None:
            _still(part.inner)


def still_command(command: c.Command) -> c.Command:
    """Likewise for a command that carries a state."""
    match command:
        case c.StartAttempt(inputs=inputs, sets=sets):
            return replace(
                command,
                inputs={name: still_binding(binding) for name, binding in inputs.items()},
                sets={name: still_binding(binding) for name, binding in sets.items()},
            )
        case c.ExpandMap(over=over):
            return replace(command, over=still_binding(over))
        case c.Gather(of=of):
            return replace(command, of=still_binding(of))
        case _:
            return command


def still_binding(binding: Binding) -> Binding:
    match binding:
        case View(cells=cells):
            return View(still_cells(cells))
        case Pick(of=of, path=path):
            return Pick(still_binding(of), path)
        case ListOf(items=items):
            return ListOf(tuple(map(still_binding, items)))
        case DictOf(items=items):
            return DictOf({key: still_binding(part) for key, part in items.items()})
        case Expression(source=source, names=names, where=where):
            return Expression(source, {key: still_binding(part) for key, part in names.items()}, where)
        case _:
            return binding


# Retries ------------------------------------------------------------------------------------------------


def completed_leaves(visit: Visit) -> set[str]:
    """The leaves that are complete in a visit, itself included."""
    if visit.inner is None:
        return {visit.path} if visit.state is NodeState.COMPLETED and not visit.is_group else set()
    members = [member for member in visit.inner.members if member is not None]
    return set[str]().union(*map(completed_leaves, members))


def is_kept_as_a_whole(visit: Visit) -> bool:
    """Whether a retry leaves a visit alone although something in it may have failed: it was gone on from."""
    in_walk = visit.group.walk is not None or isinstance(visit.inner, Walk)
    return in_walk and visit.state is NodeState.COMPLETED


# Ends ---------------------------------------------------------------------------------------------------


def assert_walk_outcome(walk: Walk, state: NodeState | None) -> None:
    """A state graph whose run has ended: its steps have settled one after the other, and it ended as they say."""
    *before, last = walk.members or [None]
    for visit in before:
        assert visit is not None
        assert visit.state in {NodeState.COMPLETED, NodeState.FAILED}, f"{visit!r} was gone on from"
    if walk.done:
        assert last is None or last.state in {NodeState.COMPLETED, NodeState.FAILED}
    else:
        assert walk.stop, f"{walk!r} ended somewhere on its way"
        assert state is not NodeState.COMPLETED, f"{walk!r} completed somewhere on its way"


def assert_branches_outcome(group: Group, state: NodeState) -> None:
    """What failures of branches mean for the node: one of them, or only all of them, or what they wrote."""
    visits = [visit for visit in group.members if visit is not None]
    failed = [visit for visit in visits if visit.state is NodeState.FAILED]
    if state is NodeState.COMPLETED:
        assert len(visits) == len(group.members)
        assert all(visit.state in {NodeState.COMPLETED, NodeState.FAILED} for visit in visits)
        assert not any(is_fatal(visit) for visit in failed)
        assert len(failed) < len(visits) or not visits
    elif state is NodeState.FAILED and not group.stop:
        collected = failed and not any(is_fatal(visit) for visit in failed)
        assert not collected or len(failed) == len(visits) or group.owner.error.type in {"state", "KeyError"}
    if any(is_fatal(visit) for visit in failed):
        assert state is not NodeState.COMPLETED


def is_fatal(branch: Visit) -> bool:
    """Whether one failure of a branch is enough."""
    group = branch.group
    if isinstance(group, Items):
        spec = group.node.spec.map
        assert spec is not None
        return spec.on_item_error is ItemPolicy.FAIL_FAST
    assert isinstance(group, Scope)
    return (branch.node.spec.on_error or group.topology.spec.on_error) is not ErrorPolicy.CONTINUE
