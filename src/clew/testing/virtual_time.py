"""An event loop in which waiting takes no time: when nothing else is to be done, the next timer is due.

Sleeps, retries, time limits and deadlines of a graph can be tested to the second without waiting for any of
them. Real work beside the loop (threads, processes, sockets) is still waited for: while something of that kind
is known to be under way, time stands still.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from heapq import heappop, heappush
from typing import Any, TypeVar

from clew.engine.clock import Clock

T = TypeVar("T")

#: How long real work is waited for before it is looked at again, in real seconds.
_GLANCE_S = 0.005


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer when it would have to wait.

    Attributes:
        busy: pieces of real work under way that no thread shows (a process, a socket); time stands still
            while it is not 0.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s
        self._lazy: list[tuple[float, int, asyncio.Future[None]]] = []
        self._lazy_count = 0
        self.busy = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due by then happens in the next turns of the loop."""
        self._now_s += seconds
        while self._lazy and self._lazy[0][0] <= self._now_s:
            future = heappop(self._lazy)[2]
            if not future.done():
                future.set_result(None)

    async def lazily(self, seconds: float) -> None:
        """Wait for at least so many seconds; time jumps over this, unless nothing else is waited for."""
        future = self.create_future()
        self._lazy_count += 1
        heappush(self._lazy, (self._now_s + seconds, self._lazy_count, future))
        await future

    @property
    def next_lazy_s(self) -> float | None:
        """Seconds until the first of those who wait lazily; None without one."""
        while self._lazy and self._lazy[0][2].done():
            heappop(self._lazy)
        return max(0.0, self._lazy[0][0] - self._now_s) if self._lazy else None

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """As in every loop; time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self.busy += 1
        future.add_done_callback(self._less_busy)
        return future

    def _less_busy(self, _: asyncio.Future[Any]) -> None:
        self.busy -= 1

    @property
    def has_real_work(self) -> bool:
        """Whether bodies in threads, or `busy` work, are under way."""
        return self.busy > 0 or any(_is_at_work(thread) for thread in threading.enumerate())


class VirtualClock(Clock):
    """Wall-clock time that goes with a `VirtualLoop`; give it to `Engine(clock=…)`.

    Args:
        loop: whose time it tells.
        epoch_s: the wall-clock time at the loop's zero, in seconds since the epoch.
    """

    def __init__(self, loop: VirtualLoop, epoch_s: float = 1_700_000_000.0) -> None:
        self._loop = loop
        self.epoch_s = epoch_s

    def wall(self) -> float:
        """What a clock shows at this moment; to set it, change `epoch_s`."""
        return round(self.epoch_s + self._loop.time(), 6)

    def steady(self) -> float:
        """The loop's seconds."""
        return self._loop.time()

    async def glance_after(self, seconds: float) -> None:
        """Wait for at least so many seconds, without making time pass for it."""
        await self._loop.lazily(seconds)


def run_virtual(main: Coroutine[Any, Any, T], *, start_s: float = 0.0) -> T:
    """`asyncio.run` on a `VirtualLoop`; get the loop with `asyncio.get_running_loop()`."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start_s)) as runner:
        return runner.run(main)


class _JumpingSelector(selectors.DefaultSelector):
    """Looks for input without waiting, and lets the loop's time pass instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        while not ready and (timeout is None or timeout > 0):
            if timeout is not None and not self._loop.has_real_work:
                self._loop.advance(timeout)
                return []
            if timeout is None and not self._loop.has_real_work and (lazy := self._loop.next_lazy_s) is not None:
                self._loop.advance(lazy)
                return []
            # Nothing is due, or real work goes on: only the outside can go on from here.
            ready = super().select(_GLANCE_S)
            if not ready and timeout is not None and not self._loop.has_real_work:
                self._loop.advance(timeout)
                return []
        return ready


def _is_at_work(thread: threading.Thread) -> bool:
    """Whether a thread may have something for the loop: that of a body, which lasts as long as its work."""
    return thread.daemon and thread.name != "clew-lease" and thread is not threading.main_thread()
