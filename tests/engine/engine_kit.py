"""What the tests of the engine share: looking on, waiting for something, bodies that are under control."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from clew import Engine, Recorded, Run
from clew.engine.clock import Clock
from clew.kernel import events as e
from clew.testing import VirtualLoop

E = TypeVar("E", bound=e.Event)

#: A test that takes longer hangs.
PATIENCE_S = 30.0


class Troubles:
    """What an event loop complains about: tasks that were destroyed, errors that nobody asked for."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def hear(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.told.append(f"{context.get('message')}: {context.get('exception')!r} {context}")


class Later(Clock):
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead_s


class Gate:
    """A door in a body: counts who came, and lets them through when the test says so."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._came = asyncio.Condition()
        self.came = 0

    async def wait(self) -> None:
        """For bodies: say that they are here, then wait to be let through."""
        async with self._came:
            self.came += 1
            self._came.notify_all()
        await self._open.wait()

    async def arrivals(self, count: int = 1) -> None:
        """For tests: until so many bodies have come."""
        async with self._came:
            await self._came.wait_for(lambda: self.came >= count)

    def open(self) -> None:
        self._open.set()


class Meter:
    """How many bodies are inside at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0

    def __enter__(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        self.inside -= 1


class ThreadGate:
    """A door in a body that runs in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.here = asyncio.Event()
        self.door = threading.Event()

    def wait(self) -> None:
        self._loop.call_soon_threadsafe(self.here.set)
        self.door.wait(PATIENCE_S)


async def seen(run: Run, kind: type[E], path: str | None = None, after: int = 0) -> E:
    """Wait until a run has such an event."""
    async with aclosing(run.events(after)) as events:
        async for recorded in events:
            event = recorded.event
            if isinstance(event, kind) and path in {None, getattr(event, "path", None)}:
                return event
    raise AssertionError(f"{run} ended without {kind.__name__} of {path}")


async def history(run: Run) -> list[Recorded]:
    """All events of a run that are on disk."""
    return [recorded async for recorded in run.events(live=False)]


async def count(run: Run) -> Counter[tuple[str, str]]:
    """How often each kind of event happened, by (kind, path)."""
    return Counter((type(r.event).__name__, getattr(r.event, "path", "")) for r in await history(run))


async def kinds(run: Run, path: str | None = None) -> list[str]:
    """The kinds of a run's events in order; those of one visit, with a path."""
    events = [recorded.event for recorded in await history(run)]
    return [type(x).__name__ for x in events if path is None or getattr(x, "path", None) == path]


def is_alive(pid: int) -> bool:
    """Whether a process is there and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"


async def turns(until: Callable[[], bool], what: str = "it") -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not until():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


async def pass_time(seconds: float) -> None:
    """Let virtual time pass."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "real time is not waited for"
    passed = loop.create_future()
    timer = loop.call_later(seconds, passed.set_result, None)
    try:
        await passed
    finally:
        timer.cancel()
    for _ in range(20):  # whoever waited lazily comes after those who waited for this moment
        await asyncio.sleep(0)


async def until_idle(engine: Engine, count: int = 1) -> None:
    """Until so many runs are on disk as runs that only wait."""
    async with asyncio.timeout(PATIENCE_S):
        while sum(row.idle for row in await engine.runs()) < count:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
