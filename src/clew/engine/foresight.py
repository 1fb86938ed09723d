"""How far runs are and how long they will take yet, with what earlier runs have told."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from clew.engine.clock import Clock
from clew.engine.durations import Durations
from clew.engine.progress import Progress, progress_of
from clew.journal.port import Journal
from clew.journal.records import RunRow
from clew.kernel.state import Run


class Foresight:
    """Looks ahead, for the runs of one journal.

    Args:
        journal: knows who is alive.
        durations: how long nodes take.
        clock: the time.
        at_once: attempts that may be under way at once.
    """

    def __init__(self, journal: Journal, durations: Durations, clock: Clock, at_once: int) -> None:
        self._journal = journal
        self._durations = durations
        self._clock = clock
        self._at_once = at_once

    async def expected(self, graph: str) -> dict[str, float]:
        """How long the nodes of a graph take, by place, in seconds, as far as earlier runs have told."""
        return await self._durations.expected(graph)

    async def outlook(self, row: RunRow, *, is_here: bool) -> Callable[[Run], Progress]:
        """What tells how far a run is, once it is folded.

        Of a run that no living process drives nobody knows when it ends; `is_here` says that this one does.
        """
        expected = await self._durations.expected(row.name)
        alive = is_here or row.owner in await self._journal.live_owners(self._clock.wall())

        def progress(run: Run) -> Progress:
            found = progress_of(run, expected, self._clock.now(), at_once=self._at_once)
            return found if alive else replace(found, left_s=None)

        return progress
