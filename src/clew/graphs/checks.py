"""What is wrong with a graph: all of it at once, each with its place, its node and the nearest right name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from clew.graphs.bodies import Description, describe_function, is_importable
from clew.graphs.body_data import ToolBody
from clew.graphs.calls import call_problems
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.handles import UNBOUND
from clew.graphs.limit_checks import limit_problems
from clew.graphs.names import did_you_mean, listed, nearest
from clew.graphs.plan_checks import resource_problems, type_parts, undo_problems_in
from clew.graphs.plan_rights import right_problems
from clew.graphs.policies import (
    choice_problems,
    count_problems,
    flag_problems,
    map_policy_problems,
    policy_problems,
    seconds_problems,
)
from clew.graphs.probe_checks import probe_problems
from clew.graphs.route_building import condition_of, reducer_owner
from clew.graphs.route_checks import edge_problems
from clew.graphs.route_drafts import Barrier
from clew.graphs.state_checks import found_in_state, missing_parameter, schema_problems, state_node_problems
from clew.graphs.state_writing import bind_late
from clew.graphs.typing_of import Types
from clew.graphs.undo_checks import NEEDS_A_PROCESS, undo_problems
from clew.graphs.writing import makes_attempts, uses_item
from clew.kernel.definition import ErrorPolicy
from clew.kernel.topology import find_cycle

_NODE_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_INPUT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_CYCLES = 10
_NO_ITEM = "item stands for something only in nodes with a map"
#: What a sub-graph node cannot have, because attempts are made by the nodes inside.
_OF_ATTEMPTS = (
    *("retry", "timeout", "heartbeat", "on_interrupt", "probe", "exclusive", "uses", "priority", "irreversible"),
)

#: What cannot say that it is alive, by kind.
_SILENT = {
    "shell": "a program",
    "http": "a request",
    "tool": "a tool without the Context",
    "memory": "an operation on the memory",
    "restore": "putting files back",
    "ask": "a question",
    "wait": "a wait",
}


def problems_of(graph: GraphDraft) -> list[str]:
    """Everything that is wrong with a graph and its sub-graphs; empty if nothing is."""
    circle = _containing_itself(graph, ())
    if circle:
        return [circle]
    found = dict.fromkeys(
        problem for each in {id(g): g for g in _all(graph)}.values() for problem in _graph_problems(each)
    )
    return [*found, *([] if found else _same_references(graph))]


def _all(graph: GraphDraft) -> Iterator[GraphDraft]:
    seen: set[int] = set()
    waiting = [graph]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += each.children()


def _containing_itself(graph: GraphDraft, above: tuple[GraphDraft, ...]) -> str:
    if graph in above:
        names = [each.name for each in above[above.index(graph) :]]
        return graph.place.before(f"graph {graph.name!r} contains itself: {' -> '.join([*names, graph.name])}")
    children = {id(child): child for child in graph.children()}
    for child in children.values():
        if circle := _containing_itself(child, (*above, graph)):
            return circle
    return ""


def _graph_problems(graph: GraphDraft) -> Iterator[str]:
    if graph.unread:
        yield from graph.problems
        yield from (draft.tell(*problem) for draft in graph.nodes for problem in draft.problems)
        return
    bind_late(graph)
    types = Types(graph)
    type_parts(graph, types)
    if graph.branches_of is None:  # the policies of branches are those of their node
        yield from _own_policies(graph)
    if graph.routes is not None:
        yield from schema_problems(graph)
    yield from graph.problems
    for draft in graph.nodes:
        for about, sentence in (*draft.problems, *_node_problems(draft, graph, types)):
            yield draft.tell(about, sentence)
    if graph.output is not None:
        if uses_item(graph.output):
            yield graph.output_place.before(f"returns: {_NO_ITEM}")
        for sentence in types.problems_of(graph.output):
            yield graph.output_place.before(f"returns: {sentence}")
    yield from _cycles(graph)
    yield from resource_problems(graph)
    yield from undo_problems_in(graph)
    yield from right_problems(graph)
    if graph.routes is not None:
        yield from edge_problems(graph, types)


def _own_policies(graph: GraphDraft) -> Iterator[str]:
    found = [
        *choice_problems("on_error", ErrorPolicy, graph.on_error),
        *seconds_problems("timeout", graph.timeout),
        *count_problems("max_concurrency", graph.max_concurrency, 1),
        *count_problems("max_interruptions", graph.max_interruptions, 0),
        *flag_problems("rollback", graph.rollback),
        *flag_problems("best_effort", graph.best_effort),
        *limit_problems(graph),
    ]
    if not isinstance(graph.name, str) or not graph.name.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        found.append(("name", f"is text, not {graph.name!r}"))
    found += [
        (f"input {name!r}", "the name has letters, digits and _, and starts with no digit")
        for name in graph.inputs
        if graph.routes is None and not _INPUT_NAME.fullmatch(name)
    ]
    if not graph.nodes and (graph.output is None or graph.plan is None or graph.plan.captures is None):
        found.append(("nodes", "there are none"))
    for about, sentence in found:
        yield graph.place.before(f"{about} {sentence}" if about in _WITHOUT_COLON else f"{about}: {sentence}")


_WITHOUT_COLON = {"on_error", "timeout", "max_concurrency", "max_interruptions", "name", "rollback", "best_effort"}


def _node_problems(draft: Draft, graph: GraphDraft, types: Types) -> Iterator[tuple[str, str]]:
    if not _NODE_ID.fullmatch(draft.id):
        yield "id", "it has letters, digits, '_', '.' and '-', and starts with a letter or '_'"
    first = graph.index[draft.id]
    if first is not draft:
        yield "id", f"it is used twice, first at {first.place}"
    for name in draft.after:
        if name not in graph.index:
            owner = graph.part_with(name)
            near = f" here, but in a part of {owner!r}; name that" if owner else did_you_mean(name, graph.index)
            yield "depends_on", f"there is no node {name!r}{near}"
    yield from policy_problems(draft.options)
    yield from _stray_items(draft)
    if draft.map is not None:
        yield from map_policy_problems(draft.map.on_item_error, draft.map.max_concurrency)
        yield from types.map_problems(draft)
    if graph.has_state:
        yield from state_node_problems(draft, graph, types)
    if draft.body is not None:
        yield from _body_problems(draft, graph)
        yield from _parameter_problems(draft, graph)
        yield from types.input_problems(draft)
        yield from types.exclusive_problems(draft)
        if makes_attempts(draft):
            yield from _heartbeat_problems(draft)
            yield from probe_problems(draft, types)
        if not isinstance(draft.body, Barrier):
            yield from undo_problems(draft, graph, types)
        yield from call_problems(draft)


def _body_problems(draft: Draft, graph: GraphDraft) -> Iterator[tuple[str, str]]:
    if isinstance(draft.body, GraphDraft):
        wrong = [name for name in draft.options.given() if name in _OF_ATTEMPTS]
        for name in wrong:
            hint = "; total_timeout limits it as a whole" if name == "timeout" else ""
            yield name, f"a sub-graph makes no attempts; put it on the nodes inside of {draft.body.name!r}{hint}"
        return
    if isinstance(draft.body, Barrier):
        for name in draft.options.given():
            hint = "; its own timeout, beside its text, limits how long it waits" if "timeout" in name else ""
            yield name, f"a barrier makes no attempts{hint}"
        return
    if isinstance(draft.body, Description) or draft.options.timeout is None or draft.signature.is_async:
        return
    if not is_importable(draft.function_body(graph.name)):
        yield "timeout", NEEDS_A_PROCESS


def _stray_items(draft: Draft) -> Iterator[tuple[str, str]]:
    """Uses of `item` where there is none."""
    places = {} if draft.map else {f"parameter {name!r}": value for name, value in draft.inputs.items()}
    if isinstance(draft.body, Description) and draft.body.takes_handles and draft.map is None:
        places |= draft.stored_inputs or {}
    places |= {"over": draft.map.over} if draft.map else {"exclusive": draft.exclusive or UNBOUND}
    for about, binding in places.items():
        if uses_item(binding):
            yield about, _NO_ITEM


def _heartbeat_problems(draft: Draft) -> Iterator[tuple[str, str]]:
    if draft.options.heartbeat is None:
        return
    if isinstance(draft.body, Description) and isinstance(draft.body.body, ToolBody) and draft.body.body.server:
        return  # what a server tells of its progress is a sign of life
    if isinstance(draft.body, Description):
        if (signature := draft.body.signature) is None or not signature.takes_context:
            what = _SILENT[draft.body.kind]
            yield "heartbeat", f"{what} does not say that it is alive, only a function does; use timeout"
    elif not draft.signature.takes_context:
        yield "heartbeat", "the function does not take the Context, and so cannot say that it is alive"


def _parameter_problems(draft: Draft, graph: GraphDraft) -> Iterator[tuple[str, str]]:
    signature = draft.signature
    if not signature.takes_any:
        for name in draft.inputs:
            if name not in signature.parameters:
                yield f"parameter {name!r}", _unknown_parameter(draft, name)
    meant = {nearest(name, signature.parameters) for name in draft.inputs if name not in signature.parameters}
    meant |= found_in_state(draft, graph).keys()
    for name, parameter in signature.parameters.items():
        if parameter.required and name not in draft.inputs and name not in meant:
            told = missing_parameter(draft, graph, name) if graph.has_state else "is missing"
            yield f"parameter {name!r}", told


def _unknown_parameter(draft: Draft, name: str) -> str:
    keys = draft.body.keys or {} if isinstance(draft.body, GraphDraft) else {}
    known = [each for each in draft.signature.parameters if each not in keys or not keys[each].own]
    near = did_you_mean(name, [each for each in known if each not in draft.inputs] or known)
    if isinstance(draft.body, Description):
        return f"no {{{{ {name} }}}} stands in the {draft.body.kind} node's texts{near}"
    what = "the graph has no such input" if isinstance(draft.body, GraphDraft) else "the function has none"
    has = f"; it has {listed(known, last='and')}" if known else ""
    return f"{what}{near or has}"


def _cycles(graph: GraphDraft) -> Iterator[str]:
    needs = {draft.id: draft.needs & graph.index.keys() for draft in graph.index.values()}
    for _ in range(_MAX_CYCLES):
        needs = _unplaced(needs)
        if not needs:
            return
        cycle = find_cycle(needs)
        draft = graph.index[cycle[0]]
        yield draft.place.before(f"nodes wait for each other in a circle: {' -> '.join(cycle)}")
        needs = {name: need - set(cycle) for name, need in needs.items() if name not in cycle}


def _unplaced(needs: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """What no order can place: the nodes of cycles and those behind them, without links to placed ones."""
    releases: dict[str, list[str]] = {name: [] for name in needs}
    counts = {name: len(need) for name, need in needs.items()}
    for name, need in needs.items():
        for other in need:
            releases[other].append(name)
    ready = [name for name, count in counts.items() if count == 0]
    placed = set(ready)
    while ready:
        for name in releases[ready.pop()]:
            counts[name] -= 1
            if counts[name] == 0:
                ready.append(name)
                placed.add(name)
    return {name: need - placed for name, need in needs.items() if name not in placed}


def _same_references(graph: GraphDraft) -> Iterator[str]:
    """Different functions that the definition could not tell apart."""
    seen: dict[str, _Use] = {}
    for each in _all(graph):
        for use in _functions(each):
            first = seen.setdefault(use.ref, use)
            if first.function is not use.function and first.function != use.function:
                both = f"its {use.what} and that of {first.owner} cannot be told apart"
                yield use.tell(f"{both}: two graphs are called {first.graph!r}; give them different names")


class _Use(NamedTuple):
    """A function that a definition refers to.

    Attributes:
        function: itself.
        ref: the reference.
        graph: the name of the graph.
        owner: what has it, for messages.
        what: what it is there.
        tell: makes a problem of a sentence about it.
    """

    function: Any
    ref: str
    graph: str
    owner: str
    what: str
    tell: Callable[[str], str]


def _functions(graph: GraphDraft) -> Iterator[_Use]:
    """The functions of a graph itself: bodies, probes, compensations, conditions, reducers."""
    for draft in graph.nodes:
        owner = f"node {draft.id!r} ({draft.place})"
        if callable(draft.body) and makes_attempts(draft):
            ref = draft.function_body(graph.name).ref
            yield _Use(draft.body, ref, graph.name, owner, "function", partial(draft.tell, ""))
        for each, body in zip(draft.checks, draft.check_bodies(graph.name), strict=True):
            if body.function is not None:
                tell = partial(draft.tell, "checks")
                yield _Use(each.function, body.function.ref, graph.name, owner, "check", tell)
        if draft.options.probe is not None:
            ref = draft.probe_body(graph.name).ref
            yield _Use(draft.options.probe, ref, graph.name, owner, "probe", partial(draft.tell, "probe"))
        if (how := draft.options.undoing) is not None and callable(how.body):
            ref, tell = draft.undo_body(graph.name).ref, partial(draft.tell, "compensate")
            yield _Use(how.body, ref, graph.name, owner, "compensation", tell)
    for edge in graph.routes.edges if graph.routes is not None else ():
        if callable(edge.when):
            described = condition_of(graph, edge).function
            assert described is not None
            owner = f"edge {edge.arrow} ({edge.place})"
            yield _Use(edge.when, described.ref, graph.name, owner, "condition", partial(edge.tell, ""))
    for key in graph.routes.schema.keys.values() if graph.routes is not None else ():
        if key.custom is not None:
            ref = describe_function(key.custom, reducer_owner(graph, key.name), is_async=False).ref
            owner = f"key {key.name!r} ({graph.place})"
            yield _Use(key.custom, ref, graph.name, owner, "reducer", graph.place.before)
