"""State graphs: one token walks along edges, and each step writes to the state (SG1, SG2)."""

from __future__ import annotations

import pytest
from play import BOOM, THREE, value
from trip import END, START, Trip, edge, fallback, key, step
from trip_rules import raw

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.cells import plain
from clew.kernel.definition import NodeSpec, OnInterrupt
from clew.kernel.errors import KernelError
from clew.kernel.questions import IN_DOUBT
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.values import Expression, FromOutput, FromState, Known, Pick, Value, View

TEXT = (key("text"),)
LOOP = (edge(START, "a"), edge("a", "a", ["below", "n", 3]), edge("a", END))


# Steps ----------------------------------------------------------------------------------------------


def test_the_token_goes_from_the_start_through_the_nodes_to_the_end():
    trip = Trip(step("draft"), step("review"), keys=TEXT)
    assert trip.started == ["draft"]
    assert trip.ways == [("draft", "edge")]
    trip.write("draft", text="a")
    assert [type(event) for event in trip.events()] == [e.NodeCompleted, e.Routed, e.AttemptStarted]
    assert trip.started == ["review"]
    trip.write("review", text="b")
    assert trip.ways == [(END, "edge")]
    assert trip.run.state is R.COMPLETED
    assert trip.state_of() == {"text": "b"}


def test_a_start_that_leads_to_the_end_is_a_run_without_steps():
    trip = Trip(keys=TEXT, edges=(edge(START, END),), inputs={"text": "a"})
    assert trip.run.state is R.COMPLETED
    assert trip.state_of() == {"text": "a"}


def test_a_node_that_is_visited_again_has_a_visit_of_its_own():
    trip = Trip(step("a"), keys=(key("n"),), edges=LOOP)
    trip.write("a", n=1)
    assert trip.started == ["a#2"]
    trip.write("a#2", n=2)
    trip.write("a#3", n=3)
    assert trip.states() == {"a": "completed", "a#2": "completed", "a#3": "completed"}
    assert trip.run.state is R.COMPLETED


def test_steps_count_as_work_of_the_run_when_they_are_entered():
    trip = Trip(step("a"), keys=(key("n"),), edges=LOOP)
    assert (trip.run.total, trip.run.settled) == (1, 0)
    trip.write("a", n=1)
    assert (trip.run.total, trip.run.settled) == (2, 1)


def test_a_state_starts_with_what_the_run_is_given_and_with_defaults():
    keys = (key("a"), key("b", default=[1]), key("c", default=2), key("d"))
    trip = Trip(step("x"), keys=keys, inputs={"a": 1, "b": [2], "other": 3})
    assert trip.state_of() == {"a": 1, "b": [2], "c": 2}


def test_what_a_run_starts_with_has_to_be_in_its_first_event():
    trip = Trip(step("x"), keys=TEXT)
    with pytest.raises(KernelError, match="not in its first event"):
        type(trip.machine)(trip.topology, rules=trip.rules).handle(
            [s.Admit(run="r", graph="h", definition="d", inputs={"text": Value(blob="00", size=9)})], 0.0
        )


# What bodies are given and return -------------------------------------------------------------------------


def test_a_body_is_given_the_state_as_it_is_when_its_attempt_starts():
    trip = Trip(step("a"), step("b"), keys=TEXT, inputs={"text": "x"})
    (command,) = trip.commands(c.StartAttempt)
    assert plain(command.inputs["state"].cells) == {"text": "x"}
    assert command.updates
    trip.write("a", text="y")
    (after,) = trip.commands(c.StartAttempt)
    assert plain(after.inputs["state"].cells) == {"text": "y"}
    assert plain(command.inputs["state"].cells) == {"text": "x"}


def test_a_body_can_be_given_single_keys_and_say_what_its_output_sets():
    names = {"state": FromState(), "text": FromState("text"), "none": FromState("gone")}
    sets = {"text": Expression("{{ output }}", {"output": FromOutput(), "old": Pick(FromState("text"), (0,))})}
    shell = NodeSpec(id="sh", kind="shell", inputs=names, sets=sets, exclusive=FromState("text"))
    trip = Trip(shell, keys=(*TEXT, key("gone")), inputs={"text": "x"})
    (command,) = trip.commands(c.StartAttempt)
    assert command.inputs["text"] == Known(value("x"))
    assert command.inputs["none"].node == "gone"
    assert isinstance(command.inputs["state"], View)
    assert command.sets["text"].names == {"output": FromOutput(), "old": Pick(Known(value("x")), (0,))}
    assert command.exclusive == Known(value("x"))


