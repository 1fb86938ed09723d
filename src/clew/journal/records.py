"""What goes into a journal and comes out of it, whatever the store."""

from __future__ import annotations

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
        ended_at: when it ended.
        wake_at: when something of it is due, if it needs waking.
        total: leaf nodes and items known so far.
        settled: how many of them have settled.
        failed: how many of them have failed.
        running: attempts under way.
        waiting: visits that only wait.
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
    labels: dict[str, str] = {}
    error: str = ""
    note: str = ""


#: Fields of its row that an append changes: not the epoch, nor what was fixed when the run was created.
CHANGING = (
    "state", "seq", "owner", "generation", "started_at", "ended_at", "wake_at", "total", "settled", "failed",
    "running", "waiting", "error", "note",
)  # fmt: skip


class Blob(msgspec.Struct, frozen=True, gc=False):
    """A value too large to travel inline, by the SHA-256 of its JSON text."""

    digest: str
    data: bytes


class InboxOutcome(msgspec.Struct, frozen=True):
    """What became of a signal from outside: taken at `seq`, or refused with a reason."""

    id: int
    refusal: str = ""


class Snapshot(msgspec.Struct, frozen=True):
    """Folded state at a sequence number, as JSON text of `kernel.snapshot.RunImage`."""

    seq: int
    data: bytes


class Append(msgspec.Struct, kw_only=True):
    """Everything that one decision of one run puts on disk, in one transaction.

    Attributes:
        row: the run's row afterwards; `row.epoch` must be the run's epoch on disk.
        after: sequence number of the last event on disk; 0 creates the run.
        events: what happened, in order.
        blobs: values that the events refer to.
        snapshot: folded state at some sequence number up to `after`, or None.
        inbox: signals from outside that this append answers.
    """

    row: RunRow
    after: int
    events: list[AnyEvent]
    blobs: list[Blob] = []
    snapshot: Snapshot | None = None
    inbox: list[InboxOutcome] = []


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
