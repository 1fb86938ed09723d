"""What stands at the edges of a state graph in its pictures."""

from __future__ import annotations

from clew.kernel.definition import EdgeSpec, RouteSpec


def labels_of(routes: RouteSpec) -> list[tuple[EdgeSpec, str]]:
    """Each edge, and what is written at it: its condition, and how often it may be taken."""
    conditional = {edge.source for edge in routes.edges if edge.when}
    found: list[tuple[EdgeSpec, str]] = []
    for edge in routes.edges:
        if edge.when:
            label = edge.label or "a condition"
        elif edge.fallback:
            label = "fallback"
        else:
            label = "else" if edge.source in conditional else ""
        limit = f"max. {edge.max_visits}" if edge.max_visits is not None else ""
        found.append((edge, ", ".join(filter(None, (label, limit)))))
    return found
