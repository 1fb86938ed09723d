"""How nodes say how they are undone, in Python: what a compensation is given."""

# pyright: basic

from typing import Any

import msgspec
from state_graphs import Research, built, inside
from undo_graphs import (
    Receipt,
    made,
    paid,
    pay,
    plan,
    ref_of,
    refund,
    refund_anything,
    refund_slowly,
    undone,
    unplan,
)

from clew import Retry, exponential, http, node, shell, undo
from clew.graphs import END, START, Graph, StateGraph, branch
from clew.graphs.body_data import FunctionBody, HttpBody, ShellBody
from clew.graphs.hashing import definition_hash
from clew.kernel.definition import OnInterrupt
from clew.kernel.values import Expression, FromInput, FromItem, FromOutput, FromState, Literal


def test_a_function_takes_inputs_of_its_node_and_its_output() -> None:
    compensation = undone(refund)
    assert (compensation.kind, ref_of(compensation)) == ("function", "undo_graphs:refund")
    assert compensation.inputs == {"order": FromInput("order"), "output": FromOutput()}
    assert (compensation.retry.max_attempts, compensation.timeout_s) == (3, None)
    assert compensation.on_interrupt is OnInterrupt.RETRY


def test_an_asynchronous_one_may_take_the_context() -> None:
    compensation = undone(refund_slowly)
    assert compensation.inputs == {"output": FromOutput()}
    assert msgspec.json.decode(compensation.body, type=FunctionBody).is_async


def test_one_that_takes_anything_is_given_everything() -> None:
    five = Literal(msgspec.Raw(b"5"))
    assert undone(refund_anything).inputs == {
        "order": FromInput("order"),
        "cents": five,
        "output": FromOutput(),
    }


def test_one_that_takes_nothing_is_given_nothing() -> None:
    assert undone(lambda: None).inputs == {}


def test_it_has_policies() -> None:
    compensation = undone(
        undo(refund, retry=Retry(max_attempts=9, backoff=exponential(2)), timeout=4, on_interrupt="fail")
    )
    assert (compensation.retry.max_attempts, compensation.retry.delay_s) == (9, 2)
    assert (compensation.timeout_s, compensation.on_interrupt) == (4, OnInterrupt.FAIL)
    assert undone(undo(refund, retry=2)).retry.max_attempts == 2


def test_a_program_names_inputs_and_the_output() -> None:
    compensation = undone(shell("refund {{ order }} {{ output.number }}", stdin="{{ cents }}", cwd="/tmp"))
    assert (compensation.kind, compensation.timeout_s) == ("shell", None)
    assert msgspec.json.decode(compensation.body, type=ShellBody).cwd == "/tmp"
    command = compensation.inputs["command"]
    assert isinstance(command, Expression)
    assert command.names == {"order": FromInput("order"), "output": FromOutput()}
    assert "|quote" in command.source
    assert compensation.inputs["stdin"] == Literal(msgspec.Raw(b"5"))
    assert compensation.on_interrupt is OnInterrupt.RETRY


def test_a_request_has_its_usual_time_limit() -> None:
    compensation = undone(http("DELETE", "https://example.org/{{ output.number }}"))
    assert msgspec.json.decode(compensation.body, type=HttpBody).method == "DELETE"
    assert compensation.timeout_s == 60
    assert undone(undo(http("DELETE", "https://example.org"), timeout=5)).timeout_s == 5


def test_what_undoes_a_program_names_what_its_texts_name_and_more() -> None:
    g = Graph("files")
    where = g.input("where", str)
    text = shell("make {{ name }} in {{ folder }}")
    g.add(text, name="a", folder=where, desk=7, compensate=shell("rm {{ folder }} {{ output.stdout }} {{ desk }}"))
    g.add(text, name="b", folder=where, compensate=lambda folder, command, output: None)
    first, second = made(g).nodes
    assert [*first.inputs] == [*second.inputs] == ["command"]
    assert first.compensation is not None
    assert first.compensation.inputs["command"].names == {
        "folder": FromInput("where"),
        "output": FromOutput(),
        "desk": Literal(msgspec.Raw(b"7")),
    }
    assert second.compensation is not None
    assert second.compensation.inputs == {
        "folder": FromInput("where"),
        "command": second.inputs["command"],
        "output": FromOutput(),
    }


def test_the_items_of_a_map_are_undone_one_by_one() -> None:
    g = Graph("shop")
    g.map(pay, over=g.input("orders", list[str]), cents=5, compensate=refund)
    node = made(g).nodes[0]
    assert node.compensation is not None
    assert node.compensation.inputs == {"order": FromItem(), "output": FromOutput()}


def test_a_sub_graph_can_be_undone_as_a_whole() -> None:
    inner = Graph("paying", rollback=True)
    inner.returns(inner.add(pay, inner.input("order", str), 3, compensate=refund))
    g = Graph("shop")
    g.add(inner, order="A", compensate=refund)
    spec = made(g)
    assert spec.nodes[0].compensation is not None
    assert spec.nodes[0].compensation.inputs == {"order": Literal(msgspec.Raw(b'"A"')), "output": FromOutput()}
    assert spec.nodes[0].graph is not None
    assert (spec.rollback, spec.nodes[0].graph.rollback) == (False, True)


# Other options ----------------------------------------------------------------------------------------------


