"""Measurements of scale: what a node costs in runs of 100 to 100,000.

Two kinds of runs, 64 nodes at once. A *map*: a node returns a list of `n` numbers, a map makes a visit of each;
its definition has the same size for every `n`, so that what grows is the run. A written *graph* of `n` nodes: its
definition grows with it, which costs time when it is compiled, and once memory and disk.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path

import msgspec

from benchmarks import floors
from benchmarks.machine import memory
from benchmarks.plan import Case
from benchmarks.workloads import WIDTH, Shape, layers, up_to
from clew.engine.engine import Engine
from clew.graphs.graph import Graph

#: Nodes of a layer of a written graph, each with one dependency.
LAYER = 50

#: Bytes of memory of this process when the body of the last item was entered.
_seen: list[int] = [0]


async def numbered(x: int, last: int) -> int:
    """An item; the last one looks at the memory, while the run is in it with everything else done."""
    if x == last:
        _seen[0] = memory()
    return x + 1


async def looked() -> None:
    """The last node of a written graph, which looks as well."""
    _seen[0] = memory()


def map_of(n: int) -> Graph:
    """A list and a map over it."""
    graph = Graph("scale", max_concurrency=WIDTH)
    items = graph.add(up_to, n, id="items")
    graph.returns(graph.map(numbered, over={"x": items}, last=n - 1, id="each"))
    return graph


def written(shape: Shape) -> Graph:
    """A graph of layers, with one more node at its end."""
    graph = shape.graph(WIDTH)
    graph.add(looked, id="last", depends_on=[f"n{len(shape.needs) - 1}"])
    return graph


def journal_url(mode: str, path: Path) -> str:
    """Where a run of a mode is kept."""
    return "memory:" if mode == "memory" else f"sqlite:///{path}"


def bytes_on_disk(path: Path) -> int:
    """Bytes of a closed database."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


async def run_graph(graph: Graph, nodes: int, mode: str, path: Path) -> dict[str, float]:
    """Seconds, memory and disk of a run: the graph is there and checked, but not compiled yet.

    The memory is what the run adds when the compiled graph is in memory; the disk is all of the file.
    """
    spec = graph.spec()
    gc.collect()
    start = time.perf_counter()
    engine = Engine(journal_url(mode, path), graphs=[graph], durability=mode, max_concurrency=WIDTH)
    compiled = time.perf_counter() - start
    async with engine:
        gc.collect()
        before = memory()
        start = time.perf_counter()
        run = await engine.start(graph)
        await run.wait_ended()
        seconds = time.perf_counter() - start
        result = await run.result()
        assert len(result) == len(spec.nodes), result
    return {
        "seconds": compiled + seconds,
        "compile_seconds": compiled,
        "units": nodes,
        "memory": float(_seen[0] - before),
        "disk": bytes_on_disk(path) if mode != "memory" else 0,
        "definition": len(msgspec.json.encode(spec)) if mode != "memory" else 0,
    }


async def scale(case: Case, folder: Path) -> dict[str, float]:
    """A run of `case.nodes`, after a small one of its kind; or its floor."""
    shape = layers(max(1, case.nodes // LAYER), LAYER, 1) if case.work == "graph" else None
    if case.subject != "clew":
        return await floor_of(case, shape, folder)
    # Disk is counted without what a file has that holds next to nothing.
    empty = await run_graph(map_of(1), 1, case.mode, folder / "empty.db")
    if shape is not None:
        await run_graph(written(layers(2, LAYER, 1)), 2 * LAYER, case.mode, folder / "warm.db")
    graph = written(shape) if shape is not None else map_of(case.nodes)
    found = await run_graph(graph, case.nodes, case.mode, folder / "timed.db")
    found["disk"] -= empty["disk"]
    return found


async def floor_of(case: Case, shape: Shape | None, folder: Path) -> dict[str, float]:
    """As many tasks: 64 at once for a map, all that can for a graph; with no memory of what was done."""
    store = floors.Store(folder / "floor.db", "NORMAL") if case.subject != "bare" else None
    keep = None if store is None else store.each if case.subject == "each" else store.grouped
    await floors.run_map(100, WIDTH, keep)
    gc.collect()
    start = time.perf_counter()
    await (floors.run_map(case.nodes, WIDTH, keep) if shape is None else floors.run(shape, keep))
    return {"seconds": time.perf_counter() - start, "units": case.nodes}
