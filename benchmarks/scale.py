"""Measurements of scale: what a node costs in runs of 100 to 100,000, and what it takes to go on with a long one.

A run of `n` items: a node returns a list of `n` numbers, a map makes a visit of each, 64 at once. A map and
not a written graph, because its definition has the same size for every `n`, so that what grows is the run.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import floors
from benchmarks.machine import memory
from benchmarks.plan import Case
from benchmarks.workloads import WIDTH, layers, up_to
from clew.bodies.context import Context
from clew.engine.engine import Engine
from clew.graphs.graph import Graph
from clew.kernel.events import AnyEvent

#: Bytes of memory of this process when the body of the last item was entered.
_seen: list[int] = [0]


async def numbered(x: int, last: int) -> int:
    """An item; the last one looks at the memory, while the run is in it with everything else done."""
    if x == last:
        _seen[0] = memory()
    return x + 1


async def for_long(_xs: list[int], ctx: Context) -> int:
    """A node that keeps its run from ending."""
    await ctx.sleep(86_400)
    return 0


def map_of(n: int) -> Graph:
    """A list and a map over it."""
    graph = Graph("scale", max_concurrency=WIDTH)
    items = graph.add(up_to, n, id="items")
    graph.returns(graph.map(numbered, over={"x": items}, last=n - 1, id="each"))
    return graph


def waiting(n: int) -> Graph:
    """The same with a last node that waits for a day."""
    graph = Graph("waiting", max_concurrency=WIDTH)
    items = graph.add(up_to, n, id="items")
    graph.add(for_long, graph.map(numbered, over={"x": items}, last=n - 1, id="each"), id="wait")
    return graph


def journal_url(mode: str, path: Path) -> str:
    """Where a run of a mode is kept."""
    return "memory:" if mode == "memory" else f"sqlite:///{path}"


def bytes_on_disk(path: Path) -> int:
    """Bytes of a closed database."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


async def run_graph(graph: Graph, nodes: int, mode: str, path: Path) -> dict[str, float]:
    """Seconds, memory and disk of a run."""
    graph.spec()
    gc.collect()
    before = memory()
    async with Engine(journal_url(mode, path), durability=mode, max_concurrency=WIDTH) as engine:
        start = time.perf_counter()
        run = await engine.start(graph)
        await run.wait_ended()
        ended = time.perf_counter()
        result = await run.result()
        assert len(result) == len(graph.spec().nodes), result
        seconds = time.perf_counter() - ended
    return {
        "seconds": ended - start,
        "result_seconds": seconds,
        "units": nodes,
        "memory": float(_seen[0] - before),
        "disk": bytes_on_disk(path) if mode != "memory" else 0,
    }


async def scale_map(case: Case, folder: Path) -> dict[str, float]:
    """A map of `case.nodes` items; or its floor, as many tasks 64 at once, with no memory of what was done."""
    if case.subject == "clew":
        empty = await run_graph(map_of(1), 1, case.mode, folder / "warm.db")
        found = await run_graph(map_of(case.nodes), case.nodes, case.mode, folder / "timed.db")
        found["disk"] -= empty["disk"]
        return found
    store = floors.Store(folder / "floor.db", "NORMAL") if case.subject != "bare" else None
    keep = None if store is None else store.each if case.subject == "each" else store.grouped
    await floors.run_map(100, WIDTH, keep)
    gc.collect()
    start = time.perf_counter()
    await floors.run_map(case.nodes, WIDTH, keep)
    return {"seconds": time.perf_counter() - start, "units": case.nodes}


async def scale_graph(case: Case, folder: Path) -> dict[str, float]:
    """A written graph of `case.nodes` nodes in layers of 50, each with one dependency."""
    await run_graph(layers(2, 50, 1).graph(WIDTH), 100, case.mode, folder / "warm.db")
    start = time.perf_counter()
    graph = layers(case.nodes // 50, 50, 1).graph(WIDTH)
    graph.spec()
    written = time.perf_counter() - start
    found = await run_graph(graph, case.nodes, case.mode, folder / "timed.db")
    del found["memory"]  # nobody has looked
    return found | {"written_seconds": written}


async def recovery(case: Case, folder: Path) -> dict[str, float]:
    """Seconds to go on with a run of `case.nodes` events: with its snapshot, without, and the floor of both.

    The floor reads all events out of the file and decodes them.
    """
    path = folder / "long.db"
    graph = waiting(case.nodes // 2)
    async with Engine(journal_url("process", path), durability="process", max_concurrency=WIDTH) as engine:
        run = await engine.start(graph)
        async for recorded in run.events():
            if type(recorded.event).__name__ == "AttemptSuspended":
                break
    found = {"units": float((await resumed(graph, path, run.id))[1])}
    floor = time.perf_counter()
    decoded = read_all(path)
    found["floor_seconds"] = time.perf_counter() - floor
    assert decoded >= case.nodes
    found["seconds"], _ = await resumed(graph, path, run.id)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM snapshots")
    connection.close()
    found["folded_seconds"], _ = await resumed(graph, path, run.id)
    return found


async def resumed(graph: Graph, path: Path, run: str) -> tuple[float, int]:
    """Seconds to open the journal and take a run over, and its number of events."""
    gc.collect()
    start = time.perf_counter()
    async with Engine(journal_url("process", path), durability="process", graphs=[graph]) as engine:
        status = await (await engine.resume(run)).status()
        return time.perf_counter() - start, status.seq


def read_all(path: Path) -> int:
    """Read and decode every event of a file."""
    decoder = msgspec.json.Decoder(list[AnyEvent])
    connection = sqlite3.connect(path)
    rows: Sequence[tuple[bytes]] = connection.execute("SELECT data FROM events ORDER BY run, seq").fetchall()
    events = [event for (data,) in rows for event in decoder.decode(data)]
    connection.close()
    return len(events)


MEASURES = {"map": scale_map, "graph": scale_graph, "recovery": recovery}
