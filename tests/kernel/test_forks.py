"""A run goes on as another one: with what was done, without what is under way, with the time it had (SG10)."""

from __future__ import annotations

import pytest
from play import THREE, Play, literal, node, value
from trip import END, START, Trip, decided, each, edge, key, parallel, part, routed, step
from trip_parts import LOG, at_barrier, before_barrier, judged

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import OnInterrupt
from clew.kernel.errors import KernelError
from clew.kernel.machine import Machine
from clew.kernel.questions import DECISION
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R

KEYS = (LOG, key("topic"), *decided("ok"))


def fork(play: Play, *, since: float | None = None, **signal: object) -> Play:
    """Another process goes on with what the run was until now, under another name."""
    run = Machine.restore(play.topology, None, play.witness.events).run
    play.witness.machine = play.machine = Machine(play.topology, run, play.gate, play.rules)
    play.hand(s.Fork(run="fork", since=play.now if since is None else since, **signal))
    return play


# Names ------------------------------------------------------------------------------------------------------


def test_a_fork_has_its_own_name_and_labels_and_knows_where_it_comes_from():
    play = Play(node("a"))
    before = play.run.seq
    play.take_over()
    fork(play, labels={"try": "2"}, by="me")
    (forked,) = play.events(e.RunForked)
    assert (forked.run, forked.origin, forked.by) == ("fork", "run", "me")
    assert (play.run.id, play.run.labels, play.run.epoch) == ("fork", {"try": "2"}, 1)
    assert play.run.origin == ("run", before + 3)


@pytest.mark.parametrize("end", [R.COMPLETED, R.FAILED, R.CANCELLED])
def test_a_run_that_has_ended_is_forked_from_an_earlier_position(end):
    play = Play(node("a"))
    if end is R.CANCELLED:
        play.hand(s.Cancel())
        play.acknowledge("a")
    elif end is R.FAILED:
        play.fail("a")
    else:
        play.succeed("a")
    fork(play)
    assert play.decision.refusals[0] == f"at that position it is {end}; choose an earlier one"
    assert play.events() == []


def test_a_paused_run_goes_on_as_a_fork():
    play = Play(node("a"), node("b", "a"))
    play.hand(s.Pause())
    play.succeed("a")
    fork(play)
    assert play.run.state is R.RUNNING
    assert play.started == ["b"]


# What is under way ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", list(OnInterrupt))
def test_an_attempt_that_is_under_way_is_left_to_the_first_run_and_made_anew(how):
    play = Play(node("a", on_interrupt=how, probe=literal("p").json))
    fork(play)
    (left,) = play.events(e.AttemptInterrupted)
    assert left.left
    assert play.started == ["a"]
    visit = play.visit("a")
    assert (visit.attempt, visit.interruptions, visit.in_doubt) == (2, 0, False)


def test_what_was_in_doubt_before_stays_in_doubt():
    play = Play(node("a", on_interrupt=OnInterrupt.PROBE, probe=literal("p").json))
    play.take_over()
    assert play.visit("a").probing
    fork(play)
    (command,) = play.commands(c.StartAttempt)
    assert command.probe
    assert play.visit("a").in_doubt


def test_steps_that_have_ended_are_kept_and_open_ones_forgotten():
    play = Play(node("a"))
    where = {"path": "a", "attempt": 1}
    play.hand(
        s.StepEnded(**where, key="done", digest="d", value=value(1)),
        s.StepBegun(**where, key="open", digest="d"),
    )
    fork(play)
    (command,) = play.commands(c.StartAttempt)
    assert list(command.steps) == ["done"]


def test_a_run_whose_steps_are_all_open_begins_without_any():
    play = Play(node("a"))
    play.hand(s.StepBegun(path="a", attempt=1, key="open", digest="d"))
    fork(play)
    assert play.visit("a").steps is None


def test_exclusive_keys_stay_with_the_first_run():
    play = Play(node("a"), node("b"))
    play.wait("a", "lock", "key", name="printer")
    play.hand(s.KeyTaken(path="a", key="lock"))
    play.wait("b", "lock", "key", name="printer")
    fork(play)
    assert play.visit("a").waits is None
    assert play.visit("b").waits is None


def test_a_body_that_only_waits_goes_on_waiting_as_long_as_it_would_have():
    play = Play(node("a"))
    play.now = 10.0
    play.sleep("a", due=15.0)
    play.now = 100.0
    fork(play, since=10.0)
    assert play.visit("a").waits["nap"].due == 105.0
    assert play.machine.wake_at == 105.0
    play.at(105.0)
    assert play.started == ["a"]


def test_a_key_that_a_sleeping_body_holds_is_asked_for_again():
    play = Play(node("a"))
    play.wait("a", "lock", "key", name="printer")
    play.hand(s.KeyTaken(path="a", key="lock"))
    play.sleep("a", due=None)
    fork(play)
    assert list(play.visit("a").waits) == ["nap"]


