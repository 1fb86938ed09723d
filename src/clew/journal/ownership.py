"""Who may write: owners, and how to know that one has died.

Epochs decide, clocks only suggest: an owner that is taken for dead and wakes up again is refused by the epoch
of its next append. So it is enough to be right most of the time, and to be quick where that is free: a
process of this machine that has ended is known at once, one that hangs after `LEASE_S` without renewal.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path

from clew.journal.records import Owner

#: An owner that has not renewed for so many seconds is taken for dead.
LEASE_S = 15.0


def this_process(name: str = "") -> Owner:
    """An owner for the process that runs this; each call makes another one."""
    pid = os.getpid()
    tag = name or f"{socket.gethostname()}-{pid}"
    return Owner(id=f"{tag}-{secrets.token_hex(4)}", host=_host(), pid=pid, started=_start_time(pid) or "")


def is_alive(owner: Owner, renewed_at: float, now: float) -> bool:
    """Whether an owner must be taken for alive."""
    # One that seems to have renewed in the future did so before the clock was set back; if it were alive, it
    # would have renewed since.
    if not -LEASE_S <= now - renewed_at <= LEASE_S:
        return False
    if owner.host != _host():
        return True
    started = _start_time(owner.pid)
    return started is not None and (started == owner.started or not (started and owner.started))


def _host() -> str:
    """Where a process id means the same as here: this machine, since its last start, in this container."""
    # Containers of one machine may share its name and its boot, but each has a table of processes of its own.
    return "/".join((socket.gethostname(), _told_by("/proc/sys/kernel/random/boot_id"), _namespace()))


def _told_by(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - what it holds is a name, not a path
    except OSError:
        return ""


def _start_time(pid: int) -> str | None:
    """When a process of this machine started; None if it has ended; empty where only its existence shows."""
    # The fields after the command's name, which may hold anything, start after the last parenthesis.
    fields = _stat_of(pid).rpartition(")")[2].split()
    if fields:
        return None if fields[0] in "ZX" else fields[19]
    if sys.platform == "win32":
        # Asking would send it Ctrl-C; its lease will tell.
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        # It is another user's, and hidden from this one.
        return ""
    return ""


def _stat_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
