"""Random state graphs: every reducer, kind of node, edge and limit, nested in each other and in dependency graphs.

The first letters of keys tell what their values are (`fitting`), so that most of what is written fits.
"""

from __future__ import annotations

from random import Random

import worlds
from hypothesis import strategies as st
from msgspec import structs
from trip_rules import raw

from clew.kernel.definition import (
    BarrierSpec,
    Default,
    EdgeSpec,
    ErrorPolicy,
    GraphSpec,
    ItemPolicy,
    KeySpec,
    MapSpec,
    NodeSpec,
    OnLimit,
    Reducer,
    RouteSpec,
)
from clew.kernel.values import Binding, FromInput, FromItem, FromNode, FromState

#: What can be made of the values of a key, by its first letter.
REDUCERS = {
    "n": ["sum", "max", "min", "replace", "error", "custom:shift"],
    "l": ["append", "replace", "error", "custom:before"],
    "o": ["merge", "replace", "error", "custom:count"],
    "x": ["replace", "custom:raise"],
}
#: Values that fit; the first one is the plain one.
FITTING: dict[str, list[object]] = {
    "n": [1, 2, -3, 40],
    "l": [[1], [], ["a", "b"], [{"deep": [1]}]],
    "o": [{"a": 1}, {}, {"b": [1, 2]}, {"a": "text", "c": None}],
    "x": [1, "text", None, [1]],
}
NAMES = ("n", "n2", "log", "obj", "x")


def fitting(key: str) -> list[object]:
    """Values that fit a key; of the keys of barriers and of failed branches, none."""
    return FITTING[key[0]] if key in NAMES else []


@st.composite
def keys(draw: st.DrawFn, nodes: list[NodeSpec]) -> tuple[KeySpec, ...]:
    """The keys of a state whose nodes are these."""
    found: list[KeySpec] = []
    for name in NAMES[: draw(st.integers(2, len(NAMES)))]:
        kind, _, custom = draw(st.sampled_from(REDUCERS[name[0]])).partition(":")
        options = {"custom": raw(custom)} if custom else {}
        if draw(worlds.seldom):
            options["default"] = raw(draw(st.sampled_from(FITTING[name[0]])))
        found.append(KeySpec(name=name, reducer=Reducer(kind), **options))
    for node in nodes:
        for branch in node.graph.nodes if node.graph is not None and node.graph.branches else (node,):
            if branch.barrier is not None:
                found += [
                    KeySpec(name=f"{branch.id}.{what}", reducer=Reducer.REPLACE)
                    for what in ("approved", "reject_reason")
                ]
        if draw(worlds.seldom):
            found.append(KeySpec(name=f"{node.id}.failed", reducer=Reducer.REPLACE))
    return tuple({key.name: key for key in found}.values())


conditions = st.sampled_from(
    [
        *[["below", "n", 4], ["below", "n2", 2], ["shorter", "log", 3], ["has", "obj"], ["has", "x"]] * 3,
        ["value", "a.approved"], ["has", "b.reject_reason"], ["raises"],
    ]
)  # fmt: skip
mostly = st.sampled_from([True] * 7 + [False])
#: How often a node or an edge may be visited, and what then; most of them as often as may be.
LIMITS: list[dict[str, object]] = [
    {"max_visits": count, "on_limit": how} for count in (1, 1, 2, 0) for how in OnLimit
]
limits = st.sampled_from([{}] * 24 + LIMITS)


