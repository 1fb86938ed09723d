"""What state graphs refuse about graphs, branches and maps inside of them."""

# pyright: basic

import re
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from state_graphs import Research, keep, line, plan, problem, problems

from clew import Context
from clew.graphs import (
    END,
    START,
    Graph,
    StateGraph,
    barrier,
    branch,
    shell,
    total,
)


class Wrong(TypedDict):
    topic: int
    draft: str


def returns_text(state) -> str: ...
def needs_more(state, words: int) -> None: ...


def mapped(body: Any, *, schema: Any = Research, **options: Any) -> str:
    graph = StateGraph(schema)
    given: dict[str, Any] = {"over": "sections"} | options
    graph.add_map("one", body, **given)
    graph.add_edge(START, "one")
    graph.add_edge("one", END)
    (found,) = problems(graph)
    return found.removeprefix("node 'one', ")


# Graphs as nodes ---------------------------------------------------------------------------------------


def inner_graph(**inputs: Any) -> Graph:
    graph = Graph("inner")
    handles = {name: graph.input(name, hint) for name, hint in inputs.items()}
    graph.returns({"page": graph.add(lambda **given: given, id="use", inputs=handles)})
    return graph


def test_what_a_graph_takes_are_keys() -> None:
    assert problem(inner_graph(topics=str)) == (
        "parameter 'topics': its inputs are keys of the state, and there is none of this name; did you mean "
        "'topic'?"
    )
    assert problem(inner_graph(topic=int)) == "parameter 'topic': state.topic is str, but int is declared"
    assert problem(inner_graph(topic=str), retry=3) == (
        "retry: a sub-graph makes no attempts; put it on the nodes inside of 'inner'"
    )


def lists(topic: str) -> list[str]: ...
def gives(topic: str) -> Wrong: ...


def test_what_a_graph_returns_are_changes() -> None:
    start = "the graph 'inner' returns changes of the state by key, and "
    graph = Graph("inner")
    one = graph.add(lists, topic="x")
    assert problem(graph) == (
        f"{start}without `returns` that is the outputs of its last nodes by id: the state has no key 'lists'; "
        "it has 'topic', 'sections', 'drafts', 'page' and 'score'"
    )
    graph.returns(one)
    assert problem(graph) == f"{start}this one returns list[str]; let it return {{'KEY': …}}"
    graph.returns({"page": one})
    assert problem(graph) == f"{start}its 'page' is list[str], but the key is str"
    graph.returns({"pages": one})
    assert problem(graph) == f"{start}the state has no key 'pages'; did you mean 'page'?"
    graph.returns({"sections": one})
    line(graph).spec()
    typed = Graph("inner")
    typed.returns(typed.add(gives, topic="x"))
    g = line(typed)
    assert problems(g) == [
        f"node 'inner': {start}its 'topic' is int, but the key is str",
        f"node 'inner': {start}the state has no key 'draft'; did you mean 'drafts'?",
    ]
    last = Graph("inner")
    last.add(lists, topic="x", id="page")
    assert problem(last) == f"{start}its 'page' is list[str], but the key is str"


@dataclass
class Inner:
    topik: str
    page: int = 0
    rounds: Annotated[int, total] = 0


def test_a_state_graph_inside_of_another() -> None:
    assert problems(line(line(keep, schema=Inner))) == [
        "node 'inner': the key 'page' is str here, and int in the graph 'inner'",
        (
            "node 'inner', parameter 'topik': the sub-graph cannot start without this key, and this state does "
            "not have it; did you mean 'topic'?"
        ),
    ]


def test_a_graph_that_contains_itself() -> None:
    g = line(keep)
    g.add_node(g)
    assert problems(g) == ["graph 'research' contains itself: research -> research"]


def test_functions_that_cannot_be_told_apart() -> None:
    def graph() -> StateGraph:
        g = StateGraph({"a": Annotated[int, lambda old, new: new]}, name="same")
        g.add_node("one", keep)
        g.add_edge(START, "one")
        g.add_edge("one", "one", when=lambda s: s)
        g.add_edge("one", END)
        return g

    outer = line(graph(), graph(), schema={"a": int})
    found = [re.sub(r" \(\S+\)", "", each) for each in problems(outer)]
    assert found == [
        (
            "edge 'one' -> 'one': its condition and that of edge 'one' -> 'one' cannot be told apart: two "
            "graphs are called 'same'; give them different names"
        ),
        (
            "its reducer and that of key 'a' cannot be told apart: two graphs are called 'same'; give them "
            "different names"
        ),
    ]


