"""The legal states of runs and nodes, each in one table; the diagrams in the docs are drawn from these.

A step that the table does not hold raises `IllegalTransition`, which is a fault of the machine, never of a
user's graph: signals that come too late are ignored before they reach a table.
"""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands."""

    __hash__ = str.__hash__  # the one of Enum is written in Python, and tables are asked for every event

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"


class NodeState(StrEnum):
    """Where a visit of a node stands."""

    __hash__ = str.__hash__

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


R = RunState
N = NodeState

RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    R.QUEUED: frozenset({R.RUNNING}),
    R.RUNNING: frozenset({R.PAUSED, R.STOPPING, R.COMPLETED, R.FAILED}),
    R.PAUSED: frozenset({R.RUNNING, R.STOPPING, R.COMPLETED, R.FAILED}),
    R.STOPPING: frozenset({R.COMPLETED, R.FAILED, R.CANCELLED}),
    R.COMPLETED: frozenset({R.RUNNING, R.ROLLING_BACK}),
    R.FAILED: frozenset({R.RUNNING, R.ROLLING_BACK}),
    R.CANCELLED: frozenset({R.RUNNING, R.ROLLING_BACK}),
    R.ROLLING_BACK: frozenset({R.ROLLED_BACK, R.ROLLBACK_FAILED}),
    R.ROLLED_BACK: frozenset(),
    R.ROLLBACK_FAILED: frozenset({R.ROLLING_BACK}),
}

NODE_TRANSITIONS: dict[NodeState, frozenset[NodeState]] = {
    N.PENDING: frozenset({N.READY, N.RUNNING, N.SKIPPED, N.CANCELLED}),
    # A body that waited may end by itself (a time limit of its own), also between being woken and its turn.
    # One that is in doubt waits for a person instead of starting.
    N.READY: frozenset({N.RUNNING, N.WAITING, N.RETRYING, N.COMPLETED, N.SKIPPED, N.CANCELLED, N.FAILED}),
    N.RUNNING: frozenset({N.WAITING, N.RETRYING, N.STOPPING, N.READY, N.COMPLETED, N.FAILED}),
    N.WAITING: frozenset({N.READY, N.RETRYING, N.COMPLETED, N.CANCELLED, N.FAILED}),
    N.RETRYING: frozenset({N.READY, N.CANCELLED, N.FAILED}),
    N.STOPPING: frozenset({N.READY, N.RETRYING, N.COMPLETED, N.FAILED, N.SKIPPED, N.CANCELLED}),
    N.COMPLETED: frozenset({N.PENDING}),
    N.FAILED: frozenset({N.PENDING}),
    N.SKIPPED: frozenset({N.PENDING}),
    N.CANCELLED: frozenset({N.PENDING}),
}

RUN_ENDED = frozenset({R.COMPLETED, R.FAILED, R.CANCELLED, R.ROLLED_BACK, R.ROLLBACK_FAILED})
#: States in which attempts start.
RUN_GOES_ON = frozenset({R.RUNNING, R.ROLLING_BACK})
SETTLED = frozenset({N.COMPLETED, N.FAILED, N.SKIPPED, N.CANCELLED})
#: States in which an attempt is under way, somewhere.
UNDER_WAY = frozenset({N.RUNNING, N.STOPPING})
