"""What is kept of runs and graphs is bounded; a fault in one run is that run's."""

import asyncio
import gc
import weakref
from typing import Any

import pytest
from engine_bodies import double
from engine_kit import Gate, Meter, history

from clew import ClewError, Engine, Graph
from clew.engine.definitions import KEPT


def seen_kind(name: str) -> Any:
    from clew.kernel import events

    return getattr(events, name)


async def test_nothing_is_kept_of_runs_that_ended() -> None:
    g = Graph("g")
    g.add(double, 1)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        driver = weakref.ref(engine.driver_of(run.id))
        await run.result()
        for _ in range(200):
            await (await engine.start(g)).result()
        assert engine._drivers.by_run == {}
        assert len(engine._drivers._turns) == 0
        del run
        await asyncio.sleep(0)
        gc.collect()
        assert driver() is None


async def test_what_is_known_of_graphs_is_bounded() -> None:
    gate = Gate()

    async def held() -> int:
        await gate.wait()
        return 1

    async with Engine("memory:") as engine:
        first = Graph("first")
        first.add(held)
        run = await engine.start(first, id="r")
        for number in range(2 * KEPT):
            g = Graph("g")
            g.add(double, number)
            assert (await (await engine.start(g)).result())["double"] == 2 * number
        known = engine._definitions
        assert len(known._given) + len(known._recent) == KEPT
        gate.open()
        assert (await run.status()).state == "running"
        assert (await run.result())["held"] == 1


async def test_the_machine_of_one_run_fails_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    gate, meter = Gate(), Meter()

    async def held() -> int:
        with meter:
            await gate.wait()
        return 1

    g = Graph("g")
    g.add(double, g.add(held))
    async with Engine("memory:") as engine:
        broken, whole = await engine.start(g, id="broken"), await engine.start(g, id="whole")
        await gate.arrivals(2)
        driver = engine.driver_of("broken")
        assert driver is not None
        driver.machine._flow.begin = None  # type: ignore[assignment,method-assign]
        waiting = asyncio.ensure_future(broken.result())
        await asyncio.sleep(0)
        gate.open()
        assert (await whole.result())["double"] == 2
        with pytest.raises(ClewError, match="the machine failed"):
            await waiting
        await engine.resume("broken")
        assert (await broken.result())["double"] == 2
        assert len(await history(broken)) > 5
    assert "the machine failed" in caplog.text
