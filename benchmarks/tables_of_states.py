"""Results of the measurements of state graphs as a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.plan import FLOORS, Case, Results, measure, ratio
from benchmarks.states import LARGE, MESSAGE
from benchmarks.tables import FLAT, Table, digits, microseconds, per_unit, shown_spread, star

#: Workloads with their sizes, the workload whose floor is theirs, and what they are called.
STATES: dict[str, tuple[tuple[int, ...], str, str]] = {
    "loop": ((1_000,), "chain", "loop of {:,} steps"),
    "branches": ((1_000,), "fan", "fan-out of {:,} branches"),
    "large state": ((100, 1_000), "", f"state of {LARGE / 1e6:g} MB, {{:,}} steps with a small change"),
    "conversation": ((200,), "", f"conversation of {{:,}} turns of {MESSAGE} bytes"),
}


def measure_states(rounds: int, folder: Path, tell: Callable[[int, Case], None]) -> Results:
    """All workloads of state graphs, their floors before them."""
    cases: list[Case] = []
    for work, (sizes, floor, _) in STATES.items():
        for mode, floors in FLOORS.items():
            if floor:
                cases += [Case(floor, subject, mode) for subject in floors[:1]]
            cases += [Case(work, "clew", mode, size) for size in sizes]
    return measure(list(dict.fromkeys(cases)), rounds, folder, tell)


def states_table(results: Results) -> Table:
    """What a step of a state graph costs."""
    table = Table(
        "State graphs; per step, branch or turn",
        ["workload", "mode", "÷ floor", "Clew µs", "floor µs", "÷ fewest steps", "disk bytes"],
        note=(
            "Floors: a chain and a fan-out of 1,000 bare tasks (memory), the same with a commit each. Disk: by "
            "how much the database grows, with the state that a run starts with. A step is to take the same time, "
            f"within {FLAT}, however many there are."
        ),
    )
    for work, (sizes, floor, title) in STATES.items():
        for mode, floors in FLOORS.items():
            for size in sizes:
                clew = Case(work, "clew", mode, size)
                least = per_unit(results, Case(work, "clew", mode, sizes[0])).median
                grown = per_unit(results, clew).median / least
                below = Case(floor, floors[0], mode) if floor else None
                space = per_unit(results, clew, "bytes").median
                table.rows.append(
                    [
                        title.format(size),
                        mode,
                        shown_spread(ratio(results, clew, below)) if below else "",
                        microseconds(results, clew),
                        microseconds(results, below) if below else "",
                        f"{digits(grown)}{star(grown, FLAT)}" if size != sizes[0] else "",
                        f"{space:,.0f}" if mode != "memory" else "",
                    ]
                )
    return table
