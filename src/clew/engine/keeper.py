"""Keeps this engine's lease alive from a thread of its own, so that a busy event loop loses no run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable

from clew.engine.clock import Clock
from clew.errors import ClewError
from clew.journal.ownership import LEASE_S
from clew.journal.port import Journal
from clew.journal.records import Owner, RunRow

_LOG = logging.getLogger("clew.engine")

#: The lease is looked after so often, as a share of its length; it is renewed when a third of it has passed.
_GLANCE = 1 / 15


class Keeper:
    """Renews one owner, from `begin` to `end`."""

    def __init__(self, journal: Journal, owner: Owner, clock: Clock) -> None:
        self._journal = journal
        self._owner = owner
        self._clock = clock
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        #: When the owner was last known to be taken for alive, in seconds since the epoch; None before that.
        self._renewed_at: float | None = None
        #: How often a lease had ended before it was renewed: what others may have taken over then is not known.
        self._lapses = 0
        self._looked_into = 0

    def begin(self) -> None:
        """Register the owner, and renew it from now on; the first call counts."""
        if self._thread is None:
            self._renew_now()
            self._thread = threading.Thread(target=self._renew, name="clew-lease", daemon=True)
            self._thread.start()

    @property
    def begun(self) -> bool:
        """Whether the owner has been registered."""
        return self._thread is not None

    async def look_into_lapse(self, check: Callable[[], Awaitable[None]]) -> None:
        """If the lease had ended (this process was stopped, say), check which runs are still this owner's."""
        lapses = self._lapses
        if lapses != self._looked_into:
            _LOG.warning("the lease had ended before it was renewed: others may have taken runs over meanwhile")
            await check()
            self._looked_into = lapses

    async def holds(self, row: RunRow) -> bool:
        """Whether a run with this row is still this owner's; asks the journal if renewal is, or was, late."""
        if self._lapses == self._looked_into and not self._is_late(self._clock.wall()):
            return True
        stored = await self._journal.row(row.run)
        return stored is not None and stored.epoch == row.epoch

    def end(self) -> None:
        """Renew no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _renew(self) -> None:
        while not self._ended.wait(_GLANCE * LEASE_S):
            try:
                if not self._is_fresh():
                    self._renew_now()
            except ClewError as error:
                # If it stays so, others may take the runs over, and the epoch keeps this process from writing.
                _LOG.warning("the lease could not be renewed: %s", error)

    def _renew_now(self) -> None:
        now = self._clock.wall()
        late = self._is_late(now)
        self._journal.renew(self._owner, now)
        # In this order: who asks in between is not told that all is well.
        if late and self._renewed_at is not None:
            self._lapses += 1
        self._renewed_at = now

    def _is_fresh(self) -> bool:
        """Whether there is no need to renew yet; a clock that was set back makes one."""
        return self._renewed_at is not None and 0 <= self._clock.wall() - self._renewed_at < LEASE_S / 3

    def _is_late(self, now: float) -> bool:
        """Whether others may take the owner for dead, as their clock shows what this one does."""
        return self._renewed_at is None or not 0 <= now - self._renewed_at < LEASE_S
