"""Calls of tools as bodies of nodes: what is checked before anything runs."""

from typing import Any, TypedDict

import msgspec
import pytest
from tools_to_call import Size, apart, ask_server, draw, look, many, put

from clew import START, Graph, InvalidInputError, StateGraph, Tool, call, item, rehearse, tool, undo
from clew.graphs.body_data import ToolBody
from clew.kernel.definition import NodeSpec

SIZE: Size = {"width": 1, "height": 2}


def problems(body: Any, **options: Any) -> list[str]:
    """Without their places."""
    g = Graph("g")
    g.add(body, id="n", **options)
    return [each.partition("node 'n'")[2] for each in g.problems()]


def node_of(body: Any, **options: Any) -> NodeSpec:
    g = Graph("g")
    g.add(body, **options)
    return g.spec().nodes[0]


def stored(body: Any) -> ToolBody:
    return msgspec.json.decode(node_of(body).body, type=ToolBody)


def test_what_is_stored_of_a_call() -> None:
    spec = node_of(call(draw, name="x", size=SIZE))
    assert (spec.id, spec.kind) == ("draw", "tool")
    body = msgspec.json.decode(spec.body, type=ToolBody)
    assert body.function is not None
    assert body.function.ref == "tools_to_call:draw"
    assert (body.isolation, body.dry_run, body.parameters) == ("thread", False, {})


def test_where_a_tool_runs() -> None:
    assert stored(call(ask_server, url="x")).isolation == "loop"
    assert stored(call(apart, name="x")).isolation == "process"
    assert stored(call(look, name="x")).isolation == "thread"


@pytest.mark.parametrize(
    ("body", "means"),
    [
        (call(draw, name="x", size=SIZE), "fail"),  # it may write anywhere, and does not say what it does
        (call(ask_server, url="x"), "fail"),
        (call(look, name="x"), "retry"),
        (call(put, name="x"), "retry"),
        (rehearse(draw, name="x", size=SIZE), "retry"),
    ],
)
def test_effects_are_not_guessed(body: Any, means: str) -> None:
    assert node_of(body).on_interrupt == means
    assert node_of(body, on_interrupt="ask").on_interrupt == "ask"


def test_a_tool_that_may_do_nothing_is_called_again() -> None:
    @tool(write=())
    def pure(a: int) -> int:
        return a

    assert node_of(call(pure, a=1)).on_interrupt == "retry"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"size": SIZE}, [", name: is missing"]),
        ({"nam": "x", "size": SIZE}, [", nam: the tool has no such argument; did you mean 'name'?"]),
        (
            {"name": "x", "size": SIZE, "colour": 1},
            [", colour: the tool has no such argument; it has 'name', 'size', 'kind' and 'copies'"],
        ),
        ({"name": 3, "size": SIZE}, [", name: text is expected, not 3"]),
        ({"name": "x", "size": {"width": 1, "height": "2"}}, [', size.height: an integer is expected, not "2"']),
        ({"name": "x", "size": SIZE, "kind": "gif"}, [', kind: one of "png", "svg" is expected, not "gif"']),
        (
            {"name": 3, "size": SIZE, "copies": "many"},
            [", name: text is expected, not 3", ', copies: an integer is expected, not "many"'],
        ),
    ],
)
def test_constants_are_held_against_the_schema(arguments: dict[str, Any], told: list[str]) -> None:
    assert problems(call(draw, **arguments)) == told


def test_what_is_not_known_yet_is_held_against_the_types() -> None:
    g = Graph("g")
    name = g.input("name", str)
    count = g.add(call(look, name=name), id="count")
    g.add(call(draw, name=count, size={"width": count, "height": name}), id="wrong")
    g.add(call(draw, name="{{ text }}", size={"width": "{{ n }}", "height": 1}), id="right", text=name, n=count)
    first, second = g.problems()
    assert "node 'wrong', name: count is int, but str is declared" in first
    assert "node 'wrong', size['height']: input.name is str, but int is declared" in second


def test_handles_are_dependencies() -> None:
    g = Graph("g")
    seen = g.add(call(look, name="x"))
    g.add(call(many, first="a", second=["{{ name }}"][0], third="b"), name="x", depends_on=[seen])
    g.add(call(draw, name="y", size={"width": seen, "height": 1}))
    assert g.layers() == [["look"], ["many", "draw"]]


