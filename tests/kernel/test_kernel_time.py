"""Time limits, retries, waits and pauses."""

from __future__ import annotations

from play import THREE, Play, graph, mapped, node, value

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.machine import Machine
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.topology import compile_graph

# Retries -------------------------------------------------------------------------------------------


def test_a_failed_attempt_is_made_again_when_its_delay_is_over():
    play = Play(node("a", retry=THREE))
    play.fail("a")
    assert play.events(e.RetryScheduled)[0].due == play.machine.wake_at == 1.0
    assert play.at(0.9).events == []
    play.at(1.0)
    (command,) = play.commands(c.StartAttempt)
    assert command.attempt == 2


def test_no_attempt_is_left_after_the_last():
    play = Play(node("a", retry=THREE))
    for _ in range(3):
        play.fail("a")
        play.at(play.now + 5)
    assert (play.state("a"), play.visit("a").attempt) == (N.FAILED, 3)


def test_a_success_after_a_failure_leaves_no_error():
    play = Play(node("a", retry=THREE))
    play.fail("a")
    play.at(1.0)
    play.succeed("a")
    assert play.visit("a").error is None


def test_a_waiting_retry_survives_its_process():
    play = Play(node("a", retry=THREE))
    play.fail("a")
    play.take_over()
    assert play.machine.wake_at == 1.0
    play.at(1.0)
    assert play.started == ["a"]


# Limits --------------------------------------------------------------------------------------------


def test_an_attempt_that_takes_too_long_is_stopped_and_made_again():
    play = Play(node("a", timeout_s=5.0, retry=THREE))
    play.at(5.0)
    assert play.stopped == ["a"]
    play.acknowledge("a")
    assert play.events(e.RetryScheduled)[0].error.type == "timeout"
    play.at(6.0)
    assert play.machine.wake_at == 11.0


def test_each_attempt_has_its_own_limit():
    play = Play(node("a", timeout_s=5.0, retry=THREE))
    play.now = 4.0
    play.fail("a")
    play.at(5.0)
    play.at(9.0)
    assert play.state("a") is N.RUNNING
    play.at(10.0)
    assert play.state("a") is N.STOPPING


def test_what_fails_while_it_is_stopped_for_its_limit_has_timed_out():
    play = Play(node("a", timeout_s=5.0))
    play.at(5.0)
    play.fail("a")
    assert play.visit("a").error.type == "timeout"


def test_the_total_limit_of_a_running_node():
    play = Play(node("a", total_timeout_s=5.0, retry=THREE))
    play.at(5.0)
    assert play.stopped == ["a"]
    play.acknowledge("a")
    assert (play.state("a"), play.run.state) == (N.FAILED, R.FAILED)


def test_the_total_limit_of_a_node_between_its_attempts():
    play = Play(node("a", total_timeout_s=0.5, retry=THREE))
    play.fail("a")
    play.at(0.5)
    assert play.state("a") is N.FAILED


def test_the_total_limit_of_a_node_that_has_no_slot_for_its_next_attempt():
    open_ = [True]
    play = Play(node("a", total_timeout_s=3.0, retry=THREE), gate=lambda path, n: open_[0])
    play.fail("a")
    open_[0] = False
    play.at(1.0)
    assert play.state("a") is N.READY
    play.at(3.0)
    assert play.state("a") is N.FAILED


def test_the_total_limit_of_a_sub_graph():
    play = Play(node("g", graph=graph(node("a"), node("b")), total_timeout_s=5.0))
    play.succeed("g/a")
    play.at(5.0)
    assert play.stopped == ["g/b"]
    play.acknowledge("g/b")
    assert play.visit("g").error.type == "timeout"


def test_the_total_limit_of_a_map_is_one_for_all_items():
    play = Play(mapped("m", total_timeout_s=5.0))
    play.now = 2.0
    play.expand("m", 1)
    assert play.machine.wake_at == 7.0
    assert play.visit("m[0]").total_due is None


def test_the_limit_of_a_run():
    play = Play(node("a"), node("b", "a"), timeout_s=5.0)
    play.at(5.0)
    assert play.stopped == ["a"]
    play.acknowledge("a")
    assert play.run.error.message == "the run took longer than its time limit of 5 s"


def test_the_limit_given_to_a_run_counts_before_that_of_its_graph():
    machine = Machine(compile_graph(graph(node("a"), timeout_s=5.0)))
    machine.handle([s.Admit(run="run", graph="", definition="", timeout_s=2.0)], 0.0)
    assert machine.wake_at == 2.0
    stopping, *_ = machine.handle([s.Tick()], 2.0).events
    assert stopping.error.message.endswith("2 s")


def test_a_run_that_completes_in_spite_of_its_limit_has_completed():
    play = Play(node("a"), timeout_s=5.0)
    play.at(5.0)
    play.succeed("a")
    assert play.run.state is R.COMPLETED


# Waits ---------------------------------------------------------------------------------------------


def test_a_sleeping_body_gives_its_slot_back_and_is_woken_when_its_time_has_come():
    play = Play(node("a"), node("b"), max_concurrency=1)
    play.sleep("a", due=9.0)
    assert (play.state("a"), play.started) == (N.WAITING, ["b"])
    play.succeed("b")
    play.at(9.0)
    (command,) = play.commands(c.StartAttempt)
    assert (command.attempt, command.resumed, command.waits["nap"].outcome) == (1, True, "fired")


def test_an_answer_wakes_a_body_that_asked():
    play = Play(node("a"))
    play.sleep("a", due=None)
    assert play.machine.wake_at is None
    play.answer("a")
    (command,) = play.commands(c.StartAttempt)
    assert command.waits["nap"].value == value("yes")


