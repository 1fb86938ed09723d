"""Decisions that are given before they are asked for: kept and used once, or standing for a barrier (SG5)."""

from __future__ import annotations

import pytest
from trip import END, START, Trip, barrier, decided, each, edge, key, parallel, part, routed, step

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.questions import DECISION
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.values import FromState

KEYS = (key("log", "append"), key("topic"), *decided("ok"))


def early(**spec) -> Trip:
    """A barrier that is not reached yet."""
    return Trip(step("a"), barrier("ok", **spec), step("z"), keys=KEYS)


def loop() -> Trip:
    """A barrier that is come to again and again, as long as there are fewer than five in the log."""
    return Trip(
        step("a"), barrier("ok"), keys=KEYS,
        edges=(edge(START, "a"), edge("a", "ok"), edge("ok", "a", ["shorter", "log", 5]), edge("ok", END)),
    )  # fmt: skip


# Kept -------------------------------------------------------------------------------------------------------


def test_a_decision_that_is_given_early_is_kept_and_used_once():
    trip = early()
    trip.decide("ok", "approve", by="ann")
    (kept,) = trip.events()
    assert (type(kept), kept.barrier, kept.by, kept.standing) == (e.DecisionKept, "ok", "ann", False)
    trip.write("a", log=[1])
    (resolved,) = trip.events(e.WaitResolved)
    assert (resolved.outcome, resolved.by, resolved.kept, resolved.standing) == ("answered", "ann", True, False)
    assert trip.state_of()["ok.approved"] is True
    assert trip.started == ["z"]
    assert trip.run.kept == {}


def test_it_holds_for_its_own_visit_alone():
    trip = loop()
    trip.decide("ok#2", "reject", reason="second")
    trip.write("a", log=[1])
    assert trip.state("ok") is N.WAITING
    trip.decide("ok", "approve")
    trip.write("a#2", log=[2])
    assert trip.state_of()["ok.reject_reason"] == "second"
    trip.write("a#3", log=[3])
    assert trip.state("ok#3") is N.WAITING


def test_the_first_visit_is_meant_with_and_without_its_number():
    trip = early()
    trip.decide("ok#1", "approve")
    trip.decide("ok", "reject")
    assert trip.refusal == "ok has a decision already, by ann, for when it is reached"
    nobody = early()
    nobody.decide("ok", "approve", by="")
    nobody.decide("ok", "approve")
    assert "by somebody" in nobody.refusal


def test_it_survives_the_process_and_a_snapshot():
    trip = early()
    trip.decide("ok", "reroute", target=END)
    trip.take_over()
    trip.write("a", log=[1])
    assert trip.ways == [("ok", "edge"), (END, "reroute")]
    assert trip.run.state is R.COMPLETED


def test_what_nobody_was_shown_cannot_have_been_decided_on():
    trip = early()
    trip.decide("ok", "approve", shown="digest")
    assert trip.refusal == "ok does not wait for a decision now, so it is not what was shown; look at it again"


def test_an_early_modification_asks_again():
    trip = early()
    trip.decide("ok", "modify", changes={"topic": "dogs"})
    trip.write("a", log=[1])
    assert trip.state("ok") is N.WAITING
    assert trip.state_of() == {"log": [1], "topic": "dogs"}
    assert trip.run.kept == {}
    trip.decide("ok", "approve")
    assert trip.started == ["z"]


def test_it_is_kept_during_a_pause_at_the_barrier_that_has_not_asked_yet():
    trip = early()
    trip.hand(s.Pause())
    trip.write("a", log=[1])
    trip.decide("ok", "approve")
    assert trip.events(e.DecisionKept)
    trip.hand(s.Resume())
    assert trip.started == ["z"]


def test_one_that_cannot_be_used_fails_the_barrier_is_used_up_and_asked_for_anew_after_a_retry():
    trip = Trip(step("a"), barrier("ok"), keys=KEYS, limits={"max_state_bytes": 200})
    trip.decide("ok", "approve", changes={"topic": "x" * 300})
    trip.write("a", log=[1])
    assert trip.run.state is R.FAILED
    assert "more than its limit of 200" in trip.error
    assert trip.run.kept == {}
    trip.hand(s.RetryRun())
    assert trip.state("ok") is N.WAITING
    trip.decide("ok", "approve")
    assert trip.run.state is R.COMPLETED


def test_one_for_a_barrier_that_is_to_ask_again_is_kept_for_it():
    trip = Trip(step("a"), barrier("ok"), keys=KEYS, limits={"max_state_bytes": 200})
    trip.decide("ok", "approve", changes={"topic": "x" * 300})
    trip.write("a", log=[1])
    trip.hand(s.RetryRun(), s.Pause())
    assert trip.state("ok") is N.READY
    trip.decide("ok", "reject", reason="too long")
    assert trip.events(e.DecisionKept)
    trip.hand(s.Resume())
    assert trip.state_of()["ok.reject_reason"] == "too long"


