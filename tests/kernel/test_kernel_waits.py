"""Questions with deadlines, exclusive keys, signs of life, pauses that stop attempts, and runs that only wait."""

from __future__ import annotations

from typing import Any

import pytest
from play import THREE, Play, graph, literal, mapped, node, value

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import OnInterrupt
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.topology import dependencies
from clew.kernel.values import Expression, FromItem, FromNode, Known

# Questions -----------------------------------------------------------------------------------------


def ask(**options: Any) -> Play:
    play = Play(node("a", **options), node("b"))
    play.wait("a", "q", "answer", due=5.0, question=value("?"), digest="seen", default=value("no"))
    play.idle("a", "q")
    return play


def why(play: Play) -> list[str]:
    return list(play.decision.refusals.values())


def test_a_question_that_nobody_answers_in_time_has_its_default():
    play = ask()
    assert play.visit("a").waits["q"].since == 0.0
    assert not play.machine.has_question_due(4.9)
    assert play.machine.has_question_due(5.0)
    play.at(5.0)
    (resolved,) = play.events(e.WaitResolved)
    assert (resolved.outcome, resolved.value) == ("expired", value("no"))
    assert not play.machine.has_question_due(9.0)


def test_other_waits_that_are_due_are_no_questions():
    play = Play(node("a"), timeout_s=9.0)
    play.sleep("a", 5.0)
    assert not play.machine.has_question_due(9.0)


def test_an_answer_that_was_recorded_in_time_counts_although_it_is_read_late():
    play = ask()
    play.now = 7.0
    play.answer("a", "q", at=4.9)
    (resolved,) = play.events(e.WaitResolved)
    assert (resolved.outcome, resolved.value, resolved.by) == ("answered", value("yes"), "me")


@pytest.mark.parametrize(("now", "at"), [(7.0, 5.0), (5.0, None)])
def test_an_answer_that_was_recorded_late_is_refused_and_the_question_is_over(now: float, at: float | None):
    play = ask()
    play.now = now
    play.answer("a", "q", at=at)
    assert why(play) == ["a does not wait for 'q' any more (expired)"]
    (resolved,) = play.events(e.WaitResolved)
    assert (resolved.outcome, resolved.value) == ("expired", value("no"))
    assert play.started == ["a"]


def test_an_answer_says_which_question_was_shown():
    play = ask()
    play.answer("a", "q", shown="seen")
    assert play.events(e.WaitResolved)[0].shown == "seen"


def test_an_answer_to_another_question_is_refused():
    play = ask()
    play.answer("a", "q", shown="another")
    assert (why(play), play.events()) == (["what a asks as 'q' is not what was shown; look at it again"], [])


def test_what_people_have_said_serves_the_next_attempt_and_what_merely_passed_does_not():
    play = Play(node("a", retry=THREE))
    for key in ("first", "second", "third"):
        play.wait("a", key, "answer", due=None if key != "second" else 1.0)
    play.wait("a", "nap", "timer", due=1.0)
    play.answer("a", "first")
    play.at(1.0)
    play.fail("a")
    play.at(9.0)
    assert list(play.commands(c.StartAttempt)[0].waits) == ["first"]


# Exclusive keys ------------------------------------------------------------------------------------


def test_a_body_is_told_its_key():
    key = Expression("{{ i }}", {"i": FromItem()})
    play = Play(node("u"), mapped("m", over=literal([7]), exclusive=key))
    play.expand("m", 1)
    (command,) = play.commands(c.StartAttempt)
    assert command.exclusive.names["i"].of == Known(value([0]))


def test_a_key_is_made_of_what_comes_before():
    spec = node("b", exclusive=FromNode("a"))
    assert dependencies(spec) == {"a"}
    play = Play(node("a"), spec)
    play.succeed("a")
    assert play.commands(c.StartAttempt)[0].exclusive == Known(value("a"))


def test_a_map_whose_key_is_made_of_its_feeder_waits_for_all_of_it():
    play = Play(mapped("m"), mapped("n", over="m", exclusive=FromNode("m")))
    play.expand("m", 2)
    play.succeed("m[0]")
    assert play.started == []


def test_a_run_that_waits_for_a_key_goes_on_when_the_key_is_its_own():
    play = Play(node("a"), node("b"))
    for path in ("a", "b"):
        play.wait(path, "#exclusive", "key", name="printer")
        play.idle(path, "#exclusive")
    assert (play.run.waiting, play.machine.wake_at) == (2, None)
    play.hand(s.KeyTaken(path="b", key="#exclusive"))
    assert [(x.outcome, x.path) for x in play.events(e.WaitResolved)] == [("taken", "b")]
    assert play.started == ["b"]


