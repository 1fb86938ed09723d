"""The tables of transitions: what they do not hold is refused and changes nothing."""

from __future__ import annotations

import pytest
from play import BOOM, Play, node
from state_diagrams import PAGE, page

from clew.kernel import events as e
from clew.kernel.errors import IllegalTransition
from clew.kernel.fold import fold
from clew.kernel.snapshot import image
from clew.kernel.states import NODE_TRANSITIONS, RUN_ENDED, RUN_TRANSITIONS, SETTLED, NodeState, RunState
from clew.kernel.values import GATHERED

ILLEGAL_OF_RUNS = [(a, b) for a in RunState for b in RunState if b not in RUN_TRANSITIONS[a]]
ILLEGAL_OF_NODES = [(a, b) for a in NodeState for b in NodeState if b not in NODE_TRANSITIONS[a]]
ENTERING = {
    NodeState.READY: [e.RetryDue(at=1, path="a"), e.AttemptInterrupted(at=1, path="a")],
    NodeState.RUNNING: [e.AttemptStarted(at=1, path="a", attempt=2), e.AttemptResumed(at=1, path="a")],
    NodeState.WAITING: [e.AttemptSuspended(at=1, path="a")],
    NodeState.RETRYING: [e.RetryScheduled(at=1, path="a", error=BOOM, due=2)],
    NodeState.STOPPING: [e.AttemptStopping(at=1, path="a", reason="timeout")],
    NodeState.COMPLETED: [e.NodeCompleted(at=1, path="a", output=GATHERED)],
    NodeState.FAILED: [e.NodeFailed(at=1, path="a", error=BOOM)],
    NodeState.SKIPPED: [e.NodeSkipped(at=1, path="a", cause="b")],
    NodeState.CANCELLED: [e.NodeCancelled(at=1, path="a", reason="cancel")],
}


def test_every_state_is_in_its_table():
    assert set(RUN_TRANSITIONS) == set(RunState)
    assert set(NODE_TRANSITIONS) == set(NodeState)


def test_what_has_settled_is_left_by_a_retry_only():
    assert all(NODE_TRANSITIONS[state] == {NodeState.PENDING} for state in SETTLED)


def test_what_has_ended_is_left_by_a_retry_or_a_rollback_only():
    left = {RunState.RUNNING, RunState.ROLLING_BACK}
    assert all(RUN_TRANSITIONS[state] <= left for state in RUN_ENDED)
    assert RUN_TRANSITIONS[RunState.ROLLED_BACK] == set()
    assert RUN_TRANSITIONS[RunState.ROLLBACK_FAILED] == {RunState.ROLLING_BACK}


@pytest.mark.parametrize(("source", "target"), ILLEGAL_OF_RUNS)
def test_an_illegal_step_of_a_run_is_refused(source: RunState, target: RunState):
    run = Play(node("a")).run
    run.state = source
    with pytest.raises(IllegalTransition, match=f"run run cannot go from {source} to {target}"):
        run.enter(target)
    assert run.state is source


@pytest.mark.parametrize(("source", "target"), ILLEGAL_OF_NODES)
def test_an_illegal_step_of_a_node_is_refused_and_changes_nothing(source: NodeState, target: NodeState):
    play = Play(node("a"))
    play.visit("a").state = source
    before, counters = image(play.run), (play.run.running, play.run.settled, play.run.root.active)
    with pytest.raises(IllegalTransition, match=f"node a cannot go from {source} to {target}"):
        play.run.move(play.visit("a"), target)
    assert image(play.run) == before
    assert (play.run.running, play.run.settled, play.run.root.active) == counters


@pytest.mark.parametrize(
    ("source", "event"),
    [
        (source, event)
        for source, target in ILLEGAL_OF_NODES
        for event in ENTERING.get(target, [])
        # An attempt that was being stopped when its process died stays as it is, until what follows.
        if not (source is NodeState.STOPPING and isinstance(event, e.AttemptInterrupted))
    ],
)
def test_an_event_that_does_not_fit_is_refused_and_changes_nothing(source: NodeState, event: e.AnyEvent):
    play = Play(node("a"))
    play.visit("a").state = source
    before = image(play.run)
    with pytest.raises(IllegalTransition) as refused:
        fold(play.run, event)
    assert (refused.value.subject, refused.value.source) == ("node a", source)
    assert image(play.run) == before


def test_the_document_shows_the_tables():
    assert PAGE.read_text("utf-8") == page(), "run: python tests/kernel/state_diagrams.py"
