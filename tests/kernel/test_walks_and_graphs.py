"""Dependency graphs as nodes of state graphs, and state graphs as nodes of dependency graphs."""

from __future__ import annotations

import pytest
from msgspec import structs
from play import BOOM, graph, literal, mapped, node, value
from trip import Trip, barrier, decided, each, key, parallel, routed, step
from trip_parts import LOG, reporting, routed_inside
from trip_rules import raw

from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.definition import CompensationSpec, ErrorPolicy, GraphSpec, NodeSpec
from clew.kernel.resolve import output_of
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.values import (
    Absent,
    DictOf,
    FromInput,
    FromNode,
    FromOutput,
    FromState,
    Known,
    ListOf,
    Literal,
    Pick,
    View,
)

# Dependency graphs in state graphs --------------------------------------------------------------------------


def with_graph(*nodes, more=(), **options) -> Trip:
    return Trip(reporting(*nodes, **options), *more, keys=(LOG, key("topic")), inputs={"topic": "cats"})


def test_a_dependency_graph_reads_the_state_by_its_inputs_and_what_it_returns_is_written():
    trip = with_graph(output=DictOf({"log": FromNode("g")}), more=(step("z"),))
    (command,) = trip.commands(c.StartAttempt)
    assert command.inputs == {"t": Known(value("cats"))}
    assert not command.updates
    trip.succeed("dep/f")
    assert trip.started == ["dep/g"]
    trip.succeed("dep/g")
    (gather,) = trip.commands(c.Gather)
    assert gather == c.Gather(path="dep", of=DictOf({"log": Known(value("dep/g"))}))
    assert trip.machine.outstanding() == [gather]
    assert trip.state("dep") is N.RUNNING
    assert not trip.machine.is_idle
    trip.gathered("dep", {"log": [1]})
    assert trip.state_of() == {"topic": "cats", "log": [1]}
    assert trip.started == ["z"]


def test_what_a_dependency_graph_sets_is_told_by_what_it_returned_and_by_the_state_of_then():
    sets = {"log": ListOf((FromOutput(), FromState("topic"))), "topic": Pick(FromOutput(), ("name",))}
    node_ = structs.replace(reporting(output=FromNode("g")), sets=sets)
    trip = Trip(node_, keys=(LOG, key("topic")), inputs={"topic": "cats"})
    trip.succeed("dep/f")
    trip.succeed("dep/g")
    (gather,) = trip.commands(c.Gather)
    made = Known(value("dep/g"))
    wanted = {"log": ListOf((made, Known(value("cats")))), "topic": Pick(made, ("name",))}
    assert gather == c.Gather(path="dep", of=DictOf(wanted))
    trip.gathered("dep", {"log": [1], "topic": "dogs"})
    assert trip.state_of() == {"topic": "dogs", "log": [1]}


def test_what_undoes_a_node_inside_is_told_while_the_state_is_what_it_was():
    undo = CompensationSpec(kind="function", inputs={"t": FromInput("topic"), "o": FromOutput()})
    trip = with_graph(
        NodeSpec(id="f", kind="function", compensation=undo), output=DictOf({"topic": literal("dogs")})
    )
    (command,) = trip.commands(c.StartAttempt)
    assert command.undo == {"t": Known(value("cats")), "o": FromOutput()}


def test_a_key_that_is_not_in_the_state_is_the_default_of_the_input():
    trip = Trip(reporting(), keys=(key("topic"),))
    (command,) = trip.commands(c.StartAttempt)
    assert command.inputs == {"t": Literal(raw("none"))}


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ({"error": BOOM}, "boom"),
        ({"plain": "text"}, 'dep is to return changes of the state, by key, and gave "text"'),
        ({"plain": {"more": 1}}, "'more' is no key of the state of play; it has log, topic"),
        (
            {"plain": {"log": 1}},
            "what is written to 'log' has to be a list, because its reducer is append, but is 1",
        ),
    ],
)
def test_a_dependency_graph_whose_output_does_not_fit_fails(outcome, told):
    trip = with_graph(node("f"))
    trip.succeed("dep/f")
    trip.gathered("dep", **outcome)
    assert trip.state("dep") is N.FAILED
    assert trip.error == f"dep: {told}"


def test_an_empty_dependency_graph_returns_at_once():
    empty = NodeSpec(id="dep", kind="graph", graph=GraphSpec(name="empty"))
    trip = Trip(empty, keys=(LOG,))
    assert [command.path for command in trip.commands(c.Gather)] == ["dep"]
    trip.gathered("dep", {})
    assert trip.run.state is R.COMPLETED


