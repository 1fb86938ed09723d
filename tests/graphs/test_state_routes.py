"""State graphs in Python: what branches, maps, barriers and edges become."""

# pyright: basic

from typing import Any

import msgspec
import pytest
from state_graphs import STATE, Research, built, inside, line, plan

from clew import Context
from clew.graphs import (
    END,
    START,
    Graph,
    StateGraph,
    barrier,
    branch,
    shell,
)
from clew.graphs.conditions import Condition
from clew.kernel.definition import (
    BarrierSpec,
    Default,
    EdgeSpec,
    ErrorPolicy,
    ItemPolicy,
    KeySpec,
    NodeSpec,
    OnLimit,
    Reducer,
)
from clew.kernel.values import Expression, FromItem, FromOutput, FromState, Literal, Pick


async def write(section: str, ctx: Context, state: Research) -> dict[str, Any]:
    return {"drafts": [section]}


def ready(state: Research) -> bool:
    return "page" in state


def test_a_parallel_node() -> None:
    inner = line(plan, name="inner")
    g = StateGraph(Research)
    g.add_parallel(
        "gather",
        [plan, branch(shell("ls"), id="list", sets={"page": "{{ output.stdout }}"}, retry=2), inner, barrier("?")],
        max_visits=3,
        total_timeout=9,
    )
    g.add_edge(START, "gather")
    g.add_edge("gather", END)
    spec = built(g)
    gather = spec.nodes[0]
    assert (gather.kind, gather.max_visits, gather.total_timeout_s) == ("graph", 3, 9.0)
    branches = gather.graph
    assert branches is not None
    assert (branches.name, branches.branches, branches.routes) == ("research/gather", True, None)
    assert (branches.on_error, branches.max_concurrency) == (ErrorPolicy.STOP_GRAPH, 4)
    assert [(each.id, each.kind) for each in branches.nodes] == [
        ("plan", "function"),
        ("list", "shell"),
        ("inner", "graph"),
        ("barrier", "barrier"),
    ]
    assert branches.nodes[0].inputs == {"state": FromState()}
    assert branches.nodes[1].sets == {"page": Pick(FromOutput(), ("stdout",))}
    assert branches.nodes[1].retry.max_attempts == 2


def test_branches_by_name_that_are_all_carried_out() -> None:
    g = StateGraph(Research)
    review = barrier("Legal?", shows="page", timeout=60, default="approve")
    g.add_parallel(
        "gather", {"a": plan, "b": plan, "legal": review}, on_branch_error="collect_all", max_concurrency=1
    )
    g.add_edge(START, "gather")
    g.add_edge("gather", END)
    spec = built(g)
    branches = spec.nodes[0].graph
    assert branches is not None and spec.routes is not None
    assert (branches.on_error, branches.max_concurrency) == (ErrorPolicy.CONTINUE, 1)
    assert [each.id for each in branches.nodes] == ["a", "b", "legal"]
    assert branches.nodes[2].barrier == BarrierSpec(
        text="Legal?", shows=("page",), timeout_s=60.0, default=Default.APPROVE
    )
    assert spec.routes.keys[len(Research.__annotations__) :] == (
        KeySpec(name="legal.approved", reducer=Reducer.REPLACE, type="bool"),
        KeySpec(name="legal.reject_reason", reducer=Reducer.REPLACE, type="str"),
        KeySpec(name="gather.failed", reducer=Reducer.REPLACE, type="list[str]"),
    )


def mapped(body: Any, **options: Any) -> NodeSpec:
    g = StateGraph(Research)
    given: dict[str, Any] = {"over": "sections"} | options
    g.add_map("each", body, **given)
    g.add_edge(START, "each")
    g.add_edge("each", END)
    return inside(g)


def first_is_item(section: str) -> None: ...
def named_item(s, item) -> None: ...
def chosen(s, *, part: str = "") -> None: ...
def no_item(state, part: str = "") -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "inputs"),
    [
        (write, {}, {"state": FromState(), "section": FromItem()}),
        (first_is_item, {}, {"section": FromItem()}),
        (named_item, {}, {"s": FromState(), "item": FromItem()}),
        (chosen, {"item": "part"}, {"s": FromState(), "part": FromItem()}),
    ],
)
def test_which_parameter_takes_the_item(function: Any, options: Any, inputs: Any) -> None:
    assert mapped(function, **options).inputs == inputs


def test_what_a_map_runs_over() -> None:
    def over(value: Any) -> Any:
        spec = mapped(first_is_item, over=value, key="name", on_item_error="collect", max_concurrency=2).map
        assert spec is not None
        assert (spec.key, spec.on_item_error, spec.max_concurrency) == ("name", ItemPolicy.COLLECT, 2)
        return spec.over

    assert over("sections") == FromState("sections")
    assert over("{{ state.sections }}") == FromState("sections")
    assert over("{{ state['sections'] }}") == FromState("sections")
    assert over("{{ state.drafts + state.sections }}") == Expression(
        "{{ state.drafts + state.sections }}", STATE, "each.over"
    )
    assert over(["a", "b"]) == Literal(msgspec.Raw(b'["a","b"]'))


