"""Old runs go by age, state and number; what they leave behind goes with them, and nothing else."""

import io
import sqlite3

import pytest
from engine_bodies import double
from engine_kit import Later, ThreadGate, seen

from clew import Engine, Graph
from clew.engine.retention import Collected
from clew.errors import InvalidInputError, RefusedError, RunBusyError, StorageError, UnknownRunError
from clew.journal.memory import MemoryJournal
from clew.kernel import events as e

DAY_S = 86_400.0


async def large(n: int) -> str:
    print("made", n)
    if n < 0:
        raise ValueError("it is negative")
    return f"{n}" * 5_000


async def asks(ctx=None) -> str:
    return await ctx.ask("Shall I?", key="ok")


def graph(name: str = "g") -> Graph:
    made = Graph(name)
    made.add(large, made.input("n", int))
    return made


async def days(engine: Engine, clock: Later, count: int, name: str = "g") -> list[str]:
    """A run on each of some days, the first one the oldest."""
    ids = [f"{name}-{day}" for day in range(count)]
    for day, run in enumerate(ids):
        await (await engine.start(graph(name), {"n": day}, id=run)).wait_ended()
        clock.ahead_s += DAY_S
    return ids


async def left(engine: Engine) -> list[str]:
    return sorted(row.run for row in await engine.journal.rows(limit=1_000))


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, url: str) -> str | MemoryJournal:
    return MemoryJournal() if request.param == "memory" else url


async def test_runs_go_by_age(journal) -> None:
    clock = Later()
    async with Engine(journal, clock=clock) as engine:
        await days(engine, clock, 5)
    async with Engine(journal, clock=clock) as engine:
        would = await engine.retention.collect(older_s=2.5 * DAY_S, dry_run=True)
        assert would.runs == {"completed": 3}
        assert would.run_bytes > 3 * 5_000
        assert await left(engine) == [f"g-{day}" for day in range(5)]
        told: list[tuple[str, int]] = []
        done = await engine.retention.collect(older_s=2.5 * DAY_S, progress=lambda *said: told.append(said))
        assert told == [("deleted", 1), ("deleted", 2), ("deleted", 3)]
        assert (done.runs, done.values) == ({"completed": 3}, 3)
        assert done.value_bytes == 3 * 5_002
        assert await left(engine) == ["g-3", "g-4"]
        for run in await left(engine):
            assert (await (await engine.open_run(run)).result()).output["large"][0] == run[-1]
        assert await engine.retention.collect(older_s=2.5 * DAY_S) == Collected(runs={}, failures={})


async def test_the_newest_of_each_graph_are_kept() -> None:
    clock = Later()
    async with Engine("memory:", clock=clock) as engine:
        await days(engine, clock, 4, "a")
        await days(engine, clock, 2, "b")
        assert (await engine.retention.collect(keep=3)).runs == {"completed": 1}
        assert await left(engine) == ["a-1", "a-2", "a-3", "b-0", "b-1"]
        assert (await engine.retention.collect(keep=1, older_s=4.5 * DAY_S)).runs == {"completed": 1}
        assert await left(engine) == ["a-2", "a-3", "b-0", "b-1"]
        assert (await engine.retention.collect(keep=1, graph="b")).runs == {"completed": 1}
        assert await left(engine) == ["a-2", "a-3", "b-1"]


async def test_runs_go_by_state_and_labels() -> None:
    clock = Later()
    async with Engine("memory:", clock=clock) as engine:
        for run, n, labels in (("good", 1, {"t": "a"}), ("bad", -1, {"t": "a"}), ("other", 2, {"t": "b"})):
            await (await engine.start(graph(), {"n": n}, id=run, labels=labels)).wait_ended()
        clock.ahead_s = DAY_S
        assert (await engine.retention.collect(older_s=1, states=["failed"])).runs == {"failed": 1}
        assert (await engine.retention.collect(older_s=1, labels={"t": "b"})).runs == {"completed": 1}
        assert await left(engine) == ["good"]


async def test_what_goes_on_is_left_alone() -> None:
    clock = Later()
    waiting = Graph("waiting")
    waiting.add(asks)
    async with Engine("memory:", clock=clock) as engine:
        run = await engine.start(waiting, id="w")
        await seen(run, e.AttemptSuspended)
        clock.ahead_s = 400 * DAY_S
        assert (await engine.retention.collect(older_s=1)).runs == {}
        assert len(await run.questions()) == 1
        with pytest.raises(RefusedError, match=r"run w has not ended \(running\); cancel it first"):
            await engine.retention.delete("w")
        engine._keeper._renew_now()  # the clock went further than a lease lasts
        with pytest.raises(RunBusyError):
            await engine.retention.delete("w", unfinished=True)


