"""How SQLite finds runs: by an index and in its order, so that a page of a large journal reads a page's worth."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from journal_samples import append, write

from clew.journal import sqlite_listing as listing
from clew.journal.records import ALL_RUNS, RunFilter
from clew.journal.sqlite import SqliteJournal

NEWEST = "SEARCH runs USING INTEGER PRIMARY KEY (rowid<?)"
UNFINISHED = "SEARCH runs USING INDEX runs_unfinished (id<?)"
ENDED = "SEARCH runs USING INDEX runs_ended (state=? AND rowid<?)"
NAMED = "SEARCH runs USING INDEX runs_named (name=? AND rowid<?)"
LABELLED = "SEARCH labels USING PRIMARY KEY (key=? AND value=? AND run<?)"
LABELS = {"team": "x", "kind": "y"}


def plan(journal: SqliteJournal, sql: str, values: list[Any]) -> list[str]:
    """What SQLite does for a query, without looking for the run that a page begins after."""
    steps = [found[3] for found in journal._db.read(f"EXPLAIN QUERY PLAN {sql}", *values)]
    return [step for step in steps if "SUBQUERY" not in step and "sqlite_autoindex_runs_1 (run=?)" not in step]


@pytest.mark.parametrize(
    ("wanted", "walked"),
    [
        (ALL_RUNS, [NEWEST]),
        (RunFilter(unfinished=True), [UNFINISHED]),
        (RunFilter(unfinished=True, name="x"), [UNFINISHED]),
        (RunFilter(unfinished=True, states=("running", "failed")), [UNFINISHED]),
        (RunFilter(states=("queued", "running")), [UNFINISHED]),
        (RunFilter(states=("failed",)), [ENDED]),
        (RunFilter(states=("completed",), ended_before=9.0), [ENDED]),
        (RunFilter(states=("failed", "cancelled")), [ENDED, ENDED]),
        (RunFilter(states=("failed", "running", "completed", "queued")), [ENDED, ENDED, UNFINISHED]),
        (RunFilter(states=("failed",), name="x"), [ENDED]),
        (RunFilter(name="x"), [NAMED]),
        (RunFilter(name="x", states=("completed", "failed")), [NAMED]),
        (RunFilter(labels=LABELS), [LABELLED]),
        (RunFilter(labels=LABELS, name="x", states=("completed", "running")), [LABELLED]),
        (RunFilter(ended_before=9.0), [NEWEST]),
        (RunFilter(created_before=9.0), [NEWEST]),
    ],
    ids=repr,
)
async def test_a_page_walks_an_index_in_its_order(
    sqlite: SqliteJournal, wanted: RunFilter, walked: list[str]
) -> None:
    steps = plan(sqlite, *listing.page_query(wanted, 50, "r1"))
    assert [step for step in steps if "<?" in step] == walked
    assert not [step for step in steps if step.startswith("SCAN") and "(subquery" not in step]
    assert not [step for step in steps if "TEMP B-TREE" in step]
    first = plan(sqlite, *listing.page_query(wanted, 50))
    assert not [step for step in first if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    ("wanted", "walked"),
    [
        (RunFilter(states=("failed",)), "USING INDEX runs_ended (state=?)"),
        (RunFilter(unfinished=True), "USING INDEX runs_unfinished"),
        (RunFilter(name="x"), "USING COVERING INDEX runs_named (name=?)"),
        (RunFilter(labels={"team": "x"}), "labels USING PRIMARY KEY (key=? AND value=?)"),
        (ALL_RUNS, "USING COVERING INDEX"),
    ],
    ids=repr,
)
async def test_a_count_walks_an_index(sqlite: SqliteJournal, wanted: RunFilter, walked: str) -> None:
    assert any(walked in step for step in plan(sqlite, *listing.count_query(wanted)))


async def test_what_is_due_is_found_by_index(sqlite: SqliteJournal) -> None:
    at_once, woken, told = listing._DUE
    assert plan(sqlite, at_once, [9]) == ["SEARCH runs USING INDEX runs_due (idle=?)"]
    assert plan(sqlite, woken, [1.0, 9]) == ["SEARCH runs USING INDEX runs_due (idle=? AND wake_at<?)"]
    assert plan(sqlite, told, [9]) == [
        "SEARCH runs USING INTEGER PRIMARY KEY (rowid=?)",
        "SCAN inbox USING INDEX inbox_waiting",
    ]
    assert plan(sqlite, listing._NEXT_WAKE, []) == ["SEARCH runs USING INDEX runs_due (idle=? AND wake_at>?)"]


# A hundred thousand runs -------------------------------------------------------------------------------

RUNS = 100_000


async def make_many(journal: SqliteJournal) -> None:
    for start in range(0, RUNS, 500):
        group = [
            append(
                f"run-{i:06}",
                0,
                name=f"graph-{i % 7}",
                created_at=float(i),
                labels={"team": f"t{i % 2_000}", "all": "yes"},
                **({"state": "running", "idle": True, "wake_at": 1e9 + i} if i % 50 == 0 else ended(i)),
            )
            for i in range(start, start + 500)
        ]
        await write(journal, *group)


def ended(i: int) -> dict[str, Any]:
    state = "failed" if i % 1_000 == 7 else "cancelled" if i % 97 == 3 else "completed"
    return {"state": state, "started_at": float(i), "ended_at": i + 1.0, "total": 5, "settled": 5}


async def took(call: Callable[[], Awaitable[Any]]) -> float:
    """The least of a few times, in milliseconds; the first call finds nothing of the file in memory."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        await call()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


