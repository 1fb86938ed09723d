"""Messages to a run: received once each, in order, by who waits for their name; kept until then."""

import asyncio
from typing import Any

import pytest
from engine_bodies import wait_for_message
from engine_kit import Gate, count, kinds, seen

from clew import Context, Engine, Graph, MessageTimeoutError, Retry, Run, RunFailedError, StepConflictError, fixed
from clew.kernel import events as e
from clew.kernel.values import ErrorInfo
from clew.testing import VirtualClock, VirtualLoop, run_virtual


async def failure(run: Run, node: str) -> ErrorInfo:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value.result.failures[node]


def one(body: Any, **options: Any) -> Graph:
    g = Graph("g")
    g.add(body, id="body", **options)
    return g


async def collects(ctx: Context) -> list[int]:
    return [await ctx.receive("number", key=f"n{turn}", type=int) for turn in range(3)]


async def test_messages_come_in_order_whoever_is_first() -> None:
    async with Engine("memory:", max_concurrency=1) as engine:
        run = await engine.start(one(collects))
        await run.send("number", 1, by="ann")
        await seen(run, e.WaitResolved)
        await run.send("number", 2)
        await run.send("other", "is not for it")
        await run.send("number", 3)
        assert (await run.result())["body"] == [1, 2, 3]
        received = await seen(run, e.WaitResolved)
        assert (received.outcome, received.by) == ("received", "ann")


async def test_messages_that_were_there_before() -> None:
    gate = Gate()

    async def late(ctx: Context) -> list[int]:
        await gate.wait()
        return await collects(ctx)

    async with Engine("memory:") as engine:
        run = await engine.start(one(late))
        for number in (1, 2, 3):
            await run.send("number", number)
        gate.open()
        assert (await run.result())["body"] == [1, 2, 3]
        assert "AttemptSuspended" not in await kinds(run)


async def test_messages_outlive_the_engine(url: str) -> None:
    gate, entered = Gate(), []

    async def body(ctx: Context) -> list[int]:
        entered.append(ctx.attempt)
        first = await ctx.receive("number", key="n0", type=int)
        if len(entered) == 1:
            await gate.wait()
        return [first, await ctx.receive("number", key="n1", type=int)]

    g = one(body)
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await run.send("number", 1)
        await run.send("number", 2)  # nobody has received it when the process ends
        await gate.arrivals()
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["body"] == [1, 2]
        found = await count(run)
        assert found["MessageArrived", ""] == found["WaitResolved", "body"] == 2
    assert entered == [1, 2]


async def test_what_was_received_is_not_lost_when_the_attempt_fails() -> None:
    async def body(ctx: Context) -> int:
        number: int = await ctx.receive("number")
        if ctx.attempt == 1:
            raise ConnectionError
        return number

    async with Engine("memory:") as engine:
        run = await engine.start(one(body, retry=Retry(max_attempts=2, backoff=fixed(0))))
        await run.send("number", 7)
        assert (await run.result())["body"] == 7


def timed(**options: Any) -> tuple[Any, float]:
    """What a body gets that waits for a message nobody sends; and how long it took."""

    async def waits(ctx: Context) -> Any:
        return await ctx.receive("m", **options)

    async def main() -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with Engine("memory:", clock=VirtualClock(loop)) as engine:
            run = await engine.start(one(waits))
            try:
                return (await run.result())["body"], loop.time()
            except RunFailedError as error:
                return error.result.failures["body"], loop.time()

    return run_virtual(main())


def test_when_none_comes_the_default_counts() -> None:
    assert timed(timeout=0, default=None)[0] is None
    value, took_s = timed(timeout=600, default=[1], type=list[int])
    assert value == [1]
    assert took_s == pytest.approx(600, abs=1)


def test_without_a_default_it_is_an_error() -> None:
    error, took_s = timed(timeout=600)
    assert error.type == MessageTimeoutError.__name__
    assert error.message == "body: no message 'm' has come in time"
    assert "TimeoutError" in error.classes
    assert took_s == pytest.approx(600, abs=1)


async def test_a_message_of_another_type() -> None:
    async def body(ctx: Context) -> int:
        return await ctx.receive("number", type=int)  # type: ignore[no-any-return]

    async with Engine("memory:") as engine:
        run = await engine.start(one(body))
        await run.send("number", "seven")
        error = await failure(run, "body")
        assert error.type == "invalid input"
        assert "message 'number' does not fit its type" in error.message


async def test_in_loops_keys_are_needed() -> None:
    async def body(ctx: Context) -> None:
        for _ in range(2):
            await ctx.receive("m", timeout=0, default=None)

    async with Engine("memory:") as engine:
        error = await failure(await engine.start(one(body)), "body")
        assert error.type == StepConflictError.__name__
        assert "'message m' is used twice" in error.message
        assert "in a loop, give key=" in error.message


async def test_a_key_names_one_message(url: str) -> None:
    gate, name = Gate(), "before"

    async def body(ctx: Context) -> None:
        await ctx.receive(name, key="k")
        await gate.wait()

    g = one(body)
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await run.send("before")
        await gate.arrivals()
    name = "after"
    async with Engine(url, graphs=[g]) as engine:
        error = await failure(await engine.resume("r"), "body")
        assert "by the key 'k', 'after' is waited for, and before it was 'before'" in error.message


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("", {}, "a message has a name"),
        (5, {}, "not 5"),
        ("m", {"key": "#m"}, "such keys are Clew's own"),
        ("m", {"type": object()}, "the type of message 'm'"),
        ("m", {"timeout": -1}, "timeout is a number of seconds from 0 on, not -1"),
        ("m", {"timeout": True}, "not True"),
        ("m", {"default": 1}, "has a default but waits for ever; give timeout="),
        ("m", {"default": "x", "timeout": 1, "type": int}, "its default does not fit"),
    ],
)
async def test_what_is_wrong_with_a_call(name: Any, options: dict[str, Any], told: str) -> None:
    async def body(ctx: Context) -> None:
        with pytest.raises(Exception) as caught:  # at the call, not when it is awaited
            ctx.receive(name, **options)
        raise caught.value

    async with Engine("memory:") as engine:
        error = await failure(await engine.start(one(body)), "body")
        assert told in error.message
        assert error.type == "invalid input"


async def test_messages_are_for_coroutines() -> None:
    def in_thread(ctx: Context) -> None:
        ctx.receive("m")

    g = Graph("g", on_error="skip_downstream")
    g.add(in_thread)
    g.add(wait_for_message)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        for node in ("in_thread", "wait_for_message"):
            assert "make the body async" in (await failure(run, node)).message
