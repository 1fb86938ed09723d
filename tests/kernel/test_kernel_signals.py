"""Each signal: what it does is told elsewhere; here is when it does nothing, and what it refuses."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from play import BOOM, THREE, Play, graph, mapped, node, value

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import OnInterrupt
from clew.kernel.errors import KernelError
from clew.kernel.machine import _OF_BODIES, SNAPSHOT_EVENTS, Decision, Machine
from clew.kernel.snapshot import image
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.topology import compile_graph

A1 = {"path": "a", "attempt": 1}


def test_every_signal_is_handled_and_can_be_stored():
    handled = set(s.AnySignal.__args__)
    assert handled == {*Machine._HANDLERS, *_OF_BODIES}
    assert not Machine._HANDLERS.keys() & _OF_BODIES.keys()
    assert handled == {x for x in vars(s).values() if isinstance(x, type) and issubclass(x, s.Signal)} - {s.Signal}
    stored = msgspec.json.encode(s.StepEnded(**A1, key="k", digest="d", value=value(1)))
    assert msgspec.json.decode(stored, type=s.AnySignal).value == value(1)


def test_a_run_is_admitted_once():
    play = Play(node("a"))
    before = image(play.run)
    with pytest.raises(KernelError, match="run run exists already"):
        play.machine.handle([s.Admit(run="other", graph="", definition="")], 0.0)
    assert image(play.run) == before


@pytest.mark.parametrize("signal", [s.Tick(), s.SlotsFreed(), s.Pause(), s.Resume(), s.Cancel(), s.RetryRun()])
def test_a_run_that_does_not_exist_yet_has_nothing_to_say(signal: s.AnySignal):
    decision = Machine(compile_graph(graph(node("a")))).handle([signal], 0.0)
    assert (decision.events, decision.commands) == ([], [])


def refused(decision: Decision, why: str) -> None:
    assert (decision.events, list(decision.refusals.values())) == ([], [why])


LATE = [
    s.AttemptSucceeded(**A1, output=value(1)),
    s.AttemptFailed(**A1, error=BOOM),
    s.AttemptStopped(**A1),
    s.AttemptIdle(**A1, keys=("nap",)),
    s.StepEnded(**A1, key="k", digest="d", value=value(1)),
    s.OpenWait(**A1, key="nap", kind="timer", due=1.0),
    s.Answer(path="a", key="nap", value=value(1)),
    s.MapExpanded(path="a", count=1),
]


@pytest.mark.parametrize("signal", LATE)
def test_what_is_said_about_an_attempt_that_is_over_is_dropped(signal: s.AnySignal):
    play = Play(node("a"), node("b"))
    play.succeed("a")
    assert play.hand(signal).events == []


@pytest.mark.parametrize("signal", LATE)
def test_what_is_said_about_an_attempt_that_was_followed_by_another_is_dropped(signal: s.AnySignal):
    play = Play(node("a"))
    play.take_over()
    assert play.visit("a").attempt == 2
    assert play.hand(signal).events == []


@pytest.mark.parametrize("signal", LATE)
def test_what_is_said_about_an_unknown_visit_is_dropped(signal: s.AnySignal):
    play = Play(node("b"))
    assert play.hand(signal).events == []


@pytest.mark.parametrize("signal", LATE[:-2])
def test_what_is_said_about_the_attempt_of_a_group_is_dropped(signal: s.AnySignal):
    play = Play(node("a", graph=graph(node("b"))))
    play.visit("a").attempt = 1
    assert play.machine.handle([signal], 0.0).events == []


def test_an_attempt_that_was_not_told_to_stop_does_not_stop():
    play = Play(node("a"))
    assert play.hand(s.AttemptStopped(**A1)).events == []


def test_an_attempt_that_is_being_stopped_cannot_be_suspended():
    play = Play(node("a"), node("b"))
    play.hand(s.OpenWait(**A1, key="nap", kind="timer", due=9.0))
    play.fail("b")
    assert play.hand(s.AttemptIdle(**A1, keys=("nap",))).events == []


@pytest.mark.parametrize("keys", [("other",), ("nap", "other")])
def test_a_body_is_idle_only_for_what_it_has_opened(keys: tuple[str, ...]):
    play = Play(node("a"))
    play.hand(s.OpenWait(**A1, key="nap", kind="timer", due=9.0))
    assert play.hand(s.AttemptIdle(**A1, keys=keys)).events == []


def test_a_step_is_recorded_once():
    play = Play(node("a"))
    step = s.StepEnded(**A1, key="k", digest="d", value=value(1))
    assert len(play.hand(step).events) == 1
    assert play.hand(step).events == []


def test_a_step_that_failed_is_recorded_too():
    play = Play(node("a"))
    play.hand(s.StepEnded(**A1, key="k", digest="d", error=BOOM))
    assert play.visit("a").steps["k"].error == BOOM


def test_a_wait_is_opened_once():
    play = Play(node("a"))
    wait = s.OpenWait(**A1, key="nap", kind="timer", due=9.0)
    assert len(play.hand(wait).events) == 1
    assert play.hand(wait).events == []


def test_a_question_is_answered_once():
    play = Play(node("a"))
    play.sleep("a", due=None)
    decision = play.answer("a")
    assert (len(decision.events), decision.refusals) == (2, {})
    refused(play.answer("a"), "a does not wait for 'nap' any more (answered)")


def test_a_sleep_cannot_be_answered():
    play = Play(node("a"))
    play.sleep("a", due=9.0)
    refused(play.answer("a"), "a asks nothing called 'nap'")


def test_a_question_that_is_not_there_cannot_be_answered():
    play = Play(node("a"))
    refused(play.answer("a"), "a asks nothing called 'nap'")
    refused(play.hand(s.Answer(path="b", key="q", value=value(1))), "b asks nothing called 'q'")


def test_each_refusal_names_its_signal():
    play = Play(node("a"))
    assert list(play.hand(s.Pause(), s.Pause(), s.Resume(), s.Resume()).refusals) == [1, 3]


def test_a_body_that_is_being_stopped_hears_no_answer():
    play = Play(node("a"), node("b"))
    play.hand(s.OpenWait(**A1, key="q", kind="answer"))
    play.fail("b")
    refused(play.answer("a", "q"), "a does not wait for 'q' any more (it is being stopped)")


def test_only_a_running_run_is_paused_and_only_a_paused_one_resumed():
    play = Play(node("a"))
    refused(play.hand(s.Resume()), "only a paused one can be resumed, and it is running")
    play.hand(s.Pause())
    refused(play.hand(s.Pause()), "only a running one can be paused, and it is paused")


def test_a_run_is_cancelled_once_and_not_after_its_end():
    play = Play(node("a"))
    play.hand(s.Cancel(reason="enough", by="me"))
    assert play.hand(s.Cancel()).events == []
    play.acknowledge("a")
    assert play.run.reason == "enough by me"
    assert play.hand(s.Cancel()).events == []


def test_a_run_that_goes_on_or_is_complete_is_not_retried():
    play = Play(node("a"))
    refused(play.hand(s.RetryRun()), "only one that has ended can be retried, and it is running")
    play.succeed("a")
    refused(play.hand(s.RetryRun()), "it has completed, and nothing in it failed")


def test_a_retry_keeps_what_was_completed_and_makes_the_rest_anew():
    play = Play(node("a"), node("b", "a"), node("c", "b"))
    play.succeed("a")
    play.fail("b")
    play.hand(s.RetryRun(by="me"))
    assert (play.run.generation, play.started) == (2, ["b"])
    play.succeed("b")
    play.succeed("c")
    assert play.run.state is R.COMPLETED


# Takeover ------------------------------------------------------------------------------------------


def test_a_new_owner_interrupts_what_was_under_way_and_starts_it_again():
    play = Play(node("a"), node("b", retry=THREE))
    play.fail("b")
    play.take_over()
    assert [type(event) for event in play.events()] == [e.OwnershipTaken, e.AttemptInterrupted, e.AttemptStarted]
    assert (play.run.epoch, play.visit("a").attempt, play.visit("a").failures) == (2, 2, 0)


def test_an_attempt_of_unknown_effect_fails_if_it_is_declared_so():
    play = Play(node("a", on_interrupt=OnInterrupt.FAIL, retry=THREE))
    play.take_over()
    assert play.visit("a").error.type == "interrupted"
    assert play.run.state is R.FAILED


def test_an_attempt_is_not_interrupted_for_ever():
    play = Play(node("a"), max_interruptions=2)
    for _ in range(3):
        assert play.state("a") is N.RUNNING
        play.take_over()
    assert "more than the limit of 2" in play.visit("a").error.message


def test_a_takeover_while_others_fail_because_of_it_ends_all():
    play = Play(node("a", on_interrupt=OnInterrupt.FAIL), node("b"), node("g", graph=graph(node("c"))))
    play.take_over()
    assert play.states() == {"a": "failed", "b": "cancelled", "g": "cancelled", "g/c": "cancelled"}


def test_a_waiting_body_needs_no_process():
    play = Play(node("a"))
    play.sleep("a", due=9.0)
    play.take_over()
    assert len(play.events()) == 1
    play.at(9.0)
    assert play.started == ["a"]


def test_a_new_owner_asks_again_for_items():
    play = Play(mapped("m"))
    play.take_over()
    assert [command.path for command in play.commands(c.ExpandMap)] == ["m"]


# Outstanding commands ------------------------------------------------------------------------------


def test_a_body_that_is_being_stopped_is_outstanding_twice():
    play = Play(node("a"), node("b"))
    play.fail("b")
    assert [type(command) for command in play.machine.outstanding()] == [c.StartAttempt, c.StopAttempt]


def snapshots(play: Play, signals: list[s.AnySignal]) -> list[int]:
    """After which events the machine asks for a snapshot."""
    asked = [(play.machine.handle([signal], 0.0).commands, play.run.seq) for signal in signals]
    return [seq for commands, seq in asked if c.TakeSnapshot() in commands]


def test_a_machine_asks_for_a_snapshot_when_the_tail_is_long():
    steps = [s.StepEnded(**A1, key=str(i), digest="d", value=value(1)) for i in range(2 * SNAPSHOT_EVENTS)]
    assert snapshots(Play(node("a")), steps) == [SNAPSHOT_EVENTS, 2 * SNAPSHOT_EVENTS]


def test_what_has_not_changed_does_not_make_snapshots_rarer():
    play = Play(mapped("m"))
    count = 2 * SNAPSHOT_EVENTS
    play.expand("m", count)
    done = [s.AttemptSucceeded(path=f"m[{i}]", attempt=1, output=value(1)) for i in range(count)]
    asked = snapshots(play, done)
    assert len(asked) == 4
    assert all(later - sooner >= SNAPSHOT_EVENTS for sooner, later in pairwise([0, *asked]))


def test_a_run_in_which_much_is_open_is_stored_less_often():
    play = Play(*(node(f"n{i}") for i in range(SNAPSHOT_EVENTS)), max_concurrency=SNAPSHOT_EVENTS)
    live = SNAPSHOT_EVENTS
    steps = [
        s.StepEnded(path=f"n{i % live}", attempt=1, key=str(i), digest="d", value=value(1))
        for i in range(3 * live)
    ]
    (first, second, *_) = snapshots(play, steps)
    assert second - first >= live


def test_nothing_new_asks_for_no_snapshot():
    play = Play(node("a"))
    play.run.seq = SNAPSHOT_EVENTS
    assert play.machine.handle([s.Tick()], 0.0).commands == []
