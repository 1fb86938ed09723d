"""`invariants.check` finds what is broken in state graphs: each state here is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from trip import Trip, barrier, decided, key, parallel, part, routed, step
from trip_parts import LOG, given

from clew.kernel.invariants import check
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.visits import Group, Walk


def stage() -> Trip:
    """A step that is done, and branches under way: a sub-graph on its way, a body, a barrier, one at its limit."""
    inner = routed(step("x"), step("y"), keys=(LOG,))
    keys = (LOG, key("n", "sum", default=1), *decided("ok"))
    trip = Trip(step("a"), parallel("p", part("s", inner), step("b"), barrier("ok"), at_once=2), keys=keys)
    trip.write("a", log=[1])
    trip.write("p/s/x", log=[2])
    assert trip.states() == {
        "a": "completed", "p": "running", "p/s": "running", "p/s/x": "completed", "p/s/y": "running",
        "p/b": "running", "p/ok": "ready",
    }  # fmt: skip
    return trip


def group_at(run: Run, path: str) -> Group:
    group = run.visits[path].inner if path else run.root
    assert group is not None
    return group


def on_group(path: str, **fields: object) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        for name, new in fields.items():
            setattr(group_at(run, path), name, new)

    return change


def walk_on(run: Run) -> None:
    """A second step is under way beside the one that is."""
    walk = group_at(run, "p/s")
    assert isinstance(walk, Walk)
    run.enter_node(walk, walk.topology.nodes[0])


def stand_still(run: Run) -> None:
    run.move(run.visits["p/s/y"], NodeState.FAILED)
    group_at(run, "p/s").routed = False


def lose_queue(run: Run) -> None:
    run.ready.clear()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (on_group("p/s", size=99), "counts the size of its state wrong: 99, not"),
        (on_group("p/s", entered=False), "has begun without its state"),
        (on_group("p/s", entered=False), "waits for something to be read, and nobody reads it"),
        (on_group("p/s", done=True), "is at its end, and <p/s/y running attempt 1> has not settled"),
        (on_group("p/s", done=True), "<p/s running attempt 0> has not settled although its members have"),
        (on_group("p", limit=1), "has more under way than its max_concurrency"),
        (walk_on, "has several steps under way"),
        (stand_still, "stands still at <p/s/y failed attempt 1>"),
        (lose_queue, "<p/ok ready attempt 0> is ready and in no queue"),
    ],
)
def test_what_is_broken_is_found(damage: Callable[[Run], None], told: str) -> None:
    run = stage().run
    assert check(run) == []
    damage(run)
    assert any(told in problem for problem in check(run)), check(run)


def test_a_barrier_that_nobody_opens_is_found() -> None:
    trip = Trip(barrier("ok"), keys=decided("ok"), gate=lambda path, node: False)
    trip.run.move(trip.visit("ok"), NodeState.CANCELLED)
    trip.run.move(trip.visit("ok"), NodeState.PENDING)
    trip.visit("ok").waits = None
    trip.run.make_ready(trip.visit("ok"))
    assert check(trip.run) == []
    trip.run.openable.clear()
    assert check(trip.run) == ["<ok ready attempt 0> is ready and in no queue"]


def test_what_nobody_reads_is_found() -> None:
    trip = given()
    assert check(trip.run) == []
    trip.run.gathering.clear()
    assert check(trip.run) == ["<sub running attempt 0> waits for something to be read, and nobody reads it"]


def test_a_machine_without_functions_may_leave_a_token_where_it_is() -> None:
    trip = Trip(barrier("ok"), step("z"), keys=decided("ok"))
    trip.lose_functions()
    trip.decide("ok", "approve")
    assert check(trip.run, able=False) == []
    assert check(trip.run) == ["<group /: 1/1 settled, 0 active> stands still at <ok completed attempt 0>"]
