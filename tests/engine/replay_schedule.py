"""Try schedules of the crash simulation again, or more of them.

    .venv/bin/python tests/engine/replay_schedule.py SEED       one schedule: what it is, what is wrong with it
        --states   of state graphs
        --rollbacks  of both, undone
        --events   and its history
        --smaller  look for a smaller story that fails, too
        --count N  so many in a row, each failure told

A seed that has failed in `test_schedules.py` (or, with ``--states``, in `test_state_schedules.py`, or, with
``--rollbacks``, in `test_rollback_schedules.py`) fails here in the same way, alone and in well under a second.
"""

import argparse
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from crash_lives import play
from crash_trials import smaller, story_of, try_seeds, wrong_with


def main() -> int:
    """Do what the arguments say; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description="Replay schedules of the crash simulation.")
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--states", action="store_const", dest="kind", const="states", default="")
    parser.add_argument("--rollbacks", action="store_const", dest="kind", const="rollbacks")
    parser.add_argument("--events", action="store_true")
    parser.add_argument("--smaller", action="store_true")
    given = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL if given.count else logging.WARNING, format="%(message)s")
    if given.count:
        began = perf_counter()
        found = try_seeds(given.seed, given.count, given.kind)
        print(*found, sep="\n\n")
        print(f"{given.count} schedules in {perf_counter() - began:.0f} s, {len(found)} with something wrong")
        return bool(found)
    plan, schedule = story_of(given.seed, given.kind)
    wrong = wrong_with(plan, schedule)
    if wrong and given.smaller:
        plan, schedule = smaller(plan, schedule)
        wrong = wrong_with(plan, schedule)
    print(plan, schedule, *(wrong or ["all is well"]), sep="\n")
    if given.events:
        with TemporaryDirectory() as folder:
            world, _ = play(plan, schedule, Path(folder))
        for recorded in world.events:
            print(recorded.seq, str(recorded.event)[:300])
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
