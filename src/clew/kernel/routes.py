"""Where the token of a state graph goes, and what follows when a part of one settles.

Of the edges that leave a node, those with a condition are asked in order; the first that holds is taken, else the
one without a condition, else the fallback edge. A node that has failed, or asks for it, goes on by its fallback.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import reasons
from clew.kernel.cells import fields_of
from clew.kernel.definition import OnLimit
from clew.kernel.errors import RuleError
from clew.kernel.moving import Mover
from clew.kernel.reducing import Asked, Rules, plan_merge, plan_update, refuse_large
from clew.kernel.resolve import output_of_group, resolve_inputs
from clew.kernel.routing import Exits, Routing
from clew.kernel.state import Run
from clew.kernel.states import UNDER_WAY, NodeState
from clew.kernel.values import GATHERED, Absent, Binding, DictOf, ErrorInfo, Value
from clew.kernel.visits import Group, Scope, Visit, Walk
from clew.kernel.writes import Update


class Way(NamedTuple):
    """Where the token goes; see `events.Routed`."""

    edge: int
    target: str
    why: str
    error: ErrorInfo | None = None


def go_on(flow: Mover, walk: Walk) -> None:
    """Do what is to be done next for a state graph, unless it is under way already."""
    if not walk.entered and not walk.stop:
        assert walk.owner is not None
        flow.commands.append(gather(flow, walk.owner))
        return
    if walk.stands_still and flow.rules is not None:
        _route(flow, walk, flow.rules)


def _route(flow: Mover, walk: Walk, rules: Rules) -> None:
    try:
        way = _choose(rules, walk)
    except RuleError as error:
        flow.stop(walk, "failed", error.info)
        return
    take(flow, walk, way)


def walks_of(run: Run) -> Iterator[Walk]:
    """The state graphs that are under way."""
    inner: list[Group | None] = [visit.inner for visit in run.in_turn() if visit.state in UNDER_WAY]
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
    if group.owner is not None and group.finished and not _is_read(flow, group):
        flow.close(group)


def _is_read(flow: Mover, group: Group) -> bool:
    """Whether what a group returned is to be read because of something else that was decided in this call."""
    return any(isinstance(command, c.Gather) and command.path == group.path for command in flow.commands)


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
        flow.commands.append(gather(flow, owner))
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
    return c.Gather(path=visit.path, of=output_of_group(flow.run, visit.inner))


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


# Choosing ----------------------------------------------------------------------------------------------


def _choose(rules: Rules, walk: Walk) -> Way:
    """Where the token goes from where it is.

    Raises:
        RuleError: a condition raised, no edge can be taken, or a limit is reached.
    """
    routing, last = _routing(walk), walk.last
    if last is None:
        refuse_large(walk, walk.size)
    exits = routing.start if last is None else routing.exits[last.node.index]
    if last is not None and last.state is not NodeState.COMPLETED:
        return _after_failure(walk, exits, last)
    if walk.goto is not None:
        return within_steps(walk, _named(walk, exits, walk.goto))
    if walk.wants_fallback:
        return _fallback(walk, exits, None)
    asked: list[tuple[int, Asked]] = []
    for number in exits.conditional:
        answer = _ask(rules, walk, number)
        asked.append((number, answer))
        if _holds(routing, number, answer) and (way := _admitted(walk, number, "condition")) is not None:
            return within_steps(walk, way)
    if exits.plain is not None and (way := _admitted(walk, exits.plain, "edge")) is not None:
        return within_steps(walk, way)
    if exits.fallback is not None:
        return _fallback(walk, exits, None)
    raise _no_way(walk, exits, asked)


def _after_failure(walk: Walk, exits: Exits, failed: Visit) -> Way:
    """The way on from a node that has failed; what keeps it from its fallback does not hide why it failed."""
    told = reasons.because(failed)
    if exits.fallback is None:
        raise RuleError(told)
    try:
        return _fallback(walk, exits, failed.error)
    except RuleError as refused:
        message = f"{told.message}; its fallback edge cannot be taken: {refused.info.message}"
        raise RuleError(msgspec.structs.replace(told, message=message)) from refused


def within_steps(walk: Walk, way: Way) -> Way:
    """The same way, if it does not lead beyond the limit of steps.

    Raises:
        RuleError: it does.
    """
    limit = _routing(walk).spec.max_steps
    if way.target and len(walk.members) - walk.steps_before >= limit:
        raise _limit(
            f"{_name(walk)} has made {limit} steps, as many as it may (max_steps), and would go on with "
            f"{way.target}; raise StateGraph(max_steps=...), or look why its loop does not end"
        )
    return way


def _named(walk: Walk, exits: Exits, target: str) -> Way:
    """The node names where it goes: one of its edges has to lead there, or it is the end."""
    routing = _routing(walk)
    spent = ""
    for number in exits.all:
        if routing.edges[number].target == target:
            way = _admitted(walk, number, "goto")
            if way is not None:
                return way
            spent = _told_limit(walk, number)
    if not target:
        return Way(-1, "", "goto")
    if spent:
        raise _limit(f"{_source(walk)} names {target!r} to go on with, and {spent}")
    leads = ", ".join(dict.fromkeys(routing.edges[number].target or "END" for number in exits.all)) or "nowhere"
    raise wrong(
        f"{_source(walk)} names {target!r} to go on with, and its edges lead to {leads}; add an edge to it"
    )


def _fallback(walk: Walk, exits: Exits, error: ErrorInfo | None) -> Way:
    if exits.fallback is None:
        raise wrong(f"{_source(walk)} asks for its fallback edge, and has none; add_fallback gives it one")
    _check_limits(walk, exits.fallback)
    return within_steps(walk, Way(exits.fallback, _routing(walk).edges[exits.fallback].target, "fallback", error))


def _ask(rules: Rules, walk: Walk, number: int) -> Asked:
    edge = _routing(walk).edges[number]
    try:
        return rules.ask(edge.when, walk.cells)
    except RuleError as error:
        told = f"the condition of the edge {edge.source or 'START'} -> {edge.target or 'END'}"
        label = f" ({edge.label})" if edge.label else ""
        info = error.info
        message = f"{told}{label} raised {info.type}: {info.message}"
        raise RuleError(msgspec.structs.replace(info, type="condition", message=message)) from error


def _holds(routing: Routing, number: int, answer: Asked) -> bool:
    equals = routing.edges[number].equals
    return bytes(answer.json) == bytes(equals) if equals else answer.true


def _admitted(walk: Walk, number: int, why: str) -> Way | None:
    """The way along an edge; None if a limit says to pass it over.

    Raises:
        RuleError: a limit says to fail.
    """
    routing = _routing(walk)
    edge = routing.edges[number]
    limit, exits = _limit_reached(walk, number), None
    if limit is None:
        return Way(number, edge.target, why)
    if limit is OnLimit.DROP:
        return None
    if limit is OnLimit.FALLBACK:
        candidates = [routing.exits[walk.topology.index[edge.target]]] if edge.target else []
        candidates.append(routing.start if not edge.source else routing.exits[walk.topology.index[edge.source]])
        if _edge_is_spent(walk, number):
            candidates.reverse()
        exits = next((each for each in candidates if each.fallback is not None), None)
    if exits is None or exits.fallback is None:
        raise _limit(_told_limit(walk, number))
    _check_limits(walk, exits.fallback)
    error = ErrorInfo(type="limit", message=_told_limit(walk, number))
    return Way(exits.fallback, routing.edges[exits.fallback].target, "fallback", error)


def _limit_reached(walk: Walk, number: int) -> OnLimit | None:
    """What is to happen because an edge, or the node it leads to, was visited as often as it may be."""
    edge = _routing(walk).edges[number]
    if _edge_is_spent(walk, number):
        return edge.on_limit
    if not edge.target:
        return None
    node = walk.topology.nodes[walk.topology.index[edge.target]]
    spent = node.spec.max_visits is not None and walk.visited[node.index] >= node.spec.max_visits
    return node.spec.on_limit if spent else None


def _edge_is_spent(walk: Walk, number: int) -> bool:
    limit = _routing(walk).edges[number].max_visits
    return limit is not None and walk.taken.get(number, 0) >= limit


def _check_limits(walk: Walk, number: int) -> None:
    if _limit_reached(walk, number) is not None:
        raise _limit(_told_limit(walk, number))


def _told_limit(walk: Walk, number: int) -> str:
    edge = _routing(walk).edges[number]
    if _edge_is_spent(walk, number):
        return (
            f"the edge {edge.source or 'START'} -> {edge.target or 'END'} was taken {edge.max_visits} times, as "
            "often as it may be (max_visits)"
        )
    node = walk.topology.nodes[walk.topology.index[edge.target]].spec
    return f"{node.id} was visited {node.max_visits} times, as often as it may be (max_visits)"


def _no_way(walk: Walk, exits: Exits, asked: list[tuple[int, Asked]]) -> RuleError:
    routing = _routing(walk)
    told: list[str] = []
    for number, answer in asked:
        edge = routing.edges[number]
        wanted = f", not {bytes(edge.equals).decode()}" if edge.equals else ""
        spent = " (taken as often as it may be)" if _limit_reached(walk, number) is not None else ""
        gave = bytes(answer.json).decode()[:60]
        told.append(f"to {edge.target or 'END'} if {edge.label or 'its condition'}: gave {gave}{wanted}{spent}")
    if exits.plain is not None:
        told.append(f"to {routing.edges[exits.plain].target or 'END'}: taken as often as it may be")
    return wrong(f"no edge of {_source(walk)} can be taken: {'; '.join(told) or 'it has none'}")


def _routing(walk: Walk) -> Routing:
    assert walk.topology.routing is not None
    return walk.topology.routing


def _source(walk: Walk) -> str:
    return walk.last.path if walk.last is not None else "START"


def _name(walk: Walk) -> str:
    return walk.path or walk.topology.spec.name


def wrong(message: str) -> RuleError:
    """What the edges of a state graph do not allow."""
    return RuleError(
        ErrorInfo(type="route", message=message, classes=("RouteError", "Exception"), retryable=False)
    )


def _limit(message: str) -> RuleError:
    return RuleError(
        ErrorInfo(type="limit", message=message, classes=("LimitError", "Exception"), retryable=False)
    )
