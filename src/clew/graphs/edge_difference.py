"""How the edges of two state graphs differ, in sentences that people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import eq
from typing import Any

from clew.kernel.definition import EdgeSpec, RouteSpec

Data = dict[str, Any]
Pairs = list[tuple[int, int]]


def edge_differences(before: RouteSpec, after: RouteSpec, old: Data, new: Data) -> Iterator[str]:
    """What has changed of the edges.

    Edges have no names. Those that are the same in all that counts belong together, then those that lead from the
    same node to the same one, in their order.

    Args:
        before: the one state graph.
        after: the other one.
        old: the one as plain data, without what makes no difference.
        new: the other one, likewise.
    """
    was: Sequence[Data] = old.get("edges", ())
    is_: Sequence[Data] = new.get("edges", ())
    same, changed = _matched(was, is_)
    paired = {a for a, _ in (*same, *changed)}, {b for _, b in (*same, *changed)}
    for number, edge in enumerate(before.edges):
        if number not in paired[0]:
            yield f"{_named(edge)} is gone"
    for number, edge in enumerate(after.edges):
        if number not in paired[1]:
            yield f"{_named(edge)} is new"
    for a, b in changed:
        yield f"{_named(before.edges[a])}: {', '.join(_changes(before.edges[a], after.edges[b], was[a], is_[b]))}"
    order = [b for _, b in sorted(same)]
    if order != sorted(order):
        yield _reordered(before, [a for a, _ in sorted(same)], order)


def order_differs(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether what is in both stands in another order."""
    common = set(before) & set(after)
    return [each for each in before if each in common] != [each for each in after if each in common]


def _matched(was: Sequence[Data], is_: Sequence[Data]) -> tuple[Pairs, Pairs]:
    """Which edges are the same, and which have changed, by their numbers."""
    left, free = list(range(len(was))), list(range(len(is_)))
    same, changed = Pairs(), Pairs()
    for pairs, alike in ((same, eq), (changed, _lead_alike)):
        for a in list(left):
            b = next((b for b in free if alike(was[a], is_[b])), None)
            if b is not None:
                pairs.append((a, b))
                left.remove(a)
                free.remove(b)
    return same, changed


def _lead_alike(edge: Data, other: Data) -> bool:
    return all(edge.get(name) == other.get(name) for name in ("source", "target", "fallback"))


def _named(edge: EdgeSpec) -> str:
    kind = "fallback edge" if edge.fallback else "edge"
    label = f" (if {_label(edge)})" if edge.when else ""
    return f"{kind} {edge.source or 'START'} -> {edge.target or 'END'}{label}"


def _label(edge: EdgeSpec) -> str:
    """A condition as people read it."""
    label = edge.label or "its condition"
    label = label if len(label) <= 60 else f"{label[:59]}…"
    return f"{label} gives {bytes(edge.equals).decode()[:60]}" if edge.equals else label


def _changes(before: EdgeSpec, after: EdgeSpec, old: Data, new: Data) -> list[str]:
    found: list[str] = []
    conditions = [{name: edge[name] for name in ("when", "equals") if name in edge} for edge in (old, new)]
    if conditions[0] != conditions[1]:
        was, is_ = (_label(edge) if edge.when else "none" for edge in (before, after))
        found.append(f"its condition is {is_} now" if was != is_ else "its condition has changed")
    if before.max_visits != after.max_visits:
        found.append(f"max_visits {before.max_visits or 'none'} -> {after.max_visits or 'none'}")
    if before.on_limit != after.on_limit:
        found.append(f"on_limit {before.on_limit} -> {after.on_limit}")
    return found


def _reordered(before: RouteSpec, numbers: list[int], order: list[int]) -> str:
    """Edges that are the same and stand in another order: it counts among the conditions of one node."""
    by_source: dict[str, list[int]] = {}
    for number, place in zip(numbers, order, strict=True):
        if before.edges[number].when:
            by_source.setdefault(before.edges[number].source, []).append(place)
    asked = [source or "START" for source, places in by_source.items() if places != sorted(places)]
    if asked:
        return f"the conditions of the edges of {', '.join(asked)} are asked in another order"
    return "its edges stand in another order"
