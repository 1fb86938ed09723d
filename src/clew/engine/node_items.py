"""What streams tell of nodes: attempts, branches, decisions, and what bodies emit; see `stream_items`."""

from __future__ import annotations

from typing import Any

import msgspec

from clew.kernel.values import ErrorInfo


def snake_name(name: str) -> str:
    """The name of a type as it is written in JSON."""
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=snake_name):
    """What all items of facts have in common.

    Attributes:
        seq: number of the event that it is told of.
        at: when that was, in seconds since the epoch.
        more: further items of the same event follow: who stops here goes on after the number before.
    """

    seq: int
    at: float
    more: bool = False


class NodeItem(Item, frozen=True, kw_only=True):
    """What all items of nodes have in common.

    Attributes:
        path: the visit.
        node: id of the node.
        step: of the state graph that it is in, counted from 1; None outside of state graphs.
        attempt: which try, from 1; of what has none of its own (graphs, maps, barriers), which beginning.
        span_id: of the attempt.
    """

    path: str
    node: str
    step: int | None = None
    attempt: int
    span_id: str


class NodeStarted(NodeItem, frozen=True, kw_only=True):
    """An attempt began, or a node that has none of its own.

    Attributes:
        kind: ``function``, ``shell``, ``http``, ``graph``, ``barrier``; with ``map`` before it for a map.
        parent_id: span of what it is a part of.
        discards: what earlier attempts of the visit have emitted is void.
        probe: it finds out whether a lost attempt took effect.
        undoes: the visit that it undoes, if it is a compensation.
    """

    kind: str
    parent_id: str
    discards: bool = False
    probe: bool = False
    undoes: str = ""


class NodeFinished(NodeItem, frozen=True, kw_only=True):
    """The visit is done.

    Attributes:
        duration_s: of the attempt, in seconds; None if it had not begun.
        cost: what the node says it has cost.
        effects: it says that it had side effects.
    """

    duration_s: float | None = None
    cost: float | None = None
    effects: bool = False


class NodeFailed(NodeItem, frozen=True, kw_only=True):
    """The visit failed for good."""

    error: ErrorInfo
    duration_s: float | None = None


class NodeRetrying(NodeItem, frozen=True, kw_only=True):
    """The attempt failed, and another one is made at `due`.

    A probe that finds that the lost attempt took no effect has no error, and the next attempt is due at once.
    """

    due: float
    error: ErrorInfo | None = None
    duration_s: float | None = None


class NodeInterrupted(NodeItem, frozen=True, kw_only=True):
    """The attempt was lost with its process, or stopped for a pause; what becomes of the visit comes next."""

    duration_s: float | None = None


class NodeSkipped(NodeItem, frozen=True, kw_only=True):
    """The visit is not made, or not gone on with, because `cause` failed before it."""

    cause: str
    duration_s: float | None = None


class NodeCancelled(NodeItem, frozen=True, kw_only=True):
    """The visit had begun and has been stopped, for the reason of its graph's end."""

    reason: str
    duration_s: float | None = None


class NodeUsage(NodeItem, frozen=True, kw_only=True):
    """What the attempt has used, by the name of what was measured."""

    used: dict[str, float]


class NodeWaiting(NodeItem, frozen=True, kw_only=True):
    """The body waits: for a moment (``timer``), an ``answer``, a ``message``, or an exclusive ``key``.

    Attributes:
        key: names the wait within the visit.
        kind: what is waited for.
        name: of the message, or of the exclusive key.
        due: when it ends by itself, in seconds since the epoch.
    """

    key: str
    kind: str
    name: str = ""
    due: float | None = None


class NodeWoken(NodeItem, frozen=True, kw_only=True):
    """The wait is over: ``fired``, ``answered``, ``expired``, ``received`` or ``taken``."""

    key: str
    outcome: str
    by: str = ""


# Branches -----------------------------------------------------------------------------------------------


class ParallelStarted(NodeItem, frozen=True, kw_only=True):
    """A parallel node or a map opened its branches.

    Attributes:
        kind: ``parallel`` or ``map``.
        count: how many branches there are.
        branches: their ids; of a map, its items name themselves when they begin.
    """

    kind: str
    count: int
    branches: tuple[str, ...] = ()


class ParallelJoined(NodeItem, frozen=True, kw_only=True):
    """All branches have ended, or the last one that was under way when the others were stopped.

    Attributes:
        outcome: of the whole: ``completed``, ``failed``, ``cancelled`` or ``skipped``.
        counts: how many branches ended how; those that never began are ``pending`` or ``cancelled``.
        duration_s: since it started.
    """

    outcome: str
    counts: dict[str, int]
    duration_s: float | None = None


class BranchStarted(NodeItem, frozen=True, kw_only=True):
    """A branch, or an item of a map, began.

    Attributes:
        parallel: address of the parallel node or the map.
        branch: id of the branch; of an item its key, or its index.
        index: its place among the branches.
    """

    parallel: str
    branch: str
    index: int


class BranchEnded(NodeItem, frozen=True, kw_only=True):
    """A branch ended: ``completed``, ``failed``, ``cancelled`` or ``skipped``; see `BranchStarted`."""

    parallel: str
    branch: str
    index: int
    outcome: str
    duration_s: float | None = None
    error: ErrorInfo | None = None


# Decisions ----------------------------------------------------------------------------------------------


class BarrierWaiting(NodeItem, frozen=True, kw_only=True):
    """A decision is waited for; told again when what is decided on has been changed.

    Attributes:
        text: what people read.
        shows: what is decided on, by key of the state.
        due: when the default counts, in seconds since the epoch; None is never.
        default: what counts then: ``approve``, ``reject`` or ``skip``.
        digest: of what is shown; given with the decision, it tells what the person saw.
    """

    text: str
    shows: dict[str, Any]
    digest: str
    default: str
    due: float | None = None


class BarrierResolved(NodeItem, frozen=True, kw_only=True):
    """A decision counts.

    Attributes:
        decision: ``approve``, ``reject``, ``modify``, ``reroute``, or ``skip`` (only by the end of the time).
        how: ``decided`` now, ``kept`` (given before it was asked for), ``standing``, or ``expired``: nobody has
            decided in time, and the default counts.
        reason: why it was rejected.
        by: who decided.
        shown: digest of what this person saw, if the decision says so.
        target: the node to go on with, of ``reroute``; empty for the end.
        changes: what is written to the state with the decision, by key.
        deleted: keys that are taken out of the state with it.
    """

    decision: str
    how: str
    reason: str = ""
    by: str = ""
    shown: str = ""
    target: str | None = None
    changes: dict[str, Any] | None = None
    deleted: tuple[str, ...] = ()


# What is no fact ----------------------------------------------------------------------------------------


class Custom(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=snake_name):
    """A body emitted something (`Context.emit`). It is kept nowhere, and has no number and no time.

    Attributes:
        path: the visit.
        node: id of the node.
        attempt: which try; when the next one starts, what this one has emitted is void.
        span_id: of the attempt.
        index: counts what the attempt emits, from 0; one that comes again replaces the former.
        item: what was emitted.
        seq: None.
    """

    path: str
    node: str
    attempt: int
    span_id: str
    index: int
    item: Any
    seq: None = None


class NodeProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=snake_name):
    """A body told how far it is, from 0 to 1 (`Context.progress`); see `Custom`."""

    path: str
    node: str
    attempt: int
    span_id: str
    fraction: float
    message: str = ""
    seq: None = None
