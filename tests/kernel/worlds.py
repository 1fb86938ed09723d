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
        st.builds(lambda a, b: DictOf({"a": a, "b": b}), node, st.just(FromInput("x"))),
        st.builds(lambda a: Expression("{{ a }}", {"a": a}), node),
    )


@st.composite
def nodes(draw: st.DrawFn, name: str, before: list[NodeSpec], depth: int) -> NodeSpec:
    """One node that may depend on those `before` it."""
    earlier = [spec.id for spec in before]
    maps = [spec.id for spec in before if spec.map is not None]
    inner = draw(graphs(depth - 1)) if depth and draw(seldom) else None
    inputs: dict[str, Binding] = {"x": LIST}
    for parameter in draw(st.sets(st.sampled_from("xy"), max_size=2)):
        inputs[parameter] = draw(bindings(earlier))
    mapped = None
    if draw(st.booleans()):
        over = st.one_of([st.sampled_from(maps).map(FromNode)] * 2 * bool(maps) + [bindings(earlier)])
        mapped = MapSpec(
            over=draw(over),
            on_item_error=draw(st.sampled_from(ItemPolicy)),
            max_concurrency=draw(st.sampled_from([None, None, 1, 2])),
        )
        if maps and isinstance(mapped.over, FromNode) and draw(st.booleans()):
            inputs = {"x": LIST}  # it uses the map for nothing else: its items flow one by one
        inputs["item"] = FromItem()
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
        uses=draw(st.sampled_from([{}, {}, {"llm": 1}, {"gpu": 1}])),
        priority=draw(st.integers(0, 2)),
    )


@st.composite
def lines(draw: st.DrawFn) -> GraphSpec:
    """Maps over maps, whose items flow down the line one by one, and somebody who reads each of them."""
    specs: list[NodeSpec] = [draw(nodes("x", [], 0)), draw(nodes("a", [], 1).filter(lambda spec: spec.map))]
    for name in NAMES[1 : draw(st.integers(2, 3))]:
        over = FromNode(specs[-1].id)
        drawn = draw(nodes(name, [], 1))
        mapped = drawn.map or MapSpec(over=over)
        mapped = structs.replace(mapped, over=over)
        inputs = {"x": LIST, "item": FromItem()}
        specs.append(structs.replace(drawn, map=mapped, inputs=inputs, after=draw(st.sampled_from([(), ("x",)]))))
    specs += [draw(nodes(f"z{spec.id}", [spec], 0)) for spec in specs[1:]]
    return draw(graphs(0).map(lambda spec: structs.replace(spec, nodes=tuple(specs), output=None)))


@st.composite
def graphs(draw: st.DrawFn, depth: int = 2) -> GraphSpec:
    """A graph of up to six nodes, sub-graphs in it up to `depth`."""
    specs: list[NodeSpec] = []
    for name in NAMES[: draw(st.integers(0, 6 if depth == 2 else 3))]:
        specs.append(draw(nodes(name, specs, depth)))
    order = draw(st.permutations(specs)) if draw(seldom) else specs
    return GraphSpec(
        name="world",
        nodes=tuple(order),
        inputs=(InputSpec(name="x", required=False),),
        output=draw(st.sampled_from([None, *(FromNode(spec.id) for spec in specs)])),
        on_error=draw(st.sampled_from(ErrorPolicy)),
        timeout_s=draw(limits(20.0)) if depth == 2 else None,
        max_concurrency=draw(st.integers(1, 4)),
        max_interruptions=draw(st.integers(0, 2)),
    )


#: What the outside will choose: one byte per choice. Zero is the plain choice, and so is none.
choices = st.binary(min_size=60, max_size=240)
