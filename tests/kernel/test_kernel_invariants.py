"""`invariants.check` finds what it is for: each state here is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from play import Play, graph, mapped, node, value

from clew.kernel.commands import Wait
from clew.kernel.invariants import check
from clew.kernel.questions import IN_DOUBT
from clew.kernel.state import Run
from clew.kernel.states import NodeState, RunState
from clew.kernel.values import GATHERED, Message


def stage() -> Play:
    """A run with a completed node, a running one, a ready one, a pending one, a sub-graph and a limited map."""
    play = Play(
        node("done"),
        node("b", timeout_s=9.0, total_timeout_s=9.0),
        node("c", "b"),
        node("g", graph=graph(node("x"))),
        mapped("m", max_concurrency=1),
        node("r", priority=-1),
        max_concurrency=4,
    )
    play.expand("m", 2)
    play.succeed("done")
    assert [play.state(path) for path in ("b", "g/x", "m[0]", "r")] == [NodeState.RUNNING] * 4
    return play


def set_(path: str, **fields: object) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        for name, new in fields.items():
            setattr(run.visits[path], name, new)

    return change


def on_run(**fields: object) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        for name, new in fields.items():
            setattr(run, name, new)

    return change


def on_group(path: str, **fields: object) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        for name, new in fields.items():
            setattr(run.visits[path].inner, name, new)

    return change


def unblock(run: Run) -> None:
    run.root.remaining[2] = 0


def begin_too_early(run: Run) -> None:
    run.visit(run.root, 2, run.topology.nodes[2]).state = NodeState.RUNNING


def forget_who_depends(run: Run) -> None:
    run.root.members[1].state = NodeState.COMPLETED
    run.root.remaining[2] = 0


def misplace(run: Run) -> None:
    run.visits["elsewhere"] = run.visits.pop("b")


def unqueue(run: Run) -> None:
    run.ready.clear()


def wait_on(path: str, wait: Wait, key: str = "w") -> Callable[[Run], None]:
    def change(run: Run) -> None:
        run.visits[path].waits = {key: wait}

    return change


def leave_message(run: Run) -> None:
    wait_on("b", Wait("message", name="m"))(run)
    wait_on("r", Wait("message", name="n"))(run)
    run.mail["m"] = [Message(value(1), "", 1)]


def settle_all(run: Run) -> None:
    run.root.settled = len(run.root.members)


TWICE = [Message(value(1), "", 2), Message(value(1), "", 2)]
BREAKS = [
    (on_run(running=9), "run.running is 9, not 4"),
    (on_run(settled=9), "run.settled is 9, not 1"),
    (on_run(failed=9), "run.failed is 9, not 0"),
    (on_run(waiting=9), "run.waiting is 9, not 0"),
    (on_run(fresh=9), "run.fresh is 9, not 1"),
    (set_("m[1]", attempt=1), "run.fresh is 1, not -1"),
    (on_run(unopened=9), "run.unopened is 9, not 0"),
    (on_run(running=5), "5 attempts run, more than max_concurrency"),
    (on_run(state=RunState.FAILED, ended_at=1.0), "attempts run although the run has ended"),
    (on_run(ended_at=1.0), "ended_at does not fit the run's state"),
    (settle_all, "everything has settled and the run has not ended"),
    (settle_all, "<group /: 6/6 settled, 4 active> counts its settled members wrong"),
    (on_group("m", active=0), "<group m: 0/2 settled, 0 active> counts its active members wrong"),
    (on_group("m", active=2), "<group m: 0/2 settled, 2 active> has more under way than its max_concurrency"),
    (on_group("m", failed=[0]), "<group m: 0/2 settled, 1 active> names the wrong failed members"),
    (on_group("g", settled=1), "<g running attempt 0> has not settled although its members have"),
    (unblock, "c waits for 0, not 1"),
    (begin_too_early, "c began before what it depends on had settled"),
    (forget_who_depends, "c is pending although nothing holds it"),
    (misplace, "<b running attempt 1> is not where its address says"),
    (set_("done", output=None), "<done completed attempt 1> has an output that does not fit its state"),
    (set_("b", output=GATHERED), "<b running attempt 1> has an output that does not fit its state"),
    (set_("b", state=NodeState.FAILED), "<b failed attempt 1> failed without an error"),
    (set_("b", state=NodeState.STOPPING), "<b stopping attempt 1> is stopping for no reason"),
    (set_("b", state=NodeState.WAITING), "<b waiting attempt 1> waits for nothing"),
    (set_("b", started_at=None), "<b running attempt 1> runs since no time"),
    (set_("b", attempt_due=None), "<b running attempt 1> runs without its time limit"),
    (set_("b", total_due=None), "<b running attempt 1> runs without its total time limit"),
    (set_("b", state=NodeState.READY), "<b ready attempt 1> is ready and in no queue"),
    (wait_on("done", Wait("timer")), "<done completed attempt 1> has settled and still waits"),
    (set_("b", in_doubt=True), "<b running attempt 1> is in doubt, which its declaration does not know"),
    (set_("b", in_doubt=True), "<b running attempt 1> runs in doubt of an earlier attempt"),
    (set_("done", in_doubt=True), "<done completed attempt 1> has completed in doubt"),
    (set_("b", probing=True), "<b running attempt 1> probes for nothing"),
    (
        wait_on("b", Wait("answer"), IN_DOUBT),
        "<b running attempt 1> is asked about and does not wait for the answer",
    ),
    (on_run(mail={"m": []}), "the messages called m lie in disorder"),
    (on_run(mail={"m": TWICE}), "the messages called m lie in disorder"),
    (leave_message, "<b running attempt 1> waits for a message called m, and one lies there"),
    (unqueue, "<m[1] ready attempt 0> is ready and in no queue"),
]  # fmt: skip


def test_a_sound_state_has_no_problems():
    assert check(stage().run) == []


@pytest.mark.parametrize(("change", "problem"), BREAKS, ids=[problem for _, problem in BREAKS])
def test_a_broken_state_is_found(change: Callable[[Run], None], problem: str):
    run = stage().run
    change(run)
    assert problem in check(run)


def test_a_run_that_has_not_begun_has_no_visits():
    play = Play(node("a"))
    assert check(Run("", play.topology)) == []
    run = Run("", play.topology)
    run.visits = play.run.visits
    assert check(run) == ["visits before the run has started"]


def test_a_group_that_stops_need_not_release_anybody():
    play = Play(node("a"), node("b", "a"), node("x"))
    play.fail("a")
    play.run.root.remaining[1] = 0
    assert check(play.run) == []
