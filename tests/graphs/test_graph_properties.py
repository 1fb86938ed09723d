"""Random graphs: what is written is what is stored, and what is stored has the same hash when it is read."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clew import Context
from clew.graphs import Graph, Retry, execution_batches, exponential, fixed, item, linear, shell
from clew.graphs.hashing import definition_hash
from clew.kernel.definition import GraphSpec
from clew.kernel.topology import compile_graph, dependencies


async def anything(**given: Any) -> Any: ...


def in_thread(x: Any = None, *, y: Any = None) -> Any: ...


def found(**given: Any) -> Any: ...


async def alive(x: Any, ctx: Context) -> Any: ...


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
INTERRUPTIONS: list[dict[str, Any]] = [
    *({"on_interrupt": word} for word in ("retry", "ask", "fail")),
    {"probe": found},
    {"probe": found, "on_interrupt": "probe"},
    {},
]
SINGLE = st.fixed_dictionaries(
    {},
    optional={
        "retry": st.one_of(
            st.integers(1, 5),
            st.builds(
                Retry,
                max_attempts=st.integers(1, 9),
                backoff=st.sampled_from([fixed(1), linear(0.5), exponential(2, factor=3)]),
                jitter=st.floats(0, 1),
                on=st.sampled_from([(), ValueError, ["KeyError", OSError]]),
            ),
        ),
        "timeout": st.floats(0.1, 100),
        "total_timeout": st.integers(1, 1000),
        "on_error": st.sampled_from(["stop_graph", "skip_downstream", "continue"]),
        "exclusive": st.sampled_from(["one", "two"]),
        "uses": st.sampled_from(["llm", ["llm", "gpu"], {"gpu": 3}]),
        "priority": st.integers(-3, 3),
    },
)
OPTIONS = st.builds(lambda single, several: {**single, **several}, SINGLE, st.sampled_from(INTERRUPTIONS))


@st.composite
def graphs(draw: st.DrawFn, depth: int = 1) -> Graph:
    g = Graph(f"g{depth}", on_error=draw(st.sampled_from(["stop_graph", "continue"])), max_concurrency=3)
    handles = [g.input(f"i{n}", default=draw(VALUES)) for n in range(draw(st.integers(0, 2)))]
    given = [*handles]
    for n in range(draw(st.integers(1, 6))):
        known = st.one_of(VALUES, st.sampled_from(handles)) if handles else VALUES
        values = st.one_of(
            known, known.map(lambda v: [v, 1]), known.map(lambda v: {"k": v}), known.map(lambda v: [v, [v]])
        )
        after = draw(st.lists(st.sampled_from([node.id for node in g.draft.nodes]), max_size=2)) if n else []
        kinds = ["function", "thread", "shell", "map", "alive", "graph" if depth else "function"]
        match draw(st.sampled_from(kinds)):
            case "function":
                made = g.add(anything, depends_on=after, inputs={"a": draw(values)}, **draw(OPTIONS))
                handles += [made["part"], made[0]["x"]]
            case "thread":
                made = g.add(in_thread, draw(values), depends_on=after, **draw(OPTIONS))
            case "alive":
                key = draw(st.sampled_from(["one", "key-{{ x }}", *given]))
                made = g.add(alive, draw(values), heartbeat=draw(st.integers(1, 9)), exclusive=key)
            case "shell":
                made = g.add(
                    shell("echo {{ x }} {{ y.z }}"), x=draw(values), y={"z": draw(known)}, **draw(OPTIONS)
                )
            case "map":
                made = g.map(in_thread, y=item["part"], over=[g.input(f"list_{n}", default={})], **draw(OPTIONS))
                handles.append(made[0])
            case _:
                made = g.add(draw(graphs(depth=0)), depends_on=after)
        handles.append(made)
    if draw(st.booleans()):
        g.returns(draw(st.sampled_from([handles, handles[-1], {"all": handles}])))
    return g


@given(graphs())
def test_a_definition_survives_its_text(graph: Graph) -> None:
    assert graph.problems() == []
    spec = graph.spec()
    again = msgspec.json.decode(msgspec.json.encode(spec), type=GraphSpec)
    assert msgspec.json.encode(again) == msgspec.json.encode(spec)
    assert definition_hash(again) == definition_hash(spec) == graph.hash
    compile_graph(again)


@given(graphs())
def test_a_layer_needs_only_those_before_it(graph: Graph) -> None:
    layers = execution_batches(graph)
    depth = {node: n for n, layer in enumerate(layers) for node in layer}
    nodes = graph.spec().nodes
    assert sorted(depth) == sorted(node.id for node in nodes)
    for node in nodes:
        needs = [depth[name] for name in dependencies(node)]
        assert depth[node.id] == (max(needs) + 1 if needs else 0)


@given(graphs())
def test_every_function_of_a_definition_is_at_hand(graph: Graph) -> None:
    def refs(spec: GraphSpec):
        for node in spec.nodes:
            if node.graph is not None:
                yield from refs(node.graph)
            elif node.kind == "function":
                yield msgspec.json.decode(node.body)["ref"]
            if node.probe:
                yield msgspec.json.decode(node.probe)["ref"]

    assert set(refs(graph.spec())) == graph.bodies.keys()
