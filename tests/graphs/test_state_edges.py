"""What state graphs refuse about their edges: where they lead, what decides about them, and what none reaches."""

# pyright: basic

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import pytest
from state_graphs import Research, keep, problems

from clew import Context
from clew.graphs import END, START, StateGraph, Update

Say = Callable[[StateGraph], object]


def graph(*nodes: str, say: Say = lambda _: None, edges: str = "") -> StateGraph:
    """A graph of nodes that do nothing, with edges as in ``"START>a a>b b>END"``."""
    g = StateGraph(Research)
    for name in nodes:
        g.add_node(name, keep)
    ends = {"START": START, "END": END}
    for each in edges.split():
        source, target = (ends.get(end, end) for end in each.split(">"))
        g.add_edge(source, target)
    say(g)
    return g


def found(*nodes: str, say: Say = lambda _: None, edges: str = "START>a a>END") -> list[str]:
    """The problems of a graph, without the places that they name."""
    told = problems(graph(*(nodes or ("a",)), say=say, edges=edges))
    return [re.sub(r"\(\S+\.py:\d+\)", "(PLACE)", each) for each in told]


def test_edges_lead_from_and_to_nodes() -> None:
    assert found(say=lambda g: g.add_edge("a", "aa", when="{{ state.page }}")) == [
        "edge 'a' -> 'aa': there is no node 'aa'; did you mean 'a'?"
    ]
    assert found(say=lambda g: g.add_edge("x", "y")) == [
        "edge 'x' -> 'y': there is no node 'x'; the graph has 'a'",
        "edge 'x' -> 'y': there is no node 'y'; the graph has 'a'",
    ]
    assert found(say=lambda g: g.add_fallback("a", "aa")) == [
        "fallback 'a' -> 'aa': there is no node 'aa'; did you mean 'a'?"
    ]
    assert found(say=lambda g: g.add_edge(END, "a", when="{{ state.page }}")) == [
        "edge END -> 'a': no edge leaves END; the graph is done there"
    ]
    assert found(say=lambda g: g.add_edge("a", START, when="{{ state.page }}")) == [
        "edge 'a' -> START: no edge leads back to START; name the node to go on with"
    ]
    assert found(say=lambda g: g.add_fallback(START, "a")) == [
        "fallback START -> 'a': START does nothing that could fail; a fallback leaves a node"
    ]
    told = found(say=lambda g: g.add_edge(keep, ["a"], when="{{ state.page }}"))  # type: ignore[arg-type]
    assert [each.partition(" at 0x")[0] for each in told] == [
        "edge 'keep' -> \"['a']\": a node is named by its id, not by <function keep",
        "edge 'keep' -> \"['a']\": a node is named by its id, not by ['a']",
    ]


async def later(state) -> bool: ...
def with_context(state, ctx: Context) -> bool: ...
def without() -> bool: ...
def of_number(state: int) -> bool: ...
def yields(state) -> Any:
    yield state


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        (later, "later is asynchronous; make it a node that writes what it finds to the state"),
        (yields, "yields is a generator; a condition returns a value"),
        (with_context, "with_context does not take one argument; a condition is a function of the state"),
        (without, "without does not take one argument; a condition is a function of the state"),
        (
            of_number,
            "parameter 'state': it is given the state, and is declared as int; declare it as Research",
        ),
        (3, "a condition is a function of the state or an expression, not 3"),
        ("state.score > 1", "'state.score > 1' is text; a condition is one {{ … }} with nothing around it"),
        (
            "{{ state.page }} yes",
            "'{{ state.page }} yes' is text; a condition is one {{ … }} with nothing around it",
        ),
        ("{{ state.score > }}", "'{{ state.score > }}': "),
        ("{{ state.sore }}", "the state has no key 'sore'; did you mean 'score'?"),
        ("{{ state.sore > 1 }}", "the state has no key 'sore'; did you mean 'score'?"),
        (
            "{{ score > 1 }}",
            "'{{ score > 1 }}': 'score' means nothing here; there is 'state', and keys are read as ",
        ),
        ("{{ state.page.title }}", "state.page is str and has no 'title'"),
    ],
)
def test_conditions(when: Any, sentence: str) -> None:
    (edge,) = found(say=lambda g: g.add_edge("a", "a", when=when))
    assert edge.startswith(f"edge 'a' -> 'a', when: {sentence}")
    (router,) = found(say=lambda g: g.add_router("a", when, ["a", END]))
    assert router.startswith(f"router of 'a': {sentence}")


def test_a_node_has_one_edge_without_a_condition() -> None:
    assert found("a", "b", edges="START>a a>b a>END b>END") == [
        (
            "edge 'a' -> END: a second edge without a condition; the first is 'a' -> 'b' (PLACE). Give one of "
            "them a condition, or run both side by side in a parallel node"
        )
    ]
    (both,) = found("a", "b", edges="START>a START>b a>END b>END")
    assert both.startswith("edge START -> 'b': a second edge without a condition; the first is START -> 'a'")


def test_a_node_has_one_fallback() -> None:
    def say(g: StateGraph) -> None:
        g.add_fallback("a", END)
        g.add_fallback("a", "a")

    assert found(say=say) == ["fallback 'a' -> 'a': a node has one fallback, and 'a' -> END is that (PLACE)"]


