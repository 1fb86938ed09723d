"""DG7, DG8: results and states; streams and observers are guests."""

import asyncio
from typing import Any

import pytest
from engine_bodies import double, in_process, numbers
from engine_kit import Gate, history, kinds, seen, turns

from clew import (
    Context,
    Emitted,
    Engine,
    Graph,
    Observed,
    Output,
    Progress,
    Recorded,
    RunFailedError,
    RunFencedError,
    UnknownRunError,
    run_graph,
)
from clew.engine import feed, observers
from clew.kernel import events as e


def chain(length: int) -> Graph:
    g = Graph("chain")
    last = g.add(double, 1, id="n0")
    for number in range(1, length):
        last = g.add(double, last, id=f"n{number}")
    return g


async def test_results_and_states_by_id() -> None:
    g = chain(2)
    async with Engine("memory:") as engine:
        run = await engine.start(g, labels={"team": "red"})
        result = await run.result()
        assert dict(result) == {"n0": 2, "n1": 4}
        assert result.output == {"n1": 4}
        assert result.run_id == run.id
        with pytest.raises(KeyError, match="n0, n1"):
            result["nothing"]
        assert "completed" in repr(result)
        assert run.id in repr(run)
        status = await run.status()
        assert [n.state for n in status.nodes] == ["completed", "completed"]
        assert status.counts == {"total": 2, "completed": 2}
        node = status.nodes[0]
        assert node.kind == "function"
        assert node.attempt == 1
        assert status.started_at <= node.started_at <= node.ended_at <= status.ended_at  # type: ignore[operator]
        row = (await engine.runs(labels={"team": "red"}))[0]
        assert (row.run, row.state, row.total, row.settled, row.failed) == (run.id, "completed", 2, 2, 0)
        assert await engine.runs(labels={"team": "blue"}) == []
        with pytest.raises(UnknownRunError):
            await run.node("nothing")
        with pytest.raises(UnknownRunError):
            await engine.open_run("nothing")


async def test_replay_then_live_and_from_any_place() -> None:
    gate = Gate()

    async def held(x: int) -> int:
        await gate.wait()
        return x

    g = Graph("g")
    g.add(double, g.add(held, g.add(double, 1, id="first")), id="last")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await gate.arrivals()
        early = asyncio.ensure_future(collect(run.events()))
        middle = (await history(run))[-1].seq
        gate.open()
        await run.result()
        everything = await collect(run.events())
        assert await early == everything
        assert [r.seq for r in everything] == list(range(1, len(everything) + 1))
        assert await collect(run.events(after=middle)) == everything[middle:]
        assert await collect(run.events(after=10_000)) == []


async def collect(stream: Any) -> list[Any]:
    return [item async for item in stream]


async def test_a_slow_consumer_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "QUEUE", 5)
    g = chain(30)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        stream = run.events()
        got = [await anext(stream), await anext(stream)]  # type: ignore[arg-type]
        await run.result()
        got += [recorded async for recorded in stream]
        assert got == await history(run)


async def test_a_consumer_that_leaves_changes_nothing() -> None:
    g = chain(10)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        async for recorded in run.events():
            if recorded.seq == 3:
                break
        waiting = asyncio.ensure_future(collect(run.feed()))
        result = asyncio.ensure_future(run.result())
        await asyncio.sleep(0)
        waiting.cancel()
        result.cancel()
        assert len(await run.result()) == 10


async def test_ephemeral_items_are_seen_between_the_facts() -> None:
    async def body(ctx: Context) -> None:
        ctx.progress(0.25, "a quarter")
        ctx.progress(7)
        ctx.emit({"token": "a"})
        ctx.emit("b")
        print("printed")

    g = Graph("g")
    g.add(body)
    g.add(in_process, 3, depends_on=["body"])
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        items = [x async for x in run.feed() if not isinstance(x, Recorded)]
        assert [x for x in items if x.path == "body"] == [
            Progress("body", 1, 0.25, "a quarter"),
            Progress("body", 1, 1.0),
            Emitted("body", 1, 0, {"token": "a"}),
            Emitted("body", 1, 1, "b"),
            Output("body", 1, "stdout", "printed"),
        ]
        others = [x for x in items if x.path == "in_process"]
        assert Emitted("in_process", 1, 0, {"x": 3}) in others
        assert Progress("in_process", 1, 0.5, "half") in others
        assert Output("in_process", 1, "stdout", "hello from 3") in others
        # They are no facts: whoever comes later sees none.
        assert all(isinstance(x, Recorded) for x in await collect(run.feed()))


async def test_nothing_is_seen_before_it_is_durable(url: str) -> None:
    """Each event that an observer or a stream gets is on disk by then, and so is what the status shows."""
    problems: list[str] = []

    class Checks:
        async def emit(self, observed: Observed) -> None:
            if isinstance(observed.item, Recorded):
                row = await engine.journal.row(observed.run)
                if row is None or row.seq < observed.item.seq:
                    problems.append(f"{observed.item} was shown, {row} is on disk")

    async with Engine(url, observers=[Checks()]) as engine:
        engine.journal._commit_s = 1.0  # type: ignore[attr-defined]  # every commit in the writer's thread
        run = await engine.start(chain(20))
        async for recorded in run.events():
            row = await engine.journal.row(run.id)
            assert row is not None
            assert row.seq >= recorded.seq
        assert not problems


