"""One repetition of one case, in a process of its own: ``python -m benchmarks.one CASE FOLDER``.

CASE is JSON text of a `plan.Case`. First a small run of the same kind warms up what every process does once
(imports, type caches, the first connection); then the garbage is collected, and what follows is timed. The
result is one line of JSON on the standard output.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec

from benchmarks import floors, listing, processes, recovery, scale, waiting
from benchmarks.plan import SYNCHRONOUS, Case
from benchmarks.states import states
from benchmarks.steps import STEPS, steps, waiting_steps
from benchmarks.workloads import RUNS, UNLIMITED, Shape, grown, many, shape_of
from clew.engine.engine import Engine


def engine_on(mode: str, path: Path) -> Engine:
    """An engine on a new journal."""
    url = "memory:" if mode == "memory" else f"sqlite:///{path}"
    return Engine(url, durability=mode, max_concurrency=UNLIMITED)


async def time_clew(
    case: Case, shape: Shape, path: Path, runs: int, around: AbstractContextManager[None] | None = None
) -> dict[str, float]:
    """Seconds from `start` to `result`, inside of `around`; the graph has been built and checked before."""
    graph = shape.graph()
    graph.spec()
    expected = shape.values()
    async with engine_on(case.mode, path) as engine:

        async def single() -> None:
            result = await (await engine.start(graph)).result()
            assert result[f"n{len(expected) - 1}"] == expected[-1]

        await (await engine.start(grown())).result()
        gc.collect()
        with around or nullcontext():
            return await timed(single, runs)


async def time_floor(case: Case, shape: Shape, path: Path, runs: int) -> dict[str, float]:
    """Seconds that a floor takes for the same."""
    store = floors.Store(path, SYNCHRONOUS[case.mode]) if case.subject != "bare" else None
    keep = None if store is None else store.each if case.subject == "each" else store.grouped
    expected = shape.values()
    if store is not None:
        store.grow()

    async def single() -> None:
        values = await floors.run(shape, keep)
        assert values == expected

    gc.collect()
    taken = await timed(single, runs)
    if store is not None:
        store.close()
    return taken


async def timed(single: Callable[[], Awaitable[None]], runs: int) -> dict[str, float]:
    """Seconds that one run takes, or many."""
    start, cpu = time.perf_counter(), time.process_time()
    await (many(runs, single) if runs else single())
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}


async def workload(case: Case, folder: Path) -> dict[str, float]:
    """One of the four workloads."""
    measure = time_clew if case.subject == "clew" else time_floor
    runs = RUNS if case.work == "runs" else 0
    await measure(case, shape_of(case.work, small=True), folder / "warm.db", min(runs, 20))
    shape = shape_of(case.work)
    return await measure(case, shape, folder / "timed.db", runs) | {"units": runs or len(shape.needs)}


MEASURES: dict[str, Callable[[Case, Path], Coroutine[None, None, dict[str, float]]]] = {
    "map": scale.scale,
    "graph": scale.scale,
    "recovery": recovery.recovery,
    "waiting": waiting.waiting,
    "processes": processes.processes,
    "listing": listing.listing,
    "loop": states,
    "branches": states,
    "large state": states,
    "conversation": states,
    **dict.fromkeys(STEPS, steps),
    "waiting steps": waiting_steps,
}


def main() -> None:
    """Measure what the command line says."""
    case = msgspec.json.decode(sys.argv[1], type=Case)
    folder = Path(sys.argv[2])
    measure = MEASURES.get(case.work, workload)
    print(msgspec.json.encode(asyncio.run(measure(case, folder))).decode())


if __name__ == "__main__":
    main()