@st.composite
def edges(draw: st.DrawFn, names: list[str]) -> tuple[EdgeSpec, ...]:
    """Edges between these nodes; mostly there is a way on."""
    found: list[EdgeSpec] = []
    targets = st.sampled_from([*names, ""])
    for place, source in enumerate(["", *names]):
        ahead = [*names[place:], ""][0]
        leaving: list[EdgeSpec] = []
        for _ in range(draw(st.sampled_from([0, 1, 1, 2])) if source else draw(worlds.seldom)):
            when = draw(conditions)
            leaving.append(EdgeSpec(source=source, target=draw(targets), when=raw(when), **draw(limits)))
        if source and draw(worlds.seldom):  # a router
            by = raw(["remainder", "n", 2])
            leaving += [
                EdgeSpec(source=source, target=draw(targets), when=by, equals=raw(gave)) for gave in (0, 1)
            ]
        if not leaving or draw(mostly):
            leaving.append(EdgeSpec(source=source, target=ahead, **(draw(limits) if source else {})))
        if draw(st.booleans()):
            leaving.append(EdgeSpec(source=source, target=draw(targets), fallback=True, **draw(limits)))
        found += draw(st.permutations(leaving))
    return tuple(found)


@st.composite
def steps(draw: st.DrawFn, name: str, depth: int) -> NodeSpec:
    """A node of a state graph: mostly a function."""
    kind = draw(st.sampled_from(["step"] * 3 + ["barrier"] + ["branches", "map", "walk", "graph"] * (depth > 0)))
    match kind:
        case "barrier":
            return NodeSpec(id=name, kind="barrier", barrier=draw(barriers()))
        case "branches":
            return structs.replace(draw(around(name)), graph=draw(branches(name, depth - 1)), **draw(limits))
        case "walk":
            graph = draw(state_graphs(depth - 1))
            inputs = draw(st.sampled_from([{}, {}, {"x": FromState("x")}, {"n": worlds.LIST}]))
            return structs.replace(draw(around(name)), graph=graph, inputs=inputs, **draw(limits))
        case "graph":
            inputs = {"x": FromState("x")}
            return structs.replace(draw(around(name)), graph=draw(worlds.graphs(0)), inputs=inputs)
        case "map":
            return draw(maps(name, depth - 1))
        case _:
            return structs.replace(draw(functions(name)), **draw(limits))


times = worlds.limits(4.0)
long_times = worlds.limits(12.0)
defaults = st.sampled_from(Default)


@st.composite
def barriers(draw: st.DrawFn) -> BarrierSpec:
    shows = ("n",) if draw(worlds.seldom) else ()
    return BarrierSpec(timeout_s=draw(times), default=draw(defaults), shows=shows)


@st.composite
def around(draw: st.DrawFn, name: str) -> NodeSpec:
    """What a node with members has besides them."""
    return NodeSpec(id=name, kind="graph", total_timeout_s=draw(long_times))


@st.composite
def functions(draw: st.DrawFn, name: str) -> NodeSpec:
    """A function that reads the state, with every policy that a function can have."""
    inputs: dict[str, Binding] = {"state": FromState()}
    if draw(worlds.seldom):
        inputs["x"] = FromState("x")
    return structs.replace(draw(worlds.nodes(name, [], 0)), map=None, inputs=inputs, on_error=None)


@st.composite
def maps(draw: st.DrawFn, name: str, depth: int) -> NodeSpec:
    """A map over a part of the state or a constant."""
    over = draw(st.sampled_from([FromState("log"), worlds.LIST]))
    at_once = draw(st.sampled_from([None, None, 1, 2]))
    spec = MapSpec(over=over, on_item_error=draw(st.sampled_from(ItemPolicy)), max_concurrency=at_once)
    node = draw(functions(name))
    match draw(st.sampled_from(["step", "step", "walk", "graph", "branches"])):
        case "walk":
            inputs: dict[str, Binding] = draw(st.sampled_from([{}, {"x": FromItem()}]))
            node = structs.replace(draw(around(name)), graph=draw(state_graphs(depth)), inputs=inputs)
        case "graph":
            node = structs.replace(draw(around(name)), graph=draw(worlds.graphs(0)), inputs={"x": FromItem()})
        case "branches":
            node = structs.replace(draw(around(name)), graph=draw(branches(name, 0)), inputs={})
        case _:
            node = structs.replace(node, inputs={**node.inputs, "item": FromItem()})
    return structs.replace(node, map=spec)


