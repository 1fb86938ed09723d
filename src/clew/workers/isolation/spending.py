"""What all processes of a step have used, added up when they have ended.

The kernel adds what a process has used to what its parent has collected when the parent reaps it. The keeper
reaps last, so what it has collected is the sum; it misses only what parents never wait for (SIGCHLD ignored),
which the control group or the repeated looks have. The greatest of the sums counts, because each is a lower
bound.
"""

from __future__ import annotations

import os
import resource

from clew.workers.isolation.cgroups import Group
from clew.workers.isolation.descendants import Ledger, reaped_cpu_s
from clew.workers.isolation.limits import Usage

_FIELDS = ("read_bytes", "write_bytes", "syscr", "syscw")


def spent(group: Group, ledger: Ledger, connections: int | None) -> Usage:
    """What the children of this process have used, all of them reaped, see proc(5) for `io`.

    Args:
        group: their control group.
        ledger: what was seen of them.
        connections: how many they made, if that was counted.
    """
    files = _files()
    by_group = group.peak_memory_bytes()
    return Usage(
        cpu_s=max(group.cpu_s() or 0.0, ledger.cpu_s, reaped_cpu_s()),
        peak_memory_bytes=by_group if by_group is not None else _peak(ledger),
        read_bytes=files[0] if files else None,
        written_bytes=files[1] if files else None,
        read_ops=files[2] if files else None,
        write_ops=files[3] if files else None,
        connections=connections,
    )


def _peak(ledger: Ledger) -> int | None:
    """The most that was seen, or the most that one process had, if that is more than it had as a part of us."""
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return max(ledger.peak_memory_bytes, largest if largest > ours else 0) or None


def _files() -> list[int] | None:
    """What this process has collected, less what its own threads have done."""
    try:
        total = _read("/proc/self/io")
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208 - names are wanted
            own = _read(f"/proc/self/task/{thread}/io")
            total = [max(all_of_it - part, 0) for all_of_it, part in zip(total, own, strict=True)]
    except (OSError, KeyError, ValueError):  # the kernel does not count it
        return None
    return total


def _read(path: str) -> list[int]:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - imported by each keeper
        found = dict(line.split(":") for line in file)
    return [int(found[name]) for name in _FIELDS]
