"""A run that waits at a barrier needs nobody: no task, no process. Its time goes on, and people are heard."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import barrier_program
import msgspec
import pytest
from barrier_program import TIMEOUT_S
from engine_kit import Later, history, is_alive, turns, until_idle
from state_kit import State, add_a, chain, decisions, waits_at

from clew import END, START, Context, Engine, RefusedError, Run, StateGraph
from clew.engine import drivers
from clew.engine.driver import Driver
from clew.journal.ownership import LEASE_S
from clew.journal.port import Journal
from clew.journal.sqlite import SqliteJournal
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.state import Run as Folded
from clew.kernel.writes import Judgement
from clew.testing import CrashingEngine, Faults, FaultyJournal, VirtualClock, run_until_crash, run_virtual

HERE = Path(__file__).parent
WRITTEN = {"approve": {"review.approved": True}, "reject": {"review.approved": False, "review.reject_reason": ""}}

Life = Callable[[Journal, VirtualClock], Coroutine[Any, Any, Any]]


# Nothing in memory -----------------------------------------------------------------------------------------


async def test_a_run_at_a_barrier_leaves_memory_with_all_that_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "IDLE_S", 0.0)
    monkeypatch.setattr(drivers, "COUNT_S", 0.0)
    async with Engine("memory:") as engine:
        await (await engine.start(chain(add_a))).result()  # from now on the engine looks out for runs
        before = len(asyncio.all_tasks())
        runs = [await engine.start(barrier_program.graph(), id=f"waits {number}") for number in range(20)]
        await until_idle(engine, len(runs))
        await turns(lambda: not engine._drivers.by_run)
        await turns(lambda: len(asyncio.all_tasks()) <= before)
        gc.collect()
        held = [thing for thing in gc.get_objects() if type(thing) in {Driver, Folded}]
        assert not [thing for thing in held if thing.id.startswith("waits")]
        # And each of them is there when somebody decides.
        await runs[7].approve()
        assert (await runs[7].result())["log"] == ["a", "b"]
        assert not engine._drivers.by_run


async def test_nobody_is_under_way_while_a_barrier_waits_beside_a_suspended_body(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "IDLE_S", 0.0)
    monkeypatch.setattr(drivers, "COUNT_S", 0.0)
    entered: list[str] = []

    async def asks(state: State, ctx: Context) -> State:
        entered.append(ctx.path)
        return {"log": [await ctx.ask("Which?", type=str)]}

    graph = StateGraph(State, name="g")
    graph.add_parallel("both", {"asks": asks, "decides": chain("review")})
    graph.add_edge(START, "both")
    graph.add_edge("both", END)
    async with Engine(url) as engine:
        run = await engine.start(graph, id="r")
        await turns(lambda: "r" not in engine._drivers.by_run and len(entered) == 1)
        await run.approve()
        await run.answer("this", "both/asks")
        assert dict(await run.result()) == {"log": ["this"]}


async def test_after_a_restart_runs_at_barriers_are_not_even_read(url: str) -> None:
    graph = barrier_program.graph()
    async with Engine(url) as engine:
        for number in range(5):
            await engine.start(graph, id=f"r{number}")
        await until_idle(engine, 5)
    clock = Later()
    async with Engine(url, graphs=[graph], clock=clock) as engine:
        assert await engine.resume_all() == []
        assert not engine._drivers.by_run
        async with Engine(url, drives=False) as telling:
            await (await telling.open_run("r3")).approve(by="ann")
        assert (await (await engine.open_run("r3")).result())["review.approved"] is True
        clock.ahead_s = TIMEOUT_S + 1
        for number in (0, 1, 2, 4):
            assert (await (await engine.open_run(f"r{number}")).result())["review.approved"] is False


# No process up ---------------------------------------------------------------------------------------------


def live(life: Life, path: Path, start_s: float, *, dies: bool = False) -> Any:
    """One life of a process on a file; what `life` returned, or None if it has died."""
    faulty = FaultyJournal(SqliteJournal(path, "process"), Faults())

    async def main() -> Any:
        clock = VirtualClock(asyncio.get_running_loop())
        found = await life(faulty, clock)
        if dies:
            faulty.crashed.set()
            await asyncio.Event().wait()
        return found

    async def whole() -> Any:
        try:
            return await run_until_crash(main(), faulty.crashed)
        finally:
            await faulty.inner.close()

    return run_virtual(whole(), start_s=start_s)


def until_the_barrier(default: str = "reject") -> Life:
    async def life(journal: Journal, clock: VirtualClock) -> None:
        engine = CrashingEngine(journal, clock=clock)  # pyright: ignore[reportArgumentType]
        await engine.open()
        await waits_at(await engine.start(barrier_program.graph(default), id="r"))

    return life


def to_the_end(default: str = "reject") -> Life:
    async def life(journal: Journal, clock: VirtualClock) -> tuple[dict[str, Any], e.WaitResolved, float]:
        graphs = [barrier_program.graph(default)]
        async with CrashingEngine(journal, clock=clock, graphs=graphs) as engine:  # pyright: ignore[reportArgumentType]
            began = clock.now()
            run = await engine.resume("r")
            result = dict(await run.result())
            (decided,) = await decisions(run)
            return result, decided, clock.now() - began

    return life


@pytest.mark.parametrize("default", ["approve", "reject", "skip"])
def test_the_time_of_a_barrier_goes_on_while_no_process_is_up(tmp_path: Path, default: str) -> None:
    path = tmp_path / "clew.db"
    assert live(until_the_barrier(default), path, 0, dies=True) is None
    result, decided, took_s = live(to_the_end(default), path, 5 * TIMEOUT_S)
    assert result == {"log": ["a", "b"], **WRITTEN.get(default, {})}
    assert took_s < 1  # at once
    assert (decided.outcome, decided.by, decided.kept) == ("expired", "", False)  # and it is nobody's decision
    assert decided.at == pytest.approx(1_700_000_000 + 5 * TIMEOUT_S, abs=1)


def test_before_its_time_is_over_the_next_process_waits_on_to_the_second(tmp_path: Path) -> None:
    path = tmp_path / "clew.db"
    live(until_the_barrier(), path, 0, dies=True)
    result, decided, took_s = live(to_the_end(), path, TIMEOUT_S / 2)
    assert result["review.approved"] is False
    assert took_s == pytest.approx(TIMEOUT_S / 2, abs=1)
    assert decided.at == pytest.approx(1_700_000_000 + TIMEOUT_S, abs=1)


def test_a_decision_in_time_while_no_process_is_up_beats_the_default(tmp_path: Path) -> None:
    path = tmp_path / "clew.db"

    async def approve(journal: Journal, clock: VirtualClock) -> str:
        async with Engine(journal, clock=clock, drives=False) as engine:
            run = await engine.open_run("r")
            (waiting,) = await run.barriers()
            await run.approve(by="ann", shown=waiting.digest)
            return (await run.status()).state

    live(until_the_barrier(), path, 0, dies=True)
    assert live(approve, path, TIMEOUT_S - 1) == "running"  # it is recorded, and nothing is started
    result, decided, _ = live(to_the_end(), path, 5 * TIMEOUT_S)
    assert result == {"log": ["a", "b"], "review.approved": True}
    assert (decided.outcome, decided.by) == ("answered", "ann")
    assert decided.at == pytest.approx(1_700_000_000 + TIMEOUT_S - 1, abs=1)


def test_a_decision_that_lies_in_the_inbox_counts_from_when_it_was_put_there(tmp_path: Path) -> None:
    path = tmp_path / "clew.db"

    def posting(at_s: float, kind: str) -> Life:
        async def life(journal: Journal, clock: VirtualClock) -> None:
            await journal.open()
            decide = s.Decide(barrier="review", judgement=Judgement(kind=kind), by="ann")
            data = msgspec.json.encode(decide)
            await journal.post("r", data, clock.epoch_s + at_s, "ann")

        return life

    live(until_the_barrier(), path, 0, dies=True)
    live(posting(TIMEOUT_S - 1, "approve"), path, LEASE_S)
    live(posting(TIMEOUT_S - 0.5, "reject"), path, LEASE_S)  # which comes second
    result, decided, _ = live(to_the_end(), path, 5 * TIMEOUT_S)
    assert result["review.approved"] is True
    assert (decided.outcome, decided.by) == ("answered", "ann")


def test_a_decision_that_comes_too_late_is_refused_and_the_default_counts(tmp_path: Path) -> None:
    path = tmp_path / "clew.db"

    async def approve(journal: Journal, clock: VirtualClock) -> str:
        async with Engine(journal, clock=clock, drives=False) as engine:
            run = await engine.open_run("r")
            with pytest.raises(RefusedError, match="does not wait for a decision any more: its time was over"):
                await run.approve("review", by="ann")
            return (await run.status()).state

    live(until_the_barrier(), path, 0, dies=True)
    assert live(approve, path, TIMEOUT_S + 1) == "running"
    result, decided, _ = live(to_the_end(), path, 5 * TIMEOUT_S)
    assert result["review.approved"] is False
    assert (decided.outcome, decided.by) == ("expired", "")


# Real processes --------------------------------------------------------------------------------------------


def killed_at_the_barrier(database: Path) -> None:
    """A real process that waits at a barrier, and a real SIGKILL."""
    command = [sys.executable, str(HERE / "barrier_program.py"), str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"it waits\n"
        process.kill()
    assert not is_alive(process.pid)


async def goes_on(database: Path) -> tuple[Run, dict[str, Any]]:
    """What becomes of it in this process, an hour later."""
    clock = Later()
    clock.ahead_s = TIMEOUT_S + 60
    async with Engine(str(database), graphs=[barrier_program.graph()], clock=clock) as engine:
        run = await engine.resume("r")
        result = dict(await run.result())
        taken = [
            recorded.event for recorded in await history(run) if isinstance(recorded.event, e.AttemptInterrupted)
        ]
        assert not taken  # nothing was under way when it was killed
        (decided,) = await decisions(run)
        return result, {"outcome": decided.outcome, "by": decided.by}


@pytest.mark.slow
async def test_the_default_of_a_barrier_whose_process_was_killed(tmp_path: Path) -> None:
    database = tmp_path / "clew.db"
    await asyncio.to_thread(killed_at_the_barrier, database)
    result, decided = await goes_on(database)
    assert result == {"log": ["a", "b"], **WRITTEN["reject"]}
    assert decided == {"outcome": "expired", "by": ""}


@pytest.mark.slow
async def test_clew_approve_in_time_after_the_process_was_killed(tmp_path: Path) -> None:
    database = tmp_path / "clew.db"
    await asyncio.to_thread(killed_at_the_barrier, database)
    program = [sys.executable, "-c", "from clew.cli.main import main; main()"]
    command = [*program, "approve", "r", "--by", "ann", "--db", str(database)]
    said = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert said.returncode == 0, said
    result, decided = await goes_on(database)
    assert result == {"log": ["a", "b"], "review.approved": True}
    assert decided == {"outcome": "answered", "by": "ann"}
