"""Recorded facts, past tense. A run is the list of these and nothing else.

Every event carries `at`, the time it was decided, in seconds since the epoch. Times are facts that people
read and timers are set by; the order of events is their sequence number, never their time.

`VERSION` is the version of this module's event format. A journal keeps it with what it stores; an event
of an older format is lifted by the upcasters in `clew.journal.upcast` before it is decoded.
"""

from __future__ import annotations

from clew.kernel.body_events import (
    MessageArrived,
    StepCompleted,
    StepFailed,
    StepStarted,
    WaitOpened,
    WaitResolved,
)
from clew.kernel.event_base import Event
from clew.kernel.undo_events import RollbackFailed, RollbackStarted, RunRolledBack, UsageRecorded
from clew.kernel.values import ErrorInfo, Value
from clew.kernel.walk_events import (
    CheckpointTaken,
    DecisionKept,
    DefinitionChanged,
    Routed,
    StateChanged,
    WalkEntered,
)
from clew.kernel.writes import Write

VERSION = 1


class RunAdmitted(Event, frozen=True, kw_only=True):
    """A run exists: its id, the hash of its definition (a blob of the journal) and its inputs.

    With `confirmed`, whoever started it has agreed to what cannot be undone.
    """

    run: str
    graph: str
    definition: str
    inputs: dict[str, Value] = {}
    labels: dict[str, str] = {}
    timeout_s: float | None = None
    confirmed: bool = False


class RunForked(Event, frozen=True, kw_only=True):
    """All events before this one are those of another run, and the run goes on from there as one of its own.

    Attributes:
        run: its id.
        origin: the other run.
        shift_s: by how many seconds everything that is due is later than it was there.
        labels: in place of those of the other run.
        by: who forked it.
    """

    run: str
    origin: str
    shift_s: float = 0.0
    labels: dict[str, str] = {}
    by: str = ""


class RunStarted(Event, frozen=True, kw_only=True):
    """Work on the run may begin."""


class RunPaused(Event, frozen=True, kw_only=True):
    """Nothing new starts until the run is resumed; attempts under way finish."""

    by: str = ""


class RunResumed(Event, frozen=True, kw_only=True):
    """A paused run goes on."""

    by: str = ""


class RunCompleted(Event, frozen=True, kw_only=True):
    """The run ended well; with `on_error="continue"` some of its nodes may have failed."""

    settled: int
    failed: int = 0


class RunFailed(Event, frozen=True, kw_only=True):
    """The run ended with an error; what was completed stays, and the run can be retried."""

    error: ErrorInfo
    settled: int
    failed: int = 0


class RunCancelled(Event, frozen=True, kw_only=True):
    """The run was cancelled, and nothing of it is under way any more."""

    reason: str
    settled: int
    failed: int = 0


class RunRetried(Event, frozen=True, kw_only=True):
    """An ended run goes on in a new generation: its completed work stays, the rest is done anew."""

    generation: int
    by: str = ""


class OwnershipTaken(Event, frozen=True, kw_only=True):
    """Another owner writes the run from here on; attempts of earlier epochs were interrupted."""

    epoch: int
    owner: str


class GroupStopping(Event, frozen=True, kw_only=True):
    """A graph or map ends early: what has not started is cancelled, what is under way is told to stop.

    Attributes:
        path: the sub-graph or map; empty for the run's own graph.
        reason: ``cancel``, ``failed``, ``timeout`` or ``upstream``.
        error: why, as a fact.
        cause: the address of what failed, if the reason is ``upstream``.
    """

    path: str
    reason: str
    error: ErrorInfo
    cause: str = ""


class ScopeOpened(Event, frozen=True, kw_only=True):
    """A sub-graph began: its first nodes are ready."""

    path: str


class MapOpened(Event, frozen=True, kw_only=True):
    """A map knows its items.

    Attributes:
        path: the map.
        count: how many items there are.
        keys: their names, in order; empty when items are named by their index.
        items: the list itself, when it is not simply another node's output.
    """

    path: str
    count: int
    keys: tuple[str, ...] = ()
    items: Value | None = None


