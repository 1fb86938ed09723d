"""What is wrong with the edges of a state graph: where they lead, what decides about them, what none reaches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from clew import codec
from clew.graphs.bodies import name_of
from clew.graphs.drafts import GraphDraft
from clew.graphs.expressions import ExpressionError, parse
from clew.graphs.hints import members_of
from clew.graphs.names import did_you_mean, listed
from clew.graphs.route_drafts import EdgeDraft, end_told
from clew.graphs.signatures import accepts, is_async, positional, signature_of
from clew.graphs.state_checks import limit_problems, may_end, state_misfits
from clew.graphs.state_writing import StateNames
from clew.graphs.templates import Template
from clew.graphs.typing_of import Types
from clew.graphs.updates import END, START
from clew.kernel.definition import OnLimit

Ways = Mapping[str, list[str]]


def edge_problems(graph: GraphDraft, types: Types) -> Iterator[str]:
    """Everything that is wrong with the edges of a state graph, as it is shown."""
    assert graph.routes is not None
    edges = graph.routes.edges
    for edge in edges:
        found = (
            *edge.problems,
            *_end_problems(edge, graph),
            *limit_problems(edge.max_visits, edge.on_limit),
            *_when_problems(edge, graph, types),
        )
        for about, sentence in found:
            yield edge.tell(about, sentence)
    yield from _rivals(edges)
    yield from _router_problems(edges)
    yield from _fallback_cycles(edges)
    if not graph.routes.partial:
        yield from _limits_without_fallback(graph, edges)
        yield from _ways(graph, edges)


# One edge ----------------------------------------------------------------------------------------------


def _end_problems(edge: EdgeDraft, graph: GraphDraft) -> Iterator[tuple[str, str]]:
    for end in dict.fromkeys((edge.source, edge.target)):
        if end not in (START, END) and end not in graph.index and not edge.problems:
            known = [*graph.index, "START" if end == edge.source else "END"]
            near = did_you_mean(end, known) or f"; the graph has {listed(graph.index, last='and')}"
            yield "", f"there is no node {end!r}{near if graph.index else ''}"
    if edge.source == END:
        yield "", "no edge leaves END; the graph is done there"
    if edge.target == START:
        yield "", "no edge leads back to START; name the node to go on with"
    if edge.source == START and edge.fallback:
        yield "", "START does nothing that could fail; a fallback leaves a node"


def _when_problems(edge: EdgeDraft, graph: GraphDraft, types: Types) -> Iterator[tuple[str, str]]:
    about = "" if edge.router else "when"
    match edge.when:
        case None:
            return
        case str() as text:
            yield from ((about, each) for each in _expression_problems(text, types))
        case function if not callable(function):  # pyright: ignore[reportUnnecessaryComparison]
            yield about, f"a condition is a function of the state or an expression, not {function!r:.60}"
        case function:
            yield from ((about, each) for each in _function_problems(function, graph))


def _expression_problems(text: str, types: Types) -> Iterator[str]:
    try:
        if not parse(text).whole:
            yield f"{text!r} is text; a condition is one {{{{ … }}}} with nothing around it"
            return
    except ExpressionError as error:
        yield str(error)
        return
    wrong: list[str] = []
    binding = Template(StateNames(), "", lambda _, sentence: wrong.append(sentence)).binding(text)
    yield from wrong or types.problems_of(binding)


def _function_problems(function: Callable[..., Any], graph: GraphDraft) -> Iterator[str]:
    name = name_of(function)[1]
    if is_async(function):
        yield f"{name} is asynchronous; make it a node that writes what it finds to the state"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        yield f"{name} is a generator; a condition returns a value"
    elif not accepts(function, 1):
        yield f"{name} does not take one argument; a condition is a function of the state"
    else:
        parameters = positional(function)
        for each in state_misfits(parameters[0].hint, graph) if parameters else ():
            yield f"parameter {parameters[0].name!r}: {each}"


# Edges of one node -------------------------------------------------------------------------------------


def _rivals(edges: list[EdgeDraft]) -> Iterator[str]:
    """Edges of one node of which only one can be."""
    first: dict[tuple[str, bool], EdgeDraft] = {}
    for edge in edges:
        if edge.when is not None:
            continue
        other = first.setdefault((edge.source, edge.fallback), edge)
        if other is edge:
            continue
        if edge.fallback:
            yield edge.tell("", f"a node has one fallback, and {other.arrow} is that ({other.place})")
        else:
            what = f"a second edge without a condition; the first is {other.arrow} ({other.place})"
            how = "Give one of them a condition, or run both side by side in a parallel node"
            yield edge.tell("", f"{what}. {how}")


def _limits_without_fallback(graph: GraphDraft, edges: list[EdgeDraft]) -> Iterator[str]:
    """Limits at which a fallback edge is to be taken, where there is none."""
    have = {edge.source for edge in edges if edge.fallback}
    for edge in edges:
        if (
            edge.on_limit == OnLimit.FALLBACK
            and edge.max_visits is not None
            and not {edge.source, edge.target} & have
        ):
            yield edge.tell("on_limit", f"{end_told(edge.source)} has no fallback edge; give it one")
    for draft in graph.nodes:
        if draft.on_limit != OnLimit.FALLBACK or draft.max_visits is None or draft.id in have:
            continue
        before = [edge.source for edge in edges if edge.target == draft.id and not edge.fallback]
        if not before or not have.issuperset(before):
            yield draft.tell("on_limit", "it has no fallback edge; give it one")


def _router_problems(edges: list[EdgeDraft]) -> Iterator[str]:
    """Routers that say by their annotation what they return: it is compared with the targets."""
    groups: dict[str, list[EdgeDraft]] = {}
    leaving: dict[str, set[str]] = {}
    for edge in edges:
        if not edge.fallback:
            leaving.setdefault(edge.source, set()).add(edge.owner)
        if edge.router and callable(edge.when) and edge.equals:
            groups.setdefault(edge.owner, []).append(edge)
    for group in groups.values():
        first = group[0]
        assert callable(first.when)
        members = members_of(signature_of(first.when).returns)
        if not members or any(get_origin(member) is not Literal for member in members):
            continue
        returned = [value for member in members for value in get_args(member)]
        known = {edge.equals for edge in group}
        goes_on = leaving[first.source] != {first.owner}
        for value in returned:
            if codec.encode(value) not in known and not goes_on:
                yield first.tell("targets", f"it may return {value!r}, for which there is no target")
        for edge in group:
            if edge.equals not in [codec.encode(value) for value in returned]:
                value = codec.decode(edge.equals)
                near = did_you_mean(str(value), [str(each) for each in returned])
                yield first.tell("targets", f"it never returns {value!r}, as its annotation says{near}")


# All edges ---------------------------------------------------------------------------------------------


def _fallback_cycles(edges: list[EdgeDraft]) -> Iterator[str]:
    """Fallbacks that lead in a circle: a node that fails would come back to itself by failures alone."""
    by_source: dict[str, EdgeDraft] = {}
    for edge in edges:
        if edge.fallback:
            by_source.setdefault(edge.source, edge)
    placed: set[str] = set()
    for start in by_source:
        path: dict[str, None] = {}
        at = start
        while at in by_source and at not in placed and at not in path:
            path[at] = None
            at = by_source[at].target
        if at in path:
            names = [*path]
            cycle = names[names.index(at) :]
            told = " -> ".join(map(repr, [*cycle, cycle[0]]))
            yield by_source[cycle[-1]].tell(
                "", f"fallbacks lead in a circle: {told}; end it at another node, or END"
            )
        placed.update(path)


def _ways(graph: GraphDraft, edges: list[EdgeDraft]) -> Iterator[str]:
    """Nodes to which no way leads from START, and nodes from which none leads to END."""
    if not graph.index:
        return
    forwards: dict[str, list[str]] = {}
    backwards: dict[str, list[str]] = {}
    for edge in edges:
        forwards.setdefault(edge.source, []).append(edge.target)
        # What leads to a node that is not there has been told; the way counts.
        target = edge.target if edge.target in graph.index else END
        backwards.setdefault(target, []).append(edge.source)
    if START not in forwards:
        first = next(iter(graph.index))
        yield graph.place.before(f"edges: none leaves START; add one from START to {first!r}")
        return
    reached = _reached([START], forwards)
    for name, draft in graph.index.items():
        if name not in reached:
            yield draft.tell("", "no way leads here from START; add an edge to it, or take it out")
        elif name not in forwards and not may_end(draft):
            yield draft.tell("", "no edge leaves it; if the graph ends here, add one to END")
    yield from _without_exit(graph, forwards, backwards, reached)


def _without_exit(graph: GraphDraft, forwards: Ways, backwards: Ways, reached: set[str]) -> Iterator[str]:
    """Cycles that nothing leads out of; a node that is annotated to return an Update may end by itself."""
    ends = [END, *(name for name, draft in graph.index.items() if may_end(draft) or name not in forwards)]
    leaves = {*ends, *_reached(ends, backwards)}
    stuck = {name: None for name in graph.index if name in reached and name not in leaves}
    while stuck:
        cycle = _cycle(stuck, forwards)
        told = " -> ".join([*cycle, cycle[0]])
        yield graph.index[cycle[0]].place.before(
            f"nothing leads out of the cycle {told}; add an edge to END, or annotate the node that "
            "ends it by goto=END with -> Update"
        )
        told_of = {*_reached(cycle[:1], forwards), *_reached(cycle[:1], backwards)}
        stuck = {name: None for name in stuck if name not in told_of}


def _cycle(stuck: Mapping[str, None], forwards: Ways) -> list[str]:
    """A cycle among nodes each of which leads to another one of them."""
    path: dict[str, None] = {}
    at = next(iter(stuck))
    while at not in path:
        path[at] = None
        at = next(name for name in forwards[at] if name in stuck)
    names = [*path]
    return names[names.index(at) :]


def _reached(starts: Iterable[str], ways: Ways) -> set[str]:
    found: set[str] = set()
    waiting = [*starts]
    while waiting:
        for name in ways.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found
