"""`examples/release`, really killed: what it has done is taken back all the same, and nothing twice."""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from release_kit import EXAMPLE, on_stage

from clew import Engine
from clew.kernel import events as e

# isort: split
from release_stage import Stage

PROGRAM = Path(__file__).with_name("killed_releases.py")
WHEEL = "sundial-1.3.0-py3-none-any.whl"
#: Events of a release that goes through, at least.
MOMENTS = 34
UNDONE = ["announce", "publish", "tag", "commit", "changelog", "wheel", "bump"]


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    return random.Random(seed)


def lived(stage: Stage, moment: int = 0, since: str = "RollbackStarted") -> tuple[int, str]:
    """Run it until it dies, or ends: its exit code, and what it has told; it has complained of nothing."""
    arguments = [sys.executable, str(PROGRAM), str(stage.database), stage.url, since, str(moment)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert not done.stderr
    return done.returncode, done.stdout.strip()


def rollback_of(database: Path) -> list[object]:
    """What the journal has of the rollback."""

    async def read() -> list[object]:
        async with Engine(str(database), drives=False) as engine:
            run = await engine.open_run("r")
            return [recorded.event async for recorded in run.events(live=False)]

    events = asyncio.run(read())
    return events[[type(event) for event in events].index(e.RollbackStarted) :]


@pytest.mark.parametrize("deaths", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_it_is_taken_back_once_however_often_it_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance: random.Random, deaths: int
) -> None:
    with on_stage(tmp_path, monkeypatch) as stage:
        before = stage.seen()
        stage.let_service_be("angry")
        known = 0
        for _ in range(deaths):
            assert lived(stage, known + chance.randint(1, 6)) == (-9, "")
            known = len(rollback_of(stage.database))
        assert lived(stage) == (0, "rolled_back")
        assert stage.seen() == before

        found = Counter((type(event), getattr(event, "path", "")) for event in rollback_of(stage.database))
        lost = {step: found[e.AttemptInterrupted, f"{step}#undo"] for step in UNDONE}
        assert (deaths > 1) <= sum(lost.values()) <= 2 * deaths
        for step in UNDONE:
            assert found[e.NodeCompleted, f"{step}#undo"] == 1, step
            assert found[e.AttemptStarted, f"{step}#undo"] == 1 + lost[step], step
        done = stage.effects()
        assert done["announced sundial 1.3.0"] == 1
        assert 1 <= taken_back(done, "took back") <= 1 + lost["announce"]
        assert 1 <= taken_back(done, "unpublished") <= 1 + lost["publish"]
        assert done["took back 1 of /announcements/sundial/1.3.0"] == 1


@pytest.mark.slow
def test_wherever_it_dies_it_is_released_or_nothing_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance: random.Random
) -> None:
    with on_stage(tmp_path, monkeypatch) as stage:
        before = stage.seen()
        assert lived(stage, chance.randint(1, MOMENTS), "RunAdmitted") == (-9, "")
        code, state = lived(stage)
        after = stage.seen()
        assert (code, state) in {(0, "completed"), (0, "rolled_back")}
        new = {"tag v1.3.0", f"wheel {WHEEL}", f"index {WHEEL}"} if state == "completed" else set()
        assert after.keys() - before.keys() == new
        assert state == "completed" or after == before
        assert stage.effects()["announced sundial 1.3.0"] == (state == "completed")


def taken_back(done: Counter[str], words: str) -> int:
    return sum(times for line, times in done.items() if line.startswith(words))


@pytest.mark.slow
def test_the_rehearsal(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "rehearse.py"), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line for line in done.stdout.splitlines() if line.startswith(("->", "Killed"))]
    assert [line.partition(":")[0] for line in found] == [
        "-> everything is what it was",
        "Killed",
        "-> nothing was done, or taken back, twice",
        "-> everything is what it was",
        "-> everything is what it was",
        "Killed",
        "-> it was announced once",
        "-> new",
    ]
    assert found[-1] == f"-> new: tag v1.3.0, wheel {WHEEL}, index {WHEEL}"
    assert "rolling_back, abandoned" in done.stdout