def test_a_question_with_a_time_limit_expires():
    play = Play(node("a"))
    where = {"path": "a", "attempt": 1}
    play.hand(s.OpenWait(**where, key="q", kind="answer", due=3.0), s.AttemptIdle(**where, keys=("q",)))
    play.at(3.0)
    assert play.events(e.WaitResolved)[0].outcome == "expired"


def test_an_answer_recorded_before_the_limit_beats_the_timer():
    play = Play(node("a"))
    where = {"path": "a", "attempt": 1}
    play.hand(s.OpenWait(**where, key="q", kind="answer", due=3.0))
    play.answer("a", "q")
    play.at(3.0)
    assert play.events(e.WaitResolved) == []


def test_a_wait_that_is_over_before_its_body_is_idle_keeps_it_running():
    play = Play(node("a"))
    where = {"path": "a", "attempt": 1}
    play.hand(s.OpenWait(**where, key="nap", kind="timer", due=1.0))
    play.now = 1.0
    play.hand(s.Tick(), s.AttemptIdle(**where, keys=("nap",)))
    assert play.state("a") is N.RUNNING


def test_two_waits_that_end_together_wake_once():
    play = Play(node("a"))
    where = {"path": "a", "attempt": 1}
    play.hand(*(s.OpenWait(**where, key=key, kind="timer", due=1.0) for key in "xy"))
    play.hand(s.AttemptIdle(**where, keys=("x", "y")))
    play.at(1.0)
    assert play.started == ["a"]
    assert {wait.outcome for wait in play.visit("a").waits.values()} == {"fired"}


def test_a_suspended_attempt_does_not_time_out_and_its_limit_is_moved():
    play = Play(node("a", timeout_s=5.0, total_timeout_s=6.0))
    play.now = 1.0
    play.sleep("a", due=100.0)
    assert play.machine.wake_at == 100.0
    play.at(100.0)
    assert play.state("a") is N.RUNNING
    assert play.machine.wake_at == 104.0
    play.succeed("a")


def test_a_failed_attempt_forgets_its_waits_and_steps_but_for_effects():
    play = Play(node("a", retry=THREE))
    where = {"path": "a", "attempt": 1}
    step = {**where, "digest": "d", "value": value(1)}
    play.hand(s.StepEnded(**step, key="paid", effect=True), s.StepEnded(**step, key="read"))
    play.sleep("a", due=5.0)
    play.at(5.0)
    play.fail("a")
    play.at(6.0)
    (command,) = play.commands(c.StartAttempt)
    assert (list(command.steps), command.waits) == (["paid"], {})


def test_an_interrupted_attempt_keeps_its_steps_and_waits():
    play = Play(node("a"))
    where = {"path": "a", "attempt": 1}
    play.hand(s.StepEnded(**where, key="read", digest="d", value=value(1)))
    play.hand(s.OpenWait(**where, key="nap", kind="timer", due=5.0))
    play.take_over()
    (command,) = play.commands(c.StartAttempt)
    assert (command.attempt, list(command.steps), list(command.waits)) == (2, ["read"], ["nap"])
    play.at(5.0)
    assert play.visit("a").waits["nap"].outcome == "fired"


# Pauses --------------------------------------------------------------------------------------------


def test_a_paused_run_finishes_what_is_under_way_and_starts_nothing():
    play = Play(node("a"), node("b", "a"))
    play.hand(s.Pause(by="me"))
    play.succeed("a")
    assert (play.started, play.state("b")) == ([], N.READY)
    play.hand(s.Resume(by="me"))
    assert play.started == ["b"]


def test_a_paused_run_may_end():
    play = Play(node("a"))
    play.hand(s.Pause())
    play.succeed("a")
    assert play.run.state is R.COMPLETED


def test_timers_keep_their_time_and_fire_on_resume():
    play = Play(node("a", retry=THREE), node("b"))
    play.fail("a")
    play.sleep("b", due=2.0)
    play.hand(s.Pause())
    assert play.machine.wake_at is None
    assert play.at(10.0).events == []
    play.hand(s.Resume())
    assert [type(event) for event in play.events()] == [
        e.RunResumed, e.RetryDue, e.WaitResolved, e.AttemptStarted, e.AttemptResumed,
    ]  # fmt: skip


def test_attempts_time_out_in_a_paused_run_too():
    play = Play(node("a", timeout_s=5.0), node("b", total_timeout_s=3.0))
    play.hand(s.Pause())
    assert play.machine.wake_at == 5.0
    play.at(5.0)
    assert play.stopped == ["a"]
    play.hand(s.Resume())
    assert play.stopped == ["b"]


def test_the_limit_of_a_run_waits_for_the_end_of_a_pause():
    play = Play(node("a"), timeout_s=5.0)
    play.hand(s.Pause())
    assert play.at(9.0).events == []
    play.hand(s.Resume())
    assert play.run.state is R.STOPPING


def test_a_paused_run_can_be_cancelled():
    play = Play(node("a"), node("b", "a"))
    play.hand(s.Pause())
    play.hand(s.Cancel())
    play.acknowledge("a")
    assert play.run.state is R.CANCELLED


# Bounds --------------------------------------------------------------------------------------------


def test_the_heap_of_timers_does_not_grow_with_what_is_over():
    play = Play(mapped("m", timeout_s=300.0, max_concurrency=1))
    play.expand("m", 500)
    for index in range(500):
        done = s.AttemptSucceeded(path=f"m[{index}]", attempt=1, output=value(1))
        play.machine.handle([done], now=index / 1000)
        assert len(play.run.timers) <= 70
