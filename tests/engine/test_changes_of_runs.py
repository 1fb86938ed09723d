"""Where a run stands when its graph is changed, what is seen of it, and deaths on the way (SG9)."""

import asyncio
import io
from contextlib import aclosing
from typing import Any

import pytest
from changed_kit import broken, changes, first, made, routed, second, third
from engine_kit import Gate, seen, turns
from state_kit import State, add_a, add_b, chain, waits_at

from clew import END, START, Engine, StateGraph
from clew.engine import drivers
from clew.errors import RefusedError, RunBusyError, RunConflictError, RunFailedError
from clew.journal.memory import MemoryJournal
from clew.kernel import events as e
from clew.kernel import machine
from clew.testing import (
    CrashingEngine,
    CrashPlan,
    Faults,
    FaultyJournal,
    VirtualClock,
    run_until_crash,
    run_virtual,
)


@pytest.fixture(autouse=True)
def _nothing_is_made() -> None:
    made.clear()


# Where the run stands -------------------------------------------------------------------------------------


async def test_a_paused_run_stays_paused(url: str) -> None:
    gate = Gate()

    async def held(state: State) -> State:
        await gate.wait()
        return {"log": ["held"]}

    async with Engine(url) as engine:
        run = await engine.start(routed(held, second), id="r")
        await gate.arrivals()
        await run.pause()
        with pytest.raises(RunBusyError, match="run r is under way in this process; its graph can change while"):
            await engine.start(routed(held, second, third), id="r", on_change="compatible")
        gate.open()
        await seen(run, e.NodeCompleted, "held")
        await engine.start(routed(held, second, third), id="r", on_change="compatible")
        assert (await run.status()).state == "paused"
        await run.resume()
        assert (await run.result())["log"] == ["held", "second", "third"]
    assert made == {"second": 1, "third": 1}


async def test_a_parked_run_changes_and_who_looks_on_sees_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "MAX_IDLE", 0)
    monkeypatch.setattr(drivers, "COUNT_S", 0.0)
    told: list[str] = []

    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok"), id="r")

        async def look() -> None:
            async with aclosing(run.events()) as events:
                async for recorded in events:
                    told.append(type(recorded.event).__name__)

        looking = asyncio.create_task(look())
        await waits_at(run)
        await turns(lambda: engine.driver_of("r") is None)
        with pytest.raises(RunConflictError, match="first is gone"):
            await engine.start(chain("ok"), id="r", on_change="compatible")
        await engine.start(chain(first, "ok", second), id="r", on_change="compatible")
        await run.approve()
        assert (await run.result())["log"] == ["first", "second"]
        await looking
        assert told.count("DefinitionChanged") == 1
        assert "OwnershipTaken" not in told
        assert told[-1] == "RunCompleted"


async def test_a_run_that_another_process_drives_is_busy(url: str) -> None:
    async with Engine(url) as one, Engine(url) as other:
        run = await one.start(chain(first, "ok"), id="r")
        await waits_at(run)
        with pytest.raises(RunBusyError, match="run r is being driven by"):
            await other.start(chain(first, "ok", second), id="r", on_change="compatible")
        with pytest.raises(RunBusyError, match="run r is being driven by"):
            await other.resume("r", chain(first, "ok", second), on_change="force")
        with pytest.raises(RunConflictError, match="node second is new"):
            await other.start(chain(first, "ok", second), id="r")
        await run.approve()
        assert (await run.result())["log"] == ["first"]


async def test_an_engine_that_drives_nothing_can_change_a_run(url: str) -> None:
    after = chain(first, "ok", second)
    async with Engine(url) as engine:
        await waits_at(await engine.start(chain(first, "ok"), id="r"))
    async with Engine(url, drives=False) as engine:
        await engine.resume("r", after, on_change="compatible")
        assert engine.driver_of("r") is None
    async with Engine(url) as engine:
        run = await engine.resume("r")
        assert len(await changes(run)) == 1
        await run.approve()
        assert (await run.result())["log"] == ["first", "second"]


