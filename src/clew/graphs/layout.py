"""A layered layout: longest-path layers as columns, few crossings by barycentres, straight edges by relaxation.

After Sugiyama, Tagawa and Toda (1981). Edges over several layers go through invisible points, one per layer
in between, so that they are led around the boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from clew.graphs.layers import depths
from clew.kernel.topology import Topology
from clew.kernel.values import references

#: From one box to another, by their numbers.
Edge = tuple[int, int]

_SWEEPS = 12
_RELAXATIONS = 24
#: Beyond this many edges between layers, crossings are not counted: the last order is taken.
_COUNTED_EDGES = 4_000
#: Beyond this many nodes every edge is shown: what each one reaches is a set, and all of them are quadratic.
_REDUCED_NODES = 2_000


@dataclass(slots=True)
class Vertex:
    """A box, or a point that an edge is led through.

    Attributes:
        node: index of the node; None for a point.
        layer: its column.
        height: in pixels.
        y: its middle.
        before: its neighbours in the column before.
        after: its neighbours in the column after.
    """

    node: int | None
    layer: int
    height: float
    y: float = 0.0
    before: list[int] = field(default_factory=list[int])
    after: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class Layout:
    """Where everything is.

    Attributes:
        vertices: boxes first, in the order of the nodes, then points.
        columns: vertices of each layer, from top to bottom.
        edges: for each edge, its vertices from source to target.
    """

    vertices: list[Vertex]
    columns: list[list[int]]
    edges: list[list[int]]


def lay_out(topology: Topology, *, box_height: float, gap: float) -> Layout:
    """Place the nodes of a graph.

    Args:
        topology: the compiled graph.
        box_height: of a node, in pixels.
        gap: least distance between two in a column.
    """
    layers = depths(topology)
    return arrange(layers, [box_height] * len(layers), shown_edges(topology), gap=gap)


def arrange(layers: Sequence[int], heights: Sequence[float], edges: Sequence[Edge], *, gap: float) -> Layout:
    """Place boxes in columns that are known, with few crossings.

    Args:
        layers: of each box, its column.
        heights: of each box, in pixels.
        edges: from a box to one in a later column.
        gap: least distance between two in a column, in pixels.
    """
    vertices, ways = _vertices(layers, heights, edges)
    columns: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for i, vertex in enumerate(vertices):
        columns[vertex.layer].append(i)
    columns = _ordered(vertices, columns)
    _place(vertices, columns, gap)
    return Layout(vertices, columns, ways)


def shown_edges(topology: Topology) -> list[Edge]:
    """Edges from a node to those that need it; what follows from a longer way is left out (transitive reduction).

    Only links of pure order are left out that way: one that carries data is always shown.
    """
    if len(topology.nodes) > _REDUCED_NODES:
        return [(need, i) for i in topology.order for need in topology.nodes[i].needs]
    reach: dict[int, set[int]] = {}
    edges: list[Edge] = []
    for i in topology.order:
        needs = topology.nodes[i].needs
        over = set[int]().union(*(reach[need] for need in needs))
        data = _data_needs(topology, i)
        edges += [(need, i) for need in needs if need in data or need not in over]
        reach[i] = over | set(needs)
    return edges


def _data_needs(topology: Topology, i: int) -> set[int]:
    spec = topology.nodes[i].spec
    bindings = [*spec.inputs.values(), *([spec.map.over] if spec.map is not None else [])]
    return {topology.index[name] for name in frozenset[str]().union(*map(references, bindings))}


def _vertices(
    layers: Sequence[int], heights: Sequence[float], edges: Sequence[Edge]
) -> tuple[list[Vertex], list[list[int]]]:
    vertices = [Vertex(i, *each) for i, each in enumerate(zip(layers, heights, strict=True))]
    ways: list[list[int]] = []
    for source, target in edges:
        way = [source]
        for layer in range(vertices[source].layer + 1, vertices[target].layer):
            way.append(len(vertices))
            vertices.append(Vertex(None, layer, 0.0))
        way.append(target)
        for a, b in pairwise(way):
            vertices[a].after.append(b)
            vertices[b].before.append(a)
        ways.append(way)
    return vertices, ways


def _ordered(vertices: list[Vertex], columns: list[list[int]]) -> list[list[int]]:
    """The best order that sweeps to and fro have found."""
    best, fewest = columns, _crossings(vertices, columns)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        columns = [[*column] for column in columns]
        forward = sweep % 2 == 0
        for k in range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1):
            rank = {v: i for i, v in enumerate(columns[k - 1 if forward else k + 1])}
            columns[k] = _by_barycentre(vertices, columns[k], rank, forward=forward)
        crossings = _crossings(vertices, columns)
        if crossings < fewest:
            best, fewest = columns, crossings
    return best


def _by_barycentre(vertices: list[Vertex], column: list[int], rank: dict[int, int], *, forward: bool) -> list[int]:
    where: dict[int, float] = {}
    for i, v in enumerate(column):
        near = vertices[v].before if forward else vertices[v].after
        where[v] = sum(rank[n] for n in near) / len(near) if near else float(i)
    return sorted(column, key=where.__getitem__)


def _crossings(vertices: list[Vertex], columns: list[list[int]]) -> int:
    total = 0
    for k in range(len(columns) - 1):
        rank = {v: i for i, v in enumerate(columns[k + 1])}
        ends = [end for v in columns[k] for end in sorted(rank[n] for n in vertices[v].after)]
        if len(ends) > _COUNTED_EDGES:
            return 1
        total += _inversions(ends, len(columns[k + 1]))
    return total


def _inversions(ends: list[int], size: int) -> int:
    """Pairs in the wrong order, with a Fenwick tree."""
    tree = [0] * (size + 1)
    count = 0
    for seen, end in enumerate(ends):
        not_after = 0
        i = end + 1
        while i > 0:
            not_after += tree[i]
            i -= i & -i
        count += seen - not_after
        i = end + 1
        while i <= size:
            tree[i] += 1
            i += i & -i
    return count


def _place(vertices: list[Vertex], columns: list[list[int]], gap: float) -> None:
    for column in columns:
        _stack(vertices, column, gap, lambda _, i: float(i))
    forwards = [*range(len(columns))]
    for step in range(_RELAXATIONS):
        for k in forwards if step % 2 == 0 else forwards[::-1]:
            _stack(vertices, columns[k], gap, lambda v, _: _wished(vertices, v))
    top = min((v.y - v.height / 2 for v in vertices), default=0.0)
    for vertex in vertices:
        vertex.y -= top


def _wished(vertices: list[Vertex], v: int) -> float:
    near = [*vertices[v].before, *vertices[v].after]
    return sum(vertices[n].y for n in near) / len(near) if near else vertices[v].y


def _stack(vertices: list[Vertex], column: Sequence[int], gap: float, wish: Callable[[int, int], float]) -> None:
    """Put each vertex of a column as near as possible to where it would like to be, in order and without overlap.

    Least squares under order constraints: the pool-adjacent-violators algorithm on positions from which the
    least offsets are taken away.
    """
    offsets = [0.0]
    for a, b in pairwise(column):
        offsets.append(offsets[-1] + (vertices[a].height + vertices[b].height) / 2 + gap)
    blocks: list[tuple[float, int]] = []
    for i, v in enumerate(column):
        mean, size = wish(v, i) - offsets[i], 1
        while blocks and blocks[-1][0] > mean:
            other, count = blocks.pop()
            mean = (mean * size + other * count) / (size + count)
            size += count
        blocks.append((mean, size))
    places = [mean for mean, size in blocks for _ in range(size)]
    for v, place, offset in zip(column, places, offsets, strict=True):
        vertices[v].y = place + offset
