"""What a stream tells of a run: typed items, each of which says what an event meant.

All of them can be written as JSON (`msgspec.json.encode`); `type` is the name in snake case. Numbers are those of
the events, so an item can be found again, and a stream can be gone on with after it. Several items may come of one
event: all but the last of them say that there is `more`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from clew.engine.node_items import (
    BarrierResolved,
    BarrierWaiting,
    BranchEnded,
    BranchStarted,
    Custom,
    Item,
    NodeCancelled,
    NodeFailed,
    NodeFinished,
    NodeInterrupted,
    NodeProgress,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeUsage,
    NodeWaiting,
    NodeWoken,
    ParallelJoined,
    ParallelStarted,
)
from clew.engine.state_changes import Delta
from clew.kernel.undo_events import Remaining
from clew.kernel.values import ErrorInfo


class GraphStarted(Item, frozen=True, kw_only=True):
    """A graph began; with an empty path the run's own, also when the run is retried.

    Attributes:
        path: the node that is a graph.
        graph: its name.
        kind: ``state`` or ``dependency``.
        span_id: of the graph; for a sub-graph that of its node.
        generation: counts the retries of the whole run, from 1.
    """

    path: str
    graph: str
    kind: str
    span_id: str
    generation: int = 1


class GraphEnded(Item, frozen=True, kw_only=True):
    """A graph ended: ``completed``, ``failed``, ``cancelled`` or ``skipped``; see `GraphStarted`."""

    path: str
    graph: str
    outcome: str
    span_id: str
    duration_s: float | None = None
    error: ErrorInfo | None = None


class GraphStopping(Item, frozen=True, kw_only=True):
    """A graph, parallel node or map ends early; see `events.GroupStopping` for the reasons."""

    path: str
    reason: str
    error: ErrorInfo
    cause: str = ""


class GraphPaused(Item, frozen=True, kw_only=True):
    """Nothing new starts until the run is resumed."""

    by: str = ""


class GraphResumed(Item, frozen=True, kw_only=True):
    """A paused run goes on."""

    by: str = ""


class DefinitionChanged(Item, frozen=True, kw_only=True):
    """The run goes on with another definition.

    Attributes:
        graph: its hash.
        by: who has changed it.
        forced: although what had run was changed, too.
    """

    graph: str
    by: str = ""
    forced: bool = False


class RollbackStarted(Item, frozen=True, kw_only=True):
    """What the run did is undone from here on, because it has ``failed`` or somebody ``asked`` for it."""

    why: str
    by: str = ""


class EdgeTaken(Item, frozen=True, kw_only=True):
    """The token of a state graph goes on.

    Attributes:
        path: the state graph; empty for the run's own.
        source: the visit it comes from; empty for the start.
        target: the node it goes to; empty for the end.
        why: ``edge``, ``condition``, ``goto``, ``fallback`` or ``reroute``.
    """

    path: str
    source: str
    target: str
    why: str


# States -------------------------------------------------------------------------------------------------


class StateChanged(Item, frozen=True, kw_only=True):
    """The state of a state graph changed; what it begins with is told as the first change.

    Attributes:
        path: the state graph; empty for the run's own.
        changes: by key.
        begins: it is what the state begins with, and nothing is left of one that was there before.
        source: the visit that wrote; empty if none did.
        by: the person who did.
    """

    path: str
    changes: dict[str, Delta]
    begins: bool = False
    source: str = ""
    by: str = ""


class Values(Item, frozen=True, kw_only=True):
    """The whole state of the run's state graph, at the beginning and after each change."""

    state: dict[str, Any]


class NodeOutput(Item, frozen=True, kw_only=True):
    """A node of the run's dependency graph is done; of a map the list, of a sub-graph what it returns."""

    path: str
    node: str
    value: Any = None


# Warnings -----------------------------------------------------------------------------------------------


