"""State graphs in state graphs, dependency graphs in state graphs, and the other way round."""

from __future__ import annotations

import pytest
from play import BOOM, graph, literal, mapped, node, value
from trip import END, START, Trip, barrier, decided, each, edge, fallback, key, parallel, part, routed, step
from trip_rules import raw

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import ErrorPolicy, GraphSpec, InputSpec, NodeSpec
from clew.kernel.resolve import output_of
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.values import Absent, DictOf, FromInput, FromNode, FromState, Known, Literal, Pick, View

LOG = key("log", "append")


# State graphs in state graphs -----------------------------------------------------------------------------


def nested(*inner_keys, outer=(), inputs=None, **options) -> Trip:
    inner = routed(step("x"), step("y"), keys=(LOG, *inner_keys), name="inner")
    return Trip(part("sub", inner, **options), step("z"), keys=(LOG, key("topic"), *outer), inputs=inputs)


def test_a_sub_graph_starts_on_the_keys_that_both_have_and_on_its_own_defaults():
    trip = nested(key("own", "sum", default=3), key("topic"), inputs={"log": [1], "topic": "cats"})
    assert trip.started == ["sub/x"]
    assert trip.state_of("sub") == {"log": [1], "own": 3, "topic": "cats"}


def test_a_key_that_the_enclosing_state_has_takes_the_place_of_the_default():
    trip = nested(key("topic", default="dogs"), inputs={"topic": "cats"})
    assert trip.state_of("sub") == {"topic": "cats"}
    without = nested(key("topic", default="dogs"))
    assert without.state_of("sub") == {"topic": "dogs"}


def test_what_it_writes_is_seen_inside_at_once_and_outside_at_its_end():
    trip = nested(key("own", "sum", default=3))
    trip.write("sub/x", log=[1], own=4)
    assert trip.state_of("sub") == {"log": [1], "own": 7}
    assert trip.state_of() == {}
    trip.write("sub/y", log=[2])
    assert trip.state_of() == {"log": [1, 2]}
    assert trip.started == ["z"]
    assert trip.visit("sub").output.gathered


def test_the_reducers_of_the_enclosing_state_are_asked_once_per_write():
    keys = (key("n", "custom:shift"),)
    inner = routed(step("x"), step("y"), keys=keys)
    trip = Trip(part("sub", inner), keys=keys, inputs={"n": 1})
    trip.write("sub/x", n=2)
    trip.write("sub/y", n=3)
    assert trip.state_of() == {"n": 123}
    assert trip.rules.reduced == 4  # twice inside, twice outside


def test_what_three_levels_write_arrives_in_order():
    deepest = routed(step("x"), keys=(LOG, key("own", "sum")))
    middle = routed(part("deep", deepest), step("y"), keys=(LOG, key("own", "sum")))
    trip = Trip(step("a"), part("sub", middle), keys=(LOG,))
    for path in ("a", "sub/deep/x", "sub/y"):
        trip.write(path, log=[path], **({} if path == "a" else {"own": 1}))
    assert trip.state_of() == {"log": ["a", "sub/deep/x", "sub/y"]}


def test_a_key_that_only_the_outer_and_the_innermost_have_stays_within():
    deepest = routed(step("x"), keys=(LOG,))
    middle = routed(part("deep", deepest), keys=(key("other"),))
    trip = Trip(part("sub", middle), keys=(LOG,), inputs={"log": [0]})
    assert trip.state_of("sub/deep") == {}
    trip.write("sub/deep/x", log=[1])
    assert trip.state_of() == {"log": [0]}


def test_a_sub_graph_that_deletes_a_key_deletes_it_outside():
    trip = nested(inputs={"log": [1]})
    trip.write("sub/x", delete=("log",))
    trip.write("sub/y", log=[2])
    assert trip.state_of() == {"log": [2]}


def test_inputs_of_a_sub_graph_are_read_before_it_begins():
    inputs = {"own": literal([7]), "log": FromState("log"), "gone": FromState("topic")}
    inner = routed(step("x"), keys=(LOG, key("own"), key("gone", default=1)))
    trip = Trip(part("sub", inner, inputs=inputs), keys=(LOG, key("topic")), inputs={"log": [1]})
    (command,) = trip.commands(c.Gather)
    assert command.of == DictOf({"own": literal([7]), "log": Known(value([1]))})
    assert trip.machine.outstanding() == [command]
    assert not trip.machine.is_idle
    trip.gathered("sub", {"own": [7], "log": [9]})
    (entered,) = trip.events(e.WalkEntered)
    assert entered.values == {"own": raw([7]), "log": raw([9])}
    assert trip.state_of("sub") == {"own": [7], "log": [9], "gone": 1}
    assert trip.started == ["sub/x"]


def given(**inputs) -> Trip:
    inner = routed(step("x"), keys=(LOG, key("own")), name="inner")
    return Trip(part("sub", inner, inputs=inputs or {"own": literal(1)}), keys=(LOG,))


