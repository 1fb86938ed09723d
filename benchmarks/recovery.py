"""What it takes to go on with a long run whose process is gone, from its snapshot and from its events alone."""

from __future__ import annotations

import gc
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.plan import Case
from benchmarks.scale import journal_url, numbered
from benchmarks.workloads import WIDTH, up_to
from clew.bodies.context import Context
from clew.engine.definitions import Definitions
from clew.engine.engine import Engine
from clew.graphs.graph import Graph
from clew.journal.opening import journal_for
from clew.kernel.events import AnyEvent, AttemptSuspended


async def for_long(_xs: list[int], ctx: Context) -> int:
    """A node that keeps its run from ending."""
    await ctx.sleep(86_400)
    return 0


def waiting(n: int) -> Graph:
    """A map over `n` items, and a node after it that waits for a day."""
    graph = Graph("waiting", max_concurrency=WIDTH)
    items = graph.add(up_to, n, id="items")
    graph.add(for_long, graph.map(numbered, over={"x": items}, last=n - 1, id="each"), id="wait")
    return graph


async def recovery(case: Case, folder: Path) -> dict[str, float]:
    """Seconds to go on with a run of `case.nodes` events, and to fold it: with its snapshot, without, and a floor.

    The floor reads all events out of the file and decodes them.
    """
    path = folder / "long.db"
    graph = waiting(case.nodes // 2)
    async with Engine(journal_url("process", path), durability="process", max_concurrency=WIDTH) as engine:
        run = await engine.start(graph)
        async for recorded in run.events():
            if isinstance(recorded.event, AttemptSuspended):
                break
    await resumed(graph, path, run.id)  # what a process does once
    floor = time.perf_counter()
    decoded = read_all(path)
    found = {"units": float(decoded), "floor_seconds": time.perf_counter() - floor}
    assert decoded >= case.nodes
    found["tail"] = decoded - snapshot_seq(path)
    found["snapshot_seconds"] = await resumed(graph, path, run.id)
    found["snapshot_fold_seconds"] = await folded(graph, path, run.id)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM snapshots")
    connection.close()
    found["events_fold_seconds"] = await folded(graph, path, run.id)
    found["events_seconds"] = await resumed(graph, path, run.id)
    return found


async def resumed(graph: Graph, path: Path, run: str) -> float:
    """Seconds to open the journal and take a run over, until the first new event is on disk and seen."""
    after = last_seq(path)
    gc.collect()
    start = time.perf_counter()
    async with Engine(journal_url("process", path), durability="process", graphs=[graph]) as engine:
        async for recorded in (await engine.resume(run)).events(after):
            assert recorded.seq == after + 1
            return time.perf_counter() - start
    raise AssertionError("the run has gone on without an event")


async def folded(graph: Graph, path: Path, run: str) -> float:
    """Seconds to read a run's state, and nothing else."""
    journal = journal_for(journal_url("process", path), "process")
    await journal.open()
    try:
        definitions = Definitions(journal, [graph])
        row = await journal.row(run)
        assert row is not None
        known = await definitions.load(row)
        gc.collect()
        start = time.perf_counter()
        state, _ = await definitions.recover(row, known)
        seconds = time.perf_counter() - start
        assert state.seq == row.seq
    finally:
        await journal.close()
    return seconds


def last_seq(path: Path) -> int:
    """The sequence number of the only run of a file."""
    return number_in(path, "SELECT seq FROM runs")


def snapshot_seq(path: Path) -> int:
    """Up to which event its snapshot goes."""
    return number_in(path, "SELECT seq FROM snapshots")


def number_in(path: Path, query: str) -> int:
    """What a query finds."""
    connection = sqlite3.connect(path)
    [(number,)] = connection.execute(query).fetchall()
    connection.close()
    return number


def read_all(path: Path) -> int:
    """Read and decode every event of a file; how many there are."""
    decoder = msgspec.json.Decoder(list[AnyEvent])
    connection = sqlite3.connect(path)
    rows: Sequence[tuple[bytes]] = connection.execute("SELECT data FROM events ORDER BY run, seq").fetchall()
    events = [event for (data,) in rows for event in decoder.decode(data)]
    connection.close()
    return len(events)
