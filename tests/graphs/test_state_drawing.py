"""Pictures of state graphs: nothing overlaps, loops are led below what they pass, and everything is told."""

# pyright: basic

import itertools
import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from state_graphs import Research, keep, plan

from clew.graphs import END, START, Graph, StateGraph, barrier, shell
from clew.graphs.drawing import svg
from clew.graphs.state_layout import Line, place
from clew.kernel.definition import EdgeSpec, GraphSpec, NodeSpec, RouteSpec

SVG = "{http://www.w3.org/2000/svg}"
GAP = 18.0


@st.composite
def lines(draw: st.DrawFn) -> tuple[int, list[Line]]:
    """Boxes and lines between them; the first is the start, the last is the end."""
    count = draw(st.integers(2, 14))
    ends = st.tuples(st.integers(0, count - 2), st.integers(1, count - 1), st.booleans())
    found = draw(st.lists(ends, max_size=30, unique=True))
    return count, [Line(*each, labels=["x"] * draw(st.integers(0, 1))) for each in found]


@given(lines())
def test_nothing_overlaps_and_loops_lead_below(case: tuple[int, list[Line]]) -> None:
    count, drawn = case
    placed = place(count, drawn, [40.0] * count, gap=GAP)
    vertices = placed.layout.vertices
    for column in placed.layout.columns:
        for a, b in itertools.pairwise(vertices[v] for v in column):
            assert b.y - a.y >= (a.height + b.height) / 2 + GAP - 1e-6
    assert vertices[count - 1].layer > max(vertex.layer for vertex in vertices[: count - 1])
    for line in drawn:
        first, last = vertices[line.source].layer, vertices[line.target].layer
        if line.leads_back:
            passed = [vertices[v] for c in placed.layout.columns[last : first + 1] for v in c]
            assert last <= first
            assert all(line.lane > vertex.y + vertex.height / 2 for vertex in passed)
            assert line.lane <= placed.height
        else:
            assert [vertices[v].layer for v in line.way] == [*range(first, last + 1)]
        assert abs(line.leaves) <= vertices[line.source].height / 2 - 8
        assert abs(line.enters) <= vertices[line.target].height / 2 - 8


@given(lines())
def test_lines_touch_a_box_at_different_places_and_lanes_are_apart(case: tuple[int, list[Line]]) -> None:
    count, drawn = case
    place(count, drawn, [40.0] * count, gap=GAP)
    for box in range(count):
        leaving = sorted(line.leaves for line in drawn if line.source == box)
        assert all(b - a >= 9.9 for a, b in itertools.pairwise(leaving))
        entering = sorted(line.enters for line in drawn if line.target == box)
        assert all(b - a >= 9.9 for a, b in itertools.pairwise(entering))
    nested = sorted((line for line in drawn if line.leads_back), key=lambda line: line.lane)
    for a, b in itertools.combinations(nested, 2):
        if a.source == b.source or a.target == b.target:
            assert b.lane - a.lane >= 12


def drawn() -> StateGraph:
    inner = StateGraph(Research, name="<inner>")
    inner.add_node(keep)
    inner.add_edge(START, "keep")
    inner.add_edge("keep", END)
    g = StateGraph(Research, name='<b>&"')
    g.add_node(plan)
    g.add_map("each", lambda item: None, over="sections", max_visits=3)
    g.add_parallel("check", {"a": inner, "b": shell("true"), "legal": barrier("Legal?")})
    g.add_barrier("review", "Publish?", timeout=60)
    g.add_edge(START, "plan")
    g.add_edge("plan", "each")
    g.add_edge("each", "check")
    g.add_edge("check", "review")
    g.add_edge("review", END, when=lambda s: s["review.approved"] and s["score"] < 3)
    g.add_router("review", "{{ state.topic }}", {"a": "plan", "b": "plan"})
    g.add_edge("review", "review", max_visits=2)
    g.add_fallback("plan", "review")
    return g


