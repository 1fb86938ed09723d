"""Signals between processes: two engines on one file stand for them, and real ones come in tests/cli."""

import asyncio

import msgspec
import pytest
from engine_kit import Gate, count, kinds

from clew import ClewError, Engine, Graph, RefusedError, RunFailedError
from clew.engine import mailroom
from clew.kernel import signals as s


def held_graph(gate: Gate) -> Graph:
    async def held() -> int:
        await gate.wait()
        return 1

    async def after(x: int) -> int:
        return x + 1

    g = Graph("held")
    g.add(after, g.add(held))
    return g


async def test_a_run_of_another_process_is_cancelled(url: str) -> None:
    gate = Gate()
    async with Engine(url) as driving, Engine(url) as looking:
        run = await driving.start(held_graph(gate), id="r")
        await gate.arrivals()
        await (await looking.open_run("r")).cancel("enough", by="ann")
        with pytest.raises(RunFailedError, match="enough by ann"):
            await run.result()
        assert (await kinds(run))[-1] == "RunCancelled"
        assert await looking.journal.inbox() == []


async def test_a_run_of_another_process_is_paused_and_goes_on(url: str) -> None:
    gate = Gate()
    async with Engine(url) as driving, Engine(url) as looking:
        run = await driving.start(held_graph(gate), id="r")
        await gate.arrivals()
        seen_from_there = await looking.open_run("r")
        await seen_from_there.pause()
        assert (await run.status()).state == "paused"
        with pytest.raises(RefusedError, match="only a running one can be paused, and it is paused"):
            await seen_from_there.pause()
        await seen_from_there.resume()
        gate.open()
        assert dict(await run.result()) == {"held": 1, "after": 2}
        assert (await count(run))["RunPaused", ""] == 1


async def test_many_senders_are_all_answered(url: str) -> None:
    gate = Gate()
    async with Engine(url) as driving, Engine(url) as one, Engine(url) as two:
        run = await driving.start(held_graph(gate), id="r")
        await gate.arrivals()
        handles = [await engine.open_run("r") for engine in (one, two, one, two)]
        outcomes = await asyncio.gather(*(handle.pause() for handle in handles), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + ["RefusedError"] * 3
        assert (await count(run))["RunPaused", ""] == 1
        await run.cancel()


async def test_what_came_while_nobody_drove_takes_effect_before_anything_starts(url: str) -> None:
    gate = Gate()
    g = held_graph(gate)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
        item = await engine.journal.post("r", msgspec.json.encode(s.Cancel(reason="late", by="bob")), 1.0, "bob")
        other = await engine.journal.post("r", b'{"type":"Nonsense"}', 1.0, "eve")
        await engine.close()
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        with pytest.raises(RunFailedError, match="late by bob"):
            await run.result()
        assert (await count(run))["AttemptStarted", "held"] == 1
        assert await engine.journal.outcome(item) == ""
        assert "not understood" in (await engine.journal.outcome(other) or "")


async def test_a_sender_takes_a_run_over_whose_process_has_died(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailroom, "_DEATH_WATCH", 1)
    gate = Gate()
    g = held_graph(gate)
    async with Engine(url) as driving, Engine(url, graphs=[g]) as looking:
        await driving.start(g, id="r")
        await gate.arrivals()
        await driving._drivers.close()  # it hears nothing any more
        cancelling = asyncio.ensure_future((await looking.open_run("r")).cancel())
        posted = asyncio.Event()
        while not posted.is_set():
            await asyncio.sleep(0)
            if await looking.journal.inbox():
                posted.set()
        await driving.journal.release("r", driving._owner)
        await cancelling
        row = await looking.journal.row("r")
        assert row is not None
        assert row.state == "cancelled"


async def test_a_process_that_does_not_answer_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailroom, "PATIENCE_S", 0.0)
    gate = Gate()
    async with Engine(url) as driving, Engine(url) as looking:
        run = await driving.start(held_graph(gate), id="r")
        await gate.arrivals()
        await driving._drivers.close()
        with pytest.raises(ClewError, match="has not answered for 0 s; it will be told"):
            await (await looking.open_run("r")).pause()
        assert len(await looking.journal.inbox("r")) == 1
        gate.open()
        await run.result()


async def test_signals_to_runs_that_have_ended(url: str) -> None:
    gate = Gate()
    gate.open()
    async with Engine(url) as engine:
        run = await engine.start(held_graph(gate))
        await run.result()
        await run.cancel()
        for signal in (run.pause, run.resume, run.retry):
            with pytest.raises(RefusedError, match="completed"):
                await signal()
