"""Random definitions: dependency graphs with sub-graphs and maps in them, and every policy a node can have."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec import Raw, structs

from clew.kernel.definition import (
    Backoff,
    ErrorPolicy,
    GraphSpec,
    InputSpec,
    ItemPolicy,
    MapSpec,
    NodeSpec,
    OnInterrupt,
    Retry,
)
from clew.kernel.values import Binding, DictOf, Expression, FromInput, FromItem, FromNode, ListOf, Literal, Pick

NAMES = "abcdef"
LIST = Literal(Raw(b"[1,2,3]"))

seldom = st.sampled_from([False, False, False, True])


def limits(*values: float) -> st.SearchStrategy[float | None]:
    """A time limit in seconds; mostly none."""
    return st.sampled_from([None] * 3 * len(values) + [*values])


retries = st.builds(
    Retry,
    max_attempts=st.integers(1, 3),
    backoff=st.sampled_from(Backoff),
    delay_s=st.sampled_from([1.0, 0.0, 4.0]),
    jitter=st.sampled_from([0.0, 0.5]),
    on=st.sampled_from([(), ("ValueError",)]),
    not_on=st.sampled_from([(), ("KeyError",)]),
)


def bindings(names: list[str]) -> st.SearchStrategy[Binding]:
    """An input that reads some of `names`, at some depth."""
    if not names:
        return st.sampled_from([LIST, FromInput("x")])
    node = st.sampled_from(names).map(FromNode)
    return st.one_of(
        node,
        node.map(lambda of: Pick(of, ("part", 0))),
        st.lists(node, max_size=3).map(lambda parts: ListOf(tuple(parts))),
        node.map(lambda a: DictOf({"a": a, "b": FromInput("x")})),
        node.map(lambda a: Expression("{{ a }}", {"a": a})),
    )


def maps(over: st.SearchStrategy[Binding]) -> st.SearchStrategy[MapSpec]:
    """A map over one of `over`."""
    bounds = st.sampled_from([None, None, 1, 2])
    return st.builds(MapSpec, over=over, on_item_error=st.sampled_from(ItemPolicy), max_concurrency=bounds)


@st.composite
def nodes(draw: st.DrawFn, name: str, before: list[NodeSpec], depth: int, feeder: str = "") -> NodeSpec:
    """One node that may depend on those `before` it; a map over `feeder`, if that is given."""
    earlier = [spec.id for spec in before]
    inner = draw(graphs(depth - 1)) if depth and draw(seldom) else None
    inputs: dict[str, Binding] = {"x": LIST}
    mapped = None
    if feeder or draw(st.booleans()):
        over = st.just(FromNode(feeder)) if feeder else bindings(earlier)
        mapped = draw(maps(over))
        inputs["item"] = FromItem()
    if not feeder:
        for parameter in draw(st.sets(st.sampled_from("xy"), max_size=2)):
            inputs[parameter] = draw(bindings(earlier))
    return NodeSpec(
        id=name,
        kind="graph" if inner else "function",
        graph=inner,
        inputs=inputs,
        after=tuple(draw(st.lists(st.sampled_from(earlier), max_size=1))) if earlier else (),
        map=mapped,
        retry=draw(retries),
        timeout_s=draw(limits(5.0)),
        total_timeout_s=draw(limits(4.0, 12.0)),
        on_error=draw(st.sampled_from([None, None, *ErrorPolicy])),
        on_interrupt=draw(st.sampled_from(OnInterrupt)),
        probe=Raw(b'{"ref":"m:probe"}'),
        exclusive=draw(st.sampled_from([None, None, None, LIST])),
        heartbeat_s=draw(limits(3.0)),
        uses=draw(st.sampled_from([{}, {}, {"llm": 1}, {"gpu": 1}])),
        priority=draw(st.integers(0, 2)),
    )


def graph_of(specs: list[NodeSpec], timeouts: st.SearchStrategy[float | None]) -> st.SearchStrategy[GraphSpec]:
    """These nodes under some policy."""
    return st.builds(
        GraphSpec,
        name=st.just("world"),
        nodes=st.just(tuple(specs)),
        inputs=st.just((InputSpec(name="x", required=False),)),
        output=st.sampled_from([None, *(FromNode(spec.id) for spec in specs)]),
        on_error=st.sampled_from(ErrorPolicy),
        timeout_s=timeouts,
        max_concurrency=st.integers(1, 4),
        max_interruptions=st.integers(0, 2),
    )


@st.composite
def graphs(draw: st.DrawFn, depth: int = 2) -> GraphSpec:
    """A graph of up to six nodes, sub-graphs in it up to `depth`."""
    specs: list[NodeSpec] = []
    for name in NAMES[: draw(st.integers(0, 6 if depth == 2 else 3))]:
        fed = [spec.id for spec in specs if spec.map is not None and draw(seldom)]
        specs.append(draw(nodes(name, specs, depth, feeder=fed[-1] if fed else "")))
    order = draw(st.permutations(specs)) if draw(seldom) else specs
    return draw(graph_of(order, limits(20.0) if depth == 2 else st.none()))


@st.composite
def lines(draw: st.DrawFn) -> GraphSpec:
    """Maps over maps, whose items flow down the line one by one, and somebody who reads each of them."""
    first = draw(nodes("a", [], 0))
    specs = [first, structs.replace(draw(nodes("b", [], 1)), map=draw(maps(st.just(LIST))))]
    for name in "cd"[: draw(st.integers(1, 2))]:
        specs.append(draw(nodes(name, [first], 1, feeder=specs[-1].id)))
    specs += [draw(nodes(f"z{spec.id}", [spec], 0)) for spec in specs[1:]]
    return draw(graph_of(specs, st.none()))


@st.composite
def desks(draw: st.DrawFn) -> GraphSpec:
    """A few bodies, one of them perhaps in a sub-graph, each with time for all that a body can live through."""
    first, inner = draw(nodes("a", [], 0)), draw(nodes("b", [], 0))
    enclosing = NodeSpec(id="c", kind="graph", graph=draw(graph_of([inner], st.none())), after=("a",))
    last = structs.replace(draw(nodes("d", [first], 0)), map=None, inputs={})
    chosen = draw(st.sampled_from([[first], [first, enclosing], [first, last], [first, enclosing, last]]))
    specs = [structs.replace(spec, map=None, inputs={}) if draw(st.booleans()) else spec for spec in chosen]
    return draw(graph_of(specs, st.none()))


#: What the outside will choose: one byte per choice. Zero is the plain choice, and so is none.
choices = st.binary(min_size=60, max_size=240)