@st.composite
def branches(draw: st.DrawFn, name: str, depth: int) -> GraphSpec:
    """The branches of a parallel node."""
    found = [draw(steps(f"{name}{letter}", depth)) for letter in "pqr"[: draw(st.integers(0, 3))]]
    return GraphSpec(
        name=name,
        nodes=tuple(structs.replace(each, max_visits=None) for each in found),
        branches=True,
        on_error=draw(st.sampled_from([ErrorPolicy.STOP_GRAPH, ErrorPolicy.CONTINUE])),
        max_concurrency=draw(st.sampled_from([100, 100, 1, 2])),
    )


@st.composite
def state_graphs(draw: st.DrawFn, depth: int = 2) -> GraphSpec:
    """A state graph of up to four nodes."""
    names = list("abcd"[: draw(st.integers(1, 4 if depth == 2 else 2))])
    nodes = [draw(steps(name, depth)) for name in names]
    routes = RouteSpec(
        keys=draw(keys([each for node in nodes for each in all_below(node)])),
        edges=draw(edges(names)),
        max_steps=draw(st.sampled_from([8, 8, 8, 5, 3, 1])),
        max_state_bytes=draw(st.sampled_from([*[16_000] * 7, 80])),
    )
    shown = {key.name for key in routes.keys}
    nodes = [structs.replace(node, barrier=showing(node.barrier, shown)) for node in nodes]
    return GraphSpec(
        name="walk",
        nodes=tuple(nodes),
        routes=routes,
        timeout_s=draw(worlds.limits(30.0)) if depth == 2 else None,
        max_concurrency=draw(st.integers(1, 4)),
        max_interruptions=draw(st.integers(0, 2)),
    )


def showing(barrier: BarrierSpec | None, keys: set[str]) -> BarrierSpec | None:
    """A barrier shows only what its state has."""
    if barrier is None:
        return None
    return structs.replace(barrier, shows=tuple(name for name in barrier.shows if name in keys))


def all_below(node: NodeSpec) -> list[NodeSpec]:
    """A node and the branches in it that write to the same state."""
    inner = node.graph.nodes if node.graph is not None and node.graph.branches else ()
    return [node, *(each for branch in inner for each in all_below(branch))]


def scattered(seed: int) -> bytes:
    """Bytes of which none is likelier than another."""
    return Random(seed).randbytes(100 + seed % 300)


#: What the outside will choose; the way of a token is long, and needs all kinds of bytes.
choices = st.one_of(st.integers(0, 2**32).map(scattered), st.binary(min_size=80, max_size=400))


@st.composite
def graphs_with_walks(draw: st.DrawFn) -> GraphSpec:
    """A dependency graph with a state graph in it, perhaps one for each item of a list."""
    first = structs.replace(draw(worlds.nodes("a", [], 0)), map=None, inputs={})
    inputs: dict[str, Binding] = draw(st.sampled_from([{}, {"x": FromNode("a")}, {"x": FromInput("x")}]))
    walk = structs.replace(draw(around("w")), graph=draw(state_graphs(1)), inputs=inputs, after=("a",))
    if draw(worlds.seldom):
        mapped = draw(worlds.maps(st.just(worlds.LIST)))
        walk = structs.replace(walk, map=mapped, inputs=draw(st.sampled_from([{}, {"x": FromItem()}])))
    walk = structs.replace(walk, on_error=draw(st.sampled_from([None, *ErrorPolicy])))
    last = structs.replace(draw(worlds.nodes("z", [walk], 0)), map=None, inputs={"w": FromNode("w")})
    beside = structs.replace(draw(worlds.nodes("b", [], 0)), map=None, inputs={})
    specs = draw(st.sampled_from([[walk], [first, walk], [first, walk, last], [first, walk, last, beside]]))
    if first not in specs:
        specs = [structs.replace(walk, after=(), inputs={})]
    return draw(worlds.graph_of(specs, worlds.limits(30.0)))
