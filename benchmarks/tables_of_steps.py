"""Results of the measurements of steps as a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.plan import Case, Results, measure, ratio
from benchmarks.steps import STEPS
from benchmarks.tables import Table, microseconds, per_unit, shown_spread

_MODES = ("memory", "full")
#: Steps that wait in one run.
WAITING = 1_000


def measure_steps(rounds: int, folder: Path, tell: Callable[[int, Case], None]) -> Results:
    """All workloads of steps, the floor right before them."""
    cases: list[Case] = []
    for work, count in STEPS.items():
        cases.append(_floor(work, count))
        cases += [Case(work, "clew", mode, count) for mode in _MODES]
    cases.append(Case("waiting steps", "clew", "full", WAITING))
    return measure(list(dict.fromkeys(cases)), rounds, folder, tell)


def steps_table(results: Results) -> Table:
    """What a step costs."""
    waiting = per_unit(results, Case("waiting steps", "clew", "full", WAITING), "bytes")
    table = Table(
        "Steps: a call of a tool that returns at once, or the program `true`; per step",
        ["step", "mode", "÷ bare program", "Clew µs", "bare program µs"],
        note=(
            "One after the other, but for the last. Floor: `asyncio.create_subprocess_exec`, its output "
            f"read. {WAITING:,} steps that wait for people take {waiting.median:,.0f} bytes of memory each."
        ),
    )
    for work, count in STEPS.items():
        floor = _floor(work, count)
        for mode in _MODES:
            clew = Case(work, "clew", mode, count)
            times = shown_spread(ratio(results, clew, floor))
            table.rows.append([work, mode, times, microseconds(results, clew), microseconds(results, floor)])
    return table


def _floor(work: str, count: int) -> Case:
    return Case(work, "subprocess", "memory", count)
