"""PL2: one step of a paused run, by a real engine and from others."""

from pathlib import Path

import pytest

from clew import Engine, Graph, RefusedError, Run
from clew.kernel import events as e


async def one() -> int:
    return 1


async def add(x: int) -> int:
    return x + 1


def graph() -> Graph:
    g = Graph("by_hand")
    first = g.add(one, id="first")
    g.add(add, first, id="second")
    g.add(one, id="other")
    return g


async def done(run: Run, path: str) -> None:
    async for item in run.events():
        if isinstance(item.event, e.NodeCompleted) and item.event.path == path:
            return


async def test_steps_are_executed_one_by_one_and_the_rest_by_resuming() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(graph(), paused=True)
        assert (await run.status()).state == "paused"
        with pytest.raises(RefusedError, match="there is no step 'second' to be executed now; those"):
            await run.execute_step("second")
        await run.execute_step("first")
        await done(run, "first")
        await run.execute_step("second")
        await done(run, "second")
        status = await run.status()
        assert status.state == "paused"
        assert {node.path: node.state for node in status.nodes} == {
            "first": "completed",
            "second": "completed",
            "other": "ready",
        }
        await run.resume()
        assert await run.result() == {"first": 1, "second": 2, "other": 1}


async def test_a_step_is_executed_after_a_restart_and_by_another_engine(tmp_path: Path) -> None:
    url = str(tmp_path / "clew.db")
    async with Engine(url, graphs=[graph()]) as engine:
        await engine.start(graph(), id="r", paused=True)
    async with Engine(url, graphs=[graph()]) as engine:
        run = await engine.open_run("r")
        await run.execute_step("first")
        await done(run, "first")
        async with Engine(url, graphs=[graph()], drives=False) as other:
            there = await other.open_run("r")
            await there.execute_step("second")
            await done(there, "second")
            with pytest.raises(RefusedError, match="second is completed already; those that could be are other"):
                await there.execute_step("second")
        assert (await run.status()).state == "paused"


async def test_only_a_paused_run_has_steps_to_execute() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(graph())
        await run.result()
        with pytest.raises(RefusedError, match="it has ended"):
            await run.execute_step("first")
