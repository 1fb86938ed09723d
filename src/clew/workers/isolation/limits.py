"""What a step may use, what it has used, and how it ended: plain data, for users and between processes."""

from __future__ import annotations

import msgspec

from clew.errors import ClewError


class UnenforceableLimitError(ClewError):
    """A limit cannot be held to on this machine; nothing was started.

    Args:
        limit: its name, as in `Limits` or `Roots`.
        why: what this machine lacks.
        advice: what to do.
    """

    def __init__(self, limit: str, why: str, advice: str) -> None:
        super().__init__(f"{limit} cannot be enforced on this machine: {why}; {advice}")
        self.limit = limit
        self.why = why
        self.advice = advice


class LaunchError(ClewError):
    """A step's program could not be started.

    Args:
        stage: what was being done, e.g. ``exec``.
        why: the message of the system.
        errno: its number; 0 if there is none.
    """

    def __init__(self, stage: str, why: str, errno: int = 0) -> None:
        super().__init__(f"the step could not be started: {stage}: {why}")
        self.stage = stage
        self.errno = errno


class KeeperDiedError(ClewError):
    """The process that kept a step ended before the step; what the step did is not known."""


class Roots(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a step may read and write; None is everywhere.

    Symbolic links and ``..`` are followed first: what counts is where a file lies.

    Attributes:
        read: folders and files that may be read, and programs in them run.
        write: folders and files that may be read and changed; in folders, files may be made and removed.
        system: what programs need to run at all may be read, too: installed programs and libraries, this
            Python, devices like ``/dev/null``, and the ``/proc`` of the step's own processes.
        temporary: the step gets a folder of its own for temporary files (``TMPDIR``), which is removed when it
            has ended, and counts for `Limits.disk_bytes`.
    """

    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None
    system: bool = True
    temporary: bool = True

    @property
    def given(self) -> bool:
        """Something is restricted."""
        return self.read is not None or self.write is not None


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step has used, all of its processes together; None where this machine cannot tell.

    Attributes:
        cpu_s: processor time, in seconds.
        peak_memory_bytes: the most memory at any one time; in a cgroup with files that it keeps cached.
        read_bytes: bytes that were fetched from storage; what was cached is not.
        written_bytes: bytes that were given to storage.
        read_ops: read calls, of any kind of file.
        write_ops: write calls, of any kind of file.
        connections: stream connections that were made.
    """

    cpu_s: float | None = None
    peak_memory_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    read_ops: int | None = None
    write_ops: int | None = None
    connections: int | None = None


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """The limit that ended a step.

    Attributes:
        limit: its name in `Limits`.
        allowed: what it allows.
        used: what was used when that was noticed.
        message: both in words, and how to raise it.
    """

    limit: str
    allowed: float
    used: float
    message: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a step ended; none of its processes is left.

    Attributes:
        exit_code: of its first process; None if a signal ended that.
        signal: the signal that ended its first process.
        usage: what all its processes have used.
        violation: the limit that ended it.
        refused: what it was refused on the network, the first few, each as a sentence.
        mechanisms: for each limit how it was held to.
        unenforced: limits that were not, and why; only with `best_effort`.
        left: processes that hang in the kernel and could not be ended; more than 0 on a broken device only.
    """

    exit_code: int | None = None
    signal: int | None = None
    usage: Usage = Usage()
    violation: Violation | None = None
    refused: tuple[str, ...] = ()
    mechanisms: dict[str, str] = {}
    unenforced: dict[str, str] = {}
    left: int = 0


def violation(limit: str, allowed: float, used: float) -> Violation:
    """A violation in words.

    Args:
        limit: a name of `Limits`.
        allowed: what it allows.
        used: what was used; for connections, how many were asked for.
    """
    what, unit = _SAID[limit]
    message = f"the step {what} {unit(used)}, and {limit} allows {unit(allowed)}; raise {limit} if it needs more"
    return Violation(limit=limit, allowed=allowed, used=used, message=message)


def shown(limit: str, value: float) -> str:
    """A figure of a limit in words, e.g. ``1.5 GB``."""
    unit = _UNITS.get(limit.rpartition("_")[2], _count)
    return f"{unit(value)} {_COUNTED.get(limit, '')}".strip()


def _bytes(value: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} bytes"


def _seconds(value: float) -> str:
    return f"{value:,.2f} s"


def _count(value: float) -> str:
    return f"{value:,.0f}"


_UNITS = {"bytes": _bytes, "s": _seconds}
_COUNTED = {"connections": "connections", "processes": "processes", "tool_invocations": "calls of tools"}

_SAID = {
    "memory_bytes": ("wanted more memory than it may have: it had", _bytes),
    "cpu_s": ("used processor time of", _seconds),
    "processes": ("wanted more processes than it may have: it had", _count),
    "disk_bytes": ("filled its working folder with", _bytes),
    "wall_s": ("took", _seconds),
    "connections": ("asked for as many connections as", _count),
}
