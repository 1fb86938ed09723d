"""Where a release is rehearsed: a repository with a small package, a package index, a service that announces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import httpx
from release_tools import list_wheels

FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["flit_core>=3.12"]
build-backend = "flit_core.buildapi"

[project]
name = "sundial"
requires-python = ">=3.11"
dynamic = ["version", "description"]
""",
    "sundial/__init__.py": '''\
"""Tell the time by the length of a shadow."""

import math

__version__ = "1.2.0"


def hours_from_noon(height: float, shadow: float) -> float:
    """At an equinox, on the equator."""
    return math.degrees(math.atan(shadow / height)) / 15
''',
    "CHANGELOG.md": """\
# Changes

## Unreleased

- Shadows may be longer than what casts them.

## 1.2.0

- Hours are counted from noon.
""",
    ".gitignore": "dist/\n",
}
#: Of each branch and tag that was changed, git writes a line to `.git/log.txt`. Before it deletes a tag, it
#: waits at the gate, if there is one.
HOOK = """\
#!/bin/sh
while read -r _ new ref; do
  case "$1 $new $ref" in
    "committed 000000"*) echo "deleted $ref" >> .git/log.txt ;;
    committed*\\ refs/*) echo "moved $ref" >> .git/log.txt ;;
    "prepared 000000"*) test ! -p .git/gate || cat .git/gate ;;
  esac
done
"""


class Stage:
    """A repository, an index and a service in a folder of their own.

    Args:
        folder: is made anew; one that is there has to be of an earlier rehearsal.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.repository, self.index, self.service = (folder / name for name in ("sundial", "index", "service"))
        self.database = folder / "clew.db"
        self.url = ""

    def __enter__(self) -> Self:
        self._clear()
        self._make_repository()
        self._make_index()
        self.service.mkdir()
        (self.service / "announcements.json").write_text('[{"package": "sundial", "version": "1.2.0"}]', "utf-8")
        program = Path(__file__).with_name("announcements.py")
        self._answering = subprocess.Popen(
            [sys.executable, program, self.service], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answering.stdout is not None
        self.url = self._answering.stdout.readline().strip()
        return self

    def __exit__(self, *error: object) -> None:
        self._answering.communicate()  # closes its standard input, which ends it

    @property
    def environment(self) -> dict[str, str]:
        """Variables for programs that work in the repository, whatever git is told on this machine."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "CLEW_DB": "../clew.db"}

    def let_service_be(self, mood: str) -> None:
        """Change the mood of the service."""
        httpx.put(f"{self.url}/mood", json=mood).raise_for_status()

    @contextmanager
    def gate(self) -> Generator[Callable[[], object]]:
        """A gate at which the next git that deletes a tag is held; what this gives waits until it is there."""
        gate = self.repository / ".git/gate"
        os.mkfifo(gate)
        with ExitStack() as held:

            def reached() -> bool:
                held.enter_context(gate.open("w"))
                gate.unlink()
                return True

            yield reached

    def seen(self) -> dict[str, str | bytes]:
        """All that a release changes: files, what git says of them, the index, and what was announced."""
        tags = self._git("tag", "--format", "%(refname:short) %(objectname)").splitlines()
        tracked = self._git("ls-files").split()
        files = {f"file {name}": (self.repository / name).read_bytes() for name in tracked}
        built = {f"wheel {path.name}": path.read_bytes() for path in (self.repository / "dist").iterdir()}
        published = {f"index {path.name}": path.read_bytes() for path in (self.index / "sundial").iterdir()}
        return {
            "HEAD": self._git("rev-parse", "HEAD"),
            "git status": self._git("status", "--short"),
            **{f"tag {name}": commit for name, commit in map(str.split, tags)},
            **files,
            **built,
            **published,
            "announcements": (self.service / "announcements.json").read_bytes(),
        }

    def effects(self) -> Counter[str]:
        """What was done to the repository, the index and the service, as they tell it; and how often."""
        logs = (self.repository / ".git/log.txt", self.index / "log.txt", self.service / "log.txt")
        return Counter(line for log in logs if log.exists() for line in log.read_text("utf-8").splitlines())

    def _clear(self) -> None:
        mark = self._folder / "rehearsal"
        if self._folder.exists() and not mark.exists():
            sys.exit(f"{self._folder} is there, and not of an earlier rehearsal; name a folder that is not there")
        if mark.exists():
            shutil.rmtree(self._folder)
        self._folder.mkdir(parents=True)
        mark.touch()

    def _make_repository(self) -> None:
        for name, text in FILES.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        (self.repository / "dist").mkdir()
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("config", "user.name", "Ann")
        self._git("config", "user.email", "ann@example.org")
        self._git("add", ".")
        self._git("commit", "--quiet", "--message", "Shadows may be longer than what casts them")
        self._git("tag", "v1.2.0")
        hook = self.repository / ".git/hooks/reference-transaction"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK, "utf-8")
        hook.chmod(0o755)

    def _make_index(self) -> None:
        wheels = self.index.resolve() / "sundial"
        wheels.mkdir(parents=True)
        build = [sys.executable, "-m", "flit_core.wheel", "--outdir", wheels]
        subprocess.run(build, cwd=self.repository, check=True, capture_output=True)
        list_wheels(str(self.index))

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.repository,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout.strip()
