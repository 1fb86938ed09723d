"""How quickly a run gets on, and how much is still to come: figures that are left out when they are not known.

The number of nodes grows while a run goes on: a map knows its items only when it opens. As long as a map has
not, the end of the run cannot be estimated, and nothing pretends to. What sub-graphs hold is known from the
definition and is counted before they open.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from clew.kernel.topology import Node, Topology

#: Seconds that the rate looks back.
WINDOW_S = 10.0
#: Seconds between two samples.
SAMPLE_S = 0.25
#: Nodes that must have settled within the window before an estimate is made.
ENOUGH = 3


class Size(NamedTuple):
    """What a graph holds, as far as its definition tells: leaves, and maps whose items are not known."""

    leaves: int
    maps: int


def size_of(topology: Topology) -> Size:
    """The size of a graph with all that is in it."""
    leaves, maps = 0, 0
    for node in topology.nodes:
        if node.spec.map is not None:
            maps += 1
        elif node.inner is not None:
            inner = size_of(node.inner)
            leaves, maps = leaves + inner.leaves, maps + inner.maps
        else:
            leaves += 1
    return Size(leaves, maps)


def size_inside(node: Node) -> Size:
    """The size of one entry of a node: of one item, if it is mapped."""
    return size_of(node.inner) if node.inner is not None else Size(1, 0)


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
