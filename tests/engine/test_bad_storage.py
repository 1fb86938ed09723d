"""A journal in a real file, and what happens to files: full disks, locks, deletion. Runs go on when it is over."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from engine_kit import Gate, Later, history, turns

from clew import (
    Context,
    Engine,
    Graph,
    Observed,
    Recorded,
    Run,
    RunBusyError,
    StorageError,
    UnknownRunError,
)
from clew.engine import mailroom, parking
from clew.engine.mailroom import Letter
from clew.journal.sqlite import SqliteJournal
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.values import Value

ITEMS = 30
RESULT = sum(range(ITEMS)) + sum(range(4))


class Witness:
    """An observer: what it has seen was acknowledged."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[int, Any]] = {}

    async def emit(self, event: Observed) -> None:
        if isinstance(event.item, Recorded):
            self.seen.setdefault(event.run, {})[event.item.seq] = event.item.event


class World:
    """Work whose effects are counted outside of all engines, and let through one by one."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        self.witness = Witness()
        self._let = asyncio.Semaphore(0)

    def let(self, effects: int) -> None:
        """Let so many effects happen, besides those that have."""
        for _ in range(effects):
            self._let.release()

    async def happened(self, effects: int) -> None:
        """Until so many have happened."""
        await turns(lambda: self.effects.total() >= effects)

    def graph(self) -> Graph:
        async def item(x: int, ctx: Context) -> dict[str, Any]:
            await self._act(ctx.path)
            return {"x": x, "text": f"{x} " * 1_000}

        async def steps(ctx: Context) -> int:
            return sum([await ctx.step(f"{n}", step, f"{ctx.path} {n}", n, effect=True) for n in range(4)])

        async def step(what: str, n: int) -> int:
            await self._act(what)
            return n

        async def summed(items: list[dict[str, Any]], steps: int) -> int:
            return sum(item["x"] for item in items) + steps

        g = Graph("g", max_concurrency=3)
        g.returns(g.add(summed, g.map(item, over=list(range(ITEMS)), id="items"), g.add(steps)))
        return g

    async def _act(self, what: str) -> None:
        await self._let.acquire()
        self.effects[what] += 1

    async def check(self, run: Run) -> None:
        """Nothing that was acknowledged is lost, nothing is there twice or in halves; it has ended well."""
        recorded = await history(run)
        assert [r.seq for r in recorded] == list(range(1, len(recorded) + 1))
        stored = {r.seq: r.event for r in recorded}
        assert self.witness.seen[run.id].items() <= stored.items()
        found = Counter((type(r.event), getattr(r.event, "path", "")) for r in recorded)
        assert len(self.effects) == ITEMS + 4
        for what, times in self.effects.items():
            path = what.partition(" ")[0]
            assert found[e.NodeCompleted, path] == 1, path
            assert times <= 1 + found[e.AttemptInterrupted, path], what
        assert found[e.RunCompleted, ""] == 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clew.db"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that were lost are taken up again soon."""
    monkeypatch.setattr(parking, "FIRST_RETRY_S", 0.05)


async def goes_on(run: Run) -> Any:
    """The output of a run that is lost and taken up again; who waits is told about each loss."""
    while True:
        try:
            return (await run.result()).output
        except StorageError:
            await asyncio.sleep(0)


async def disturbed(
    world: World,
    journal: SqliteJournal,
    disturb: Callable[[], Any],
    repair: Callable[[], Any],
    told: str,
    after: int = 10,
) -> Run:
    """A run that is lost to something that happens to its journal after some effects, and goes on afterwards."""
    async with Engine(journal, observers=[world.witness]) as engine:
        run = await engine.start(world.graph(), id="r")
        world.let(after)
        await world.happened(after)
        waiting = asyncio.ensure_future(run.result())
        await asyncio.sleep(0)
        disturb()
        world.let(ITEMS)
        with pytest.raises(StorageError, match=told):
            await waiting
        assert "r" not in engine._drivers.by_run
        before = world.effects.total()
        repair()
        world.let(ITEMS)
        assert await goes_on(run) == RESULT
        assert world.effects.total() > before
        await world.check(run)
        return run


