"""How far a run is, weighted by how long its nodes are expected to take, and how long it will take yet.

How long a node takes is known from earlier runs, else from what its definition expects; otherwise it counts like
the others, and nobody says when the run ends. Where not even the number of nodes is known (a map that has not
listed its items, a state graph that may go round), there is no share either: none is better than a wrong one.

The work is in proportion to the nodes, not to the items of maps.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import median
from typing import NamedTuple

import msgspec

from clew.engine.durations import place_of
from clew.kernel import addresses
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, NodeState, RunState
from clew.kernel.topology import Node, Topology
from clew.kernel.visits import Group, Items, Scope, Visit, Walk

#: Items that must have settled before a map tells by its own pace how long it takes yet.
ENOUGH = 3
#: Maps of more items are not looked at item by item.
FEW = 50
#: Of maps of more items, it is not named which of these are under way.
MANY = 1_000
#: Nodes under way that are named.
NAMED = 10
#: Who takes longer than expected is expected to take so much longer again.
_LONGER = 0.1


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a run is.

    Attributes:
        fraction: of the work that is done, 0 to 1; None if nobody knows how much there is.
        left_s: seconds until the run ends; None if nobody knows.
        current: addresses of what is under way or waits, at most ten.
    """

    fraction: float | None = None
    left_s: float | None = None
    current: tuple[str, ...] = ()


class _Work(NamedTuple):
    """A part of a run: seconds of work that are done and that are left, and seconds until it is over."""

    done: float
    rest: float | None
    left: float | None


_NOTHING = _Work(0.0, 0.0, 0.0)
_UNKNOWN = _Work(0.0, None, None)


def progress_of(
    run: Run,
    expected: Mapping[str, float],
    now: float,
    told: Mapping[str, float] | None = None,
    at_once: int = 100,
) -> Progress:
    """How far a run is at a moment.

    Args:
        run: folded.
        expected: seconds by place, as earlier runs have told; see `durations.Durations.expected`.
        now: in seconds since the epoch.
        told: what bodies have told about themselves by now, 0 to 1, by address.
        at_once: attempts that may be under way at once.
    """
    if run.undoing is not None:
        size = len(run.undoing.members)
        return Progress(fraction=(run.undoing.settled - len(run.undoing.failed)) / size if size else 1.0)
    if run.state is RunState.COMPLETED:
        return Progress(fraction=1.0)
    if run.root is None or run.ended:
        return Progress()
    estimate = _Estimate(expected, now, told or {}, at_once, run.topology)
    work = estimate.group(run.root)
    fraction = None if work.rest is None else work.done / (work.done + work.rest) if work.done + work.rest else 1.0
    return Progress(
        fraction=None if fraction is None else min(fraction, 0.99),
        left_s=work.left if run.state is RunState.RUNNING else None,
        current=tuple(_current(run.root, NAMED)),
    )


def _current(group: Group, limit: int) -> list[str]:
    """What is under way in a group or waits, the innermost of it."""
    found: list[str] = []
    members = group.members if isinstance(group, Scope | Walk) or len(group.members) <= MANY else []
    for visit in members:
        if len(found) >= limit:
            break
        if visit is None or visit.state not in _CURRENT:
            continue
        inside = _current(visit.inner, limit - len(found)) if visit.inner is not None else []
        found += inside or [visit.path]
    return found


_CURRENT = frozenset({NodeState.RUNNING, NodeState.STOPPING, NodeState.WAITING, NodeState.RETRYING})


