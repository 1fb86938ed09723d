"""What goes into a journal and comes out of it, whatever the store."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from clew.kernel.events import AnyEvent


class RunRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One row per run, rewritten by every append, so that nobody has to fold a run to list it.

    Attributes:
        run: the run's id.
        name: of its graph.
        graph: hash of the definition.
        definition: digest of the blob that holds the definition.
        state: as in `kernel.states.RunState`.
        seq: sequence number of its last event.
        epoch: of the owner that may write it.
        owner: id of that owner; empty when nobody drives it.
        generation: counts the retries of the whole run, from 1.
        created_at: seconds since the epoch, like all times here.
        started_at: when it first ran.
        ended_at: when it ended; set in the states in `kernel.states.RUN_ENDED`, and only there.
        wake_at: when something of it is due, if it needs waking.
        total: leaf nodes and items known so far.
        settled: how many of them have settled.
        failed: how many of them have failed.
        running: attempts under way.
        waiting: visits that only wait.
        idle: nothing is to be done until `wake_at` or a signal from outside.
        imported: a copy for inspection, which nobody drives; fixed when the run is created.
        labels: given at start.
        error: why it failed, one line.
        note: what keeps it from going on, for people (a body that cannot be found).
    """

    run: str
    name: str = ""
    graph: str = ""
    definition: str = ""
    state: str = "queued"
    seq: int = 0
    epoch: int = 1
    owner: str = ""
    generation: int = 1
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    wake_at: float | None = None
    total: int = 0
    settled: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0
    idle: bool = False
    imported: bool = False
    labels: dict[str, str] = {}
    error: str = ""
    note: str = ""


#: Fields of its row that an append changes: not the epoch, nor what was fixed when the run was created.
CHANGING = (
    "state", "seq", "owner", "generation", "started_at", "ended_at", "wake_at", "total", "settled", "failed",
    "running", "waiting", "idle", "error", "note",
)  # fmt: skip
#: Fields of its row that an append changes only if it says so: a run goes on with another definition.
REDEFINING = ("name", "graph", "definition")


class Blob(msgspec.Struct, frozen=True, gc=False):
    """A value too large to travel inline, by the SHA-256 of its JSON text."""

    digest: str
    data: bytes


class InboxOutcome(msgspec.Struct, frozen=True):
    """What became of a signal from outside: taken at `seq`, or refused with a reason."""

    id: int
    refusal: str = ""


class Snapshot(msgspec.Struct, frozen=True):
    """Folded state at a sequence number.

    Attributes:
        seq: the last event that is in it.
        data: what changes, as JSON text; replaced by the next snapshot.
        segments: what has settled, by name. On the way in, those that earlier snapshots did not bring; on the way
            out, all.
        whole: no earlier segment counts any more.
    """

    seq: int
    data: bytes
    segments: dict[str, bytes] = {}
    whole: bool = False


class Append(msgspec.Struct, kw_only=True):
    """Everything that one decision of one run puts on disk, in one transaction.

    Attributes:
        row: the run's row afterwards; `row.epoch` must be the run's epoch on disk.
        after: sequence number of the last event on disk; 0 creates the run.
        events: what happened, in order.
        blobs: every value that the events refer to and that no earlier append of the run came with; a blob is
            kept for as long as there is a run whose appends came with it.
        snapshot: folded state at some sequence number up to `after`, or None.
        inbox: signals from outside that this append answers.
        freed: addresses of visits that give back all their exclusive keys. An append that ends the run gives
            back all keys of the run.
        redefines: the run has another definition from here on, and its row says which: `REDEFINING`.
    """

    row: RunRow
    after: int
    events: list[AnyEvent]
    blobs: list[Blob] = []
    snapshot: Snapshot | None = None
    inbox: list[InboxOutcome] = []
    freed: list[str] = []
    redefines: bool = False

    @property
    def at(self) -> float:
        """When it was decided, in seconds since the epoch."""
        return self.events[-1].at if self.events else self.row.created_at


class RunFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which runs are meant: those that fit all that is given. Without anything, all.

    Attributes:
        states: any of these.
        name: of the graph.
        labels: all of these, with these values.
        ended_before: has ended, earlier than this time.
        created_before: was created earlier than this time.
        unfinished: has not ended.
    """

    states: Sequence[str] = ()
    name: str = ""
    labels: dict[str, str] = {}
    ended_before: float | None = None
    created_before: float | None = None
    unfinished: bool = False


#: Every run.
ALL_RUNS = RunFilter()


class KeyHolder(msgspec.Struct, frozen=True):
    """The visit that holds an exclusive key."""

    run: str
    path: str


class Sweep(msgspec.Struct, frozen=True):
    """What a sweep has taken away, or would take.

    Attributes:
        blobs: how many values.
        bytes: their size.
        owners: rows of owners that are gone.
    """

    blobs: int
    bytes: int
    owners: int


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event with its place in the run, 1 for the first."""

    seq: int
    event: AnyEvent


class InboxItem(msgspec.Struct, frozen=True):
    """A signal from outside, as it was recorded; `data` is JSON text."""

    id: int
    run: str
    data: bytes
    at: float
    by: str = ""


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """A piece of what an attempt printed or logged.

    Attributes:
        path: the visit.
        attempt: which try.
        at: seconds since the epoch.
        stream: ``stdout``, ``stderr`` or ``log``.
        text: one line without its end, or part of a very long one.
        id: place among the run's lines, given by the journal.
    """

    path: str
    attempt: int
    at: float
    stream: str
    text: str
    id: int = 0


class Owner(msgspec.Struct, frozen=True):
    """A process that drives runs.

    Attributes:
        id: unique for each opened engine.
        host: identifies the machine and its boot.
        pid: process id there.
        started: start time of that process, as the system tells it, against reuse of the id.
    """

    id: str
    host: str
    pid: int
    started: str
