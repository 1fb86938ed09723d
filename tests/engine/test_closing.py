"""The end of an engine: nothing hangs, nothing done is lost, what is under way goes on later."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from engine_bodies import double, hang_in_process, numbers
from engine_kit import Gate, ThreadGate, count, is_alive, kinds, seen, turns

from clew import Context, Engine, Graph, RunFailedError, StorageError
from clew.engine import attempts
from clew.journal.memory import MemoryJournal


async def test_a_run_goes_on_after_its_engine_was_closed(url: str) -> None:
    gate, made = Gate(), []

    async def item(x: int) -> int:
        if x >= 3:
            await gate.wait()
        made.append(x)
        return x

    g = Graph("g", max_concurrency=3)
    items = g.map(item, over=g.add(numbers, 8), id="m")
    g.add(double, items[7])
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await gate.arrivals(3)
        row = (await engine.runs())[0]
        assert row.owner
    async with Engine(url, graphs=[g]) as engine:
        assert (await engine.runs())[0].owner == ""
        gate.open()
        run = await engine.resume("r")
        assert (await run.result())["double"] == 14
        found = await count(run)
        assert sum(n for (kind, _), n in found.items() if kind == "AttemptInterrupted") == 3
        assert sum(n for (kind, _), n in found.items() if kind == "NodeCompleted") == 11
    assert sorted(made) == list(range(8))


async def test_what_bodies_have_returned_is_stored_before_the_end(url: str) -> None:
    """A body that ended while a commit was under way is not made again."""
    gate, made = Gate(), []

    async def body(x: int) -> int:
        await gate.wait()
        made.append(x)
        return x

    g = Graph("g", max_concurrency=5)
    g.map(body, over=list(range(5)), id="m")
    g.add(double, g["m"][0])
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await gate.arrivals(5)
        engine.journal._commit_s = 1.0  # type: ignore[attr-defined]  # each commit in the writer's thread
        gate.open()
        await turns(lambda: len(made) == 5)
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["double"] == 0
        assert "AttemptInterrupted" not in await kinds(run)
    assert sorted(made) == list(range(5))


async def test_start_is_answered_although_the_engine_closes(url: str) -> None:
    g = Graph("g")
    g.add(double, 1)
    async with Engine(url) as engine:
        engine.journal._commit_s = 1.0  # type: ignore[attr-defined]
        starting = asyncio.ensure_future(engine.start(g, id="r"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await starting
    async with Engine(url) as engine:
        assert (await (await engine.start(g, id="r")).result())["double"] == 2


async def test_drain_interrupts_nothing(url: str) -> None:
    gate, made = Gate(), []

    async def first() -> int:
        await gate.wait()
        made.append("first")
        return 1

    async def sleeps(ctx: Context) -> None:
        await ctx.sleep(3600)

    g = Graph("g")
    g.add(double, g.add(first))
    g.add(sleeps)
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await gate.arrivals()
        draining = asyncio.ensure_future(engine.drain())
        await asyncio.sleep(0)
        late = await engine.start(g, id="late")
        assert not draining.done()
        gate.open()
        await draining
        assert (await run.status()).counts["completed"] == 1
        assert (await late.status()).counts.get("running", 0) == 0
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        await seen(run, seen_kind("NodeCompleted"), "double")
        assert "AttemptInterrupted" not in await kinds(run)
    assert made == ["first"]


def seen_kind(name: str) -> Any:
    from clew.kernel import events

    return getattr(events, name)


async def test_drain_waits_for_what_is_just_being_started(url: str) -> None:
    gate = Gate()

    async def held() -> int:
        await gate.wait()
        return 1

    g = Graph("g")
    g.add(held)
    async with Engine(url) as engine:
        engine.journal._commit_s = 1.0  # type: ignore[attr-defined]
        run = await engine.start(g, id="r")
        draining = asyncio.ensure_future(engine.drain())
        await gate.arrivals()
        gate.open()
        await draining
        assert await run.result()


async def test_closing_with_bodies_of_every_kind_under_way(tmp_path: Path) -> None:
    gate, thread, note = Gate(), ThreadGate(), tmp_path / "pid"

    def in_thread() -> str:
        thread.wait()
        print("for nobody")
        return "late"

    async def sleeps(ctx: Context) -> None:
        await ctx.sleep(3600)

    g = Graph("g", max_concurrency=10)
    g.add(in_thread)
    g.add(sleeps)
    g.add(gate.wait, id="waits")
    g.add(hang_in_process, str(note), timeout=3600)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await gate.arrivals()
        await thread.here.wait()
        await turns(lambda: note.exists() and bool(note.read_text()))
        await seen(run, seen_kind("AttemptSuspended"))
    assert not is_alive(int(note.read_text()))
    thread.door.set()
    await turns(lambda: not any(t.name == "in_thread" for t in threading.enumerate()))


async def test_closing_does_not_wait_for_ever_for_a_body_that_does_not_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "STOP_PATIENCE_S", 0.05)
    door, here = asyncio.Event(), asyncio.Event()

    async def stubborn(ctx: Context) -> None:
        here.set()
        while not door.is_set():
            try:
                await door.wait()
            except asyncio.CancelledError:
                print("I stay")
        ctx.log("late")

    g = Graph("g")
    g.add(stubborn)
    engine = Engine("memory:")
    await engine.open()
    await engine.start(g)
    await here.wait()
    await engine.close()
    await engine.close()
    door.set()
    await turns(lambda: len(asyncio.all_tasks()) == 1)


async def test_bodies_of_a_run_that_ended_are_waited_for(tmp_path: Path) -> None:
    """A cancelled run has ended while its sleeping body still cleans up."""
    cleaned = []
    door = asyncio.Event()

    async def body(ctx: Context) -> None:
        try:
            await ctx.sleep(3600)
        finally:
            await door.wait()
            cleaned.append(1)

    g = Graph("g")
    g.add(body)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await seen(run, seen_kind("AttemptSuspended"))
        await run.cancel()
        with pytest.raises(RunFailedError):
            await run.result()
        asyncio.get_running_loop().call_later(0.02, door.set)
    assert cleaned == [1]


async def test_the_callers_cancellation_is_only_the_callers() -> None:
    gate = Gate()

    async def held() -> int:
        await gate.wait()
        return 1

    g = Graph("g")
    g.add(held)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await gate.arrivals()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run.result(), 0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                async for _ in run.events():
                    pass
        gate.open()
        assert await run.result()


def test_ctrl_c_leaves_a_run_that_goes_on(url: str) -> None:
    made: list[str] = []

    async def body() -> str:
        made.append("x")
        if len(made) == 1:
            asyncio.get_running_loop().call_soon(main_task.cancel)
            await asyncio.Event().wait()
        return "done"

    g = Graph("g")
    g.add(body)
    main_task: asyncio.Task[Any]

    async def interrupted() -> None:
        nonlocal main_task
        task = asyncio.current_task()
        assert task is not None
        main_task = task
        async with Engine(url) as engine:
            await (await engine.start(g, id="r")).result()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())

    async def again() -> list[str]:
        async with Engine(url, graphs=[g]) as engine:
            run = await engine.resume("r")
            assert (await run.result())["body"] == "done"
            return await kinds(run, "body")

    assert asyncio.run(again()) == ["AttemptStarted", "AttemptInterrupted", "AttemptStarted", "NodeCompleted"]


def test_a_loop_that_ends_without_closing_the_engine_records_no_failures(url: str) -> None:
    gate_open = False

    async def body() -> str:
        if not gate_open:
            await asyncio.Event().wait()
        return "done"

    g = Graph("g")
    g.add(body)

    async def forgets() -> Engine:
        engine = Engine(url)
        await engine.open()
        run = await engine.start(g, id="r")
        await seen(run, seen_kind("AttemptStarted"))
        return engine

    engine = asyncio.run(forgets())
    gate_open = True

    async def again() -> None:
        async with Engine(url, graphs=[g]) as other:
            engine._keeper.end()
            await other.journal.release("r", engine._owner)
            run = await other.resume("r")
            assert (await run.result())["body"] == "done"
            assert "NodeFailed" not in await kinds(run)

    asyncio.run(again())
    asyncio.run(engine.journal.close())


async def test_a_journal_that_fails_at_the_end_leaves_nothing_open(url: str) -> None:
    class Breaks(MemoryJournal):
        async def retire(self, owner: object) -> None:
            raise StorageError("gone")

    g = Graph("g")
    g.add(double, 1)
    journal = Breaks()
    engine = Engine(journal)
    await engine.open()
    await (await engine.start(g)).result()
    with pytest.raises(StorageError, match="gone"):
        await engine.close()
    assert journal._closed
    assert not any(t.name == "clew-lease" for t in threading.enumerate())


async def test_cancelling_close_still_closes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "STOP_PATIENCE_S", 0.2)
    door, here = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        here.set()
        while not door.is_set():
            try:
                await door.wait()
            except asyncio.CancelledError:
                continue

    g = Graph("g")
    g.add(stubborn)
    engine = Engine(url)
    await engine.open()
    await engine.start(g)
    await here.wait()
    closing = asyncio.ensure_future(engine.close())
    for _ in range(5):
        await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(StorageError):
        await engine.journal.row("r")
    door.set()
    await turns(lambda: len(asyncio.all_tasks()) == 1)


@pytest.mark.parametrize(("durability", "kept"), [("full", True), ("process", True), ("memory", False)])
async def test_durability_is_chosen(url: str, durability: str, kept: bool) -> None:
    g = Graph("g")
    g.add(double, 1)
    async with Engine(url, durability=durability) as engine:
        assert (await (await engine.start(g, id="r")).result())["double"] == 2
    async with Engine(url) as engine:
        assert [row.run for row in await engine.runs()] == ["r"] * kept
    with pytest.raises(StorageError, match="durability"):
        Engine(url, durability="perhaps")


async def test_a_journal_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "clew.db").write_bytes(b"no database" * 100)
    with pytest.raises(StorageError):
        async with Engine(f"sqlite:///{tmp_path}/clew.db"):
            pass
    engine = Engine(f"sqlite:///{tmp_path}/clew.db")
    await engine.close()
