"""Maps in state graphs: one body or sub-graph per item, which write together in the order of the items (SG4)."""

from __future__ import annotations

import itertools

import pytest
from play import BOOM, literal, value
from trip import END, START, Trip, barrier, decided, each, edge, key, parallel, part, routed, step

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import GraphSpec, MapSpec, NodeSpec
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.values import FromItem, FromState, Known, Literal, Pick, View

OUT = (key("items"), key("out", "append"), key("n"), key("m.failed", "replace"))


def mapped(**options) -> Trip:
    run = {"keys": OUT, "inputs": {"items": ["x", "y", "z"]}}
    return Trip(each("m", FromState("items"), **options), step("end"), **run)


def test_a_map_takes_its_items_from_the_state():
    trip = mapped()
    (command,) = trip.commands(c.ExpandMap)
    assert command.over == Known(value(["x", "y", "z"]))
    trip.expand("m", 3)
    assert trip.started == ["m[0]", "m[1]", "m[2]"]
    assert [command.inputs["item"] for command in trip.commands(c.StartAttempt)] == [
        Pick(Known(value([0, 1, 2])), (index,)) for index in range(3)
    ]


def test_a_map_may_run_over_a_constant_and_give_its_items_the_state_besides():
    both = {"item": FromItem(), "state": FromState()}
    spec = NodeSpec(id="m", kind="function", map=MapSpec(over=literal([1])), inputs=both)
    trip = Trip(spec, keys=OUT)
    (command,) = trip.commands(c.ExpandMap)
    assert isinstance(command.over, Literal)
    trip.expand("m", 1)
    (command,) = trip.commands(c.StartAttempt)
    assert isinstance(command.inputs["state"], View)
    assert command.updates


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_items_write_in_the_order_of_the_list_whatever_the_order_of_completion(order):
    trip = mapped()
    trip.expand("m", 3, keys=("k", "l", "j"))
    for index in order:
        name = "klj"[index]
        assert trip.state_of() == {"items": ["x", "y", "z"]}
        trip.write(f"m[{name}]", out=[name])
    assert trip.state_of()["out"] == ["k", "l", "j"]
    assert trip.started == ["end"]


def test_a_map_of_no_items_writes_nothing_and_the_token_goes_on():
    trip = mapped()
    trip.expand("m", 0)
    assert trip.started == ["end"]


def test_a_map_that_finds_no_items_fails_as_a_step_does():
    trip = mapped()
    trip.hand(s.MapExpanded(path="m", error=BOOM))
    assert trip.error == "m: boom"


def test_two_items_that_write_to_a_key_without_a_reducer_are_an_error_that_names_both():
    trip = mapped()
    trip.expand("m", 3, keys=("k", "l", "j"))
    trip.write("m[j]", n=1)
    trip.tell("m[k]")
    trip.write("m[l]", n=2)
    assert trip.error.startswith("m: both m[l] and m[j] write to 'n'")


def test_the_first_failed_item_stops_a_map_that_is_fail_fast():
    trip = mapped()
    trip.expand("m", 3)
    trip.fail("m[1]")
    assert trip.stopped == ["m[0]", "m[2]"]
    trip.acknowledge("m[0]", "m[2]")
    assert trip.error == "m: m[1]: boom"


def test_a_map_that_collects_keeps_the_successes_and_names_the_failed_items():
    trip = mapped(collect=True)
    trip.expand("m", 4, keys=("/tmp/a", "b/", "[c]", "d"))
    trip.fail("m[d]")
    trip.fail("m[/tmp/a]")
    trip.fail("m[%5Bc%5D]")
    trip.write("m[b/]", out=[2])
    assert trip.state_of()["out"] == [2]
    assert trip.state_of()["m.failed"] == ["/tmp/a", "[c]", "d"]
    assert trip.started == ["end"]


def test_a_map_that_collects_and_loses_all_has_failed():
    trip = mapped(collect=True)
    trip.expand("m", 2)
    trip.fail("m[1]")
    trip.fail("m[0]")
    assert trip.state("m") is N.FAILED
    assert trip.error == "m: m[1]: boom (and 1 more)"


def test_no_more_items_are_under_way_than_may_be():
    trip = mapped(at_once=2)
    trip.expand("m", 3)
    assert trip.started == ["m[0]", "m[1]"]
    trip.write("m[1]", out=[1])
    assert trip.started == ["m[2]"]


