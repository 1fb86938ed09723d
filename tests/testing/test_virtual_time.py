"""Waiting takes no time on a virtual loop, and real work is waited for all the same."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from clew import Context, Engine, Graph, Retry, RunFailedError, exponential, node
from clew.testing import VirtualClock, VirtualLoop, run_virtual

DAY = 86_400.0


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


def test_a_sleep_takes_its_virtual_time_and_no_other() -> None:
    async def main() -> float:
        morning = asyncio.Event()
        loop().call_later(DAY, morning.set)
        await morning.wait()
        return loop().time()

    began = time.monotonic()
    assert run_virtual(main()) == pytest.approx(DAY)
    assert time.monotonic() - began < DAY / 1_000


async def nap(ctx: Context, days: int) -> int:
    await ctx.sleep(days * DAY)
    return days


def real_work(days: int) -> int:
    Path("/").stat()
    return days


@pytest.mark.parametrize("url", ["memory:", "sqlite"])
def test_a_graph_of_days_runs_at_once(url: str, tmp_path: Path) -> None:
    async def main() -> tuple[int, float]:
        place = url if url == "memory:" else str(tmp_path / "clew.db")
        async with Engine(place, clock=VirtualClock(loop())) as engine:
            graph = Graph("days")
            graph.add(real_work, graph.add(nap, 3))
            run = await engine.start(graph)
            return (await run.result())["real_work"], loop().time()

    value, at = run_virtual(main())
    assert value == 3
    assert 3 * DAY <= at < 3 * DAY + 60


def test_retries_and_time_limits_are_kept_to_the_second() -> None:
    @node(retry=Retry(max_attempts=3, backoff=exponential(60), jitter=0.0))
    async def failing() -> None:
        raise ValueError("no")

    @node(timeout=100)
    async def hanging() -> None:
        await asyncio.Event().wait()

    async def main(body: object) -> float:
        async with Engine("memory:", clock=VirtualClock(loop())) as engine:
            graph = Graph("late")
            graph.add(body)
            with pytest.raises(RunFailedError):
                await (await engine.start(graph)).result()
            return loop().time()

    assert run_virtual(main(failing)) == pytest.approx(60 + 120, abs=1)
    assert run_virtual(main(hanging)) == pytest.approx(100, abs=1)


def test_time_stands_still_while_a_thread_works() -> None:
    async def main() -> float:
        timer = loop().call_later(1_000, lambda: None)
        await asyncio.to_thread(Path("/").stat)
        timer.cancel()
        return loop().time()

    assert run_virtual(main()) < 1_000
