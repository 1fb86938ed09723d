"""A graph as Mermaid text, for documents that draw it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clew.graphs.boxes import COLOURS, note, state_of
from clew.graphs.edge_labels import labels_of
from clew.graphs.layout import shown_edges
from clew.kernel.definition import NodeSpec, RouteSpec
from clew.kernel.topology import Topology


def mermaid_of(topology: Topology, states: Mapping[str, str] | None) -> str:
    """The text; see `drawing.mermaid`."""
    routes = topology.spec.routes
    lines = ["flowchart LR"]
    if routes is not None:
        lines.append("    start((START))")
    for i, node in enumerate(topology.nodes):
        lines += _node(f"n{i}", node.spec)
    if routes is None:
        lines += [f"    n{a} --> n{b}" for a, b in shown_edges(topology)]
    else:
        lines += ["    finish(((END)))", *_edges(topology, routes)]
    if states:
        lines += _colours(topology, states)
    return "\n".join(lines) + "\n"


def _node(name: str, node: NodeSpec) -> Iterator[str]:
    if node.graph is not None and node.graph.branches:
        yield f'    subgraph {name}["{_entities(node.id)}"]'
        for i, branch in enumerate(node.graph.nodes):
            yield from (f"    {line}" for line in _node(f"{name}_{i}", branch))
        yield "    end"
        return
    opening, closing = _shape(node)
    # Mermaid reads its own marks and HTML inside of labels; numeric entities are safe in both.
    label = _entities(node.id)
    if second := note(node):
        label += f"<br/><small>{_entities(second)}</small>"
    yield f'    {name}{opening}"{label}"{closing}'


def _shape(node: NodeSpec) -> tuple[str, str]:
    if node.map is not None:
        return "[[", "]]"
    if node.barrier is not None:
        return "{", "}"
    return ("{{", "}}") if node.kind == "graph" else ("(", ")")


def _edges(topology: Topology, routes: RouteSpec) -> Iterator[str]:
    for edge, label in labels_of(routes):
        source = f"n{topology.index[edge.source]}" if edge.source else "start"
        target = f"n{topology.index[edge.target]}" if edge.target else "finish"
        arrow = "-.->" if edge.fallback else "-->"
        yield f'    {source} {arrow}|"{_entities(label)}"| {target}' if label else f"    {source} {arrow} {target}"


def _colours(topology: Topology, states: Mapping[str, str]) -> Iterator[str]:
    by_state: dict[str, list[str]] = {}
    for i, node in enumerate(topology.nodes):
        by_state.setdefault(state_of(states, node.spec.id) or "pending", []).append(f"n{i}")
        branches = node.spec.graph.nodes if node.spec.graph is not None and node.spec.graph.branches else ()
        for k, branch in enumerate(branches):
            state = state_of(states, f"{node.spec.id}/{branch.id}") or "pending"
            by_state.setdefault(state, []).append(f"n{i}_{k}")
    for state, nodes in by_state.items():
        fill, border, text = COLOURS.get(state, COLOURS["pending"])[0]
        yield f"    classDef {state} fill:{fill},stroke:{border},color:{text}"
        yield f"    class {','.join(nodes)} {state}"


def _entities(text: str) -> str:
    return "".join(c if c.isalnum() or c in " _.-:," else f"#{ord(c)};" for c in text)
