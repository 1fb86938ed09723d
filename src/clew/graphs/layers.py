"""The layers of a graph, for preview. A run knows no layers: each node starts when its own needs are settled.

The layer of a node of a state graph is how many edges it is away from the start.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from clew.kernel.definition import GraphSpec, RouteSpec
from clew.kernel.topology import Topology, compile_graph


class HasSpec(Protocol):
    """A graph, as what its definition can be asked of."""

    def spec(self) -> GraphSpec:
        """The definition."""
        ...


def execution_batches(graph: HasSpec | GraphSpec) -> list[list[str]]:
    """Ids of the nodes by layer; those of one layer need nothing of each other.

    Those of a state graph are the same number of edges away from the start.

    Raises:
        GraphError: the graph is not valid.
    """
    topology = compiled(graph)
    depth = depths(topology)
    layers: list[list[str]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for node in topology.nodes:
        layers[depth[node.index]].append(node.spec.id)
    return layers


def compiled(graph: HasSpec | GraphSpec) -> Topology:
    """The compiled graph.

    Raises:
        GraphError: it is not valid.
    """
    return compile_graph(graph if isinstance(graph, GraphSpec) else graph.spec())


def depths(topology: Topology) -> list[int]:
    """For each node, the length of the longest path that leads to it; of a state graph, that of the shortest."""
    if topology.spec.routes is not None:
        return _distances(topology, topology.spec.routes)
    depth = [0] * len(topology.nodes)
    for i in topology.order:
        depth[i] = max((depth[need] + 1 for need in topology.nodes[i].needs), default=0)
    return depth


def _distances(topology: Topology, routes: RouteSpec) -> list[int]:
    ways: dict[str, list[str]] = {}
    for edge in routes.edges:
        ways.setdefault(edge.source, []).append(edge.target)
    distance = {"": -1}
    waiting = deque([""])
    while waiting:
        here = waiting.popleft()
        for name in ways.get(here, ()):
            if name not in distance:
                distance[name] = distance[here] + 1
                waiting.append(name)
    last = max(distance.values()) + 1
    return [distance.get(node.spec.id, last) for node in topology.nodes]
