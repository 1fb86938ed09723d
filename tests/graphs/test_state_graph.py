"""State graphs in Python: what nodes and the graph as a whole become."""

# pyright: basic

from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import pytest
from state_graphs import STATE, Research, built, inside, keep, line, plan

from clew import Context
from clew.errors import GraphError
from clew.graphs import (
    END,
    START,
    Checkpoints,
    Graph,
    Retry,
    StateGraph,
    Update,
    append,
    fixed,
    http,
    node,
    shell,
    total,
)
from clew.graphs.body_data import FunctionBody
from clew.graphs.given import encode_inputs
from clew.kernel.definition import (
    CheckpointSpec,
    InputSpec,
    KeySpec,
    OnInterrupt,
    OnLimit,
    Reducer,
)
from clew.kernel.values import Expression, FromItem, FromOutput, FromState, Literal, Pick


def longest(old: str | None, new: str) -> str:
    return max(old or "", new, key=len)


def ready(state: Research) -> bool:
    return "page" in state


# Nodes -------------------------------------------------------------------------------------------------


def test_a_node_is_added_by_its_body_and_by_its_id() -> None:
    g = StateGraph(Research)
    assert g.add_node(plan) == "plan"
    assert g.add_node("second", plan) == "second"
    assert g.add_node(plan, "third") == "third"
    assert g.add_node(plan, id="fourth", retry=3) == "fourth"
    assert g.add_node(plan) == "plan_2"
    assert g.add_barrier("review") == "review"
    assert [draft.id for draft in g.draft.nodes] == ["plan", "second", "third", "fourth", "plan_2", "review"]
    assert repr(g) == "<state graph research: 6 nodes, 0 edges>"


def by_name(other: int = 3, *, state: Any) -> None: ...
def by_schema(other: str = "", *, draft: Research | None) -> None: ...
def by_place(ctx: Context, s, more: int = 3) -> None: ...
def nothing(ctx: Context, more: int = 3) -> None: ...
def anything(**given: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        (by_name, "state"),
        (by_schema, "draft"),
        (by_place, "s"),
        (nothing, ""),
        (anything, "state"),
        (plan, "state"),
    ],
)
def test_which_parameter_takes_the_state(function: Any, parameter: str) -> None:
    assert inside(line(function)).inputs == ({parameter: FromState()} if parameter else {})


def test_options_are_those_of_nodes_everywhere() -> None:
    @node(retry=Retry(max_attempts=2, backoff=fixed(1)), uses="llm", timeout=3)
    async def call(state: Research) -> None: ...

    g = StateGraph(Research)
    g.add_node(
        "call", call, timeout=5, total_timeout=50, priority=2, exclusive="topic-{{ state.topic }}",
        on_interrupt="ask", max_visits=4, on_limit="drop",
    )  # fmt: skip
    g.add_edge(START, "call")
    g.add_edge("call", END)
    spec = inside(g)
    assert (spec.retry.max_attempts, spec.timeout_s, spec.total_timeout_s, spec.priority) == (2, 5.0, 50.0, 2)
    assert (spec.uses, spec.on_interrupt) == ({"llm": 1}, OnInterrupt.ASK)
    assert (spec.max_visits, spec.on_limit) == (4, OnLimit.DROP)
    assert spec.exclusive == Expression("topic-{{ state.topic }}", STATE, "call.exclusive")