def test_what_is_read_comes_once():
    trip = given()
    trip.gathered("sub", {"own": 1})
    trip.gathered("sub", {"own": 2})
    assert trip.decision.events == []
    assert trip.state_of("sub") == {"own": 1}


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ({"error": BOOM}, "boom"),
        ({"plain": [1]}, "sub is to return changes of the state, by key, and gave [1]"),
        ({"plain": {"own": 1, "more": 2}}, "sub is given more, which its state does not have"),
    ],
)
def test_a_sub_graph_that_cannot_begin_fails(outcome, told):
    trip = given()
    trip.gathered("sub", **outcome)
    assert trip.state("sub") is N.FAILED
    assert trip.error == f"sub: {told}"


def test_a_cancel_does_not_wait_for_what_is_read_for_a_sub_graph():
    trip = given()
    trip.hand(s.Cancel())
    assert trip.run.state is R.CANCELLED
    assert trip.gathered("sub", {"own": 1}).events == []


def test_what_was_to_be_read_when_the_process_died_is_read_again():
    trip = given()
    trip.take_over()
    assert [command.path for command in trip.commands(c.Gather)] == ["sub"]
    trip.gathered("sub", {"own": 1})
    assert trip.started == ["sub/x"]


def test_what_is_read_during_a_pause_is_taken_and_nothing_starts():
    trip = given()
    trip.hand(s.Pause())
    trip.gathered("sub", {"own": 1})
    assert trip.ways == [("x", "edge")]
    assert trip.started == []
    trip.hand(s.Resume())
    assert trip.started == ["sub/x"]


def test_a_sub_graph_that_fails_falls_back_as_a_node_does():
    inner = routed(step("x"), keys=(LOG,))
    trip = Trip(
        part("sub", inner), step("z"), keys=(LOG,),
        edges=(edge(START, "sub"), edge("sub", END), fallback("sub", "z"), edge("z", END)),
    )  # fmt: skip
    trip.fail("sub/x")
    assert trip.ways == [("z", "fallback")]
    assert trip.events(e.Routed)[0].error.message == "sub/x: boom"


def test_a_sub_graph_without_a_way_on_fails_with_what_its_edges_say():
    inner = routed(step("x"), keys=(LOG,), edges=(edge(START, "x"), edge("x", END, ["has", "log"])))
    trip = Trip(part("sub", inner), keys=(LOG,))
    trip.tell("sub/x")
    assert trip.error == "sub: no edge of sub/x can be taken: to END if its condition: gave false"


def test_a_sub_graph_in_a_loop_begins_anew_on_the_state_as_it_is_then():
    inner = routed(step("x"), keys=(LOG, key("own", "sum", default=0)))
    trip = Trip(
        part("sub", inner), keys=(LOG,),
        edges=(edge(START, "sub"), edge("sub", "sub", ["shorter", "log", 2]), edge("sub", END)),
    )  # fmt: skip
    trip.write("sub/x", log=[1], own=5)
    assert trip.state_of("sub#2") == {"log": [1], "own": 0}
    trip.write("sub#2/x", log=[2])
    assert trip.state_of() == {"log": [1, 2]}


def test_a_sub_graph_has_a_time_limit_as_a_whole():
    trip = nested(total_timeout_s=5.0)
    trip.at(5.0)
    assert trip.stopped == ["sub/x"]
    trip.write("sub/x", log=[1])
    assert trip.state("sub") is N.FAILED
    assert trip.state_of() == {}


def test_a_sub_graph_that_ends_at_its_start_writes_nothing():
    inner = routed(keys=(LOG,), edges=(edge(START, END),))
    trip = Trip(part("sub", inner), step("z"), keys=(LOG,))
    assert trip.started == ["z"]


# Dependency graphs in state graphs --------------------------------------------------------------------------


def reporting(*nodes, output=None, **options) -> NodeSpec:
    nodes = nodes or (NodeSpec(id="f", kind="function", inputs={"t": FromInput("topic")}), node("g", "f"))
    spec = GraphSpec(
        name="dep", nodes=nodes, inputs=(InputSpec(name="topic", default=raw("none"), required=False),), output=output
    )
    inputs = options.pop("inputs", {"topic": FromState("topic")})
    return NodeSpec(id="dep", kind="graph", graph=spec, inputs=inputs, **options)


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
        ({"plain": {"log": 1}}, "what is written to 'log' has to be a list, because its reducer is append, but is 1"),
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


def routed_inside(*, output=None, inputs=None, after=(), **options):
    keys = (LOG, key("topic"), key("n", "sum", default=1))
    spec = routed(step("x"), step("y"), keys=keys, name="walk", output=output)
    return NodeSpec(id="w", kind="graph", graph=spec, inputs=inputs or {}, after=after, **options)


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
    assert {k: bytes(cell.text()) for k, cell in command.inputs["w"].of.cells.items()} == {"log": b"[1]", "n": b"3"}
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