class Degraded(Item, frozen=True, kw_only=True):
    """A warning: a state graph goes on by a fallback edge.

    Attributes:
        path: the state graph; empty for the run's own.
        source: the visit that it comes from.
        target: the node that is gone on with; empty for the end.
        why: the node ``failed``, or ``asked`` for it; a ``limit`` of visits was reached; or ``no_edge`` else could
            be taken.
        error: what went wrong.
    """

    path: str
    source: str
    target: str
    why: str
    error: ErrorInfo | None = None


class PartialFailure(Item, frozen=True, kw_only=True):
    """A warning: something has completed although parts of it failed.

    Attributes:
        path: the parallel node, map or graph; empty for the run's own.
        failed: how many have failed.
        count: of how many.
        paths: those that have, in order; at most 100.
    """

    path: str
    failed: int
    count: int
    paths: tuple[str, ...]


# The end ------------------------------------------------------------------------------------------------


class CheckpointReached(Item, frozen=True, kw_only=True):
    """The run has come to a position that there is a reason to return to; see `positions.Checkpoint`."""

    step: int
    why: str
    path: str = ""
    next: str = ""
    name: str = ""
    by: str = ""


class LogEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One visit as a run's log tells it.

    Attributes:
        path: the visit.
        node: id of the node.
        kind: as in `NodeStarted`.
        state: as in `kernel.states.NodeState`.
        step: of the state graph that it is in, from 1.
        attempts: number of the last attempt.
        started_at: of the first one, in seconds since the epoch.
        duration_s: of the visit with all its attempts; None if it has not ended.
        next: the node that was gone on with; empty for the end, None if nothing was.
        why: as in `EdgeTaken`.
        error: why it failed.
    """

    path: str
    node: str
    kind: str
    state: str
    step: int | None = None
    attempts: int
    started_at: float
    duration_s: float | None = None
    next: str | None = None
    why: str = ""
    error: str = ""


class Ending(Item, frozen=True, kw_only=True):
    """What all ends of runs have in common.

    Attributes:
        trace_id: of the run, 32 hexadecimal digits; the same after a restart.
        duration_s: since the run first started; None if it never did.
        state: of a state graph, as it is now.
        outputs: of a dependency graph, those of the nodes that are done, by id.
        log: what was done, in the order in which it began: nodes, sub-graphs and branches, but not what is in
            maps; the last 1,000 entries.
        omitted: how many entries came before these.
    """

    trace_id: str
    duration_s: float | None = None
    state: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    log: tuple[LogEntry, ...]
    omitted: int = 0


class Complete(Ending, frozen=True, kw_only=True):
    """The run ended well."""


class Error(Ending, frozen=True, kw_only=True):
    """The run failed; it can be retried, and then goes on with `GraphStarted`."""

    error: ErrorInfo


class Cancelled(Ending, frozen=True, kw_only=True):
    """The run was cancelled; likewise."""

    reason: str


class RolledBack(Ending, frozen=True, kw_only=True):
    """What the run did has been undone; `undone` counts the compensations that were made."""

    undone: int


class RollbackFailed(Ending, frozen=True, kw_only=True):
    """The rollback is over, and some of what the run did remains."""

    undone: int
    remaining: tuple[Remaining, ...]


StreamItem = (
    GraphStarted
    | GraphEnded
    | GraphStopping
    | GraphPaused
    | GraphResumed
    | DefinitionChanged
    | RollbackStarted
    | EdgeTaken
    | NodeStarted
    | NodeFinished
    | NodeFailed
    | NodeRetrying
    | NodeInterrupted
    | NodeSkipped
    | NodeCancelled
    | NodeUsage
    | NodeWaiting
    | NodeWoken
    | StateChanged
    | Values
    | NodeOutput
    | ParallelStarted
    | ParallelJoined
    | BranchStarted
    | BranchEnded
    | BarrierWaiting
    | BarrierResolved
    | Degraded
    | PartialFailure
    | Custom
    | NodeProgress
    | CheckpointReached
    | Complete
    | Error
    | Cancelled
    | RolledBack
    | RollbackFailed
)
