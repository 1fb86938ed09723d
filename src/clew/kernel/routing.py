"""The edges of a state graph, compiled: which leave a node, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clew.kernel.definition import EdgeSpec, GraphSpec, KeySpec, NodeSpec, RouteSpec
from clew.kernel.errors import DefinitionError


@dataclass(slots=True)
class Exits:
    """The edges that leave one node, by their number in the definition.

    Attributes:
        conditional: in the order in which they are asked.
        plain: the one that is taken when no condition holds.
        fallback: the one that is taken when something went wrong.
    """

    conditional: list[int]
    plain: int | None = None
    fallback: int | None = None

    @property
    def all(self) -> list[int]:
        """All of them; the fallback last."""
        return [*self.conditional, *(edge for edge in (self.plain, self.fallback) if edge is not None)]


@dataclass(slots=True)
class Routing:
    """What makes a graph a state graph, compiled.

    Attributes:
        spec: its definition.
        keys: of the state, by name.
        edges: by number.
        exits: by the index of the node they leave.
        start: those of the start.
    """

    spec: RouteSpec
    keys: dict[str, KeySpec]
    edges: tuple[EdgeSpec, ...]
    exits: list[Exits]
    start: Exits


def approved_key(node: NodeSpec) -> str:
    """The key of the state that tells whether a barrier was passed."""
    return f"{node.id}.approved"


def reason_key(node: NodeSpec) -> str:
    """The key of the state that tells why a barrier was not passed."""
    return f"{node.id}.reject_reason"


def failed_key(node: NodeSpec) -> str:
    """The key of the state that tells which branches have failed; it is written if the state has it."""
    return f"{node.id}.failed"


def compile_routes(spec: GraphSpec, routes: RouteSpec, index: Mapping[str, int]) -> Routing:
    """Compile the edges of a graph whose nodes have these numbers.

    Raises:
        DefinitionError: they do not fit. What builds graphs finds this first and with better words.
    """
    keys = {key.name: key for key in routes.keys}
    if len(keys) != len(routes.keys):
        raise DefinitionError(f"graph {spec.name}: two keys of the state have the same name")
    exits = [Exits([]) for _ in spec.nodes]
    start = Exits([])
    for number, edge in enumerate(routes.edges):
        for end in (edge.source, edge.target):
            if end and end not in index:
                raise DefinitionError(f"graph {spec.name}: an edge leads from or to {end}, which is no node")
        _place(exits[index[edge.source]] if edge.source else start, edge, number, spec.name)
    if not start.all:
        raise DefinitionError(f"graph {spec.name}: no edge leaves the start")
    for node in spec.nodes:
        _check_keys(spec, node, keys)
    return Routing(routes, keys, routes.edges, exits, start)


def _place(exits: Exits, edge: EdgeSpec, number: int, graph: str) -> None:
    if edge.when:
        exits.conditional.append(number)
        return
    kind = "fallback" if edge.fallback else "plain"
    if getattr(exits, kind) is not None:
        raise DefinitionError(f"graph {graph}: two {kind} edges leave {edge.source or 'the start'}")
    setattr(exits, kind, number)


def _check_keys(spec: GraphSpec, node: NodeSpec, keys: Mapping[str, KeySpec]) -> None:
    """A barrier writes to keys of the state, also one that is a branch."""
    for branch in node.graph.nodes if node.graph is not None and node.graph.branches else (node,):
        if branch.barrier is None:
            continue
        for key in (approved_key(branch), reason_key(branch), *branch.barrier.shows):
            if key not in keys:
                raise DefinitionError(f"graph {spec.name}: the barrier {branch.id} needs the key {key!r}")
