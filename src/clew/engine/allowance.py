"""What all attempts of a run may use together, and what of it is left.

What has been used is a fact of the run, so that it holds across crashes; what is being used is told by the
processes of the attempts, some twenty times a second. An attempt is refused when nothing is left for it, gets what
is left as a limit of its own, and is ended when all together have used it up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from clew.bodies.errors import BodyError
from clew.graphs.limits import NO_LIMITS, Limits
from clew.kernel.machine import Machine
from clew.kernel.recording import add_usage
from clew.kernel.states import NodeState
from clew.workers.isolation.jobs import exhausted
from clew.workers.isolation.limits import Usage, Violation, shown
from clew.workers.isolation.orders import Sample

#: What is measured of attempts, see `events.UsageRecorded`.
INVOCATIONS = "tool_invocations"
REQUESTS = "network_requests"
CPU = "cpu_s"
PEAK_MEMORY = "peak_memory_bytes"

#: Limits that sums of usage are compared with.
_SUMMED = {"cpu_s": CPU, "connections": REQUESTS, "tool_invocations": INVOCATIONS}


def used_of(usage: Usage) -> dict[str, float]:
    """What an isolated process has used, by the names of usage; what was not measured is not there."""
    found = {name: getattr(usage, name) for name in usage.__struct_fields__}
    found[REQUESTS] = found.pop("connections")
    return {name: float(value) for name, value in found.items() if value is not None}


class Allowance:
    """What a run may use, and what it has used.

    Args:
        machine: the run.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._spec: Mapping[str, float] = {}
        self._limits = NO_LIMITS
        self._open: dict[tuple[str, int], Share] = {}

    @property
    def limits(self) -> Limits:
        """Those of the run's graph, as it is now."""
        given = self._machine.run.topology.spec.limits
        if given is not self._spec:
            self._spec = given
            self._limits = msgspec.convert(given, Limits, strict=False) if given else NO_LIMITS
        return self._limits

    @property
    def best_effort(self) -> bool:
        """What the machine cannot hold attempts to is left out."""
        return self._machine.run.topology.spec.best_effort

    def share(self, path: str, attempt: int) -> Share:
        """The part of an attempt that is begun."""
        share = Share(self, path)
        if self._machine.run.topology.spec.limits:
            self._open[path, attempt] = share
        return share

    def spent(self, name: str) -> float:
        """How much of something has been used, also by the attempts under way."""
        self._settle()
        before = self._machine.run.used.get(name, 0.0)
        return before + sum(each.used(name) for each in self._open.values())

    def now(self, name: str) -> float:
        """How much of ``memory_bytes`` or ``processes`` the attempts under way have at this moment."""
        return sum(getattr(each.last, name) for each in self._open.values())

    def calls_of(self, path: str) -> float:
        """How often a visit has called tools, in the attempts that are over."""
        visit = self._machine.run.visits.get(path)
        return (visit.used or {}).get(INVOCATIONS, 0.0) if visit is not None else 0.0

    def passed(self) -> Violation | None:
        """The limit that all attempts together have passed."""
        limits = self.limits
        for limit, name in _SUMMED.items():
            allowed, used = getattr(limits, limit), self.spent(name)
            if allowed is not None and used > allowed:
                return _violation(limit, allowed, used)
        for limit in ("memory_bytes", "processes"):
            allowed, used = getattr(limits, limit), self.now(limit)
            if allowed is not None and used > allowed:
                return _violation(limit, allowed, used)
        return None

    def _settle(self) -> None:
        """Forget the attempts whose usage is a fact by now."""
        visits = self._machine.run.visits
        for path, attempt in list(self._open):
            visit = visits.get(path)
            if visit is None or visit.attempt != attempt or visit.state is not NodeState.RUNNING:
                del self._open[path, attempt]


