"""The machine's clock is set back while runs are driven: nothing fires twice, nothing waits for it to catch up."""

import asyncio
import time
from collections import Counter

import pytest
from engine_kit import Gate, Later, history, pass_time, turns

from clew import Context, Engine, Graph, Retry, RunBusyError, fixed
from clew.engine import keeper
from clew.engine.clock import Clock
from clew.journal import ownership
from clew.kernel import events as e
from clew.testing import VirtualClock, VirtualLoop, run_virtual

HOUR_S = 3_600.0


def test_what_is_due_is_due_in_the_time_that_passes() -> None:
    """Retries, sleeps, deadlines and time limits, of runs that are in memory and of parked ones."""

    async def fails_once(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise RuntimeError("not yet")
        return ctx.attempt

    async def sleeps(ctx: Context) -> str:
        await ctx.sleep(200.0)
        return "rested"

    async def asks(ctx: Context) -> str:
        return await ctx.ask("Well?", deadline=30.0, default="nothing")  # type: ignore[no-any-return]

    async def hangs() -> None:
        await asyncio.Event().wait()

    g = Graph("g", on_error="continue")
    g.add(fails_once, retry=Retry(max_attempts=2, backoff=fixed(20.0)))
    g.add(sleeps)
    g.add(asks)
    g.add(hangs, timeout=40.0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        clock = VirtualClock(loop)
        async with Engine("memory:", clock=clock) as engine:
            run = await engine.start(g, id="r")
            begun_at = loop.time()
            for back_after_s in (5.0, 120.0, 130.0):  # in memory, at parking, and parked
                await pass_time(begun_at + back_after_s - loop.time())
                clock.epoch_s -= HOUR_S
                driver = engine.driver_of("r")
                if driver is not None and driver.is_idle:
                    driver.park()
            assert engine.driver_of("r") is None
            assert (await run.result()).failures.keys() == {"hangs"}
            assert loop.time() - begun_at < 205
            recorded = await history(run)
            moments = [r.event.at for r in recorded]
            assert moments == sorted(moments)
            found = Counter((type(r.event), getattr(r.event, "path", "")) for r in recorded)
            assert found[e.WaitResolved, "sleeps"] == found[e.WaitResolved, "asks"] == 1
            assert found[e.AttemptStarted, "fails_once"] == 2
            assert found[e.NodeFailed, "hangs"] == 1
            ends = [r.event for r in recorded if isinstance(r.event, e.NodeCompleted)]
            settled = {end.path: end.at - moments[0] for end in ends}
            assert settled == {
                "fails_once": pytest.approx(20, abs=3),
                "asks": pytest.approx(30, abs=1),
                "sleeps": pytest.approx(200, abs=1),
            }

    run_virtual(main())


class Shown(Clock):
    """A clock whose hands are moved by the test."""

    def __init__(self) -> None:
        self.shows, self.passed = 1_000.0, 0.0

    def wall(self) -> float:
        return self.shows

    def steady(self) -> float:
        return self.passed


def test_time_goes_on_when_the_clock_is_set_back() -> None:
    clock = Shown()
    assert clock.now() == 1_000.0
    clock.shows, clock.passed = 1_010.0, 10.0
    assert clock.now() == 1_010.0
    clock.shows = 1_009.5  # a small step is waited out
    assert clock.now() == 1_010.0
    clock.shows, clock.passed = 10.0, 12.0
    assert clock.now() == 1_012.0
    clock.shows, clock.passed = 15.0, 17.0
    assert clock.now() == 1_017.0
    clock.shows = 1_100.0  # and forwards it is followed
    assert clock.now() == 1_100.0
    assert clock.wall() == 1_100.0
    real = Clock()
    assert abs(real.now() - time.time()) < 60


def held_graph(gate: Gate) -> Graph:
    g = Graph("held")
    g.add(gate.wait, id="held")
    return g


async def test_a_lease_of_the_future_keeps_nobody_waiting(url: str) -> None:
    """The owner has hung since before the clock was set back."""
    gate, clock = Gate(), Later()
    g = held_graph(gate)
    async with Engine(url, clock=clock) as hung, Engine(url, graphs=[g], clock=clock) as other:
        await hung.start(g, id="r")
        await gate.arrivals()
        hung._keeper.end()
        with pytest.raises(RunBusyError):
            await other.resume("r")
        clock.ahead_s = -HOUR_S
        run = await other.resume("r")
        await gate.arrivals(2)
        gate.open()
        assert dict(await run.result()) == {"held": None}


async def test_who_lives_renews_at_once_when_the_clock_is_set_back(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (keeper, ownership):
        monkeypatch.setattr(module, "LEASE_S", 0.6)
    gate, clock = Gate(), Later()
    g = held_graph(gate)
    async with Engine(url, clock=clock) as driving, Engine(url, graphs=[g], clock=clock) as other:
        run = await driving.start(g, id="r")
        await gate.arrivals()
        clock.ahead_s = -HOUR_S
        renewed = driving._keeper
        await turns(lambda: renewed._renewed_at is not None and renewed._renewed_at <= clock.wall())
        with pytest.raises(RunBusyError):
            await other.resume("r")
        assert driving._owner.id in await other.journal.live_owners(clock.wall())
        gate.open()
        assert dict(await run.result()) == {"held": None}


async def test_after_a_lapse_the_journal_is_asked(url: str) -> None:
    """A process that slept renews its lease before it looks at its runs: that proves nothing about them."""
    gate, done, clock = Gate(), list[int](), Later()

    async def body(ctx: Context) -> int:
        await gate.wait()
        await ctx.step("effect", done.append, ctx.attempt)
        return ctx.attempt

    g = Graph("g")
    g.add(body)
    async with Engine(url, clock=clock) as ghost, Engine(url, graphs=[g]) as other:
        run = await ghost.start(g, id="r")
        await gate.arrivals()
        await ghost.journal.release("r", ghost._owner)
        taken = await other.resume("r")
        await gate.arrivals(2)
        waiter = asyncio.ensure_future(run.wait_ended())
        clock.ahead_s = HOUR_S
        await asyncio.to_thread(ghost._keeper._renew_now)
        await turns(waiter.done)  # it has looked into the lapse by itself
        assert "while this one slept" in str(waiter.exception())
        gate.open()
        assert dict(await taken.result()) == {"body": 2}
    assert done == [2]
