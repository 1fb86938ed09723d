"""Seeds to runs that are undone: graphs and state graphs of other seeds, with compensations and rollbacks."""

import random
from dataclasses import replace

from crash_plans import CHANNELS, SCHEDULES_PER_PLAN, Meddling, Plan, Schedule, Undo, plan_of, schedule_of
from crash_routes import state_plan_of, state_schedule_of


def undo_story_of(seed: int) -> tuple[Plan, Schedule]:
    """What a seed tells: half of them of state graphs; some runs are to be rolled back while they go on."""
    group = seed // SCHEDULES_PER_PLAN
    of_plan = random.Random(f"undo {group}")
    undo = Undo(of_plan.randrange(1_000_000), automatic=of_plan.random() < 0.6)
    plan, schedule = (
        (plan_of(seed), schedule_of(seed)) if group % 2 else (state_plan_of(seed), state_schedule_of(seed))
    )
    dice = random.Random(f"rollback {seed}")
    asked: tuple[Meddling, ...] = ()
    if dice.random() < 0.25:
        at = dice.choice((0.0, round(dice.uniform(0, 5), 2), round(dice.uniform(0, 40), 2)))
        asked = (Meddling("rollback", at, 0.0, dice.choice(CHANNELS)),)
    return replace(plan, undo=undo), replace(schedule, meddling=(*schedule.meddling, *asked))
