"""How much may run at once in this engine: attempts in all, units of named resources, starts per period.

A run asks for slots while it decides (the kernel's gate) and gets them or is put on a list; whoever gives
slots back makes the runs that wait for them decide again, in the order in which they were refused.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

from clew.errors import GraphError

#: Named resources and their units, as in `kernel.topology.Node.lane`.
Lane = tuple[tuple[str, int], ...]

_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_TOTAL = ""


class Waiter(Protocol):
    """A run that was refused and wants to be asked again."""

    def slots_freed(self) -> None:
        """Slots may be free now."""
        ...


class Rate:
    """A token bucket: at most `count` starts in any `period_s`, spread evenly after a burst."""

    def __init__(self, text: str, now: float) -> None:
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(second|minute|hour|day)s?\s*", text)
        if match is None or int(match[1]) < 1:
            raise GraphError([f"rate {text!r} is not like '60/minute' (second, minute, hour or day)"], "Engine")
        self.count = int(match[1])
        self.period_s = _PERIODS[match[2]]
        self._tokens = float(self.count)
        self._at = now

    def wait_s(self, now: float) -> float:
        """Seconds until a start is allowed; 0 if it is now."""
        grown = self._tokens + max(0.0, now - self._at) * self.count / self.period_s
        self._tokens, self._at = min(float(self.count), grown), now
        return 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) * self.period_s / self.count

    def take(self) -> None:
        """Count one start."""
        self._tokens -= 1


class Slots:
    """The limits of one engine.

    Args:
        max_concurrency: attempts that may run at once, whatever they use.
        limits: units of each named resource.
        rates: starts per period of each named resource, like ``60/minute``.
        now: the time in seconds; monotonic.
    """

    def __init__(
        self, max_concurrency: int, limits: Mapping[str, int], rates: Mapping[str, str], now: Callable[[], float]
    ) -> None:
        problems = [f"limit {k}={v} must be at least 1" for k, v in limits.items() if v < 1]
        if max_concurrency < 1:
            problems.append(f"max_concurrency={max_concurrency} must be at least 1")
        if problems:
            raise GraphError(problems, "Engine")
        self.limits = dict(limits)
        self._free = {_TOTAL: max_concurrency, **limits}
        self._rates = {name: Rate(text, now()) for name, text in rates.items()}
        self._now = now
        #: Who waits for which resource, and how many units; refused first, asked first.
        self._waiting: dict[str, OrderedDict[Waiter, int]] = {}
        #: Units that were offered to runs which have not decided since: nobody else is asked for them.
        self._offered: dict[str, dict[Waiter, int]] = {}
        self._alarms: dict[str, asyncio.TimerHandle] = {}
        self._shut = False

    def unknown(self, lane: Lane) -> list[str]:
        """The resources of a lane that this engine does not have, or has too few units of."""
        problems = list[str]()
        for name, units in lane:
            if name not in self.limits and name not in self._rates:
                problems.append(f"resource {name!r} has no limit; give Engine(limits={{{name!r}: …}})")
            elif units > self.limits.get(name, units):
                problems.append(
                    f"resource {name!r}: {units} units are asked for, and there are {self.limits[name]}"
                )
        return problems

    def take(self, waiter: Waiter, lane: Lane) -> bool:
        """Take a slot and the lane's units, or remember that `waiter` wants them."""
        if self._shut:
            return False
        for name, units in ((_TOTAL, 1), *lane):
            if self._free.get(name, units) < units:
                waiting = self._waiting.setdefault(name, OrderedDict())
                # Of what a run waits for, the least: who wants more must not keep it from going on with less.
                waiting[waiter] = min(units, waiting.get(waiter, units))
                return False
        for name, _ in lane:
            rate = self._rates.get(name)
            if rate is not None and (delay := rate.wait_s(self._now())):
                self._waiting.setdefault(name, OrderedDict())[waiter] = 1
                self._wake_after(name, delay)
                return False
        for name, units in ((_TOTAL, 1), *lane):
            if name in self._free:
                self._free[name] -= units
            if name in self._rates:
                self._rates[name].take()
        return True

    def give(self, lane: Lane) -> None:
        """Give back what `take` took, and let those decide again who wait for it."""
        for name, units in ((_TOTAL, 1), *lane):
            if name in self._free:
                self._free[name] += units
            if name in self._waiting:
                self.offer(name)

    def offer(self, name: str = _TOTAL) -> None:
        """Let as many waiting runs decide again as there are free units; who declines is followed by others."""
        waiting = self._waiting.get(name)
        if not waiting:
            return
        offered = self._offered.setdefault(name, {})
        free = self._free.get(name, 1) - sum(offered.values())
        while waiting and free > 0:
            waiter, units = next(iter(waiting.items()))
            if units > self._free.get(name, units):
                return
            del waiting[waiter]
            offered[waiter] = units
            free -= units
            waiter.slots_freed()
        if not waiting:
            self._waiting.pop(name, None)

    def offer_again(self, decided: Waiter) -> None:
        """After a run has decided: what it left free is offered to the next that wait."""
        for offered in self._offered.values():
            offered.pop(decided, None)
        if self._waiting:
            for name in list(self._waiting):
                if self._free.get(name, 0) > 0:
                    self.offer(name)

    def forget(self, waiter: Waiter) -> None:
        """A run is not driven here any more."""
        for waiting in self._waiting.values():
            waiting.pop(waiter, None)

    def shut(self) -> None:
        """Refuse everybody from now on."""
        self._shut = True

    def close(self) -> None:
        """Wake nobody any more."""
        for alarm in self._alarms.values():
            alarm.cancel()

    def _wake_after(self, name: str, delay: float) -> None:
        alarm = self._alarms.get(name)
        if alarm is None or alarm.cancelled() or alarm.when() <= asyncio.get_running_loop().time():
            self._alarms[name] = asyncio.get_running_loop().call_later(delay, self._offer_rate, name)

    def _offer_rate(self, name: str) -> None:
        """A start is allowed again: everyone who waits for the rate may try; the first take it."""
        waiting = self._waiting.pop(name, None) or {}
        for waiter in waiting:
            waiter.slots_freed()
