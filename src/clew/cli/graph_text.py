"""Graphs as text: a dependency graph by layers, a state graph by its edges."""

from __future__ import annotations

from collections.abc import Iterator

from clew.cli.words import count, duration
from clew.graphs.body_data import group_of
from clew.kernel.definition import EdgeSpec, GraphSpec, KeySpec, NodeSpec, OnLimit, Reducer, RouteSpec
from clew.kernel.topology import dependencies

#: What happens when something was visited as often as it may be.
_THEN = {
    OnLimit.STRICT: "then the run fails",
    OnLimit.FALLBACK: "then the fallback",
    OnLimit.DROP: "then it is passed over",
}


def layer_lines(spec: GraphSpec, layers: list[list[str]]) -> Iterator[str]:
    """A dependency graph: its inputs, then its nodes, each with what it comes after."""
    yield _title("graph", spec)
    if spec.inputs:
        yield "inputs:"
    for each in spec.inputs:
        default = "" if each.required else f" = {bytes(each.default).decode()}"
        about = f"   {each.description}" if each.description else ""
        yield f"  {each.name}: {each.type or 'any'}{default}{about}"
    by_id = {node.id: node for node in spec.nodes}
    yield f"{count(len(spec.nodes), 'node')} in {count(len(layers), 'layer')}:"
    for number, layer in enumerate(layers, 1):
        for name in layer:
            node = by_id[name]
            needs = f"   after {', '.join(sorted(dependencies(node)))}" if dependencies(node) else ""
            yield f"  {number:>2}  {name}  ({_what(node)}){needs}"
            yield from _parts(node, "        ")


def step_lines(spec: GraphSpec) -> Iterator[str]:
    """A state graph: the keys of its state, then its nodes, each with where it may go on from there."""
    routes = spec.routes
    assert routes is not None
    yield _title("state graph", spec)
    yield "state:"
    barriers = {f"{node.id}." for node in _all_nodes(spec) if node.barrier is not None or node.graph or node.map}
    for key in routes.keys:
        if not key.name.startswith(tuple(barriers)):  # those that barriers and parallel nodes write by themselves
            yield f"  {key.name}: {key.type or 'any'}{_about_key(key)}"
    yield f"{count(len(spec.nodes), 'node')}, at most {count(routes.max_steps, 'step')}:"
    yield "  START"
    yield from _ways(routes, "")
    for node in spec.nodes:
        yield f"  {node.id}  ({_kind(node)})"
        yield from _ways(routes, node.id)


def _what(node: NodeSpec) -> str:
    """What a node of a dependency graph is; of a choice or a loop, its condition, too."""
    group = group_of(node)
    told = f"{group.role}: {group.label}" if group.label else group.role or node.kind
    return f"{'map of ' if node.map else ''}{told}"


def _parts(node: NodeSpec, indent: str) -> Iterator[str]:
    """The steps inside of a choice or a loop of a plan."""
    if not group_of(node).role or node.graph is None:
        return
    for part in node.graph.nodes:
        yield f"{indent}{part.id}:"
        for step in part.graph.nodes if part.graph is not None else ():
            needs = f"   after {', '.join(sorted(dependencies(step)))}" if dependencies(step) else ""
            yield f"{indent}  {step.id}  ({_what(step)}){needs}"
            yield from _parts(step, f"{indent}    ")


def _title(kind: str, spec: GraphSpec) -> str:
    return f"{kind} {spec.name}{f': {spec.description}' if spec.description else ''}"


def _all_nodes(spec: GraphSpec) -> Iterator[NodeSpec]:
    """The nodes of a state graph, and the branches of its parallel nodes."""
    for node in spec.nodes:
        yield node
        if node.graph is not None and node.graph.branches:
            yield from node.graph.nodes


def _about_key(key: KeySpec) -> str:
    default = ", required" if key.required else f" = {bytes(key.default).decode()}" if key.default else ""
    plain = key.reducer is Reducer.ERROR  # what is written takes the place of what is there
    return default if plain else f"{default}   ({key.reducer.value})"


def _kind(node: NodeSpec) -> str:
    """What a node is, in a few words."""
    kind = node.kind
    if node.barrier is not None:
        shows = f", shows {', '.join(node.barrier.shows)}" if node.barrier.shows else ""
        limit = node.barrier.timeout_s
        then = f", after {duration(limit)}: {node.barrier.default.value}" if limit is not None else ""
        kind = f"barrier{shows}{then}"
    elif node.graph is not None and node.graph.branches:
        kind = f"parallel: {', '.join(each.id for each in node.graph.nodes)}"
    elif node.graph is not None:
        kind = f"{'state ' if node.graph.routes is not None else ''}graph {node.graph.name}"
    limit = ""
    if node.max_visits is not None:
        limit = f", at most {count(node.max_visits, 'visit')}, {_THEN[node.on_limit]}"
    return f"{'map of ' if node.map else ''}{kind}{limit}"


def _ways(routes: RouteSpec, source: str) -> Iterator[str]:
    """The edges that leave a node, in the order in which they are asked."""
    edges = [edge for edge in routes.edges if edge.source == source]
    conditional = [edge for edge in edges if edge.when]
    for edge in conditional:
        yield f"    -> {_target(edge)}   if {_condition(edge)}{_limit(edge)}"
    for edge in edges:
        if not edge.when and not edge.fallback:
            yield f"    -> {_target(edge)}{'   otherwise' if conditional else ''}{_limit(edge)}"
    for edge in edges:
        if edge.fallback:
            yield f"    -> {_target(edge)}   fallback{_limit(edge)}"


def _target(edge: EdgeSpec) -> str:
    return edge.target or "END"


def _condition(edge: EdgeSpec) -> str:
    label = edge.label or "its condition holds"
    value = bytes(edge.equals).decode()
    return f"{label} gives {value}" if value and "=" not in label else label


def _limit(edge: EdgeSpec) -> str:
    if edge.max_visits is None:
        return ""
    return f"   (at most {count(edge.max_visits, 'time')}, {_THEN[edge.on_limit]})"
