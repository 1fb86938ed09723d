"""Steps of plans: what a call of a tool costs in the loop, in a thread, in a process, as a program; waiting."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import memory
from benchmarks.plan import Case
from benchmarks.tools_for_steps import in_loop, in_process, in_thread
from clew.bodies.context import Context
from clew.engine.engine import Engine
from clew.graphs.bodies import Description, shell
from clew.graphs.calls import call
from clew.graphs.graph import Graph
from clew.graphs.handles import item
from clew.graphs.tools import tool_of
from clew.kernel import events as e

#: Steps that run at once where several do.
TOGETHER = 4
#: Workloads with their sizes.
STEPS = {
    "step in the loop": 1_000,
    "step in a thread": 1_000,
    "isolated step": 200,
    "isolated step with limits": 200,
    "program": 200,
    "isolated program": 200,
    "programs, four at once": 1_000,
}


async def ask(number: int, ctx: Context) -> bool:
    """Wait for an answer."""
    return await ctx.ask(f"{number}?", type=bool)


def body(work: str) -> Description:
    """The step of a workload."""
    match work:
        case "step in the loop":
            return call(in_loop, number=item)
        case "step in a thread":
            return call(in_thread, number=item)
        case "isolated step":
            return call(in_process, number=item)
        case "isolated step with limits":
            limits: dict[str, Any] = {"memory_bytes": "1GB", "cpu_s": 60, "processes": 50}
            held = tool_of(in_process).within(limits=limits, write=["."], network=[], best_effort=True)
            return call(held, number=item)
        case "isolated program":
            return shell(["true", "{{ item }}"], limits={"wall_s": 60}, best_effort=True)
        case _:
            return shell(["true", "{{ item }}"])


async def steps(case: Case, folder: Path) -> dict[str, float]:
    """Seconds of `case.nodes` steps, one after the other or four at once."""
    at_once = TOGETHER if case.work.endswith("at once") else 1
    if case.subject == "subprocess":
        return await programs(case.nodes, at_once)
    graph = Graph("steps", max_concurrency=at_once)
    numbers = graph.input("numbers", list[int])
    graph.map(body(case.work), over=numbers, id="steps")
    url = "memory:" if case.mode == "memory" else f"sqlite:///{folder / 'timed.db'}"
    async with Engine(url, durability=case.mode) as engine:
        await (await engine.start(graph, {"numbers": [1, 2]})).result()
        gc.collect()
        start, cpu = time.perf_counter(), time.process_time()
        result = await (await engine.start(graph, {"numbers": list(range(case.nodes))})).result()
        seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
        assert len(result["steps"]) == case.nodes
    return {"seconds": seconds, "cpu_seconds": cpu_s, "units": case.nodes}


async def programs(count: int, at_once: int) -> dict[str, float]:
    """The floor: `asyncio.create_subprocess_exec`, its output read, awaited."""
    room = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with room:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec("true", stdout=pipe, stderr=pipe)
            await process.communicate()
            assert process.returncode == 0

    await one()
    gc.collect()
    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one() for _ in range(count)))
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu, "units": count}


async def waiting_steps(case: Case, folder: Path) -> dict[str, float]:
    """Bytes of memory of each of many steps of one run that wait for people."""
    graph = Graph("waiting", max_concurrency=case.nodes)
    numbers = graph.input("numbers", list[int])
    graph.map(ask, item, over=numbers, id="asked")
    async with Engine(f"sqlite:///{folder / 'timed.db'}", durability=case.mode) as engine:
        gc.collect()
        before = memory()
        run = await engine.start(graph, {"numbers": list(range(case.nodes))})
        waiting = 0
        async for recorded in run.events():
            waiting += isinstance(recorded.event, e.AttemptSuspended)
            if waiting == case.nodes:
                break
        gc.collect()
        used = memory() - before
        await run.cancel()
    return {"seconds": 0.0, "bytes": used, "units": case.nodes}
