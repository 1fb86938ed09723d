"""The layers of a graph, for preview. A run knows no layers: each node starts when its own needs are settled."""

from __future__ import annotations

from typing import Protocol

from clew.kernel.definition import GraphSpec
from clew.kernel.topology import Topology, compile_graph


class HasSpec(Protocol):
    """A graph, as what its definition can be asked of."""

    def spec(self) -> GraphSpec:
        """The definition."""
        ...


def execution_batches(graph: HasSpec | GraphSpec) -> list[list[str]]:
    """Ids of the nodes by layer; those of one layer need nothing of each other.

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
    """For each node, the length of the longest path that leads to it."""
    depth = [0] * len(topology.nodes)
    for i in topology.order:
        depth[i] = max((depth[need] + 1 for need in topology.nodes[i].needs), default=0)
    return depth