def whole(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize(
    "after", [10, *(pytest.param(n, marks=pytest.mark.slow) for n in [0, 1, 2, *range(3, ITEMS, 3)])]
)
async def test_a_limit_that_is_reached_and_raised(path: Path, after: int) -> None:
    journal = SqliteJournal(path)

    def limit(pages: int) -> None:
        assert journal._db._writer is not None
        journal._db._writer.execute(f"PRAGMA max_page_count = {pages}")

    def full() -> None:
        assert journal._db._writer is not None
        limit(journal._db._writer.execute("PRAGMA page_count").fetchone()[0] + 1)

    await disturbed(World(), journal, full, lambda: limit(100_000), "is full; make room, then resume", after)
    whole(path)


async def test_a_foreign_program_that_keeps_the_database(path: Path) -> None:
    journal = SqliteJournal(path, busy_s=0.05)
    foreign = sqlite3.connect(path, isolation_level=None)
    await disturbed(
        World(),
        journal,
        lambda: foreign.execute("BEGIN EXCLUSIVE"),
        lambda: foreign.execute("COMMIT"),
        "another process is holding the database; end it or wait for it, then resume",
    )
    foreign.close()
    whole(path)


async def test_a_file_that_is_moved_away_and_back(path: Path) -> None:
    away = path.with_name("away.db")
    await disturbed(
        World(),
        SqliteJournal(path),
        lambda: path.rename(away),
        lambda: away.rename(path),
        "was deleted or replaced while it was open; nothing is written any more",
    )
    whole(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(shutil.which("mount") is None or os.name != "posix", reason="there is no mount here")
async def test_a_disk_that_is_full(small_disk: Path) -> None:
    stuff = small_disk / "stuff"

    def fill() -> None:
        with stuff.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4_096))

    path = small_disk / "clew.db"
    await disturbed(World(), SqliteJournal(path), fill, stuff.unlink, "full.* then resume")
    whole(path)


async def test_a_log_that_is_deleted_is_told_and_saved(path: Path) -> None:
    """What had been committed to it is saved when the program ends, and the run goes on in the next one."""
    world = World()
    with pytest.raises(StorageError, match=r"clew\.db-wal: this file of the database's log was deleted"):
        async with Engine(SqliteJournal(path), observers=[world.witness]) as engine:
            run = await engine.start(world.graph(), id="r")
            world.let(10)
            await world.happened(10)
            waiting = asyncio.ensure_future(run.result())
            await asyncio.sleep(0)
            path.with_name("clew.db-wal").unlink()
            world.let(ITEMS)
            with pytest.raises(
                StorageError, match=r"nothing is written any more\. End this program in good order"
            ):
                await waiting
    whole(path)
    await finished(world, path)


async def finished(world: World, path: Path) -> None:
    """Another engine goes on with the run, and finds all that was acknowledged."""
    later = Later()
    later.ahead_s = 60.0  # what the first program said when it ended could not be written
    async with Engine(
        SqliteJournal(path), graphs=[world.graph()], observers=[world.witness], clock=later
    ) as engine:
        run = await engine.resume("r")
        world.let(2 * ITEMS)
        assert (await run.result()).output == RESULT
        await world.check(run)


async def test_a_file_that_is_replaced_by_its_copy(path: Path) -> None:
    """The program that had the file open does not write to another one; the next program goes on."""
    world = World()
    with pytest.raises(StorageError, match="deleted or replaced"):
        async with Engine(SqliteJournal(path), observers=[world.witness]) as engine:
            run = await engine.start(world.graph(), id="r")
            world.let(10)
            await world.happened(10)
            waiting = asyncio.ensure_future(run.result())
            await asyncio.sleep(0)
            driver = engine.driver_of("r")
            assert driver is not None
            for _ in range(10):  # all that follows from what has happened is on disk, and in the copy
                await driver.settle()
            with closing(sqlite3.connect(path)) as original, closing(sqlite3.connect(f"{path}.copy")) as copy:
                original.backup(copy)
            Path(f"{path}.copy").replace(path)
            world.let(ITEMS)
            with pytest.raises(StorageError, match="Put it back from a copy"):
                await waiting
            before = path.read_bytes()
    assert path.read_bytes() == before
    for name in ("clew.db-wal", "clew.db-shm"):
        path.with_name(name).unlink(missing_ok=True)
    await finished(world, path)
    whole(path)


