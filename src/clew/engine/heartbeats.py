"""Signs of life: a body that gives none for too long is taken for one that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

#: A timer that rings later than this share of the limit tells of a loop that stood still, not of a silent body.
_LATE = 0.25


class Heartbeat:
    """Watches one body of a node that allows it only so much silence.

    Args:
        limit_s: the longest silence, in seconds.
        on_silence: called on the loop when it was longer; once, until the watch is taken up again.
    """

    def __init__(self, limit_s: float, on_silence: Callable[[], None]) -> None:
        self.limit_s = limit_s
        self._on_silence = on_silence
        self._loop = asyncio.get_running_loop()
        self._last = 0.0
        self._begun = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The body is entered: watch it."""
        self._begun = True
        self.resume()

    def beat(self) -> None:
        """The body has given a sign of life; from any thread."""
        self._last = self._loop.time()

    def rest(self) -> None:
        """Watch no more for the time being: the body only waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Watch no more: the body has ended, or is told to."""
        self._begun = False
        self.rest()

    def resume(self) -> None:
        """Watch again, from now on; a body that has not been entered is not watched."""
        self.rest()
        if self._begun:
            self.beat()
            self._timer = self._loop.call_later(self.limit_s, self._look)

    def _look(self) -> None:
        assert self._timer is not None
        now, planned, self._timer = self._loop.time(), self._timer.when(), None
        if now - planned > _LATE * self.limit_s:
            self._last = now  # nobody could be heard meanwhile
        left = self._last + self.limit_s - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._on_silence()
