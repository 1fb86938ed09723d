"""Steps and sleeps: recorded, answered from the record when a body is entered again; waiting holds no slot."""

import asyncio

import pytest
from engine_bodies import ask_for_step, double
from engine_kit import Gate, Later, ThreadGate, count, history, kinds, seen, turns

from clew import (
    Context,
    Engine,
    Graph,
    Retry,
    Run,
    RunFailedError,
    StepConflictError,
    StepError,
    fixed,
)
from clew.kernel import events as e

SECRET = "hunter22-and-more"


async def failed(run: Run) -> RunFailedError:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value


# Steps -----------------------------------------------------------------------------------------------------


class Shop:
    """A graph with one body that makes steps, and a count of what was really done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.gate = Gate()
        self.blocked = True
        self.fail_once = False
        g = self.graph = Graph("shop")
        g.add(self.sell, retry=Retry(max_attempts=2, backoff=fixed(0)))

    async def sell(self, ctx: Context) -> dict[str, object]:
        charged: dict[str, int] = await ctx.step("charge", self.act, "charge", effect=True)
        note = await ctx.step("note", self.sync_act, "note")
        if self.blocked:
            await self.gate.wait()
        if self.fail_once:
            self.fail_once = False
            raise RuntimeError("after the steps")
        return {"charged": charged, "note": note, "key": ctx.idempotency_key}

    async def act(self, what: str) -> dict[str, int]:
        self.done.append(what)
        return {"n": len(self.done)}

    def sync_act(self, what: str) -> str:
        self.done.append(what)
        return what.upper()


async def test_entered_again_a_body_gets_its_steps_from_the_record(url: str) -> None:
    shop = Shop()
    async with Engine(url) as engine:
        await engine.start(shop.graph, id="r")
        await shop.gate.arrivals()
    shop.blocked = False
    async with Engine(url, graphs=[shop.graph]) as engine:
        run = await engine.resume("r")
        value = (await run.result())["sell"]
        assert value["charged"] == {"n": 1}
        assert value["note"] == "NOTE"
        found = await count(run)
        assert found["AttemptInterrupted", "sell"] == 1
        assert found["StepCompleted", "sell"] == 2
    assert shop.done == ["charge", "note"]


async def test_after_a_failure_effects_are_kept_and_the_rest_is_made_anew() -> None:
    shop = Shop()
    shop.blocked, shop.fail_once = False, True
    async with Engine("memory:") as engine:
        value = (await (await engine.start(shop.graph)).result())["sell"]
        assert value["charged"] == {"n": 1}
    assert shop.done == ["charge", "note", "note"]


async def test_idempotency_keys_are_stable_and_differ() -> None:
    keys: list[str] = []

    async def body(ctx: Context, x: int) -> str:
        keys.append(ctx.idempotency_key)
        if ctx.attempt == 1:
            raise ValueError
        return ctx.idempotency_key

    g = Graph("g")
    g.map(body, over=[1, 2], id="m", retry=Retry(max_attempts=2, backoff=fixed(0)))
    async with Engine("memory:") as engine:
        for _ in range(2):
            await (await engine.start(g)).result()
    assert len(keys) == 8
    assert len(set(keys)) == 4


async def test_a_key_names_one_call() -> None:
    async def twice(ctx: Context) -> None:
        await ctx.step("a", double, 1)
        await ctx.step("a", double, 1)

    async def two_sleeps(ctx: Context) -> None:
        await ctx.sleep(0)
        await ctx.sleep(0)

    g = Graph("g", on_error="skip_downstream")
    g.add(twice)
    g.add(two_sleeps)
    async with Engine("memory:") as engine:
        error = await failed(await engine.start(g))
        assert {x.type for x in error.result.failures.values()} == {"StepConflictError"}


async def test_a_recorded_step_refuses_other_arguments(url: str) -> None:
    gate, number = Gate(), 1

    async def body(ctx: Context) -> int:
        value: int = await ctx.step("a", double, number)
        if number == 1:
            await gate.wait()
        return value

    g = Graph("g")
    g.add(body)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    number = 2
    async with Engine(url, graphs=[g]) as engine:
        error = await failed(await engine.resume("r"))
        assert error.result.failures["body"].type == StepConflictError.__name__
        assert "other arguments" in error.result.failures["body"].message


async def test_a_failed_step_raises_its_recorded_error_when_entered_again(url: str) -> None:
    gate, tries = Gate(), []

    async def fails() -> None:
        tries.append(1)
        raise ValueError("no luck")

    async def body(ctx: Context) -> str:
        try:
            await ctx.step("a", fails)
        except ValueError:
            await gate.wait()
        except StepError as error:
            return f"{error.kind} {error}"
        return "?"

    g = Graph("g")
    g.add(body)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert "no luck" in (await run.result())["body"]
    assert len(tries) == 1


async def test_steps_and_sleeps_are_for_coroutines() -> None:
    def in_thread(ctx: Context) -> None:
        ctx.step("a", double, 1)

    def sleeps_in_thread(ctx: Context) -> None:
        ctx.sleep(1)

    g = Graph("g", on_error="skip_downstream")
    g.add(in_thread)
    g.add(sleeps_in_thread)
    g.add(ask_for_step)
    async with Engine("memory:") as engine:
        error = await failed(await engine.start(g))
        assert len(error.result.failures) == 3
        for info in error.result.failures.values():
            assert "make the body async" in info.message


async def test_steps_at_once() -> None:
    async def body(ctx: Context) -> list[int]:
        return await asyncio.gather(*(ctx.step(f"s{n}", double, n) for n in range(10)))

    g = Graph("g")
    g.add(body)
    async with Engine("memory:") as engine:
        assert (await (await engine.start(g)).result())["body"] == [2 * n for n in range(10)]


async def test_threads_may_tell_how_far_they_are() -> None:
    gate = ThreadGate()

    def body(ctx: Context) -> str:
        ctx.progress(0.5)
        ctx.emit("item")
        ctx.log("line")
        gate.wait()
        return ctx.secret("TOKEN")[:3]

    g = Graph("g")
    g.add(body)
    async with Engine("memory:", secrets={"TOKEN": SECRET}) as engine:
        run = await engine.start(g)
        items = asyncio.ensure_future(items_of(run))
        await gate.here.wait()
        gate.door.set()
        assert (await run.result())["body"] == "hun"
        assert {"Progress", "Emitted", "Output"} <= set(await items)


async def items_of(run: Run) -> list[str]:
    return [type(item).__name__ async for item in run.feed()]


# Sleeps ----------------------------------------------------------------------------------------------------


async def test_a_sleeping_body_holds_no_slot() -> None:
    async def sleeps(ctx: Context) -> str:
        await ctx.sleep(3600)
        return "slept"

    g = Graph("g")
    g.add(sleeps)
    other = Graph("other")
    other.add(double, 1)
    async with Engine("memory:", max_concurrency=1) as engine:
        run = await engine.start(g)
        await seen(run, e.AttemptSuspended)
        assert (await (await engine.start(other)).result())["double"] == 2
        status = await run.status()
        assert status.nodes[0].state == "waiting"
        assert (await engine.runs())[1].waiting == 1


@pytest.mark.parametrize("seconds", [0, -1, 0.001])
async def test_short_sleeps_give_their_slots_back(seconds: float) -> None:
    async def sleeps(ctx: Context) -> None:
        for number in range(5):
            await ctx.sleep(seconds, key=f"k{number}")

    g = Graph("g")
    g.map(sleeps_with(sleeps), over=[1, 2, 3], id="m")
    async with Engine("memory:", max_concurrency=2, limits={"x": 1}) as engine:
        for _ in range(3):
            await (await engine.start(g)).result()
        assert engine._slots._free == {"": 2, "x": 1}


def sleeps_with(body: object) -> object:
    async def item(ctx: Context, x: int) -> None:
        await body(ctx)  # type: ignore[operator]

    return item


async def test_a_sleep_outlives_the_engine(url: str) -> None:
    clock, entered = Later(), []

    async def sleeps(ctx: Context) -> str:
        entered.append(ctx.attempt)
        await ctx.sleep(3600)
        return "slept"

    g = Graph("g")
    g.add(sleeps, timeout=30)
    async with Engine(url, clock=clock) as engine:
        run = await engine.start(g, id="r")
        await seen(run, e.AttemptSuspended)
    clock.ahead_s = 1800
    async with Engine(url, clock=clock, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await run.status()).nodes[0].state == "waiting"
    assert entered == [1]
    clock.ahead_s = 3601
    async with Engine(url, clock=clock, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["sleeps"] == "slept"
        assert "AttemptInterrupted" not in await kinds(run)
    assert entered == [1, 1]


async def test_sleeps_at_once_and_steps_beside_them() -> None:
    async def body(ctx: Context) -> list[int]:
        async def path(n: int) -> int:
            await ctx.sleep(0.01 * n, key=f"k{n}")
            return await ctx.step(f"s{n}", double, n)  # type: ignore[no-any-return]

        return await asyncio.gather(*map(path, range(4)))

    g = Graph("g")
    g.add(body)
    async with Engine("memory:", max_concurrency=1) as engine:
        run = await engine.start(g)
        assert (await run.result())["body"] == [0, 2, 4, 6]
        assert engine._slots._free == {"": 1}


async def test_what_is_left_open_besides_a_step_that_ends_holds_no_slot() -> None:
    gate = Gate()

    async def slow_step() -> None:
        await gate.wait()

    async def body(ctx: Context) -> None:
        await asyncio.gather(ctx.step("s", slow_step), ctx.sleep(3600), ctx.sleep(0.001))

    g = Graph("g")
    g.add(body)
    async with Engine("memory:", max_concurrency=1) as engine:
        run = await engine.start(g)
        await gate.arrivals()
        await seen(run, e.WaitResolved)
        assert (await run.status()).nodes[0].state == "running"
        gate.open()
        await seen(run, e.AttemptSuspended)
        await turns(lambda: engine._slots._free == {"": 1})


async def test_a_sleeping_body_that_loses_patience(url: str) -> None:
    async def body(ctx: Context) -> str:
        try:
            await asyncio.wait_for(ctx.sleep(3600), 0.01)
        except TimeoutError:
            return await ctx.step("late", lambda: "gave up")  # type: ignore[no-any-return]
        return "slept"

    g = Graph("g")
    g.add(body)
    async with Engine(url) as engine:
        run = await engine.start(g)
        assert (await run.result())["body"] == "gave up"
        assert engine._slots._free == {"": 100}


async def test_a_sleep_that_is_over_before_an_entered_body_reaches_it(url: str) -> None:
    first, second = Gate(), Gate()

    async def body(ctx: Context) -> str:
        if ctx.attempt == 2:
            await second.wait()
        await asyncio.gather(ctx.sleep(0.2, key="nap"), ctx.step("s", first.wait))
        return "over"

    g = Graph("g")
    g.add(body)
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await seen(run, e.WaitOpened)
        await first.arrivals()
    first.open()
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        await second.arrivals()
        await seen(run, e.WaitResolved)
        second.open()
        assert (await run.result())["body"] == "over"


async def test_cancelling_a_sleeping_body_ends_it() -> None:
    stopped: list[str] = []

    async def body(ctx: Context) -> None:
        try:
            await ctx.sleep(3600)
        finally:
            stopped.append("stopped")

    g = Graph("g")
    g.add(body)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await seen(run, e.AttemptSuspended)
        await run.cancel("enough", by="me")
        error = await failed(run)
        assert "enough by me" in str(error)
        await turns(lambda: stopped == ["stopped"])
        assert (await history(run))[-1].event.reason == "enough by me"  # type: ignore[union-attr]