class Share:
    """What one attempt has of it.

    Attributes:
        last: what its process under way has told last.
    """

    def __init__(self, allowance: Allowance, path: str) -> None:
        self._allowance = allowance
        self._path = path
        self._before: dict[str, float] = {}  #: calls, requests, and what its processes that have ended used
        self.last = Sample()

    @property
    def limits(self) -> Limits:
        """Those of all attempts together."""
        return self._allowance.limits

    @property
    def best_effort(self) -> bool:
        """What the machine cannot hold attempts to is left out."""
        return self._allowance.best_effort

    def used(self, name: str) -> float:
        """How much of something it has used so far."""
        now = {CPU: self.last.cpu_s, REQUESTS: float(self.last.connections)}
        return self._before.get(name, 0.0) + now.get(name, 0.0)

    @property
    def watch(self) -> Callable[[Sample], Violation | None] | None:
        """Takes what its processes use, returns the limit that all together have passed; None without limits."""
        limits = self.limits
        some = (limits.cpu_s, limits.memory_bytes, limits.processes, limits.connections)
        return self._take if any(each is not None for each in some) else None

    def call(self, most: int | None) -> None:
        """A tool is about to be called, which a visit may do `most` times.

        Raises:
            BodyError: ``resource exhausted``: it may not, or not any more.
        """
        made = self._allowance.calls_of(self._path)
        if most is not None and made >= most:
            raise _refused(
                "tool_invocations", most, made, "the step has made", "raise tool_invocations of the step"
            )
        self._count(INVOCATIONS, "tool_invocations")

    def request(self) -> None:
        """A request is about to be made.

        Raises:
            BodyError: ``resource exhausted``: none may be made any more.
        """
        self._count(REQUESTS, "connections")

    def narrowed(self, own: Limits) -> Limits:
        """The limits of a process of this attempt: its own, and what is left of those of all.

        Raises:
            BodyError: ``resource exhausted``: nothing is left.
        """
        limits = self.limits
        if limits is NO_LIMITS:
            return own
        narrow = {name: getattr(own, name) for name in own.__struct_fields__}
        for name in ("memory_bytes", "processes", "disk_bytes"):
            narrow[name] = _less(narrow[name], getattr(limits, name))
        for name in ("cpu_s", "connections"):
            allowed, used = getattr(limits, name), self._allowance.spent(_SUMMED[name])
            if allowed is None:
                continue
            if used >= allowed and name == "cpu_s":
                raise _refused(name, allowed, used, "the steps of the run have together used", _RAISE.format(name))
            left = max(allowed - used, 0)
            narrow[name] = _less(narrow[name], int(left) if name == "connections" else left)
        return Limits(**narrow)

    def settle(self, used: Mapping[str, float]) -> None:
        """Its process has ended; it has used so much."""
        add_usage(self._before, used)
        self.last = Sample()

    def _count(self, name: str, limit: str) -> None:
        allowed, used = getattr(self.limits, limit), self._allowance.spent(name)
        if allowed is not None and used >= allowed:
            raise _refused(limit, allowed, used, "the steps of the run have together made", _RAISE.format(limit))
        add_usage(self._before, {name: 1.0})

    def _take(self, sample: Sample) -> Violation | None:
        self.last = sample
        return self._allowance.passed()


_RAISE = "raise {} in the limits of the graph"


def _less(first: float | None, second: float | None) -> float | None:
    return min((each for each in (first, second) if each is not None), default=None)


def _violation(limit: str, allowed: float, used: float) -> Violation:
    told = f"the steps of the run have together used {shown(limit, used)}, and {limit} of the graph allows "
    told += f"{shown(limit, allowed)}; {_RAISE.format(limit)} if they need more"
    return Violation(limit=limit, allowed=allowed, used=used, message=told)


def _refused(limit: str, allowed: float, used: float, what: str, advice: str) -> BodyError:
    said = f"{what} {shown(limit, used)}, and {limit} allows {shown(limit, allowed)}; {advice} if more is needed"
    return exhausted(Violation(limit=limit, allowed=allowed, used=used, message=said))