def test_texts_of_descriptions_read_the_state_and_say_what_they_write() -> None:
    g = StateGraph(Research)
    sets = {"page": "{{ output.stdout }}", "score": 1, "topic": "{{ state.topic }} ({{ output.exit_code }})"}
    g.add_node("fetch", shell("curl {{ state.topic }}", stdin="{{ state.page }}"), sets=sets)
    g.add_node("post", http("POST", "https://x", json={"topic": "{{ state.topic }}"}))
    g.add_edge(START, "fetch")
    g.add_edge("fetch", "post")
    g.add_edge("post", END)
    fetch, post = built(g).nodes
    state = STATE
    assert fetch.kind == "shell"
    assert fetch.inputs == {
        "command": Expression("curl {{( state.topic )|quote }}", state, "fetch.command"),
        "stdin": Expression("{{ state.page }}", state, "fetch.stdin"),
    }
    assert fetch.sets == {
        "page": Pick(FromOutput(), ("stdout",)),
        "score": Literal(msgspec.Raw(b"1")),
        "topic": Expression(
            "{{ state.topic }} ({{ output.exit_code }})", state | {"output": FromOutput()}, "fetch.sets.topic"
        ),
    }
    assert post.sets == {}
    assert (post.timeout_s, post.on_interrupt) == (60.0, OnInterrupt.FAIL)


def test_a_graph_is_given_the_keys_that_its_inputs_are_named_like() -> None:
    inner = Graph("inner")
    topic, words = inner.input("topic", str), inner.input("words", int, default=3)
    inner.returns({"page": inner.add(lambda topic, words: topic * words, topic=topic, words=words, id="repeat")})
    g = line(inner)
    spec = inside(g)
    assert (spec.kind, spec.inputs) == ("graph", {"topic": FromState("topic")})
    assert spec.graph == inner.spec()
    inner.input("score", float)
    assert inside(g).inputs == {"topic": FromState("topic"), "score": FromState("score")}


def test_a_state_graph_works_on_the_keys_that_both_have() -> None:
    @dataclass
    class Inner:
        topic: str
        rounds: Annotated[int, total] = 0

    inner = line(lambda s: {"rounds": 1}, schema=Inner)
    spec = inside(line(inner))
    assert (spec.id, spec.kind, spec.inputs, spec.graph) == ("inner", "graph", {}, inner.spec())


# The graph ---------------------------------------------------------------------------------------------


@dataclass
class Full:
    topic: str
    best: Annotated[str, longest] = ""
    notes: Annotated[list[str], append] = field(default_factory=list[str])


def test_keys_and_inputs() -> None:
    spec = built(line(keep, schema=Full, description="d", timeout=9, max_concurrency=2, max_interruptions=3))
    routes = spec.routes
    assert routes is not None
    assert (spec.name, spec.description, spec.timeout_s) == ("full", "d", 9.0)
    assert (spec.max_concurrency, spec.max_interruptions) == (2, 3)
    assert spec.inputs == (
        InputSpec(name="topic", type="str"),
        InputSpec(name="best", type="str", required=False, default=msgspec.Raw(b'""')),
        InputSpec(name="notes", type="list[str]", required=False, default=msgspec.Raw(b"[]")),
    )
    topic, best, notes = routes.keys
    assert topic == KeySpec(name="topic", type="str", required=True)
    assert notes == KeySpec(name="notes", type="list[str]", reducer=Reducer.APPEND, default=msgspec.Raw(b"[]"))
    assert (best.reducer, bytes(best.default)) == (Reducer.CUSTOM, b'""')
    assert msgspec.json.decode(best.custom, type=FunctionBody).ref == f"{__name__}:longest"


def test_limits_and_checkpoints() -> None:
    def checkpoints(given: Any) -> CheckpointSpec:
        routes = built(line(plan, checkpoints=given, max_steps=9, max_state_bytes=1000)).routes
        assert routes is not None
        assert (routes.max_steps, routes.max_state_bytes) == (9, 1000)
        return routes.checkpoints

    assert checkpoints("conservative") == CheckpointSpec()
    assert checkpoints("minimal") == CheckpointSpec(every_step=False, threshold=100.0)
    assert checkpoints("manual") == CheckpointSpec(
        every_step=False, on_barrier=False, on_decision=False, on_completion=False
    )
    assert checkpoints(Checkpoints(on_barrier=False, keep=3, keep_for=60)) == CheckpointSpec(
        on_barrier=False, keep=3, keep_s=60.0
    )


