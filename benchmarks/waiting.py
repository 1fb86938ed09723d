"""Ten thousand runs that wait for an answer: what they cost a process, and what it takes to wake one.

``python -m benchmarks.waiting again PATH RUNS`` is the process after a restart, ``… floor PATH RUNS`` its floor.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.floors import Store
from benchmarks.machine import memory
from benchmarks.plan import ROOT, Case
from clew.bodies.context import Context
from clew.engine.drivers import MAX_IDLE
from clew.engine.engine import Engine
from clew.graphs.graph import Graph
from clew.kernel.events import AnyEvent

#: Runs that are started at once.
TOGETHER = 500
#: Runs that are answered after the first.
MORE = 20


async def approve(ctx: Context) -> bool:
    """A node that asks."""
    return await ctx.ask("Ship it?", type=bool, key="ship")


def asking() -> Graph:
    """A graph of one node that asks."""
    graph = Graph("asking")
    graph.add(approve, id="approve")
    return graph


def names(runs: int) -> list[str]:
    """Of the runs."""
    return [f"w{number:06}" for number in range(runs)]


async def waiting(case: Case, folder: Path) -> dict[str, float]:
    """Start `case.nodes` runs, let them be parked, answer one; then the same file in new processes."""
    if case.subject == "tasks":
        return await tasks(case.nodes)
    path = folder / "waiting.db"
    found = await parked(asking(), path, case.nodes)
    # The floor first: it changes nothing.
    for role in ("floor", "again"):
        found |= {f"{role}_{name}": value for name, value in in_process(role, path, case.nodes).items()}
    return found | {"units": case.nodes}


async def tasks(runs: int) -> dict[str, float]:
    """What a program without Clew needs: as many tasks that await a future, which do not survive it."""
    gc.collect()
    before = memory()
    answers = [asyncio.get_running_loop().create_future() for _ in range(runs)]

    async def wait(number: int) -> bool:
        return await answers[number]

    waiting_ = [asyncio.create_task(wait(number)) for number in range(runs)]
    await asyncio.sleep(0)
    gc.collect()
    found = {"memory": float(memory()), "memory_more": float(memory() - before), "units": float(runs)}
    for answer in answers:
        answer.set_result(True)
    await asyncio.gather(*waiting_)
    return found


async def parked(graph: Graph, path: Path, runs: int) -> dict[str, float]:
    """The process that starts the runs, until all but the few that it keeps are out of its memory."""
    async with Engine(f"sqlite:///{path}", graphs=[graph]) as engine:
        first = await engine.start(graph, id="first")
        await until_asked(engine, ["first"])
        await first.answer(True)
        await first.result()
        ids = names(runs)
        gc.collect()
        before, blocks = memory(), sys.getallocatedblocks()
        start = time.perf_counter()
        for begin in range(0, runs, TOGETHER):
            await asyncio.gather(*(engine.start(graph, id=run) for run in ids[begin : begin + TOGETHER]))
        await until_asked(engine, ids)
        started = time.perf_counter() - start
        while in_memory(engine, ids) > MAX_IDLE:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        gc.collect()
        found = {
            "start_seconds": started,
            "parked_seconds": time.perf_counter() - start,
            "memory": float(memory()),
            "memory_more": float(memory() - before),
            "blocks": float(sys.getallocatedblocks() - blocks),
            "answer_seconds": statistics.median([await answered(engine, run) for run in ids[:MORE]]),
        }
        start = time.perf_counter()
    return found | {"close_seconds": time.perf_counter() - start}


async def until_asked(engine: Engine, ids: list[str]) -> None:
    """Wait until all runs only wait; each is looked at until it does."""
    for run in ids:
        while (driver := engine.driver_of(run)) is not None and not driver.is_idle:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def in_memory(engine: Engine, ids: list[str]) -> int:
    """How many runs are."""
    return sum(engine.driver_of(run) is not None for run in ids)


async def answered(engine: Engine, run: str) -> float:
    """Seconds from an answer to the result of a run."""
    start = time.perf_counter()
    handle = await engine.open_run(run)
    await handle.answer(True)
    result = await handle.result()
    seconds = time.perf_counter() - start
    assert result["approve"] is True
    return seconds


async def again(path: Path, runs: int) -> dict[str, float]:
    """A new process on the file: everything is to go on, nothing is due, then one run gets its answer."""
    graph = asking()
    graph.spec()
    gc.collect()
    before = memory()
    start = time.perf_counter()
    async with Engine(f"sqlite:///{path}", graphs=[graph]) as engine:
        opened = time.perf_counter()
        taken_up = await engine.resume_all()
        resumed = time.perf_counter()
        assert not taken_up, "they all only wait"
        gc.collect()
        at_rest = memory()
        ids = names(runs)[MORE:]
        first = await answered(engine, ids[len(ids) // 2])
        others = [await answered(engine, run) for run in ids[:MORE]]
        return {
            "open_seconds": opened - start,
            "resume_seconds": resumed - opened,
            "memory": float(at_rest),
            "memory_more": float(at_rest - before),
            "first_seconds": first,
            "answer_seconds": statistics.median(others),
        }


def floor(path: Path, runs: int) -> dict[str, float]:
    """The least that could be done: one query for all that waits; a run's events, and two durable commits."""
    start = time.perf_counter()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode").fetchone()
    opened = time.perf_counter()
    rows = connection.execute("SELECT * FROM runs WHERE ended_at IS NULL").fetchall()
    listed = time.perf_counter()
    assert len(rows) >= runs - MORE
    store = Store(path.with_name("floor.db"), "FULL")
    decoder = msgspec.json.Decoder(list[AnyEvent])
    query = "SELECT data FROM events WHERE run = (SELECT id FROM runs WHERE run = ?) ORDER BY seq"
    times: list[float] = []
    for run in names(runs)[MORE : 2 * MORE + 1]:
        begun = time.perf_counter()
        for (data,) in connection.execute(query, (run,)):
            decoder.decode(data)
        store.keep(1)  # the answer
        store.keep(2)  # the end
        times.append(time.perf_counter() - begun)
    store.close()
    connection.close()
    return {
        "open_seconds": opened - start,
        "resume_seconds": listed - opened,
        "memory": float(memory()),
        "first_seconds": times[0],
        "answer_seconds": statistics.median(times[1:]),
    }


def in_process(role: str, path: Path, runs: int) -> dict[str, float]:
    """What a new process measures."""
    command = [sys.executable, "-m", "benchmarks.waiting", role, str(path), str(runs)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return msgspec.json.decode(done.stdout, type=dict[str, float])


def main() -> None:
    """Be a new process on the file."""
    role, path, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    found = asyncio.run(again(path, runs)) if role == "again" else floor(path, runs)
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
