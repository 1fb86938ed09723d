"""Snapshots of runs: what has settled is stored once, in segments; the rest with each snapshot."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import msgspec

from clew.journal.port import Journal
from clew.journal.records import Snapshot
from clew.kernel.snapshot import RunImage, VisitImage, image, revive, sealed_in
from clew.kernel.state import Run
from clew.kernel.topology import Topology


class _Stored(msgspec.Struct):
    """What a snapshot holds."""

    size: int
    image: RunImage


_STORED = msgspec.json.Decoder(_Stored)
_SEGMENT = msgspec.json.Decoder(list[VisitImage])


#: Members of a group that make one segment; a run keeps to what it began with.
SEGMENT = 500


class Snapshots:
    """Takes the snapshots of one run; knows which segments are stored, by `kernel.snapshot.Sealer`.

    Args:
        size: members of a group that make one segment.
        sealed: names of segments that are stored, by address of the group and number.
        generation: the run's, when they were (0 if none are); taken up again, a run changes what had settled.
        definition: likewise; with another one, what had settled is told otherwise.
    """

    def __init__(
        self,
        size: int = SEGMENT,
        sealed: dict[tuple[str, int], str] | None = None,
        generation: int = 0,
        definition: str = "",
    ) -> None:
        self.size = size
        self._sealed = sealed or {}
        self._of = generation, definition
        self._new: dict[str, bytes] = {}

    def take(self, run: Run) -> Snapshot:
        """A snapshot of a run as it is now, with the segments that no earlier one has brought."""
        of = run.generation, run.definition
        whole = of != self._of
        if whole:
            self._of = of
            self._sealed.clear()
        data = msgspec.json.encode(_Stored(self.size, image(run, self)))
        segments, self._new = self._new, {}
        return Snapshot(run.seq, data, segments, whole)

    def known(self, path: str, segment: int) -> str:
        """See `kernel.snapshot.Sealer`."""
        return self._sealed.get((path, segment), "")

    def seal(self, path: str, segment: int, visits: list[VisitImage]) -> str:
        """See `kernel.snapshot.Sealer`."""
        name = self._sealed[path, segment] = f"{path} {segment}"
        self._new[name] = msgspec.json.encode(visits)
        return name


#: Finds a compiled definition by its hash and digest.
Compiled = Callable[[str, str], Awaitable[Topology]]


async def load(journal: Journal, run: str, compiled: Compiled) -> tuple[Run | None, Snapshots]:
    """The state that the newest snapshot of a run holds (None without one), and who takes the next.

    The run may have another definition by now; the events after the snapshot say so.
    """
    stored = await journal.snapshot(run)
    if stored is None:
        return None, Snapshots()
    found = _STORED.decode(stored.data)
    topology = await compiled(found.image.graph, found.image.definition)
    segments: dict[str, list[VisitImage]] = {}
    sealed: dict[tuple[str, int], str] = {}
    todo = list(sealed_in(found.image))
    with no_collection():
        while todo:
            path, number, name = todo.pop()
            sealed[path, number] = name
            if name not in segments:
                segments[name] = _SEGMENT.decode(stored.segments[name])
                todo += sealed_in(segments[name])
        snapshots = Snapshots(found.size, sealed, found.image.generation, found.image.definition)
        return revive(found.image, topology, segments), snapshots


@contextmanager
def no_collection() -> Generator[None, None, None]:
    """The garbage collector waits while a run is built up.

    All that is made stays, and the collector would go through all of it again and again: a sixth of the time that
    a run of 200,000 events took.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
