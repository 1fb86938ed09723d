"""Attempts that were lost and may have taken effect: probed, asked about, or failed; never made again blindly."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from play import BOOM, THREE, Play, graph, mapped, node, value

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import ErrorPolicy, OnInterrupt
from clew.kernel.errors import DefinitionError
from clew.kernel.questions import IN_DOUBT, Question, question_of_doubt
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.topology import compile_graph
from clew.kernel.values import FromNode, Value

PROBE = msgspec.Raw(b'{"ref":"m:look"}')
PROBED: dict[str, Any] = {"on_interrupt": OnInterrupt.PROBE, "probe": PROBE}
ASKED: dict[str, Any] = {"on_interrupt": OnInterrupt.ASK}


def absent(play: Play, path: str = "a") -> None:
    play.hand(s.ProbedAbsent(path=path, attempt=play.visit(path).attempt))


def starts(play: Play) -> list[tuple[str, int, bool]]:
    return [(x.path, x.attempt, x.probe) for x in play.commands(c.StartAttempt)]


# Probes --------------------------------------------------------------------------------------------


def test_a_lost_attempt_is_followed_by_its_probe():
    play = Play(node("a", heartbeat_s=3.0, uses={"llm": 1}, inputs={"x": FromNode("b")}, **PROBED), node("b"))
    play.succeed("b")
    play.hand(s.StepEnded(path="a", attempt=1, key="k", digest="d", value=value(1)))
    play.take_over()
    (command,) = play.commands(c.StartAttempt)
    assert (command.kind, command.body, command.attempt, command.probe) == ("function", PROBE, 2, True)
    assert (command.steps, command.heartbeat_s, command.uses) == ({}, None, {"llm": 1})
    assert list(command.inputs) == ["x"]


def test_a_probe_that_finds_the_effect_completes_the_node():
    play = Play(node("a", **PROBED), node("b", inputs={"x": FromNode("a")}))
    play.take_over()
    play.succeed("a")
    assert (play.state("a"), play.visit("a").attempt, play.started) == (N.COMPLETED, 2, ["b"])
    assert not play.visit("a").in_doubt


def test_a_probe_that_finds_nothing_lets_the_attempt_be_made_again_with_its_steps():
    play = Play(node("a", **PROBED))
    play.hand(s.StepEnded(path="a", attempt=1, key="k", digest="d", value=value(1)))
    play.take_over()
    absent(play)
    assert [type(x) for x in play.events()] == [e.DoubtCleared, e.AttemptStarted]
    (command,) = play.commands(c.StartAttempt)
    assert (command.attempt, command.probe, list(command.steps)) == (3, False, ["k"])


def test_a_probe_that_fails_is_made_again_and_the_body_keeps_what_it_had_done():
    play = Play(node("a", retry=THREE, **PROBED))
    play.hand(s.StepEnded(path="a", attempt=1, key="k", digest="d", value=value(1)))
    play.sleep("a", 4.0)
    play.at(4.0)
    play.take_over()
    play.fail("a")
    play.at(9.0)
    assert starts(play) == [("a", 3, True)]
    absent(play)
    (command,) = play.commands(c.StartAttempt)
    assert (list(command.steps), command.waits["nap"].outcome) == (["k"], "fired")


def test_a_node_whose_probe_fails_for_good_is_still_in_doubt_when_the_run_is_retried():
    play = Play(node("a", **PROBED))
    play.take_over()
    play.fail("a")
    assert play.run.state is R.FAILED
    play.hand(s.RetryRun())
    assert starts(play) == [("a", 3, True)]


def test_a_probe_that_is_lost_is_made_again():
    play = Play(node("a", **PROBED))
    play.take_over()
    play.take_over()
    assert starts(play) == [("a", 3, True)]


def test_a_probe_that_waits_is_gone_on_with_as_a_probe():
    play = Play(node("a", **PROBED))
    play.take_over()
    play.wait("a", "#exclusive", "key", name="printer")
    play.idle("a", "#exclusive")
    play.take_over()
    assert play.started == []
    play.hand(s.KeyTaken(path="a", key="#exclusive"))
    (command,) = play.commands(c.StartAttempt)
    assert (command.probe, command.resumed, command.attempt) == (True, True, 2)
    assert command.waits["#exclusive"].outcome == "taken"


def test_steps_of_a_probe_are_none_of_the_body():
    play = Play(node("a", **PROBED))
    play.take_over()
    assert play.hand(s.StepBegun(path="a", attempt=2, key="k", digest="d")).events == []
    assert play.hand(s.StepEnded(path="a", attempt=2, key="k", digest="d", value=value(1))).events == []


def test_only_a_probe_can_find_nothing():
    play = Play(node("a", **PROBED), node("b"))
    absent(play)
    assert play.events() == []
    play.take_over()
    play.fail("b")
    assert play.stopped == ["a"]
    absent(play)
    assert play.state("a") is N.CANCELLED
    absent(play)
    assert play.events() == []


def test_a_lost_attempt_that_was_being_cancelled_is_in_doubt_after_a_retry_of_the_run():
    play = Play(node("a", **PROBED))
    play.hand(s.Cancel())
    play.take_over()
    assert (play.state("a"), play.run.state) == (N.CANCELLED, R.CANCELLED)
    play.hand(s.RetryRun())
    assert starts(play) == [("a", 2, True)]


def test_a_lost_attempt_that_had_timed_out_is_probed_before_it_is_made_again():
    play = Play(node("a", timeout_s=5.0, retry=THREE, **PROBED))
    play.at(5.0)
    play.take_over()
    assert play.visit("a").error.type == "timeout"
    play.at(6.0)
    assert starts(play) == [("a", 2, True)]


def test_what_is_made_anew_with_its_sub_graph_is_still_in_doubt():
    inner = graph(node("x", **PROBED))
    play = Play(
        node("u", on_error=ErrorPolicy.CONTINUE), node("g", graph=inner, inputs={"u": FromNode("u")}),
    )  # fmt: skip
    play.fail("u")
    play.hand(s.Cancel())
    play.take_over()
    play.hand(s.RetryRun())
    assert play.started == ["u"]
    assert "g/x" not in play.run.visits
    play.succeed("u")
    assert starts(play) == [("g/x", 2, True)]


def test_an_attempt_is_not_probed_for_ever():
    play = Play(node("a", **PROBED), max_interruptions=2)
    for _ in range(3):
        play.take_over()
    assert "more than the limit of 2" in play.visit("a").error.message
    play.hand(s.RetryRun())
    assert starts(play) == [("a", 4, True)]


def test_a_node_that_is_to_be_probed_needs_a_probe():
    with pytest.raises(DefinitionError, match="graph play: a is to be probed after an interruption, by nothing"):
        compile_graph(graph(node("a", on_interrupt=OnInterrupt.PROBE)))


def test_a_body_that_waits_is_not_in_doubt():
    play = Play(node("a", **PROBED))
    play.sleep("a", 4.0)
    play.take_over()
    play.at(4.0)
    assert starts(play) == [("a", 1, False)]


# People --------------------------------------------------------------------------------------------


def ask() -> Play:
    play = Play(node("a", retry=THREE, **ASKED), node("b", "a"))
    play.take_over()
    return play


def test_whether_a_lost_attempt_took_effect_is_put_to_a_person():
    play = ask()
    assert [type(x) for x in play.events()] == [e.OwnershipTaken, e.AttemptInterrupted, e.WaitOpened]
    (opened,) = play.events(e.WaitOpened)
    assert (opened.key, opened.kind, opened.attempt) == (IN_DOUBT, "answer", 1)
    assert (opened.question, opened.digest) == question_of_doubt("a", 1)
    question = msgspec.json.decode(opened.question.json, type=Question)
    assert "attempt 1 of a was under way when its process ended" in question.text
    assert json.loads(bytes(question.schema))["anyOf"][0] == {"enum": ["retry", "fail", "done"]}
    assert (play.state("a"), play.run.waiting, play.machine.is_idle) == (N.WAITING, 1, True)


def test_an_attempt_that_took_no_effect_is_made_again():
    play = ask()
    play.answer("a", IN_DOUBT, "retry")
    assert starts(play) == [("a", 2, False)]
    assert IN_DOUBT not in play.commands(c.StartAttempt)[0].waits


@pytest.mark.parametrize(("said", "output"), [("done", None), ({"done": [1, 2]}, [1, 2]), ({"done": None}, None)])
def test_an_attempt_that_took_effect_completes_its_node(said: object, output: object):
    play = ask()
    play.answer("a", IN_DOUBT, said)
    (completed,) = play.events(e.NodeCompleted)
    assert json.loads(bytes(completed.output.json)) == output
    assert play.started == ["b"]


def test_an_attempt_that_is_said_to_have_failed_fails_its_node_and_is_made_by_a_retry_of_the_run():
    play = ask()
    play.answer("a", IN_DOUBT, "fail")
    assert (
        play.visit("a").error.message == "attempt 1 was lost with its process, and was said by me to have failed"
    )
    assert play.run.state is R.FAILED
    play.hand(s.RetryRun())
    assert starts(play) == [("a", 2, False)]


def test_who_says_that_an_attempt_failed_need_not_be_known():
    play = ask()
    play.hand(s.Answer(path="a", key=IN_DOUBT, value=value("fail")))
    assert play.visit("a").error.message.endswith("and was said to have failed")


@pytest.mark.parametrize("said", ["perhaps", 1, None, {}, {"don": 1}, {"done": 1, "x": 2}, ["done"]])
def test_an_answer_that_is_no_verdict_is_refused(said: object):
    play = ask()
    decision = play.answer("a", IN_DOUBT, said)
    assert list(decision.refusals.values()) == [
        'the answer is retry, fail, done, or {"done": the output of the node}'
    ]
    assert (decision.events, play.state("a")) == ([], N.WAITING)


@pytest.mark.parametrize("json", [b"", b'{"done": }'])
def test_an_answer_that_cannot_be_read_is_refused(json: bytes):
    play = ask()
    assert play.hand(s.Answer(path="a", key=IN_DOUBT, value=Value(json=msgspec.Raw(json)))).refusals
    assert play.state("a") is N.WAITING


def test_a_verdict_about_an_earlier_attempt_is_refused():
    play = ask()
    first = play.visit("a").waits[IN_DOUBT].digest
    play.answer("a", IN_DOUBT, "retry", shown=first)
    assert play.started == ["a"]
    play.take_over()
    decision = play.answer("a", IN_DOUBT, "retry", shown=first)
    assert decision.events == []
    assert list(decision.refusals.values()) == [
        "what a asks as '#interrupted' is not what was shown; look at it again"
    ]


def test_nothing_but_the_answer_ends_the_doubt():
    play = Play(node("a", **ASKED))
    play.wait("a", "nap", "timer", due=4.0)
    play.take_over()
    play.at(5.0)
    assert [type(x) for x in play.events()] == [e.WaitResolved]
    assert play.state("a") is N.WAITING
    play.answer("a", IN_DOUBT, "retry")
    assert starts(play) == [("a", 2, False)]


def test_the_time_a_person_takes_is_not_counted():
    play = Play(node("a", total_timeout_s=10.0, **ASKED))
    play.at(4.0)
    play.take_over()
    play.at(100.0)
    assert play.events() == []
    play.answer("a", IN_DOUBT, "retry")
    assert (play.started, play.machine.wake_at) == (["a"], 106.0)
    play.at(106.0)
    assert play.stopped == ["a"]


def test_a_question_about_an_attempt_is_asked_when_a_paused_run_goes_on():
    play = Play(node("a", **ASKED))
    play.hand(s.Pause())
    play.take_over()
    assert play.events(e.WaitOpened) == []
    play.hand(s.Resume())
    assert play.state("a") is N.WAITING


def test_a_cancelled_run_asks_again_when_it_is_retried():
    play = ask()
    play.hand(s.Cancel())
    assert play.states() == {"a": "cancelled"}
    play.hand(s.RetryRun())
    assert len(play.events(e.WaitOpened)) == 1
    play.answer("a", IN_DOUBT, "retry")
    assert starts(play) == [("a", 2, False)]


def test_items_are_asked_about_one_by_one():
    play = Play(mapped("m", **ASKED))
    play.expand("m", 2)
    play.take_over()
    assert [x.path for x in play.events(e.WaitOpened)] == ["m[0]", "m[1]"]
    play.answer("m[1]", IN_DOUBT, {"done": 1})
    assert (play.state("m[0]"), play.state("m[1]")) == (N.WAITING, N.COMPLETED)


# Failing -------------------------------------------------------------------------------------------


def test_an_attempt_that_was_to_fail_when_lost_is_not_made_again_because_it_had_timed_out():
    play = Play(node("a", timeout_s=5.0, retry=THREE, on_interrupt=OnInterrupt.FAIL))
    play.at(5.0)
    play.take_over()
    assert play.visit("a").error.type == "interrupted"
    assert play.run.state is R.FAILED


# Steps that act on the outside world ---------------------------------------------------------------


def begin(play: Play, key: str = "pay") -> None:
    play.hand(s.StepBegun(path="a", attempt=play.visit("a").attempt, key=key, digest="d"))


@pytest.mark.parametrize("lost", [True, False])
def test_a_step_that_began_and_did_not_end_is_told_to_the_next_attempt(lost: bool):
    play = Play(node("a", retry=THREE))
    begin(play)
    assert [type(x) for x in play.events()] == [e.StepStarted]
    if lost:
        play.take_over()
    else:
        play.fail("a")
        play.at(1.0)
    (step,) = play.commands(c.StartAttempt)[0].steps.values()
    assert (step.is_open, step.digest) == (True, "d")


def test_a_step_begins_once_and_ends_once():
    play = Play(node("a"))
    begin(play)
    begin(play)
    assert play.events() == []
    end = s.StepEnded(path="a", attempt=1, key="pay", digest="d", value=value(1), effect=True)
    play.hand(end)
    assert not play.visit("a").steps["pay"].is_open
    assert play.hand(end).events == []
    begin(play)
    assert play.events() == []


def test_a_step_that_failed_is_made_anew_by_the_next_attempt():
    play = Play(node("a", retry=THREE))
    begin(play)
    play.hand(s.StepEnded(path="a", attempt=1, key="pay", digest="d", error=BOOM))
    play.fail("a")
    play.at(1.0)
    assert play.commands(c.StartAttempt)[0].steps == {}


def test_a_step_of_an_attempt_that_is_over_does_not_begin():
    play = Play(node("a"), node("b"))
    play.succeed("a")
    assert play.hand(s.StepBegun(path="a", attempt=1, key="pay", digest="d")).events == []
