"""How two definitions differ, in sentences (SG9)."""

# pyright: basic

import copy
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from clew.graphs import END, START, Checkpoints, Graph, StateGraph, append, shell, total
from clew.graphs.difference import TOLD, differences, key_changes, node_changes, told
from clew.graphs.hashing import definition_hash
from clew.kernel.definition import GraphSpec, KeySpec, NodeSpec, Reducer
from clew.kernel.topology import compile_graph
from clew.kernel.values import NOTHING


def draft(state): ...


def check(state): ...


def other(state): ...


def with_item(state, item): ...


SCHEMA = {"n": int, "log": Annotated[list[str], append], "sum": Annotated[float, total]}


def graph(name: str = "g", schema: Any = SCHEMA, **options: Any) -> StateGraph:
    """A state graph with a loop, a fallback and a barrier."""
    g = StateGraph(schema, name=name, **options)
    g.add_node(draft, retry=2)
    g.add_node(check)
    g.add_barrier("ok", "All right?")
    g.add_edge(START, "draft")
    g.add_edge("draft", "check")
    g.add_edge("check", "draft", when="{{ state.n < 3 }}", max_visits=4)
    g.add_edge("check", "ok")
    g.add_fallback("check", "ok")
    g.add_edge("ok", END)
    return g


def spec() -> GraphSpec:
    return graph().spec()


def with_node(number: int, **fields: Any) -> GraphSpec:
    nodes = list(spec().nodes)
    nodes[number] = replace(nodes[number], **fields)
    return replace(spec(), nodes=tuple(nodes))


def with_edge(number: int, **fields: Any) -> GraphSpec:
    routes = spec().routes
    assert routes is not None
    edges = list(routes.edges)
    edges[number] = replace(edges[number], **fields)
    return replace(spec(), routes=replace(routes, edges=tuple(edges)))


def with_key(number: int, **fields: Any) -> GraphSpec:
    routes = spec().routes
    assert routes is not None
    keys = list(routes.keys)
    keys[number] = replace(keys[number], **fields)
    return replace(spec(), routes=replace(routes, keys=tuple(keys)))


def test_the_same_graph_does_not_differ() -> None:
    again = graph()
    assert differences(spec(), again.spec()) == []


def test_the_source_of_functions_and_places_are_no_difference() -> None:
    text = msgspec.json.encode(spec()).replace(b'"is_async":false', b'"is_async":false,"folder":"/elsewhere"')
    moved = msgspec.json.decode(text, type=GraphSpec)
    assert moved.nodes[0].body != spec().nodes[0].body
    assert differences(spec(), moved) == []


def test_nodes_that_come_and_go() -> None:
    g = graph()
    g.add_node(other)
    g.add_edge("ok", "other", when="{{ state.n }}")
    g.add_edge("other", END)
    assert differences(spec(), g.spec()) == [
        "node other is new",
        "edge ok -> other (if state.n) is new",
        "edge other -> END is new",
    ]
    assert differences(g.spec(), spec()) == [
        "node other is gone",
        "edge ok -> other (if state.n) is gone",
        "edge other -> END is gone",
    ]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"timeout_s": 60.0}, "node check: timeout none -> 60 s"),
        ({"max_visits": 3}, "node check: max_visits none -> 3"),
        (
            {"body": msgspec.Raw(b'{"ref":"m:f","is_async":false}')},
            "node check: body.ref test_difference:check -> m:f",
        ),
        ({"uses": {"llm": 1}}, "node check: uses.llm none -> 1"),
        ({"inputs": {}}, "node check: inputs.state"),
        ({"on_error": "continue", "priority": 2}, "node check: on_error none -> continue, priority 0 -> 2"),
        ({"graph": GraphSpec(name="x")}, "node check: it is a sub-graph now"),
        ({"kind": "shell"}, "node check: kind function -> shell"),
        ({"irreversible": True}, "node check: irreversible no -> yes"),
    ],
)
def test_what_of_a_node_has_changed(fields: dict[str, Any], sentence: str) -> None:
    assert differences(spec(), with_node(1, **fields)) == [sentence]


def test_a_barrier_that_has_changed() -> None:
    barrier = spec().nodes[2].barrier
    assert barrier is not None
    assert differences(spec(), with_node(2, barrier=replace(barrier, timeout_s=9.0, shows=("n",)))) == [
        "node ok: barrier.shows, barrier.timeout none -> 9 s"
    ]