def test_limits() -> None:
    def say(g: StateGraph) -> None:
        g.add_edge("a", "a", when="{{ state.page }}", max_visits=0)
        g.add_edge("a", "a", when="{{ state.page }}", on_limit="dropp", max_visits=1)
        g.add_edge("a", "a", when="{{ state.page }}", on_limit="drop")
        g.add_edge("a", "a", when="{{ state.page }}", on_limit="fallback", max_visits=1)

    assert found(say=say) == [
        "edge 'a' -> 'a', max_visits: is a whole number of at least 1, not 0",
        "edge 'a' -> 'a', on_limit: is one of strict, fallback, drop, not 'dropp'; did you mean 'drop'?",
        "edge 'a' -> 'a', on_limit: says what happens at a limit, and max_visits sets none",
        "edge 'a' -> 'a', on_limit: 'a' has no fallback edge; give it one",
    ]


def limited(*fallbacks: str) -> StateGraph:
    """A node with a limit that asks for a fallback edge; those nodes have one."""
    g = graph("a", edges="START>a a>b b>END")
    g.add_node("b", keep, max_visits=3, on_limit="fallback")
    for name in fallbacks:
        g.add_fallback(name, END)
    return g


def test_the_fallback_of_a_limited_node_is_its_own_or_that_of_the_node_before() -> None:
    assert problems(limited()) == ["node 'b', on_limit: it has no fallback edge; give it one"]
    limited("a").spec()
    limited("b").spec()


def test_fallbacks_do_not_lead_in_a_circle() -> None:
    def say(*names: str) -> Say:
        def add(g: StateGraph) -> None:
            for source, target in pairwise(names):
                g.add_fallback(source, target)

        return add

    edges = "START>a a>b b>c c>END"
    assert found("a", "b", "c", edges=edges, say=say("a", "b", "c", "b")) == [
        "fallback 'c' -> 'b': fallbacks lead in a circle: 'b' -> 'c' -> 'b'; end it at another node, or END"
    ]
    assert found("a", "b", "c", edges=edges, say=say("a", "a")) == [
        "fallback 'a' -> 'a': fallbacks lead in a circle: 'a' -> 'a'; end it at another node, or END"
    ]
    graph("a", "b", "c", edges=edges, say=say("a", "b", "c", END)).spec()


# Routers -----------------------------------------------------------------------------------------------


def route(state) -> Literal["a", "b", 3]: ...
def choose(state) -> bool | Literal["a"]: ...


def test_routers_say_what_they_return() -> None:
    def routed(function: Any, targets: Any, *, more: Say = lambda _: None) -> list[str]:
        def say(g: StateGraph) -> None:
            g.add_router("a", function, targets)
            more(g)

        return found(say=say, edges="START>a")

    assert routed(route, {"a": END, "bb": "a"}) == [
        "router of 'a', targets: it may return 'b', for which there is no target",
        "router of 'a', targets: it may return 3, for which there is no target",
        "router of 'a', targets: it never returns 'bb', as its annotation says; did you mean 'b'?",
    ]
    assert routed(choose, {"x": "b"}) == ["router of 'a': there is no node 'b'; the graph has 'a'"]
    assert routed(route, [], more=lambda g: g.add_edge("a", END)) == [
        "router of 'a', targets: there are none; give {value: node} or a list of nodes"
    ]
    (unstorable,) = routed(choose, {("a",): END, frozenset((1,)): END})
    assert unstorable.startswith(
        "router of 'a', targets: the value frozenset({1}) cannot be given by it: $: a set"
    )


def test_a_router_may_leave_values_to_the_edges_after_it() -> None:
    def say(g: StateGraph) -> None:
        g.add_router("a", route, {"a": "a"})
        g.add_edge("a", END)

    graph("a", edges="START>a", say=say).spec()


# Ways --------------------------------------------------------------------------------------------------


def ends_itself(state) -> Update: ...


def test_the_graph_has_a_beginning() -> None:
    assert found("a", "b", edges="a>b b>END") == ["edges: none leaves START; add one from START to 'a'"]


def test_every_node_is_reached_from_the_start() -> None:
    assert found("a", "b", "c", edges="START>a a>END b>c c>b") == [
        "node 'b': no way leads here from START; add an edge to it, or take it out",
        "node 'c': no way leads here from START; add an edge to it, or take it out",
    ]
    graph("a", "b", edges="START>a a>END b>END", say=lambda g: g.add_fallback("a", "b")).spec()


def test_a_node_is_left_by_an_edge() -> None:
    assert found("a", "b", edges="START>a a>b") == [
        "node 'b': no edge leaves it; if the graph ends here, add one to END"
    ]
    graph("a", edges="START>a", say=lambda g: g.add_fallback("a", END)).spec()


def test_a_cycle_is_left_by_an_edge() -> None:
    advice = "add an edge to END, or annotate the node that ends it by goto=END with -> Update"
    assert found(
        "a", "b", "c", "d", edges="START>a a>b b>c c>b d>END", say=lambda g: g.add_fallback("a", "d")
    ) == [f"nothing leads out of the cycle b -> c -> b; {advice}"]
    assert found("a", edges="START>a a>a") == [f"nothing leads out of the cycle a -> a; {advice}"]
    several = found(
        "a", "b", "c", edges="START>a b>b c>c", say=lambda g: g.add_router("a", "{{ state.page }}", ["b", "c"])
    )
    assert several == [
        f"nothing leads out of the cycle b -> b; {advice}",
        f"nothing leads out of the cycle c -> c; {advice}",
    ]


def test_a_node_may_say_that_it_ends_the_graph() -> None:
    g = graph("a", edges="START>a a>end")
    g.add_node("end", ends_itself)
    g.spec()
    g.add_edge("end", "a")
    g.spec()


def test_everything_is_told_at_once() -> None:
    g = StateGraph({"a b": int}, max_steps=0)
    g.add_node("one", 3)  # type: ignore[arg-type]
    g.add_edge(START, "two")
    assert len(problems(g)) == 5
