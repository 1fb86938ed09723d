"""What was complete and did not fit is put together again when a run is retried, and never hangs."""

from __future__ import annotations

import pytest
from play import BOOM, mapped, node
from trip import (
    Trip,
    each,
    key,
    parallel,
    part,
    routed,
    step,
)
from trip_parts import LOG, reporting

from clew.kernel import commands as c
from clew.kernel.states import RunState as R
from clew.kernel.values import FromState

KEYS = (LOG, key("n"), key("k", "replace"))


# What was complete, and did not fit ---------------------------------------------------------------------------


def test_branches_that_do_not_fit_together_are_merged_again_and_do_not_hang():
    trip = Trip(parallel("p", step("a"), step("b")), keys=KEYS)
    trip.write("p/a", n=1)
    trip.write("p/b", n=2)
    assert trip.run.state is R.FAILED
    trip.retry()
    assert trip.started == []
    assert trip.run.state is R.FAILED
    assert "both p/a and p/b write to 'n'" in trip.error


@pytest.mark.parametrize("limited", [False, True])
def test_a_sub_graph_whose_writes_did_not_fit_is_merged_again(limited):
    inner = routed(step("x"), keys=(key("log", "replace"),))
    at_once = {"at_once": 1} if limited else {}
    trip = Trip(parallel("p", part("s", inner), part("t", inner), **at_once), keys=KEYS)
    trip.write("p/s/x", log=1)
    trip.write("p/t/x", log=1)
    assert trip.run.state is R.FAILED
    trip.retry()
    assert trip.run.state is R.FAILED
    assert "has to be a list" in trip.error


def test_items_that_do_not_fit_together_are_merged_again():
    trip = Trip(each("m", FromState("k")), keys=KEYS, inputs={"k": [1]})
    trip.expand("m", 2)
    trip.write("m[0]", n=1)
    trip.write("m[1]", n=2)
    trip.retry()
    assert "both m[0] and m[1]" in trip.error


@pytest.mark.parametrize("nodes", [(node("f"),), ()])
def test_a_dependency_graph_whose_output_did_not_fit_is_read_again(nodes):
    spec = reporting(*(nodes or (node("f"),)), inputs={})
    trip = Trip(spec, keys=KEYS)
    trip.succeed("dep/f")
    trip.gathered("dep", {"gone": 1})
    assert trip.run.state is R.FAILED
    trip.retry()
    assert [command.path for command in trip.commands(c.Gather)] == ["dep"]
    trip.gathered("dep", {"log": [1]})
    assert trip.run.state is R.COMPLETED
    assert trip.state_of() == {"log": [1]}


@pytest.mark.parametrize("at_once", [1, 100])
def test_the_same_in_branches(at_once):
    trip = Trip(parallel("p", reporting(node("f"), inputs={}), step("a"), at_once=at_once), keys=KEYS)
    trip.succeed("p/dep/f")
    trip.gathered("p/dep", error=BOOM)
    if trip.run.root.active:
        trip.acknowledge("p/a")
    trip.retry()
    assert [command.path for command in trip.commands(c.Gather)] == ["p/dep"]
    trip.gathered("p/dep", {"log": [1]})
    trip.write("p/a", log=[2])
    assert trip.state_of()["log"] == [1, 2]


def test_a_failed_node_of_a_dependency_graph_is_made_again_inside():
    trip = Trip(reporting(node("f"), node("g", "f"), inputs={}), keys=KEYS)
    trip.succeed("dep/f")
    trip.fail("dep/g")
    trip.retry()
    assert trip.started == ["dep/g"]
    trip.succeed("dep/g")
    trip.gathered("dep", {"log": [1]})
    assert trip.run.state is R.COMPLETED


# Groups that are opened again because only so many may be under way -----------------------------------------


def test_a_sub_graph_in_a_limited_item_goes_on_from_a_step_that_found_no_way():
    deepest = routed(step("x"), step("y"), keys=KEYS, limits={"max_steps": 1})
    item = routed(part("sub", deepest), keys=KEYS)
    trip = Trip(mapped("m", graph=item, max_concurrency=1, inputs={}))
    trip.expand("m", 1)
    trip.gathered("m[0]", {})
    trip.tell("m[0]/sub/x")
    assert "would go on with y" in trip.error
    trip.retry()
    assert trip.started == ["m[0]/sub/y"]


def test_a_dependency_graph_in_a_limited_item_is_read_again():
    item = routed(reporting(node("f"), inputs={}), keys=KEYS)
    trip = Trip(mapped("m", graph=item, max_concurrency=1, inputs={}))
    trip.expand("m", 1)
    trip.gathered("m[0]", {})
    trip.succeed("m[0]/dep/f")
    trip.gathered("m[0]/dep", error=BOOM)
    trip.retry()
    assert [command.path for command in trip.commands(c.Gather)] == ["m[0]/dep"]
    trip.gathered("m[0]/dep", {"log": [1]})
    assert trip.run.state is R.COMPLETED


def test_branches_in_a_limited_item_are_merged_again():
    item = routed(parallel("p", step("a"), step("b")), keys=KEYS)
    trip = Trip(mapped("m", graph=item, max_concurrency=1, inputs={}))
    trip.expand("m", 1)
    trip.gathered("m[0]", {})
    trip.write("m[0]/p/a", n=1)
    trip.write("m[0]/p/b", n=2)
    trip.retry()
    assert "both m[0]/p/a and m[0]/p/b" in trip.error
