"""A run of state graphs is taken up again: from wherever its tokens stand, with all that was done (SG2, SG9)."""

from __future__ import annotations

import pytest
from play import BOOM, THREE, mapped, node
from trip import (
    END,
    START,
    Trip,
    barrier,
    decided,
    each,
    edge,
    fallback,
    key,
    line,
    parallel,
    part,
    routed,
    step,
)
from trip_parts import LOG, given, routed_inside

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import ErrorPolicy, NodeSpec
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.values import FromNode, FromState

KEYS = (LOG, key("n"), key("k", "replace"))


# Where the token stands -------------------------------------------------------------------------------------


def test_the_failed_step_is_made_again_on_the_state_as_it_is():
    trip = Trip(step("a"), step("b", retry=THREE), step("c"), keys=KEYS)
    trip.write("a", log=["a"])
    trip.fail("b", BOOM)
    trip.at(1.0)
    trip.fail("b", BOOM)
    trip.at(3.0)
    trip.fail("b", BOOM)
    assert trip.run.state is R.FAILED
    trip.retry()
    assert trip.started == ["b"]
    assert trip.visit("b").attempt == 4
    assert trip.visit("b").failures == 0
    trip.write("b", log=["b"])
    trip.write("c", log=["c"])
    assert trip.state_of() == {"log": ["a", "b", "c"]}
    assert trip.run.state is R.COMPLETED


def test_a_step_that_was_cancelled_is_made_again():
    trip = Trip(step("a"), step("b"), keys=KEYS)
    trip.write("a", log=["a"])
    trip.hand(s.Cancel())
    trip.acknowledge("b")
    trip.retry()
    assert trip.started == ["b"]
    trip.write("b", log=["b"])
    assert trip.state_of() == {"log": ["a", "b"]}


def test_a_token_that_found_no_way_asks_its_edges_again():
    trip = Trip(
        step("a"), step("b"), keys=KEYS,
        edges=(edge(START, "a"), edge("a", "b", ["has", "k"]), edge("b", END)),
    )  # fmt: skip
    trip.write("a", log=["a"])
    assert trip.run.state is R.FAILED
    trip.retry()
    assert trip.run.state is R.FAILED
    assert trip.states() == {"a": "completed"}
    assert [type(event).__name__ for event in trip.events()] == ["RunRetried", "GroupStopping", "RunFailed"]


def test_a_token_that_found_no_way_from_the_start_asks_again():
    trip = Trip(step("a"), keys=KEYS, edges=(edge(START, "a", ["has", "k"]), edge("a", END)))
    trip.retry()
    assert trip.error == "no edge of START can be taken: to a if its condition: gave false"


def test_a_step_that_came_in_while_the_run_was_cancelled_is_gone_on_from():
    trip = Trip(step("a"), step("b"), keys=KEYS)
    trip.hand(s.Cancel())
    trip.write("a", log=["a"])
    assert trip.run.state is R.CANCELLED
    trip.retry()
    assert trip.ways == [("b", "edge")]
    assert trip.started == ["b"]


def test_a_last_step_that_came_in_while_the_run_was_cancelled_completes_it():
    trip = Trip(step("a"), keys=KEYS)
    trip.hand(s.Cancel())
    trip.write("a", goto=END, log=["a"])
    trip.retry()
    assert trip.ways == [(END, "goto")]
    assert trip.run.state is R.COMPLETED


def test_what_a_step_wished_is_remembered_over_a_retry():
    trip = Trip(
        step("a"), step("b"), step("z"), keys=KEYS,
        edges=(edge(START, "a"), edge("a", "b"), fallback("a", "z"), edge("b", END), edge("z", END)),
    )  # fmt: skip
    trip.hand(s.Cancel())
    trip.tell("a", fallback=True)
    trip.retry()
    assert trip.ways == [("z", "fallback")]


def test_a_run_of_a_state_graph_that_has_completed_is_not_taken_up_again():
    trip = Trip(
        step("a"), step("z"), keys=KEYS,
        edges=(edge(START, "a"), edge("a", END), fallback("a", "z"), edge("z", END)),
    )  # fmt: skip
    trip.fail("a")
    trip.tell("z")
    assert trip.events(e.RunCompleted)[0].failed == 1
    trip.hand(s.RetryRun())
    assert trip.refusal == "it has completed"