@pytest.mark.parametrize(
    "signal", [s.KeyTaken(path="x", key="k"), s.KeyTaken(path="a", key="k"), s.KeyTaken(path="a", key="q")]
)
def test_a_key_that_nobody_waits_for_is_none(signal: s.KeyTaken):
    play = Play(node("a"))
    play.wait("a", "q", "answer")
    assert play.hand(signal).events == []


def test_a_key_is_taken_once_and_not_by_a_body_that_is_stopped():
    play = Play(node("a"), node("b"), node("c"))
    for path in ("a", "b"):
        play.wait(path, "k", "key", name="printer")
    play.hand(s.KeyTaken(path="a", key="k"))
    assert play.hand(s.KeyTaken(path="a", key="k")).events == []
    play.fail("c")
    assert play.hand(s.KeyTaken(path="b", key="k")).events == []


def test_a_key_is_kept_over_an_interruption_and_given_back_after_a_failure():
    play = Play(node("a", retry=THREE))
    play.wait("a", "k", "key", name="printer")
    play.hand(s.KeyTaken(path="a", key="k"))
    play.take_over()
    assert play.commands(c.StartAttempt)[0].waits["k"].outcome == "taken"
    play.fail("a")
    play.at(1.0)
    assert play.commands(c.StartAttempt)[0].waits == {}


def test_a_key_is_given_back_at_the_end():
    play = Play(node("a"))
    play.wait("a", "k", "key", name="printer")
    play.hand(s.KeyTaken(path="a", key="k"))
    play.hand(s.Cancel())
    play.acknowledge("a")
    assert play.visit("a").waits is None


# Signs of life -------------------------------------------------------------------------------------


def test_a_body_that_is_silent_is_stopped_and_made_again():
    play = Play(node("a", heartbeat_s=3.0, retry=THREE))
    assert play.commands(c.StartAttempt)[0].heartbeat_s == 3.0
    play.hand(s.HeartbeatMissed(path="a", attempt=1))
    assert [(x.path, x.reason) for x in play.commands(c.StopAttempt)] == [("a", "heartbeat")]
    play.acknowledge("a")
    (retry,) = play.events(e.RetryScheduled)
    assert retry.error.type == "heartbeat"
    assert "silent for longer than its heartbeat of 3 s" in retry.error.message
    assert "TimeoutError" in retry.error.classes


def test_a_body_that_waits_or_stops_or_is_no_more_may_be_silent():
    play = Play(node("a", heartbeat_s=3.0))
    silent = s.HeartbeatMissed(path="a", attempt=1)
    play.sleep("a", 5.0)
    assert play.hand(silent).events == []
    play.at(5.0)
    play.hand(silent)
    assert play.hand(silent).events == []
    play.acknowledge("a")
    assert play.hand(silent).events == []


# Pauses --------------------------------------------------------------------------------------------


def test_a_pause_can_stop_attempts_that_are_made_again_without_harm():
    harmful = {"on_interrupt": OnInterrupt.FAIL}
    play = Play(node("a"), node("b", **harmful), node("g", graph=graph(node("x"))), node("w"))
    play.sleep("w", 50.0)
    play.hand(s.Pause(stop_attempts=True))
    assert [(x.path, x.reason) for x in play.commands(c.StopAttempt)] == [("a", "pause"), ("g/x", "pause")]
    play.acknowledge("a")
    assert [type(x) for x in play.events()] == [e.AttemptInterrupted]
    play.fail("g/x")
    assert (play.state("g/x"), play.visit("g/x").failures, play.started) == (N.READY, 0, [])
    assert not play.machine.is_idle, "b is under way"
    play.hand(s.Resume())
    assert sorted(play.started) == ["a", "g/x"]
    assert (play.visit("a").attempt, play.visit("a").interruptions) == (2, 0)


def test_a_plain_pause_stops_nothing():
    play = Play(node("a"))
    play.hand(s.Pause())
    assert play.stopped == []


def test_an_attempt_that_is_quicker_than_the_pause_counts():
    play = Play(node("a"), node("b", "a"))
    play.hand(s.Pause(stop_attempts=True))
    play.succeed("a")
    assert play.states() == {"a": "completed", "b": "ready"}


