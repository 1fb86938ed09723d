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
    if now - renewed_at > LEASE_S:
        return False
    if owner.host != _host():
        return True
    started = _start_time(owner.pid)
    return started is not None and started == owner.started


def _host() -> str:
    """This machine since its last start, or as much of that as the system tells."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()}/{boot}"


def _start_time(pid: int) -> str | None:
    """When a process of this machine started; None if it has ended; empty where only its existence shows."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # The fields after the command's name, which may hold anything, start after the last parenthesis.
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    return ""