def test_a_picture_is_well_formed_and_tells_everything() -> None:
    g = drawn()
    root = ET.fromstring(g.svg({"plan": "completed", "check": "running", "check/b": "failed"}))
    groups = [each for each in root.findall(f"{SVG}g") if each.get("class") != "edges"]
    assert [each.get("class") for each in groups] == [
        "end",
        "node completed",
        "node pending",
        "node running",
        "node pending",
        "node failed",
        "node pending",
        "node pending",
        "end",
    ]
    texts = ["".join(each.itertext()) for each in groups]
    assert texts[0] == "START" and texts[-1] == "END"
    assert "entered 3 times at most" in texts[2]
    assert texts[3] == "check"
    assert "waits for a decision: Publish?\nreject after 60 s" in texts[7]
    assert len(groups[2].findall(f"{SVG}rect")) == 3  # a map is a stack
    assert len(groups[7].findall(f"{SVG}polygon")) == 1
    edges = root.find(f"{SVG}g[@class='edges']")
    assert edges is not None
    assert sorted(each.get("class") or "" for each in edges.findall(f"{SVG}path")) == [
        *[""] * 7, "fallback", *["tip"] * 7, "tip fallback",
    ]  # fmt: skip
    assert {each.text or "".join(each.itertext()) for each in edges.iter(f"{SVG}title")} == {
        's["review.approved"] and s["score"] < 3',
        "state.topic = a / state.topic = b",
        "else, max. 2",
    }
    assert root.findtext(f"{SVG}title") == '<b>&"'


def test_long_conditions_are_shortened_and_told_in_full() -> None:
    when = "state.topic == 'a' or state.topic == 'b' or state.topic == 'c'"
    g = StateGraph(Research)
    g.add_node(plan)
    g.add_edge(START, "plan")
    g.add_edge("plan", "plan", when=f"{{{{ {when} }}}}")
    g.add_edge("plan", END)
    root = ET.fromstring(g.svg())
    (shown,) = [each for each in root.iter(f"{SVG}text") if each.findtext(f"{SVG}title") == when]
    assert "".join(shown.itertext()) == f"{when}{when[:45]}…"


def test_a_box_is_as_high_as_the_lines_at_it_need() -> None:
    g = StateGraph(Research)
    for i in range(6):
        g.add_node(f"n{i}", keep)
        g.add_edge(f"n{i}", END)
    g.add_router(START, "{{ state.topic }}", [f"n{i}" for i in range(6)])
    g.add_router("n0", "{{ state.topic }}", [f"n{i}" for i in range(1, 6)])
    root = ET.fromstring(g.svg())
    heights = {each.get("height") for each in root.iter(f"{SVG}rect")}
    assert heights == {"44", "111"}


def test_a_picture_of_nodes_that_nothing_reaches() -> None:
    spec = GraphSpec(
        name="g",
        nodes=(NodeSpec(id="a", kind="shell"), NodeSpec(id="b", kind="shell")),
        routes=RouteSpec(edges=(EdgeSpec(source="", target="a"),)),
    )
    assert len(ET.fromstring(svg(spec)).findall(f"{SVG}g")) == 5


def test_mermaid() -> None:
    g = drawn()
    lines = g.mermaid({"plan": "completed", "check/b": "failed"}).splitlines()
    assert lines[:11] == [
        "flowchart LR",
        "    start((START))",
        '    n0("plan")',
        '    n1[["each<br/><small>each: drawn.#60;lambda#62;</small>"]]',
        '    subgraph n2["check"]',
        '        n2_0{{"a<br/><small>graph #60;inner#62;</small>"}}',
        '        n2_1("b<br/><small>shell</small>")',
        '        n2_2{"legal<br/><small>barrier</small>"}',
        "    end",
        '    n3{"review<br/><small>barrier</small>"}',
        "    finish(((END)))",
    ]
    assert lines[11:15] == ["    start --> n0", "    n0 --> n1", "    n1 --> n2", "    n2 --> n3"]
    assert '    n3 -->|"state.topic #61; a"| n0' in lines
    assert '    n3 -->|"else, max. 2"| n3' in lines
    assert '    n0 -.->|"fallback"| n3' in lines
    assert any(re.fullmatch(r'    n3 -->\|"s#91;.*#60; 3"\| finish', each) for each in lines)
    assert "    class n0 completed" in lines
    assert "    class n2_1 failed" in lines


def test_a_state_graph_in_the_picture_of_a_graph() -> None:
    g = Graph("outer")
    inner = StateGraph(Research, name="inner")
    inner.add_node(keep)
    inner.add_edge(START, "keep")
    inner.add_edge("keep", END)
    g.add(inner, id="one")
    assert "graph inner" in g.svg()
    assert '    n0{{"one<br/><small>graph inner</small>"}}' in g.mermaid()
