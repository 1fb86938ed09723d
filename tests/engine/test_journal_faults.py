"""A journal that fails for a moment costs a run some time, and nothing else."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from engine_kit import pass_time

from clew import Context, Engine, Graph, Run
from clew.engine import drivers
from clew.errors import StorageError
from clew.journal.memory import MemoryJournal
from clew.journal.records import KeyHolder
from clew.kernel import events as e
from clew.testing import VirtualClock, run_virtual


class Failing(MemoryJournal):
    """Fails the first calls of one kind after `fails` was set to how many."""

    def __init__(self, call: str) -> None:
        self.fails = 0
        self._told = call
        super().__init__()

    def __getattribute__(self, name: str) -> Any:
        if name == super().__getattribute__("_told") and self.fails > 0:
            self.fails -= 1
            raise StorageError(f"{name} failed")
        return super().__getattribute__(name)


def run_within(main: Coroutine[Any, Any, Any]) -> Any:
    """Run in virtual time; what has not ended after some hours hangs."""
    return run_virtual(asyncio.wait_for(main, 10_000))


def engine_on(journal: MemoryJournal, **options: Any) -> Engine:
    return Engine(journal, clock=VirtualClock(asyncio.get_running_loop()), **options)


async def result_of(run: Run) -> dict[str, Any]:
    """The outputs; the journal's faults are told to who waits, and he waits again."""
    while True:
        try:
            return dict(await run.result())
        except StorageError:
            await pass_time(1)


def run_with(call: str, graph: Graph, fails: int = 1) -> tuple[dict[str, Any], list[Any]]:
    """A run whose journal fails so many times at a call, once it has begun."""

    async def main() -> tuple[dict[str, Any], list[Any]]:
        journal = Failing(call)
        async with engine_on(journal) as engine:
            run = await engine.start(graph)
            journal.fails = fails
            result = await result_of(run)
            assert journal.fails == 0
            return result, [recorded.event async for recorded in run.events(live=False)]

    return run_within(main())


async def large() -> list[int]:
    await pass_time(1)
    return [1] * 10_000


async def size(items: list[int]) -> int:
    return len(items)


def test_an_input_that_could_not_be_read_once_fails_no_node() -> None:
    g = Graph("g")
    g.add(size, g.add(large))
    result, events = run_with("blob", g)
    assert result["size"] == 10_000
    assert [event.path for event in events if isinstance(event, e.AttemptInterrupted)] == ["size"]
    assert not any(isinstance(event, e.NodeFailed) for event in events)


def test_items_that_could_not_be_read_once_fail_no_map() -> None:
    async def one(item: int) -> int:
        return item

    g = Graph("g")
    g.map(one, over=g.add(large), id="m", max_concurrency=1)
    result, events = run_with("blob", g, fails=3)
    assert len(result["m"]) == 10_000
    assert not any(isinstance(event, e.NodeFailed) for event in events)


def test_a_key_that_could_not_be_asked_for_once_is_asked_for_again() -> None:
    async def body() -> int:
        return 1

    async def first() -> int:
        await pass_time(1)
        return 1

    g = Graph("g")
    g.add(body, id="n", exclusive="key", depends_on=g.add(first))
    result, events = run_with("take_key", g)
    assert result["n"] == 1
    assert not any(isinstance(event, e.AttemptInterrupted) for event in events)


def test_who_has_a_key_does_not_wait_behind_those_who_want_it() -> None:
    """An earlier owner was given the key, and died before it could say so."""

    async def body(item: int) -> int:
        return item

    async def main() -> None:
        journal = MemoryJournal()
        taken = journal.take_key
        g = Graph("g")
        g.map(body, over=[0, 1, 2], id="m", exclusive="key")
        async with engine_on(journal) as engine:

            async def take_key(run: str, path: str, key: str) -> KeyHolder | None:
                journal.take_key = taken  # type: ignore[method-assign]
                await taken(run, "m[2]", key)
                return await taken(run, path, key)

            journal.take_key = take_key  # type: ignore[method-assign]
            run = await engine.start(g)
            assert (await run.result())["m"] == [0, 1, 2]

    run_within(main())


async def nap(ctx: Context) -> int:
    await ctx.sleep(100)
    return 1


@pytest.mark.parametrize("call", ["inbox", "read", "row"])
def test_a_parked_run_that_could_not_be_taken_up_once_is_taken_up_again(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "IDLE_S", 1.0)

    async def main() -> None:
        journal = Failing(call)
        async with engine_on(journal) as engine:
            g = Graph("g")
            g.add(nap)
            run = await engine.start(g)
            for _ in range(50):
                await pass_time(1)
            assert engine.driver_of(run.id) is None
            journal.fails = 2
            with pytest.raises(StorageError):
                await run.send("anything")
            assert (await result_of(run))["nap"] == 1

    run_within(main())


def test_an_engine_that_drives_nothing_keeps_no_run_that_it_has_told_something() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        g = Graph("g")
        g.add(nap)
        async with engine_on(journal) as engine:
            await engine.start(g, id="r")
        async with engine_on(journal, drives=False) as telling:
            await (await telling.open_run("r")).send("anything")
            row = await journal.row("r")
            assert row is not None
            assert row.owner == ""

    run_within(main())