def test_a_run_is_started_with_keys_and_those_without_a_value_are_not_there() -> None:
    assert encode_inputs(line(plan), {"topic": "x"}) == {"topic": b'"x"'}
    full = line(keep, schema=Full)
    assert encode_inputs(full, {"topic": "x"}) == {"topic": b'"x"', "best": b'""', "notes": b"[]"}
    with pytest.raises(GraphError) as caught:
        encode_inputs(full, {"topik": "x", "notes": 3})
    assert caught.value.problems == [
        "it has no input 'topik'; did you mean 'topic'?; it has 'topic', 'best' and 'notes'",
        "input 'topic' (str) is missing",
        "input 'notes': Expected `array`, got `int`",
    ]


def test_a_state_graph_is_a_node_of_a_graph() -> None:
    inner = line(keep, schema=Full)
    g = Graph("outer")
    one = g.add(inner, topic="x")
    g.add(lambda text: text, one["best"], id="use")
    g.map(inner, over=g.input("topics", list[str]), notes=["a"])
    first, use, each = g.spec().nodes
    assert (first.id, first.kind, first.graph) == ("full", "graph", inner.spec())
    assert first.inputs == {"topic": Literal(msgspec.Raw(b'"x"'))}
    assert use.inputs["text"] == Pick(of=g["full"].binding, path=("best",))
    assert each.inputs == {"notes": Literal(msgspec.Raw(b'["a"]')), "topic": FromItem()}
    assert inner.bodies.items() <= g.bodies.items()


def test_what_a_state_graph_returns_to_a_graph_has_types() -> None:
    inner = StateGraph(Full)
    inner.add_barrier("review")
    inner.add_edge(START, "review")
    inner.add_edge("review", END)
    g = Graph("outer")
    done = g.add(inner, topic="x")

    def use(approved: bool, best: int) -> None: ...

    g.add(use, done["review.approved"], done["best"])
    g.add(lambda x: x, done["bets"], id="typo")
    found = [each.partition(": ")[2] for each in g.problems()]
    assert found == [
        "node 'use', parameter 'best': full.best is str, but int is declared",
        "node 'typo', parameter 'x': full is full and has no 'bets'; did you mean 'best'?",
    ]


def test_the_hash_does_not_know_where_things_lie_nor_how_they_read() -> None:
    def graph(when: Any, target: str = "a") -> StateGraph:
        g = line(plan)
        g.add_node("a", plan)
        g.add_edge("plan", target, when=when)
        g.add_edge("a", END)
        return g

    one, other = graph(lambda s: s["a"]), graph(lambda s: not s["a"])
    assert one.hash == other.hash
    assert msgspec.json.encode(one.spec()) != msgspec.json.encode(other.spec())
    assert graph("{{ state.topic }}").hash != one.hash


def test_a_change_is_seen() -> None:
    g = line(plan)
    outer = Graph("outer")
    outer.add(g)
    before = (g.hash, outer.hash)
    g.add_edge("plan", "plan", when=ready)
    assert g.hash != before[0]
    assert outer.hash != before[1]
    assert g.spec() is g.spec()
    assert g.problems() == []


def test_layers_are_distances_from_the_start() -> None:
    g = StateGraph(Research)
    for name in "abcd":
        g.add_node(name, plan)
    g.add_edge(START, "b")
    g.add_edge("b", "a", when=ready)
    g.add_edge("b", "c")
    g.add_edge("a", "b")
    g.add_edge("c", "d")
    g.add_edge("d", END)
    assert g.layers() == [["b"], ["a", "c"], ["d"]]


def test_a_node_that_may_end_by_itself_needs_no_edge_that_says_so() -> None:
    def judge(state: Research) -> Update: ...

    g = StateGraph(Research)
    g.add_node(plan)
    g.add_node(judge)
    g.add_edge(START, "plan")
    g.add_edge("plan", "judge")
    g.add_edge("judge", "plan")
    built(g)
