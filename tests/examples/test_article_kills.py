"""The pipeline of `examples/article`, really killed: the same reports, and nothing is done twice."""

import asyncio
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from article_kit import TEXTS, pages, plant

from clew import Engine
from clew.kernel import events as e

ADDRESS = re.compile(r"(?:article\[(?P<file>.*)\]/)?(?:check.*/)?(?P<node>\w+)(?:#\d+)?(?:\[(?P<part>\d+)\])?")
PROGRAM = Path(__file__).with_name("killed_articles.py")


def started(folder: Path, name: str, texts: str) -> subprocess.Popen:
    arguments = [str(folder / f"{name}.db"), texts, str(folder / name), str(folder / f"{name}.entered")]
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Its exit code, and the last line that it told; it has complained of nothing."""
    told, complaints = process.communicate()
    assert not complaints, complaints
    return process.returncode, (told.splitlines() or [""])[-1]


def killed(process: subprocess.Popen, lines: int) -> None:
    """Kill it when it has told so many lines more than it had to tell again, unless it ends before."""
    for number, _ in enumerate(process.stdout, 1):
        if number >= lines:
            process.kill()
            break
    assert ended(process)[0] in {0, -9}


def events_of(database: Path) -> list[object]:
    async def read() -> list[object]:
        async with Engine(str(database), drives=False) as engine:
            run = await engine.open_run("r")
            return [recorded.event async for recorded in run.events(live=False)]

    return asyncio.run(read())


def entered(path: str) -> str:
    """What an attempt of this address writes down when its body is entered."""
    found = ADDRESS.fullmatch(path)
    assert found is not None, path
    return f"{found['node']} {found['file'] or ''} {found['part'] or ''}"


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(3))
def test_the_reports_are_the_same_however_often_it_dies(tmp_path: Path, turn: int) -> None:
    seed = random.SystemRandom().randrange(1_000_000) + turn
    print(f"seed {seed}")
    chance = random.Random(seed)
    texts = plant(tmp_path / "texts", TEXTS | {f"more/{n}.md": TEXTS["bread.md"] for n in range(3)})
    assert ended(started(tmp_path, "calm", texts)) == (0, "result completed")
    total = len(events_of(tmp_path / "calm.db"))

    known = 0
    for _ in range(8):
        killed(started(tmp_path, "killed", texts), known + chance.randint(1, total // 7))
        known = len(events_of(tmp_path / "killed.db"))
    assert ended(started(tmp_path, "killed", texts)) == (0, "result completed")
    assert pages(tmp_path / "killed") == pages(tmp_path / "calm")

    found = Counter((type(event), getattr(event, "path", "")) for event in events_of(tmp_path / "killed.db"))
    calm = Counter((type(event), getattr(event, "path", "")) for event in events_of(tmp_path / "calm.db"))
    assert {path for kind, path in found if kind is e.NodeCompleted} == {
        path for kind, path in calm if kind is e.NodeCompleted
    }
    assert found[e.OwnershipTaken, ""] >= 4, "it was killed, and taken up again"

    begun = Counter((tmp_path / "killed.entered").read_text("utf-8").splitlines())
    done, lost = Counter[str](), Counter[str]()
    for path in {path for kind, path in found if kind is e.AttemptStarted}:
        assert found[e.AttemptStarted, path] == 1 + found[e.AttemptInterrupted, path], path
        assert found[e.NodeCompleted, path] == 1, path
        done[entered(path)] += 1
        lost[entered(path)] += found[e.AttemptInterrupted, path]
    assert begun.keys() == done.keys()
    for what, times in begun.items():
        assert done[what] <= times <= done[what] + lost[what], (what, times)
    assert Counter((tmp_path / "calm.entered").read_text("utf-8").splitlines()) == done
