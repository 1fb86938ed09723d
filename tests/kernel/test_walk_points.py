"""What is awaited at each point of a run: its outstanding commands, when it is to be woken, whether it rests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from play import THREE, literal, node
from trip import Trip, barrier, decided, each, key, parallel, part, routed, step
from trip_parts import LOG, reporting

from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.definition import OnInterrupt
from clew.kernel.machine import Machine

KEYS = (LOG, key("own"), *decided("ok"))
INNER = routed(step("x"), keys=(LOG, key("own")), name="inner")


def trip(*nodes) -> Trip:
    return Trip(*nodes, keys=KEYS)


def running() -> Trip:
    return trip(step("a", timeout_s=9.0))


def sleeping() -> Trip:
    play = trip(step("a"))
    play.sleep("a", due=9.0)
    return play


def retrying() -> Trip:
    play = trip(step("a", retry=THREE))
    play.fail("a")
    return play


def stopping() -> Trip:
    play = trip(step("a", timeout_s=9.0))
    play.at(9.0)
    return play


def refused() -> Trip:
    return Trip(step("a"), keys=KEYS, gate=lambda path, node: False)


def in_doubt() -> Trip:
    play = trip(step("a", on_interrupt=OnInterrupt.ASK))
    play.take_over()
    return play


def at_barrier() -> Trip:
    return trip(barrier("ok", timeout_s=9.0))


def at_barrier_for_ever() -> Trip:
    return trip(barrier("ok"))


def at_barrier_in_branch() -> Trip:
    return trip(parallel("p", barrier("ok", timeout_s=9.0), step("a")))


def at_barrier_in_sub_graph() -> Trip:
    return trip(part("sub", routed(barrier("ok", timeout_s=9.0), keys=KEYS)))


def at_barrier_paused() -> Trip:
    play = at_barrier()
    play.hand(s.Pause())
    return play


def finding_items() -> Trip:
    return trip(each("m", literal([1])))


def in_items() -> Trip:
    play = finding_items()
    play.expand("m", 2)
    play.sleep("m[0]", due=9.0)
    return play


def reading_inputs() -> Trip:
    return trip(part("sub", INNER, inputs={"own": literal(1)}))


def reading_output() -> Trip:
    play = trip(reporting(node("f"), inputs={}))
    play.succeed("dep/f")
    return play


def reading_while_cancelled() -> Trip:
    play = reading_output()
    play.hand(s.Cancel())
    return play


def paused_between_steps() -> Trip:
    play = trip(step("a"), step("b"))
    play.hand(s.Pause())
    play.tell("a")
    return play


def failed() -> Trip:
    play = trip(step("a"))
    play.fail("a")
    return play


def completed() -> Trip:
    play = trip(step("a"))
    play.tell("a")
    return play


@pytest.mark.parametrize(
    ("point", "outstanding", "wake_at", "is_idle"),
    [
        (running, ["StartAttempt a"], 9.0, False),
        (sleeping, [], 9.0, True),
        (retrying, [], 1.0, True),
        (stopping, ["StartAttempt a", "StopAttempt a"], None, False),
        (refused, [], None, False),
        (in_doubt, [], None, True),
        (at_barrier, [], 9.0, True),
        (at_barrier_for_ever, [], None, True),
        (at_barrier_in_branch, ["StartAttempt p/a"], 9.0, False),
        (at_barrier_in_sub_graph, [], 9.0, True),
        (at_barrier_paused, [], None, True),
        (finding_items, ["ExpandMap m"], None, False),
        (in_items, ["StartAttempt m[1]"], 9.0, False),
        (reading_inputs, ["Gather sub"], None, False),
        (reading_output, ["Gather dep"], None, False),
        (reading_while_cancelled, ["Gather dep"], None, False),
        (paused_between_steps, [], None, True),
        (failed, [], None, False),
        (completed, [], None, False),
    ],
)
def test_what_is_awaited(
    point: Callable[[], Trip], outstanding: list[str], wake_at: float | None, is_idle: bool
) -> None:
    play = point()
    restored = Machine.restore(play.topology, None, play.witness.events, rules=play.rules)
    for machine in (play.machine, restored):
        assert [told(command) for command in machine.outstanding()] == outstanding
        assert machine.wake_at == wake_at
        assert machine.is_idle is is_idle


def told(command: c.StartAttempt | c.StopAttempt | c.ExpandMap | c.Gather) -> str:
    return f"{type(command).__name__} {command.path}"


@pytest.mark.parametrize(
    ("point", "again"),
    [
        (running, ["StartAttempt a"]),
        (at_barrier, []),
        (finding_items, ["ExpandMap m"]),
        (reading_inputs, ["Gather sub"]),
        (reading_output, ["Gather dep"]),
        (reading_while_cancelled, ["Gather dep"]),
        (paused_between_steps, []),
        (at_barrier_in_branch, ["StartAttempt p/a"]),
    ],
)
def test_whoever_takes_over_is_told_all_of_it_again(point: Callable[[], Trip], again: list[str]) -> None:
    play = point()
    play.take_over()
    assert [told(command) for command in play.decision.commands] == again
