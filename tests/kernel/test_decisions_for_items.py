"""Decisions at barriers in maps name an item: one that there is, or that there may be."""

from __future__ import annotations

from trip import Trip, barrier, decided, each, key, part, routed, step

from clew.kernel import events as e
from clew.kernel.values import FromState

KEYS = (key("log", "append"), *decided("ok"))
INNER = routed(barrier("ok"), keys=decided("ok"))


def test_a_decision_for_an_item_that_there_is_not_is_refused_as_soon_as_that_is_known():
    trip = Trip(each("m", FromState("log"), INNER), keys=KEYS)
    trip.decide("m[c]/ok", "approve")
    assert trip.events(e.DecisionKept)
    trip.expand("m", 2, keys=("a", "b"))
    trip.decide("m[d]/ok", "approve")
    assert trip.refusal == "it has no barrier 'm[d]/ok': there is no item m[d]"
    assert not trip.events(e.DecisionKept)
    trip.decide("m[a]/ok", "approve")
    assert trip.states()["m[a]/ok"] == "completed"
    assert trip.states()["m[b]/ok"] == "waiting"


def test_it_is_the_item_of_the_visit_of_its_map_that_counts():
    trip = Trip(step("a"), part("p", routed(each("m", FromState("log"), INNER), keys=KEYS)), keys=KEYS)
    trip.decide("p#2/m[d]/ok", "approve")
    trip.decide("p/m[d]/ok", "approve")
    assert trip.events(e.DecisionKept)
