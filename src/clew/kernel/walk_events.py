"""The facts that only state graphs have; the others, and all of them together, are in `events`."""

from __future__ import annotations

import msgspec

from clew.kernel.definition import GraphSpec
from clew.kernel.event_base import Event
from clew.kernel.values import ErrorInfo, Value
from clew.kernel.writes import Write


class WalkEntered(Event, frozen=True, kw_only=True):
    """A state graph that is a node of another graph knows what it was given, by key."""

    path: str
    values: dict[str, msgspec.Raw] = {}


class Routed(Event, frozen=True, kw_only=True):
    """The token of a state graph goes on to another node, or to the end.

    Attributes:
        path: the state graph; empty for the run's own.
        source: the visit it comes from; empty for the start.
        target: the node that is entered; empty for the end.
        edge: number of the edge that is taken; -1 if it goes without one.
        why: ``edge``, ``condition``, ``goto``, ``fallback``, ``reroute``.
        error: of a fallback, what went wrong.
    """

    path: str = ""
    source: str = ""
    target: str = ""
    edge: int = -1
    why: str = "edge"
    error: ErrorInfo | None = None


class StateChanged(Event, frozen=True, kw_only=True):
    """Somebody outside has changed the state of a state graph; what nodes write is told by `NodeCompleted`.

    Attributes:
        path: the state graph; empty for the run's own.
        writes: what was written.
        by: who did.
    """

    path: str = ""
    writes: tuple[Write, ...]
    by: str = ""


class DecisionKept(Event, frozen=True, kw_only=True):
    """A decision was given before it is asked for; it is used once, or each time if it is `standing`.

    Attributes:
        barrier: address of the visit; of a standing one, of the node, without visits and items.
        value: a `writes.Judgement`.
        by: who gave it.
        standing: it holds for all visits.
    """

    barrier: str
    value: Value
    by: str = ""
    standing: bool = False


class DefinitionChanged(Event, frozen=True, kw_only=True):
    """The run goes on with another definition: what has ended stays as it was, what goes on is as that one says.

    Attributes:
        graph: its hash.
        definition: digest of the blob that holds it.
        spec: the definition itself: who follows the run has no other way to it.
        by: who has changed it.
        forced: whether what has run was changed, too, was not asked.
    """

    graph: str
    definition: str
    spec: GraphSpec
    by: str = ""
    forced: bool = False


class CheckpointTaken(Event, frozen=True, kw_only=True):
    """A position was named; `path` is the visit that did."""

    name: str
    path: str = ""
    by: str = ""