def test_what_cannot_be_undone_and_what_takes_long() -> None:
    node = paid(None, irreversible=True, expected=90)
    assert (node.irreversible, node.expected_s, node.compensation) == (True, 90.0, None)
    assert (paid(None).irreversible, paid(None).expected_s) == (False, None)


def test_the_function_may_say_it() -> None:
    @node(compensate=undo(refund, retry=7), expected=3)
    def charge(order: str) -> Receipt: ...

    @node(irreversible=True)
    def ship(order: str) -> None: ...

    g = Graph("shop")
    g.add(charge, "A")
    g.add(charge, "A", irreversible=True, expected=5)
    g.add(ship, "A")
    g.add(ship, "A", compensate=refund)
    g.add(ship, "A", irreversible=False)
    nodes = made(g).nodes
    attempts = [n.compensation and n.compensation.retry.max_attempts for n in nodes]
    assert attempts == [7, None, None, 3, None]
    assert [n.irreversible for n in nodes] == [False, True, True, False, False]
    assert [n.expected_s for n in nodes] == [3, 5, None, None, None]


def test_whatever_is_said_of_undoing_makes_another_graph() -> None:
    def hash_of(rollback: bool = False, **options: Any) -> str:
        g = Graph("shop", rollback=rollback)
        g.add(pay, g.input("order", str), 5, **options)
        return g.hash

    found = [
        hash_of(),
        hash_of(rollback=True),
        hash_of(irreversible=True),
        hash_of(expected=3),
        hash_of(compensate=refund),
        hash_of(compensate=undo(refund, retry=4)),
        hash_of(compensate=undo(refund, timeout=4.0)),
        hash_of(compensate=shell("refund")),
        hash_of(compensate=shell("refund {{ order }}")),
    ]
    assert len({*found}) == len(found)
    assert hash_of(compensate=undo(refund)) == found[4]


def test_where_a_compensation_lies_does_not_count() -> None:
    g = Graph("shop")
    g.add(pay, g.input("order", str), 5, compensate=refund)
    spec = g.spec()
    node = spec.nodes[0]
    assert node.compensation is not None
    body = msgspec.json.decode(node.compensation.body, type=FunctionBody)
    moved = msgspec.structs.replace(body, folder="/elsewhere", script="/other.py")
    compensation = msgspec.structs.replace(node.compensation, body=msgspec.Raw(msgspec.json.encode(moved)))
    other = msgspec.structs.replace(node, compensation=compensation)
    assert definition_hash(msgspec.structs.replace(spec, nodes=(other,))) == g.hash


# In a state graph -------------------------------------------------------------------------------------------


def test_a_node_of_a_state_graph_is_undone_by_the_state_it_read() -> None:
    graph = StateGraph(Research, rollback=True)
    graph.add_node(plan, compensate=unplan)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", END)
    spec = built(graph)
    assert spec.rollback
    assert spec.nodes[0].compensation is not None
    assert spec.nodes[0].compensation.inputs == {"state": FromState(), "output": FromOutput()}


def alone(body: Any, compensate: Any, **options: Any) -> dict[str, Any]:
    graph = StateGraph(Research)
    graph.add_node("one", body, compensate=compensate, **options)
    graph.add_edge(START, "one")
    graph.add_edge("one", END)
    found = inside(graph).compensation
    assert found is not None
    return found.inputs


def test_the_state_goes_by_its_name_or_its_annotation() -> None:
    def by_name(state): ...
    def by_hint(before: Research, output): ...
    def as_the_node(s): ...
    def the_node(s): ...

    assert alone(plan, by_name) == {"state": FromState()}
    assert alone(plan, by_hint) == {"before": FromState(), "output": FromOutput()}
    assert alone(the_node, as_the_node) == {"s": FromState()}


def test_texts_in_a_state_graph() -> None:
    body = shell("publish {{ state.page }}")
    (command,) = alone(body, shell("hide {{ state.topic }} {{ output.score }}"), sets={"score": 1}).values()
    assert command.names == {"state": FromState(), "output": FromOutput()}


def test_graphs_in_a_state_graph() -> None:
    def drop(topic: str, state: Research) -> None: ...

    inner = Graph("inner")
    inner.returns({"page": inner.add(shell("echo {{ topic }}"), topic=inner.input("topic", str))["stdout"]})
    assert alone(inner, drop) == {"topic": FromState("topic"), "state": FromState()}
    (command,) = alone(inner, shell("drop {{ state.topic }}")).values()
    assert command.names == {"state": FromState()}


def test_items_and_branches_of_a_state_graph() -> None:
    def draft(part: str, state: Research) -> dict[str, Any]: ...
    def drop(part: str, item: str, state: Research, output: Any) -> None: ...

    graph = StateGraph(Research)
    graph.add_map("drafts", draft, over="sections", item="part", compensate=drop)
    graph.add_parallel("both", [branch(plan, compensate=unplan, expected=3), branch(shell("true"), "b")])
    for source, target in ((START, "drafts"), ("drafts", "both"), ("both", END)):
        graph.add_edge(source, target)
    drafts, both = built(graph).nodes
    assert drafts.compensation is not None
    item, state, output = FromItem(), FromState(), FromOutput()
    assert drafts.compensation.inputs == {"part": item, "item": item, "state": state, "output": output}
    assert both.graph is not None
    assert both.graph.nodes[0].compensation is not None
    assert both.graph.nodes[0].expected_s == 3
