"""A node with a heartbeat fails when its body is silent for longer; waiting is no silence, every sign counts."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from engine_bodies import beats_then_hangs, keeps_beating
from engine_kit import is_alive, kinds, seen

from clew import Context, Engine, Graph, Retry, Run, RunFailedError, fixed
from clew.engine.heartbeats import Heartbeat
from clew.kernel import events as e
from clew.kernel.values import ErrorInfo
from clew.testing import VirtualClock, VirtualLoop, run_virtual

T = TypeVar("T")
Body = Callable[..., Awaitable[Any]]


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


async def pause(seconds: float) -> None:
    """Do nothing for a while, as a body that works does."""
    over = asyncio.Event()
    loop().call_later(seconds, over.set)
    await over.wait()


async def failure(run: Run, node: str = "body") -> ErrorInfo:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value.result.failures[node]


def driven(scene: Callable[[Run], Coroutine[Any, Any, T]], body: Body, **options: Any) -> tuple[T, float]:
    """Run a body with a heartbeat of 10 s; what the scene says of it, and when that was."""

    async def main() -> tuple[T, float]:
        g = Graph("g")
        g.add(body, id="body", heartbeat=10, **options)
        async with Engine("memory:", clock=VirtualClock(loop())) as engine:
            run = await engine.start(g)
            return await scene(run), loop().time()

    return run_virtual(main())


async def output(run: Run) -> Any:
    return (await run.result())["body"]


def test_a_silent_body_is_stopped() -> None:
    stopped: list[float] = []

    async def silent(ctx: Context) -> None:
        await pause(5)
        ctx.heartbeat()
        try:
            await pause(3600)
        finally:
            stopped.append(loop().time())

    error, at_s = driven(failure, silent)
    assert error.type == "heartbeat"
    assert "silent for longer than its heartbeat of 10 s" in error.message
    assert stopped == [pytest.approx(15, abs=0.1)]
    assert at_s == pytest.approx(15, abs=0.1)


@pytest.mark.parametrize(
    "sign",
    [
        lambda ctx: ctx.heartbeat(),
        lambda ctx: ctx.progress(0.5),
        lambda ctx: ctx.emit("token"),
        lambda ctx: ctx.log("a line"),
        lambda ctx: print("a line"),
    ],
    ids=["heartbeat", "progress", "emit", "log", "print"],
)
def test_every_sign_of_life_counts(sign: Callable[[Context], None]) -> None:
    async def lively(ctx: Context) -> str:
        for _ in range(10):
            await pause(9)
            sign(ctx)
        return "done"

    assert driven(output, lively) == ("done", pytest.approx(90, abs=1))


def test_steps_are_signs_of_life() -> None:
    async def steps(ctx: Context) -> str:
        for number in range(5):
            await ctx.step(f"s{number}", pause, 9)
        return "done"

    assert driven(output, steps)[0] == "done"


def test_signs_from_threads_count() -> None:
    async def works(ctx: Context) -> str:
        for _ in range(5):
            await pause(9)
            await asyncio.to_thread(ctx.heartbeat)
        return "done"

    assert driven(output, works)[0] == "done"


def test_waiting_is_no_silence_and_afterwards_the_time_begins_anew() -> None:
    async def waits(ctx: Context) -> str:
        await pause(9)
        await ctx.sleep(300)
        await pause(9)
        await ctx.ask("Well?", deadline=300, default="")
        await pause(9)
        return "done"

    assert driven(output, waits)[0] == "done"


def test_who_goes_on_after_a_sleep_is_watched_again() -> None:
    async def waits(ctx: Context) -> None:
        await ctx.sleep(300)
        await pause(3600)

    error, at_s = driven(failure, waits)
    assert error.type == "heartbeat"
    assert at_s == pytest.approx(310, abs=0.2)


def test_a_silent_attempt_may_be_tried_again() -> None:
    async def second_time(ctx: Context) -> int:
        if ctx.attempt == 1:
            await pause(3600)
        return ctx.attempt

    async def scene(run: Run) -> Any:
        value = await output(run)
        stopping = await seen(run, e.AttemptStopping)
        assert stopping.reason == "heartbeat"
        assert "RetryScheduled" in await kinds(run)
        return value

    assert driven(scene, second_time, retry=Retry(max_attempts=2, backoff=fixed(0)))[0] == 2


def test_waiting_for_the_exclusive_key_is_no_silence() -> None:
    async def body(ctx: Context) -> int:
        for _ in range(5):
            await pause(9)
            ctx.heartbeat()
        return 1

    async def main() -> None:
        g = Graph("g")
        for name in "abc":
            g.add(body, id=name, heartbeat=10, timeout=60, exclusive="one")
        async with Engine("memory:", clock=VirtualClock(loop())) as engine:
            result = await (await engine.start(g)).result()
            assert dict(result) == {"a": 1, "b": 1, "c": 1}
            assert loop().time() == pytest.approx(135, abs=2)

    run_virtual(main())


def test_a_loop_that_stood_still_says_nothing_about_bodies() -> None:
    async def main() -> None:
        silences: list[float] = []
        watch = Heartbeat(10, lambda: silences.append(loop().time()))
        watch.begin()
        await pause(9)
        loop().advance(100)  # something else kept the loop busy; the body could not even have spoken
        await pause(0.5)
        assert silences == []
        await pause(20)
        assert len(silences) == 1
        watch.end()
        watch.resume()
        await pause(100)
        assert len(silences) == 1

    run_virtual(main())


def test_a_thread_that_hangs_is_none() -> None:
    """Synchronous bodies with a heartbeat run where they can be killed."""
    with pytest.raises(RunFailedError, match="lambda"):
        asyncio.run(run_lambda())


async def run_lambda() -> None:
    g = Graph("g")
    g.add(lambda ctx: os.getpid(), id="x", heartbeat=10)
    async with Engine("memory:") as engine:
        await (await engine.start(g)).result()


@pytest.mark.slow
async def test_a_process_that_hangs_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    g = Graph("g")
    g.add(beats_then_hangs, str(note), 5, heartbeat=1.0)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        error = await failure(run, "beats_then_hangs")
        assert error.type == "heartbeat"
        number, ended = note.read_text().split()
        assert ended == "beaten"
        assert not is_alive(int(number))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["heartbeat", "print", "dots", "progress"])
async def test_a_process_that_is_alive_goes_on(how: str) -> None:
    g = Graph("g")
    g.add(keeps_beating, how, heartbeat=1.0)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        assert (await run.result())["keeps_beating"] != os.getpid()
