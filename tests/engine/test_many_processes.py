"""Several processes on one file: a ghost that wakes up, and engines and command lines at work together."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from itertools import count as count_up
from pathlib import Path
from typing import Any, NamedTuple

import ghost_program
import pytest
from engine_kit import Gate, count, history, is_alive, seen, turns

from clew import Engine, Graph, Run, RunRow
from clew.engine import drivers, keeper
from clew.journal import ownership
from clew.kernel import events as e

HERE = Path(__file__).parent
CLEW = [sys.executable, "-c", "from clew.cli.main import main; main()"]


# A ghost ---------------------------------------------------------------------------------------------------


class Ghost:
    """A process that is stopped, and woken when its runs are another's."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def told(self, *texts: str) -> None:
        """Until it has told all of these, each in a line of its own."""
        wanted = {*texts} - {*self.lines}
        while wanted:
            assert self._process.stdout is not None
            line = await self._process.stdout.readline()
            assert line, f"{wanted} did not come in {self.lines}"
            self.lines.append(line.decode().rstrip())
            wanted.discard(self.lines[-1])

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()

    def wake(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def open_door(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    async def end(self) -> str:
        """Wait for its end; what it complained about."""
        output, complaints = await self._process.communicate()
        self.lines += output.decode().splitlines()
        assert self._process.returncode == 0, complaints.decode()
        return complaints.decode()


@asynccontextmanager
async def ghost_of(url: str, effects: Path, *runs: str) -> AsyncIterator[Ghost]:
    """A process that drives these runs; it is ended for good when the test is over."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import ghost_program; ghost_program.main()", url, *runs,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HERE), "EFFECTS": str(effects)},
    )  # fmt: skip
    ghost = Ghost(process)
    try:
        await ghost.told(*(f"{run} {node} is under way" for run in runs for node in ("steps", "silent")))
        yield ghost
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def take_over(engine: Engine, run: str) -> Run:
    """Take a run over as soon as the lease of its owner has ended."""
    handle = await engine.start(ghost_program.graph(), {"run": run}, id=run)
    await seen(handle, e.OwnershipTaken)
    return handle


@pytest.fixture
def haunted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Short leases, a closed door, and a file for effects."""
    for module in (keeper, ownership):
        monkeypatch.setattr(module, "LEASE_S", ghost_program.LEASE_S)
    monkeypatch.setattr(drivers, "COUNT_S", 0.1)
    monkeypatch.setattr(ghost_program, "door", ghost_program.Door())
    monkeypatch.setenv("EFFECTS", str(tmp_path / "effects"))
    yield tmp_path / "effects"


@pytest.mark.slow
@pytest.mark.parametrize("renews_first", [True, False])
async def test_a_stopped_process_wakes_up_as_a_ghost(url: str, haunted: Path, renews_first: bool) -> None:
    async with ghost_of(url, haunted, "lost", "kept", "kept too") as ghost:
        await turns(lambda: Path(f"{haunted}.pid").exists() and Path(f"{haunted}.pid").read_text().endswith("\n"))
        program = int(Path(f"{haunted}.pid").read_text())
        ghost.stop()
        async with Engine(url, graphs=[ghost_program.graph()]) as other:
            run = await take_over(other, "lost")
            ghost_program.door.open.set()
            assert dict(await run.result())["steps"] == 2
            before = await history(run)
            assert is_alive(program)

            if not renews_first:
                ghost.open_door()
            ghost.wake()
            if renews_first:
                # What it notices by its own lease, before anything of the run comes to pass there.
                await ghost.told("lost silent was stopped", "lost steps was stopped")
                ghost.open_door()
            complaints = await ghost.end()
            *kept, lost = sorted(line for line in ghost.lines if "Error" in line or "completed" in line)
            assert kept == ["kept completed", "kept too completed"]
            assert lost.startswith("lost RunFencedError: run lost"), ghost.lines
            assert "run lost is not driven here any more" in complaints
            assert "lost silent was stopped" in ghost.lines
            assert not is_alive(program)

            assert await history(run) == before
            for kept in ("kept", "kept too"):
                events = await count(await other.open_run(kept))
                assert events["RunCompleted", ""] == 1
                assert events["AttemptInterrupted", "steps"] == events["OwnershipTaken", ""] == 0
        effects = sorted(haunted.read_text().splitlines())
        assert effects == ["kept step of attempt 1", "kept too step of attempt 1", "lost step of attempt 2"]


# Looking on ------------------------------------------------------------------------------------------------


async def test_who_looks_on_goes_on_when_the_other_engine_has_closed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "COUNT_S", 0.0)
    gate = Gate()
    g = Graph("held")
    g.add(gate.wait, id="held")
    first = Engine(url)
    await first.open()
    async with Engine(url) as second:
        await first.start(g, id="r")
        await gate.arrivals()
        run = await second.start(g, id="r")
        waiting = asyncio.ensure_future(run.result())
        await first.close()
        await gate.arrivals(2)
        gate.open()
        assert dict(await waiting) == {"held": None}


@pytest.mark.slow
async def test_who_looks_on_goes_on_when_the_other_process_has_died(url: str, haunted: Path) -> None:
    async with ghost_of(url, haunted, "kept") as ghost, Engine(url) as engine:
        run = await engine.start(ghost_program.graph(), {"run": "kept"}, id="kept")
        assert engine.driver_of("kept") is None
        ghost_program.door.open.set()
        ghost.kill()
        assert dict(await run.result())["steps"] == 2
        assert (await count(run))["OwnershipTaken", ""] == 1


# Engines and command lines ---------------------------------------------------------------------------------


class Told(NamedTuple):
    """What somebody told a run, and what came of it."""

    operation: str
    run: str
    by: str
    code: int
    said: str

    @property
    def is_taken(self) -> bool:
        """Whether it was acknowledged, as something that happened by this very command."""
        return self.code == 0 and "already" not in self.said and self.said != "refused"


class Shared:
    """One database, with engines that drive runs on it and people at command lines."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "clew.db"
        self.told: list[Told] = []
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(HERE),
            "EFFECTS": str(folder / "effects"),
        }
        self._effects = folder / "effects"

    def process(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "import shared_program; shared_program.main()", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self._environment, text=True,
        )  # fmt: skip

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    def person(self, name: str, until: float, seed: int) -> None:
        """Somebody who types one command after another."""
        chance, number = random.Random(seed), 0
        while time.monotonic() < until:
            runs = self.query("SELECT run FROM runs ORDER BY id DESC LIMIT 16")
            if not runs:
                os.sched_yield()
                continue
            number += 1
            operation = chance.choice(["ls", "show", "logs", "pause", "resume", "answer", "send", "cancel"])
            self.tell(operation, chance.choice(runs)[0], f"{name}.{number}", chance.randint(0, 99))

    def tell(self, operation: str, run: str, by: str, value: int = 0) -> None:
        """One command, in a process of its own."""
        more = {
            "ls": [],
            "answer": [run, "waits", str(value), "--by", by],
            "send": [run, "number", str(value), "--by", by],
            "pause": [run, "--by", by],
            "cancel": [run, "--by", by],
        }.get(operation, [run])
        if operation == "resume":
            process = self.process("resume", str(self.database), run, by)
        else:
            process = subprocess.Popen(
                [*CLEW, operation, *more, "--db", str(self.database)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self._environment, text=True,
            )  # fmt: skip
        said, complaints = process.communicate()
        self.told.append(Told(operation, run, by, process.returncode, (said + (complaints or "")).strip()))

    def clear_up(self) -> None:
        """Let every run end that waits for somebody."""
        for number in count_up():
            waiting = self.query(
                "SELECT run, state FROM runs WHERE ended_at IS NULL AND (idle OR state = 'paused')"
            )
            if not waiting:
                return
            for run, state in waiting:
                for operation in ["resume"] if state == "paused" else ["answer", "send"]:
                    self.tell(operation, run, f"last.{number}.{operation}", 7)


#: The event that shows that an operation was taken.
SHOWN = {
    "pause": e.RunPaused,
    "resume": e.RunResumed,
    "answer": e.WaitResolved,
    "send": e.MessageArrived,
}


def shared(tmp_path: Path, seed: int, seconds: float) -> None:
    print(f"seed {seed}")
    world = Shared(tmp_path)
    asyncio.run(make(world.database))
    engines = [world.process("drive", str(world.database), name, str(seconds), f"{seed}") for name in "ab"]
    until = time.monotonic() + seconds
    try:
        with ThreadPoolExecutor(3) as people:
            list(people.map(lambda name: world.person(name, until, seed + ord(name)), "xyz"))
        commands = len(world.told)
        world.clear_up()
        outcomes = dict(line.split(" ", 1) for engine in engines for line in ended_well(engine).splitlines())
    finally:
        for engine in engines:
            engine.kill()
            engine.communicate()
    asyncio.run(check_shared(world, outcomes))
    acknowledged = sum(told.is_taken for told in world.told if told.operation in {*SHOWN, "cancel"})
    states = Counter(outcome.split()[0] for outcome in outcomes.values())
    print(f"{len(outcomes)} runs {dict(states)}; {commands} commands in {seconds:g} s, ", end="")
    print(f"{commands / seconds:.1f} per second; {acknowledged} operations taken; ", end="")
    print(f"{sum(n for (n,) in world.query('SELECT seq FROM runs')) / seconds:.0f} events per second")


async def make(database: Path) -> None:
    async with Engine(str(database)):
        pass


def ended_well(engine: subprocess.Popen[str]) -> str:
    output, complaints = engine.communicate(timeout=60)
    assert (engine.returncode, complaints) == (0, "")
    return output


async def check_shared(world: Shared, outcomes: dict[str, str]) -> None:
    for told in world.told:
        assert told.code in {0, 2} and "Traceback" not in told.said and "locked" not in told.said, told
        assert "has not answered" not in told.said, told
    assert world.query("SELECT run, data FROM inbox WHERE outcome IS NULL") == []
    effects = Counter((tmp := world._effects.read_text()).splitlines())
    assert {*effects.values()} == {1}, tmp
    async with Engine(str(world.database), drives=False) as engine:
        rows = {row.run: row for row in await engine.runs(limit=100_000)}
        assert rows.keys() == outcomes.keys()
        for run, row in rows.items():
            recorded = await history(await engine.open_run(run))
            check_run(world, row, [r.event for r in recorded], outcomes[run], effects)
            assert [r.seq for r in recorded] == list(range(1, row.seq + 1))


def check_run(world: Shared, row: RunRow, events: list[Any], outcome: str, effects: Counter[str]) -> None:
    kinds = Counter(type(event) for event in events)
    assert kinds[e.RunCompleted] + kinds[e.RunCancelled] + kinds[e.RunFailed] == 1, row
    assert kinds[e.AttemptInterrupted] == kinds[e.OwnershipTaken] == 0, row
    assert outcome.split(maxsplit=1)[0] == row.state, row
    told = [told for told in world.told if told.run == row.run]
    got = 0
    for operation, shown in SHOWN.items():
        by = Counter(event.by for event in events if type(event) is shown)
        for each in told:
            if each.operation == operation:
                assert by[each.by] == each.is_taken, (each, by)
    for event in events:
        if type(event) is e.WaitResolved and event.outcome in {"answered", "received"}:
            assert event.value is not None
            got = int(bytes(event.value.json or b"0"))
    if row.state == "completed":
        assert outcome == f"completed {16 + got}", row
        assert all(effects[f"{row.run} {path}"] for path in ("items[0]", "items[1]", "items[2]", "waits")), row
    else:
        assert row.state == "cancelled", row
        assert any(each.operation == "cancel" and each.is_taken for each in told), row


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [10, 60])
def test_two_engines_and_three_command_lines_on_one_file(tmp_path: Path, seconds: int) -> None:
    shared(tmp_path, random.SystemRandom().randrange(1_000_000), seconds)