def test_an_item_cannot_say_where_to_go():
    trip = mapped()
    trip.expand("m", 1)
    trip.tell("m[0]", goto="end")
    assert trip.visit("m[0]").error.message == "m[0] is a branch, and cannot say where to go"


def test_items_may_be_state_graphs_with_the_item_as_a_key_of_their_own():
    inner = routed(step("x"), step("y"), keys=(key("item"), key("out", "append"), key("own", "sum")))
    trip = mapped(graph=inner, inputs={"item": FromItem()})
    trip.expand("m", 2)
    assert [command.path for command in trip.commands(c.Gather)] == ["m[0]", "m[1]"]
    gather = trip.commands(c.Gather)[1]
    assert gather.of.items == {"item": Pick(Known(value([0, 1])), (1,))}
    trip.gathered("m[1]", {"item": "b"})
    trip.gathered("m[0]", {"item": "a"})
    assert trip.started == ["m[0]/x"]
    assert trip.state_of("m[1]") == {"item": "b"}
    for path in ("m[1]/x", "m[0]/x", "m[0]/y", "m[1]/y"):
        trip.write(path, out=[path], own=1)
    assert trip.state_of()["out"] == ["m[0]/x", "m[0]/y", "m[1]/x", "m[1]/y"]


def test_items_may_be_dependency_graphs_whose_output_is_changes():
    trip = mapped(graph=GraphSpec(name="inner", nodes=(NodeSpec(id="f", kind="function"),)))
    trip.expand("m", 2)
    for index in (1, 0):
        trip.hand(s.AttemptSucceeded(path=f"m[{index}]/f", attempt=1, output=value(index)))
        assert [command.path for command in trip.commands(c.Gather)] == [f"m[{index}]"]
    trip.gathered("m[0]", {"out": [0]})
    trip.gathered("m[1]", {"out": [1]})
    assert trip.state_of()["out"] == [0, 1]


def test_barriers_in_items_wait_each_for_its_own_decision():
    inner = routed(barrier("ok"), keys=(key("out", "append"), *decided("ok")))
    trip = mapped(graph=inner)
    trip.expand("m", 2, keys=("a", "b"))
    assert trip.machine.is_idle
    trip.decide("m[b]/ok", "approve", changes={"out": ["b"]})
    assert trip.state("m[a]/ok") is N.WAITING
    trip.decide("m[a]/ok", "reject", reason="no")
    assert trip.state_of()["out"] == ["b"]
    assert trip.started == ["end"]


def test_a_map_in_a_loop_finds_its_items_anew():
    trip = Trip(
        each("m", FromState("items")), keys=OUT, inputs={"items": [1]},
        edges=(edge(START, "m"), edge("m", "m", ["shorter", "out", 2]), edge("m", END)),
    )  # fmt: skip
    trip.expand("m", 1)
    trip.write("m[0]", out=[1])
    assert [command.path for command in trip.commands(c.ExpandMap)] == ["m#2"]
    trip.expand("m#2", 1)
    trip.write("m#2[0]", out=[2])
    assert trip.run.state is R.COMPLETED


def test_the_items_of_a_map_that_was_lost_are_asked_for_again():
    trip = mapped()
    trip.take_over()
    assert [command.path for command in trip.commands(c.ExpandMap)] == ["m"]


def test_a_map_of_parallel_nodes_merges_item_by_item():
    trip = Trip(
        each("m", FromState("items"), parallel("q", step("a"), step("b")).graph, inputs={}),
        keys=OUT, inputs={"items": [1, 2]},
    )  # fmt: skip
    trip.expand("m", 2)
    for path in ("m[1]/b", "m[0]/b", "m[0]/a", "m[1]/a"):
        trip.write(path, out=[path])
    assert trip.state_of()["out"] == ["m[0]/a", "m[0]/b", "m[1]/a", "m[1]/b"]


def test_a_cancelled_map_in_a_branch_writes_nothing():
    trip = Trip(
        parallel("p", each("m", FromState("items")), part("s", routed(step("x"), keys=OUT))),
        keys=OUT, inputs={"items": [1, 2]},
    )  # fmt: skip
    trip.expand("p/m", 2)
    trip.write("p/m[0]", out=[0])
    trip.hand(s.Cancel())
    trip.acknowledge("p/m[1]", "p/s/x")
    assert trip.run.state is R.CANCELLED
    assert trip.events(e.RunCancelled)
    assert "out" not in trip.state_of()
