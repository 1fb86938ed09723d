"""A run of a state graph goes on with another definition: its state, its decisions, what is in its steps (SG9)."""

from __future__ import annotations

from typing import Any

import pytest
from changing import LOG, N_KEY, Changing, row
from play import THREE, value
from trip import barrier, decided, each, key, parallel, part, routed, step
from trip_rules import TripRules

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import GraphSpec, NodeSpec
from clew.kernel.machine import Machine
from clew.kernel.questions import DECISION
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.topology import compile_graph
from clew.kernel.values import FromState

# Keys ---------------------------------------------------------------------------------------------------


def test_new_keys_begin_with_their_defaults_and_old_ones_keep_what_they_have():
    keys = (key("a", default=1), key("b", default=1), key("c"), key("d", default=1), key("e", default=1))
    trip = Changing(step("x"), step("y"), keys=keys)
    trip.write("x", b=2, delete=("d", "e"))
    after = (key("a", default=9), key("b", "sum", default=9), key("c", default=3), key("d", default=1))
    new = (*after, key("e", default=2), key("f", default=4), key("g"))
    assert trip.change(row(step("x"), step("y"), keys=new)) == ""
    assert trip.state_of() == {"a": 1, "b": 2, "c": 3, "e": 2, "f": 4}
    trip.write("y", b=5, g=0)
    assert trip.state_of() == {"a": 1, "b": 7, "c": 3, "e": 2, "f": 4, "g": 0}


def test_a_key_that_is_gone_takes_its_value_with_it():
    trip = Changing(step("x"), step("y"), keys=(key("a"), key("b")))
    trip.write("x", a=1, b=2)
    assert trip.change(row(step("x"), step("y"), keys=(key("b"),)), forced=True) == ""
    assert trip.state_of() == {"b": 2}
    assert trip.change(row(step("x"), step("y"), keys=(key("a"), key("b"))), forced=True) == ""
    assert trip.state_of() == {"b": 2}


# Barriers -----------------------------------------------------------------------------------------------


def test_a_decision_is_one_on_the_state_as_it_is_after_the_change():
    trip = Changing(barrier("ok", timeout_s=60.0), keys=(*N_KEY, *decided("ok")))
    shown = trip.visit("ok").waits[DECISION].digest
    keys = (*N_KEY, *decided("ok"))
    assert trip.change(row(barrier("ok", timeout_s=60.0), step("a"), keys=keys)) == ""
    assert trip.events(e.WaitOpened) == []
    assert trip.change(row(barrier("ok", timeout_s=60.0), step("a"), keys=(*keys, key("m", default=1)))) == ""
    (again,) = trip.events(e.WaitOpened)
    assert (again.due, again.digest == shown) == (60.0, False)
    trip.decide("ok", "approve", shown=shown)
    assert "look at it again" in trip.refusal
    trip.decide("ok", "approve", shown=again.digest)
    assert trip.started == ["a"]


def test_a_barrier_that_waits_can_be_rerouted_before_it_goes():
    keys = (*N_KEY, *decided("ok"))
    trip = Changing(barrier("ok"), step("a"), keys=keys)
    without = row(step("a"))
    assert "it is at ok" in trip.change(without, forced=True)
    trip.decide("ok", "reroute", target="a")
    assert trip.change(without, forced=True) == ""
    trip.write("a", n=1)
    assert (trip.run.state, trip.state_of()) == (R.COMPLETED, {"n": 1})


# What is in a step --------------------------------------------------------------------------------------


def test_a_sub_graph_that_is_under_way_changes_with_its_graph():
    keys = (*N_KEY, key("own", default=1))
    trip = Changing(part("s", routed(step("x"), step("y"), keys=keys, name="sub")), keys=N_KEY)
    trip.write("s/x", n=1, own=2)
    keys = (*N_KEY, key("own", default=1), key("m", default=0), key("k", default=0))
    sub = routed(step("x", priority=1), step("y"), step("z"), keys=keys, name="sub")
    assert trip.change(row(part("s", sub), keys=(*N_KEY, key("m", default=5))), forced=True) == ""
    assert trip.state_of("s") == {"n": 1, "own": 2, "m": 5, "k": 0}
    assert [each.id for each in trip.run.former] == ["x"]
    trip.write("s/y", n=1)
    assert trip.started == ["s/z"]
    trip.write("s/z", m=6)
    assert (trip.run.state, trip.state_of()) == (R.COMPLETED, {"n": 2, "m": 6})


def test_a_sub_graph_that_does_not_know_yet_what_it_starts_with():
    inputs = {"n": FromState("n")}
    trip = Changing(part("s", routed(step("x"), keys=N_KEY, name="sub"), inputs=inputs), keys=N_KEY)
    assert not trip.walk("s").entered
    sub = routed(step("x"), keys=(*N_KEY, key("m", default=1)), name="sub")
    assert trip.change(row(part("s", sub, inputs=inputs)), forced=True) == ""
    trip.gathered("s", {"n": 4})
    assert trip.state_of("s") == {"n": 4, "m": 1}


