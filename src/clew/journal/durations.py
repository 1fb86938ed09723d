"""How long the nodes of graphs have taken: what earlier runs tell about later ones. Estimates, and no facts.

They are kept by graph and place, not by run; older runs fade, and there is a limit for how many places and graphs
are remembered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec

#: A mean is that of about so many of the last durations.
FADES = 20
#: Places of one graph, and graphs, that are remembered; of more graphs, those that ran last.
PLACES, GRAPHS = 500, 200


class Duration(msgspec.Struct, frozen=True, gc=False):
    """How long what is at a place of a graph has taken.

    Attributes:
        graph: the graph's name.
        place: the node's address without visits and items; an item of a map has ``[]`` in it.
        count: how often that was measured.
        mean_s: the mean of the last ones, in seconds.
        last_s: the last one, in seconds.
    """

    graph: str
    place: str
    count: int
    mean_s: float
    last_s: float


def merged(before: Duration | None, new: Duration) -> Duration:
    """What is known with some more measurements."""
    if before is None:
        return new
    old, more = min(before.count, FADES), min(new.count, FADES)
    mean = (old * before.mean_s + more * new.mean_s) / (old + more)
    return msgspec.structs.replace(new, count=before.count + new.count, mean_s=mean)


class Learns(ABC):
    """The part of a journal in memory that remembers durations; see `port.Journal`."""

    def __init__(self) -> None:
        super().__init__()
        #: By graph, the one that ran last at the end; then by place.
        self._durations: dict[str, dict[str, Duration]] = {}

    @abstractmethod
    def version(self) -> int:
        """See `port.Journal.version`; raises if the journal is closed."""

    async def learn(self, durations: Sequence[Duration], at: float) -> None:  # noqa: ARG002 - the order tells
        """See `port.Journal.learn`."""
        self.version()
        for new in durations:
            of_graph = self._durations.pop(new.graph, {})
            self._durations[new.graph] = of_graph
            if new.place in of_graph or len(of_graph) < PLACES:
                of_graph[new.place] = merged(of_graph.get(new.place), new)
        while len(self._durations) > GRAPHS:
            del self._durations[next(iter(self._durations))]

    async def learned(self, graph: str) -> dict[str, Duration]:
        """See `port.Journal.learned`."""
        self.version()
        return dict(self._durations.get(graph, {}))
