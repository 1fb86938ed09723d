"""Wakes a run when something of it is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from clew.engine.clock import Clock

#: No alarm is set further ahead, in seconds.
LONGEST_S = 86_400.0


class Alarm:
    """One alarm, set anew as often as is needed.

    Args:
        clock: tells how long it is until then.
        ring: called when it is due; also when `LONGEST_S` have passed, and nothing may be due yet.
    """

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._at: float | None = None

    def set(self, at: float | None) -> None:
        """Ring at this time (seconds since the epoch), and not when it was to ring before; None is never."""
        if at == self._at and (self._handle is None or self._handle.when() > self._loop.time()):
            return
        self.cancel()
        self._at = at
        if at is not None:
            delay = max(0.0, at - self._clock.now())
            self._handle = self._loop.call_later(min(delay, LONGEST_S), self._ring)

    def cancel(self) -> None:
        """Ring no more."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._at = None