def test_what_of_an_edge_has_changed() -> None:
    assert differences(spec(), with_edge(2, max_visits=9, on_limit="drop")) == [
        "edge check -> draft (if state.n < 3): max_visits 4 -> 9, on_limit strict -> drop"
    ]
    g = StateGraph({"n": int}, name="e")
    h = StateGraph({"n": int}, name="e")
    for one, when in ((g, lambda state: state["n"] > 1), (h, "{{ state.n > 1 }}")):
        one.add_node(draft)
        one.add_edge(START, "draft", when=when)
        one.add_edge(START, END)
        one.add_edge("draft", END)
    (sentence,) = differences(g.spec(), h.spec())
    assert sentence.startswith("edge START -> draft (if ")
    assert sentence.endswith("): its condition is state.n > 1 now")


def test_a_condition_without_another_label_and_a_choice() -> None:
    when = msgspec.Raw(b'{"expression":"{{ state.n < 4 }}"}')
    edge = "edge check -> draft (if state.n < 3)"
    assert differences(spec(), with_edge(2, when=when)) == [f"{edge}: its condition has changed"]
    chosen = with_edge(2, equals=msgspec.Raw(b'"again"'))
    assert differences(spec(), chosen) == [f'{edge}: its condition is state.n < 3 gives "again" now']
    assert differences(with_edge(2, equals=msgspec.Raw(b"null")), spec()) == [
        "edge check -> draft (if state.n < 3 gives null): its condition is state.n < 3 now"
    ]
    plain = with_edge(2, when=NOTHING, label="x" * 99)
    assert differences(spec(), plain) == [f"{edge}: its condition is none now"]


def test_the_order_of_conditions_counts() -> None:
    def ordered(*whens: str) -> GraphSpec:
        g = StateGraph({"n": int}, name="o")
        g.add_node(draft)
        g.add_edge(START, "draft")
        for when in whens:
            g.add_edge("draft", END, when=when)
        g.add_edge("draft", "draft")
        return g.spec()

    assert differences(ordered("{{ state.n }}", "{{ 1 }}"), ordered("{{ 1 }}", "{{ state.n }}")) == [
        "the conditions of the edges of draft are asked in another order"
    ]
    routes = spec().routes
    assert routes is not None
    turned = replace(spec(), routes=replace(routes, edges=(*routes.edges[1:], routes.edges[0])))
    assert differences(spec(), turned) == ["its edges stand in another order"]


def test_fallback_edges_are_called_so() -> None:
    assert differences(spec(), with_edge(4, max_visits=1)) == ["fallback edge check -> ok: max_visits none -> 1"]


def test_keys_that_come_go_and_change() -> None:
    without = {name: hint for name, hint in SCHEMA.items() if name != "sum"}
    fewer = graph(schema=without).spec()
    assert differences(spec(), fewer) == ["key sum is gone"]
    assert differences(fewer, spec()) == ["key sum is new"]
    assert differences(spec(), with_key(1, reducer=Reducer.REPLACE)) == ["key log: reducer append -> replace"]
    assert differences(spec(), with_key(0, default=msgspec.Raw(b"3"))) == ["key n: default none -> 3"]
    assert differences(spec(), with_key(0, default=msgspec.Raw(b"null"))) == ["key n: default"]
    routes = spec().routes
    assert routes is not None
    turned = replace(spec(), routes=replace(routes, keys=routes.keys[::-1]))
    assert "its keys stand in another order" in differences(spec(), turned)


def test_limits_and_policies_of_a_graph() -> None:
    changed = graph(
        "h", max_steps=80, timeout=5, max_concurrency=9, checkpoints=Checkpoints(every_step=False, keep=4)
    )
    assert differences(spec(), changed.spec()) == [
        "name g -> h",
        "timeout none -> 5 s",
        "max_concurrency 4 -> 9",
        "max_steps 50 -> 80",
        "checkpoints.every_step yes -> no",
        "checkpoints.keep none -> 4",
    ]


def test_sub_graphs_are_told_by_their_address() -> None:
    def around(inner: StateGraph) -> GraphSpec:
        g = StateGraph(SCHEMA, name="outer")
        g.add_node("part", inner)
        g.add_edge(START, "part")
        g.add_edge("part", END)
        return g.spec()

    changed = graph(max_steps=7)
    changed.add_node(other)
    changed.add_edge("other", END)
    changed.add_router("draft", lambda state: True, {True: "other"})
    told_ = differences(around(graph()), around(changed))
    assert told_[0] == "part: node other is new"
    assert "part: edge other -> END is new" in told_
    assert told_[-1] == "part: max_steps 50 -> 7"
    assert differences(around(graph()), around(graph(schema={"n": int} | SCHEMA))) == []


