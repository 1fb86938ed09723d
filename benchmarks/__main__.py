"""`python -m benchmarks`: measure Clew beside its floors and print tables. See docs/benchmarks.md."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from benchmarks import machine
from benchmarks.plan import FLOORS, WORKLOADS, Case, Results, measure, speed_cases
from benchmarks.tables import Table, speed_table, start_table
from benchmarks.tables_of_scale import (
    flat_table,
    listing_table,
    processes_table,
    recovery_table,
    scale_table,
    waiting_table,
)
from benchmarks.tables_of_states import measure_states, states_table
from benchmarks.tables_of_steps import measure_steps, steps_table

SCALES = (100, 1_000, 10_000, 100_000)
SCALE_MODES = ("memory", "process")
EVENTS, WAITING, PROCESSES, LISTED = 200_000, 10_000, (1, 4), (1_000, 100_000)
OTHERS = ("states", "steps", "scale", "recovery", "waiting", "processes", "listing", "startup")
#: Repetitions of what takes long.
FEW = 3

Tell = Callable[[int, Case], None]


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Clew beside its floors.")
    parser.add_argument("--only", action="append", choices=[*WORKLOADS, *OTHERS], help="measure this; repeatable")
    parser.add_argument("--quick", action="store_true", help="2 repetitions of smaller sizes")
    parser.add_argument("--repetitions", type=int, metavar="N", help="5 by default (3 for the largest runs)")
    parser.add_argument("--folder", help="where databases are put; a folder of an ordinary disk")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--markdown", action="store_true", help="print tables as in docs/benchmarks.md")
    shape.add_argument("--json", action="store_true", help="print every measured value")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    asked = arguments()
    chosen = asked.only or [*WORKLOADS, *OTHERS]
    rounds = asked.repetitions or (2 if asked.quick else 5)
    errors = Console(stderr=True)
    tables: list[Table] = []
    found: Results = {}
    starts: dict[str, list[float]] = {}
    with machine.disk_folder(asked.folder) as name, errors.status("…") as status:
        folder = Path(name)
        facts = machine.describe(folder)

        def tell(number: int, case: Case) -> None:
            status.update(f"{case}: {number} of {rounds}")

        works = [work for work in WORKLOADS if work in chosen]
        if works:
            found |= (speed := measure(speed_cases(works), rounds, folder, tell))
            tables.append(speed_table(speed, works, rounds))
        if "states" in chosen:
            found |= (states := measure_states(rounds, folder, tell))
            tables.append(states_table(states))
        if "steps" in chosen:
            found |= (taken := measure_steps(rounds, folder, tell))
            tables.append(steps_table(taken))
        if "scale" in chosen:
            sizes = SCALES[:-1] if asked.quick else SCALES
            found |= (scale := measure_scale(rounds, sizes, folder, tell))
            tables += [scale_table(scale, sizes, work, SCALE_MODES) for work in ("map", "graph")]
            tables.append(flat_table(scale, sizes, SCALE_MODES))
        for work in [work for work in LARGE if work in chosen]:
            results, table = measure_large(work, rounds, 10 if asked.quick else 1, folder, tell)
            found |= results
            tables.append(table)
        if "startup" in chosen:
            starts = measure_starts(2 * rounds + 1)
            tables.append(start_table(starts))
    show(asked, facts | {"repetitions": str(rounds)}, tables, found, starts)


def measure_scale(rounds: int, sizes: Sequence[int], folder: Path, tell: Tell) -> Results:
    """Runs of all sizes; the largest three times at most, because they take long.

    A round has all the other sizes, so that what drifts does not look as if it came with the size.
    """
    results: Results = {}
    small = [size for size in sizes if size < SCALES[-1]]
    large = [size for size in sizes if size >= SCALES[-1]]
    for group, repeated in ((small, rounds), (large, min(rounds, FEW))):
        cases = [
            Case(work, subject, mode, size)
            for work in ("map", "graph")
            for mode in SCALE_MODES
            for size in group
            for subject in (FLOORS[mode][0], "clew")
        ]
        results |= measure(cases, repeated, folder, tell)
    return results


LARGE = ("recovery", "waiting", "processes", "listing")


def measure_large(work: str, rounds: int, part: int, folder: Path, tell: Tell) -> tuple[Results, Table]:
    """One of the other measurements, on a part of the size."""
    if work == "recovery":
        found = measure([Case(work, "clew", "process", EVENTS // part)], rounds, folder, tell)
        return found, recovery_table(found)
    if work == "waiting":
        runs = WAITING // part
        cases = [Case(work, "tasks", "memory", runs), Case(work, "clew", "full", runs)]
        found = measure(cases, min(rounds, FEW), folder, tell)
        return found, waiting_table(found, runs)
    if work == "processes":
        cases = [
            Case(work, subject, mode, count)
            for mode in ("process", "full")
            for count in PROCESSES
            for subject in (*FLOORS[mode], "clew")
        ]
        found = measure(cases, rounds, folder, tell)
        return found, processes_table(found, PROCESSES)
    sizes = (LISTED[0], LISTED[-1] // part)
    found = measure([Case(work, "clew", "process", size) for size in sizes], rounds, folder, tell)
    return found, listing_table(found, sizes)


def measure_starts(rounds: int) -> dict[str, list[float]]:
    """Seconds that whole processes take, the floor first; the first round only warms the disk's cache."""
    program = shutil.which("clew", path=str(Path(sys.executable).parent))
    help_ = [program] if program else [sys.executable, "-m", "clew"]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import clew'": [sys.executable, "-c", "import clew"],
        "clew --help": [*help_, "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def show(
    asked: argparse.Namespace,
    facts: dict[str, str],
    tables: list[Table],
    found: Results,
    starts: dict[str, list[float]],
) -> None:
    """Print what was found as asked for."""
    where = "; ".join(f"{name}: {value}" for name, value in facts.items())
    if asked.json:
        measured: list[dict[str, Any]] = [
            msgspec.to_builtins(case) | {"measured": values} for case, values in found.items()
        ]
        print(msgspec.json.encode({"machine": facts, "cases": measured, "startup": starts}).decode())
    elif asked.markdown:
        print("\n\n".join([f"{where}.", *(table.markdown() for table in tables)]))
    else:
        console = Console()
        console.print(where, style="dim")
        for table in tables:
            table.show(console)


if __name__ == "__main__":
    main()
