"""Barriers: a node waits for a person's decision, or for the end of its time (SG5, SG6)."""

from __future__ import annotations

import pytest
from trip import END, START, Trip, barrier, decided, each, edge, fallback, parallel, part, routed, step
from trip_parts import DECIDED, LOG, at_barrier, before_barrier, judged

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import Default, OnInterrupt
from clew.kernel.questions import DECISION, IN_DOUBT
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.values import FromState
from clew.kernel.writes import Judgement

KEYS = DECIDED


def digest(trip: Trip, path: str = "ok") -> str:
    return trip.visit(path).waits[DECISION].digest


# Waiting ----------------------------------------------------------------------------------------------------


def test_the_token_waits_at_a_barrier_and_nothing_is_under_way():
    trip = at_barrier(text="publish?", timeout_s=10.0)
    (opened,) = trip.events(e.WaitOpened)
    assert (opened.path, opened.key, opened.kind, opened.due) == ("ok", DECISION, "answer", 10.0)
    assert b"publish?" in bytes(opened.question.json)
    assert opened.digest
    assert trip.state("ok") is N.WAITING
    assert trip.machine.is_idle
    assert trip.machine.wake_at == 10.0
    assert trip.machine.outstanding() == []
    assert trip.run.waiting == 1


def test_a_barrier_without_text_asks_by_its_name():
    trip = at_barrier()
    assert b'"text":"ok?"' in bytes(trip.events(e.WaitOpened)[0].question.json)
    assert trip.machine.wake_at is None


def test_a_waiting_run_needs_no_process():
    trip = at_barrier(timeout_s=10.0)
    trip.take_over()
    assert [type(event) for event in trip.events()] == [e.OwnershipTaken]
    assert trip.state("ok") is N.WAITING
    trip.decide("ok", "approve")
    assert trip.started == ["z"]


def test_a_barrier_is_no_question_and_takes_no_answer():
    trip = at_barrier()
    trip.answer("ok", DECISION, "approve")
    assert trip.refusal == "ok waits for a decision (approve, reject, modify, reroute), and not for an answer"
    assert trip.state("ok") is N.WAITING


# Deciding ---------------------------------------------------------------------------------------------------


def test_an_approval_goes_on_and_tells_the_state_who_and_when_and_on_what():
    trip = at_barrier()
    shown = digest(trip)
    trip.now = 7.0
    trip.decide("ok", "approve", by="ann", shown=shown)
    assert [type(event) for event in trip.events()] == [
        e.WaitResolved, e.NodeCompleted, e.Routed, e.AttemptStarted,
    ]  # fmt: skip
    (resolved,) = trip.events(e.WaitResolved)
    assert (resolved.at, resolved.outcome, resolved.by, resolved.shown) == (7.0, "answered", "ann", shown)
    assert judged(trip)[1] == Judgement(kind="approve")
    assert trip.state_of() == {"log": [1], "ok.approved": True}
    assert trip.visit("ok").waits[DECISION].by == "ann"


def test_a_rejection_tells_the_state_why():
    trip = at_barrier()
    trip.decide("ok", "reject", reason="too long")
    assert trip.state_of() == {"log": [1], "ok.approved": False, "ok.reject_reason": "too long"}


def test_nothing_of_an_earlier_decision_remains():
    trip = Trip(
        barrier("ok"), keys=KEYS,
        edges=(edge(START, "ok"), edge("ok", "ok", ["has", "ok.reject_reason"]), edge("ok", END)),
    )  # fmt: skip
    trip.decide("ok", "reject", reason="no")
    assert trip.state("ok#2") is N.WAITING
    trip.decide("ok#2", "approve")
    assert trip.state_of() == {"ok.approved": True}
    assert trip.run.state is R.COMPLETED


def test_a_decision_may_change_the_state_with_it():
    trip = at_barrier()
    trip.decide("ok", "approve", changes={"topic": "dogs", "log": [7]}, delete=("ok.reject_reason",))
    assert trip.state_of() == {"log": [7], "topic": "dogs", "ok.approved": True}


