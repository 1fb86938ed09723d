"""Control groups: what the kernel itself counts and bounds for all processes of a step, see cgroups(7).

On a machine there is one tree for all resources (version 2), one for each (version 1), or both. A step gets a
group below the one that this process is in, so that what is set for that holds for the step, too. In version 2
a group that has processes cannot hand out memory or processes to groups below it; then the step's group is made
beside it, below the same parent.

The names of groups tell whose they are (`owners`): one whose owner has ended is removed at the next start.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

#: What groups are used for, and the name of the controller that does it, by version. `kill` needs none.
USES: dict[str, dict[int, str]] = {
    "memory": {1: "memory", 2: "memory"},
    "processes": {1: "pids", 2: "pids"},
    "cores": {1: "cpu", 2: "cpu"},
    "cpu": {1: "cpuacct", 2: ""},
    "kill": {2: ""},
}
#: The file by which it is known that a group can do it.
_PROOFS = {
    ("memory", 1): "memory.limit_in_bytes",
    ("memory", 2): "memory.max",
    ("processes", 1): "pids.max",
    ("processes", 2): "pids.max",
    ("cores", 1): "cpu.cfs_quota_us",
    ("cores", 2): "cpu.max",
    ("cpu", 1): "cpuacct.usage",
    ("cpu", 2): "cpu.stat",
    ("kill", 2): "cgroup.kill",
}
#: Processor time is given out in slices of this length, in microseconds.
_PERIOD_US = 100_000
#: How long an emptied group may take to be removable, in seconds.
_REMOVAL_S = 2.0

Use = Literal["memory", "processes", "cores", "cpu", "kill"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where groups for a use are made: below `folder`, in a tree of `version` 1 or 2."""

    version: int
    folder: str


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A mounted tree: its version, its controllers (version 1), its folder, and this process's group in it."""

    version: int
    controllers: tuple[str, ...]
    folder: str
    own: str


