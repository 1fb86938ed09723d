"""What a figure depends on besides the program: the machine, its Python and its disk."""

from __future__ import annotations

import os
import platform
import resource
import sqlite3
import sys
import tempfile
from pathlib import Path

#: File systems that keep files in memory: commits there tell nothing.
IN_MEMORY = {"tmpfs", "ramfs"}


def describe(folder: Path) -> dict[str, str]:
    """The machine in a few words."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": str(usable),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "file system of the databases": file_system(folder) or "unknown",
    }


def file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`, where the system tells (Linux); else empty."""
    best, kind = "", ""
    mounts = Path("/proc/self/mounts")
    for line in mounts.read_text("utf-8").splitlines() if mounts.exists() else ():
        _, place, found, *_ = line.split(" ")
        if f"{folder.resolve()}/".startswith(place.rstrip("/") + "/") and len(place) >= len(best):
            best, kind = place, found
    return kind


def disk_folder(asked: str | None) -> tempfile.TemporaryDirectory[str]:
    """A folder for databases on a real disk: the temporary folder, or beside this program if that is in memory."""
    place = Path(asked or tempfile.gettempdir())
    if asked is None and file_system(place) in IN_MEMORY:
        place = Path(__file__).parents[1] / "out"
        place.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="clew-bench-", dir=place, ignore_cleanup_errors=True)


def memory() -> int:
    """Bytes of memory that this process occupies; the most it ever did where the system tells no more."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text("ascii").split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
