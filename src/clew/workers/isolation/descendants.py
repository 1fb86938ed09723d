"""The processes that descend from one, by /proc: what they use, and how they are ended.

The one is a *subreaper* (prctl(2)): a process below it whose parent ends becomes its child, whatever session
it has moved to. So all that a step has started stays below its keeper, until it has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Seen:
    """One process as it was seen: times in seconds, memory in bytes."""

    pid: int
    parent: int
    started: int
    state: str
    own_cpu_s: float
    reaped_cpu_s: float
    resident_bytes: int


def seen(pid: int) -> Seen | None:
    """Look at a process, see proc(5); None if it has ended."""
    text = _read(f"/proc/{pid}/stat")
    if not text:
        return None
    fields = text[text.rfind(b")") + 2 :].split()
    return Seen(
        pid=pid,
        parent=int(fields[1]),
        started=int(fields[19]),
        state=fields[0].decode(),
        own_cpu_s=(int(fields[11]) + int(fields[12])) * _TICK_S,
        reaped_cpu_s=(int(fields[13]) + int(fields[14])) * _TICK_S,
        resident_bytes=int(fields[21]) * _PAGE,
    )


def children(pid: int) -> list[int]:
    """The children of a process, of all its threads."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names are wanted
            found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def below(root: int) -> Iterator[Seen]:
    """All processes below `root`, parents first; those that have ended and are not reaped included."""
    waiting = children(root)
    known: set[int] = {root}
    while waiting:
        pid = waiting.pop()
        if pid in known:
            continue
        known.add(pid)
        found = seen(pid)
        if found is not None:
            yield found
            waiting += children(pid)


def shared_fairly(pid: int) -> int:
    """The memory of a process in bytes, in which what n processes share counts one n-th; 0 if it has ended."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - called very often
            return file.read()
    except OSError:
        return b""


class Ledger:
    """Processor time and memory of all processes below `root`, from repeated looks.

    Each look misses something: what lived between two of them, or what a process did not wait for. The time
    that parents have collected of their children has the former, what each process was last seen with has the
    latter; both are lower bounds, so the greater counts.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._own: dict[tuple[int, int], float] = {}  #: of the living, last seen
        self._gone_s = 0.0  #: of those that have vanished
        self.cpu_s = 0.0
        self.memory_bytes = 0
        self.peak_memory_bytes = 0
        self.count = 0

    def look(self, memory_limit: int | None = None) -> None:
        """Look again. Memory that would be over the limit is looked at twice, with what is shared counted once."""
        all_seen = [*below(self._root)]
        own = {(each.pid, each.started): each.own_cpu_s for each in all_seen}
        self._gone_s += sum(time_s for key, time_s in self._own.items() if key not in own)
        self._own = own
        collected = sum(each.own_cpu_s + each.reaped_cpu_s for each in all_seen) + reaped_cpu_s()
        self.cpu_s = max(self.cpu_s, collected, sum(own.values()) + self._gone_s)
        living = [each for each in all_seen if each.state not in "ZX"]
        self.count = len(living)
        memory = sum(each.resident_bytes for each in living)
        if memory_limit is not None and memory > memory_limit:
            memory = sum(shared_fairly(each.pid) for each in living)
        self.memory_bytes = memory
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)


def reaped_cpu_s() -> float:
    """Processor time of all that this process has reaped, and of what those have."""
    times = os.times()
    return times.children_user + times.children_system


def send_signal(target: Seen, number: signal.Signals) -> None:
    """Send a signal to a process that was seen; to no other that has got its number since."""
    try:
        held = os.pidfd_open(target.pid)
    except OSError:  # it has ended
        return
    try:
        again = seen(target.pid)
        if again is not None and again.started == target.started:
            signal.pidfd_send_signal(held, number)
    except OSError:  # it has ended, or has become another user's
        return
    finally:
        os.close(held)


def signal_all(root: int, number: signal.Signals) -> None:
    """Send a signal to all processes below `root`, once."""
    for each in [*below(root)]:
        if each.state not in "ZX":
            send_signal(each, number)


def kill_all(root: int) -> None:
    """Stop all processes below `root`, until none has made another, and kill them.

    A stopped process starts nothing, so that even those that start others all the time are caught up with.
    """
    stopped: set[tuple[int, int]] = set()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        fresh = [
            each for each in below(root) if each.state not in "ZX" and (each.pid, each.started) not in stopped
        ]
        if not fresh:
            break
        for each in fresh:
            send_signal(each, signal.SIGSTOP)
            stopped.add((each.pid, each.started))
    signal_all(root, signal.SIGKILL)


def reap_all() -> tuple[dict[int, int], bool]:
    """Reap what has ended of this process's children.

    Returns:
        Their statuses as waitpid(2) gives them, and whether there are any children left. Where processes below
        this one become its children when their parents end, none left means that all of them have ended.
    """
    found: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found, False
        if not pid:
            return found, True
        found[pid] = status