class AttemptStarted(Event, frozen=True, kw_only=True):
    """One try of a visit was handed to a worker; with `probe`, to find out whether a lost one took effect."""

    path: str
    attempt: int = 1
    probe: bool = False


class AttemptSuspended(Event, frozen=True, kw_only=True):
    """The attempt only waits (a sleep, a question, a message, a key): it holds no slot and needs no process."""

    path: str
    attempt: int = 1


class AttemptResumed(Event, frozen=True, kw_only=True):
    """What a suspended attempt waited for is there, and it holds a slot again."""

    path: str
    attempt: int = 1


class AttemptStopping(Event, frozen=True, kw_only=True):
    """The attempt was told to stop.

    Why: ``timeout``, ``total_timeout``, ``heartbeat``, ``pause``, or the reason of its group.
    """

    path: str
    attempt: int = 1
    reason: str


class AttemptInterrupted(Event, frozen=True, kw_only=True):
    """The attempt was lost with its process, or stopped for a pause; whether it took effect is not known.

    With `left`, it is of the run that this one was forked from, and goes on there if anywhere.
    """

    path: str
    attempt: int = 1
    left: bool = False


class DoubtCleared(Event, frozen=True, kw_only=True):
    """A probe found that the lost attempt took no effect: the visit is tried again."""

    path: str
    attempt: int = 1


class RetryScheduled(Event, frozen=True, kw_only=True):
    """The attempt failed, and the visit is tried again at `due` (seconds since the epoch)."""

    path: str
    attempt: int = 1
    error: ErrorInfo
    due: float


class RetryDue(Event, frozen=True, kw_only=True):
    """The delay before the next attempt is over."""

    path: str


class NodeCompleted(Event, frozen=True, kw_only=True):
    """The visit is done; its output is stored.

    Attributes:
        path: the visit.
        attempt: the one that completed it.
        output: what it returned; in a state graph that is what it writes.
        writes: what it writes to the state, or what comes of what its branches wrote.
        goto: the node it names to go on with, empty for the end.
        fallback: it asks for the fallback edge.
        cost: what it says it has cost, if it does.
        effects: it says that it had side effects.
        undo: what its compensation is to be given, if that cannot be told later.
    """

    path: str
    attempt: int = 1
    output: Value
    writes: tuple[Write, ...] = ()
    goto: str | None = None
    fallback: bool = False
    cost: float | None = None
    effects: bool = False
    undo: Value | None = None


class NodeFailed(Event, frozen=True, kw_only=True):
    """The visit failed for good: no attempt is left."""

    path: str
    attempt: int = 1
    error: ErrorInfo


class NodeSkipped(Event, frozen=True, kw_only=True):
    """The visit will not be made because `cause` failed upstream."""

    path: str
    cause: str


class NodeCancelled(Event, frozen=True, kw_only=True):
    """The visit was under way and has been stopped."""

    path: str
    attempt: int = 1
    reason: str


AnyEvent = (
    RunAdmitted
    | RunForked
    | RunStarted
    | RunPaused
    | RunResumed
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunRetried
    | RollbackStarted
    | RunRolledBack
    | RollbackFailed
    | UsageRecorded
    | OwnershipTaken
    | GroupStopping
    | ScopeOpened
    | MapOpened
    | WalkEntered
    | Routed
    | StateChanged
    | DecisionKept
    | CheckpointTaken
    | DefinitionChanged
    | AttemptStarted
    | AttemptSuspended
    | AttemptResumed
    | AttemptStopping
    | AttemptInterrupted
    | DoubtCleared
    | RetryScheduled
    | RetryDue
    | NodeCompleted
    | NodeFailed
    | NodeSkipped
    | NodeCancelled
    | StepStarted
    | StepCompleted
    | StepFailed
    | WaitOpened
    | WaitResolved
    | MessageArrived
)
