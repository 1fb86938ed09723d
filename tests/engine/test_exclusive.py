"""Of all attempts that hold the same key, one runs at a time: in a run, in an engine, across processes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Gate, Meter, pass_time, seen

from clew import Engine, Graph, RunFailedError
from clew.kernel.events import AttemptSuspended
from clew.testing import VirtualClock, run_virtual


def guarded(meter: Meter, exclusive: str = "account {{ customer }}", **options: Any) -> Graph:
    async def change(customer: str) -> str:
        with meter:
            for _ in range(20):
                await asyncio.sleep(0)
        return customer

    g = Graph("guarded", max_concurrency=20)
    g.map(change, over=g.input("customers", list[str]), id="m", exclusive=exclusive, **options)
    return g


def test_items_with_the_same_key_take_turns_and_others_do_not_wait() -> None:
    async def main() -> None:
        meter = Meter()
        async with Engine("memory:", clock=VirtualClock(asyncio.get_running_loop())) as engine:
            run = await engine.start(guarded(meter), {"customers": ["ada", "bob"] * 5})
            assert (await run.result())["m"] == ["ada", "bob"] * 5
        assert meter.most == 2

    run_virtual(main())


def test_who_waits_for_a_key_holds_no_slot() -> None:
    async def main() -> None:
        gate = Gate()

        async def held() -> int:
            await gate.wait()
            return 1

        g = Graph("g", max_concurrency=2)
        g.add(held, id="first", exclusive="key")
        g.add(held, id="second", exclusive="key")
        g.add(held, id="free")
        async with Engine("memory:", clock=VirtualClock(asyncio.get_running_loop())) as engine:
            run = await engine.start(g)
            await gate.arrivals(2)
            states = {node.id: node.state for node in (await run.status()).nodes}
            assert sorted(states.values()) == ["running", "running", "waiting"]
            assert states["free"] == "running"
            gate.open()
            await run.result()

    run_virtual(main())


def test_a_key_is_free_after_a_failure_and_after_a_cancel() -> None:
    async def main() -> None:
        async def fail() -> int:
            raise ValueError("boom")

        async def forever() -> int:
            await asyncio.Event().wait()
            return 1

        async def quick() -> int:
            return 1

        async with Engine("memory:", clock=VirtualClock(asyncio.get_running_loop())) as engine:
            graphs = {}
            for body in (fail, forever, quick):
                graphs[body.__name__] = g = Graph(body.__name__)
                g.add(body, id="n", exclusive="key")
            with pytest.raises(RunFailedError, match="boom"):
                await (await engine.start(graphs["fail"])).result()
            run = await engine.start(graphs["forever"])
            waiting = await engine.start(graphs["quick"])
            await pass_time(1)
            assert (await waiting.status()).nodes[0].state == "waiting"
            assert await engine.journal.keys() != []
            await run.cancel()
            assert (await waiting.result())["n"] == 1
            assert await engine.journal.keys() == []

    run_virtual(main())


async def test_keys_hold_across_engines(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/clew.db"
    meter = Meter()
    async with Engine(url, durability="process") as one, Engine(url, durability="process") as two:
        customers = {"customers": ["ada"] * 6}
        runs = [await engine.start(guarded(meter), customers) for engine in (one, two, one, two)]
        for run in runs:
            assert (await run.result())["m"] == ["ada"] * 6
    assert meter.most == 1


async def test_a_key_of_a_run_that_died_is_held_until_that_run_has_gone_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/clew.db"
    gate, meter = Gate(), Meter()

    async def held(customer: str) -> str:
        with meter:
            await gate.wait()
        return customer

    g = Graph("held")
    g.add(held, "ada", exclusive="key")
    async with Engine(url) as first:
        await first.start(g, id="died")
        await gate.arrivals()
    async with Engine(url, graphs=[g]) as second:
        other = await second.start(g, id="other")
        await seen(other, AttemptSuspended)
        ((_, holder),) = await second.journal.keys()
        assert holder.run == "died"
        died = await second.resume("died")
        gate.open()
        assert (await died.result())["held"] == (await other.result())["held"] == "ada"
    assert meter.most == 1


def test_a_key_that_is_no_text_fails_the_node() -> None:
    async def main() -> None:
        async with Engine("memory:", clock=VirtualClock(asyncio.get_running_loop())) as engine:
            g = Graph("g")

            async def body(x: Any) -> int:
                return 1

            x = g.input("x")
            g.add(body, x, id="n", exclusive=x)
            run = await engine.start(g, {"x": [1]})
            with pytest.raises(RunFailedError, match="exclusive"):
                await run.result()

    run_virtual(main())
