"""Faults that were there once, each as small as it gets."""

from __future__ import annotations

import pytest
from laws import kept_by_retry
from play import BOOM, THREE, Play, graph, mapped, node

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import ErrorPolicy, OnInterrupt, Retry
from clew.kernel.errors import KernelError
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R

CONTINUE = {"on_error": ErrorPolicy.CONTINUE}
SKIP = {"on_error": ErrorPolicy.SKIP_DOWNSTREAM}


# Time limits ---------------------------------------------------------------------------------------


def test_a_run_that_timed_out_has_failed_even_if_every_node_was_visited():
    play = Play(node("a"), timeout_s=5.0)
    play.at(5.0)
    play.acknowledge("a")
    assert play.run.state is R.FAILED
    assert play.run.error.type == "timeout"


def test_a_map_that_timed_out_has_failed_even_if_it_collects():
    play = Play(mapped("m", total_timeout_s=5.0, collect=True))
    play.expand("m", 2)
    play.at(5.0)
    play.acknowledge("m[0]", "m[1]")
    assert play.state("m") is N.FAILED


def test_what_comes_in_while_a_timed_out_group_stops_is_kept():
    play = Play(mapped("m", total_timeout_s=5.0))
    play.expand("m", 1)
    play.at(5.0)
    play.succeed("m[0]")
    assert play.state("m") is N.COMPLETED


def test_an_attempt_that_timed_out_is_not_retried_in_a_graph_that_stops():
    play = Play(node("a", timeout_s=5.0, retry=THREE), node("b"))
    play.at(5.0)
    play.fail("b")
    play.acknowledge("a")
    assert play.state("a") is N.CANCELLED
    assert play.run.state is R.FAILED


def test_the_total_limit_counts_while_an_attempt_is_being_stopped():
    play = Play(node("a", timeout_s=5.0, total_timeout_s=6.0, retry=THREE))
    play.at(5.0)
    play.at(7.0)
    play.acknowledge("a")
    assert play.state("a") is N.RETRYING
    play.at(7.0)
    assert play.state("a") is N.FAILED
    assert play.visit("a").error.message.startswith("the node with its retries")


def test_the_total_limit_does_not_count_the_time_a_body_waits():
    play = Play(node("a", total_timeout_s=5.0), node("b"), max_concurrency=1)
    play.at(1.0)
    play.sleep("a", due=None)
    play.now = 100.0
    play.answer("a")
    play.at(101.0)
    assert play.state("a") is N.READY  # b has the only slot
    play.succeed("b")
    assert play.state("a") is N.RUNNING
    assert play.machine.wake_at == 101.0 + 4.0


def test_a_group_that_is_done_again_has_its_time_limit_again():
    play = Play(node("g", graph=graph(node("a"), node("b", "a")), total_timeout_s=5.0))
    play.succeed("g/a")
    play.fail("g/b")
    play.now = 50.0
    play.hand(s.RetryRun())
    assert play.visit("g").started_at == 50.0
    assert play.machine.wake_at == 55.0


# Stopping ------------------------------------------------------------------------------------------


def test_a_body_whose_wait_is_over_is_told_to_stop_too():
    play = Play(node("a"), node("b"), max_concurrency=1)
    play.sleep("a", due=None)
    play.answer("a")
    assert play.visit("a").resumes
    play.hand(s.Cancel())
    assert play.stopped == ["a", "b"]


@pytest.mark.parametrize("woken", [False, True])
def test_a_suspended_body_that_fails_by_itself_is_entered_anew(woken: bool):
    play = Play(node("a", retry=THREE), node("b"), max_concurrency=1)
    play.sleep("a", due=None)
    if woken:
        play.answer("a")
    play.fail("a")
    play.succeed("b")
    play.at(1.0)
    (command,) = play.commands(c.StartAttempt)
    assert (command.attempt, command.resumed) == (2, False)


def test_a_wait_of_a_cancelled_body_never_fires():
    play = Play(node("a"))
    play.sleep("a", due=9.0)
    play.hand(s.Cancel())
    assert play.run.state is R.CANCELLED
    assert play.machine.wake_at is None
    assert play.at(10.0).events == []


def test_a_cancelled_run_says_why_it_was_cancelled():
    play = Play(node("a"), node("b"), **SKIP)
    play.fail("a")
    play.hand(s.Cancel(reason="enough"))
    play.acknowledge("b")
    assert play.run.reason == "enough"


def test_a_body_that_is_idle_for_nothing_goes_on():
    play = Play(node("a"))
    assert play.hand(s.AttemptIdle(path="a", attempt=1, keys=())).events == []


# Takeover ------------------------------------------------------------------------------------------


