"""Compares what a step uses with what it may use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from clew.workers.isolation.cgroups import Group
from clew.workers.isolation.choosing import Enforcement
from clew.workers.isolation.descendants import Ledger, below
from clew.workers.isolation.limits import Usage, Violation, violation

#: Where the kernel bounds, it is asked so often whether it had to; in seconds.
_ASK_S = 0.1
#: Where only looking bounds, it is looked so often at best.
_LOOK_S = 0.01
#: Looking takes at most this share of the time.
_SHARE = 0.05
_MOST_S = 0.5


class LimitsWatch:
    """Looks at a step's processes, its group and the clock.

    Args:
        how: how it is held to its limits.
        group: its control group.
        ledger: its processes.
        wake: makes whoever waits for `due_s` look again.

    Attributes:
        found: the first limit that was passed; others (`report`) may tell it, too.
    """

    def __init__(self, how: Enforcement, group: Group, ledger: Ledger, wake: Callable[[], None]) -> None:
        self._how = how
        self._limits = how.limits
        self._group = group
        self._ledger = ledger
        self._wake = wake
        self._begun = time.monotonic()
        self._next_look = 0.0
        self.found: Violation | None = None

    def begin(self) -> None:
        """The program starts now."""
        self._begun = time.monotonic()

    def report(self, limit: str, used: float) -> None:
        """A limit was passed; from any thread."""
        allowed = getattr(self._limits, limit)
        if self.found is None:
            self.found = violation(limit, allowed, used)
            self._wake()

    def may_start(self) -> bool:
        """Whether one more process may be made; from any thread."""
        allowed = self._limits.processes
        count = sum(1 for each in below(os.getpid()) if each.state not in "ZX")
        if allowed is not None and count >= allowed:
            self.report("processes", count + 1)
            return False
        return True

    def look(self) -> None:
        """Look at everything that is due."""
        now = time.monotonic()
        wall_s = self._limits.wall_s
        if wall_s is not None and now - self._begun >= wall_s:
            self.report("wall_s", now - self._begun)
        if now < self._next_look:
            return
        pause_s = _ASK_S
        if self._how.watched or "memory" not in self._how.places:  # in a group the kernel measures
            self._ledger.look(self._limits.memory_bytes)
            self._compare_ledger()
            pause_s = (time.monotonic() - now) / _SHARE
            pause_s = min(max(pause_s, _LOOK_S if self._how.watched else _ASK_S), _MOST_S)
        self._compare_group()
        self._next_look = time.monotonic() + min(pause_s, self._cpu_left_s())

    def due_s(self) -> float:
        """Seconds until the next look is due."""
        due = self._next_look
        if self._limits.wall_s is not None and self.found is None:
            due = min(due, self._begun + self._limits.wall_s)
        return max(due - time.monotonic(), 0.0)

    def sample(self) -> tuple[float, int, int]:
        """Processor time so far, memory and processes now."""
        group, ledger = self._group, self._ledger
        cpu_s, memory, processes = group.cpu_s(), group.memory_bytes(), group.processes()
        if cpu_s is None or memory is None or processes is None:
            ledger.look(self._limits.memory_bytes)
        return (
            max(cpu_s or 0.0, ledger.cpu_s),
            ledger.memory_bytes if memory is None else memory,
            ledger.count if processes is None else processes,
        )

    def last_look(self, usage: Usage) -> None:
        """Look a last time, when all has ended: the kernel may have bounded it since."""
        self._compare_group()
        allowed_s, used_s = self._limits.cpu_s, usage.cpu_s
        if allowed_s is not None and used_s is not None and used_s > allowed_s:
            self.report("cpu_s", used_s)

    def _compare_ledger(self) -> None:
        ledger = self._ledger
        for name, used in (
            ("memory_bytes", ledger.memory_bytes),
            ("cpu_s", ledger.cpu_s),
            ("processes", ledger.count),
        ):
            allowed = getattr(self._limits, name)
            if name in self._how.watched and allowed is not None and used > allowed:
                self.report(name, used)

    def _compare_group(self) -> None:
        """In a group the kernel bounds memory and processes, and tells that it had to."""
        limits, group, places = self._limits, self._group, self._how.places
        if limits.memory_bytes is not None and "memory" in places and group.memory_refusals():
            self.report("memory_bytes", max(group.peak_memory_bytes() or 0, limits.memory_bytes))
        if limits.processes is not None and "processes" in places and group.process_refusals():
            self.report("processes", limits.processes + 1)
        if limits.cpu_s is not None and "cpu" in places:
            used_s = group.cpu_s() or 0.0
            if used_s >= limits.cpu_s:
                self.report("cpu_s", used_s)

    def _cpu_left_s(self) -> float:
        """How soon the processor time could be used up, with all processors at work."""
        if self._limits.cpu_s is None or "cpu" not in self._how.places:
            return _MOST_S
        left_s = self._limits.cpu_s - (self._group.cpu_s() or 0.0)
        return max(left_s / (self._limits.cores or os.cpu_count() or 1), _LOOK_S)