def test_descriptions_and_graphs_in_maps() -> None:
    spec = mapped(
        shell("echo {{ item }} {{ state.topic }}"), sets={"drafts": ["{{ item }}", "{{ output.stdout }}"]}
    )
    assert spec.inputs["command"] == Expression(
        "echo {{( item )|quote }} {{( state.topic )|quote }}",
        {"item": FromItem(), "state": FromState()},
        "each.command",
    )
    inner = line(plan, name="inner")
    assert mapped(inner, item="topic").inputs == {"topic": FromItem()}
    graph = Graph("graph")
    graph.returns(
        {"page": graph.add(lambda page, topic: page, page=graph.input("page"), topic=graph.input("topic"))}
    )
    assert mapped(graph, item="page").inputs == {"page": FromItem(), "topic": FromState("topic")}


def test_a_map_that_collects_says_which_items_failed() -> None:
    g = StateGraph({"items": list[str]})
    g.add_map("each", first_is_item, over="items", on_item_error="collect")
    g.add_edge(START, "each")
    g.add_edge("each", END, when="{{ state['each.failed'] | length == 0 }}")
    g.add_edge("each", "each", max_visits=2)
    routes = built(g).routes
    assert routes is not None
    assert [key.name for key in routes.keys] == ["items", "each.failed"]


def test_a_barrier() -> None:
    g = StateGraph(Research)
    g.add_barrier("review", "Publish?", shows=["page", "drafts"], timeout=3600, default="skip", max_visits=2)
    g.add_edge(START, "review")
    g.add_edge("review", END, when=lambda s: s["review.approved"])
    g.add_edge("review", "review")
    spec = built(g)
    review = spec.nodes[0]
    assert (review.id, review.kind, review.max_visits) == ("review", "barrier", 2)
    assert review.barrier == BarrierSpec(
        text="Publish?", shows=("page", "drafts"), timeout_s=3600.0, default=Default.SKIP
    )
    assert [each.name for each in spec.inputs] == [*Research.__annotations__]


# Edges -------------------------------------------------------------------------------------------------


def edges_of(graph: StateGraph) -> tuple[EdgeSpec, ...]:
    routes = built(graph).routes
    assert routes is not None
    return routes.edges


def condition(edge: EdgeSpec) -> Condition:
    return msgspec.json.decode(edge.when, type=Condition)


def test_edges() -> None:
    g = StateGraph(Research)
    g.add_node(plan)
    g.add_edge(START, "plan")
    g.add_edge("plan", END, when=ready)
    g.add_edge("plan", "plan", when=lambda s: s["score"] < 1, max_visits=2, on_limit="drop")
    g.add_edge("plan", "plan", when=lambda s: s["score"] < 2)
    g.add_edge("plan", "__end__", when="{{ state.score > 0.8 }}")
    g.add_fallback("plan", END)
    start, by_name, by_lambda, second, by_text, fallback = edges_of(g)
    assert start == EdgeSpec(source="", target="plan")
    assert (by_name.source, by_name.target, by_name.label) == ("plan", "", "ready")
    found = condition(by_name)
    assert found.function is not None
    assert (found.function.ref, found.where) == (f"{__name__}:ready", "research: 'plan' -> END")
    assert (by_lambda.max_visits, by_lambda.on_limit, by_lambda.label) == (2, OnLimit.DROP, 's["score"] < 1')
    refs = [each.function.ref.partition("@")[2] for each in map(condition, (by_lambda, second)) if each.function]
    assert refs == ["research/plan->plan", "research/plan->plan#2"]
    assert condition(by_text) == Condition(expression="{{ state.score > 0.8 }}", where="research: 'plan' -> END")
    assert by_text.label == "state.score > 0.8"
    assert fallback == EdgeSpec(source="plan", target="", fallback=True)
    assert g.bodies[f"{__name__}:ready"] is ready


def test_a_router_is_one_condition_for_several_edges() -> None:
    def route(state: Research) -> Any: ...

    g = StateGraph(Research)
    g.add_node(plan)
    g.add_node("other", plan)
    g.add_router(START, route, {1: "plan", "two": "other", None: END})
    g.add_router("plan", "{{ state.topic }}", ["other", END])
    g.add_router("other", route, "plan")
    g.add_edge("other", END)
    edges = edges_of(g)
    assert [(e.source, e.target, bytes(e.equals), e.label) for e in edges] == [
        ("", "plan", b"1", "route = 1"),
        ("", "other", b'"two"', "route = two"),
        ("", "", b"null", "route = None"),
        ("plan", "other", b'"other"', "state.topic"),
        ("plan", "", b'"__end__"', "state.topic"),
        ("other", "plan", b'"plan"', "route"),
        ("other", "", b"", ""),
    ]
    assert edges[0].when == edges[1].when == edges[2].when
    assert condition(edges[0]).where == "research: router of START"
    assert condition(edges[3]) == Condition(expression="{{ state.topic }}", where="research: router of 'plan'")
