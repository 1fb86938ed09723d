"""Where the token of a state graph goes from where it is; nothing is changed here.

Of the edges that leave a node, those with a condition are asked in order; the first that holds is taken, else the
one without a condition, else the fallback edge. A node that has failed, or asks for it, goes on by its fallback.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from clew.kernel import reasons
from clew.kernel.definition import OnLimit
from clew.kernel.errors import RuleError
from clew.kernel.reducing import Asked, Rules, refuse_large
from clew.kernel.routing import Exits, Routing
from clew.kernel.states import NodeState
from clew.kernel.values import ErrorInfo
from clew.kernel.visits import Visit, Walk


class Way(NamedTuple):
    """Where the token goes; see `events.Routed`."""

    edge: int
    target: str
    why: str
    error: ErrorInfo | None = None


def choose(rules: Rules, walk: Walk) -> Way:
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
            f"the edge {edge.source or 'START'} -> {edge.target or 'END'} was taken {_times(edge.max_visits)}, as "
            "often as it may be (max_visits)"
        )
    node = walk.topology.nodes[walk.topology.index[edge.target]].spec
    return f"{node.id} was visited {_times(node.max_visits)}, as often as it may be (max_visits, max_iterations)"


def _times(count: int | None) -> str:
    return "once" if count == 1 else f"{count} times"


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
