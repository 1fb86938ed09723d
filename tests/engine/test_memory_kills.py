"""Real processes, really killed while they change the memory and files, and while they put them back."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from test_kills import events_of

from clew.kernel import events as e

PROGRAM = Path(__file__).with_name("remembering_program.py")
#: Changes that the program makes and takes back; each may die before it and after it.
CHANGES = 4 + 4


def live(folder: Path, dies: int) -> tuple[int, str]:
    """One life of the program; how it ended, and what it said."""
    command = [sys.executable, str(PROGRAM), str(folder / "clew.db"), str(folder / "files"), str(dies)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode in {0, -9}, ended.stderr
    return ended.returncode, ended.stdout


def live_on(folder: Path, deaths: list[int]) -> int:
    """Live and die until it is over; how often it has died."""
    files = folder / "files"
    files.mkdir()
    (files / "a.txt").write_bytes(b"\xff old")
    (files / "a.txt").chmod(0o604)
    died = 0
    while True:
        code, said = live(folder, deaths.pop(0) if deaths else 0)
        if code == 0:
            break
        died += 1
    assert said.split() == ["rolled_back"]
    assert ((files / "a.txt").read_bytes(), (files / "a.txt").stat().st_mode & 0o777) == (b"\xff old", 0o604)
    assert sorted(path.name for path in files.iterdir()) == ["a.txt", "edited", "put"]
    return died


def check_events(folder: Path) -> None:
    """What was recorded before the file was edited was recorded once; each thing was undone once."""
    found = Counter((type(r.event), getattr(r.event, "path", "")) for r in events_of(folder / "clew.db", "r"))
    assert found[e.StepCompleted, "edit"] == 1
    undone = {path: n for (kind, path), n in found.items() if kind is e.NodeCompleted and "#undo" in path}
    assert len(undone) == 5
    assert set(undone.values()) == {1}


def test_whatever_dies_is_undone(tmp_path: Path) -> None:
    assert live_on(tmp_path, [2]) == 3
    check_events(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("dies", range(1, 2 * CHANGES + 1))
def test_wherever_it_dies_all_is_undone(tmp_path: Path, dies: int) -> None:
    assert 2 <= live_on(tmp_path, [dies]) <= 3
    check_events(tmp_path)
