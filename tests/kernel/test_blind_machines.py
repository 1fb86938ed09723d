"""Machines that know no functions: they record what they can, and leave the token where a decision needs one.

Whoever finds a run's functions nowhere still takes decisions, pauses and cancels; it is taken over later.
"""

from __future__ import annotations

import pytest
from trip import END, START, Trip, barrier, decided, edge, key, parallel, part, routed, step
from trip_rules import TripRules

from clew.kernel import signals as s
from clew.kernel.machine import Machine
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.topology import compile_graph

KEYS = (key("log", "append"), *decided("ok"))


def blind(*nodes, **options) -> Trip:
    """A run that nobody can go on with for now."""
    trip = Trip(*nodes, keys=KEYS, **options)
    trip.lose_functions()
    return trip


def test_a_decision_is_recorded_and_the_token_goes_on_when_somebody_can_ask_the_edges():
    trip = blind(barrier("ok"), step("z"))
    trip.decide("ok", "approve")
    assert trip.state("ok") is N.COMPLETED
    assert trip.ways == []
    assert not trip.machine.is_idle
    assert trip.machine.outstanding() == []
    trip.take_over()
    assert trip.started == ["z"]
    assert trip.state_of() == {"ok.approved": True}


def test_a_decision_that_names_the_way_needs_no_edges():
    trip = blind(barrier("ok"), step("z"))
    trip.decide("ok", "reroute", target="z")
    assert trip.started == ["z"]


def test_branches_that_have_all_ended_are_merged_by_who_can():
    trip = Trip(parallel("p", barrier("ok"), step("a")), step("z"), keys=KEYS)
    trip.write("p/a", log=[1])
    trip.lose_functions()
    trip.decide("p/ok", "approve")
    assert (trip.state("p/ok"), trip.state("p")) == (N.COMPLETED, N.RUNNING)
    assert not trip.machine.is_idle
    trip.take_over()
    assert trip.states()["p"] == "completed"
    assert trip.started == ["z"]


def test_a_sub_graph_that_is_at_its_end_is_left_to_who_can_write():
    trip = blind(part("sub", routed(barrier("ok"), keys=KEYS)))
    trip.decide("sub/ok", "reroute", target=END)
    assert trip.walk("sub").done
    assert not trip.machine.is_idle
    trip.take_over()
    assert trip.run.state is R.COMPLETED


@pytest.mark.parametrize("before", [True, False])
def test_a_token_that_waits_or_stands_still_is_cancelled_at_once(before):
    trip = blind(barrier("ok"))
    if before:
        trip.decide("ok", "approve")
    trip.hand(s.Cancel())
    assert trip.run.state is R.CANCELLED


def test_the_end_of_a_barriers_time_is_recorded():
    trip = blind(barrier("ok", timeout_s=5.0))
    trip.at(5.0)
    assert trip.state("ok") is N.COMPLETED
    trip.take_over()
    assert trip.run.state is R.COMPLETED
    assert trip.state_of()["ok.approved"] is False


def test_a_run_may_be_admitted_by_who_knows_no_functions():
    machine = Machine(compile_graph(routed(step("a"), keys=KEYS)))
    decision = machine.handle([s.Admit(run="run", graph="h", definition="d")], 0.0)
    assert decision.commands == []
    assert not machine.is_idle
    able = Machine.restore(machine.run.topology, None, decision.events, rules=TripRules())
    decision = able.handle([s.TakeOver(epoch=2, owner="x")], 0.0)
    assert [command.path for command in decision.commands] == ["a"]


def test_a_retry_is_recorded_and_what_follows_waits():
    trip = Trip(step("a"), keys=KEYS, edges=(edge(START, "a", ["has", "log"]), edge("a", END)))
    trip.lose_functions()
    trip.hand(s.RetryRun())
    assert trip.run.state is R.RUNNING
    trip.take_over()
    assert trip.run.state is R.FAILED
