"""What follows when a part of a state graph settles: the token goes on, branches are merged, the end is reached.

Where the token goes is decided in `ways`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel.cells import fields_of
from clew.kernel.errors import RuleError
from clew.kernel.moving import Mover
from clew.kernel.reducing import Rules, plan_merge, plan_update
from clew.kernel.resolve import output_of_group, resolve_inputs, resolve_sets, with_output
from clew.kernel.state import Run
from clew.kernel.states import UNDER_WAY
from clew.kernel.values import GATHERED, Absent, Binding, DictOf, ErrorInfo, Value
from clew.kernel.visits import Group, Scope, Visit, Walk
from clew.kernel.ways import Way, choose, wrong
from clew.kernel.writes import Update


def go_on(flow: Mover, walk: Walk) -> None:
    """Do what is to be done next for a state graph, unless it is under way already."""
    if not walk.entered and not walk.stop:
        assert walk.owner is not None
        _read(flow, walk.owner)
        return
    if walk.stands_still and flow.rules is not None:
        _route(flow, walk, flow.rules)


def _route(flow: Mover, walk: Walk, rules: Rules) -> None:
    try:
        way = choose(rules, walk)
    except RuleError as error:
        flow.stop(walk, "failed", error.info)
        return
    take(flow, walk, way)


def walks_of(run: Run) -> Iterator[Walk]:
    """The state graphs that are under way."""
    inner: list[Group | None] = [visit.inner for visit in run.visits.values() if visit.state in UNDER_WAY]
    return (group for group in (run.root, *inner) if isinstance(group, Walk))


def awaits_rules(run: Run) -> bool:
    """Whether something is to be decided for which the functions of the graph are needed."""
    ended = (v.inner is not None and v.inner.finished for v in run.visits.values() if v.state in UNDER_WAY)
    return any(walk.stands_still for walk in walks_of(run)) or any(ended)


def go_on_anywhere(flow: Mover) -> None:
    """Do what is to be done next for all state graphs: whoever had the run before may not have been able to."""
    if flow.run.root is not None:
        go_on_within(flow, flow.run.root)


def go_on_within(flow: Mover, group: Group) -> None:
    """The same for a group that was taken up again, and for those in it; the innermost first."""
    for visit in list(group.members):
        if visit is not None and visit.inner is not None and visit.state in UNDER_WAY:
            go_on_within(flow, visit.inner)
    if isinstance(group, Walk):
        go_on(flow, group)
    if group.owner is not None and group.finished:
        flow.close(group)


def _read(flow: Mover, visit: Visit) -> None:
    """What a group starts with or returned is to be read; once, although several parts of it may end together."""
    if visit.path not in flow.reading:
        flow.reading.add(visit.path)
        flow.commands.append(gather(flow, visit))


def take(flow: Mover, walk: Walk, way: Way) -> None:
    """The token goes on; at the end, the state graph has ended."""
    source = walk.last.path if walk.last is not None else ""
    flow.emit(
        e.Routed(
            at=flow.now,
            path=walk.path,
            source=source,
            target=way.target,
            edge=way.edge,
            why=way.why,
            error=way.error,
        )
    )
    if walk.done:
        flow.close(walk)


def complete(flow: Mover, visit: Visit, update: Update, undo: Value | None = None) -> None:
    """A node of a state graph has done its work: what it says is written, and the token goes on."""
    assert flow.rules is not None
    try:
        if visit.group is not visit.group.walk and (update.goto is not None or update.fallback):
            raise wrong(f"{visit.path} is a branch, and cannot say where to go")
        writes = plan_update(flow.rules, visit, update)
    except RuleError as error:
        flow.fail(visit, error.info)
        return
    flow.emit(
        e.NodeCompleted(
            at=flow.now,
            path=visit.path,
            attempt=visit.attempt,
            output=GATHERED,
            writes=writes,
            goto=update.goto,
            fallback=update.fallback,
            cost=update.cost or None,
            effects=update.effects,
            undo=undo,
        )
    )
    flow.settled(visit)


def group_ended(flow: Mover, group: Group) -> None:
    """A part of a state graph has ended well: its branches are merged, or what it returned is to be read."""
    owner = group.owner
    assert owner is not None
    if isinstance(group, Scope) and group.reports:
        _read(flow, owner)
        return
    walk = owner.group.walk
    assert walk is not None
    if flow.rules is None:
        return
    try:
        writes = plan_merge(flow.rules, walk, owner) if owner.group is walk else ()
    except RuleError as error:
        flow.fail(owner, error.info)
        return
    flow.emit(e.NodeCompleted(at=flow.now, path=owner.path, attempt=owner.attempt, output=GATHERED, writes=writes))
    flow.settled(owner)


def gather(flow: Mover, visit: Visit) -> c.Gather:
    """The command that reads what a state graph starts with, or what a part of one returned."""
    if isinstance(visit.inner, Walk):
        inputs = resolve_inputs(flow.run, visit)
        given: dict[str, Binding] = {
            name: binding for name, binding in inputs.items() if not isinstance(binding, Absent)
        }
        return c.Gather(path=visit.path, of=DictOf(given))
    assert visit.inner is not None
    output = output_of_group(flow.run, visit.inner)
    if visit.node.spec.sets:
        sets = resolve_sets(flow.run, visit)
        output = DictOf({key: with_output(binding, output) for key, binding in sets.items()})
    return c.Gather(path=visit.path, of=output)


def gathered(flow: Mover, visit: Visit, json: msgspec.Raw, error: ErrorInfo | None) -> None:
    """What was read for a group is there."""
    inner = visit.inner
    assert inner is not None
    values: dict[str, msgspec.Raw] = {}
    if error is None:
        try:
            values = _object(visit, json)
            if isinstance(inner, Walk):
                _refuse_unknown(inner, visit, values)
        except RuleError as problem:
            error = problem.info
    if error is not None:
        if isinstance(inner, Walk):
            flow.stop(inner, "failed", error)
        else:
            flow.fail(visit, error)
        return
    if isinstance(inner, Walk):
        flow.emit(e.WalkEntered(at=flow.now, path=visit.path, values=values))
        go_on(flow, inner)
    else:
        complete(flow, visit, Update(changes=values))


def _object(visit: Visit, json: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return fields_of(json)
    except msgspec.DecodeError:
        shown = bytes(json)[:60].decode(errors="replace")
        raise wrong(f"{visit.path} is to return changes of the state, by key, and gave {shown}") from None


def _refuse_unknown(walk: Walk, visit: Visit, values: dict[str, msgspec.Raw]) -> None:
    assert walk.topology.routing is not None
    unknown = sorted(values.keys() - walk.topology.routing.keys.keys())
    if unknown:
        raise wrong(f"{visit.path} is given {', '.join(unknown)}, which its state does not have")