@pytest.mark.slow
def test_a_hundred_thousand_runs_are_listed_at_once(path: Path) -> None:
    async def scenario() -> dict[str, float]:
        journal = SqliteJournal(path, "process")
        await journal.open()
        await make_many(journal)
        pages = {
            "newest": (ALL_RUNS, ""),
            "middle": (ALL_RUNS, f"run-{RUNS // 2:06}"),
            "failed": (RunFilter(states=("failed",)), ""),
            "failed or cancelled, middle": (RunFilter(states=("failed", "cancelled")), f"run-{RUNS // 2:06}"),
            "completed": (RunFilter(states=("completed",)), ""),
            "unfinished": (RunFilter(unfinished=True), ""),
            "name": (RunFilter(name="graph-3"), ""),
            "name and failed": (RunFilter(name="graph-3", states=("failed",)), ""),
            "rare label": (RunFilter(labels={"team": "t1999"}), ""),
            "common label, middle": (RunFilter(labels={"all": "yes"}), f"run-{RUNS // 2:06}"),
            "no such label": (RunFilter(labels={"team": "none"}), ""),
        }
        figures: dict[str, float] = {}
        for name, (wanted, before) in pages.items():
            rows = await journal.rows(wanted, before=before)
            assert len(rows) == {"name and failed": 14, "no such label": 0}.get(name, 50), name
            figures[f"page: {name}"] = await took(lambda w=wanted, b=before: journal.rows(w, before=b))
        assert await journal.count() == RUNS
        for name, wanted in {
            "all": ALL_RUNS,
            "failed": RunFilter(states=("failed",)),
            "completed": RunFilter(states=("completed",)),
            "unfinished": RunFilter(unfinished=True),
            "name": RunFilter(name="graph-3"),
            "rare label": RunFilter(labels={"team": "t1999"}),
            "common label": RunFilter(labels={"all": "yes"}),
            "ended before": RunFilter(ended_before=1_000.0),
        }.items():
            figures[f"count: {name}"] = await took(lambda w=wanted: journal.count(w))
        assert len(await journal.due(1e9 + 500)) == 11
        assert await journal.next_wake() == 1e9
        figures["due"] = await took(lambda: journal.due(1e9 + 500))
        figures["next wake"] = await took(journal.next_wake)
        await journal.close()
        return figures

    figures = asyncio.run(scenario())
    print()
    for name, milliseconds in figures.items():
        print(f"{name:40} {milliseconds:8.2f} ms")
    # Some thirty times of what it takes; to read all rows for it would take longer.
    assert not {name: ms for name, ms in figures.items() if ms > (100 if name.startswith("count") else 8)}
