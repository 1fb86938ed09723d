"""Parallel nodes: branches that go on by themselves and write together at their join (SG4)."""

from __future__ import annotations

import itertools

import pytest
from play import BOOM, THREE
from trip import END, START, Trip, barrier, decided, each, edge, fallback, key, parallel, part, routed, step

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.cells import plain
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.values import FromState

LOG = (key("log", "append"),)
KEYS = (*LOG, key("n"), key("p.failed", "replace"))


def pair(*more, collect=False, **options) -> Trip:
    nodes = (parallel("p", step("a"), step("b"), step("c"), collect=collect), step("z"))
    keys = options.pop("keys", KEYS)
    return Trip(*nodes, keys=(*keys, *more), **options)


# Starting and joining -------------------------------------------------------------------------------------


def test_all_branches_start_at_once_on_the_same_state():
    trip = pair(inputs={"log": [1]})
    assert trip.started == ["p/a", "p/b", "p/c"]
    assert trip.states()["p"] == "running"
    for command in trip.commands(c.StartAttempt):
        assert plain(command.inputs["state"].cells) == {"log": [1]}
        assert command.updates


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_what_they_write_is_merged_in_branch_order_whatever_the_order_of_completion(order):
    trip = pair()
    for name in order:
        trip.write(f"p/{name}", log=[name])
    assert trip.state_of() == {"log": ["a", "b", "c"], "p.failed": []}
    assert trip.started == ["z"]


def test_the_merge_is_one_event_and_nothing_is_seen_before_it():
    trip = pair()
    trip.write("p/a", log=["a"])
    assert trip.state_of() == {}
    assert [type(event) for event in trip.events()] == [e.NodeCompleted]
    trip.write("p/c", log=["c"])
    trip.write("p/b", log=["b"])
    assert [type(event) for event in trip.events()] == [
        e.NodeCompleted,
        e.NodeCompleted,
        e.Routed,
        e.AttemptStarted,
    ]
    assert [event.path for event in trip.events(e.NodeCompleted)] == ["p/b", "p"]


def test_conditions_are_asked_on_the_merged_state():
    trip = Trip(
        parallel("p", step("a"), step("b")), step("z"), keys=LOG,
        edges=(edge(START, "p"), edge("p", END, ["shorter", "log", 2]), edge("p", "z"), edge("z", END)),
    )  # fmt: skip
    trip.write("p/b", log=[2])
    trip.write("p/a", log=[1])
    assert trip.ways == [("z", "edge")]


def test_a_parallel_node_without_branches_writes_nothing():
    trip = Trip(parallel("p"), step("z"), keys=LOG)
    assert trip.started == ["z"]


def test_a_parallel_node_in_a_loop_is_visited_with_all_its_branches_again():
    trip = Trip(
        parallel("p", step("a"), step("b")), keys=LOG,
        edges=(edge(START, "p"), edge("p", "p", ["shorter", "log", 4]), edge("p", END)),
    )  # fmt: skip
    for path in ("p/a", "p/b", "p#2/b", "p#2/a"):
        trip.write(path, log=[path])
    assert trip.state_of()["log"] == ["p/a", "p/b", "p#2/a", "p#2/b"]
    assert trip.run.state is R.COMPLETED


def test_the_progress_of_each_branch_survives_by_itself():
    trip = pair()
    trip.write("p/b", log=["b"])
    trip.take_over()
    assert sorted(trip.started) == ["p/a", "p/c"]
    trip.write("p/a", log=["a"])
    trip.write("p/c", log=["c"])
    assert trip.state_of()["log"] == ["a", "b", "c"]


def test_a_branch_has_retries_time_limits_and_sleeps_as_everywhere():
    trip = Trip(parallel("p", step("a", retry=THREE), step("b", timeout_s=5.0, retry=THREE)), keys=LOG)
    trip.fail("p/a")
    trip.sleep("p/b", due=20.0)
    assert trip.machine.is_idle
    assert trip.machine.wake_at == 1.0
    trip.at(1.0)
    trip.write("p/a", log=["a"])
    trip.at(20.0)
    trip.write("p/b", log=["b"])
    assert trip.state_of() == {"log": ["a", "b"]}


def test_a_branch_cannot_say_where_to_go():
    trip = pair()
    trip.write("p/a", goto="z")
    assert trip.visit("p/a").error.message == "p/a is a branch, and cannot say where to go"
    asking = pair()
    asking.tell("p/b", fallback=True)
    assert "cannot say where to go" in asking.visit("p/b").error.message


# How many at once -----------------------------------------------------------------------------------------


def test_no_more_branches_are_under_way_than_may_be():
    trip = Trip(parallel("p", step("a"), step("b"), step("c"), at_once=2), keys=LOG)
    assert trip.started == ["p/a", "p/b"]
    trip.write("p/b", log=[2])
    assert trip.started == ["p/c"]


