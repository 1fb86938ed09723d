"""Real processes, really killed: effects and journal agree, and nothing completed is done again."""

import asyncio
import contextlib
import os
import random
import select
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

import counted_program
import pytest

from clew import Engine, Recorded
from clew.kernel import events as e

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Program:
    """A process that tells what it does, line by line, on a pipe of its own."""

    def __init__(self, command: list[str], **options: object) -> None:
        reading, writing = os.pipe()
        environment = {**os.environ, "TOLD": str(writing), **options.pop("env", {})}  # type: ignore[dict-item]
        self._process = subprocess.Popen(  # type: ignore[call-overload]
            command, stdout=writing, stderr=subprocess.PIPE, pass_fds=(writing,), env=environment, **options
        )
        os.close(writing)
        self.told = os.fdopen(reading, "rb")

    def kill_after(self, lines: int, seconds: float = 0.0) -> list[bytes]:
        """Kill it so long after it has told so many lines; the lines, fewer if it had ended before."""
        told = []
        for line in self.told:
            told.append(line)
            if len(told) >= lines:
                self.kill_within(seconds)
                break
        return told

    def kill_within(self, seconds: float) -> None:
        """Kill it after so long, unless it has ended before."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self._process.kill()

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit code, and what it complained about."""
        _, complaints = self._process.communicate()
        self.told.close()
        return self._process.returncode, complaints.decode()


def events_of(database: Path, run: str) -> list[Recorded]:
    async def read() -> list[Recorded]:
        async with Engine(str(database)) as engine:
            handle = await engine.open_run(run)
            return [recorded async for recorded in handle.events(live=False)]

    return asyncio.run(read())


def run_and_kill(start: Callable[[], Program], seed: int, kills: int, lines: int) -> str:
    """Start a program again and again, and kill it at random; what it told at last."""
    chance = random.Random(seed)
    print(f"seed {seed}")
    for number in range(kills):
        program = start()
        program.kill_after(chance.randint(1, lines))
        code, complaints = program.end()
        assert code in {0, -9}, (number, code, complaints)
    program = start()
    told = program.told.read()
    code, complaints = program.end()
    assert code == 0, complaints
    return told.decode()


def wait_gone(pid: int) -> None:
    """Wait until a process, whosever it is, has ended."""
    with contextlib.suppress(ProcessLookupError):
        place = os.pidfd_open(pid)
        try:
            assert select.select([place], [], [], 10)[0], f"process {pid} lives on"
        finally:
            os.close(place)


def killed(tmp_path: Path, seed: int, kills: int) -> None:
    database, effects = tmp_path / "clew.db", tmp_path / "effects"
    command = [sys.executable, str(HERE / "killed_program.py"), str(database), str(effects)]
    told = run_and_kill(lambda: Program(command), seed, kills, 90 // kills)
    twice = sum(range(25)) * 2
    expected = twice + twice * 2 + sum(range(6)) + sum(range(4)) + sum(range(5))
    assert f"result {expected}" in told

    lines = effects.read_text().splitlines()
    for pid in {int(line.rpartition(" ")[2]) for line in lines if " in " in line}:
        wait_gone(pid)
    done = Counter(line.partition(" in ")[0] for line in lines)
    recorded = events_of(database, "r")
    found = Counter((type(r.event), getattr(r.event, "path", "")) for r in recorded)
    assert [r.seq for r in recorded] == list(range(1, len(recorded) + 1))
    taken = found[e.OwnershipTaken, ""]
    assert kills // 2 <= taken <= kills
    assert taken == 0 or any(kind is e.AttemptInterrupted for kind, _ in found)
    paths = {path for kind, path in found if kind is e.AttemptStarted}
    assert len(paths) == 12 + 25 + 25 + 6 + 4 + 1 + 1
    for path in paths:
        interrupted = found[e.AttemptInterrupted, path]
        assert found[e.NodeCompleted, path] == 1, path
        assert found[e.AttemptStarted, path] == 1 + interrupted, path
        if path not in {"shopping", "summed"}:
            assert 1 <= done[path] <= 1 + interrupted, (path, done[path], interrupted)
    for number in range(5):
        assert 1 <= done[f"shopping step {number}"] <= 1 + found[e.AttemptInterrupted, "shopping"]
    assert sum(n for (kind, _), n in found.items() if kind is e.StepCompleted) == 5


def test_a_program_that_is_killed_twice(tmp_path: Path) -> None:
    killed(tmp_path, 7, 2)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(3))
def test_a_program_that_is_killed_ten_times(tmp_path: Path, turn: int) -> None:
    killed(tmp_path, random.SystemRandom().randrange(1_000_000) + turn, 10)


# Work of every kind ----------------------------------------------------------------------------------------