class _Estimate:
    """What is expected of one run at one moment."""

    def __init__(
        self,
        expected: Mapping[str, float],
        now: float,
        told: Mapping[str, float],
        at_once: int,
        topology: Topology,
    ) -> None:
        self._expected = expected
        self._now = now
        self._told = told
        self._at_once = max(1, at_once)
        known = [seconds for each in _leaves(topology, "") if (seconds := self._seconds(*each)) is not None]
        #: What a node counts of which nothing is known.
        self._usual = median(known) if known else 1.0

    def _seconds(self, place: str, node: Node) -> float | None:
        """How long what is at a place is expected to take: learned, else declared."""
        learned = self._expected.get(place)
        if learned is not None:
            return learned
        declared = node.spec.expected_s
        is_map = node.spec.map is not None and not place.endswith("[]")
        return None if is_map else declared  # it is declared for one item

    # ------------------------------------------------------------------ what has begun

    def group(self, group: Group) -> _Work:
        """A graph, a state graph or a map that has begun."""
        if group.stop:
            return _NOTHING  # it ends as soon as what is under way has
        if isinstance(group, Items):
            return self._items(group)
        return self._walk(group) if isinstance(group, Walk) else self._scope(group)

    def _scope(self, scope: Group) -> _Work:
        assert isinstance(scope, Scope)
        parts = [
            self._visit(visit) if visit is not None else self._ahead(place_of(scope.member_path(index)), node)
            for index, (node, visit) in enumerate(zip(scope.topology.nodes, scope.members, strict=True))
        ]
        return self._together(scope.topology, parts)

    def _together(self, topology: Topology, parts: list[_Work]) -> _Work:
        """Nodes of a graph, each after those that it needs, and no more at once than may be."""
        ends = [0.0] * len(parts)
        busy = 0.0
        for index in topology.order:
            left = parts[index].left
            if left is None:
                ends = []
                break
            busy += left
            ends[index] = left + max((ends[need] for need in topology.nodes[index].needs), default=0.0)
        at_once = max(1, min(self._at_once, topology.spec.max_concurrency))
        left = max([busy / at_once, *ends]) if ends or not parts else None
        return _Work(sum(part.done for part in parts), _sum(part.rest for part in parts), left)

    def _items(self, items: Items) -> _Work:
        count, settled, place = len(items.members), items.settled, f"{place_of(items.path)}[]"
        one = self._item_ahead(place, items.node)
        own = self._pace(items)
        limit = min(self._at_once, items.limit or self._at_once)
        if count <= FEW:
            parts = [one if visit is None else self._visit(visit) for visit in items.members]
            lefts = [part.left for part in parts]
            known = [left for left in lefts if left is not None]
            left = max([sum(known) / limit, *known], default=0.0) if len(known) == len(lefts) else own
            return _Work(sum(part.done for part in parts), _sum(part.rest for part in parts), left)
        if one.rest is None:
            return _UNKNOWN
        left = own if own is not None or one.left is None else math.ceil((count - settled) / limit) * one.left
        return _Work(settled * one.rest, (count - settled) * one.rest, left)

    def _pace(self, items: Items) -> float | None:
        """How long a map takes yet, if it goes on as before."""
        began = items.owner.started_at if items.owner is not None else None
        if items.settled < ENOUGH or began is None:
            return None
        return (self._now - began) / items.settled * (len(items.members) - items.settled)

    def _walk(self, walk: Walk) -> _Work:
        visits = [visit for visit in walk.members if visit is not None]
        done = sum(self._visit(visit).done for visit in visits)
        if walk.done:
            return _Work(done, 0.0, 0.0)
        last = visits[-1] if visits else None
        at = walk.topology.index.get(last.node.spec.id) if last is not None else -1
        if at is None or (ways := _Ways(walk.topology, at)).go_round:
            return _UNKNOWN
        now = self._visit(last) if last is not None else _NOTHING
        ahead = ways.longest(lambda index: self._ahead_in(walk, index))
        return _Work(done, _sum([now.rest, ahead.rest]), _sum([now.left, ahead.left]))

    def _ahead_in(self, walk: Walk, index: int) -> _Work:
        node = walk.topology.nodes[index]
        return self._ahead(place_of(addresses.child(walk.path, node.spec.id)), node)

    def _visit(self, visit: Visit) -> _Work:
        place, node = place_of(visit.path), visit.node
        if visit.is_barrier:
            return _Work(0.0, 0.0, 0.0 if visit.state in SETTLED else None)
        if visit.state in SETTLED:
            inside = self.group(visit.inner) if visit.inner is not None and not visit.inner.stop else _NOTHING
            weight = self._whole(place, node) if visit.inner is None else inside.done + (inside.rest or 0.0)
            return _Work(weight, 0.0, 0.0)
        if visit.inner is not None:
            inside = self.group(visit.inner)
            return inside if inside.rest is not None else self._opaque(visit, place)
        if visit.is_group:
            return self._ahead(place, node) if visit.is_map else self._item_ahead(place, node)
        return self._leaf(visit, place)

    def _whole(self, place: str, node: Node) -> float:
        """What a visit without members counts."""
        seconds = self._seconds(place, node)
        return self._usual if seconds is None else seconds

    def _opaque(self, visit: Visit, place: str) -> _Work:
        """A group of which nobody knows how much is in it, only how long it mostly takes."""
        seconds = self._seconds(place, visit.node)
        if seconds is None or visit.started_at is None:
            return _UNKNOWN
        return _so_far(self._now - visit.started_at, seconds)

    def _leaf(self, visit: Visit, place: str) -> _Work:
        seconds = self._seconds(place, visit.node)
        weight = self._usual if seconds is None else seconds
        if visit.state is NodeState.WAITING:
            return self._waiting(visit, weight, seconds)
        if visit.state is NodeState.RETRYING:
            wait = max(0.0, (visit.retry_due or self._now) - self._now)
            return _Work(0.0, weight, None if seconds is None else wait + seconds)
        if visit.state is not NodeState.RUNNING or visit.started_at is None:
            return _Work(0.0, weight, seconds)
        spent, share = max(0.0, self._now - visit.started_at), self._told.get(visit.path, 0.0)
        if share > 0.0:
            return _Work(weight * share, weight * (1 - share), spent * (1 - share) / share)
        return _so_far(spent, seconds) if seconds is not None else _Work(0.0, weight, None)

    def _waiting(self, visit: Visit, weight: float, seconds: float | None) -> _Work:
        """Who sleeps goes on at a known time; when people answer, nobody knows."""
        due = [wait.due for wait in (visit.waits or {}).values() if not wait.outcome]
        kinds = {wait.kind for wait in (visit.waits or {}).values() if not wait.outcome}
        if kinds != {"timer"} or visit.started_at is None:
            return _Work(0.0, weight, None)
        spent = max(0.0, self._now - visit.started_at)
        left = max(0.0, *(each - self._now for each in due if each is not None), (seconds or 0.0) - spent)
        share = spent / (spent + left) if spent + left else 0.0
        return _Work(weight * share, weight * (1 - share), left)

    # ------------------------------------------------------------------ what is ahead

    def _ahead(self, place: str, node: Node) -> _Work:
        """A node that has not begun."""
        if node.spec.map is not None:
            seconds = self._seconds(place, node)
            return _Work(0.0, seconds, seconds)
        return self._item_ahead(place, node)

    def _item_ahead(self, place: str, node: Node) -> _Work:
        """The same of what is no map, or an item of one."""
        if node.spec.barrier is not None:
            return _Work(0.0, 0.0, None)
        seconds = self._seconds(place, node)
        if node.inner is None:
            return _Work(0.0, self._usual if seconds is None else seconds, seconds)
        inside = self._graph_ahead(place, node.inner)
        if inside.rest is None or (inside.left is None and seconds is not None):
            return _Work(0.0, seconds if inside.rest is None else inside.rest, seconds)
        return inside

    def _graph_ahead(self, place: str, topology: Topology) -> _Work:
        def ahead(index: int) -> _Work:
            node = topology.nodes[index]
            return self._ahead(addresses.child(place, node.spec.id), node)

        if topology.routing is not None:
            ways = _Ways(topology, -1)
            return _UNKNOWN if ways.go_round else ways.longest(ahead)
        return self._together(topology, [ahead(node.index) for node in topology.nodes])