def test_a_modification_changes_the_state_and_asks_again_with_the_same_deadline():
    trip = at_barrier(timeout_s=10.0)
    before = digest(trip)
    trip.now = 6.0
    trip.decide("ok", "modify", by="ann", changes={"topic": "dogs"}, delete=("log",))
    assert [type(event) for event in trip.events()] == [e.WaitResolved, e.StateChanged, e.WaitOpened]
    assert trip.events(e.StateChanged)[0].by == "ann"
    assert trip.events(e.WaitOpened)[0].due == 10.0
    assert trip.state_of() == {"topic": "dogs"}
    assert digest(trip) != before
    trip.decide("ok", "approve", shown=before)
    assert trip.refusal == "what is decided on at ok is not what was shown; look at it again"
    trip.at(10.0)
    assert judged(trip)[:2] == ("expired", Judgement(kind="reject"))


def test_a_barrier_in_a_sub_graph_modifies_the_state_of_the_sub_graph_which_tells_it_outside():
    inner = routed(barrier("ok"), keys=(LOG, *decided("ok")))
    trip = Trip(part("sub", inner), keys=(LOG,), inputs={"log": [1]})
    trip.decide("sub/ok", "modify", changes={"log": [2]})
    assert trip.events(e.StateChanged)[0].path == "sub"
    assert (trip.state_of("sub"), trip.state_of()) == ({"log": [2]}, {"log": [1]})
    trip.decide("sub/ok", "approve")
    assert trip.state_of() == {"log": [2]}


def test_a_reroute_goes_where_the_person_says_without_an_edge():
    trip = at_barrier()
    trip.decide("ok", "reroute", target="a")
    assert trip.ways == [("a", "reroute")]
    assert trip.events(e.Routed)[0].edge == -1
    assert trip.started == ["a#2"]
    assert trip.state_of() == {"log": [1]}


def test_a_reroute_may_lead_to_the_end():
    trip = at_barrier()
    trip.decide("ok", "reroute", target=END)
    assert trip.run.state is R.COMPLETED


def test_a_reroute_may_not_lead_beyond_the_limit_of_steps():
    trip = Trip(step("a"), barrier("ok"), keys=KEYS, limits={"max_steps": 2})
    trip.tell("a")
    trip.decide("ok", "reroute", target="a")
    assert "has made 2 steps" in trip.refusal
    trip.decide("ok", "reroute", target=END)
    assert trip.run.state is R.COMPLETED


def test_a_decision_that_finds_no_way_on_is_a_decision_all_the_same():
    trip = Trip(barrier("ok"), keys=KEYS, edges=(edge(START, "ok"), edge("ok", END, ["value", "ok.approved"])))
    trip.decide("ok", "reject", reason="no")
    assert trip.refusal == ""
    assert trip.error == "no edge of ok can be taken: to END if its condition: gave false"


# Digests ----------------------------------------------------------------------------------------------------


def test_a_decision_on_what_was_not_shown_is_refused():
    trip = at_barrier()
    trip.decide("ok", "approve", shown="another")
    assert trip.refusal == "what is decided on at ok is not what was shown; look at it again"
    assert trip.decision.events == []
    trip.decide("ok", "approve", shown=digest(trip))
    assert trip.refusal == ""


def test_a_digest_names_the_text_and_the_keys_that_are_shown():
    def of(text="", shows=(), topic="cats", log=(1,)) -> str:
        trip = before_barrier(text=text, shows=shows, inputs={"topic": topic})
        trip.write("a", log=list(log))
        return digest(trip)

    assert of() == of()
    assert len({of(), of(text="other"), of(topic="dogs"), of(log=(1, 2))}) == 4
    assert of(shows=("topic",)) == of(shows=("topic",), log=(1, 2))
    assert of(shows=("topic",)) != of(shows=("topic",), topic="dogs")
    assert of(shows=("topic", "ok.approved")) != of(shows=("topic",))


# Refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"kind": "skip"}, "'skip' is no decision; there are approve, reject, modify and reroute"),
        ({"kind": "maybe"}, "'maybe' is no decision; there are approve, reject, modify and reroute"),
        ({"kind": "reroute", "target": "b"}, "there is no node 'b' to go on with; there are a, ok, z"),
        ({"kind": "modify", "changes": {"tpc": 1}}, "the state has no key tpc; it has log, ok.approved"),
        ({"kind": "approve", "delete": ("tpc",)}, "the state has no key tpc; it has log, ok.approved"),
    ],
)
@pytest.mark.parametrize("early", [True, False])
def test_a_decision_that_makes_no_sense_is_refused_and_the_barrier_waits_on(how, told, early):
    trip = before_barrier() if early else at_barrier()
    kind = how["kind"]
    trip.decide("ok", kind, **{name: value for name, value in how.items() if name != "kind"})
    assert trip.refusal.startswith(told)
    assert trip.decision.events == []
    if early:
        trip.write("a", log=[1])
    assert trip.state("ok") is N.WAITING


@pytest.mark.parametrize("address", ["okay", "a", "a/ok", "ok/ok", "ok[1]", "ok#x", "gone/ok", ""])
def test_an_address_that_names_no_barrier_is_refused_with_those_there_are(address):
    trip = at_barrier()
    trip.decide(address, "approve")
    assert trip.refusal == f"it has no barrier {address!r}; its barriers: ok"


def test_a_run_without_barriers_says_so():
    trip = Trip(step("a"), keys=KEYS)
    trip.decide("ok", "approve")
    assert trip.refusal == "it has no barrier 'ok'; its barriers: none"


def test_barriers_are_named_at_any_depth_with_the_keys_of_items_left_open():
    inner = routed(barrier("in"), keys=decided("in"))
    trip = Trip(
        step("a"), part("sub", inner), each("m", FromState("log"), inner), parallel("p", barrier("ok")), keys=KEYS
    )
    trip.decide("x", "approve")
    assert trip.refusal.endswith("its barriers: m[KEY]/in, p/ok, sub/in")
    trip.decide("m/in", "approve")
    assert trip.refusal.startswith("it has no barrier 'm/in'")
    trip.decide("m[k]/in", "approve")
    assert trip.refusal == ""


def test_a_barrier_that_was_decided_on_is_closed():
    trip = at_barrier()
    trip.decide("ok", "approve", by="ann")
    trip.decide("ok", "reject", by="bob")
    assert trip.refusal == "ok does not wait for a decision any more: it was decided (approve by ann)"
    nobody = at_barrier()
    nobody.decide("ok", "approve", by="")
    nobody.decide("ok", "reject")
    assert nobody.refusal.endswith("it was decided (approve)")


def test_a_barrier_whose_time_was_over_is_closed():
    trip = at_barrier(timeout_s=5.0)
    trip.at(5.0)
    trip.decide("ok", "approve")
    assert trip.refusal == "ok does not wait for a decision any more: its time was over, which counts as reject"


def test_a_barrier_that_was_cancelled_with_its_branch_is_closed():
    trip = Trip(
        parallel("p", barrier("ok"), step("a")), step("z"), keys=KEYS,
        edges=(edge(START, "p"), edge("p", END), fallback("p", "z"), edge("z", END)),
    )  # fmt: skip
    trip.fail("p/a")
    assert trip.state("p/ok") is N.CANCELLED
    trip.decide("p/ok", "approve")
    assert trip.refusal == "p/ok does not wait for a decision any more: it is cancelled"


def test_a_run_that_has_ended_takes_no_decision():
    trip = at_barrier()
    trip.hand(s.Cancel())
    trip.decide("ok", "approve")
    assert trip.refusal == "it has ended (cancelled)"