def test_a_body_that_returns_nothing_changes_nothing():
    trip = Trip(step("a"), keys=TEXT, inputs={"text": "x"})
    trip.succeed("a")
    assert trip.state_of() == {"text": "x"}
    assert trip.run.state is R.COMPLETED


def test_an_update_tells_what_the_step_cost_and_whether_it_had_effects():
    trip = Trip(step("a"), keys=TEXT)
    trip.tell("a", cost=2.5, effects=True)
    (done,) = trip.events(e.NodeCompleted)
    assert (done.cost, done.effects) == (2.5, True)


def test_a_key_that_the_state_does_not_have_fails_the_node():
    trip = Trip(step("a"), keys=(*TEXT, key("n")))
    trip.write("a", test=1)
    assert trip.visit("a").error.message == "'test' is no key of the state of play; it has n, text"
    assert trip.run.state is R.FAILED
    deleting = Trip(step("a"), keys=TEXT)
    deleting.write("a", delete=("tex",))
    assert "'tex' is no key" in deleting.error


def test_what_does_not_fit_the_state_is_not_retried():
    trip = Trip(step("a", retry=THREE), keys=TEXT)
    trip.write("a", test=1)
    assert trip.state("a") is N.FAILED
    assert trip.visit("a").error.classes == ("StateError", "Exception")


def test_a_key_can_be_taken_out_of_the_state():
    trip = Trip(step("a"), keys=(*TEXT, key("n")), inputs={"text": "x", "n": 1})
    trip.write("a", n=2, delete=("text", "n"))
    assert trip.state_of() == {}


# Attempts -------------------------------------------------------------------------------------------------


def test_a_step_is_retried_as_everywhere_and_writes_once():
    trip = Trip(step("a", retry=THREE), keys=(key("n", "sum"),))
    trip.fail("a")
    assert trip.state("a") is N.RETRYING
    assert trip.ways == []
    trip.at(2.0)
    trip.write("a", n=1)
    assert trip.state_of() == {"n": 1}
    assert trip.run.state is R.COMPLETED


def test_a_step_has_a_time_limit_as_everywhere():
    trip = Trip(step("a", timeout_s=5.0), keys=TEXT)
    trip.at(5.0)
    assert trip.stopped == ["a"]
    trip.acknowledge("a")
    assert trip.error == "a: the attempt took longer than its time limit of 5 s"


def test_a_step_that_fails_for_good_fails_the_run_that_has_no_fallback_for_it():
    trip = Trip(step("a"), step("b"), keys=TEXT)
    trip.fail("a")
    assert trip.run.state is R.FAILED
    assert trip.error == "a: boom"
    assert trip.started == []


def test_a_failure_with_a_fallback_degrades_the_run_and_is_told():
    trip = Trip(
        step("a", retry=THREE), step("plain"), keys=TEXT,
        edges=(edge(START, "a"), edge("a", END), fallback("a", "plain"), edge("plain", END)),
    )  # fmt: skip
    for now in (1.0, 3.0):
        trip.fail("a")
        assert trip.ways == []
        trip.at(now)
    trip.fail("a")
    (routed,) = trip.events(e.Routed)
    assert (routed.source, routed.target, routed.edge, routed.why) == ("a", "plain", 2, "fallback")
    assert routed.error == BOOM
    trip.write("plain", text="x")
    assert trip.run.state is R.COMPLETED
    assert trip.events(e.RunCompleted)[0].failed == 1


def test_a_question_about_a_lost_attempt_is_answered_with_changes_of_the_state():
    trip = Trip(step("a", on_interrupt=OnInterrupt.ASK), step("b"), keys=TEXT)
    trip.take_over()
    assert trip.state("a") is N.WAITING
    trip.answer("a", IN_DOUBT, {"done": 7})
    assert trip.refusal.startswith('it is a node of a state graph: {"done": ...} gives the changes')
    trip.answer("a", IN_DOUBT, {"done": {"text": "x"}})
    assert trip.started == ["b"]
    assert trip.state_of() == {"text": "x"}