def test_time_limits_and_retries_are_as_far_away_as_they_were():
    play = Play(node("a", retry=THREE, total_timeout_s=50.0), timeout_s=99.0)
    play.now = 10.0
    play.fail("a")
    assert (play.visit("a").retry_due, play.visit("a").total_due, play.run.due) == (11.0, 50.0, 99.0)
    play.now = 1_000.0
    fork(play, since=10.0)
    assert (play.visit("a").retry_due, play.visit("a").total_due, play.run.due) == (1_001.0, 1_040.0, 1_089.0)
    assert play.events(e.RunForked)[0].shift_s == 990.0
    play.at(1_001.0)
    assert play.started == ["a"]


def test_clocks_that_go_back_bring_nothing_nearer():
    play = Play(node("a"))
    play.sleep("a", due=9.0)
    fork(play, since=50.0)
    assert play.machine.wake_at == 9.0


def test_what_was_being_found_or_read_is_asked_for_again():
    inner = routed(step("x"), keys=(LOG, key("own")), name="inner")
    trip = Trip(parallel("p", each("m", literal([1])), part("sub", inner, inputs={"own": literal(1)})), keys=KEYS)
    fork(trip)
    assert {(type(command), command.path) for command in trip.decision.commands} == {
        (c.ExpandMap, "p/m"), (c.Gather, "p/sub"),
    }  # fmt: skip


# State graphs -----------------------------------------------------------------------------------------------


def test_a_fork_of_a_state_graph_goes_on_where_the_token_is():
    trip = Trip(step("a"), step("b"), keys=KEYS)
    trip.write("a", log=[1])
    fork(trip)
    assert trip.started == ["b"]
    trip.write("b", log=[2])
    assert trip.state_of() == {"log": [1, 2]}


def test_its_state_may_be_changed_past_the_reducers():
    trip = Trip(
        step("a"), step("b"), step("c"), keys=KEYS,
        edges=(
            edge(START, "a"), edge("a", "b", ["shorter", "log", 3]), edge("a", "c"),
            edge("b", END), edge("c", END),
        ),
        inputs={"topic": "cats"},
    )  # fmt: skip
    fork(trip, changes={"log": literal([1, 2, 3]).json}, delete=("topic",), by="me")
    (changed,) = trip.events(e.StateChanged)
    assert changed.by == "me"
    assert trip.state_of() == {"log": [1, 2, 3]}
    trip.tell("a")
    assert trip.ways == [("c", "edge")]


def test_a_barrier_asks_again_about_a_state_that_was_changed():
    trip = at_barrier(timeout_s=10.0)
    before = trip.visit("ok").waits[DECISION].digest
    trip.now = 4.0
    fork(trip, since=2.0, changes={"topic": literal("dogs").json})
    wait = trip.visit("ok").waits[DECISION]
    assert wait.digest != before
    assert wait.due == 12.0
    trip.decide("ok", "approve", shown=before)
    assert "not what was shown" in trip.refusal
    trip.decide("ok", "approve", shown=wait.digest)
    assert trip.started == ["z"]


def test_a_barrier_of_an_unchanged_state_keeps_its_question():
    trip = at_barrier(timeout_s=10.0)
    fork(trip)
    assert trip.events(e.WaitOpened) == []
    trip.at(10.0)
    assert judged(trip)[0] == "expired"


def test_decisions_that_were_given_early_are_those_of_the_first_run():
    trip = before_barrier()
    trip.decide("ok", "approve")
    fork(trip)
    trip.write("a", log=[1])
    assert trip.state("ok") is N.WAITING


def test_a_state_may_be_changed_before_the_first_step_has_found_a_way():
    trip = Trip(step("a"), keys=KEYS)
    trip.lose_functions()
    fork(trip, changes={"topic": literal("x").json})
    assert trip.state_of() == {"topic": "x"}
    assert trip.started == ["a"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"gone": literal(1).json}, "'gone' is no key of the state of play"), ({}, "'gone' is no key")],
)
def test_a_change_that_does_not_fit_is_refused(changes, told):
    trip = Trip(step("a"), keys=KEYS)
    run = Machine.restore(trip.topology, None, trip.witness.events).run
    machine = Machine(trip.topology, run, rules=trip.rules)
    decision = machine.handle([s.Fork(run="fork", since=0.0, changes=changes, delete=("gone",))], 0.0)
    assert decision.refusals[0].startswith(told)
    assert decision.events == []


def test_only_the_state_of_a_state_graph_can_be_changed():
    play = fork(Play(node("a")), changes={"k": literal(1).json})
    assert play.decision.refusals[0] == "only the state of a state graph can be changed, and this is none"
    assert play.events() == []


def test_what_the_first_run_has_done_is_not_the_forks_to_undo():
    trip = Trip(step("a"), step("b"), keys=KEYS)
    trip.write("a", log=[1])
    fork(trip)
    assert trip.visit("a").inherited
    assert not trip.visit("b").inherited
    with pytest.raises(KernelError, match="exists already"):
        trip.hand(s.Admit(run="x", graph="h", definition="d"))
