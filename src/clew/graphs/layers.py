"""The layers of a graph, for preview. A run knows no layers: each node starts when its own needs are settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.kernel.definition import GraphSpec
from clew.kernel.topology import compile_graph

if TYPE_CHECKING:
    from clew.graphs.graph import Graph


def execution_batches(graph: Graph | GraphSpec) -> list[list[str]]:
    """Ids of the nodes by layer; those of one layer need nothing of each other.

    Raises:
        GraphError: the graph is not valid.
    """
    spec = graph if isinstance(graph, GraphSpec) else graph.spec()
    topology = compile_graph(spec)
    depth = [0] * len(topology.nodes)
    for i in topology.order:
        depth[i] = max((depth[need] + 1 for need in topology.nodes[i].needs), default=0)
    layers: list[list[str]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for node in topology.nodes:
        layers[depth[node.index]].append(node.spec.id)
    return layers