def test_branches_that_have_begun_go_on_with_the_nodes_that_they_are():
    keys = (LOG, key("m"))
    trip = Changing(parallel("p", step("a"), step("b")), keys=keys)
    trip.write("p/a", log=["a"], m=1)
    assert trip.change(row(parallel("p", step("a"), step("b"), step("c")), keys=keys), forced=True) == (
        "p has begun, and has other nodes, or nodes that depend on others, in the changed graph: what runs side "
        "by side goes on with the nodes that it has; let it end first"
    )
    assert trip.change(row(parallel("p", step("a"), step("b", timeout_s=9.0)), keys=(LOG,)), forced=True) == ""
    assert trip.visit("p/b").attempt_due == 9.0
    assert [write.key for write in trip.visit("p/a").writes] == ["log"]
    trip.write("p/b", log=["b"])
    assert (trip.run.state, trip.state_of()) == (R.COMPLETED, {"log": ["a", "b"]})


def test_what_a_branch_is_to_write_to_a_key_that_is_gone_is_gone_though_the_branches_stay():
    trip = Changing(
        parallel("p", step("a"), part("s", routed(step("x"), keys=(LOG,), name="sub"))), keys=(LOG, key("m"))
    )
    trip.write("p/a", m=1)
    trip.write("p/s/x", log=["x"])
    again = Changing(parallel("p", step("a"), step("b")), keys=(LOG, key("m")))
    again.write("p/a", m=1, log=["a"])
    assert again.change(row(parallel("p", step("a"), step("b")), keys=(LOG,)), forced=True) == ""
    again.write("p/b", log=["b"])
    assert (again.run.state, again.state_of()) == (R.COMPLETED, {"log": ["a", "b"]})


def test_items_go_on_as_they_are_declared_now():
    sub = routed(step("x"), keys=(LOG,), name="sub")
    trip = Changing(each("m", FromState("log"), sub, collect=True), keys=(LOG,))
    trip.expand("m", 3)
    trip.write("m[0]/x", log=[0])
    trip.fail("m[1]/x")
    now = routed(step("x"), step("y"), keys=(LOG,), name="sub")
    spec = row(each("m", FromState("log"), now, collect=True, total_timeout_s=50.0), keys=(LOG,))
    assert trip.change(spec, forced=True) == ""
    assert (trip.visit("m").total_due, trip.visit("m[2]").total_due) == (50.0, None)
    assert trip.state("m[0]") is N.COMPLETED
    trip.write("m[2]/x", log=[2])
    assert trip.started == ["m[2]/y"]
    trip.write("m[2]/y", log=[3])
    assert trip.state_of() == {"log": [0, 2, 3]}
    assert trip.run.state is R.COMPLETED


def test_a_dependency_graph_that_has_begun_goes_on_as_declared_now():
    def inner(**options: Any) -> GraphSpec:
        a, b = NodeSpec(id="a", kind="function"), NodeSpec(id="b", kind="function", after=("a",), **options)
        return GraphSpec(name="dag", nodes=(a, b))

    trip = Changing(part("d", inner()), keys=N_KEY)
    trip.succeed("d/a")
    assert trip.change(row(part("d", inner(retry=THREE))), forced=True) == ""
    trip.fail("d/b")
    assert trip.state("d/b") is N.RETRYING
    other = GraphSpec(name="dag", nodes=(NodeSpec(id="a", kind="function"), NodeSpec(id="b", kind="function")))
    assert "nodes that depend on others" in trip.change(row(part("d", other)), forced=True)


# The run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "given", "due"),
    [
        (None, 60.0, None, 70.0),
        (20.0, 60.0, None, 60.0),
        (20.0, None, None, None),
        (20.0, 20.0, None, 20.0),
        (20.0, 60.0, 30.0, 30.0),
    ],
)
def test_the_time_that_a_run_has_had_counts(before: Any, after: Any, given: Any, due: Any):
    topology = compile_graph(row(step("a"), timeout_s=before))
    machine = Machine(topology, rules=TripRules())
    admit = s.Admit(run="r", graph="h", definition="d", inputs={"n": value(0)}, timeout_s=given)
    machine.handle([admit], 0.0)
    spec = row(step("a"), step("b"), timeout_s=after)
    decision = machine.handle([s.Redefine(graph="i", definition="e", spec=spec)], 10.0)
    assert decision.refusals == {}
    assert machine.run.due == due
    assert machine.wake_at == due


def test_a_snapshot_is_due_soon_because_none_is_of_this_definition():
    trip = Changing(step("a"), keys=N_KEY)
    trip.run.snapshot_seq = trip.run.seq
    assert trip.change(row(step("a"), step("b"))) == ""
    assert trip.run.snapshot_seq == 0
