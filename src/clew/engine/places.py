"""Where visits stand in their graphs, as people speak of it: which step, which branch, what kind of node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clew.kernel.visits import Group, Items, Scope, Visit, Walk


def is_parallel(group: Group) -> bool:
    """Whether the members of a group are branches: those of a parallel node, or the items of a map."""
    return isinstance(group, Items) or (isinstance(group, Scope) and group.topology.spec.branches)


def branch_of(visit: Visit) -> dict[str, Any] | None:
    """What `node_items.BranchStarted` tells of the branch that a visit is; None if it is none."""
    group, index = visit.group, visit.index
    if not is_parallel(group):
        return None
    name = visit.node.spec.id
    if isinstance(group, Items):
        name = group.keys[index] if group.keys else str(index)
    return {"parallel": group.path, "branch": name, "index": index}


def step_of(visit: Visit) -> int | None:
    """The step of the innermost state graph that a visit belongs to, from 1; None outside of state graphs."""
    while not isinstance(visit.group, Walk):
        if visit.group.owner is None:
            return None
        visit = visit.group.owner
    return visit.index + 1


def kind_of(visit: Visit) -> str:
    """What performs a visit, as `status.NodeStatus.kind` says it."""
    kind = visit.node.spec.kind
    return f"map {kind}" if visit.is_map else kind


def lacks_attempts(visit: Visit) -> bool:
    """Whether a visit settles without attempts of its own."""
    return visit.is_group or visit.is_barrier


def attempts_of(visit: Visit, openings: Mapping[str, int]) -> int:
    """How many attempts there were of a visit; of one that has none, how often it has begun. At least 1."""
    return max(1, openings.get(visit.path, 0) if lacks_attempts(visit) else visit.attempt)


def is_in_map(visit: Visit) -> bool:
    """Whether a visit is an item of a map, or a part of one."""
    group: Group | None = visit.group
    while group is not None:
        if isinstance(group, Items):
            return True
        group = group.owner.group if group.owner is not None else None
    return False
