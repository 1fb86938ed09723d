"""Algorithms on directed graphs: adjacency by name, every neighbour a key, no recursion, fixed order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

Edges = Mapping[str, Sequence[str]]


def strongly_connected(edges: Edges) -> list[list[str]]:
    """Partition into strongly connected components, by Tarjan's algorithm (1972).

    Returns:
        The components, each sorted; a component comes after all those it points to.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_nodes: dict[str, None] = {}  # Tarjan's stack; a dictionary, to look into it quickly
    components: list[list[str]] = []
    for start in edges:
        calls: list[tuple[str, Iterator[str]]] = [] if start in index else [(start, iter(edges[start]))]
        while calls:
            node, neighbours = calls[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                open_nodes[node] = None
            for neighbour in neighbours:
                if neighbour not in index:
                    calls.append((neighbour, iter(edges[neighbour])))
                    break
                if neighbour in open_nodes:
                    low[node] = min(low[node], index[neighbour])
            else:
                calls.pop()
                if calls:
                    caller = calls[-1][0]
                    low[caller] = min(low[caller], low[node])
                if low[node] == index[node]:
                    components.append(_close(open_nodes, node))
    return components


def _close(open_nodes: dict[str, None], root: str) -> list[str]:
    component: list[str] = []
    while root in open_nodes:
        component.append(open_nodes.popitem()[0])
    return sorted(component)


def count_reaching(edges: Edges, components: Sequence[Sequence[str]]) -> dict[str, int]:
    """Count for each node the other nodes from which it can be reached.

    Args:
        edges: the graph.
        components: its strongly connected components, as `strongly_connected` orders them.
    """
    home = {node: number for number, component in enumerate(components) for node in component}
    bit = {node: 1 << position for position, node in enumerate(edges)}
    reaching = [sum(bit[node] for node in component) for component in components]  # sets, as integers
    for number in reversed(range(len(components))):  # whoever points to a component came before it
        for node in components[number]:
            for neighbour in edges[node]:
                reaching[home[neighbour]] |= reaching[number]
    return {node: reaching[home[node]].bit_count() - 1 for node in edges}


def shortest_cycle(edges: Edges, component: Sequence[str]) -> list[str]:
    """Find a shortest cycle in a strongly connected component of at least two nodes."""
    inside = set(component)
    cycles = (_cycle_through(start, edges, inside) for start in component)
    return min(cycles, key=lambda cycle: (len(cycle), cycle))


def _cycle_through(start: str, edges: Edges, inside: set[str]) -> list[str]:
    came_from: dict[str, str] = {}
    queue = deque([start])
    while start not in came_from:
        node = queue.popleft()
        for neighbour in edges[node]:
            if neighbour in inside and neighbour not in came_from:
                came_from[neighbour] = node
                queue.append(neighbour)
    cycle = [start]
    while (before := came_from[cycle[-1]]) != start:
        cycle.append(before)
    return [start, *reversed(cycle[1:])]