def test_limited_branches_that_are_sub_graphs_and_maps_are_under_way_one_after_the_other():
    inner = routed(step("x"), keys=LOG)
    trip = Trip(
        parallel("p", part("s", inner), each("m", FromState("log")), part("t", inner), step("d"), at_once=1),
        keys=LOG, inputs={"log": [1, 2]},
    )  # fmt: skip
    assert trip.started == ["p/s/x"]
    trip.expand("p/m", 2)
    assert trip.started == [], "the items of a branch wait for its turn"
    order = ["p/s/x"]
    for path in order:
        trip.write(path, log=[path])
        order += trip.started
    assert order == ["p/s/x", "p/t/x", "p/d", "p/m[0]", "p/m[1]"]
    assert trip.state_of()["log"][2:] == ["p/s/x", "p/m[0]", "p/m[1]", "p/t/x", "p/d"]


def test_a_map_that_is_under_way_starts_its_other_items_at_once():
    trip = Trip(
        parallel("p", each("m", FromState("log")), step("d"), at_once=1), keys=LOG, inputs={"log": [1, 2]},
        gate=lambda path, node: path != "p/d",
    )  # fmt: skip
    assert trip.started == []
    trip.expand("p/m", 3)
    assert trip.started == ["p/m[0]", "p/m[1]", "p/m[2]"]


def test_a_barrier_that_waits_gives_its_place_to_the_next_branch():
    keys = (*LOG, *decided("ok"))
    trip = Trip(parallel("p", barrier("ok"), step("a"), at_once=1), keys=keys)
    assert trip.state("p/ok") is N.WAITING
    assert trip.started == ["p/a"]


# Failures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loser", "abc")
def test_the_first_failure_cancels_the_others_whichever_branch_it_is(loser):
    trip = pair()
    trip.fail(f"p/{loser}")
    others = sorted(f"p/{name}" for name in "abc" if name != loser)
    assert sorted(trip.stopped) == others
    assert trip.state("p") is N.STOPPING
    trip.acknowledge(*others)
    assert [trip.state(path) for path in others] == [N.CANCELLED, N.CANCELLED]
    assert trip.run.state is R.FAILED
    assert trip.error == f"p: p/{loser}: boom"


def test_a_failure_cancels_branches_that_wait_or_have_not_started():
    trip = Trip(
        parallel("p", barrier("ok"), step("a"), step("s"), step("b"), at_once=2), keys=(*LOG, *decided("ok"))
    )
    trip.sleep("p/s", due=99.0)
    assert trip.states()["p/b"] == "running"
    trip.fail("p/a")
    trip.acknowledge("p/b")
    assert trip.states() == {
        "p": "failed", "p/ok": "cancelled", "p/a": "failed", "p/s": "cancelled", "p/b": "cancelled",
    }  # fmt: skip


def test_a_failure_of_branches_falls_back_and_what_the_others_wrote_is_not_merged():
    trip = Trip(
        parallel("p", step("a"), step("b")), step("z"), keys=LOG,
        edges=(edge(START, "p"), edge("p", END), fallback("p", "z"), edge("z", END)),
    )  # fmt: skip
    trip.write("p/a", log=["a"])
    trip.fail("p/b")
    (way,) = trip.events(e.Routed)
    assert (way.target, way.why, way.error.message) == ("z", "fallback", "p/b: boom")
    assert trip.state_of() == {}


def test_collected_branches_keep_the_successes_and_name_the_failed_ones():
    trip = pair(collect=True)
    trip.fail("p/c")
    trip.fail("p/a")
    assert trip.stopped == []
    trip.write("p/b", log=["b"])
    assert trip.state_of() == {"log": ["b"], "p.failed": ["a", "c"]}
    assert trip.started == ["z"]


def test_a_state_that_has_no_key_for_the_failed_ones_is_not_told():
    trip = pair(collect=True, keys=LOG)
    trip.fail("p/a")
    trip.write("p/b", log=["b"])
    trip.tell("p/c")
    assert trip.state_of() == {"log": ["b"]}


def test_that_none_has_failed_takes_the_place_of_an_earlier_failure():
    trip = Trip(
        parallel("p", step("a"), step("b"), collect=True), keys=KEYS,
        edges=(edge(START, "p"), edge("p", "p", ["shorter", "log", 3]), edge("p", END)),
    )  # fmt: skip
    trip.fail("p/a")
    trip.write("p/b", log=[1])
    assert trip.state_of()["p.failed"] == ["a"]
    trip.write("p#2/a", log=[2])
    trip.write("p#2/b", log=[3])
    assert trip.state_of()["p.failed"] == []


def test_all_collected_branches_together_fail_the_node():
    trip = pair(collect=True)
    for name in "bac":
        trip.fail(f"p/{name}")
    assert trip.state("p") is N.FAILED
    assert trip.error == "p: p/b: boom (and 2 more)"
    assert trip.state_of() == {}