@pytest.mark.parametrize("said", ["done", {"done": None}])
def test_a_lost_attempt_may_have_been_done_and_have_changed_nothing(said):
    trip = Trip(step("a", on_interrupt=OnInterrupt.ASK), keys=TEXT)
    trip.take_over()
    trip.answer("a", IN_DOUBT, said)
    assert trip.run.state is R.COMPLETED
    assert trip.state_of() == {}


def test_a_lost_attempt_that_is_said_to_have_written_what_does_not_fit_has_failed():
    trip = Trip(step("a", on_interrupt=OnInterrupt.ASK), keys=TEXT)
    trip.take_over()
    trip.answer("a", IN_DOUBT, {"done": {"test": 1}})
    assert trip.refusal == ""
    assert "'test' is no key" in trip.error


def test_a_probe_finds_what_a_lost_attempt_has_written():
    trip = Trip(step("a", on_interrupt=OnInterrupt.PROBE, probe=raw("probe")), keys=TEXT)
    trip.take_over()
    (command,) = trip.commands(c.StartAttempt)
    assert command.probe
    assert command.updates
    trip.write("a", text="found")
    assert trip.state_of() == {"text": "found"}


def test_a_lost_attempt_is_made_again_on_the_same_state():
    trip = Trip(step("a"), step("b"), keys=TEXT)
    trip.write("a", text="x")
    trip.take_over()
    (command,) = trip.commands(c.StartAttempt)
    assert (command.path, command.attempt) == ("b", 2)
    assert plain(command.inputs["state"].cells) == {"text": "x"}


# The outside ----------------------------------------------------------------------------------------------


def test_a_cancel_stops_the_node_under_way_and_goes_nowhere():
    trip = Trip(step("a"), step("b"), keys=TEXT)
    trip.hand(s.Cancel(by="me"))
    assert trip.stopped == ["a"]
    trip.write("a", text="late")
    assert trip.run.state is R.CANCELLED
    assert trip.state_of() == {"text": "late"}
    assert "b" not in trip.states()


def test_a_pause_lets_the_step_end_and_starts_no_other():
    trip = Trip(step("a"), step("b"), keys=TEXT)
    trip.hand(s.Pause())
    trip.write("a", text="x")
    assert trip.ways == [("b", "edge")]
    assert trip.started == []
    trip.hand(s.Resume())
    assert trip.started == ["b"]


def test_a_run_has_a_time_limit_as_everywhere():
    trip = Trip(step("a"), keys=TEXT, timeout_s=5.0)
    trip.at(5.0)
    trip.acknowledge("a")
    assert trip.run.state is R.FAILED
    assert trip.run.error.type == "timeout"


def test_a_checkpoint_is_a_fact_that_changes_nothing():
    trip = Trip(step("a"), keys=TEXT)
    trip.hand(s.Checkpoint(name="here", path="a", by="me"))
    (taken,) = trip.events()
    assert (taken.name, taken.path, taken.by) == ("here", "a", "me")
    trip.write("a", text="x")
    trip.hand(s.Checkpoint(name="late"))
    assert trip.refusal == "it has ended (completed)"


def test_a_run_that_waits_for_a_slot_is_not_idle_and_one_between_steps_never_is():
    trip = Trip(step("a"), keys=TEXT, gate=lambda path, node: False)
    assert not trip.machine.is_idle
    assert trip.machine.outstanding() == []
    assert trip.machine.wake_at is None


def test_a_step_that_sleeps_makes_the_run_idle_and_is_woken():
    trip = Trip(step("a"), keys=TEXT)
    trip.sleep("a", due=9.0)
    assert trip.machine.is_idle
    assert trip.machine.wake_at == 9.0
    trip.at(9.0)
    trip.write("a", text="x")
    assert trip.run.state is R.COMPLETED


# Machines without functions -------------------------------------------------------------------------------


def test_a_machine_that_knows_no_functions_leaves_the_token_where_it_is_until_one_does():
    trip = Trip(step("a"), step("b"), keys=TEXT)
    blind = type(trip.machine).restore(trip.topology, None, trip.witness.events)
    decision = blind.handle([s.Pause()], 0.0)
    assert [type(event) for event in decision.events] == [e.RunPaused]


def test_an_event_about_what_is_no_state_graph_is_refused():
    trip = Trip(step("a"), keys=TEXT)
    from clew.kernel.fold import fold

    with pytest.raises(KernelError, match="a is no state graph that has begun"):
        fold(trip.run, e.Routed(at=0.0, path="a"))
