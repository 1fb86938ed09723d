"""How much of a run is still to come, and how quickly it gets on; figures that are not known are left out.

The number of nodes grows while a run goes on: a map knows its items only when it opens, and a state graph its
steps only when it has ended. As long as one of them does not know, the end of the run cannot be estimated, and
nothing pretends to. What sub-graphs hold is known from the definition and is counted before they open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from clew.kernel import events as e
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, NodeState
from clew.kernel.topology import Node, Topology
from clew.kernel.visits import Group, Scope, Visit, Walk

#: Seconds that the rate looks back.
WINDOW_S = 10.0
#: Seconds between two samples.
SAMPLE_S = 0.25
#: Nodes that must have settled within the window before an estimate is made.
ENOUGH = 3


class Size(NamedTuple):
    """What a part of a run is still to bring.

    Attributes:
        leaves: of sub-graphs that have not begun, by the definition.
        unknown: maps that have not told how many items they have, and state graphs that have not ended.
    """

    leaves: int
    unknown: int


NONE = Size(0, 0)
_UNKNOWN = Size(0, 1)


def size_of(topology: Topology) -> Size:
    """The size of a graph with all that is in it, before it begins."""
    if topology.routing is not None:
        return _UNKNOWN
    leaves, unknown = 0, 0
    for node in topology.nodes:
        if node.spec.map is not None:
            unknown += 1
        elif node.inner is not None:
            inner = size_of(node.inner)
            leaves, unknown = leaves + inner.leaves, unknown + inner.unknown
        else:
            leaves += 1
    return Size(leaves, unknown)


class Outlook:
    """Keeps count of what is still to come of a run, from event to event.

    Args:
        run: folded by who calls: `before` is called before an event is folded, everything else after it.

    Attributes:
        leaves: see `Size`.
        unknown: likewise.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.leaves = 0
        self.unknown = 0
        #: Sizes of what an entry of a node holds, by the identity of the node.
        self._static: dict[int, Size] = {}
        #: What a group still held that a retry of the run has kept, and that is opened now.
        self._kept: Size | None = None

    def count_again(self) -> None:
        """Go over the whole run."""
        self.leaves = self.unknown = 0
        self._static.clear()  # the graph may be another one than before
        if self._run.root is not None:
            self._add(self._still_in(self._run.root))

    def before(self, event: e.AnyEvent) -> None:
        """An event is about to be folded."""
        if isinstance(event, e.ScopeOpened):
            inner = self._run.visits[event.path].inner
            self._kept = self._still_in(inner) if inner is not None else None

    def scope_opened(self, visit: Visit) -> None:
        """A sub-graph began; what it holds counts among the run's nodes from now on."""
        inner = visit.inner
        if self._kept is not None:
            assert inner is not None
            self._add(self._still_in(inner), less=self._kept)
        elif isinstance(inner, Scope):
            self.leaves -= inner.topology.leaves

    def map_opened(self, visit: Visit, count: int) -> None:
        """A map knows its items."""
        self.unknown -= 1
        if visit.node.inner is not None:
            inside = self._inside(visit.node)
            self._add(Size(inside.leaves * count, inside.unknown * count))

    def routed(self, walk: Walk) -> None:
        """The token of a state graph has come to another node, or to the end."""
        if not _goes_on(walk):
            return
        if walk.done:
            self.unknown -= 1
        elif (visit := walk.last) is not None and visit.is_group:
            self._add(self._unopened(visit.node, visit))

    def settled(self, visit: Visit) -> None:
        """A visit is over; a group that ends without having begun holds nothing to be waited for."""
        inner = visit.inner
        if not visit.is_group or not _goes_on(visit.group):
            return
        if inner is None:
            self._add(NONE, less=self._unopened(visit.node, visit))
        elif isinstance(inner, Walk) and not (inner.done or inner.stop):
            self.unknown -= 1

    def stopping(self, group: Group) -> None:
        """A group ends early: nothing of what has not begun in it will."""
        if group.owner is None:
            self.count_again()
        elif _goes_on(group.owner.group):
            self._add(NONE, less=self._still_in(group, before_stop=True))

    def _add(self, size: Size, less: Size = NONE) -> None:
        self.leaves += size.leaves - less.leaves
        self.unknown += size.unknown - less.unknown

    def _still_in(self, group: Group, *, before_stop: bool = False) -> Size:
        """What has not begun in a group and all that is in it, now or just before it was stopped."""
        if group.stop and not before_stop:
            return NONE
        leaves, unknown = 0, int(isinstance(group, Walk) and not group.done)
        for node, visit in members_of(group):
            if not node.is_group:
                continue
            if visit is not None and visit.inner is not None:
                size = NONE if visit.state in SETTLED else self._still_in(visit.inner)
            elif visit is None or visit.state not in SETTLED:
                size = self._unopened(node, visit)
            else:  # what had not begun was cancelled by the stop itself
                cut_off = before_stop and visit.state is NodeState.CANCELLED
                size = self._unopened(node, visit) if cut_off else NONE
            leaves, unknown = leaves + size.leaves, unknown + size.unknown
        return Size(leaves, unknown)

    def _unopened(self, node: Node, visit: Visit | None) -> Size:
        """What a member that has not begun is expected to hold."""
        if node.spec.map is not None and (visit is None or visit.is_map):
            return _UNKNOWN
        return self._inside(node) if node.inner is not None else NONE

    def _inside(self, node: Node) -> Size:
        """The size of one entry of a node that is a graph: of one item, if it is mapped."""
        assert node.inner is not None
        if id(node) not in self._static:
            self._static[id(node)] = size_of(node.inner)
        return self._static[id(node)]


def members_of(group: Group) -> Iterator[tuple[Node, Visit | None]]:
    """The members of a group, also those that have no visit yet."""
    if isinstance(group, Scope):
        yield from zip(group.topology.nodes, group.members, strict=True)
    else:
        yield from ((visit.node, visit) for visit in group.members if visit is not None)


def _goes_on(group: Group) -> bool:
    """Whether neither a group nor one that it is in was stopped; of those that were, nothing is expected."""
    while not group.stop:
        if group.owner is None:
            return True
        group = group.owner.group
    return False


class Pace:
    """Samples of how many nodes have settled, over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float, settled: int) -> None:
        """Take a sample, unless the last one is too fresh."""
        samples = self._samples
        if samples and (now - samples[-1][0] < SAMPLE_S or settled < samples[-1][1]):
            if settled < samples[-1][1]:  # the run was taken up again: what was done is done anew
                samples.clear()
            return
        samples.append((now, settled))
        while len(samples) > 2 and samples[1][0] <= now - WINDOW_S:
            samples.popleft()

    def rate(self, now: float, settled: int) -> float | None:
        """Nodes per second in the window; None while that is not known."""
        if not self._samples:
            return None
        at, before = self._samples[0]
        if now - at < 4 * SAMPLE_S:
            return None
        return (settled - before) / (now - at)

    def left_s(self, now: float, settled: int, remaining: int) -> float | None:
        """Seconds until `remaining` more have settled, at this rate; None while nobody can tell."""
        rate = self.rate(now, settled)
        if not rate or settled - self._samples[0][1] < ENOUGH:
            return None
        return remaining / rate
