"""Machines that know no functions: they record what they can, and leave the token where a decision needs one.

Whoever finds a run's functions nowhere still takes decisions, pauses and cancels; it is taken over later.
"""

from __future__ import annotations

import pytest
from trip import Trip, barrier, decided, edge, key, line, parallel, part, routed, step

from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.machine import Decision, Machine
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.writes import Judgement

KEYS = (key("log", "append"), *decided("ok"))


class Blind:
    """A machine without functions that goes on from where a trip is."""

    def __init__(self, trip: Trip) -> None:
        self.trip = trip
        self.machine = Machine.restore(trip.topology, None, trip.witness.events)

    def hand(self, *signals: s.AnySignal) -> Decision:
        decision = self.machine.handle(signals, self.trip.now)
        self.trip.witness.events += decision.events
        return decision

    def state(self, path: str) -> N:
        return self.machine.run.visits[path].state


def test_a_decision_is_recorded_and_the_token_goes_on_when_somebody_can_ask_the_edges():
    trip = Trip(barrier("ok"), step("z"), keys=KEYS)
    blind = Blind(trip)
    blind.hand(s.Decide(barrier="ok", judgement=Judgement(kind="approve"), by="ann"))
    assert blind.state("ok") is N.COMPLETED
    assert not blind.machine.is_idle
    assert blind.machine.outstanding() == []
    trip.take_over()
    assert trip.started == ["z"]
    assert trip.state_of() == {"ok.approved": True}


def test_a_decision_that_names_the_way_needs_no_edges():
    blind = Blind(Trip(barrier("ok"), step("z"), keys=KEYS))
    blind.hand(s.Decide(barrier="ok", judgement=Judgement(kind="reroute", target="z")))
    assert blind.state("z") is N.RUNNING


def test_branches_that_have_all_ended_are_merged_by_who_can():
    trip = Trip(parallel("p", barrier("ok"), step("a")), step("z"), keys=KEYS)
    trip.write("p/a", log=[1])
    blind = Blind(trip)
    blind.hand(s.Decide(barrier="p/ok", judgement=Judgement(kind="approve")))
    assert (blind.state("p/ok"), blind.state("p")) == (N.COMPLETED, N.RUNNING)
    assert not blind.machine.is_idle
    trip.take_over()
    assert trip.states()["p"] == "completed"
    assert trip.started == ["z"]


def test_a_sub_graph_that_is_at_its_end_is_left_to_who_can_write():
    inner = routed(barrier("ok"), keys=KEYS)
    trip = Trip(part("sub", inner), keys=KEYS)
    blind = Blind(trip)
    blind.hand(s.Decide(barrier="sub/ok", judgement=Judgement(kind="reroute", target="")))
    trip.take_over()
    assert trip.run.state is R.COMPLETED


def test_a_token_at_a_barrier_still_ends_by_a_cancel():
    blind = Blind(Trip(barrier("ok"), keys=KEYS))
    blind.hand(s.Cancel())
    assert blind.machine.run.state is R.CANCELLED


def test_a_token_that_stands_still_is_cancelled_as_well():
    blind = Blind(Trip(barrier("ok"), keys=KEYS))
    blind.hand(s.Decide(barrier="ok", judgement=Judgement(kind="approve")))
    blind.hand(s.Cancel())
    assert blind.machine.run.state is R.CANCELLED


def test_the_end_of_a_barriers_time_is_recorded():
    trip = Trip(barrier("ok", timeout_s=5.0), keys=KEYS)
    blind = Blind(trip)
    trip.now = 5.0
    blind.hand(s.Tick())
    assert blind.state("ok") is N.COMPLETED
    trip.take_over()
    assert trip.run.state is R.COMPLETED
    assert trip.state_of()["ok.approved"] is False


def test_a_run_may_be_admitted_by_who_knows_no_functions():
    topology = Trip(step("a"), keys=KEYS).topology
    machine = Machine(topology)
    decision = machine.handle([s.Admit(run="run", graph="h", definition="d")], 0.0)
    assert decision.commands == []
    assert not machine.is_idle
    able = Machine.restore(topology, None, decision.events, rules=Trip(step("a"), keys=KEYS).rules)
    decision = able.handle([s.TakeOver(epoch=2, owner="x")], 0.0)
    assert [command.path for command in decision.commands if isinstance(command, c.StartAttempt)] == ["a"]


@pytest.mark.parametrize("edges", [line("a"), (edge("", "a", ["raises"]), edge("a", ""))])
def test_a_retry_is_recorded_and_what_follows_waits(edges):
    trip = Trip(step("a"), keys=KEYS, edges=edges)
    if not trip.run.ended:
        trip.fail("a")
    blind = Blind(trip)
    blind.hand(s.RetryRun())
    assert blind.machine.run.state is R.RUNNING
