"""The picture of a state graph: boxes in columns, conditions at the edges, loops led back below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from xml.sax.saxutils import escape

from clew.graphs.boxes import (
    BOX,
    CUT,
    GAP,
    MARGIN,
    NOTE_CHAR,
    PADDING,
    box,
    picture,
    shortened,
    state_of,
    style,
    text_width,
)
from clew.graphs.edge_labels import labels_of
from clew.graphs.layout import Vertex
from clew.graphs.state_layout import Line, Placed, place
from clew.kernel.definition import GraphSpec, NodeSpec, RouteSpec

States = Mapping[str, str] | None

_DOT = 9.0
_CURVE, _LANE, _CORNER = 54.0, 9.0, 7.0
_TITLE, _BETWEEN, _INSIDE = 30.0, 10.0, 12.0
_LONGEST = 46
_LIGHT = (
    ".edges path.fallback{stroke:#d99a2b;stroke-dasharray:5 4}.edges path.tip{fill:#9aa3b2;stroke:none}"
    ".edges path.tip.fallback{fill:#d99a2b}.edges text{font-weight:400;font-size:10.5px;text-anchor:start;"
    "fill:#5b6474}.end circle{fill:#5b6474;stroke:#5b6474;stroke-width:1.6}.end circle.ring{fill:none}"
    ".end text{fill:#5b6474}.node rect.group{fill:none;stroke-dasharray:2 3}"
)
_DARK = ".edges path.tip{fill:#5d6779}.edges text,.end text{fill:#a8b0be}.end circle{fill:#a8b0be;stroke:#a8b0be}"


def svg_of_routes(spec: GraphSpec, routes: RouteSpec, states: States) -> str:
    """The picture; see `drawing.svg`."""
    index = {node.id: i for i, node in enumerate(spec.nodes, 1)}
    lines = _lines(routes, index)
    heights = [2 * _DOT + 22, *map(_height, spec.nodes), 2 * _DOT + 22]
    placed = place(len(heights), lines, heights, gap=GAP)
    columns = _Columns(placed, spec)
    boxes = [_part(i, spec, placed, columns, states) for i in range(len(heights))]
    edges = [part for line in lines for part in _line(line, placed, columns)]
    used = [state_of(states, name) or "pending" for name in _names(spec)]
    parts = ['<g class="edges">', *edges, "</g>", *boxes]
    return picture(spec.name, columns.width, placed.height + 2 * MARGIN, style(used, (_LIGHT, _DARK)), parts)


def _lines(routes: RouteSpec, index: Mapping[str, int]) -> list[Line]:
    """What is drawn: edges between the same boxes are one line."""
    end = len(index) + 1
    lines: dict[tuple[int, int, bool], Line] = {}
    for edge, label in labels_of(routes):
        source, target = index.get(edge.source, 0), index.get(edge.target, end)
        line = lines.setdefault((source, target, edge.fallback), Line(source, target, edge.fallback))
        if label and not (edge.fallback and edge.max_visits is None) and label not in line.labels:
            line.labels.append(label)
    return [*lines.values()]


def _names(spec: GraphSpec) -> Iterator[str]:
    for node in spec.nodes:
        yield node.id
        yield from (f"{node.id}/{branch.id}" for branch in _branches(node))


def _branches(node: NodeSpec) -> tuple[NodeSpec, ...]:
    return node.graph.nodes if node.graph is not None and node.graph.branches else ()


def _height(node: NodeSpec) -> float:
    branches = len(_branches(node))
    return _TITLE + branches * (BOX + _BETWEEN) + 2 if branches else BOX


def _width(node: NodeSpec) -> float:
    inside = max((text_width(branch) + 2 * PADDING for branch in _branches(node)), default=0.0)
    return max(text_width(node) + 2 * PADDING, inside + 2 * _INSIDE if inside else 0.0)


class _Columns:
    """Where the columns are from left to right, and the room between them: for labels and lines that lead back."""

    def __init__(self, placed: Placed, spec: GraphSpec) -> None:
        layout = placed.layout
        count = len(spec.nodes)
        self.lefts: list[float] = []
        self.widths: list[float] = []
        #: Right of each column: how far lines go straight on, under their labels.
        self.straight: list[float] = []
        #: The lines that lead back out of each column, and into it, the innermost first.
        self.down: list[list[int]] = [[] for _ in layout.columns]
        self.up: list[list[int]] = [[] for _ in layout.columns]
        for line in sorted((x for x in placed.lines if x.leads_back), key=lambda x: x.lane):
            self.down[layout.vertices[line.source].layer].append(id(line))
            self.up[layout.vertices[line.target].layer].append(id(line))
        x = MARGIN
        for number, column in enumerate(layout.columns):
            boxes = [v for v in column if v < count + 2]
            widths = [_width(spec.nodes[v - 1]) if 0 < v <= count else 2 * _DOT for v in boxes]
            leaving = [line for line in placed.lines if line.source in boxes]
            labels = max((len(_told(line)) * NOTE_CHAR + 16 for line in leaving if line.labels), default=4.0)
            x += len(self.up[number]) * _LANE
            self.lefts.append(x)
            self.widths.append(max(widths, default=0.0))
            self.straight.append(labels)
            x += self.widths[-1] + labels + len(self.down[number]) * _LANE
            x += _CURVE if number < len(layout.columns) - 1 else 0.0
        self.width = x + MARGIN
        self._barriers = {i for i, node in enumerate(spec.nodes, 1) if node.barrier is not None}

    def right(self, column: int) -> float:
        """The right edge of a column."""
        return self.lefts[column] + self.widths[column]

    def leaves(self, line: Line, vertices: list[Vertex]) -> float:
        """Where a line touches the box that it leaves."""
        return self.right(vertices[line.source].layer) - self._inwards(line.source, line.leaves, vertices)

    def enters(self, line: Line, vertices: list[Vertex]) -> float:
        """Where a line touches the box that it enters."""
        return self.lefts[vertices[line.target].layer] + self._inwards(line.target, line.enters, vertices)

    def _inwards(self, box: int, offset: float, vertices: list[Vertex]) -> float:
        """How far the sloping sides of a barrier lie inwards there."""
        return CUT * abs(offset) / (vertices[box].height / 2) if box in self._barriers else 0.0


def _part(i: int, spec: GraphSpec, placed: Placed, columns: _Columns, states: States) -> str:
    vertex = placed.layout.vertices[i]
    x, y, width = columns.lefts[vertex.layer], vertex.y + MARGIN, columns.widths[vertex.layer]
    if i in (0, len(spec.nodes) + 1):
        return _dot(x + (width / 2 if i == 0 else _DOT), y, "START" if i == 0 else "END")
    node = spec.nodes[i - 1]
    if not _branches(node):
        return box(node, x, y, width, state_of(states, node.id), max(vertex.height, BOX))
    return _group(node, x, y, width, vertex.height, states)


def _dot(x: float, y: float, name: str) -> str:
    inner = 5.0 if name == "END" else _DOT - 1
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{_DOT:.0f}"/>' if name == "END" else ""
    dot = f'{ring}<circle cx="{x:.1f}" cy="{y:.1f}" r="{inner:.0f}"/>'
    return f'<g class="end">{dot}<text class="note" x="{x:.1f}" y="{y + _DOT + 12:.1f}">{name}</text></g>'


def _group(node: NodeSpec, x: float, y: float, width: float, height: float, states: States) -> str:
    """A parallel node: its branches, one below the other, in a frame."""
    state, top = state_of(states, node.id), y - height / 2
    frame = f'<rect class="group" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="12"/>'
    title = f'<text x="{x + width / 2:.1f}" y="{top + 20:.1f}">{escape(shortened(node.id))}</text>'
    first = y - (_height(node) - _TITLE - 2) / 2 + _TITLE / 2 + BOX / 2
    parts = [
        box(
            branch,
            x + _INSIDE,
            first + k * (BOX + _BETWEEN) - _BETWEEN / 2,
            width - 2 * _INSIDE,
            state_of(states, f"{node.id}/{branch.id}"),
        )
        for k, branch in enumerate(_branches(node))
    ]
    return "\n".join([f'<g class="node {escape(state or "pending")}">{frame}{title}</g>', *parts])


def _told(line: Line) -> str:
    text = " / ".join(line.labels)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _line(line: Line, placed: Placed, columns: _Columns) -> Iterator[str]:
    layout = placed.layout
    source, target = layout.vertices[line.source], layout.vertices[line.target]
    x0, y0 = columns.right(source.layer), source.y + line.leaves + MARGIN
    x1, y1 = columns.enters(line, layout.vertices), target.y + line.enters + MARGIN
    path = _back(line, placed, columns) if line.leads_back else _onward(line, placed, columns)
    kind = ' class="fallback"' if line.fallback else ""
    tip = ' class="tip fallback"' if line.fallback else ' class="tip"'
    yield f'<path{kind} d="{path}"/>'
    yield f'<path{tip} d="M{x1:.1f},{y1:.1f}l-7,-3.6v7.2z"/>'
    if line.labels:
        title = f"<title>{escape(' / '.join(line.labels))}</title>"
        yield f'<text x="{x0 + 7:.1f}" y="{y0 - 4:.1f}">{title}{escape(_told(line))}</text>'


def _onward(line: Line, placed: Placed, columns: _Columns) -> str:
    """A curve that leaves and enters boxes level, and goes level through the columns in between."""
    vertices = placed.layout.vertices
    first = vertices[line.way[0]]
    start = columns.right(first.layer) + columns.straight[first.layer]
    parts = [f"M{columns.leaves(line, vertices):.1f},{first.y + line.leaves + MARGIN:.1f}H{start:.1f}"]
    for a, b in pairwise(line.way):
        source, target = vertices[a], vertices[b]
        y0 = source.y + MARGIN + (line.leaves if a == line.source else 0.0)
        y1 = target.y + MARGIN + (line.enters if b == line.target else 0.0)
        x0 = columns.right(source.layer) + columns.straight[source.layer]
        x1 = columns.enters(line, vertices) - 5 if b == line.target else columns.lefts[target.layer]
        middle = (x0 + x1) / 2
        parts.append(f"C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}")
        if target.node is None:
            parts.append(f"H{columns.right(target.layer) + columns.straight[target.layer]:.1f}")
    return "".join(parts)


def _back(line: Line, placed: Placed, columns: _Columns) -> str:
    """Right, down, back below everything in between, up, and into the box from the left."""
    vertices = placed.layout.vertices
    source, target = vertices[line.source], vertices[line.target]
    slot = columns.down[source.layer].index(id(line)) + 1
    right = columns.right(source.layer) + columns.straight[source.layer] + slot * _LANE
    left = columns.lefts[target.layer] - 12 - (columns.up[target.layer].index(id(line)) + 0.3) * _LANE
    y0, y1 = source.y + line.leaves + MARGIN, target.y + line.enters + MARGIN
    low, r = line.lane + MARGIN, _CORNER
    start, end = columns.leaves(line, vertices), columns.enters(line, vertices) - 5
    return (
        f"M{start:.1f},{y0:.1f}H{right - r:.1f}q{r},0 {r},{r}V{low - r:.1f}q0,{r} -{r},{r}"
        f"H{left + r:.1f}q-{r},0 -{r},-{r}V{y1 + r:.1f}q0,-{r} {r},-{r}H{end:.1f}"
    )
