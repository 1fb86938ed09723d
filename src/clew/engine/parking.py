"""Runs of this engine that are not in memory: when each is due, and nothing else."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

from clew.engine.clock import Clock
from clew.errors import StorageError, UnfitError

#: A run that was lost to a fault of the journal is taken up again after so many seconds, then after twice as many.
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0


class Parked(NamedTuple):
    """When a run is due, in seconds since the epoch (None: when somebody says so); whether a fault put it here."""

    due: float | None
    lost: bool = False


class Parking:
    """Where runs wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parked: dict[str, Parked] = {}
        #: Earliest first; entries that do not hold any more are stale.
        self._due: list[tuple[float, str]] = []
        self._faults: dict[str, int] = {}

    def get(self, run: str) -> Parked | None:
        """How a run is parked, if it is."""
        return self._parked.get(run)

    def __contains__(self, run: str) -> bool:
        """Whether a run is parked."""
        return run in self._parked

    def __len__(self) -> int:
        """How many are."""
        return len(self._parked)

    def put(self, run: str, parked: Parked) -> None:
        """A run is parked."""
        self._parked[run] = parked
        if parked.due is not None:
            heappush(self._due, (parked.due, run))

    def put_lost(self, run: str) -> None:
        """The journal failed a run: it is to be taken up again when it may do better."""
        faults = self._faults[run] = self._faults.get(run, 0) + 1
        delay = min(FIRST_RETRY_S * 2 ** (faults - 1), LAST_RETRY_S)
        self.put(run, Parked(self._clock.now() + delay, lost=True))

    def is_well(self, run: str) -> None:
        """The journal does well by a run again."""
        self._faults.pop(run, None)

    def remove(self, run: str) -> None:
        """A run is not parked any more."""
        self._parked.pop(run, None)

    @property
    def next_due(self) -> float | None:
        """When the first of them is due."""
        while self._due and not self._holds(*self._due[0]):
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def take_due(self) -> list[str]:
        """Those that are due now; each is told once."""
        runs: list[str] = []
        now = self._clock.now()
        while (due := self.next_due) is not None and due <= now:
            runs.append(heappop(self._due)[1])
        return runs

    def _holds(self, due: float, run: str) -> bool:
        parked = self._parked.get(run)
        return parked is not None and parked.due == due


def may_pass(error: BaseException | None) -> bool:
    """Whether a fault of the journal may be over after a while."""
    return isinstance(error, StorageError) and not isinstance(error, UnfitError)