class _Ways:
    """The ways through a state graph from a node, or from its start (-1)."""

    def __init__(self, topology: Topology, start: int) -> None:
        self._topology = topology
        self._after = {start: self._targets(start)}
        todo = [*self._after[start]]
        while todo:
            index = todo.pop()
            if index not in self._after:
                self._after[index] = self._targets(index)
                todo += self._after[index]
        self._start = start
        self._order = self._ordered()

    @property
    def go_round(self) -> bool:
        """Whether a node may be visited twice: then nobody knows how long a way is."""
        return len(self._order) < len(self._after)

    def longest(self, weigh: Callable[[int], _Work]) -> _Work:
        """The longest way to the end, without the node that it leads from."""
        rests: dict[int, float | None] = {}
        lefts: dict[int, float | None] = {}
        for index in reversed(self._order):
            work = weigh(index) if index != self._start else _NOTHING
            rests[index] = _sum([work.rest, _most([rests[each] for each in self._after[index]])])
            lefts[index] = _sum([work.left, _most([lefts[each] for each in self._after[index]])])
        return _Work(0.0, rests[self._start], lefts[self._start])

    def _targets(self, index: int) -> list[int]:
        routing = self._topology.routing
        assert routing is not None
        exits = routing.start if index < 0 else routing.exits[index]
        targets = {routing.edges[edge].target for edge in exits.all}
        return [self._topology.index[target] for target in targets if target]

    def _ordered(self) -> list[int]:
        """The nodes in an order in which each comes after those that lead to it; without those that go round."""
        waits = Counter(each for targets in self._after.values() for each in targets)
        order = [] if waits[self._start] else [self._start]
        for index in order:
            for each in self._after[index]:
                waits[each] -= 1
                if waits[each] == 0:
                    order.append(each)
        return order


def _so_far(spent: float, seconds: float) -> _Work:
    """Something that has taken so long, and is expected to take so long in all."""
    left = max(seconds - spent, _LONGER * spent)
    share = spent / (spent + left) if spent + left else 1.0
    return _Work(seconds * share, seconds * (1 - share), left)


def _sum(parts: Iterable[float | None]) -> float | None:
    """The sum, if all parts are known."""
    whole = 0.0
    for part in parts:
        if part is None:
            return None
        whole += part
    return whole


def _most(parts: list[float | None]) -> float | None:
    """The largest, if all parts are known."""
    known = [part for part in parts if part is not None]
    return max(known, default=0.0) if len(known) == len(parts) else None


def _leaves(topology: Topology, place: str) -> Iterator[tuple[str, Node]]:
    """The nodes of a graph and of those in it that have attempts of their own, and their places."""
    for node in topology.nodes:
        own = addresses.child(place, node.spec.id)
        own += "[]" if node.spec.map is not None else ""
        if node.inner is not None:
            yield from _leaves(node.inner, own)
        else:
            yield own, node