# Cancel -----------------------------------------------------------------------------------------------------


def test_a_cancel_at_a_barrier_is_a_cancel_and_no_decision():
    trip = at_barrier(timeout_s=5.0, default=Default.APPROVE)
    trip.hand(s.Cancel(by="me"))
    assert [type(event) for event in trip.events()] == [e.GroupStopping, e.RunCancelled]
    assert trip.run.state is R.CANCELLED
    assert trip.state_of() == {"log": [1]}
    trip.at(9.0)
    assert trip.decision.events == []


# Elsewhere --------------------------------------------------------------------------------------------------


def test_a_barrier_in_a_branch_is_decided_while_the_others_go_on():
    trip = Trip(parallel("p", barrier("ok", timeout_s=9.0), step("a")), step("z"), keys=KEYS)
    assert not trip.machine.is_idle
    trip.decide("p/ok", "reject", reason="no", changes={"topic": "x"})
    assert trip.state_of() == {}
    trip.write("p/a", log=[1])
    assert trip.state_of() == {"topic": "x", "ok.approved": False, "ok.reject_reason": "no", "log": [1]}
    assert trip.started == ["z"]


@pytest.mark.parametrize("kind", ["modify", "reroute"])
@pytest.mark.parametrize("early", [True, False])
def test_a_branch_by_itself_is_only_approved_or_rejected(kind, early):
    trip = Trip(*([step("b")] if early else []), parallel("p", barrier("ok"), step("a")), keys=KEYS)
    trip.decide("p/ok", kind, **({"target": "a"} if kind == "reroute" else {"changes": {"topic": 1}}))
    assert trip.refusal == (
        f"ok is a branch by itself: it can be approved or rejected; to {kind}, it has to be in a sub-graph"
    )
    if early:
        trip.tell("b")
    assert trip.state("p/ok") is N.WAITING


def test_a_barrier_in_a_sub_graph_of_a_branch_can_be_rerouted():
    inner = routed(barrier("ok"), step("x"), keys=KEYS)
    trip = Trip(parallel("p", part("s", inner), step("a")), keys=KEYS)
    trip.decide("p/s/ok", "reroute", target="ok")
    assert trip.state("p/s/ok#2") is N.WAITING
    trip.decide("p/s/ok#2", "approve")
    assert trip.started == ["p/s/x"]


def test_each_visit_of_a_barrier_in_a_loop_is_decided_on_by_itself():
    trip = Trip(
        step("a"), barrier("ok"), keys=KEYS,
        edges=(edge(START, "a"), edge("a", "ok"), edge("ok", "a", ["has", "ok.reject_reason"]), edge("ok", END)),
    )  # fmt: skip
    trip.tell("a")
    trip.decide("ok#1", "reject")
    trip.tell("a#2")
    trip.decide("ok", "approve")
    assert "does not wait for a decision any more" in trip.refusal
    trip.decide("ok#2", "approve")
    assert trip.run.state is R.COMPLETED


def test_a_person_is_asked_about_a_lost_attempt_beside_a_barrier():
    trip = Trip(parallel("p", barrier("ok"), step("a", on_interrupt=OnInterrupt.ASK)), keys=KEYS)
    trip.take_over()
    assert trip.state("p/a") is N.WAITING
    trip.decide("p/ok", "approve")
    trip.answer("p/a", IN_DOUBT, {"done": {"log": [1]}})
    assert trip.state_of() == {"log": [1], "ok.approved": True}


def test_the_end_of_the_time_on_a_state_that_is_too_large_fails_the_barrier_and_does_not_hang():
    trip = Trip(parallel("p", step("a")), barrier("ok", timeout_s=5.0), keys=KEYS, limits={"max_state_bytes": 60})
    trip.write("p/a", topic="x" * 50)
    trip.decide("ok", "reject", reason="y" * 50)
    assert trip.run.ended
