"""DG5: time limits of attempts, nodes and runs; what has run out of time is really stopped."""

import asyncio
import threading
from pathlib import Path

import pytest
from engine_bodies import double, hang_in_process
from engine_kit import ThreadGate, count, is_alive, kinds, seen, turns

from clew import (
    Context,
    Engine,
    Graph,
    Retry,
    Run,
    RunFailedError,
    fixed,
    http,
    shell,
)
from clew.engine import attempts
from clew.kernel import events as e


async def boom(x: int = 0) -> int:
    raise ValueError("boom")


async def failed(run: Run) -> RunFailedError:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value


async def states(run: Run) -> dict[str, str]:
    return {node.path: node.state for node in (await run.status()).nodes}


# Time limits -----------------------------------------------------------------------------------------------


async def test_a_timed_out_coroutine_is_stopped_and_may_be_tried_again() -> None:
    stopped: list[int] = []

    async def slow(ctx: Context) -> int:
        if ctx.attempt == 2:
            return 2
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(ctx.attempt)
        return 1

    g = Graph("g")
    g.add(slow, timeout=0.05, retry=Retry(max_attempts=2, backoff=fixed(0.001)))
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        assert (await run.result())["slow"] == 2
        assert stopped == [1]
        event = await seen(run, e.RetryScheduled)
        assert "timed out" in event.error.message or "time" in event.error.message
        assert await kinds(run, "slow") == [
            "AttemptStarted", "AttemptStopping", "RetryScheduled", "RetryDue", "AttemptStarted", "NodeCompleted",
        ]  # fmt: skip


async def test_total_timeout_covers_all_attempts_and_the_waits_between() -> None:
    g = Graph("g")
    g.add(boom, total_timeout=0.1, retry=Retry(max_attempts=9, backoff=fixed(3600), jitter=0))
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        error = await failed(run)
        assert "retries" in error.result.failures["boom"].message
        assert (await count(run))["AttemptStarted", "boom"] == 1


async def test_a_run_that_takes_too_long_is_stopped() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    g = Graph("g", timeout=3600)
    g.add(hang)
    async with Engine("memory:") as engine:
        run = await engine.start(g, timeout=0.05)
        error = await failed(run)
        assert "the run" in str(error)
        assert await states(run) == {"hang": "cancelled"}


async def test_a_timed_out_process_is_really_gone(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    g = Graph("g")
    g.add(hang_in_process, str(note), timeout=1.5)
    async with Engine("memory:") as engine:
        error = await failed(await engine.start(g))
        assert error.result.failures["hang_in_process"].type == "timeout"
        assert not is_alive(int(note.read_text()))


async def test_a_timed_out_program_is_gone_with_all_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    g = Graph("g")
    g.add(shell("sleep 1000 & echo $! >> {{ note }}; echo $$ >> {{ note }}; wait"), note=str(note), timeout=0.5)
    async with Engine("memory:") as engine:
        await failed(await engine.start(g))
        pids = [int(line) for line in note.read_text().split()]
        assert len(pids) == 2
        await turns(lambda: not any(map(is_alive, pids)))


async def test_a_thread_that_is_stopped_keeps_its_slot_until_it_returns() -> None:
    gate, said = ThreadGate(), []

    def stubborn(ctx: Context) -> int:
        gate.wait()
        ctx.progress(0.9, "nobody hears this")
        print("nor this")
        said.append(threading.current_thread().name)
        return 1

    g = Graph("g", on_error="skip_downstream")
    g.add(stubborn, total_timeout=0.05)
    after = Graph("after")
    after.add(double, 1)
    async with Engine("memory:", max_concurrency=1) as engine:
        run = await engine.start(g)
        await gate.here.wait()
        error = await failed(run)
        assert list(error.result.failures) == ["stubborn"]
        waiting = await engine.start(after)
        for _ in range(20):
            await asyncio.sleep(0)
        assert await states(waiting) == {"double": "ready"}
        gate.door.set()
        assert (await waiting.result())["double"] == 2
        assert len(said) == 1
        assert [line async for line in run.logs()] == []


async def test_a_body_that_ignores_being_stopped_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "STOP_PATIENCE_S", 0.05)
    door = asyncio.Event()

    async def stubborn(ctx: Context) -> int:
        while not door.is_set():
            try:
                await door.wait()
            except asyncio.CancelledError:
                ctx.log("I go on")
        with pytest.raises(asyncio.CancelledError):
            await ctx.step("too late", double, 1)
        return 1

    g = Graph("g")
    g.add(stubborn, timeout=0.05)
    after = Graph("after")
    after.add(double, 1)
    async with Engine("memory:", max_concurrency=1) as engine:
        run = await engine.start(g)
        error = await failed(run)
        assert error.result.failures["stubborn"].type == "timeout"
        waiting = await engine.start(after)
        for _ in range(20):
            await asyncio.sleep(0)
        assert await states(waiting) == {"double": "ready"}
        door.set()
        await waiting.result()


async def test_a_body_that_catches_its_cancellation_and_returns_has_completed() -> None:
    async def saves() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "saved"
        return "never"

    g = Graph("g")
    g.add(saves, timeout=0.05)
    async with Engine("memory:") as engine:
        assert (await (await engine.start(g)).result())["saves"] == "saved"


async def test_programs_and_requests_that_fail() -> None:
    g = Graph("g", on_error="continue")
    g.add(shell("echo out; echo err >&2; exit 3"), id="code")
    g.add(http("GET", "http://127.0.0.1:9/x"), id="web")
    g.add(shell("echo {{ v }}"), v=g.add(double, 4), id="fine")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        result = await run.result()
        assert result["fine"]["stdout"] == "8\n"
        assert sorted(result.failures) == ["code", "web"]
        assert "3" in result.failures["code"].message
        lines = {(line.stream, line.text) async for line in run.logs("code")}
        assert ("stderr", "err") in lines