def test_a_dependency_graph_that_fails_is_not_read():
    trip = with_graph(node("f"), node("g"))
    trip.fail("dep/f")
    trip.acknowledge("dep/g")
    assert trip.commands(c.Gather) == []
    assert trip.error == "dep: dep/f: boom"
    assert trip.gathered("dep", {}).events == []


def test_a_dependency_graph_with_failures_that_count_only_at_its_end():
    skipping = with_graph(node("f", on_error=ErrorPolicy.SKIP_DOWNSTREAM), node("g", "f"), node("h"))
    skipping.fail("dep/f")
    skipping.succeed("dep/h")
    assert skipping.commands(c.Gather) == []
    assert skipping.error == "dep: dep/f: boom"
    going_on = with_graph(node("f", on_error=ErrorPolicy.CONTINUE))
    going_on.fail("dep/f")
    assert [command.path for command in going_on.commands(c.Gather)] == ["dep"]
    going_on.gathered("dep", {"log": [1]})
    assert going_on.run.state is R.COMPLETED


def test_the_output_of_a_dependency_graph_is_read_again_when_the_process_has_died():
    trip = with_graph(node("f"))
    trip.succeed("dep/f")
    trip.take_over()
    assert [command.path for command in trip.commands(c.Gather)] == ["dep"]
    trip.gathered("dep", {"log": [1]})
    assert trip.run.state is R.COMPLETED


def test_what_a_dependency_graph_returned_before_a_cancel_counts():
    trip = with_graph(node("f"), more=(step("z"),))
    trip.succeed("dep/f")
    trip.hand(s.Cancel())
    assert trip.state("dep") is N.STOPPING
    assert not trip.machine.is_idle
    trip.gathered("dep", {"log": [1]})
    assert trip.state("dep") is N.COMPLETED
    assert trip.run.state is R.CANCELLED
    assert trip.ways == []


def test_a_dependency_graph_as_a_branch_writes_with_the_others():
    trip = Trip(parallel("p", reporting(node("f"), inputs={}), step("a")), keys=(LOG,))
    trip.write("p/a", log=["a"])
    trip.succeed("p/dep/f")
    trip.gathered("p/dep", {"log": ["dep"]})
    assert trip.state_of() == {"log": ["dep", "a"]}


def test_a_dependency_graph_whose_parallel_node_stops_ends_when_it_was_read():
    trip = Trip(parallel("p", reporting(node("f"), inputs={}), step("a")), keys=(LOG,))
    trip.succeed("p/dep/f")
    trip.fail("p/a")
    assert trip.state("p/dep") is N.STOPPING
    assert trip.commands(c.Gather) == [], "it is being read already"
    trip.gathered("p/dep", error=BOOM)
    assert trip.state("p/dep") is N.FAILED
    assert trip.error == "p: p/a: boom (and 1 more)"


def test_maps_and_sub_graphs_inside_of_a_dependency_graph_are_as_everywhere():
    trip = with_graph(mapped("m"), node("h", graph=graph(node("i"))), node("j", "m", "h"))
    trip.expand("dep/m", 2)
    trip.succeed("dep/m[0]", "dep/m[1]", "dep/h/i")
    assert trip.commands(c.Gather) == []
    trip.succeed("dep/j")
    assert [command.path for command in trip.commands(c.Gather)] == ["dep"]


# State graphs in dependency graphs --------------------------------------------------------------------------


def test_a_state_graph_as_a_node_of_a_dependency_graph_returns_its_state():
    reader = NodeSpec(id="z", kind="function", inputs={"w": Pick(FromNode("w"), ("log",))})
    trip = Trip(node("a"), routed_inside(after=("a",)), reader)
    assert trip.started == ["a"]
    trip.succeed("a")
    assert trip.started == ["w/x"]
    trip.write("w/x", log=[1])
    trip.write("w/y", n=2)
    assert trip.started == ["z"]
    (command,) = trip.commands(c.StartAttempt)
    assert isinstance(command.inputs["w"].of, View)
    assert {k: bytes(cell.text()) for k, cell in command.inputs["w"].of.cells.items()} == {
        "log": b"[1]",
        "n": b"3",
    }
    trip.succeed("z")
    assert trip.run.state is R.COMPLETED


def test_it_may_return_a_part_of_its_state():
    trip = Trip(routed_inside(output=DictOf({"n": FromState("n"), "t": FromState("topic")})))
    trip.write("w/x", log=[1])
    trip.write("w/y", n=2)
    assert output_of(trip.run, trip.visit("w")) == DictOf({"n": Known(value(3)), "t": Absent("topic")})