def test_two_writers_of_a_key_without_a_reducer_are_an_error_that_names_both():
    trip = pair()
    trip.write("p/c", n=3)
    trip.write("p/a", n=3)
    assert trip.run.state is R.RUNNING
    trip.tell("p/b")
    assert trip.run.state is R.FAILED
    assert trip.error == (
        "p: both p/a and p/c write to 'n', which has no reducer; say in the schema what becomes of two values "
        "(Annotated[..., append], replace, ...)"
    )
    assert trip.state_of() == {}


def test_a_branch_that_deletes_what_another_writes_is_a_conflict():
    trip = pair(inputs={"n": 1})
    trip.tell("p/a", delete=("n",))
    trip.write("p/b", n=3)
    trip.tell("p/c")
    assert "both p/a and p/b write to 'n'" in trip.error


def test_a_branch_that_failed_is_no_writer():
    trip = pair(collect=True)
    trip.fail("p/a")
    trip.write("p/b", n=2)
    trip.tell("p/c")
    assert trip.state_of()["n"] == 2


def test_the_same_branch_may_write_twice():
    inner = routed(step("x"), step("y"), keys=KEYS)
    trip = Trip(parallel("p", part("s", inner), step("a")), keys=KEYS)
    trip.write("p/s/x", n=1)
    trip.write("p/s/y", n=2)
    trip.tell("p/a")
    assert trip.state_of()["n"] == 2


def test_items_of_a_map_that_is_a_branch_are_writers_too():
    trip = Trip(parallel("p", each("m", FromState("log")), step("a")), keys=KEYS, inputs={"log": [1, 2]})
    trip.expand("p/m", 2)
    trip.write("p/m[0]", n=1)
    trip.write("p/m[1]", n=2)
    trip.tell("p/a")
    assert "both p/m[0] and p/m[1] write to 'n'" in trip.error


def test_branches_of_a_parallel_node_that_is_a_branch_are_writers_too():
    trip = Trip(parallel("p", parallel("q", step("a"), step("b")), step("c")), keys=KEYS)
    trip.write("p/q/a", n=1)
    trip.write("p/q/b", n=2)
    trip.tell("p/c")
    assert "both p/q/a and p/q/b write to 'n'" in trip.error


def test_failed_items_of_a_map_that_is_a_branch_are_told_as_well():
    keys = (*KEYS, key("m.failed", "replace"))
    trip = Trip(
        parallel("p", each("m", FromState("log"), collect=True), step("a")), keys=keys, inputs={"log": [1]}
    )
    trip.expand("p/m", 2)
    trip.fail("p/m[0]")
    trip.write("p/m[1]", n=1)
    trip.tell("p/a")
    assert trip.state_of()["m.failed"] == ["0"]
    assert trip.state_of()["p.failed"] == []


def test_a_branch_that_fails_while_another_one_falls_back_inside():
    inner = routed(
        step("x"), step("y"), keys=LOG,
        edges=(edge(START, "x"), edge("x", END), fallback("x", "y"), edge("y", END)),
    )  # fmt: skip
    trip = Trip(parallel("p", part("s", inner), step("a")), keys=LOG)
    trip.fail("p/s/x")
    assert trip.started == ["p/s/y"]
    trip.fail("p/a", BOOM)
    assert trip.stopped == ["p/s/y"]
    trip.write("p/s/y", log=["late"])
    assert trip.state("p/s/y") is N.COMPLETED
    assert trip.state("p/s") is N.CANCELLED
    assert trip.error == "p: p/a: boom"


# Outside --------------------------------------------------------------------------------------------------


def test_a_cancel_stops_all_branches():
    trip = pair()
    trip.hand(s.Cancel())
    assert trip.stopped == ["p/a", "p/b", "p/c"]
    trip.acknowledge("p/a", "p/b", "p/c")
    assert trip.run.state is R.CANCELLED


def test_branches_that_all_come_in_while_they_are_cancelled_are_merged_and_go_nowhere():
    trip = pair()
    trip.hand(s.Cancel())
    for name in "abc":
        trip.write(f"p/{name}", log=[name])
    assert trip.state("p") is N.COMPLETED
    assert trip.state_of()["log"] == ["a", "b", "c"]
    assert trip.ways == []
    assert trip.run.state is R.CANCELLED


def test_a_parallel_node_has_a_time_limit_as_a_whole():
    trip = Trip(parallel("p", step("a"), step("b"), total_timeout_s=5.0), keys=LOG)
    trip.write("p/a", log=["a"])
    trip.at(5.0)
    assert trip.stopped == ["p/b"]
    trip.acknowledge("p/b")
    assert trip.error == "p: the node with its retries took longer than its time limit of 5 s"