def test_a_takeover_while_a_timed_out_attempt_is_being_stopped_retries_it():
    play = Play(node("a", timeout_s=5.0, retry=THREE))
    play.at(5.0)
    play.take_over()
    assert play.state("a") is N.RETRYING
    assert play.visit("a").interruptions == 1


def test_a_takeover_while_a_run_is_stopping_ends_it():
    play = Play(node("a"), node("g", graph=graph(node("b", on_interrupt=OnInterrupt.FAIL))))
    play.hand(s.Cancel())
    play.take_over()
    assert play.run.state is R.CANCELLED


def test_a_takeover_of_a_body_whose_wait_is_over_enters_it_again():
    play = Play(node("a"), node("b"), max_concurrency=1)
    play.sleep("a", due=None)
    play.answer("a")
    play.take_over()
    (command,) = play.commands(c.StartAttempt)
    assert (command.path, command.attempt, command.waits["nap"].outcome) == ("a", 1, "answered")


# Maps ----------------------------------------------------------------------------------------------


def test_a_map_over_a_map_that_has_no_items_is_expanded_by_itself():
    play = Play(mapped("m"), mapped("n", over="m"), **CONTINUE)
    play.hand(s.MapExpanded(path="m", error=BOOM))
    assert [command.path for command in play.commands(c.ExpandMap)] == ["n"]
    play.hand(s.MapExpanded(path="n", error=BOOM))
    assert play.run.state is R.COMPLETED


def test_a_run_whose_map_found_no_items_can_be_retried():
    play = Play(mapped("m"), **CONTINUE)
    play.hand(s.MapExpanded(path="m", error=BOOM))
    assert play.run.failed == 1
    play.hand(s.RetryRun())
    assert play.run.state is R.RUNNING


def test_a_map_bounds_how_many_of_its_sub_graphs_run():
    play = Play(mapped("m", graph=graph(node("a")), max_concurrency=2))
    play.expand("m", 4)
    assert play.started == ["m[0]/a", "m[1]/a"]
    play.succeed("m[0]/a")
    assert play.started == ["m[2]/a"]


@pytest.mark.parametrize("keys", [("x",), ("x", "x")])
def test_keys_that_do_not_name_the_items_are_refused(keys: tuple[str, ...]):
    play = Play(mapped("m"))
    with pytest.raises(KernelError, match="keys"):
        play.expand("m", 2, keys)
    assert play.state("m") is N.READY


def test_items_for_what_is_no_map_are_ignored():
    play = Play(node("a"), gate=lambda path, node: False)
    assert play.expand("a", 2).events == []


def test_a_fed_map_that_is_skipped_names_the_cause():
    play = Play(mapped("m"), mapped("n", over="m"), **SKIP)
    play.expand("m", 2)
    play.succeed("m[0]")
    play.fail("m[1]")
    play.acknowledge("n[0]")
    assert play.visit("n").cause == "m"


@pytest.mark.parametrize("stopped_first", [False, True])
def test_how_a_map_that_stops_already_ends_decides_for_its_readers(stopped_first: bool):
    play = Play(mapped("m", **SKIP), mapped("n", over="m"), mapped("o", over="n"), **CONTINUE)
    play.expand("m", 4)
    play.succeed("m[0]", "m[1]", "m[2]")
    play.succeed("n[0]")
    play.fail("n[1]")
    if stopped_first:
        play.acknowledge("n[2]")
        play.fail("m[3]")
    else:
        play.fail("m[3]")
        play.acknowledge("n[2]")
    assert play.state("n") is N.FAILED, "by itself, which the graph bears"
    assert [play.state(f"o[{i}]") for i in range(4)] == [N.RUNNING, *[N.SKIPPED] * 3]
    play.succeed("o[0]")
    assert play.state("o") is N.COMPLETED
    assert play.run.state is R.FAILED


# Retry of the run ----------------------------------------------------------------------------------


def test_failed_items_of_a_map_that_collects_are_done_again():
    play = Play(mapped("m", collect=True), node("z", "m"))
    play.expand("m", 2)
    play.succeed("m[0]")
    play.fail("m[1]")
    play.succeed("z")
    assert play.run.state is R.COMPLETED
    play.hand(s.RetryRun())
    assert play.started == ["m[1]"]
    play.succeed("m[1]")
    assert play.started == ["z"]


def test_failures_inside_a_completed_sub_graph_are_done_again():
    play = Play(node("g", graph=graph(node("a"), node("b"), **CONTINUE)))
    play.fail("g/a")
    play.succeed("g/b")
    assert play.run.state is R.COMPLETED
    play.hand(s.RetryRun())
    assert play.started == ["g/a"]


