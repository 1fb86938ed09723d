"""Finding runs among a great many: pages and counts, which fold nothing and read a page's worth.

The file is made through `Journal.commit`: each run has the events of a real one of three nodes, and they differ in
their state, their graph and their labels.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.plan import Case
from benchmarks.workloads import chain
from clew.engine.engine import Engine
from clew.journal.opening import journal_for
from clew.journal.port import Journal, Outcomes
from clew.journal.records import ALL_RUNS, Append, Blob, RunFilter, RunRow
from clew.kernel.events import AnyEvent

#: Runs of one commit; rows of one page; how often each query is made after the first time.
GROUP, PAGE, TIMES = 500, 50, 21

#: One run of so many has failed; of so many, one goes on.
FAILED_OF, GOING_OF = 1_000, 50

QUERIES: dict[str, Callable[[Journal, str], Awaitable[Any]]] = {
    "newest page": lambda journal, _: journal.rows(limit=PAGE),
    "a page from the middle": lambda journal, middle: journal.rows(limit=PAGE, before=middle),
    "page of the failed": lambda journal, _: journal.rows(RunFilter(states=("failed",)), limit=PAGE),
    "page with a label": lambda journal, _: journal.rows(RunFilter(labels={"team": "t7"}), limit=PAGE),
    "count of all": lambda journal, _: journal.count(ALL_RUNS),
    "count of the failed": lambda journal, _: journal.count(RunFilter(states=("failed",))),
    "count of the unfinished": lambda journal, _: journal.count(RunFilter(unfinished=True)),
}


async def listing(case: Case, folder: Path) -> dict[str, float]:
    """Seconds of each query on a file of `case.nodes` runs, the first time (in a new journal) and after that.

    The floors are made on the same file without Clew: a page's worth of rows by their numbers, and a count of all.
    """
    path = folder / "many.db"
    start = time.perf_counter()
    await fill(path, case.nodes)
    found = {"units": float(case.nodes), "fill_seconds": time.perf_counter() - start}
    found["disk"] = path.stat().st_size
    middle = run_id(case.nodes // 2)
    for name, query in QUERIES.items():
        async with Opened(path) as journal:
            times = [await seconds_of(query(journal, middle)) for _ in range(TIMES + 1)]
        found[f"{name} first"], found[name] = times[0], statistics.median(times[1:])
    connection = sqlite3.connect(path)
    ids = list(range(case.nodes, case.nodes - PAGE, -1))
    page = f"SELECT * FROM runs WHERE id IN ({', '.join('?' * PAGE)})"  # noqa: S608 - question marks
    for name, sql, values in (("page floor", page, ids), ("count floor", "SELECT count(*) FROM runs", [])):
        found[name] = statistics.median(floor_of(connection, sql, values) for _ in range(TIMES))
    connection.close()
    return found


class Opened:
    """A journal that is open inside."""

    def __init__(self, path: Path) -> None:
        self._journal = journal_for(f"sqlite:///{path}", "process")

    async def __aenter__(self) -> Journal:
        await self._journal.open()
        return self._journal

    async def __aexit__(self, *_: object) -> None:
        await self._journal.close()


async def seconds_of(call: Awaitable[Any]) -> float:
    """What a query takes."""
    start = time.perf_counter()
    assert await call
    return time.perf_counter() - start


def floor_of(connection: sqlite3.Connection, sql: str, values: Sequence[int]) -> float:
    """What a bare query takes."""
    start = time.perf_counter()
    assert connection.execute(sql, values).fetchall()
    return time.perf_counter() - start


async def fill(path: Path, runs: int) -> None:
    """Make a file with many runs."""
    events, row, definition = await sample()
    async with Opened(path) as journal:
        for begin in range(0, runs, GROUP):
            rows = [row_of(number, row) for number in range(begin, min(begin + GROUP, runs))]
            appends = [
                Append(row=row, after=0, events=events, blobs=[] if begin else [definition]) for row in rows
            ]
            await commit(journal, appends)


async def sample() -> tuple[list[AnyEvent], RunRow, Blob]:
    """A run of three nodes: its events, its row and its definition."""
    graph = chain(3).graph()
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        await run.result()
        row = await engine.journal.row(run.id)
        assert row is not None
        events = [recorded.event for recorded in await engine.journal.read(run.id)]
        return events, row, Blob(row.definition, await engine.journal.blob(row.definition))


def run_id(number: int) -> str:
    """Of a run."""
    return f"run-{number:06}"


def row_of(number: int, sample_: RunRow) -> RunRow:
    """The row of a run: most have completed, some wait, few have failed."""
    row = msgspec.structs.replace(
        sample_,
        run=run_id(number),
        name=f"graph-{number % 7}",
        owner="",
        labels={"team": f"t{number % 2_000}"},
    )
    if number % GOING_OF == 0:
        row.state, row.ended_at, row.idle, row.wake_at = "running", None, True, row.created_at + 1e9
    elif number % FAILED_OF == 7:
        row.state, row.error = "failed", "ValueError: no such page"
    return row


async def commit(journal: Journal, appends: list[Append]) -> None:
    """Commit, and wait until it is durable."""
    done: asyncio.Future[Outcomes] = asyncio.get_running_loop().create_future()
    journal.commit(appends, done.set_result)
    for outcome in await done:
        if outcome is not None:
            raise outcome
