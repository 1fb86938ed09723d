"""Results of the measurements of scale as tables: many nodes, long runs, many runs, several processes."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.listing import QUERIES
from benchmarks.plan import FLOORS, Case, Measured, Results, Spread, ratio
from benchmarks.tables import (
    FLAT,
    NODE_BYTES,
    PAGE_GROWTH,
    PROCESSES,
    SNAPSHOT_GAIN,
    TOGETHER,
    WAITING_BYTES,
    Table,
    digits,
    microseconds,
    per_unit,
    shown_spread,
    star,
)

#: Sizes from this one on are to cost the same per node; below it, what a run costs at all shows.
MIDDLE = 1_000

KINDS = {"map": "a map of n items, 64 at once", "graph": "a written graph of n nodes in layers of 50"}


def scale_table(results: Results, sizes: Sequence[int], work: str, modes: Sequence[str]) -> Table:
    """What a node costs in runs of several sizes."""
    columns = [
        *("nodes", "mode", "÷ floor", "Clew µs (least-greatest)", "nodes per second", "floor µs", "÷ 1,000 nodes"),
        *("memory bytes", "disk bytes", "of them definition"),
    ]
    table = Table(f"Scale: {KINDS[work]}; per node", columns)
    table.note = (
        "Floor: bare tasks (memory), the same with one commit each (process); "
        f"{'64 of them at once' if work == 'map' else 'all at once that can run'}. "
        "Memory of smaller runs is less than a process takes from the system at a time. "
        f"Aim: at most {NODE_BYTES:,} bytes of memory a node, the definition apart."
    )
    for mode in modes:
        for size in sizes:
            clew, floor = Case(work, "clew", mode, size), Case(work, FLOORS[mode][0], mode, size)
            middle = Case(work, "clew", mode, MIDDLE)
            grown = per_unit(results, clew).median / per_unit(results, middle).median
            spread, space = per_unit(results, clew), per_unit(results, clew, "memory").median
            times = [value * 1e6 for value in (spread.median, spread.least, spread.greatest)]
            table.rows.append(
                [
                    f"{size:,}",
                    mode,
                    shown_spread(ratio(results, clew, floor)),
                    f"{times[0]:,.1f} ({times[1]:,.1f}-{times[2]:,.1f})",
                    f"{1 / spread.median:,.0f}",
                    microseconds(results, floor),
                    f"{grown:.2f}",
                    f"{space:,.0f}{star(space, NODE_BYTES)}" if size > MIDDLE else "",
                    f"{per_unit(results, clew, 'disk').median:,.0f}" if mode != "memory" else "",
                    f"{per_unit(results, clew, 'definition').median:,.0f}" if mode != "memory" else "",
                ]
            )
    return table


def flat_table(results: Results, sizes: Sequence[int], modes: Sequence[str]) -> Table:
    """Whether a node costs the same whatever the size of its run."""
    sizes = [size for size in sizes if size >= MIDDLE]
    table = Table(
        f"Flat: what a node costs at {', '.join(f'{size:,}' for size in sizes)} nodes, greatest by least",
        ["what", "mode", "from 1,000 on", "from 10,000 on", "aim"],
        note="What 1,000 nodes hold is hardly more than a process takes from the system at a time, so that memory "
        "is compared from 10,000 on. A run of 1,000 nodes is too short for a snapshot.",
    )
    for work in KINDS:
        for mode in modes:
            for field_, name in (("seconds", "time"), ("memory", "memory"), ("disk", "disk")):
                if field_ == "disk" and mode == "memory":
                    continue
                medians = [per_unit(results, Case(work, "clew", mode, size), field_).median for size in sizes]
                shown = [
                    f"{spread:.2f}{star(spread, FLAT)}"
                    for spread in (max(medians) / min(medians), max(medians[1:]) / min(medians[1:]))
                ]
                if field_ == "memory":
                    shown[0] = ""
                table.rows.append([f"{work}: {name}", mode, *shown, f"≤ {FLAT:g}"])
    return table


def recovery_table(results: Results) -> Table:
    """Going on with a long run."""
    columns = ["events", "from", "÷ floor", "milliseconds", "of them folding", "÷ from events", "aim", "floor ms"]
    table = Table("Recovery: open the journal, take over a run, until its first new event is on disk", columns)
    [measured] = results.values()
    tail = Spread.of(m["tail"] for m in measured).median
    table.note = (
        "Floor: read all events out of the file and decode them. "
        f"After the snapshot come {tail:,.0f} events. Medians of {len(measured)}."
    )
    for field_, how in (("snapshot", "snapshot and what came after it"), ("events", "every event")):
        gain = Spread.of(m[f"{field_}_seconds"] / m["events_seconds"] for m in measured)
        table.rows.append(
            [
                f"{measured[0]['units']:,.0f}",
                how,
                shown_spread(_against(measured, f"{field_}_seconds", "floor_seconds")),
                _ms(measured, f"{field_}_seconds"),
                _ms(measured, f"{field_}_fold_seconds"),
                *(
                    [shown_spread(gain) + star(gain.median, SNAPSHOT_GAIN), f"≤ {SNAPSHOT_GAIN:g}"]
                    if field_ == "snapshot"
                    else ["", ""]
                ),
                _ms(measured, "floor_seconds"),
            ]
        )
    return table


def waiting_table(results: Results, runs: int) -> Table:
    """Many runs that wait."""
    clew = results[Case("waiting", "clew", "full", runs)]
    tasks = results[Case("waiting", "tasks", "memory", runs)]
    table = Table(
        f"Waiting: {runs:,} runs that wait for an answer, SQLite full",
        ["what", "unit", "Clew", "floor", "÷ floor", "aim"],
        note="Floors: as many tasks that await a future (memory); one query for all unfinished runs (go on with "
        "everything); a run's events read and decoded, and two durable commits (answer). "
        f"Medians of {len(clew)}. What Python has given back stays the process's for the most part: "
        "of a parked run it holds "
        f"{Spread.of(m['blocks'] / runs for m in clew).median:.1f} small blocks of memory.",
    )

    def row(what: str, field_: str, floor: str, aim: float = 0) -> None:
        value = Spread.of(m[field_] * 1e3 for m in clew)
        against = [shown_spread(_against(clew, field_, floor)), ""] if floor else ["", ""]
        shown = _ms(clew, floor) if floor else ""
        table.rows.append(
            [what, "ms", f"{_number(value.median)}{star(value.median, aim or 1e9)}", shown, *against]
        )

    def space(what: str, field_: str, floor: str, most: float = 0) -> None:
        each = Spread.of(m[field_] for m in clew).median
        aim = f"≤ {most * runs / 1e6:,.0f}" if most else ""
        missed = star(each, most * runs) if most else ""
        least = Spread.of(m[floor] for m in tasks).median if floor else 0
        shown = [f"{least / 1e6:,.1f}", f"{each / least:.2f}"] if least else ["", ""]
        table.rows.append([what, "MB", f"{each / 1e6:,.1f}{missed}", *shown, aim])

    row("start all, until each has asked", "start_seconds", "")
    row("…until all but 100 are out of memory", "parked_seconds", "")
    space("memory of the process then", "memory", "memory")
    space("…more than before", "memory_more", "memory_more")
    row("answer, until the run has ended", "answer_seconds", "floor_answer_seconds")
    row("after a restart: open the journal", "again_open_seconds", "floor_open_seconds")
    row("go on with everything", "again_resume_seconds", "floor_resume_seconds")
    space("memory of the process then", "again_memory", "memory")
    space("…more than before", "again_memory_more", "memory_more", WAITING_BYTES)
    row("first answer, until the run has ended", "again_first_seconds", "floor_first_seconds")
    row("further answers, one after the other", "again_answer_seconds", "floor_answer_seconds")
    return table


def processes_table(results: Results, counts: Sequence[int]) -> Table:
    """Several processes on one file."""
    columns = [
        *("processes", "mode", "runs per second", "÷ 1 process (time per run)", "aim", "÷ floor"),
        *("÷ grouped floor", "aim", "floor runs/s", "grouped runs/s", "slowest by quickest"),
    ]
    table = Table("Processes: small runs of 3 nodes on one SQLite file, 1,000 runs of each process", columns)
    table.note = (
        "Floors: as many processes of bare tasks with one commit for each node, or for each turn of the loop. "
        "No process has seen a locked database."
    )
    for mode in ("process", "full"):
        for count in counts:
            clew, each, grouped = (
                Case("processes", subject, mode, count) for subject in ("clew", "each", "grouped")
            )
            alone = Case("processes", "clew", mode, 1)
            together = Spread.of(
                (a["seconds"] / a["units"]) / (b["seconds"] / b["units"])
                for a, b in zip(results[clew], results[alone], strict=True)
            )
            by_group = ratio(results, clew, grouped)
            rates = [f"{1 / per_unit(results, case).median:,.0f}" for case in (clew, each, grouped)]
            unfair = Spread.of(m["slowest"] / m["quickest"] for m in results[clew])
            table.rows.append(
                [
                    str(count),
                    mode,
                    rates[0],
                    shown_spread(together) + star(together.median, TOGETHER) if count > 1 else "",
                    f"≤ {TOGETHER:g}" if count > 1 else "",
                    shown_spread(ratio(results, clew, each)),
                    shown_spread(by_group) + star(by_group.median, PROCESSES),
                    f"≤ {PROCESSES:g}",
                    *rates[1:],
                    digits(unfair.median) if count > 1 else "",
                ]
            )
    return table


def listing_table(results: Results, sizes: Sequence[int]) -> Table:
    """Finding runs among many."""
    small, large = (results[Case("listing", "clew", "process", size)] for size in (sizes[0], sizes[-1]))
    columns = ["query", "", "ms", "first time ms", f"÷ {sizes[0]:,} runs", "aim", "÷ floor", "floor ms"]
    table = Table(f"Listing: {sizes[-1]:,} runs in one file", columns)
    table.note = (
        "First time: in a journal that was just opened. Floors: 50 rows by their numbers; a bare count of all. "
        f"Medians of {len(large)} files. At {sizes[0]:,} runs there are few that have failed or have the label, "
        "so that those pages are short there."
    )
    for name in QUERIES:
        floor = "count floor" if name.startswith("count") else "page floor"
        full_page = name in ("newest page", "a page from the middle")
        grown = Spread.of(a[name] / b[name] for a, b in zip(large, small, strict=True))
        table.rows.append(
            [
                name,
                "",
                _ms(large, name),
                _ms(large, f"{name} first"),
                shown_spread(grown) + (star(grown.median, PAGE_GROWTH) if full_page else ""),
                f"≤ {PAGE_GROWTH:g}" if full_page else "",
                shown_spread(_against(large, name, floor)),
                _ms(large, floor),
            ]
        )
    return table


def _against(measured: Sequence[Measured], field_: str, floor: str) -> Spread:
    return Spread.of(m[field_] / m[floor] for m in measured)


def _ms(measured: Sequence[Measured], field_: str) -> str:
    return _number(Spread.of(m[field_] * 1e3 for m in measured).median)


def _number(value: float) -> str:
    """A figure of any size in about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