# Signals that come too late, twice, or for nobody ------------------------------------------------------------


async def quick() -> int:
    return 1


def quick_graph() -> Graph:
    g = Graph("quick")
    g.add(quick)
    return g


async def test_a_signal_that_came_when_the_run_was_just_ending_is_answered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been put into the inbox of a run that was driven, and the driver did not see it before the end."""
    monkeypatch.setattr(mailroom, "_DEATH_WATCH", 1)
    busy = RunBusyError("run r is being driven by somebody")
    async with Engine(str(path)) as driving, Engine(str(path)) as other:
        run = await driving.start(quick_graph(), id="r")
        await run.result()

        async def tell(signal: Letter) -> str:
            return await other._mailroom.send("r", signal, busy, lambda: other._drivers.take_up("r"))

        message = s.Send(name="late", value=Value(json=msgspec.Raw(b"1")))
        refusals = await asyncio.gather(tell(s.Pause()), tell(message), tell(s.Cancel()), tell(s.Resume()))
        assert ["completed" in refusal for refusal in refusals] == [True, True, False, True]
        assert refusals[2] == ""
        assert await other.journal.inbox() == []
        row = await other.journal.row("r")
        assert row is not None
        assert (row.state, row.owner) == ("completed", "")
        assert (await run.result())["quick"] == 1


async def test_a_signal_for_an_unknown_run_leaves_nothing(path: Path) -> None:
    async with Engine(str(path)) as engine:
        with pytest.raises(UnknownRunError, match="there is no run nobody"):
            await engine.tell("nobody", s.Pause())
        with pytest.raises(UnknownRunError):
            await engine.journal.post("nobody", b"{}", 1.0, "eve")
        assert await engine.journal.inbox() == []


async def test_a_signal_that_is_put_in_twice_happens_once(path: Path) -> None:
    """Two people pause a run at the same moment, and one of them clicks twice: one pause, two refusals."""
    gate = Gate()
    g = Graph("held")
    g.add(gate.wait, id="held")
    async with Engine(str(path)) as driving, Engine(str(path)) as other:
        run = await driving.start(g, id="r")
        await gate.arrivals()
        data = msgspec.json.encode(s.Pause(by="ada"))
        items = [await other.journal.post("r", data, 1.0, "ada") for _ in range(3)]
        outcomes: list[str | None] = [None]
        while None in outcomes:
            await asyncio.sleep(0)
            outcomes = [await other.journal.outcome(item) for item in items]
        assert [bool(outcome) for outcome in outcomes] == [False, True, True]
        assert [type(r.event) for r in await history(run)].count(e.RunPaused) == 1
        await run.resume()
        gate.open()
        await run.result()


async def test_a_database_of_a_newer_version_is_left_alone(path: Path) -> None:
    async with Engine(str(path)) as engine:
        await (await engine.start(quick_graph(), id="r")).result()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA user_version = 999")
    before = path.read_bytes()
    with pytest.raises(
        StorageError, match=r"written by a newer Clew .*nothing was changed\. Install that version"
    ):
        async with Engine(str(path)):
            pass
    assert path.read_bytes() == before


async def test_a_run_that_does_not_hold_together_is_left_alone(path: Path) -> None:
    """Each event can be read, and one is about a node that is not in the graph; the other runs go on."""
    gate = Gate()
    g = Graph("held")
    g.add(gate.wait, id="held")
    async with Engine(str(path)) as engine:
        for run in ("bad", "good"):
            await engine.start(g, id=run)
        await gate.arrivals(2)
    gate.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            """UPDATE events SET data = replace(data, '"path":"held"', '"path":"gone"') WHERE run = 1"""
        )
    async with Engine(str(path), graphs=[g]) as engine:
        (run,) = await engine.resume_all()
        assert run.id == "good"
        with pytest.raises(StorageError, match="run bad: its events do not fit its graph or each other"):
            await engine.resume("bad")
        assert dict(await run.result()) == {"held": None}
        watch = engine._drivers._watch
        assert watch is not None
        assert not watch.done()