def test_graphs_of_dependencies() -> None:
    def fetch(url: str) -> str:
        return url

    def dag(*, later: bool) -> GraphSpec:
        g = Graph("dag")
        page = g.add(fetch, url=g.input("url", str))
        g.add(shell("echo {{ page }}"), id="show", inputs={"page": page})
        if later:
            g.add(fetch, url="x", id="last", depends_on=["show"])
            g.input("more", int, default=3)
        return g.spec()

    assert differences(dag(later=False), dag(later=True)) == ["node last is new", "input more is new"]
    assert differences(dag(later=True), dag(later=False)) == ["node last is gone", "input more is gone"]
    before, after = dag(later=True), dag(later=True)
    turned = replace(after, nodes=after.nodes[::-1], inputs=after.inputs[::-1])
    assert differences(before, turned) == ["its nodes stand in another order", "its inputs stand in another order"]
    given_ = replace(after, inputs=(after.inputs[0], replace(after.inputs[1], default=msgspec.Raw(b"4"))))
    assert differences(before, given_) == ["input more: default 3 -> 4"]
    node = replace(after.nodes[2], after=())
    assert differences(before, replace(after, nodes=(*after.nodes[:2], node))) == ["node last: after"]
    assert differences(spec(), dag(later=False))[0] == "was a state graph, is a dependency graph now"
    assert differences(dag(later=False), spec())[0] == "was a dependency graph, is a state graph now"


def test_a_default_that_is_written_out_changes_nothing() -> None:
    nodes = spec().nodes
    retry = replace(nodes[1].retry, delay_s=float("1.0"))
    written = replace(spec(), nodes=(nodes[0], replace(nodes[1], retry=retry), nodes[2]))
    again = msgspec.json.decode(msgspec.json.encode(written), type=GraphSpec)
    expected = [] if definition_hash(written) == definition_hash(spec()) else [
        "a default is written out in one of them, which changes nothing but its hash"
    ]  # fmt: skip
    assert differences(spec(), written) == differences(spec(), again) == expected
    assert node_changes(nodes[1], written.nodes[1]) == []


def test_one_node_and_one_key() -> None:
    a = NodeSpec(id="a", kind="graph", graph=GraphSpec(name="x"))
    assert node_changes(a, replace(a, graph=GraphSpec(name="y"), timeout_s=2.5)) == ["timeout none -> 2.5 s"]
    key = KeySpec(name="k", reducer=Reducer.CUSTOM, custom=msgspec.Raw(b'{"ref":"m:f","folder":"/a"}'))
    assert key_changes(key, replace(key, custom=msgspec.Raw(b'{"ref":"m:f","folder":"/b"}'))) == []
    assert key_changes(key, replace(key, custom=msgspec.Raw(b'{"ref":"m:g"}'))) == ["custom.ref m:f -> m:g"]


def test_of_many_sentences_the_first_are_told() -> None:
    assert told(["a", "b"]) == "a; b"
    text = told([str(number) for number in range(TOLD + 3)])
    assert text.endswith(f"; {TOLD - 1}; and 3 more")


# Any change ---------------------------------------------------------------------------------------------


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The addresses of all that can be changed in plain data."""
    found = [path] if path else []
    if isinstance(data, dict):
        found += [place for name, value in data.items() for place in _places(value, (*path, name))]
    elif isinstance(data, list):
        found += [place for number, value in enumerate(data) for place in _places(value, (*path, number))]
    return found


def _rich() -> GraphSpec:
    g = graph(timeout=9.0, checkpoints="minimal")
    g.add_node("part", graph())
    g.add_parallel("both", [other, check])
    g.add_map("each", with_item, over="log")
    for source, target in (("part", "both"), ("both", "each"), ("each", END)):
        g.add_edge(source, target)
    g.add_router("ok", lambda state: state["n"], {1: "part", 2: END})
    return g.spec()


RICH = _rich()


@given(st.data())
def test_whatever_changes_the_hash_is_told(data: st.DataObject) -> None:
    plain = msgspec.json.decode(msgspec.json.encode(RICH))
    place = data.draw(st.sampled_from(_places(plain)))
    changed = copy.deepcopy(plain)
    at = changed
    for name in place[:-1]:
        at = at[name]
    value = at[place[-1]]
    if data.draw(st.booleans()):
        del at[place[-1]]
    elif isinstance(value, bool):
        at[place[-1]] = not value
    elif isinstance(value, int | float):
        at[place[-1]] = value + 1
    elif isinstance(value, str):
        at[place[-1]] = f"{value}x"
    elif isinstance(value, list):
        value.reverse()
    else:
        return
    try:
        spec_ = msgspec.json.decode(msgspec.json.encode(changed), type=GraphSpec)
        compile_graph(spec_)
        same = definition_hash(spec_) == definition_hash(RICH)
    except Exception:
        return
    assert (differences(RICH, spec_) == []) == same
    assert (differences(spec_, RICH) == []) == same