# Branches and items -----------------------------------------------------------------------------------------


def test_branches_that_completed_are_kept_and_the_others_made_again():
    trip = Trip(parallel("p", step("a"), step("b"), step("c")), keys=KEYS)
    trip.write("p/b", log=["b"])
    trip.fail("p/a")
    trip.acknowledge("p/c")
    trip.retry()
    assert sorted(trip.started) == ["p/a", "p/c"]
    trip.write("p/c", log=["c"])
    trip.write("p/a", log=["a"])
    assert trip.state_of()["log"] == ["a", "b", "c"]


def test_collected_branches_that_all_failed_are_all_made_again():
    trip = Trip(parallel("p", step("a"), step("b"), collect=True), keys=KEYS)
    trip.fail("p/a")
    trip.fail("p/b")
    trip.retry()
    assert trip.started == ["p/a", "p/b"]
    trip.fail("p/b")
    trip.write("p/a", log=["a"])
    assert trip.run.state is R.COMPLETED


def test_failures_that_were_gone_on_from_stay_when_something_later_is_retried():
    trip = Trip(
        parallel("p", step("a"), step("b"), collect=True), step("z"), keys=(*KEYS, key("p.failed", "replace"))
    )
    trip.fail("p/a")
    trip.write("p/b", log=["b"])
    trip.fail("z")
    trip.retry()
    assert trip.started == ["z"]
    trip.tell("z")
    assert trip.state_of() == {"log": ["b"], "p.failed": ["a"]}


def test_limited_branches_are_limited_after_a_retry_too():
    inner = routed(step("x"), keys=KEYS)
    trip = Trip(parallel("p", part("s", inner), part("t", inner), step("a"), at_once=2), keys=KEYS)
    trip.fail("p/t/x")
    trip.acknowledge("p/s/x")
    trip.retry()
    assert trip.started == ["p/s/x", "p/t/x"]
    trip.tell("p/s/x")
    assert trip.started == ["p/a"]


@pytest.mark.parametrize("collect", [True, False])
def test_items_that_completed_are_kept(collect):
    trip = Trip(each("m", FromState("k"), collect=collect), keys=KEYS, inputs={"k": [1, 2]})
    trip.expand("m", 2)
    trip.write("m[1]", log=[1])
    trip.fail("m[0]")
    if collect:
        assert trip.run.state is R.COMPLETED
        return
    trip.retry()
    assert trip.started == ["m[0]"]
    trip.write("m[0]", log=[0])
    assert trip.state_of()["log"] == [0, 1]


def test_a_map_that_found_no_items_looks_again():
    trip = Trip(each("m", FromState("k")), keys=KEYS, inputs={"k": [1]})
    trip.hand(s.MapExpanded(path="m", error=BOOM))
    trip.retry()
    assert [command.path for command in trip.commands(c.ExpandMap)] == ["m"]


# Sub-graphs -----------------------------------------------------------------------------------------------------


def test_a_sub_graph_goes_on_where_its_token_stands():
    inner = routed(step("x"), step("y"), keys=KEYS)
    trip = Trip(part("sub", inner), keys=KEYS)
    trip.write("sub/x", log=["x"])
    trip.fail("sub/y")
    trip.retry()
    assert trip.started == ["sub/y"]
    assert trip.state_of("sub") == {"log": ["x"]}
    trip.write("sub/y", log=["y"])
    assert trip.state_of() == {"log": ["x", "y"]}


def test_a_sub_graph_that_could_not_begin_is_read_for_again():
    trip = given()
    trip.gathered("sub", error=BOOM)
    trip.retry()
    assert [command.path for command in trip.commands(c.Gather)] == ["sub"]
    trip.gathered("sub", {"own": 1})
    assert trip.started == ["sub/x"]


def test_a_sub_graph_that_found_no_way_asks_again_inside():
    inner = routed(step("x"), keys=KEYS, edges=(edge(START, "x"), edge("x", END, ["has", "k"])))
    trip = Trip(part("sub", inner), keys=KEYS)
    trip.tell("sub/x")
    trip.retry()
    assert "no edge of sub/x can be taken" in trip.error


