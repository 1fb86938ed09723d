"""Schedules tried one by one: what is wrong with a run, beside the undisturbed run of its plan."""

import gc
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from crash_laws import problems
from crash_lives import Outcome, play
from crash_plans import Death, Plan, Schedule, plan_of, schedule_of
from crash_routes import StatePlan, state_plan_of, state_schedule_of, without_stops
from crash_undo_plans import undo_story_of
from crash_worlds import World

#: What a process can die at, and whether it has taken effect then.
MOMENTS = [(of, done) for of in ("commit", "command", "call") for done in (True, False)]
#: The garbage of so many schedules is collected at once.
_TOGETHER = 200


@lru_cache(maxsize=2)
def plain_run(plan: Plan) -> tuple[World, Outcome]:
    """A plan's undisturbed run.

    Raises:
        AssertionError: it breaks a law by itself.
    """
    world, outcome = play(plan, Schedule())
    if broken := problems(world, outcome, world, outcome):
        raise AssertionError(f"the undisturbed run: {broken}")
    return world, outcome


def wrong_with(plan: Plan, schedule: Schedule) -> list[str]:
    """What is wrong with a run that a schedule befalls; nothing, if all is well."""
    try:
        plain_world, plain = plain_run(plan)
        with tempfile.TemporaryDirectory() as folder:
            world, outcome = play(plan, schedule, Path(folder))
        return problems(world, outcome, plain_world, plain)
    except Exception:
        return [traceback.format_exc()]


def story_of(seed: int, kind: str = "") -> tuple[Plan, Schedule]:
    """What a seed tells: of graphs of dependencies, of state graphs (``states``), or of both (``rollbacks``)."""
    match kind:
        case "rollbacks":
            return undo_story_of(seed)
        case "states":
            return state_plan_of(seed), state_schedule_of(seed)
        case _:
            return plan_of(seed), schedule_of(seed)


def told(seed: int, kind: str = "") -> str:
    """What is wrong with a seed, at length, with how to get it again; empty if nothing is."""
    plan, schedule = story_of(seed, kind)
    wrong = wrong_with(plan, schedule)
    if not wrong:
        return ""
    lines = "\n  ".join(wrong)
    option = f" --{kind}" if kind else ""
    again = f".venv/bin/python tests/engine/replay_schedule.py {seed}{option} --smaller --events"
    return f"seed {seed}:\n  {lines}\nagain: {again}"


def try_seeds(first: int, count: int, kind: str = "") -> list[str]:
    """What is wrong with seeds in a row."""
    found: list[str] = []
    for seed in range(first, first + count):
        if wrong := told(seed, kind):
            found.append(wrong)
        if seed % _TOGETHER == 0:
            gc.collect()
    return found


def try_each_death(plan: Plan, of: str, *, done: bool, steps: int = 1) -> int:
    """Die at each moment of a kind, and once more soon after; how many stories that are."""
    count = plain_run(plan)[1].counts[of]
    for at in range(1, count + 1, steps):
        # The second life ends soon after it has taken the run over.
        second = Death(("commit", "command", "call")[at % 3], at % 7 + 1, not done)
        schedule = Schedule(seed=at, deaths=(Death(of, at, done), second), gaps=(20.0, 3_600.0), parks=at % 2 == 0)
        assert not (wrong := wrong_with(plan, schedule)), (schedule, *wrong)
    return count


def try_each_fault(plan: Plan, burst: int, steps: int = 1) -> int:
    """Let each call fail, and some after it; how many stories that are."""
    count = plain_run(plan)[1].counts["call"]
    for first in range(1, count + 1, steps):
        schedule = Schedule(seed=first, fail_at=frozenset(range(first, first + burst)), parks=first % 2 == 0)
        assert not (wrong := wrong_with(plan, schedule)), (schedule, *wrong)
    return count


def smaller(plan: Plan, schedule: Schedule) -> tuple[Plan, Schedule]:
    """A story that fails as well, with as little in it as leaving things out one by one comes to."""
    while True:
        for less in _less(plan, schedule):
            if wrong_with(*less):
                plan, schedule = less
                break
        else:
            return plan, schedule


def _less(plan: Plan, schedule: Schedule) -> Iterator[tuple[Plan, Schedule]]:
    if isinstance(plan, StatePlan):
        yield from ((less, schedule) for less in without_stops(plan))
    for number in reversed(range(len(plan.nodes))):
        if len(plan.nodes) > 1:
            yield _without(plan, number), schedule
    for number in range(len(schedule.deaths)):
        deaths = schedule.deaths[:number] + schedule.deaths[number + 1 :]
        gaps = schedule.gaps[:number] + schedule.gaps[number + 1 :]
        yield plan, replace(schedule, deaths=deaths, gaps=gaps)
    for number in range(len(schedule.meddling)):
        yield plan, replace(schedule, meddling=schedule.meddling[:number] + schedule.meddling[number + 1 :])
    for call in sorted(schedule.fail_at, reverse=True):
        yield plan, replace(schedule, fail_at=schedule.fail_at - {call})
    if plan.undo is not None and plan.undo.automatic:
        yield replace(plan, undo=replace(plan.undo, automatic=False)), schedule
    for name in ("delay_s", "parks", "neighbour", "stores", "early", "standing", "wrong"):
        plain = getattr(Schedule(), name)
        if getattr(schedule, name) != plain:
            yield plan, replace(schedule, **{name: plain})


def _without(plan: Plan, left_out: int) -> Plan:
    """The plan but for one node; those that read it do without, and the others keep their places."""
    nodes = []
    for number, sketch in enumerate(plan.nodes):
        if number != left_out:
            reads = tuple(read - (read > left_out) for read in sketch.reads if read != left_out)
            nodes.append(replace(sketch, reads=reads))
    if not isinstance(plan, StatePlan):
        return replace(plan, nodes=tuple(nodes))
    walks = tuple((place - (place > left_out), walk) for place, walk in plan.walks if place != left_out)
    return replace(plan, nodes=tuple(nodes), walks=walks)
