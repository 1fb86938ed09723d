"""Whose a control group or a temporary folder is, by its name; and what is removed because nobody's it is.

A name holds the process that owns the thing: its number, when it started (numbers are given again), and the
process namespace in which that number counts, because other containers may share the tree of groups.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from clew.workers.isolation.cgroups import Group, Place

_NAME = re.compile(r"clew-step-(\d+)-(\d+)-(\d+)-([0-9a-f]+)")
#: How often what still runs in a group without an owner is killed before that is given up.
_ROUNDS = 50


def new_name() -> str:
    """A name for what this process owns; no other thing has it."""
    return f"clew-step-{_namespace()}-{os.getpid()}-{started(os.getpid())}-{os.urandom(4).hex()}"


def started(pid: int) -> int:
    """When a process started, in ticks since the machine did; 0 if it has ended, whether or not it was reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def _namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - a number is wanted, not a path
    except OSError:
        return 0


def is_abandoned(name: str) -> bool:
    """Whether a thing of this name is ours, and its owner has ended."""
    found = _NAME.fullmatch(name)
    if found is None or int(found[1]) != _namespace():
        return False
    return started(int(found[2])) != int(found[3])


def temporary_folder() -> str:
    """Where temporary folders of steps are made."""
    return tempfile.gettempdir()


def sweep(places: Mapping[str, Place], temporary: str | None = None) -> list[str]:
    """Remove what owners that have ended have left behind, and end what still runs in it.

    Args:
        places: where groups are made.
        temporary: where temporary folders are made; None is where `temporary_folder` says.

    Returns:
        The names of what was removed.
    """
    folders = {place.folder for place in places.values()}
    names = sorted({name for folder in folders for name in _names(folder) if is_abandoned(name)})
    removed: list[str] = []
    for name in names:
        group = Group({use: place for use, place in places.items() if Path(place.folder, name).is_dir()}, name)
        _end(group)
        with contextlib.suppress(OSError):  # what hangs in the kernel is left to the next sweep
            group.remove()
            removed.append(name)
    top = temporary or temporary_folder()
    for name in _names(top):
        if is_abandoned(name):
            clear_folder(str(Path(top, name)))
            removed.append(name)
    return removed


def clear_folder(path: str) -> None:
    """Remove a folder with all that is in it, as far as this user may; symbolic links are not followed."""
    for _ in range(2):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return
        for folder, _, _ in os.walk(path):  # what was made unreadable is made readable, top-down
            with contextlib.suppress(OSError):
                os.chmod(folder, 0o700)  # noqa: PTH101 - many files


def _names(folder: str) -> Iterable[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are wanted
    except OSError:
        return ()


def _end(group: Group) -> None:
    for _ in range(_ROUNDS):
        group.kill()
        members = group.members()
        if not members:
            return
        for pid in members:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
