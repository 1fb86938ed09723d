"""What the tests of isolated steps have in common: real steps, on what this machine offers or on less of it."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clew.graphs.limits import Limits
from clew.workers.isolation.choosing import describe_mechanisms
from clew.workers.isolation.confinement import Confinement
from clew.workers.isolation.limits import Outcome, Roots
from clew.workers.isolation.mechanisms import Mechanisms
from clew.workers.isolation.owners import is_abandoned
from clew.workers.isolation.running import run_isolated
from clew.workers.isolation.trying import find_mechanisms
from clew.workers.isolation.warden import Warden

PYTHON = sys.executable
MB = 1 << 20

#: With everything, and as on a machine without control groups.
WAYS = ("offered", "watched")


@cache
def offered() -> Mechanisms:
    return find_mechanisms()


def less(way: str) -> Mechanisms:
    """What the machine offers, or less."""
    found = offered()
    if way == "watched":
        return msgspec.structs.replace(found, places={})
    return found


def needs(*limits: str, way: str = "offered") -> None:
    """Skip a test if a limit cannot be enforced here, with the reason."""
    for each in describe_mechanisms(less(way)):
        if each.limit in limits and not each.mechanism:
            pytest.skip(f"{each.limit} cannot be enforced here: {each.why}")


class Steps:
    """Runs steps, and keeps what they print."""

    def __init__(self, warden: Warden, folder: Path) -> None:
        self.warden = warden
        self.folder = folder
        self.printed: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self.heard = asyncio.Event()

    def sink(self, stream: str, data: bytes) -> None:
        self.printed[stream] += data
        self.heard.set()

    @property
    def text(self) -> str:
        return self.printed["stdout"].decode()

    @property
    def errors(self) -> str:
        return self.printed["stderr"].decode()

    async def run(
        self,
        *argv: str,
        roots: Roots | None = None,
        best_effort: bool = False,
        grace_s: float = 0.2,
        sink: Any = None,
        env: dict[str, str] | None = None,
        stdin: bytes | None = None,
        **limits: Any,
    ) -> Outcome:
        confinement = Confinement(
            limits=Limits(**limits),
            roots=roots or Roots(),
            folder=str(self.folder),
            best_effort=best_effort,
            grace_s=grace_s,
        )
        return await run_isolated(
            argv, confinement, warden=self.warden, sink=sink or self.sink, env=env, stdin=stdin
        )

    async def python(self, code: str, *arguments: object, **options: Any) -> Outcome:
        """Run a program in Python that gets `arguments` as `sys.argv[1:]`."""
        return await self.run(PYTHON, "-c", code, *map(str, arguments), **options)

    async def hears(self, text: str) -> None:
        """Wait until it was printed."""
        while text not in self.text:
            self.heard.clear()
            await self.heard.wait()


def play(
    scene: Callable[[Steps], Coroutine[Any, Any, None]], folder: Path, mechanisms: Mechanisms | None = None
) -> None:
    """Play a scene with a warden; afterwards no group of ours is left."""

    async def main() -> None:
        warden = Warden(mechanisms or offered())
        try:
            await scene(Steps(warden, folder))
        finally:
            await warden.close()

    asyncio.run(main())
    assert groups() == []


def groups() -> list[str]:
    """The control groups of steps that have ended; other tests may have some of their own."""
    folders = {place.folder for place in offered().places.values()}
    return [name for folder in folders for name in os.listdir(folder) if is_abandoned(name)]  # noqa: PTH208


class Held:
    """A pipe that processes hold open, so that its end shows that they are gone."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "held")
        os.mkfifo(self.path, 0o666)
        os.chmod(self.path, 0o666)  # noqa: PTH101
        self._end = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def is_free(self) -> bool:
        """Nobody holds it (any more)."""
        try:
            while os.read(self._end, 1 << 16):
                pass
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._end)