# Branches and maps -------------------------------------------------------------------------------------


def test_branches() -> None:
    g = StateGraph(Research)
    g.add_parallel("none", [], on_branch_error="fail", max_concurrency=0)
    g.add_parallel(
        "some",
        {
            "a b": keep,
            "text": returns_text,
            "more": needs_more,
            "limited": branch(keep, max_visits=3),  # type: ignore[call-arg]
            "review": barrier("?", shows="topics"),
            "list": branch(shell("ls {{ state.top }}"), sets={"pag": 1}),
        },
    )
    g.add_edge(START, "none")
    g.add_edge("none", "some")
    g.add_edge("some", END)
    assert problems(g) == [
        "node 'none', on_branch_error: is one of fail_fast, collect_all, not 'fail'",
        "node 'none', max_concurrency: is a whole number of at least 1, not 0",
        "node 'none', branches: there are none",
        "branch 'a b' of 'some', id: it has letters, digits, '_', '.' and '-', and starts with a letter or '_'",
        (
            "branch 'text' of 'some': it returns str; a node of a state graph returns what it changes: a "
            "mapping by key, an Update, or None"
        ),
        (
            "branch 'more' of 'some', parameter 'words': nothing is given to it: a node takes the state, and "
            "reads the rest from that"
        ),
        (
            "branch 'limited' of 'some', max_visits: there is no such option; there are 'retry', 'timeout', "
            "'total_timeout', 'heartbeat', 'on_interrupt', 'probe', 'exclusive', 'uses', 'priority', "
            "'compensate', 'irreversible', 'expected' and 'sets'"
        ),
        "branch 'review' of 'some', shows: the state has no key 'topics'; did you mean 'topic'?",
        "branch 'list' of 'some', sets.pag: the state has no key 'pag'; did you mean 'page'?",
        "branch 'list' of 'some', command: the state has no key 'top'; did you mean 'topic'?",
    ]


def no_parameter(ctx: Context) -> None: ...
def ambiguous(s, section: str) -> None: ...
def number(item: int) -> None: ...


def test_maps() -> None:
    assert (
        mapped(lambda item: None, over="section")
        == "over: the state has no key 'section'; did you mean 'sections'?"
    )
    assert mapped(number, over="{{ state.topics }}", schema={"topic": list[int]}) == (
        "over: the state has no key 'topics'; did you mean 'topic'?"
    )
    assert mapped(lambda item: None, over="topic") == "over: state.topic is str, and a map runs over a list"
    assert mapped(number) == "parameter 'item': item is str, but int is declared"
    assert mapped(no_parameter) == (
        "node 'one': no parameter is left for the item of the map; say which one takes it"
    )
    assert mapped(ambiguous) == (
        "parameter 'section': nothing is given to it, only the item and the state; call the one `item`, the other "
        "`state`"
    )
    assert mapped(keep, item="sate") == "parameter 'sate': the function has none; did you mean 'state'?"
    assert mapped(lambda item: None, on_item_error="colect") == (
        "on_item_error: is one of fail_fast, collect, not 'colect'; did you mean 'collect'?"
    )
    assert mapped(shell("echo {{ itme }}")).endswith("'itme' means nothing here; did you mean 'item'?")
    assert mapped(inner_graph(topic=str, page=str)) == (
        "item: say which input of the graph takes the item; it has 'topic' and 'page'"
    )
    assert mapped(line(plan, name="inner"), item="topics") == (
        "parameter 'topics': the graph has no such input; did you mean 'topic'?"
    )
    assert mapped(lambda item: None, itme="x") == "itme: there is no such option; did you mean 'item'?"
    assert mapped(barrier("?")) == (
        "node 'one': a map does not wait for decisions itself; map over a state graph that has the barrier"
    )
    assert problem(keep, item="x") == "item: only a map has items; see add_map"
    assert problem(keep, over="x") == "over: a node that runs over a list is added by add_map"