def test_one_branch_that_finds_no_way_again_does_not_begin_another():
    lost = routed(step("x"), keys=KEYS, edges=(edge(START, "x"), edge("x", END, ["has", "k"])))
    unread = routed(step("y"), keys=(*KEYS, key("own")), name="unread")
    trip = Trip(parallel("p", part("s", lost), part("t", unread, inputs={"own": FromState("k")})), keys=KEYS)
    trip.tell("p/s/x")
    assert trip.run.state is R.FAILED
    trip.retry()
    assert trip.run.state is R.FAILED
    assert trip.commands(c.Gather) == []


def test_what_is_read_late_for_an_earlier_generation_is_dropped():
    trip = given()
    trip.hand(s.Cancel())
    assert trip.gathered("sub", {"own": 1}).events == []
    trip.retry()
    trip.gathered("sub", {"own": 2})
    assert trip.state_of("sub") == {"own": 2}


# In dependency graphs -------------------------------------------------------------------------------------------


def test_a_state_graph_in_a_dependency_graph_keeps_its_steps():
    trip = Trip(routed_inside(), node("z", "w"))
    trip.write("w/x", log=[1])
    trip.fail("w/y")
    trip.retry()
    assert trip.started == ["w/y"]
    trip.write("w/y", log=[2])
    trip.succeed("z")
    assert trip.run.state is R.COMPLETED


def test_a_state_graph_whose_input_is_made_again_begins_anew():
    trip = Trip(
        node("a"), routed_inside(inputs={"topic": FromNode("a")}), node("z", "w"), on_error=ErrorPolicy.CONTINUE
    )
    trip.fail("a")
    trip.gathered("w", {})
    trip.write("w/x", log=[1])
    trip.write("w/y", log=[2])
    trip.succeed("z")
    assert trip.run.state is R.COMPLETED
    trip.retry()
    trip.succeed("a")
    trip.gathered("w", {"topic": "a"})
    assert trip.state_of("w") == {"topic": "a", "n": 1}
    assert (trip.started, trip.visit("w/x").attempt) == (["w/x"], 2)
    trip.write("w/x", log=[3])
    trip.write("w/y", log=[4])
    assert trip.started == ["z"]
    assert trip.state_of("w")["log"] == [3, 4]


def test_a_state_graph_with_a_failure_it_has_gone_on_from_is_not_made_again():
    inner = routed(
        step("x"), step("y"), keys=KEYS, edges=(*line("x"), fallback("x", "y"), edge("y", END)), name="inner"
    )
    trip = Trip(NodeSpec(id="w", kind="graph", graph=inner), node("z", "w"))
    trip.fail("w/x")
    trip.write("w/y", log=[1])
    trip.fail("z")
    trip.retry()
    assert trip.started == ["z"]
    trip.succeed("z")
    assert trip.run.state is R.COMPLETED


def test_limited_items_that_are_state_graphs_go_on_where_they_stood():
    spec = routed(step("x"), step("y"), keys=KEYS)
    trip = Trip(mapped("m", graph=spec, max_concurrency=1, inputs={}))
    trip.expand("m", 2)
    trip.gathered("m[0]", {})
    trip.write("m[0]/x", log=[1])
    trip.fail("m[0]/y")
    trip.retry()
    assert trip.started == ["m[0]/y"]
    trip.write("m[0]/y", log=[2])
    assert [command.path for command in trip.commands(c.Gather)] == ["m[1]"]


# Barriers -------------------------------------------------------------------------------------------------------


def test_a_barrier_that_was_cancelled_asks_again():
    trip = Trip(barrier("ok", timeout_s=10.0), keys=(*KEYS, *decided("ok")))
    trip.now = 4.0
    trip.hand(s.Cancel())
    assert trip.state("ok") is N.CANCELLED
    trip.retry()
    assert trip.state("ok") is N.WAITING
    assert trip.machine.wake_at == 14.0
    trip.decide("ok", "approve")
    assert trip.run.state is R.COMPLETED
