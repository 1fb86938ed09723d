"""Results as tables: ratios first, times after them, because only a ratio means something elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.plan import FLOORS, Case, Results, Spread, ratio

#: The most that a ratio may be: by workload and mode, with the floor that the aim speaks of (design of speed).
AIMS: dict[tuple[str, str], tuple[str, float]] = {
    ("chain", "memory"): ("bare", 3),
    ("fan", "memory"): ("bare", 3),
    ("layers", "memory"): ("bare", 3),
    ("runs", "memory"): ("bare", 6),
    ("chain", "full"): ("each", 1.5),
    ("fan", "process"): ("each", 1),
    ("layers", "process"): ("each", 1),
    ("fan", "full"): ("each", 1 / 3),
    ("layers", "full"): ("each", 1 / 3),
    ("runs", "process"): ("grouped", 6),
    ("runs", "full"): ("grouped", 6),
}

#: What a node costs, from 1,000 nodes on, may differ by so much between sizes: greatest by least.
FLAT = 1.2
#: Bytes of memory of a finished node on SQLite, and of a run that only waits, in a process that has just begun.
NODE_BYTES, WAITING_BYTES = 2_000, 2_000
#: From a snapshot, a long run is taken up in this part of the time that all its events take, or less.
SNAPSHOT_GAIN = 0.5
#: What one of several processes takes for a run, by the grouped floor with as many processes; and by what it takes
#: when it is alone: together they are to make no fewer.
PROCESSES, TOGETHER = 6.0, 1.0
#: A page of 100,000 runs, by one of 1,000.
PAGE_GROWTH = 1.5

TITLES = {
    "chain": "chain of 1,000",
    "fan": "fan-out/in of 1,000",
    "layers": "20 layers of 50, 3 dependencies each",
    "runs": "1,000 runs of 3 nodes, 50 at once",
}


@dataclass
class Table:
    """A table for people: the first column is text, the others are figures."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    note: str = ""

    def show(self, console: Console) -> None:
        """Print it on a terminal."""
        shown = RichTable(title=self.title, caption=self.note or None, box=box.SIMPLE_HEAD, title_justify="left")
        for number, column in enumerate(self.columns):
            shown.add_column(column, justify="right" if number > 1 else "left")
        for row in self.rows:
            shown.add_row(*row)
        console.print(shown)

    def markdown(self) -> str:
        """The same for a document."""
        lines = [f"### {self.title}", "", f"| {' | '.join(self.columns)} |"]
        lines.append("|" + "|".join("---:" if i > 1 else "---" for i in range(len(self.columns))) + "|")
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join([*lines, *(["", self.note] if self.note else [])])


def speed_table(results: Results, works: Sequence[str], rounds: int) -> Table:
    """Every workload in every mode against its floors."""
    columns = ["workload", "mode", "÷ floor", "÷ grouped floor", "aim", "Clew µs", "floor µs", "grouped µs"]
    table = Table(
        "Speed",
        columns,
        note=f"Medians of {rounds} with (least-greatest). µs per node, or per run of 3 nodes. A star: aim missed.",
    )
    for work in works:
        for mode, floors in FLOORS.items():
            clew = Case(work, "clew", mode)
            ratios = {floor: ratio(results, clew, Case(work, floor, mode)) for floor in floors}
            aim, star = _aim(work, mode, ratios)
            times = [
                microseconds(results, clew),
                *(microseconds(results, Case(work, floor, mode)) for floor in floors),
            ]
            shown = [*(shown_spread(ratios[floor]) for floor in floors), *[""] * (2 - len(floors))]
            table.rows.append(
                [TITLES[work], mode, shown[0] + star, shown[1], aim, *times, *[""] * (3 - len(times))]
            )
    return table


def _aim(work: str, mode: str, ratios: dict[str, Spread]) -> tuple[str, str]:
    """The aim in words, and a star if it is missed."""
    found = AIMS.get((work, mode))
    if found is None:
        return "", ""
    floor, most = found
    words = f"≤ {most:.2g}" + (" (grouped)" if floor == "grouped" else "")
    return words, star(ratios[floor].median, most)


def start_table(seconds: dict[str, list[float]]) -> Table:
    """Whole processes."""
    table = Table("Start-up: whole processes", ["command", "", "÷ floor", "milliseconds"])
    floor = next(iter(seconds.values()))
    for name, times in seconds.items():
        spread = Spread.of(a / b for a, b in zip(times, floor, strict=True))
        table.rows.append([f"`{name}`", "", shown_spread(spread), f"{Spread.of(times).median * 1e3:,.0f}"])
    return table


def star(value: float, most: float) -> str:
    """Marks an aim that is missed."""
    return " *" if value > most else ""


def shown_spread(spread: Spread) -> str:
    """A median and its spread, in few digits."""
    return f"{digits(spread.median)} ({digits(spread.least)}-{digits(spread.greatest)})"


def digits(value: float) -> str:
    """A ratio in few digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def microseconds(results: Results, case: Case) -> str:
    """The median time per unit."""
    return f"{per_unit(results, case).median * 1e6:,.0f}"


def per_unit(results: Results, case: Case, field_: str = "seconds") -> Spread:
    """What was measured, by node, item or run."""
    return Spread.of(measured[field_] / measured["units"] for measured in results[case])