def trees(proc: str = "/proc/self") -> list[Tree]:
    """The trees that are mounted here, with the group that this process is in."""
    memberships = _memberships(_lines(f"{proc}/cgroup"))
    found: list[Tree] = []
    for line in _lines(f"{proc}/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if kind[0] not in {"cgroup", "cgroup2"} or len(fields) < 5:
            continue
        root, folder = fields[3], fields[4].replace("\\040", " ")
        version = 2 if kind[0] == "cgroup2" else 1
        names = tuple(kind[2].split(",")) if version == 1 else ()
        own = (
            memberships.get("")
            if version == 2
            else next((memberships[n] for n in names if n in memberships), None)
        )
        if own is None or any(each.folder == folder for each in found):
            continue
        # In a container the mount may show a part of the tree only, and the path be told from its real root.
        inside = os.path.relpath(own, root) if own.startswith(root) else "."
        path = os.path.normpath(os.path.join(folder, inside))  # noqa: PTH118 - plain text of mounts
        found.append(Tree(version=version, controllers=names, folder=folder, own=path))
    return found


def _memberships(lines: Iterable[str]) -> dict[str, str]:
    """The path of this process's group by controller; that of version 2 by the empty name."""
    found: dict[str, str] = {}
    for line in lines:
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            found[name] = path
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def find_places(
    found: Iterable[Tree], name: str, try_joining: Callable[[str], str]
) -> tuple[dict[str, Place], dict[str, str]]:
    """Find out by trying where groups can be made; nothing of it is left.

    Args:
        found: the trees.
        name: for the groups that are tried.
        try_joining: lets a process join a group by its file, and returns why it could not, or nothing.

    Returns:
        A place for each use that there is one for, and why there is none for the others.
    """
    places: dict[str, Place] = {}
    why: dict[str, str] = {}
    for tree in sorted(found, key=lambda each: each.version):
        folders = [tree.own]
        if tree.version == 2 and tree.own != tree.folder:
            folders.append(os.path.dirname(tree.own))  # noqa: PTH120 - plain text of mounts
        # A process is in one group of a tree: that folder counts which offers most, the first if in doubt.
        best: tuple[str, frozenset[str]] = ("", frozenset())
        for folder in folders:
            uses, problem = _try(tree, Path(folder), name, try_joining)
            for use in _wanted(tree) if problem else ():
                why.setdefault(use, problem)
            if len(uses) > len(best[1]):
                best = (folder, uses)
        places |= {use: Place(version=tree.version, folder=best[0]) for use in best[1]}
    missing = "no tree of control groups that could do it is mounted"
    return places, {use: why.get(use, missing) for use in USES if use not in places}


def _try(tree: Tree, folder: Path, name: str, try_joining: Callable[[str], str]) -> tuple[frozenset[str], str]:
    """What a group below `folder` could be used for; and what is in the way."""
    trial = folder / name
    try:
        trial.mkdir()
    except OSError as error:
        return frozenset(), f"{folder}: {error.strerror}"
    try:
        if tree.version == 2:
            _hand_out(folder)
        problem = try_joining(str(trial / "cgroup.procs"))
        if problem:
            return frozenset(), problem
        offered = {use for use in _wanted(tree) if (trial / _PROOFS[use, tree.version]).exists()}
        missing = "its group has processes of its own, so that it cannot hand its resources out"
        return frozenset(offered), "" if tree.version == 1 else f"{folder}: {missing}"
    finally:
        _remove(trial)


def _wanted(tree: Tree) -> Iterator[str]:
    """What a tree might be used for."""
    for use, controllers in USES.items():
        if tree.version in controllers and (tree.version == 2 or controllers[1] in tree.controllers):
            yield use


def _hand_out(folder: Path) -> None:
    """Let groups below `folder` bound memory, processes and processors, as far as that is allowed."""
    for name in ("memory", "pids", "cpu"):
        with contextlib.suppress(OSError):
            if name not in (folder / "cgroup.subtree_control").read_text().split():
                (folder / "cgroup.subtree_control").write_text(f"+{name}")


class Group:
    """The group of a step, in all trees that are used.

    Args:
        places: where, by use.
        name: of the group, see `owners`.
    """

    def __init__(self, places: Mapping[str, Place], name: str) -> None:
        self._places = dict(places)
        self._paths = {use: Path(place.folder) / name for use, place in self._places.items()}

    @property
    def _folders(self) -> set[Path]:
        return {*self._paths.values()}

    def make(self) -> None:
        """Make it; raises OSError."""
        for path in self._folders:
            path.mkdir()

    @property
    def doors(self) -> list[str]:
        """The files into which a process writes 0 to join."""
        return sorted(str(path / "cgroup.procs") for path in self._folders)

    # Bounds -----------------------------------------------------------------------------------------

    def bound_memory(self, size: int) -> None:
        """Memory and swap together; who wants more is killed by the kernel. Raises OSError."""
        path = self._paths["memory"]
        if self._places["memory"].version == 1:
            (path / "memory.limit_in_bytes").write_text(str(size))
            self._write_if_there(path / "memory.memsw.limit_in_bytes", str(size))
        else:
            (path / "memory.max").write_text(str(size))
            self._write_if_there(path / "memory.swap.max", "0")
            self._write_if_there(path / "memory.oom.group", "1")

    def bound_processes(self, count: int) -> None:
        """Processes and threads; a fork too many fails with EAGAIN. Raises OSError."""
        (self._paths["processes"] / "pids.max").write_text(str(count))

    def bound_cores(self, cores: float) -> None:
        """Processors at once. Raises OSError."""
        quota = max(int(cores * _PERIOD_US), 1_000)  # the least that the kernel takes
        path = self._paths["cores"]
        if self._places["cores"].version == 1:
            (path / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (path / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (path / "cpu.max").write_text(f"{quota} {_PERIOD_US}")

    @staticmethod
    def _write_if_there(path: Path, text: str) -> None:
        if path.exists():
            path.write_text(text)

    # Usage ------------------------------------------------------------------------------------------

    def cpu_s(self) -> float | None:
        """Processor time so far, in seconds."""
        if (path := self._paths.get("cpu")) is None:
            return None
        if self._places["cpu"].version == 1:
            used = _number(path / "cpuacct.usage")
            return None if used is None else used / 1e9
        used = _field(path / "cpu.stat", "usage_usec")
        return None if used is None else used / 1e6

    def memory_bytes(self) -> int | None:
        """Memory now."""
        return self._memory("memory.usage_in_bytes", "memory.current")

    def peak_memory_bytes(self) -> int | None:
        """The most memory so far; None before Linux 5.19 in version 2."""
        return self._memory("memory.max_usage_in_bytes", "memory.peak")

    def _memory(self, *names: str) -> int | None:
        if (path := self._paths.get("memory")) is None:
            return None
        return _number(path / names[self._places["memory"].version - 1])

    def processes(self) -> int | None:
        """Processes and threads now."""
        path = self._paths.get("processes")
        return None if path is None else _number(path / "pids.current")

    def memory_refusals(self) -> int:
        """How often the kernel has killed a process because the group's memory was used up."""
        if (path := self._paths.get("memory")) is None:
            return 0
        file = "memory.oom_control" if self._places["memory"].version == 1 else "memory.events"
        return _field(path / file, "oom_kill") or 0

    def process_refusals(self) -> int:
        """How often a process was refused."""
        path = self._paths.get("processes")
        return 0 if path is None else _field(path / "pids.events", "max") or 0

    # End --------------------------------------------------------------------------------------------

    def members(self) -> set[int]:
        """The processes in it."""
        found: set[int] = set()
        for path in self._folders:
            with contextlib.suppress(OSError, ValueError):
                found.update(map(int, (path / "cgroup.procs").read_text().split()))
        return found

    def kill(self) -> bool:
        """Kill all processes in it at once; False if the kernel does not offer that."""
        if "processes" in self._paths:
            with contextlib.suppress(OSError):  # while they are killed one by one, no new ones may come
                (self._paths["processes"] / "pids.max").write_text("0")
        if "kill" not in self._paths:
            return False
        try:
            (self._paths["kill"] / "cgroup.kill").write_text("1")
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Remove it when its processes have ended; raises OSError if they do not."""
        for path in self._folders:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a group and those that its processes have made below it."""
    deadline = time.monotonic() + _REMOVAL_S
    while path.is_dir():
        try:
            path.rmdir()
        except OSError:  # what was in it has not quite vanished, or there are groups below it
            if time.monotonic() > deadline:
                raise
            for below in path.glob("*/"):
                _remove(below)
            time.sleep(0.002)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str) -> int | None:
    try:
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) == 2 and words[0] == name:
                return int(words[1])
    except (OSError, ValueError):
        return None
    return None
