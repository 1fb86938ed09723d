"""From a graph that was written, and found to be right, to its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from clew import codec
from clew.graphs.bodies import Description, body_for, describe_function
from clew.graphs.body_data import CheckBody, GroupBody, MemoryBody, ToolBody
from clew.graphs.drafts import Built, Draft, GraphDraft, MapDraft
from clew.graphs.hashing import definition_hash
from clew.graphs.limits import limits_of
from clew.graphs.memories import CHANGING
from clew.graphs.plan_rights import held_to_grants
from clew.graphs.route_building import build_barrier, build_routes
from clew.graphs.route_drafts import Barrier
from clew.graphs.signatures import signature_of
from clew.graphs.units import shorter
from clew.kernel.definition import (
    CompensationSpec,
    ErrorPolicy,
    GraphSpec,
    InputSpec,
    ItemPolicy,
    MapSpec,
    NodeSpec,
    OnInterrupt,
    OnLimit,
    Retry,
)
from clew.kernel.values import NOTHING, Binding

Bodies = dict[str, Callable[..., Any]]


def build(graph: GraphDraft) -> Built:
    """Make the definition of a graph and its sub-graphs; `checks` has found nothing wrong with them."""
    if graph.built is None:
        bodies: Bodies = {}
        limits = limits_of(graph.limits)
        spec = GraphSpec(
            name=graph.name,
            nodes=tuple(_node(draft, graph, bodies) for draft in graph.nodes),
            inputs=tuple(
                InputSpec(
                    name=i.name,
                    type=i.type,
                    required=i.required,
                    default=msgspec.Raw(i.default or b"null"),
                    description=i.description,
                )
                for i in graph.inputs.values()
            ),
            output=graph.output,
            on_error=ErrorPolicy(graph.on_error),
            timeout_s=_seconds(shorter(graph.timeout, limits.wall_s)),
            max_concurrency=graph.max_concurrency,
            max_interruptions=graph.max_interruptions,
            description=graph.description,
            routes=build_routes(graph, graph.routes, bodies) if graph.routes is not None else None,
            branches=graph.branches_of is not None,
            rollback=graph.rollback,
            limits={name: float(value) for name, value in limits.given()},
            best_effort=graph.best_effort,
            metadata=_metadata(graph),
        )
        graph.built = Built(spec, bodies, definition_hash(spec))
    return graph.built


def _node(draft: Draft, graph: GraphDraft, bodies: Bodies) -> NodeSpec:
    options = draft.options
    kind, body, inner = _body(draft, graph, bodies)
    return NodeSpec(
        id=draft.id,
        kind=kind,
        body=body,
        graph=inner,
        inputs=_inputs(draft),
        after=draft.after,
        map=_map(draft.map, f"{graph.name}/{draft.id}", bodies) if draft.map else None,
        retry=_in_floats(options.retry_spec()),
        timeout_s=_seconds(options.timeout),
        total_timeout_s=_seconds(options.total_timeout),
        on_error=ErrorPolicy(options.on_error) if options.on_error is not None else None,
        heartbeat_s=_seconds(options.heartbeat),
        on_interrupt=options.interrupt_spec(),
        probe=_probe(draft, graph, bodies),
        exclusive=draft.exclusive,
        uses=options.uses_spec(),
        priority=options.priority or 0,
        barrier=build_barrier(draft.body) if isinstance(draft.body, Barrier) else None,
        sets=draft.sets,
        max_visits=draft.max_visits,
        on_limit=OnLimit(draft.on_limit),
        compensation=_compensation(draft, graph, bodies),
        irreversible=bool(options.irreversible),
        expected_s=_seconds(options.expected),
    )


def _body(draft: Draft, graph: GraphDraft, bodies: Bodies) -> tuple[str, msgspec.Raw, GraphSpec | None]:
    match draft.body:
        case GraphDraft() as inner:
            built = build(inner)
            bodies.update(built.bodies)
            return "graph", _raw(GroupBody(role=draft.role, label=draft.label)), built.spec
        case Description() as described:
            owner, checks = f"{graph.name}/{draft.id}", _checks(draft, graph, bodies)
            body = _described(described, owner, bodies, graph, checks)
            return described.kind, body, None
        case Barrier():
            return "barrier", msgspec.Raw(b"{}"), None
        case function:
            assert function is not None
            described = draft.function_body(graph.name)
            bodies[described.ref] = function
            return "function", _raw(described), None


def _checks(draft: Draft, graph: GraphDraft, bodies: Bodies) -> tuple[CheckBody, ...]:
    described = tuple(draft.check_bodies(graph.name))
    for each, body in zip(draft.checks, described, strict=True):
        if each.function is not None and body.function is not None:
            bodies[body.function.ref] = each.function
    return described


def _described(
    described: Description, owner: str, bodies: Bodies, graph: GraphDraft, checks: tuple[CheckBody, ...] = ()
) -> msgspec.Raw:
    body = body_for(described, owner)
    if graph.plan is not None and graph.plan.permissions is not None:
        body = held_to_grants(body, graph.plan.permissions)
    if isinstance(body, ToolBody) and checks:
        body = msgspec.structs.replace(body, checks=checks)
    if isinstance(body, ToolBody) and body.function is not None and described.function is not None:
        bodies[body.function.ref] = described.function
    return _raw(body)


def _inputs(draft: Draft) -> dict[str, Binding]:
    """The inputs that are stored; those of a description, and what its probe takes besides."""
    probe, stored = draft.options.probe, draft.stored_inputs
    if probe is None or stored is None:
        return draft.inputs if stored is None else stored
    taken = signature_of(probe)
    wanted = draft.named_inputs if taken.takes_any else taken.parameters
    return {name: value for name, value in {**draft.named_inputs, **stored}.items() if name in {*stored, *wanted}}


def _probe(draft: Draft, graph: GraphDraft, bodies: Bodies) -> msgspec.Raw:
    if draft.options.probe is None:
        return NOTHING  # by identity, or it would stand in the definition
    described = draft.probe_body(graph.name)
    bodies[described.ref] = draft.options.probe
    return _raw(described)


def _map(draft: MapDraft, owner: str, bodies: Bodies) -> MapSpec:
    key = draft.key
    if callable(key):
        described = describe_function(key, f"{owner}.key", is_async=False)
        bodies[described.ref] = key
        key = described.ref
    return MapSpec(
        over=draft.over,
        key=key,
        on_item_error=ItemPolicy(draft.on_item_error),
        max_concurrency=draft.max_concurrency,
    )


def _compensation(draft: Draft, graph: GraphDraft, bodies: Bodies) -> CompensationSpec | None:
    how = draft.options.undoing
    if how is None or draft.undo is None:
        return None if draft.options.irreversible else _own_compensation(draft.body)
    if isinstance(how.body, Description):
        body = _described(how.body, f"{graph.name}/{draft.id}:undo", bodies, graph)
        kind, usual_s = how.body.kind, how.body.timeout_s
    else:
        described = draft.undo_body(graph.name)
        bodies[described.ref] = how.body
        kind, body, usual_s = "function", _raw(described), None
    return CompensationSpec(
        kind=kind,
        body=body,
        inputs=draft.undo.inputs,
        retry=_in_floats(how.retry_spec()),
        timeout_s=_seconds(how.timeout if how.timeout is not None else usual_s),
        on_interrupt=OnInterrupt(how.on_interrupt),
        before=kind == "restore",
    )


def _own_compensation(body: Any) -> CompensationSpec | None:
    """What a body brings along: an operation that changes the memory knows how to be undone."""
    if not isinstance(body, Description) or not isinstance(body.body, MemoryBody):
        return None
    if body.body.operation not in CHANGING:
        return None
    return CompensationSpec(kind="memory", body=_raw(MemoryBody(operation="undo")))


def _metadata(graph: GraphDraft) -> msgspec.Raw:
    if graph.plan is None or not graph.plan.metadata:
        return NOTHING  # by identity, or it would stand in the definition
    return msgspec.Raw(codec.encode(dict(graph.plan.metadata)))


def _in_floats(retry: Retry) -> Retry:
    """A retry policy with all numbers as they are read again from JSON; otherwise its hash would change."""
    numbers = {name: getattr(retry, name) for name in ("delay_s", "factor", "max_delay_s", "jitter")}
    whole = {name: float(number) for name, number in numbers.items() if not isinstance(number, float)}
    return msgspec.structs.replace(retry, **whole) if whole else retry


def _seconds(limit: float | None) -> float | None:
    return None if limit is None else float(limit)


def _raw(body: msgspec.Struct) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(body))
