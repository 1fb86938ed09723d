"""Keeps this engine's lease alive from a thread of its own, so that a busy event loop loses no run."""

from __future__ import annotations

import logging
import threading

from clew.engine.clock import Clock
from clew.errors import ClewError
from clew.journal.ownership import LEASE_S
from clew.journal.port import Journal
from clew.journal.records import Owner, RunRow

_LOG = logging.getLogger("clew.engine")


class Keeper:
    """Renews one owner, from `begin` to `end`."""

    def __init__(self, journal: Journal, owner: Owner, clock: Clock) -> None:
        self._journal = journal
        self._owner = owner
        self._clock = clock
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        #: When the owner was last known to be taken for alive, in seconds since the epoch.
        self._renewed_at = 0.0

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

    async def holds(self, row: RunRow) -> bool:
        """Whether a run with this row is still this owner's; asks the journal if renewal is late."""
        if self._clock.now() - self._renewed_at < LEASE_S:
            return True
        stored = await self._journal.row(row.run)
        return stored is not None and stored.epoch == row.epoch

    def end(self) -> None:
        """Renew no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_S / 3):
            try:
                self._renew_now()
            except ClewError as error:
                # If it stays so, others may take the runs over, and the epoch keeps this process from writing.
                _LOG.warning("the lease could not be renewed: %s", error)

    def _renew_now(self) -> None:
        now = self._clock.now()
        self._journal.renew(self._owner, now)
        self._renewed_at = now