async def test_a_run_that_nobody_drives_can_be_deleted_as_it_is(url: str) -> None:
    waiting = Graph("waiting")
    waiting.add(asks)
    async with Engine(url) as engine:
        await seen(await engine.start(waiting, id="w"), e.AttemptSuspended)
    async with Engine(url) as engine:
        await engine.retention.delete("w", unfinished=True)
        assert await left(engine) == []
        with pytest.raises(UnknownRunError):
            await engine.retention.delete("w")


async def test_values_have_a_time_of_grace() -> None:
    clock = Later()
    async with Engine("memory:", clock=clock) as engine:
        await (await engine.start(graph(), {"n": 1}, id="r")).wait_ended()
        await engine.retention.delete("r")
        assert (await engine.retention.collect()).values == 0
        assert (await engine.retention.collect(grace_s=0, dry_run=True)).values == 2  # the definition is one
        clock.ahead_s = 3_700
        assert (await engine.retention.collect()).values == 2


async def test_ended_runs_are_packed(url: str) -> None:
    async def chain(engine: Engine) -> None:
        made = Graph("chain")
        handle = made.add(double, 1, id="n0")
        for number in range(1, 30):
            handle = made.add(double, 0 if number % 10 else handle, id=f"n{number}", depends_on=[f"n{number - 1}"])
        await (await engine.start(made, id="r")).result()

    async with Engine(url) as engine:
        await chain(engine)
    async with Engine(url) as engine:
        before = [each async for each in (await engine.open_run("r")).events(live=False)]
        assert (await engine.retention.collect(pack=True, dry_run=True)).packed == 1
        done = await engine.retention.collect(pack=True)
        assert done.packed == 1
        assert done.packed_bytes > 500
        assert done.reclaimed > 0
        assert [each async for each in (await engine.open_run("r")).events(live=False)] == before
        assert (await engine.retention.collect(pack=True)).packed == 0


def blocking(gate: ThreadGate) -> Graph:
    def block() -> None:
        gate.wait()

    made = Graph("blocking")
    made.add(block)
    return made


async def test_space_is_not_given_back_while_somebody_drives(url: str) -> None:
    clock = Later()
    async with Engine(url, clock=clock) as driving, Engine(url, clock=clock) as engine:
        gate = ThreadGate()
        await (await driving.start(graph(), {"n": 1}, id="old")).wait_ended()
        clock.ahead_s = DAY_S
        run = await driving.start(blocking(gate), id="busy")
        driving._keeper._renew_now()
        await gate.here.wait()
        done = await engine.retention.collect(older_s=1)
        assert (done.runs, done.reclaimed, done.is_in_use) == ({"completed": 1}, 0, True)
        gate.door.set()
        await run.result()


async def test_one_run_that_cannot_be_packed_does_not_keep_the_others(url: str) -> None:

    async with Engine(url) as engine:
        for run in ("a", "b", "c"):
            await (await engine.start(graph(), {"n": 1}, id=run)).wait_ended()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
        file.execute(
            "UPDATE events SET data = 'gone' WHERE run = (SELECT id FROM runs WHERE run = 'b') AND seq > 3"
        )
    file.close()
    async with Engine(url) as engine:
        done = await engine.retention.collect(pack=True)
        assert [*done.failures] == ["b"]
        assert "cannot be read" in done.failures["b"]
        assert done.packed == 2
        assert (await engine.retention.collect(older_s=0, dry_run=True)).runs == {"completed": 3}


async def test_copies_stay_until_they_are_deleted() -> None:

    clock, file = Later(), io.BytesIO()
    async with Engine("memory:", clock=clock) as engine:
        await (await engine.start(graph(), {"n": 1}, id="a")).wait_ended()
        await engine.archive.export_run("a", file)
        file.seek(0)
        await engine.archive.import_run(file, "copy")
        clock.ahead_s = DAY_S
        assert (await engine.retention.collect(older_s=1)).runs == {"completed": 1}
        assert await left(engine) == ["copy"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"older_s": -1}, "older_s is -1; it must not be negative"),
        ({"keep": -1}, "keep is -1"),
        ({"grace_s": float("nan")}, "grace_s is nan"),
        ({"states": ["running", "failed"]}, "runs that are running have not ended; states are completed, failed"),
    ],
)
async def test_wrong_arguments_are_refused(arguments, told) -> None:
    async with Engine("memory:") as engine:
        with pytest.raises(InvalidInputError, match=told):
            await engine.retention.collect(**arguments)


@pytest.mark.slow
async def test_many_pages_of_runs_go() -> None:
    clock = Later()
    async with Engine("memory:", clock=clock) as engine:
        for number in range(1_201):
            await (await engine.start(graph(), {"n": 0}, id=f"r{number}")).wait_ended()
        clock.ahead_s = DAY_S
        assert (await engine.retention.collect(older_s=1)).runs == {"completed": 1_201}
        assert await left(engine) == []


async def test_a_closed_journal_says_so() -> None:
    async with Engine("memory:") as engine:
        pass
    with pytest.raises(StorageError):
        await engine.retention.collect(older_s=1)
