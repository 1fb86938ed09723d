"""State graphs as text: keys, nodes, and where each may go on."""

import steps_to_watch

from clew.cli.graph_text import step_lines
from clew.graphs import END, START, StateGraph, barrier


def test_a_state_graph_is_told_by_its_edges() -> None:
    graph = StateGraph(steps_to_watch.Paper, name="told", description="All of it.", max_steps=9)
    graph.add_node(steps_to_watch.draft, max_visits=3, on_limit="drop")
    graph.add_barrier("review", shows=["drafts"], timeout=60, default="approve")
    graph.add_parallel("both", {"facts": steps_to_watch.facts, "ask": barrier("?")})
    graph.add_map("count", steps_to_watch.count, over="drafts")
    graph.add_node("inner", steps_to_watch.loop())
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "review", when="{{ state.score > 1 }}", max_visits=2)
    graph.add_edge("draft", "inner")
    graph.add_edge("inner", "draft")
    graph.add_router("review", "{{ state.n }}", {1: "both", 2: END})
    graph.add_edge("review", "draft")
    graph.add_edge("both", "count")
    graph.add_fallback("both", END)
    graph.add_edge("count", END)
    assert [*step_lines(graph.spec())] == [
        "state graph told: All of it.",
        "state:",
        "  topic: str",
        "  drafts: list[str]   (append)",
        "  notes: list[str]   (append)",
        "  words: int   (sum)",
        "  meta: dict   (merge)",
        "  score: float",
        "  n: int",
        "5 nodes, at most 9 steps:",
        "  START",
        "    -> draft",
        "  draft  (function, at most 3 visits, then it is passed over)",
        "    -> review   if state.score > 1   (at most 2 times, then the run fails)",
        "    -> inner   otherwise",
        "  review  (barrier, shows drafts, after 1 min: approve)",
        "    -> both   if state.n = 1",
        "    -> END   if state.n = 2",
        "    -> draft   otherwise",
        "  both  (parallel: facts, ask)",
        "    -> count",
        "    -> END   fallback",
        "  count  (map of function)",
        "    -> END",
        "  inner  (state graph loop)",
        "    -> draft",
    ]


def test_keys_tell_their_defaults() -> None:
    from dataclasses import dataclass

    @dataclass
    class Order:
        name: str
        number: int = 3

    graph = StateGraph(Order, name="order")
    graph.add_node("go", lambda state: None)
    graph.add_edge(START, "go")
    graph.add_edge("go", END)
    assert [*step_lines(graph.spec())][2:4] == ["  name: str, required", "  number: int = 3"]


def test_commands_draw_state_graphs(clew, graph_file) -> None:
    file = graph_file("""
from typing import TypedDict
from clew import END, START, StateGraph, Update

class S(TypedDict, total=False):
    n: int

async def one(state: S):
    return {"n": 1}

inner = StateGraph(S, name="inner")
inner.add_node(one)
inner.add_edge(START, "one")
inner.add_edge("one", END)
g = StateGraph(S, name="outer")
g.add_parallel("both", {"inner": inner})
g.add_edge(START, "both")
g.add_edge("both", END)
""")
    assert clew("graph", file).out.startswith("state graph outer\nstate:\n  n: int\n1 node, at most 50 steps:\n")
    assert clew("graph", file, "--json").json["layers"] == [["both"]]
    assert "inner" in clew("graph", file, "--format", "mermaid").out
    assert "<svg" in clew("graph", file, "--format", "svg").out
