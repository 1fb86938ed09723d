"""Observers: anything with ``async emit(event)``. They are guests as well.

Each observer has a queue and a task of its own. A slow one is served late; when its queue is full the oldest
items are dropped and counted. A failing one is logged once for each kind of error, and served on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Protocol

import msgspec

from clew.engine.feed import Ephemeral
from clew.journal.records import Recorded

_LOG = logging.getLogger("clew.engine")

#: Items that one observer may have waiting.
QUEUE = 10_000
#: How long the observers may take when their engine is closed, in seconds.
PATIENCE_S = 2.0


class Observed(msgspec.Struct, frozen=True):
    """What an observer is given.

    Attributes:
        run: the run's id.
        item: a recorded event with its sequence number, or an ephemeral item.
        settled: leaf nodes and items of the run that have settled by then.
        total: how many are known by then.
    """

    run: str
    item: Recorded | Ephemeral
    settled: int
    total: int


class Observer(Protocol):
    """Sees every event of every run of an engine, durable ones in order."""

    async def emit(self, event: Any) -> None:
        """Take one `Observed`."""
        ...


class Bus:
    """Serves the observers of an engine."""

    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self._served = [_Served(observer) for observer in observers]

    def __bool__(self) -> bool:
        return bool(self._served)

    def publish(self, item: Observed) -> None:
        """Queue an item for everyone; returns at once."""
        for served in self._served:
            served.put(item)

    async def close(self) -> None:
        """Let observers take what waits for them, for a moment, then stop."""
        tasks = [served.task for served in self._served]
        for served in self._served:
            served.finish()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=PATIENCE_S)
        for task in late:
            task.cancel()
        if late:  # an observer that cannot be cancelled is left alone
            await asyncio.wait(late, timeout=PATIENCE_S)


class _Served:
    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._items: deque[Observed] = deque()
        self._arrived = asyncio.Event()
        self._finishing = False
        self._dropped = 0
        self._failures: set[type[BaseException]] = set()
        self.task = asyncio.create_task(self._serve(), name=f"observer {observer!r}")

    def put(self, item: Observed) -> None:
        if len(self._items) >= QUEUE:
            self._items.popleft()
            if self._dropped == 0:
                _LOG.warning("observer %r is too slow; its oldest events are dropped", self._observer)
            self._dropped += 1
        self._items.append(item)
        self._arrived.set()

    def finish(self) -> None:
        self._finishing = True
        self._arrived.set()

    async def _serve(self) -> None:
        while True:
            while self._items:
                await self._give(self._items.popleft())
            if self._finishing:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def _give(self, item: Observed) -> None:
        try:
            await self._observer.emit(item)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a guest's fault is not the run's, and it cannot end the program
            task = asyncio.current_task()
            if isinstance(error, GeneratorExit) or (task is not None and task.cancelling()):
                raise
            if type(error) not in self._failures:
                self._failures.add(type(error))
                _LOG.warning("observer %r failed (told once per kind of error): %r", self._observer, error)
