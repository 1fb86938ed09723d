"""The keys, edges and barriers of a state graph that was written, and found to be right, as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from clew.graphs.bodies import describe_function
from clew.graphs.checkpoints import checkpoints_of
from clew.graphs.conditions import Condition, describe
from clew.graphs.drafts import GraphDraft
from clew.graphs.route_drafts import Barrier, EdgeDraft, RouteDraft
from clew.graphs.state_schema import KeyDraft
from clew.graphs.updates import END, START
from clew.kernel.definition import (
    BarrierSpec,
    CheckpointSpec,
    Default,
    EdgeSpec,
    KeySpec,
    OnLimit,
    RouteSpec,
)
from clew.kernel.values import NOTHING

Bodies = dict[str, Callable[..., Any]]

#: The very default of `RouteSpec`: defaults are left out of the definition by identity.
_ALL_CHECKPOINTS = RouteSpec().checkpoints


def build_routes(graph: GraphDraft, routes: RouteDraft, bodies: Bodies) -> RouteSpec:
    """What makes a graph a state graph; `bodies` takes the functions of its conditions and reducers."""
    conditions: dict[str, msgspec.Raw] = {}
    return RouteSpec(
        keys=tuple(_key(key, graph, bodies) for key in (graph.keys or {}).values()),
        edges=tuple(_edge(edge, graph, conditions, bodies) for edge in routes.edges),
        max_steps=routes.max_steps,
        max_state_bytes=routes.max_state_bytes,
        checkpoints=_checkpoints(routes),
    )


def build_barrier(barrier: Barrier) -> BarrierSpec:
    """A wait for a decision."""
    return BarrierSpec(
        text=barrier.text,
        shows=tuple(barrier.shows),
        timeout_s=None if barrier.timeout is None else float(barrier.timeout),
        default=Default(barrier.default),
    )


def reducer_owner(graph: GraphDraft, key: str) -> str:
    """Names the reducer of a key in its graph, for functions that cannot be imported."""
    return f"{graph.name}/state.{key}"


def condition_of(graph: GraphDraft, edge: EdgeDraft) -> Condition:
    """The condition of an edge that has one."""
    assert edge.when is not None
    where = edge.subject if edge.router else edge.arrow
    return describe(edge.when, f"{graph.name}/{edge.owner}", f"{graph.name}: {where}")


def _key(key: KeyDraft, graph: GraphDraft, bodies: Bodies) -> KeySpec:
    custom = NOTHING  # by identity, or it would stand in the definition
    if key.custom is not None:
        described = describe_function(key.custom, reducer_owner(graph, key.name), is_async=False)
        bodies[described.ref] = key.custom
        custom = msgspec.Raw(msgspec.json.encode(described))
    return KeySpec(
        name=key.name,
        reducer=key.reducer,
        custom=custom,
        type=key.type,
        default=msgspec.Raw(key.default) if key.default else NOTHING,
        required=key.required,
    )


def _edge(edge: EdgeDraft, graph: GraphDraft, conditions: dict[str, msgspec.Raw], bodies: Bodies) -> EdgeSpec:
    when = NOTHING
    if edge.when is not None:
        if edge.owner not in conditions:  # the edges of a router have one condition, where it was written first
            condition = condition_of(graph, edge)
            conditions[edge.owner] = msgspec.Raw(msgspec.json.encode(condition))
            if condition.function is not None and callable(edge.when):
                bodies[condition.function.ref] = edge.when
        when = conditions[edge.owner]
    return EdgeSpec(
        source="" if edge.source == START else edge.source,
        target="" if edge.target == END else edge.target,
        when=when,
        equals=msgspec.Raw(edge.equals) if edge.equals else NOTHING,
        fallback=edge.fallback,
        max_visits=edge.max_visits,
        on_limit=OnLimit(edge.on_limit),
        label=edge.label,
    )


def _checkpoints(routes: RouteDraft) -> CheckpointSpec:
    spec = checkpoints_of(routes.checkpoints).spec()
    return _ALL_CHECKPOINTS if spec == _ALL_CHECKPOINTS else spec
