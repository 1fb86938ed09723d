"""Pictures of a graph: Mermaid text for documents that draw it, SVG for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

import msgspec

from clew import codec
from clew.graphs.handles import tell
from clew.graphs.layers import HasSpec, compiled
from clew.graphs.layout import Layout, lay_out, shown_edges
from clew.kernel.definition import GraphSpec, NodeSpec
from clew.kernel.topology import Topology
from clew.kernel.values import Binding, Expression, Literal

_BOX = 44.0
_GAP = 18.0
_COLUMN_GAP = 64.0
#: Many edges between two columns get more room: so much for each, up to so much in all.
_SPREAD, _MAX_SPREAD = 1.6, 90.0
_MARGIN = 20.0
_PADDING = 14.0
_LONGEST = 30
_ID_CHAR = 7.9
_NOTE_CHAR = 6.2

#: Fill, border and text of a node by its state: on light, on dark.
_COLOURS: dict[str, tuple[tuple[str, str, str], tuple[str, str, str]]] = {
    "pending": (("#ffffff", "#c3c8d1", "#2b3040"), ("#1d2129", "#3c4454", "#d9dde6")),
    "ready": (("#f2f6ff", "#9db7f0", "#22366b"), ("#1c2436", "#4a66a8", "#c6d5f8")),
    "running": (("#dbe8ff", "#3b76e8", "#10306e"), ("#1b3260", "#5b93f5", "#e2ecff")),
    "stopping": (("#fdf0da", "#d99a2b", "#5e4109"), ("#43330f", "#c98f2a", "#fbe9c6")),
    "waiting": (("#f4ecff", "#a178e0", "#43246f"), ("#33244d", "#9a74d6", "#e8dbfb")),
    "retrying": (("#fdf0da", "#d99a2b", "#5e4109"), ("#43330f", "#c98f2a", "#fbe9c6")),
    "completed": (("#e2f5e7", "#48a868", "#14452a"), ("#173a26", "#46a368", "#d3f2de")),
    "failed": (("#fde5e4", "#d9534f", "#6b1613"), ("#4a1c1b", "#e0655f", "#fbdcda")),
    "skipped": (("#f5f5f5", "#bdbdbd", "#8a8a8a"), ("#22252b", "#50545c", "#8b909a")),
    "cancelled": (("#f5f5f5", "#bdbdbd", "#8a8a8a"), ("#22252b", "#50545c", "#8b909a")),
}


def mermaid(graph: HasSpec | GraphSpec, states: Mapping[str, str] | None = None) -> str:
    """The graph as Mermaid text.

    Args:
        graph: the graph.
        states: state of each node by id, to colour it.

    Raises:
        GraphError: the graph is not valid.
    """
    topology = compiled(graph)
    lines = ["flowchart LR"]
    for i, node in enumerate(topology.nodes):
        opening, closing = _mermaid_shape(node.spec)
        # Mermaid reads its own marks and HTML inside of labels; numeric entities are safe in both.
        label = _entities(node.spec.id)
        if note := _note(node.spec):
            label += f"<br/><small>{_entities(note)}</small>"
        lines.append(f'    n{i}{opening}"{label}"{closing}')
    lines += [f"    n{a} --> n{b}" for a, b in shown_edges(topology)]
    if states:
        by_state: dict[str, list[str]] = {}
        for i, node in enumerate(topology.nodes):
            by_state.setdefault(states.get(node.spec.id, "pending"), []).append(f"n{i}")
        for state, nodes in by_state.items():
            fill, border, text = _COLOURS.get(state, _COLOURS["pending"])[0]
            lines.append(f"    classDef {state} fill:{fill},stroke:{border},color:{text}")
            lines.append(f"    class {','.join(nodes)} {state}")
    return "\n".join(lines) + "\n"


def svg(graph: HasSpec | GraphSpec, states: Mapping[str, str] | None = None) -> str:
    """The graph as an SVG picture that follows the reader's light or dark theme.

    Args:
        graph: the graph.
        states: state of each node by id, to colour it.

    Raises:
        GraphError: the graph is not valid.
    """
    topology = compiled(graph)
    layout = lay_out(topology, box_height=_BOX, gap=_GAP)
    lefts, widths = _column_places(topology, layout)
    width = (lefts[-1] + widths[-1] if lefts else 0.0) + _MARGIN
    height = max((v.y + v.height / 2 for v in layout.vertices), default=0.0) + 2 * _MARGIN
    states = states or {}
    used = sorted({states.get(node.spec.id, "pending") for node in topology.nodes})
    edges = [_edge(layout, way, lefts, widths) for way in layout.edges]
    boxes = [
        _box(
            node.spec,
            lefts[vertex.layer],
            vertex.y + _MARGIN,
            widths[vertex.layer],
            states.get(node.spec.id, ""),
        )
        for node, vertex in zip(topology.nodes, layout.vertices, strict=False)
    ]
    name = topology.spec.name
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    label = quoteattr(f"graph {name}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={label}>',
            f"<title>{escape(name)}</title>",
            f"<style>{_style(used)}</style>",
            '<g class="edges">',
            *edges,
            "</g>",
            *boxes,
            "</svg>",
            "",
        ]
    )


def _note(node: NodeSpec) -> str:
    """The second line of a box: what the node does, where that is not what its id says."""
    what = {"function": _function_name(node.body), "graph": f"graph {node.graph.name}" if node.graph else "graph"}
    note = what.get(node.kind, node.kind)
    if note == node.id:
        note = ""
    return f"each: {note or node.id}" if node.map is not None else note


def _key(binding: Binding) -> str:
    """An exclusive key as it was written."""
    match binding:
        case Expression(source=source):
            return source
        case Literal(json=json):
            return codec.decode(json, str)
        case _:
            return tell(binding)


def _function_name(function: msgspec.Raw) -> str:
    body = msgspec.json.decode(function)
    return str(body.get("ref", "")).partition(":")[2].partition("@")[0].replace("<locals>.", "")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


# Mermaid -----------------------------------------------------------------------------------------------


def _mermaid_shape(node: NodeSpec) -> tuple[str, str]:
    if node.map is not None:
        return "[[", "]]"
    return ("{{", "}}") if node.kind == "graph" else ("(", ")")


def _entities(text: str) -> str:
    return "".join(c if c.isalnum() or c in " _.-:," else f"#{ord(c)};" for c in text)


# SVG ---------------------------------------------------------------------------------------------------


def _column_places(topology: Topology, layout: Layout) -> tuple[list[float], list[float]]:
    """Left edge and width of each column: as wide as its longest text."""
    lefts: list[float] = []
    widths: list[float] = []
    x = _MARGIN
    for column in layout.columns:
        nodes = [topology.nodes[v].spec for v in column if v < len(topology.nodes)]
        width = max((_text_width(node) for node in nodes), default=0.0) + 2 * _PADDING
        lefts.append(x)
        widths.append(width)
        edges = sum(len(layout.vertices[v].after) for v in column)
        x += width + _COLUMN_GAP + min(_MAX_SPREAD, _SPREAD * edges)
    return lefts, widths


def _text_width(node: NodeSpec) -> float:
    return max(56.0, len(_shortened(node.id)) * _ID_CHAR, len(_shortened(_note(node))) * _NOTE_CHAR)


def _edge(layout: Layout, way: list[int], lefts: list[float], widths: list[float]) -> str:
    """A curve that leaves and enters boxes level, and goes level through the columns in between."""
    first = layout.vertices[way[0]]
    parts = [f"M{lefts[first.layer] + widths[first.layer]:.1f},{first.y + _MARGIN:.1f}"]
    for a, b in pairwise(way):
        source, target = layout.vertices[a], layout.vertices[b]
        x0, y0 = lefts[source.layer] + widths[source.layer], source.y + _MARGIN
        x1, y1 = lefts[target.layer], target.y + _MARGIN
        middle = (x0 + x1) / 2
        parts.append(f"C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}")
        if target.node is None:
            parts.append(f"H{lefts[target.layer] + widths[target.layer]:.1f}")
    return f'<path d="{"".join(parts)}"/>'


def _box(node: NodeSpec, x: float, y: float, width: float, state: str) -> str:
    top = y - _BOX / 2
    note = _note(node)
    rect = f'width="{width:.1f}" height="{_BOX:.0f}" rx="9"'
    parts = [f'<g class="node {escape(state or "pending")}">', f"<title>{escape(_tooltip(node, state))}</title>"]
    if node.map is not None:
        parts += [f'<rect class="behind" x="{x + d:.1f}" y="{top - d:.1f}" {rect}/>' for d in (6.0, 3.0)]
    parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" {rect}/>')
    if node.kind == "graph":
        parts.append(
            f'<rect class="inner" x="{x + 3.5:.1f}" y="{top + 3.5:.1f}" width="{width - 7:.1f}" '
            f'height="{_BOX - 7:.0f}" rx="6"/>'
        )
    middle = x + width / 2
    parts.append(
        f'<text x="{middle:.1f}" y="{y + (-2.5 if note else 4.5):.1f}">{escape(_shortened(node.id))}</text>'
    )
    if note:
        parts.append(f'<text class="note" x="{middle:.1f}" y="{y + 12.5:.1f}">{escape(_shortened(note))}</text>')
    return "".join([*parts, "</g>"])


def _tooltip(node: NodeSpec, state: str) -> str:
    facts = [node.id + (f": {state}" if state else ""), f"{node.kind} {_note(node)}".strip()]
    if node.retry.max_attempts > 1:
        facts.append(f"up to {node.retry.max_attempts} attempts")
    if node.timeout_s is not None:
        facts.append(f"{node.timeout_s:g} s for an attempt")
    if node.heartbeat_s is not None:
        facts.append(f"{node.heartbeat_s:g} s of silence at most")
    if node.probe:
        facts.append(f"asks {_function_name(node.probe)} after an interruption")
    if node.exclusive is not None:
        facts.append(f"one at a time of {_key(node.exclusive)}")
    facts += [f"uses {units} of {name}" for name, units in node.uses.items()]
    return "\n".join(facts)


def _style(states: list[str]) -> str:
    light = "".join(_rule(state, 0) for state in states)
    dark = "".join(_rule(state, 1) for state in states)
    return (
        "text{font:600 13px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;"
        "text-anchor:middle}"
        ".note{font-weight:400;font-size:10.5px;opacity:.72}"
        ".node rect{stroke-width:1.4}.inner{fill:none!important;stroke-width:1!important;opacity:.55}"
        ".edges path{fill:none;stroke:#9aa3b2;stroke-width:1.5;stroke-linecap:round}"
        f"{light}"
        f"@media(prefers-color-scheme:dark){{.edges path{{stroke:#5d6779}}{dark}}}"
    )


def _rule(state: str, theme: int) -> str:
    fill, border, text = _COLOURS.get(state, _COLOURS["pending"])[theme]
    return f".{state} rect{{fill:{fill};stroke:{border}}}.{state} text{{fill:{text}}}"
