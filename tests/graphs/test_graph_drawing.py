"""Pictures: boxes that do not overlap, edges that go forwards, text that is escaped."""

import itertools
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from clew.graphs import Graph, http, shell
from clew.graphs.drawing import mermaid, svg
from clew.graphs.layers import compiled
from clew.graphs.layout import lay_out, shown_edges
from clew.kernel.definition import GraphSpec, NodeSpec

SVG = "{http://www.w3.org/2000/svg}"
GAP = 18.0


async def body(*, a: object = None, b: object = None) -> object: ...


def spec_of(needs: list[list[int]]) -> GraphSpec:
    return GraphSpec(
        name="g",
        nodes=tuple(
            NodeSpec(id=f"n{i}", kind="shell", after=tuple(f"n{j}" for j in row)) for i, row in enumerate(needs)
        ),
    )


@st.composite
def graphs(draw: st.DrawFn) -> GraphSpec:
    size = draw(st.integers(1, 25))
    return spec_of([sorted(draw(st.sets(st.integers(0, i - 1), max_size=3))) if i else [] for i in range(size)])


@given(graphs())
def test_nothing_overlaps_and_edges_go_forwards(spec: GraphSpec) -> None:
    topology = compiled(spec)
    layout = lay_out(topology, box_height=44.0, gap=GAP)
    for column in layout.columns:
        for above, below in itertools.pairwise(column):
            a, b = layout.vertices[above], layout.vertices[below]
            assert b.y - a.y >= (a.height + b.height) / 2 + GAP - 1e-6
    for way in layout.edges:
        layers = [layout.vertices[v].layer for v in way]
        assert layers == [*range(layers[0], layers[-1] + 1)]
    assert min(v.y - v.height / 2 for v in layout.vertices) >= -1e-6


@given(graphs())
def test_edges_that_are_left_out_follow_from_longer_ways(spec: GraphSpec) -> None:
    topology = compiled(spec)
    shown = shown_edges(topology)
    reach = {i: {i} for i in range(len(topology.nodes))}
    for source, target in sorted(shown, key=lambda edge: topology.order.index(edge[1])):
        reach[target] |= reach[source]
    for node in topology.nodes:
        assert set(node.needs) <= reach[node.index]


def drawn() -> Graph:
    inner = Graph('<inner> & "co"')
    inner.add(shell("true"))
    g = Graph("<b>&\"'")
    files = g.add(body, id="files")
    g.map(body, over=files, b=1, id="each")
    g.add(inner, id="sub", depends_on="each")
    g.add(http("GET", "https://x"), id="a" * 50, retry=3, uses="net")
    return g


def test_a_picture_is_well_formed_and_escaped() -> None:
    root = ET.fromstring(svg(drawn(), {"files": "completed", "each": "running", "sub": "failed"}))
    boxes = root.findall(f"{SVG}g[@class='edges']/{SVG}path")
    nodes = [g for g in root.findall(f"{SVG}g") if g.get("class") != "edges"]
    assert [g.get("class") for g in nodes] == ["node completed", "node running", "node failed", "node pending"]
    assert len(boxes) == 2
    assert len(nodes[1].findall(f"{SVG}rect")) == 3  # a map is a stack
    assert len(nodes[2].findall(f"{SVG}rect[@class='inner']")) == 1
    assert root.findtext(f"{SVG}title") == "<b>&\"'"
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert 'graph <inner> & "co"' in texts
    assert any(text and text.startswith("aaa") and text.endswith("…") for text in texts)
    assert "up to 3 attempts" in "".join(nodes[3].itertext())


def test_pictures_of_nothing_and_of_much() -> None:
    assert ET.fromstring(svg(GraphSpec(name="empty"))).tag == f"{SVG}svg"
    wide = spec_of([[], *[[0]] * 300, [*range(1, 301)]])
    assert len(ET.fromstring(svg(wide)).findall(f"{SVG}g")) == 303


def test_mermaid() -> None:
    text = mermaid(drawn(), {"files": "completed"})
    lines = text.splitlines()
    assert lines[0] == "flowchart LR"
    assert lines[1] == '    n0("files<br/><small>body</small>")'
    assert lines[2] == '    n1[["each<br/><small>each: body</small>"]]'
    assert lines[3] == '    n2{{"sub<br/><small>graph #60;inner#62; #38; #34;co#34;</small>"}}'
    assert "    n0 --> n1" in lines
    assert "    n1 --> n2" in lines
    assert "    class n0 completed" in lines
    assert "    class n1,n2,n3 pending" in lines