async def test_the_status_shows_nothing_that_is_not_on_disk(url: str) -> None:
    async with Engine(url) as engine:
        engine.journal._commit_s = 1.0  # type: ignore[attr-defined]
        run = await engine.start(chain(20))
        ended = asyncio.ensure_future(run.wait_ended())
        while not ended.done():
            status = await run.status()
            folded = [r for r in await history(run) if r.seq <= status.seq]
            assert len(folded) == status.seq
            done = sum(isinstance(r.event, e.NodeCompleted) for r in folded)
            assert status.counts.get("completed", 0) == done
            await asyncio.sleep(0)


async def test_observers_that_raise_hang_or_are_slow_change_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(observers, "QUEUE", 10)
    got: list[Observed] = []
    door = asyncio.Event()

    class Good:
        async def emit(self, observed: Observed) -> None:
            got.append(observed)

    class Raises:
        async def emit(self, observed: Observed) -> None:
            raise RuntimeError("observer")

    class Cancels:
        seen = 0

        async def emit(self, observed: Observed) -> None:
            self.seen += 1
            raise asyncio.CancelledError

    class Leaves:
        seen = 0

        async def emit(self, observed: Observed) -> None:
            self.seen += 1
            raise SystemExit(1)

    class Hangs:
        async def emit(self, observed: Observed) -> None:
            while not door.is_set():
                try:
                    await door.wait()
                except asyncio.CancelledError:
                    continue

    class NotAsync:
        def emit(self, observed: Observed) -> None:
            pass

    cancels, leaves = Cancels(), Leaves()
    everyone = [Raises(), cancels, leaves, Hangs(), NotAsync(), Good()]
    monkeypatch.setattr(observers, "PATIENCE_S", 0.05)
    async with Engine("memory:", observers=everyone) as engine:  # type: ignore[arg-type]
        run = await engine.start(chain(30))
        await run.result()
        await turns(lambda: bool(got) and isinstance(got[-1].item, Recorded))
        events = await history(run)
    assert [o.item for o in got if isinstance(o.item, Recorded)][-1] == events[-1]
    assert (got[-1].settled, got[-1].total) == (30, 30)
    assert cancels.seen > 1
    assert leaves.seen > 1
    assert "too slow" in caplog.text
    assert caplog.text.count("RuntimeError('observer')") == 1
    door.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_stream_opened_before_a_run_is_taken_up_here_goes_live(url: str) -> None:
    gate = Gate()

    async def held() -> int:
        await gate.wait()
        return 1

    g = Graph("g")
    g.add(held)
    async with Engine(url, graphs=[g]) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    gate.open()
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.open_run("r")
        result = asyncio.ensure_future(run.result())
        stream = asyncio.ensure_future(collect(run.feed()))
        await asyncio.sleep(0)
        await engine.resume("r")
        assert (await result)["held"] == 1
        assert await stream == await history(run)


async def test_a_stream_of_a_run_that_another_engine_takes_over_goes_on(url: str) -> None:
    gate = Gate()

    async def held() -> int:
        await gate.wait()
        return 1

    g = Graph("g")
    g.add(held)
    async with Engine(url, graphs=[g]) as a, Engine(url, graphs=[g]) as b:
        run = await a.start(g, id="r")
        await gate.arrivals()
        stream = asyncio.ensure_future(collect(run.events()))
        await asyncio.sleep(0)
        await a.journal.release("r", a._owner)
        other = await b.resume("r")
        driver = a.driver_of("r")
        assert driver is not None
        driver.slots_freed()
        driver.signal(Tickle("held"))
        gate.open()
        assert (await other.result())["held"] == 1
        with pytest.raises(RunFencedError):
            await stream
        assert await collect(run.events()) == await history(other)


def Tickle(path: str) -> Any:
    from clew.kernel import signals as s

    return s.AttemptFailed(path=path, attempt=1, error=e.ErrorInfo(type="x", message="y"))


async def test_a_run_of_another_engine_is_followed(url: str) -> None:
    gate = Gate()

    async def held() -> int:
        await gate.wait()
        return 1

    g = Graph("g")
    g.add(held)
    async with Engine(url) as a, Engine(url) as b:
        run = await a.start(g, id="r")
        await gate.arrivals()
        same = await b.start(g, id="r")
        assert b.driver_of("r") is None
        followed = asyncio.ensure_future(collect(same.events()))
        result = asyncio.ensure_future(same.result())
        assert (await same.status()).counts["running"] == 1
        gate.open()
        assert (await run.result())["held"] == (await result)["held"] == 1
        assert await followed == await history(run)
        assert gate.came == 1


async def test_streams_end_when_the_engine_closes() -> None:
    gate = Gate()
    g = Graph("g")
    g.add(gate.wait)
    engine = Engine("memory:")
    async with engine:
        run = await engine.start(g)
        await gate.arrivals()
        stream = asyncio.ensure_future(collect(run.events()))
        result = asyncio.ensure_future(run.result())
        await asyncio.sleep(0)
    assert len(await stream) == 3
    with pytest.raises(Exception, match="closed"):
        await result


async def test_a_failed_run_tells_streams_and_waiters_alike() -> None:
    async def boom() -> None:
        raise ValueError("boom")

    g = Graph("g")
    g.add(boom)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        events, error = await asyncio.gather(collect(run.events()), run.result(), return_exceptions=True)
        assert isinstance(error, RunFailedError)
        assert isinstance(events, list)
        assert type(events[-1].event).__name__ == "RunFailed"
        assert (await kinds(run)).count("NodeFailed") == 1


async def test_run_graph_returns_the_result() -> None:
    g = Graph("g")
    g.returns(g.map(double, over=g.add(numbers, 3)))
    assert (await run_graph(g)).output == [0, 2, 4]


async def test_seen_by_kind() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(chain(1))
        assert (await seen(run, e.NodeCompleted)).path == "n0"
