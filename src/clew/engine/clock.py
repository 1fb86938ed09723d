"""The one place that asks what time it is.

People and time servers set clocks. A process follows its machine's clock forwards; when that is set back, its
time goes on from where it was, so that what was to happen in ten seconds does, and no event is dated before the
one that it follows from. A process that starts afterwards has the new time.
"""

from __future__ import annotations

import asyncio
import time

#: A clock that is behind by so many seconds was set back; before that, its steps and its drift are waited out.
SET_BACK_S = 1.0


class Clock:
    """Wall-clock time in seconds since the epoch, in whole microseconds so that events stay short."""

    #: The latest time told, before it was rounded, and what `steady` was then.
    _told = (0.0, 0.0)

    def now(self) -> float:
        """The time at this moment; it never goes backwards."""
        told, then = self._told
        wall, steady = self.wall(), self.steady()
        expected = told + (steady - then) if told else wall
        now = max(wall, told) if expected - wall < SET_BACK_S else expected
        self._told = now, steady
        return round(now, 6)

    async def glance_after(self, seconds: float) -> None:
        """Wait before looking again whether another process has done something."""
        await asyncio.sleep(seconds)

    def wall(self) -> float:
        """What the machine's clock shows, also when it was set back: to compare with other processes."""
        return round(time.time(), 6)

    def steady(self) -> float:
        """Seconds since some moment, which nobody sets."""
        return time.monotonic()
