"""What can be said of a group by looking at its members; `flow` decides what follows from it."""

from __future__ import annotations

from clew.kernel.states import SETTLED, UNDER_WAY, NodeState
from clew.kernel.visits import Group, Items, Visit, Walk


def failures(group: Group) -> list[Visit]:
    """The failed members that make their group fail, in the order in which they did.

    A state graph goes on from a failed node by its fallback edge, or is stopped. Branches that may fail do not
    make their group fail, unless all of them have.
    """
    if isinstance(group, Walk):
        return []
    failed = [visit for index in group.failed if (visit := group.members[index]) is not None]
    if group.walk is not None and len(failed) == len(group.members):
        return failed
    if isinstance(group, Items):
        return [] if group.collects else failed
    return [visit for visit in failed if not visit.node.goes_on]


def is_cut_short(group: Group) -> bool:
    """Whether some members never came to anything, or a state graph to its end."""
    if isinstance(group, Walk):
        return not group.done
    return any(visit is None or visit.state is NodeState.CANCELLED for visit in group.members)


def is_lost(group: Items, item: Visit) -> bool:
    """Whether a map goes on without an item: not if the item makes it fail, for then the map itself tells."""
    assert group.owner is not None
    if item.state is NodeState.COMPLETED or item.state not in SETTLED:
        return False
    fatal = item.state is NodeState.CANCELLED or (item.state is NodeState.FAILED and not group.collects)
    return not fatal or group.owner.state in SETTLED


def has_room(visit: Visit) -> bool:
    """Whether the group of a visit may have one more under way; and of a map that is a branch, its own group."""
    group = visit.group
    if group.limit is not None and group.active >= group.limit:
        return not isinstance(group, Items) and at_work(group) < group.limit
    if isinstance(group, Items) and not group.active:
        assert group.owner is not None
        return has_room(group.owner)
    return True


def at_work(group: Group) -> int:
    """How many members are under way; a map that is a branch is not as long as none of its items is."""
    if isinstance(group, Items):
        return group.active
    under_way = [visit for visit in group.members if visit is not None and visit.state in UNDER_WAY]
    return sum(not visit.is_map or visit.inner is None or visit.inner.active > 0 for visit in under_way)
