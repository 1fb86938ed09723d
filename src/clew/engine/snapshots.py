"""Snapshots of runs: what has settled is stored once, in segments that are blobs; the rest with each snapshot."""

from __future__ import annotations

import msgspec

from clew import codec
from clew.journal.port import Journal
from clew.journal.records import Blob, Snapshot
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
        generation: the run's, when they were; taken up again, a run changes what had settled.
    """

    def __init__(
        self, size: int = SEGMENT, sealed: dict[tuple[str, int], str] | None = None, generation: int = 1
    ) -> None:
        self.size = size
        self._sealed = sealed or {}
        self._generation = generation
        self._blobs: list[Blob] = []

    def take(self, run: Run) -> tuple[Snapshot, list[Blob]]:
        """A snapshot of a run as it is now, and the segments to store with it."""
        if run.generation != self._generation:
            self._generation = run.generation
            self._sealed.clear()
        data = msgspec.json.encode(_Stored(self.size, image(run, self)))
        blobs, self._blobs = self._blobs, []
        return Snapshot(run.seq, data), blobs

    def known(self, path: str, segment: int) -> str:
        """See `kernel.snapshot.Sealer`."""
        return self._sealed.get((path, segment), "")

    def seal(self, path: str, segment: int, visits: list[VisitImage]) -> str:
        """See `kernel.snapshot.Sealer`."""
        data = msgspec.json.encode(visits)
        name = self._sealed[path, segment] = codec.digest(data)
        self._blobs.append(Blob(name, data))
        return name


async def load(journal: Journal, run: str, topology: Topology) -> tuple[Run | None, Snapshots]:
    """The state that the newest snapshot of a run holds (None without one), and who takes the next.

    Raises:
        StorageError: a segment is missing or damaged.
    """
    stored = await journal.snapshot(run)
    if stored is None:
        return None, Snapshots()
    size, data = msgspec.structs.astuple(_STORED.decode(stored.data))
    segments: dict[str, list[VisitImage]] = {}
    sealed: dict[tuple[str, int], str] = {}
    todo = list(sealed_in(data))
    while todo:
        path, number, name = todo.pop()
        sealed[path, number] = name
        if name not in segments:
            segments[name] = _SEGMENT.decode(await journal.blob(name))
            todo += sealed_in(segments[name])
    return revive(data, topology, segments), Snapshots(size, sealed, data.generation)
