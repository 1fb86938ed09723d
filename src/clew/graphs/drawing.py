"""Pictures of a graph: SVG here, Mermaid text for documents that draw it in `mermaid_text`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from clew.graphs.boxes import BOX, GAP, MARGIN, PADDING, box, picture, state_of, style, text_width
from clew.graphs.layers import HasSpec, compiled
from clew.graphs.layout import Layout, lay_out
from clew.graphs.mermaid_text import mermaid_of
from clew.graphs.state_drawing import svg_of_routes
from clew.kernel.definition import GraphSpec
from clew.kernel.topology import Topology

_COLUMN_GAP = 64.0
#: Many edges between two columns get more room: so much for each, up to so much in all.
_SPREAD, _MAX_SPREAD = 1.6, 90.0


def mermaid(graph: HasSpec | GraphSpec, states: Mapping[str, str] | None = None) -> str:
    """The graph as Mermaid text.

    Args:
        graph: the graph.
        states: state of each node by id (of a branch, ``node/branch``), to colour it.

    Raises:
        GraphError: the graph is not valid.
    """
    return mermaid_of(compiled(graph), states)


def svg(graph: HasSpec | GraphSpec, states: Mapping[str, str] | None = None) -> str:
    """The graph as an SVG picture that follows the reader's light or dark theme.

    Args:
        graph: the graph.
        states: state of each node by id (of a branch, ``node/branch``), to colour it.

    Raises:
        GraphError: the graph is not valid.
    """
    topology = compiled(graph)
    if topology.spec.routes is not None:
        return svg_of_routes(topology.spec, topology.spec.routes, states)
    layout = lay_out(topology, box_height=BOX, gap=GAP)
    lefts, widths = _column_places(topology, layout)
    width = (lefts[-1] + widths[-1] if lefts else 0.0) + MARGIN
    height = max((v.y + v.height / 2 for v in layout.vertices), default=0.0) + 2 * MARGIN
    edges = [_edge(layout, way, lefts, widths) for way in layout.edges]
    boxes = [
        box(
            node.spec,
            lefts[vertex.layer],
            vertex.y + MARGIN,
            widths[vertex.layer],
            state_of(states, node.spec.id),
        )
        for node, vertex in zip(topology.nodes, layout.vertices, strict=False)
    ]
    used = (state_of(states, node.spec.id) or "pending" for node in topology.nodes)
    parts = ['<g class="edges">', *edges, "</g>", *boxes]
    return picture(topology.spec.name, width, height, style(used), parts)


def _column_places(topology: Topology, layout: Layout) -> tuple[list[float], list[float]]:
    """Left edge and width of each column: as wide as its longest text."""
    lefts: list[float] = []
    widths: list[float] = []
    x = MARGIN
    for column in layout.columns:
        nodes = [topology.nodes[v].spec for v in column if v < len(topology.nodes)]
        width = max((text_width(node) for node in nodes), default=0.0) + 2 * PADDING
        lefts.append(x)
        widths.append(width)
        edges = sum(len(layout.vertices[v].after) for v in column)
        x += width + _COLUMN_GAP + min(_MAX_SPREAD, _SPREAD * edges)
    return lefts, widths


def _edge(layout: Layout, way: list[int], lefts: list[float], widths: list[float]) -> str:
    """A curve that leaves and enters boxes level, and goes level through the columns in between."""
    first = layout.vertices[way[0]]
    parts = [f"M{lefts[first.layer] + widths[first.layer]:.1f},{first.y + MARGIN:.1f}"]
    for a, b in pairwise(way):
        source, target = layout.vertices[a], layout.vertices[b]
        x0, y0 = lefts[source.layer] + widths[source.layer], source.y + MARGIN
        x1, y1 = lefts[target.layer], target.y + MARGIN
        middle = (x0 + x1) / 2
        parts.append(f"C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}")
        if target.node is None:
            parts.append(f"H{lefts[target.layer] + widths[target.layer]:.1f}")
    return f'<path d="{"".join(parts)}"/>'
