"""Parts of state graphs that several examples are about."""

from __future__ import annotations

from typing import Any

import msgspec
from play import literal, node
from trip import Trip, barrier, decided, key, part, routed, step
from trip_rules import raw

from clew.kernel import events as e
from clew.kernel.definition import GraphSpec, InputSpec, NodeSpec
from clew.kernel.values import FromInput, FromState
from clew.kernel.writes import Judgement

LOG = key("log", "append")


def given(**inputs) -> Trip:
    """A state graph with a sub-graph that waits for what it starts with."""
    inner = routed(step("x"), keys=(LOG, key("own")), name="inner")
    return Trip(part("sub", inner, inputs=inputs or {"own": literal(1)}), keys=(LOG,))


def reporting(*nodes, output=None, **options) -> NodeSpec:
    """A dependency graph as a node of a state graph."""
    nodes = nodes or (NodeSpec(id="f", kind="function", inputs={"t": FromInput("topic")}), node("g", "f"))
    spec = GraphSpec(
        name="dep",
        nodes=nodes,
        inputs=(InputSpec(name="topic", default=raw("none"), required=False),),
        output=output,
    )
    inputs = options.pop("inputs", {"topic": FromState("topic")})
    return NodeSpec(id="dep", kind="graph", graph=spec, inputs=inputs, **options)


def routed_inside(*, output=None, inputs=None, after=(), **options) -> NodeSpec:
    """A state graph as a node of a dependency graph."""
    keys = (LOG, key("topic"), key("n", "sum", default=1))
    spec = routed(step("x"), step("y"), keys=keys, name="walk", output=output)
    return NodeSpec(id="w", kind="graph", graph=spec, inputs=inputs or {}, after=after, **options)


#: Of the state of a graph with the barrier `ok`.
DECIDED = (LOG, key("topic"), *decided("ok"))


def before_barrier(inputs: dict[str, Any] | None = None, **spec: Any) -> Trip:
    """A barrier between two nodes, of which the first is under way."""
    return Trip(step("a"), barrier("ok", **spec), step("z"), keys=DECIDED, inputs=inputs)


def at_barrier(**spec: Any) -> Trip:
    """A token that waits at a barrier."""
    trip = before_barrier(**spec)
    trip.write("a", log=[1])
    return trip


def judged(trip: Trip) -> tuple[str, Judgement, str]:
    """How a wait was resolved by the last decision: what came about, what was decided, by whom."""
    (resolved,) = trip.events(e.WaitResolved)
    return resolved.outcome, msgspec.json.decode(resolved.value.json, type=Judgement), resolved.by