class Counted:
    """The program of counted effects on one database, with a second process that answers its questions."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.database, self._effects = folder / "clew.db", folder / "effects"
        self._effects.touch()
        self._asked = Program(self._command("answer"), stdin=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        code, complaints = self._asked.end()  # which closes its input, and so ends it
        assert (code, complaints) == (0, "")

    def work(self, run: str) -> Program:
        return Program(self._command("work", run, str(self._effects)))

    def effects(self) -> Counter[str]:
        """How often each effect happened, by run and what it was."""
        return Counter(self._effects.read_text().splitlines())

    def _command(self, role: str, *arguments: str) -> list[str]:
        return [sys.executable, str(HERE / "counted_program.py"), role, str(self.database), *arguments]


def kill_somewhere(program: Program, chance: random.Random) -> list[bytes]:
    """Kill it while it starts, or some time after it has told a few lines; these."""
    if chance.random() < 0.15:
        program.kill_within(chance.uniform(0, 0.4))
        return []
    return program.kill_after(chance.randint(1, 5), chance.choice([0.0, chance.uniform(0, 0.03)]))


def work_and_kill(counted: Counted, chance: random.Random, kills: int) -> list[str]:
    """Make run after run until so many processes were killed; the runs."""
    runs: list[str] = []
    while kills:
        runs.append(f"r{len(runs)}")
        over = False
        while not over:
            program = counted.work(runs[-1])
            told = kill_somewhere(program, chance) if kills else []
            told += program.told.readlines()
            code, complaints = program.end()
            assert code in {0, -9}, complaints
            kills -= code == -9
            over = code == 0
            assert not over or told[-1] == b"result 638\n", told
    return runs


def check_effects(counted: Counted, run: str) -> tuple[int, int]:
    """Each effect of an undisturbed run was made, and again at most as often as its node was interrupted.

    Returns:
        How many interruptions are recorded, and how many effects were made again.
    """
    recorded = events_of(counted.database, run)
    found = Counter((type(r.event), getattr(r.event, "path", "")) for r in recorded)
    assert [r.seq for r in recorded] == list(range(1, len(recorded) + 1))
    effects = {what.split(" ", 1)[1]: n for what, n in counted.effects().items() if what.split(" ")[0] == run}
    assert len(effects) == counted_program.EFFECTS
    for what, times in effects.items():
        path = what.partition(" ")[0]
        interrupted = found[e.AttemptInterrupted, path]
        assert 1 <= times <= 1 + interrupted, (what, times, interrupted)
        assert found[e.NodeCompleted, path] == 1, path
        assert found[e.AttemptStarted, path] == 1 + interrupted, path
    for kind, times in [(e.StepCompleted, counted_program.STEPS), (e.RunCompleted, 1)]:
        assert sum(n for (each, _), n in found.items() if each is kind) == times, kind
    answered = [r.event for r in recorded if isinstance(r.event, e.WaitResolved) and r.event.path == "asks"]
    assert [each.by for each in answered] == ["somebody"]
    interruptions = sum(n for (kind, _), n in found.items() if kind is e.AttemptInterrupted)
    # At most four attempts are under way at once, besides those that only wait.
    assert interruptions <= 4 * found[e.OwnershipTaken, ""]
    return interruptions, sum(effects.values()) - len(effects)


def killed_at_work(tmp_path: Path, seed: int, kills: int) -> None:
    with Counted(tmp_path / "undisturbed") as undisturbed:
        program = undisturbed.work("r0")
        assert program.told.read().endswith(b"result 638\n")
        assert program.end() == (0, "")
        assert check_effects(undisturbed, "r0") == (0, 0)
    print(f"seed {seed}")
    with Counted(tmp_path / "killed") as counted:
        runs = work_and_kill(counted, random.Random(seed), kills)
        found = [check_effects(counted, run) for run in runs]
    print(f"{kills} kills of {len(runs)} runs: {sum(n for n, _ in found)} attempts interrupted, ", end="")
    print(f"{sum(n for _, n in found)} of {counted_program.EFFECTS * len(runs)} effects made again")


def test_work_of_every_kind_that_is_killed(tmp_path: Path) -> None:
    killed_at_work(tmp_path, 11, 4)


@pytest.mark.slow
def test_work_of_every_kind_that_is_killed_a_hundred_times(tmp_path: Path) -> None:
    killed_at_work(tmp_path, random.SystemRandom().randrange(1_000_000), 100)


# The audit -------------------------------------------------------------------------------------------------


def audited(tmp_path: Path, seed: int, kills: int, files: int) -> None:
    tree, out = tmp_path / "tree", tmp_path / "audit.html"
    tree.mkdir()
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.glob("*.py"), key=lambda path: path.stat().st_size)[30 : 30 + files]:
        shutil.copy(path, tree / path.name)

    def start(database: str) -> Program:
        command = [
            str(Path(sys.executable).with_name("clew")), "run",
            str(ROOT / "examples/audit/graph.py"), "--id", "audit",
            "--db", str(tmp_path / database), "--input", f"path={tree}", "--input", f"out={out}",
        ]  # fmt: skip
        return Program(command, cwd=tmp_path)

    run_and_kill(lambda: start("undisturbed.db"), seed, 0, 1)
    undisturbed = out.read_bytes()
    out.unlink()
    run_and_kill(lambda: start("killed.db"), seed, kills, 2 * files // (kills + 1))
    assert out.read_bytes() == undisturbed

    recorded = events_of(tmp_path / "killed.db", "audit")
    found = Counter((type(r.event), getattr(r.event, "path", "")) for r in recorded)
    analysed = {path: times for (kind, path), times in found.items() if kind is e.NodeCompleted and "[" in path}
    assert len(analysed) == files
    assert set(analysed.values()) == {1}
    started = sum(times for (kind, path), times in found.items() if kind is e.AttemptStarted and "[" in path)
    interrupted = sum(
        times for (kind, path), times in found.items() if kind is e.AttemptInterrupted and "[" in path
    )
    assert started == files + interrupted


def test_an_audit_that_is_killed_once(tmp_path: Path) -> None:
    audited(tmp_path, 3, 1, 6)


@pytest.mark.slow
def test_an_audit_that_is_killed_ten_times(tmp_path: Path) -> None:
    audited(tmp_path, random.SystemRandom().randrange(1_000_000), 10, 40)
