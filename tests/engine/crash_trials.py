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
from crash_plans import Plan, Schedule, plan_of, schedule_of
from crash_worlds import World

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


def told(seed: int) -> str:
    """What is wrong with a seed, at length, with how to get it again; empty if nothing is."""
    plan, schedule = plan_of(seed), schedule_of(seed)
    wrong = wrong_with(plan, schedule)
    if not wrong:
        return ""
    lines = "\n  ".join(wrong)
    again = f".venv/bin/python tests/engine/replay_schedule.py {seed} --smaller --events"
    return f"seed {seed}:\n  {lines}\nagain: {again}"


def try_seeds(first: int, count: int) -> list[str]:
    """What is wrong with seeds in a row."""
    found: list[str] = []
    for seed in range(first, first + count):
        if wrong := told(seed):
            found.append(wrong)
        if seed % _TOGETHER == 0:
            gc.collect()
    return found


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
    for number in reversed(range(len(plan.nodes))):
        if len(plan.nodes) > 1:
            yield replace(plan, nodes=_without(plan, number)), schedule
    for number in range(len(schedule.deaths)):
        deaths = schedule.deaths[:number] + schedule.deaths[number + 1 :]
        gaps = schedule.gaps[:number] + schedule.gaps[number + 1 :]
        yield plan, replace(schedule, deaths=deaths, gaps=gaps)
    for number in range(len(schedule.meddling)):
        yield plan, replace(schedule, meddling=schedule.meddling[:number] + schedule.meddling[number + 1 :])
    for call in sorted(schedule.fail_at, reverse=True):
        yield plan, replace(schedule, fail_at=schedule.fail_at - {call})
    for name in ("delay_s", "parks", "neighbour", "stores"):
        plain = getattr(Schedule(), name)
        if getattr(schedule, name) != plain:
            yield plan, replace(schedule, **{name: plain})


def _without(plan: Plan, left_out: int) -> tuple:
    """The nodes but one; those that read it do without, and the others keep their places."""
    nodes = []
    for number, sketch in enumerate(plan.nodes):
        if number != left_out:
            reads = tuple(read - (read > left_out) for read in sketch.reads if read != left_out)
            nodes.append(replace(sketch, reads=reads))
    return tuple(nodes)
