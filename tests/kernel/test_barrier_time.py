"""Barriers whose time ends: the default decides, and is distinguishable from a person (SG5)."""

from __future__ import annotations

import pytest
from trip import Trip, barrier
from trip_parts import DECIDED, at_barrier, before_barrier, judged

from clew.kernel import signals as s
from clew.kernel.definition import Default
from clew.kernel.questions import DECISION
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.writes import Judgement

KEYS = DECIDED


def digest(trip: Trip, path: str = "ok") -> str:
    return trip.visit(path).waits[DECISION].digest


# Time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("default", "state"),
    [
        (Default.APPROVE, {"ok.approved": True}),
        (Default.REJECT, {"ok.approved": False, "ok.reject_reason": ""}),
        (Default.SKIP, {}),
    ],
)
def test_the_end_of_the_time_decides_and_is_no_persons_decision(default, state):
    trip = at_barrier(timeout_s=5.0, default=default)
    trip.at(4.0)
    assert trip.state("ok") is N.WAITING
    trip.at(5.0)
    assert judged(trip) == ("expired", Judgement(kind=default.value), "")
    assert trip.state_of() == {"log": [1], **state}
    assert trip.started == ["z"]


def test_a_decision_that_was_recorded_in_time_counts_although_it_is_handled_later():
    trip = at_barrier(timeout_s=5.0)
    trip.now = 8.0
    assert trip.machine.has_question_due(8.0)
    trip.decide("ok", "approve", at=4.9)
    assert judged(trip)[0] == "answered"
    assert trip.state_of()["ok.approved"] is True


@pytest.mark.parametrize("at", [5.0, None])
def test_a_decision_that_was_recorded_too_late_does_not_count_although_no_tick_came(at):
    trip = at_barrier(timeout_s=5.0)
    trip.now = 8.0
    trip.decide("ok", "approve", at=at)
    assert trip.refusal == "ok does not wait for a decision any more: its time was over"
    assert judged(trip)[0] == "expired"
    assert trip.state_of()["ok.approved"] is False


def test_a_modification_in_time_that_is_handled_late_is_followed_by_the_end_of_the_time():
    trip = at_barrier(timeout_s=5.0)
    trip.now = 8.0
    trip.decide("ok", "modify", at=4.0, changes={"topic": "x"})
    assert trip.machine.wake_at == 5.0
    trip.hand(s.Tick())
    assert judged(trip)[0] == "expired"
    assert trip.state_of()["topic"] == "x"


def test_a_pause_keeps_the_time_and_takes_decisions():
    trip = at_barrier(timeout_s=5.0)
    trip.hand(s.Pause())
    assert trip.machine.wake_at is None
    trip.at(9.0)
    assert trip.state("ok") is N.WAITING
    trip.hand(s.Resume())
    assert trip.state("ok") is N.WAITING, "a decision that was recorded in time goes first"
    trip.hand(s.Tick())
    assert judged(trip)[0] == "expired"
    other = at_barrier(timeout_s=5.0)
    other.hand(s.Pause())
    other.decide("ok", "approve")
    assert other.ways == [("z", "edge")]
    assert other.started == []
    other.hand(s.Resume())
    assert other.started == ["z"]


def test_a_barrier_that_is_reached_during_a_pause_asks_when_the_run_goes_on():
    trip = before_barrier(timeout_s=5.0)
    trip.hand(s.Pause())
    trip.write("a", log=[1])
    assert trip.state("ok") is N.READY
    trip.now = 3.0
    trip.hand(s.Resume())
    assert trip.visit("ok").waits[DECISION].due == 8.0


def test_the_time_of_the_run_goes_on_at_a_barrier():
    trip = Trip(barrier("ok"), keys=KEYS, timeout_s=5.0)
    trip.at(5.0)
    assert trip.run.state is R.FAILED
    assert trip.run.error.type == "timeout"
    assert trip.state("ok") is N.CANCELLED