def test_readers_of_a_map_are_done_again_if_its_feeder_does_an_item_again():
    half = graph(node("a"), **CONTINUE)
    play = Play(mapped("m", graph=half), mapped("n", over="m"), node("z", "n"))
    play.expand("m", 2)
    play.fail("m[0]/a")
    play.succeed("m[1]/a")
    play.succeed("n[0]", "n[1]")
    play.succeed("z")
    assert kept_by_retry(play.run.root) == {"m[1]/a", "n[1]"}
    play.hand(s.RetryRun())
    for path in ("m[0]/a", "n[0]", "z"):
        assert play.started == [path]
        play.succeed(path)
    assert play.run.state is R.COMPLETED


def test_a_retry_that_finds_nothing_to_do_ends_the_run():
    play = Play(node("g", graph=graph(node("a"))))
    play.hand(s.Cancel())
    play.succeed("g/a")
    assert play.run.state is R.CANCELLED
    play.hand(s.RetryRun())
    assert play.run.state is R.COMPLETED
    assert play.state("g") is N.COMPLETED


def test_attempts_of_items_that_are_made_anew_are_numbered_on():
    play = Play(node("a"), mapped("m", "a", collect=True), **CONTINUE)
    play.fail("a")
    play.expand("m", 1)
    play.succeed("m[0]")
    play.hand(s.RetryRun())
    play.succeed("a")
    play.expand("m", 1)
    (command,) = play.commands(c.StartAttempt)
    assert (command.path, command.attempt) == ("m[0]", 2)


def test_what_a_body_did_for_other_inputs_does_not_count():
    play = Play(node("a"), node("b", "a"), node("c"), **CONTINUE)
    play.fail("a")
    step = {"path": "b", "attempt": 1, "digest": "d", "value": None}
    play.hand(s.StepEnded(**{**step, "key": "k", "error": BOOM}))
    play.sleep("b", due=None)
    play.hand(s.Cancel())
    play.acknowledge("c")
    play.hand(s.RetryRun())
    play.succeed("a")
    (command,) = play.commands(c.StartAttempt)
    assert (command.path, command.steps, command.waits) == ("b", {}, {})


def test_an_open_wait_of_a_cancelled_body_is_opened_anew():
    play = Play(node("a"))
    play.sleep("a", due=9.0, key="first")
    play.at(9.0)
    play.sleep("a", due=20.0)
    play.hand(s.Cancel())
    play.hand(s.RetryRun())
    (command,) = play.commands(c.StartAttempt)
    assert list(command.waits) == ["first"]
    assert play.machine.wake_at is None


# The rest ------------------------------------------------------------------------------------------


def test_priority_counts_across_resources():
    play = Play(node("low", uses={"x": 1}), node("high", uses={"y": 1}, priority=5), max_concurrency=1)
    assert play.started == ["high"]


def test_a_command_does_not_change_after_it_was_given():
    play = Play(node("a"))
    step = {"path": "a", "digest": "d"}
    play.hand(s.StepEnded(**step, attempt=1, key="one", error=BOOM))
    play.take_over()
    (command,) = play.commands(c.StartAttempt)
    play.hand(s.StepEnded(**step, attempt=2, key="two", error=BOOM))
    assert list(command.steps) == ["one"]


def test_growth_of_a_delay_does_not_overflow():
    play = Play(node("a", retry=Retry(max_attempts=500, factor=1e9, max_delay_s=3.0, jitter=0.0)))
    for _ in range(60):
        play.fail("a")
        play.at(play.now + 3.0)
    assert play.visit("a").failures == 60


def test_a_body_may_ask_for_another_attempt_whatever_the_classes():
    play = Play(node("a", retry=Retry(max_attempts=2, on=("OSError",))))
    play.fail("a", e.ErrorInfo(type="Retryable", message="again", retryable=True))
    assert play.state("a") is N.RETRYING


def test_timers_set_after_a_snapshot_do_not_collide_with_those_in_it():
    play = Play(node("a", timeout_s=5.0), node("b", timeout_s=5.0), max_concurrency=1)
    play.witness.take_snapshot()
    play.succeed("a")
    assert play.machine.wake_at == 5.0


# Answers in time -----------------------------------------------------------------------------------


def test_a_resume_does_not_go_before_an_answer_that_was_given_in_time():
    play = Play(node("a"))
    play.wait("a", "ask", "answer", due=5.0)
    play.idle("a", "ask")
    play.hand(s.Pause())
    play.now = 9.0
    play.hand(s.Resume())
    assert play.machine.wake_at == 5.0
    assert play.machine.has_question_due(play.now)
    play.answer("a", "ask", at=4.0)
    assert play.visit("a").waits["ask"].outcome == "answered"
