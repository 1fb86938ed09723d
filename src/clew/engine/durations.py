"""What ended runs tell about how long nodes take: measured when a run has completed, written now and then.

Nothing of it is a fact: who crashes has learned less. A journal that refuses it loses it, with one warning.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from clew.engine.clock import Clock
from clew.errors import ClewError
from clew.journal.durations import FADES, PLACES, Duration, merged
from clew.journal.port import Journal
from clew.kernel import addresses
from clew.kernel.state import Run
from clew.kernel.states import NodeState, RunState
from clew.kernel.visits import Group, Items, Visit

_LOG = logging.getLogger("clew.engine")

#: What was learned is written at the latest so many seconds later, and when the engine is closed.
DELAY_S = 5.0
#: Visits of one run that are looked at, and items of one map.
VISITS, ITEMS = 2_000, FADES


def place_of(path: str) -> str:
    """The place in its graph of a visit: without visits and keys, ``[]`` for an item."""
    parts = (f"{addresses.node_of(part)}{'[]' if '[' in part else ''}" for part in addresses.segments(path))
    return "/".join(parts)


def measured(run: Run) -> dict[str, Duration]:
    """How long what a completed run did has taken, by place."""
    found: dict[str, Duration] = {}
    if run.root is None or run.state is not RunState.COMPLETED:
        return found
    name = run.topology.spec.name
    for visit in _taught(run.root, [VISITS]):
        assert visit.started_at is not None
        assert visit.ended_at is not None
        took = max(0.0, visit.ended_at - visit.started_at)
        place = place_of(visit.path)
        if place in found or len(found) < PLACES:
            found[place] = merged(found.get(place), Duration(name, place, 1, took, took))
    return found


def _taught(group: Group, left: list[int]) -> Iterator[Visit]:
    """The visits of a group that tell how long they take."""
    for visit in _some(group):
        if left[0] <= 0:
            return
        left[0] -= 1
        if visit.inherited or visit.is_barrier:
            continue
        if visit.inner is not None:
            yield from _taught(visit.inner, left)
        if visit.state is NodeState.COMPLETED and visit.started_at is not None and not _waited(visit):
            yield visit


def _waited(visit: Visit) -> bool:
    """Whether people or other runs have kept a visit waiting, or something in it."""
    if visit.is_barrier or visit.waited:
        return True
    return visit.inner is not None and any(map(_waited, _some(visit.inner)))


def _some(group: Group) -> Iterator[Visit]:
    """The members of a group that have begun; of many items, some."""
    members = group.members
    if isinstance(group, Items) and len(members) > ITEMS:
        members = members[:: len(members) // ITEMS]
    return (visit for visit in members if visit is not None)


class Durations:
    """What the runs of an engine teach, and what earlier ones have.

    Args:
        journal: keeps it.
        clock: the time.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._new: dict[tuple[str, str], Duration] = {}
        self._task: asyncio.Task[None] | None = None
        self._warned = self._closed = False

    def learn(self, run: Run) -> None:
        """A run has ended here."""
        if self._closed:
            return
        for place, duration in measured(run).items():
            key = duration.graph, place
            self._new[key] = merged(self._new.get(key), duration)
        if self._new and self._task is None:
            self._task = asyncio.create_task(self._write_soon())

    async def flush(self) -> None:
        """Write what there is, now."""
        new, self._new = self._new, {}
        if not new:
            return
        try:
            await self._journal.learn([*new.values()], self._clock.now())
        except ClewError as error:
            if not self._warned:
                self._warned = True
                _LOG.warning("how long nodes take cannot be kept: %s", error)

    async def expected(self, graph: str) -> dict[str, float]:
        """How long the nodes of a graph take, by place, in seconds, as far as earlier runs have told."""
        return {place: duration.mean_s for place, duration in (await self._journal.learned(graph)).items()}

    async def close(self) -> None:
        """Write what there is, and stop."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    async def _write_soon(self) -> None:
        await asyncio.sleep(DELAY_S)
        self._task = None
        await self.flush()