def test_a_run_that_is_cancelled_while_it_stops_for_a_pause_ends():
    play = Play(node("a"))
    play.hand(s.Pause(stop_attempts=True), s.Cancel())
    play.acknowledge("a")
    assert (play.state("a"), play.run.state) == (N.CANCELLED, R.CANCELLED)


def test_once_the_run_is_cancelled_it_hears_nothing_any_more():
    play = Play(node("a"))
    play.wait("a", "q", "answer")
    play.wait("a", "mail", "message", name="m", due=3.0)
    play.hand(s.Pause(stop_attempts=True), s.Cancel())
    assert "it is being stopped" in next(iter(play.answer("a", "q").refusals.values()))
    play.send("m", 1)
    play.at(4.0)
    assert play.events(e.WaitResolved) == []
    assert (list(play.run.mail), play.machine.wake_at) == (["m"], None)


def test_so_does_one_whose_process_dies_then():
    play = Play(node("a"))
    play.hand(s.Pause(stop_attempts=True), s.Cancel())
    play.take_over()
    assert (play.state("a"), play.run.state) == (N.CANCELLED, R.CANCELLED)


def test_an_attempt_that_is_lost_while_it_stops_for_a_pause_is_made_again():
    play = Play(node("a"))
    play.hand(s.Pause(stop_attempts=True))
    play.take_over()
    assert (play.state("a"), play.run.state, play.visit("a").interruptions) == (N.READY, R.PAUSED, 0)
    play.hand(s.Resume())
    assert play.started == ["a"]


def test_what_an_attempt_waits_for_is_not_forgotten_by_a_pause_that_stops_it():
    play = Play(node("a", total_timeout_s=30.0))
    play.wait("a", "nap", "timer", due=5.0)
    play.wait("a", "q", "answer")
    play.wait("a", "k", "key", name="printer")
    play.hand(s.Pause(stop_attempts=True))
    assert play.answer("a", "q").refusals == {}
    assert len(play.hand(s.KeyTaken(path="a", key="k")).events) == 1
    play.hand(s.Resume())
    play.at(5.0)
    assert [(x.key, x.outcome) for x in play.events(e.WaitResolved)] == [("nap", "fired")]
    play.acknowledge("a")
    waits = play.commands(c.StartAttempt)[0].waits
    assert {key: wait.outcome for key, wait in waits.items()} == {"nap": "fired", "q": "answered", "k": "taken"}


def test_the_total_limit_goes_on_after_a_pause_that_stopped_the_attempt():
    play = Play(node("a", total_timeout_s=30.0))
    play.hand(s.Pause(stop_attempts=True))
    play.hand(s.Resume())
    assert play.machine.wake_at is None, "the attempt is being stopped"
    play.acknowledge("a")
    assert play.machine.wake_at == 30.0
    play.at(30.0)
    assert play.stopped == ["a"]


# Runs that only wait -------------------------------------------------------------------------------


def test_a_run_is_idle_when_only_time_or_somebody_outside_moves_it():
    play = Play(node("a", retry=THREE))
    assert not play.machine.is_idle
    play.fail("a")
    assert play.machine.is_idle
    play.at(1.0)
    play.sleep("a", None)
    assert play.machine.is_idle
    play.answer("a")
    play.succeed("a")
    assert play.run.ended
    assert not play.machine.is_idle


def test_a_run_with_something_to_start_is_not_idle():
    play = Play(node("a"), gate=lambda path, n: False)
    assert not play.machine.is_idle
    play.hand(s.Pause())
    assert play.machine.is_idle


def test_a_run_that_looks_for_the_items_of_a_map_is_not_idle():
    play = Play(mapped("m"))
    assert not play.machine.is_idle
    play.hand(s.Pause())
    assert play.machine.is_idle
    play.hand(s.Resume())
    play.expand("m", 0)
    assert play.run.state is R.COMPLETED


def test_a_run_whose_bounded_map_only_waits_is_idle():
    play = Play(mapped("m", graph=graph(node("x")), max_concurrency=1))
    play.expand("m", 2)
    play.sleep("m[0]/x", None)
    assert play.state("m[1]") is N.READY
    assert play.machine.is_idle


def test_a_run_that_waits_for_a_key_is_not_idle_until_the_key_is_its_own():
    play = Play(node("a"), node("b", retry=THREE))
    for path in ("a", "b"):
        play.wait(path, "k", "key", name="printer")
    play.idle("a", "k")
    play.fail("b")
    assert not play.machine.is_idle
    play.hand(s.KeyTaken(path="a", key="k"))
    play.sleep("a", None)
    assert play.machine.is_idle