def test_its_inputs_are_read_from_the_nodes_around_it():
    trip = Trip(node("a"), routed_inside(inputs={"topic": FromNode("a")}))
    trip.succeed("a")
    (command,) = trip.commands(c.Gather)
    assert command.of == DictOf({"topic": Known(value("a"))})
    trip.gathered("w", {"topic": "a"})
    assert trip.state_of("w") == {"topic": "a", "n": 1}
    assert trip.started == ["w/x"]


def test_an_input_whose_node_has_failed_is_not_given():
    trip = Trip(node("a"), routed_inside(inputs={"topic": FromNode("a")}), on_error=ErrorPolicy.CONTINUE)
    trip.fail("a")
    (command,) = trip.commands(c.Gather)
    assert command.of == DictOf({})
    trip.gathered("w", {})
    assert trip.state_of("w") == {"n": 1}


def test_a_state_graph_that_fails_means_for_its_dependents_what_any_node_means():
    trip = Trip(routed_inside(), node("z", "w"), node("other"), on_error=ErrorPolicy.SKIP_DOWNSTREAM)
    trip.fail("w/x")
    assert trip.states()["z"] == "skipped"
    trip.succeed("other")
    assert trip.error == "w: w/x: boom"


def test_a_state_graph_is_cancelled_when_its_graph_stops():
    trip = Trip(routed_inside(), node("a"))
    trip.fail("a")
    assert trip.stopped == ["w/x"]
    trip.write("w/x", log=[1])
    assert trip.states() == {"a": "failed", "w": "cancelled", "w/x": "completed"}


def test_a_state_graph_that_waits_to_be_read_for_is_cancelled_at_once():
    trip = Trip(routed_inside(inputs={"topic": literal(1)}), node("a"))
    trip.fail("a")
    assert trip.state("w") is N.CANCELLED
    assert trip.run.state is R.FAILED


def test_state_graphs_as_items_of_a_map_of_a_dependency_graph():
    spec = routed(step("x"), keys=(key("item"), LOG))
    trip = Trip(mapped("m", graph=spec, max_concurrency=1), node("z", "m"))
    trip.expand("m", 2)
    assert [command.path for command in trip.commands(c.Gather)] == ["m[0]"]
    trip.gathered("m[0]", {"item": 0})
    trip.write("m[0]/x", log=["0"])
    assert [command.path for command in trip.commands(c.Gather)] == ["m[1]"]
    trip.gathered("m[1]", {"item": 1})
    trip.write("m[1]/x", log=["1"])
    assert trip.started == ["z"]
    parts = output_of(trip.run, trip.visit("m")).items
    assert [bytes(part.cells["item"].text()) for part in parts] == [b"0", b"1"]


def test_a_state_graph_in_a_dependency_graph_in_a_state_graph_has_a_state_of_its_own():
    inner = routed(step("x"), keys=(LOG,))
    outer = GraphSpec(name="dep", nodes=(NodeSpec(id="w", kind="graph", graph=inner),))
    trip = Trip(NodeSpec(id="dep", kind="graph", graph=outer), keys=(LOG,), inputs={"log": [0]})
    assert trip.state_of("dep/w") == {}
    trip.write("dep/w/x", log=[1])
    (command,) = trip.commands(c.Gather)
    assert {k: bytes(cell.text()) for k, cell in command.of.items["w"].cells.items()} == {"log": b"[1]"}
    trip.gathered("dep", {"log": [2]})
    assert trip.state_of() == {"log": [0, 2]}


def test_a_barrier_deep_inside_is_found_by_its_address():
    inner = routed(barrier("ok"), keys=decided("ok"))
    trip = Trip(
        node("a"), NodeSpec(id="m", kind="graph", graph=inner, map=each("m", literal([1])).map, inputs={})
    )  # fmt: skip
    trip.expand("m", 1)
    trip.decide("m[0]/ok", "approve")
    trip.succeed("a")
    assert trip.run.state is R.COMPLETED


def test_a_dependency_graph_whose_last_parts_end_together_is_read_once():
    trip = with_graph(mapped("m", on_error=ErrorPolicy.CONTINUE), mapped("n", over="m"))
    trip.expand("dep/m", 2)
    trip.fail("dep/m[0]")
    trip.acknowledge("dep/m[1]")
    assert trip.states()["dep/n"] == "completed"
    assert [command.path for command in trip.commands(c.Gather)] == ["dep"]