def test_items_of_maps_have_early_decisions_too():
    inner = routed(barrier("ok"), keys=decided("ok"))
    trip = Trip(each("m", FromState("log"), inner), keys=KEYS)
    trip.decide("m[b]/ok", "approve", by="ann")
    trip.expand("m", 2, keys=("a", "b"))
    assert trip.states() == {
        "m": "running", "m[a]": "running", "m[a]/ok": "waiting", "m[b]": "completed", "m[b]/ok": "completed",
    }  # fmt: skip


# Standing ---------------------------------------------------------------------------------------------------


def test_a_standing_decision_is_used_at_each_visit_and_each_use_is_a_fact():
    trip = loop()
    trip.decide("ok", "approve", by="ann", standing=True)
    (kept,) = trip.events()
    assert (kept.barrier, kept.standing) == ("ok", True)
    for number, path in enumerate(["a", "a#2", "a#3", "a#4", "a#5"]):
        trip.write(path, log=[number])
        (resolved,) = trip.events(e.WaitResolved)
        assert (resolved.by, resolved.kept, resolved.standing) == ("ann", True, True)
    assert trip.run.state is R.COMPLETED


def test_it_is_used_at_once_where_somebody_waits_for_it():
    trip = early()
    trip.write("a", log=[1])
    trip.decide("ok", "approve", standing=True)
    assert [type(event) for event in trip.events()][:3] == [e.DecisionKept, e.WaitResolved, e.NodeCompleted]
    assert trip.started == ["z"]


def test_it_is_used_at_once_at_all_items_that_wait():
    inner = routed(barrier("ok"), keys=decided("ok"))
    trip = Trip(each("m", FromState("log"), inner), parallel("p", barrier("ok")), keys=KEYS)
    trip.expand("m", 3)
    trip.decide("m[0]/ok", "approve", standing=True)
    assert trip.states()["m"] == "completed"
    assert trip.state("p/ok") is N.WAITING, "it is another barrier"


def test_a_decision_for_the_visit_goes_before_the_standing_one():
    trip = loop()
    trip.decide("ok", "approve", standing=True)
    trip.decide("ok", "reject", reason="this one")
    trip.write("a", log=[1])
    assert trip.state_of()["ok.reject_reason"] == "this one"
    trip.write("a#2", log=[2])
    assert trip.state_of()["ok.approved"] is True


def test_a_later_standing_decision_takes_the_place_of_an_earlier_one():
    trip = loop()
    trip.decide("ok", "approve", standing=True)
    trip.decide("ok", "reject", reason="now", standing=True)
    trip.write("a", log=[1])
    assert trip.state_of()["ok.reject_reason"] == "now"


def test_it_is_used_after_an_early_modification_as_well():
    trip = early()
    trip.decide("ok", "approve", standing=True)
    trip.decide("ok", "modify", changes={"topic": "dogs"})
    trip.write("a", log=[1])
    assert [event.standing for event in trip.events(e.WaitResolved)] == [False, True]
    assert trip.state_of() == {"log": [1], "topic": "dogs", "ok.approved": True}
    assert trip.started == ["z"]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"kind": "modify", "changes": {"topic": 1}}, "a standing decision approves, rejects or reroutes"),
        ({"kind": "reroute", "target": "gone"}, "there is no node 'gone' to go on with"),
        ({"kind": "approve", "changes": {"gone": 1}}, "the state has no key gone"),
        ({"kind": "maybe"}, "'maybe' is no decision"),
    ],
)
def test_what_cannot_stand_is_refused(how, told):
    trip = early()
    kind = how["kind"]
    trip.decide("ok", kind, standing=True, **{name: value for name, value in how.items() if name != "kind"})
    assert trip.refusal.startswith(told)
    assert trip.run.kept == {}


def test_it_may_name_any_visit_or_item_and_means_the_node():
    inner = routed(barrier("ok"), keys=decided("ok"))
    trip = Trip(step("a"), part("sub", inner), keys=KEYS)
    trip.decide("sub#4/ok#9", "approve", standing=True)
    trip.write("a", log=[1])
    assert trip.run.state is R.COMPLETED


def test_it_outlives_the_process():
    trip = loop()
    trip.decide("ok", "approve", standing=True)
    trip.write("a", log=[1])
    trip.take_over()
    trip.write("a#2", log=[2])
    assert trip.events(e.WaitResolved)[0].standing


def test_a_standing_reroute_in_a_loop_ends_at_the_limit_of_steps():
    trip = Trip(barrier("ok"), keys=KEYS, limits={"max_steps": 5})
    trip.decide("ok", "reroute", target="ok", standing=True)
    assert trip.run.state is R.FAILED
    assert "has made 5 steps" in trip.error
    assert trip.visit("ok#5").waits[DECISION].outcome == "answered"