def test_a_handle_of_another_graph_is_refused() -> None:
    other = Graph("other").input("x")
    assert "belongs to another graph, 'other'" in problems(call(look, name=other))[0]


def test_names_in_texts_that_are_not_given() -> None:
    assert problems(call(look, name="{{ who }}")) == [", parameter 'who': is missing"]


def test_the_item_of_a_map() -> None:
    g = Graph("g")
    names = g.input("names", list[str])
    g.map(call(look, name=item), over=names, id="direct")
    g.map(call(look, name="{{ name }}.png"), over={"name": names}, id="text")
    assert g.problems() == []
    assert "item stands for something only in nodes with a map" in problems(call(look, name=item))[0]


def test_what_a_call_returns_is_known() -> None:
    g = Graph("g")
    g.add(call(look, name=g.add(call(look, name="x"))), id="n")
    assert "name: look is int, but str is declared" in g.problems()[0]


def test_functions_that_a_process_could_not_find() -> None:
    @tool(isolation="process")
    def inner(a: int) -> int:
        return a

    @tool
    def timed(a: int) -> int:
        return a

    assert "runs in a process of its own, which cannot find this one" in problems(call(inner, a=1))[0]
    assert "runs in a process of its own, which cannot find this one" in problems(call(timed, a=1), timeout=1)[0]
    assert problems(call(timed, a=1)) == []


def test_tools_that_no_node_can_call() -> None:
    @tool(isolation="thread")
    async def later() -> None: ...

    @tool(limits={"memory_bytes": 1}, isolation="thread")
    def limited() -> None: ...

    assert "an asynchronous function runs in the loop" in problems(call(later))[0]
    assert "its limits (memory_bytes) need a process of its own" in problems(call(limited))[0]
    assert "it has neither a function nor a server" in problems(call(Tool(name="far")))[0]
    with pytest.raises(InvalidInputError, match="a tool is a function, or a Tool"):
        call("read_file")  # type: ignore[arg-type]


def test_options_that_do_not_fit() -> None:
    told = problems(call(look, name="x"), heartbeat=1)
    assert "a tool without the Context does not say that it is alive" in told[0]
    assert problems(call(apart, name="x"), heartbeat=1) == []

    def probe(other: str) -> None: ...

    told = problems(call(many, first="{{ other }}"), probe=probe, other="x")
    assert any("the tool takes arguments of any name" in each for each in told)


def test_a_compensation_is_checked_too() -> None:
    g = Graph("g")
    g.add(call(look, name="x"), compensate=call(put, nam="x"), id="n")
    g.add(call(look, name="x"), compensate=undo(call(put, name="{{ output }}"), timeout=2), id="right")
    assert len(g.problems()) == 1
    assert "node 'n', compensate.nam: the tool has no such argument; did you mean 'name'?" in g.problems()[0]


def test_only_a_tool_with_a_dry_run_is_rehearsed() -> None:
    with pytest.raises(InvalidInputError, match="the tool look has no dry run"):
        rehearse(look, name="x")
    assert problems(rehearse(draw, nam="x", size=SIZE)) == [
        ", nam: the tool has no such argument; did you mean 'name'?"
    ]


def test_a_tool_made_by_hand_brings_its_schema() -> None:
    schema = {"type": "object", "properties": {"first": {"enum": ["a"]}}, "additionalProperties": False}
    made = Tool(name="hand", parameters=schema, function=many)
    assert stored(call(made, first="a")).parameters == schema
    assert problems(call(made, first="b")) == [', first: one of "a" is expected, not "b"']
    assert "the tool has no such argument" in problems(call(made, firt="a"))[0]


def test_the_hash_does_not_say_where_code_lies() -> None:
    g = Graph("g")
    g.add(call(look, name="x"))
    folder = msgspec.json.decode(g.spec().nodes[0].body, type=ToolBody).function
    assert folder is not None
    assert folder.folder
    from clew.graphs.hashing import without_places

    assert folder.folder not in str(without_places(g.spec()))


class State(TypedDict, total=False):
    name: str
    seen: int


def test_a_call_in_a_state_graph() -> None:
    g = StateGraph(State, name="s")
    g.add_node(call(look, name="{{ state.name }}"), id="look", sets={"seen": "{{ output }}"})
    g.add_node(call(look, nam="x"), id="bad")
    g.add_edge(START, "look")
    assert any("nam: the tool has no such argument; did you mean 'name'?" in each for each in g.problems())
    assert not any("node 'look', name" in each for each in g.problems())
