"""What is due, earliest first. An entry that has lost its meaning stays until it comes up, or too many have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

V = TypeVar("V")


class Timer(NamedTuple, Generic[V]):
    """Something that is due.

    Attributes:
        due: when, in seconds since the epoch.
        order: tells apart what is due at once; set earlier, fired earlier.
        kind: ``attempt``, ``total``, ``retry`` or ``wait``; of a visit. ``run`` is the run's own.
        of: the visit; None for the run's.
        key: of the wait, for a wait.
    """

    due: float
    order: int
    kind: str
    of: V | None
    key: str


class Timers(Generic[V]):
    """A heap of timers.

    Whoever asks says which of them still hold. One that has lost its meaning is forgotten; whoever gives it a
    meaning again sets it again.

    Args:
        holds: whether a timer means something in the present state.
    """

    def __init__(self, holds: Callable[[Timer[V]], bool]) -> None:
        self._holds = holds
        self._heap: list[Timer[V]] = []
        self._next = 0
        #: Length at which the heap is cleared of stale entries; twice what the last clearing left.
        self._limit = 64

    def set(self, due: float, kind: str, of: V | None, key: str = "") -> None:
        """Remember that something is due."""
        if len(self._heap) > self._limit:
            self._heap = list(self)
            heapify(self._heap)
            self._limit = 2 * len(self._heap) + 64
        self._next += 1
        heappush(self._heap, Timer(due, self._next, kind, of, key))

    def earliest(self) -> float | None:
        """When something is due next."""
        while self._heap and not self._holds(self._heap[0]):
            heappop(self._heap)
        return self._heap[0].due if self._heap else None

    def take_due(self, now: float) -> Timer[V] | None:
        """Take out the first that is due at `now`, if any is."""
        due = self.earliest()
        return heappop(self._heap) if due is not None and due <= now else None

    def put_back(self, timer: Timer[V]) -> None:
        """Remember one that was taken and did not happen."""
        heappush(self._heap, timer)

    def __iter__(self) -> Iterator[Timer[V]]:
        """Those that hold, in no order."""
        return (timer for timer in self._heap if self._holds(timer))

    def __len__(self) -> int:
        """How many are remembered, stale ones included."""
        return len(self._heap)