async def test_a_failed_run_is_retried_with_the_changed_graph(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(routed(first, ("work", broken)), id="r")
        with pytest.raises(RunFailedError, match="boom"):
            await run.result()
        after = routed(first, ("work", second), third)
        with pytest.raises(RunConflictError, match=r"work has changed \(body\.ref \S+:broken -> \S+:second\)"):
            await engine.start(after, id="r", on_change="compatible")
        again = await engine.start(after, id="r", on_change="force")
        assert (await again.status()).state == "failed"
        with pytest.raises(RunFailedError, match="boom"):
            await run.result()
        await again.retry()
        assert (await run.result())["log"] == ["first", "second", "third"]
    assert made == {"first": 1, "broken": 1, "second": 1, "third": 1}


async def test_a_run_that_found_no_way_on_goes_on_with_an_edge_more(url: str) -> None:
    def graph(*, mended: bool) -> StateGraph:
        g = StateGraph(State, name="g")
        g.add_node(first)
        g.add_edge(START, "first")
        g.add_edge("first", END, when=lambda state: len(state["log"]) > 5)
        if mended:
            g.add_node(second)
            g.add_edge("first", "second")
            g.add_edge("second", END)
        return g

    async with Engine(url) as engine:
        run = await engine.start(graph(mended=False), id="r")
        with pytest.raises(RunFailedError, match="no edge of first can be taken"):
            await run.result()
        await (await engine.start(graph(mended=True), id="r", on_change="compatible")).retry()
        assert (await run.result())["log"] == ["first", "second"]
    assert made == {"first": 1, "second": 1}


@pytest.mark.parametrize("how", ["compatible", "force"])
async def test_a_completed_run_stays_as_it_is(url: str, how: str) -> None:
    async with Engine(url) as engine:
        before = chain(first)
        run = await engine.start(before, id="r")
        await run.result()
        again = await engine.start(chain(second), id="r", on_change=how)
        assert (await again.result())["log"] == ["first"]
        await engine.resume("r", chain(second), on_change=how)
        row = await engine.journal.row("r")
        assert row is not None
        assert row.graph == before.hash
        assert await changes(run) == []
    assert made == {"first": 1}


# Again and again ------------------------------------------------------------------------------------------


async def test_a_run_changes_again_and_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With snapshots in between: each is read with the graph that it was made under."""
    monkeypatch.setattr(machine, "SNAPSHOT_EVENTS", 4)
    one, other = chain(first, "ok", second), chain(add_a, first, "ok", third, add_b)
    async with Engine(url) as engine:
        await waits_at(await engine.start(one, id="r"))
    for number, graph in enumerate((other, one), 1):
        async with Engine(url) as engine:
            run = await engine.start(graph, id="r", on_change="force")
            assert len(await changes(run)) == number
            assert [node.path for node in (await run.status()).nodes] == ["first", "ok"]
            if number == 2:  # as if everything before it had never been thought of
                assert (await engine.looking.folded("r")).visits["first"].node.former == -1
            await run.modify({"number": number})
        async with Engine(url) as engine:
            assert (await engine.travel.at("r", (await run_of(engine)).seq)).state == {
                "log": ["first"],
                "number": number,
            }
            assert await engine.journal.snapshot("r") is not None
    async with Engine(url) as engine:
        run = await engine.resume("r")
        await run.approve()
        assert (await run.result())["log"] == ["first", "second"]
    assert made == {"first": 1, "second": 1}


async def run_of(engine: Engine) -> Any:
    row = await engine.journal.row("r")
    assert row is not None
    return row


async def test_a_changed_run_is_exported_with_all_its_graphs(url: str) -> None:
    file = io.BytesIO()
    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok", second), id="r")
        await waits_at(run)
        then = (await run.status()).seq
        await engine.start(chain("ok", third), id="r", on_change="force")
        await run.approve()
        await run.result()
        await engine.archive.export_run("r", file)
    file.seek(0)
    async with Engine("memory:") as engine:
        await engine.archive.import_run(file)
        assert (await engine.travel.at("r", then)).status.counts["completed"] == 1
        copy = await engine.open_run("r")
        assert (await copy.result())["log"] == ["first", "third"]
        with pytest.raises(RefusedError, match="imported copy"):
            await engine.resume("r", chain("ok"), on_change="force")


# Deaths ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("of", ["commit", "call"])
def test_a_death_at_each_moment_of_a_change(of: str, *, durable: bool) -> None:
    """Wherever the process dies, the run has the old graph or the new one, and comes to the same end."""
    before, after = chain(add_a, "ok", add_b), chain(add_a, "ok", add_a)

    def live(journal: MemoryJournal, main: Any, crash: CrashPlan, start_s: float) -> Any:
        faulty = FaultyJournal(journal, Faults(crash=crash))

        async def life() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
            clock = VirtualClock(asyncio.get_running_loop())

            async def within() -> Any:
                async with CrashingEngine(faulty, clock=clock) as engine:
                    return await main(engine)

            return await run_until_crash(within(), faulty.crashed)

        return run_virtual(life(), start_s=start_s)

    async def begin(engine: Engine) -> None:
        await waits_at(await engine.start(before, id="r"))

    async def change(engine: Engine) -> str:
        await engine.start(after, id="r", on_change="compatible")
        return "changed"

    async def end(engine: Engine) -> tuple[list[str], int]:
        run = await engine.start(after, id="r", on_change="compatible")
        await run.approve()
        return (await run.result())["log"], len(await changes(run))

    at, deaths = 1, 0
    while True:
        journal = MemoryJournal()
        live(journal, begin, CrashPlan(), 0.0)
        crash = CrashPlan(**{f"at_{of}": at, "durable": durable})
        if live(journal, change, crash, 100.0) == "changed":
            break
        deaths += 1
        assert live(journal, end, CrashPlan(), 1_000.0) == (["a", "a"], 1)
        at += 1
    assert deaths >= (1 if of == "commit" else 5)
