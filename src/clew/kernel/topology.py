"""A dependency graph compiled for counting: who waits for how many, and whom each node releases.

Compiling costs one pass over nodes and edges and is shared by all runs of the same definition. Nothing here
changes while a run goes on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from clew.kernel import addresses
from clew.kernel.definition import ErrorPolicy, GraphSpec, NodeSpec, OnInterrupt
from clew.kernel.errors import DefinitionError
from clew.kernel.routing import Routing, compile_routes
from clew.kernel.values import FromNode, references


@dataclass(slots=True)
class Node:
    """One node of a compiled graph.

    Attributes:
        spec: its definition.
        index: its position in the graph.
        needs: indexes of the nodes it depends on.
        releases: indexes of the nodes that wait for it to be settled.
        feeds: indexes of mapped nodes that take its items one by one (it is a map itself).
        fed_by: the mapped node whose items this one takes one by one, or None.
        goes_on: its failure leaves its dependents free to run.
        inner: the compiled sub-graph, if it is one.
        undo: its compensation, as a node.
        lane: attempts with the same lane are admitted or refused together by a gate.
        former: its place in `Run.former`, if it is a node of an earlier definition; its index is that of the node
            which has its id now, -1 without one.
    """

    spec: NodeSpec
    index: int
    needs: tuple[int, ...] = ()
    releases: tuple[int, ...] = ()
    feeds: tuple[int, ...] = ()
    fed_by: int | None = None
    goes_on: bool = False
    inner: Topology | None = None
    undo: Node | None = None
    lane: tuple[tuple[str, int], ...] = ()
    is_group: bool = False
    former: int = -1


@dataclass(slots=True)
class Topology:
    """A compiled graph. `order` is a topological order; `counts[i]` is how many nodes node i waits for.

    A state graph has a `routing` instead, and nothing in it waits for anything.
    """

    spec: GraphSpec
    nodes: list[Node]
    index: dict[str, int]
    counts: list[int]
    order: list[int]
    sources: list[int] = field(default_factory=list[int])
    leaves: int = 0
    routing: Routing | None = None


def compile_graph(spec: GraphSpec) -> Topology:
    """Compile a definition, sub-graphs included.

    Raises:
        DefinitionError: duplicate ids or ids that are no part of an address, unknown dependencies or a cycle.
            The layer that builds graphs finds these first, all at once and with better words; here they guard
            what is read from a journal.
    """
    index = _index(spec)
    if spec.output is not None and (unknown := references(spec.output) - index.keys()):
        raise DefinitionError(f"graph {spec.name} returns the output of unknown {sorted(unknown)}")
    nodes = [_node(spec, i, node) for i, node in enumerate(spec.nodes)]
    releases: list[list[int]] = [[] for _ in nodes]
    feeds: list[list[int]] = [[] for _ in nodes]
    for node in nodes:
        names = dependencies(node.spec)
        unknown = names.difference(index)  # `names - index.keys()` would go through all keys
        if unknown:
            raise DefinitionError(f"graph {spec.name}: {node.spec.id} depends on unknown {sorted(unknown)}")
        node.needs = tuple(sorted(index[name] for name in names))
        node.fed_by = _feeder(node.spec, spec, index)
        for need in node.needs:
            (feeds if need == node.fed_by else releases)[need].append(node.index)
    for node in nodes:
        node.releases = tuple(releases[node.index])
        node.feeds = tuple(feeds[node.index])
    counts = [len(node.needs) for node in nodes]
    routing = compile_routes(spec, spec.routes, index) if spec.routes is not None else None
    if (routing is not None or spec.branches) and any(counts):
        raise DefinitionError(f"graph {spec.name}: the nodes of a state graph do not depend on each other")
    return Topology(
        spec=spec,
        nodes=nodes,
        index=index,
        counts=counts,
        order=_topological(spec, nodes, counts),
        sources=[] if routing is not None else [i for i, count in enumerate(counts) if count == 0],
        leaves=0 if routing is not None else sum(not node.is_group for node in nodes),
        routing=routing,
    )


def former_node(spec: NodeSpec, place: int, topology: Topology) -> Node:
    """The node of an earlier definition that visits in a graph were made of; `place` is that in `Run.former`."""
    node = _node(topology.spec, topology.index.get(spec.id, -1), spec)
    node.former = place
    return node


def dependencies(node: NodeSpec) -> frozenset[str]:
    """The ids of all nodes that `node` waits for, by data or by order."""
    names = frozenset(node.after) | _read_by(node)
    return names | references(node.map.over) if node.map else names


def _read_by(node: NodeSpec) -> frozenset[str]:
    """The nodes whose outputs an attempt of `node` reads, besides the list that it is mapped over."""
    names = frozenset[str]().union(*map(references, node.inputs.values()))
    return names | references(node.exclusive) if node.exclusive is not None else names


def find_cycle(needs: dict[str, frozenset[str]]) -> list[str]:
    """A cycle among nodes that a topological order could not place, first node repeated at the end.

    Args:
        needs: for each such node, the others of them that it depends on; each has at least one.
    """
    path: list[str] = []
    seen: dict[str, int] = {}
    at = min(needs)
    while at not in seen:
        seen[at] = len(path)
        path.append(at)
        at = min(needs[at])
    cycle = path[seen[at] :][::-1]
    return [*cycle, cycle[0]]


def _index(spec: GraphSpec) -> dict[str, int]:
    index: dict[str, int] = {}
    for i, node in enumerate(spec.nodes):
        if node.id in index:
            raise DefinitionError(f"graph {spec.name}: two nodes are called {node.id}")
        if not node.id or "/" in node.id or addresses.escape(node.id) != node.id:
            raise DefinitionError(f"graph {spec.name}: {node.id!r} cannot be the id of a node")
        index[node.id] = i
    return index


def _node(graph: GraphSpec, index: int, spec: NodeSpec) -> Node:
    if spec.on_interrupt is OnInterrupt.PROBE and not spec.probe:
        raise DefinitionError(f"graph {graph.name}: {spec.id} is to be probed after an interruption, by nothing")
    return Node(
        spec=spec,
        index=index,
        goes_on=(spec.on_error or graph.on_error) is ErrorPolicy.CONTINUE,
        inner=compile_graph(spec.graph) if spec.graph else None,
        undo=_undo(spec) if spec.compensation is not None else None,
        lane=tuple(sorted(spec.uses.items())),
        is_group=spec.graph is not None or spec.map is not None,
    )


def _undo(spec: NodeSpec) -> Node:
    how = spec.compensation
    assert how is not None
    if how.before and spec.graph is not None:
        raise DefinitionError(f"{spec.id}: what was there before is recorded for a body, and a graph is none")
    return Node(
        NodeSpec(
            id=spec.id,
            kind=how.kind,
            body=how.body,
            inputs=how.inputs,
            retry=how.retry,
            timeout_s=how.timeout_s,
            on_interrupt=how.on_interrupt,
        ),
        index=-1,
    )


def _feeder(node: NodeSpec, graph: GraphSpec, index: dict[str, int]) -> int | None:
    """The map whose items `node` takes one by one: it maps over that map and uses it for nothing else."""
    if node.map is None or not isinstance(node.map.over, FromNode):
        return None
    name = node.map.over.node
    otherwise = frozenset(node.after) | _read_by(node)
    if name in otherwise or graph.nodes[index[name]].map is None:
        return None
    return index[name]


def _topological(spec: GraphSpec, nodes: list[Node], counts: list[int]) -> list[int]:
    remaining = counts.copy()
    ready = deque(i for i, count in enumerate(remaining) if count == 0)
    order: list[int] = []
    while ready:
        i = ready.popleft()
        order.append(i)
        for j in (*nodes[i].releases, *nodes[i].feeds):
            remaining[j] -= 1
            if remaining[j] == 0:
                ready.append(j)
    if len(order) < len(nodes):
        left = {i for i, count in enumerate(remaining) if count}
        needs = {nodes[i].spec.id: frozenset(nodes[j].spec.id for j in nodes[i].needs if j in left) for i in left}
        raise DefinitionError(f"graph {spec.name}: cycle {' -> '.join(find_cycle(needs))}")
    return order
