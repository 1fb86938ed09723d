"""The one place that asks what time it is."""

from __future__ import annotations

import time


class Clock:
    """Wall-clock time in seconds since the epoch, in whole microseconds so that events stay short."""

    def now(self) -> float:
        """The time at this moment."""
        return round(time.time(), 6)
