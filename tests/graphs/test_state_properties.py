"""Random state graphs: whatever is wrong is told, and what is found right can be compiled, stored, and drawn."""

# pyright: basic

import xml.etree.ElementTree as ET
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from state_graphs import Research, built, keep, line, plan

from clew.graphs import END, START, StateGraph, Update, barrier, branch, http, shell


def ends(state) -> Update: ...
def takes_item(state, item) -> None: ...


NAMES = ("a", "b", "c", "d")
ENDS = st.sampled_from((*NAMES, START, END, "nowhere"))
LIMITS: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={"max_visits": st.integers(0, 3), "on_limit": st.sampled_from(["strict", "fallback", "drop", "?"])},
)
BODIES: st.SearchStrategy[Any] = st.sampled_from(
    [
        keep,
        plan,
        ends,
        shell("echo {{ state.topic }}"),
        http("GET", "https://x/{{ state.nothing }}"),
        barrier("?", shows="page"),
        line(keep, name="inner"),
        3,
    ]
)
WHEN: st.SearchStrategy[Any] = st.sampled_from(
    ["{{ state.score > 1 }}", "{{ state['a.approved'] }}", "{{ x }}", keep, lambda s: s, 3]
)
BRANCHES: st.SearchStrategy[Any] = st.lists(BODIES.map(branch) | BODIES, max_size=3)


@st.composite
def graphs(draw: st.DrawFn) -> StateGraph:
    g = StateGraph(Research)
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=5)):
        kind = draw(st.sampled_from(["node", "node", "map", "parallel"]))
        if kind == "node":
            g.add_node(name, draw(BODIES), **draw(LIMITS))
        elif kind == "map":
            over = draw(st.sampled_from(["sections", "nothing", "{{ state.drafts + ['x'] }}"]))
            body: Any = draw(BODIES | st.just(takes_item))
            g.add_map(name, body, over=over, on_item_error=draw(st.sampled_from(["fail_fast", "collect"])))
        else:
            how = draw(st.sampled_from(["fail_fast", "collect_all", "other"]))
            g.add_parallel(name, draw(BRANCHES), on_branch_error=how)
    for _ in range(draw(st.integers(0, 8))):
        source, target = draw(ENDS), draw(ENDS)
        match draw(st.sampled_from(["edge", "edge", "when", "router", "fallback"])):
            case "edge":
                g.add_edge(source, target, **draw(LIMITS))
            case "when":
                g.add_edge(source, target, when=draw(WHEN), **draw(LIMITS))
            case "router":
                g.add_router(source, draw(WHEN), draw(st.dictionaries(st.integers(0, 2), ENDS, max_size=2)))
            case _:
                g.add_fallback(source, target)
    return g


@given(graphs())
def test_whatever_is_wrong_is_told(graph: StateGraph) -> None:
    problems = graph.problems()
    assert problems == graph.problems()
    assert all(".py:" in each for each in problems)
    if not problems:
        built(graph)
        ET.fromstring(graph.svg())


@st.composite
def rows(draw: st.DrawFn) -> StateGraph:
    """Graphs that are right: nodes in a row, with edges that lead back or skip some."""
    count = draw(st.integers(1, 6))
    bodies = BODIES.filter(lambda body: body != 3 and getattr(body, "kind", "") != "http")
    g = line(*(draw(bodies) for _ in range(count)))
    names = [node.id for node in g.draft.nodes]
    for _ in range(draw(st.integers(0, 6))):
        source, target = draw(st.sampled_from(names)), draw(st.sampled_from([*names, END]))
        limit: dict[str, Any] = draw(st.sampled_from([{}, {"max_visits": 2, "on_limit": "drop"}]))
        g.add_edge(source, target, when=draw(st.sampled_from([keep, "{{ state.score > 1 }}"])), **limit)
    for name in draw(st.lists(st.sampled_from(names), max_size=2, unique=True)):
        g.add_fallback(name, END)
    return g


@given(rows())
def test_what_is_right_is_compiled_stored_and_drawn(graph: StateGraph) -> None:
    spec = built(graph)
    ids = [node.id for node in spec.nodes]
    assert sorted(name for layer in graph.layers() for name in layer) == sorted(ids)
    drawn = {each.text for each in ET.fromstring(graph.svg()).iter("{http://www.w3.org/2000/svg}text")}
    assert drawn >= {*ids, "START", "END"}
    assert graph.mermaid().count("-->") + graph.mermaid().count("-.->") == len(spec.routes.edges)  # type: ignore[union-attr]
