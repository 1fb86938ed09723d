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
            times = [_us(results, clew), *(_us(results, Case(work, floor, mode)) for floor in floors)]
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
    return words, " *" if ratios[floor].median > most else ""


def scale_table(results: Results, sizes: Sequence[int], work: str, modes: Sequence[str]) -> Table:
    """What a node costs in runs of several sizes."""
    is_map = work == "map"
    columns = ["nodes", "mode", "÷ floor", "÷ 1,000 nodes", "Clew µs", "floor µs", "memory bytes", "disk bytes"]
    title = "a map of n items, 64 at once" if is_map else "a written graph of n nodes in layers of 50"
    table = Table(
        f"Scale: {title}; per node",
        columns,
        note="Floor: bare tasks, 64 at once (memory); the same with one commit each (process)." if is_map else "",
    )
    for mode in modes:
        for size in sizes:
            clew = Case(work, "clew", mode, size)
            floor = Case(work, FLOORS[mode][0], mode, size)
            middle = Case(work, "clew", mode, 1_000)
            grown = _per_unit(results, clew).median / _per_unit(results, middle).median if middle in results else 0
            known = floor in results
            table.rows.append(
                [
                    f"{size:,}",
                    mode,
                    shown_spread(ratio(results, clew, floor)) if known else "",
                    f"{grown:.2f}" if grown else "",
                    _us(results, clew),
                    _us(results, floor) if known else "",
                    f"{_per_unit(results, clew, 'memory').median:,.0f}" if is_map and size >= 1_000 else "",
                    f"{_per_unit(results, clew, 'disk').median:,.0f}" if mode != "memory" else "",
                ]
            )
    return table


def recovery_table(results: Results) -> Table:
    """Going on with a long run."""
    columns = ["events", "how", "÷ floor", "milliseconds", "floor ms"]
    table = Table(
        "Recovery: open the journal, take over a run whose process is gone",
        columns,
        note="Floor: read all events out of the file and decode them.",
    )
    for measured in results.values():
        for field_, how in (("seconds", "snapshot and what came after it"), ("folded_seconds", "every event")):
            table.rows.append(
                [
                    f"{measured[0]['units']:,.0f}",
                    how,
                    shown_spread(Spread.of(m[field_] / m["floor_seconds"] for m in measured)),
                    f"{Spread.of(m[field_] for m in measured).median * 1e3:,.0f}",
                    f"{Spread.of(m['floor_seconds'] for m in measured).median * 1e3:,.0f}",
                ]
            )
    return table


def start_table(seconds: dict[str, list[float]]) -> Table:
    """Whole processes."""
    table = Table("Start-up: whole processes", ["command", "", "÷ floor", "milliseconds"])
    floor = next(iter(seconds.values()))
    for name, times in seconds.items():
        spread = Spread.of(a / b for a, b in zip(times, floor, strict=True))
        table.rows.append([f"`{name}`", "", shown_spread(spread), f"{Spread.of(times).median * 1e3:,.0f}"])
    return table


def shown_spread(spread: Spread) -> str:
    """A median and its spread, in few digits."""
    return f"{_digits(spread.median)} ({_digits(spread.least)}-{_digits(spread.greatest)})"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _us(results: Results, case: Case) -> str:
    return f"{_per_unit(results, case).median * 1e6:,.0f}"


def _per_unit(results: Results, case: Case, field_: str = "seconds") -> Spread:
    return Spread.of(measured[field_] / measured["units"] for measured in results[case])
