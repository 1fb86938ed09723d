"""SG7: runs are told by their journal: in other processes, after a restart, of forks, and of damaged files."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from engine_kit import Gate, history
from stream_kit import collect, line, of, one, paper, plain, plan_b, sound, step, until
from stream_program import follow

from clew import Engine, RunFencedError, StateGraph, StorageError
from clew.engine import stream_items as i
from clew.engine.traces import trace_id

HERE = Path(__file__).parent


async def test_another_engine_follows_a_run(url: str) -> None:
    gate = Gate()

    async def held(state: Any) -> dict[str, str]:
        await gate.wait()
        return {"text": "there"}

    async with Engine(url) as a, Engine(url, drives=False) as b:
        run = await a.start(line(step, held))
        await gate.arrivals()
        other = await b.open_run(run.id)
        followed = asyncio.ensure_future(collect(other))
        await until(other, i.NodeStarted, path="held")
        gate.open()
        await run.result()
        assert await followed == await sound(run)


@pytest.mark.slow
async def test_another_process_follows_a_run(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(paper(), {"topic": "cats"}, id="r")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import stream_program; stream_program.main()", url, "r", "3",
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        )  # fmt: skip
        assert process.stdout is not None
        lines: list[Any] = []
        while not lines or lines[-1]["type"] != "barrier_waiting":
            lines.append(msgspec.json.decode(await process.stdout.readline()))
        await run.approve("review", by="eva", shown=lines[-1]["digest"])
        rest = (await process.communicate())[0].splitlines()
        assert process.returncode == 0
        lines += map(msgspec.json.decode, rest)
        await run.result()
        assert lines == [item for item in plain(await sound(run)) if item["seq"] > 3]


async def test_what_the_other_process_prints(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with Engine(url) as engine:
        run = await engine.start(line(step), id="r")
        await run.result()
        expected = plain(await sound(run))
    await follow(url, "r", 0)
    assert [*map(msgspec.json.decode, capsys.readouterr().out.splitlines())] == expected


async def test_a_run_goes_on_after_a_restart_in_the_same_stream(url: str) -> None:
    gate, tries = Gate(), []

    async def held(state: Any) -> dict[str, str]:
        tries.append(1)
        await gate.wait()
        return {"text": "there"}

    g = line(step, held)
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.start(g, id="r")
        stream = asyncio.ensure_future(collect(run))
        await gate.arrivals()
    before = await stream
    assert not of(before, i.Complete)
    gate.open()
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        after = await collect(run, after=before[-1].seq)
        items = await sound(run)
    assert [*before, *after] == items
    assert len(tries) == 2
    lost = one(items, i.NodeInterrupted)
    assert (lost.path, lost.attempt, lost.step) == ("held", 1, 2)
    assert [x.attempt for x in of(items, i.NodeStarted, "held")] == [1, 2]
    assert one(items, i.Complete).trace_id == trace_id("r")
    # Whoever knows neither the functions nor the engine reads the same.
    async with Engine(url) as engine:
        assert await collect(await engine.open_run("r")) == items


async def test_a_stream_of_a_run_that_is_taken_over_ends_and_goes_on_when_asked_again(url: str) -> None:
    gate = Gate()

    async def held(state: Any) -> None:
        await gate.wait()

    g = line(step, held)
    async with Engine(url, graphs=[g]) as a, Engine(url, graphs=[g]) as b:
        run = await a.start(g, id="r")
        await gate.arrivals()
        seen: list[Any] = []

        async def watch() -> None:
            async for item in run.stream(("debug", "values")):
                seen.append(item)

        watching = asyncio.ensure_future(watch())
        await until(run, i.NodeStarted, path="held")
        await a.journal.release("r", a._owner)
        other = await b.resume("r")
        await gate.arrivals(2)
        with pytest.raises(RunFencedError):
            await run.checkpoint("too late")
        with pytest.raises(RunFencedError):
            await watching
        gate.open()
        await other.result()
        assert [*seen, *await collect(run, after=seen[-1].seq)] == await sound(other)


async def test_a_fork_is_told_under_its_own_name(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(paper(), {"topic": "cats"}, id="first")
        asked = await until(run, i.BarrierWaiting)
        fork = await engine.fork("first", id="second", changes={"parts": []}, by="eva")
        again = await until(fork, i.BarrierWaiting, after=asked.seq)
        assert again.shows == {"parts": []}
        assert again.digest != asked.digest
        for each in (run, fork):
            await each.approve("review")
            await each.result()
        items, others = await sound(run), await sound(fork)
    assert others[-1].trace_id == trace_id("second") != items[-1].trace_id
    assert {x.span_id for x in of(items, i.NodeStarted)}.isdisjoint(x.span_id for x in of(others, i.NodeStarted))
    changed = next(x for x in of(others, i.StateChanged) if x.by == "eva")
    assert changed.changes["parts"].value == []
    assert others[-1].state["parts"] == []


async def test_a_fork_leaves_what_is_under_way(url: str) -> None:
    gate = Gate()

    async def held(state: Any) -> None:
        await gate.wait()

    async with Engine(url) as engine:
        run = await engine.start(line(step, held), id="first")
        await gate.arrivals()
        fork = await engine.fork("first", id="second")
        await gate.arrivals(2)
        gate.open()
        await run.result()
        await fork.result()
        items = await sound(fork)
    assert one(items, i.NodeInterrupted).path == "held"
    assert items[-1].state == {"log": ["step"], "round": 1}


async def test_a_run_that_goes_on_with_a_changed_graph_is_told_as_a_whole(url: str) -> None:
    def asking(*after: Any) -> StateGraph:
        g = line(step, *after)
        g.add_barrier("review")
        g.add_edge("step", "review", when=lambda s: "review.approved" not in s)
        g.add_edge("review", "step")
        return g

    async with Engine(url) as engine:
        run = await engine.start(asking(), id="r")
        await until(run, i.BarrierWaiting)
    async with Engine(url) as engine:
        run = await engine.start(asking(plan_b), id="r", on_change="force")
        await run.approve("review")
        await run.result()
        items = await sound(run)
    assert one(items, i.DefinitionChanged).forced
    assert [entry.node for entry in items[-1].log] == ["step", "review", "step", "plan_b"]
    async with Engine(url) as engine:
        assert await collect(await engine.open_run("r")) == items


async def test_events_that_do_not_fit_are_found(tmp_path: Path, url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(line(step), id="r")
        await run.result()
        seen = len(await history(run))
    with closing(sqlite3.connect(tmp_path / "clew.db")) as db:
        changed = db.execute(
            """UPDATE events SET data = replace(data, '"path":"step"', '"path":"stop"')"""
        ).rowcount
        db.commit()
    assert changed
    async with Engine(url) as engine:
        run = await engine.open_run("r")
        with pytest.raises(StorageError, match=r"event \d+ of run r does not fit .* was the database edited"):
            await collect(run)
        assert len(await history(run)) == seen
