"""Control groups: what is written into which file, in trees of either version; and real ones where they are."""

import os
from pathlib import Path

import pytest
from isolation_bench import offered

from clew.workers.isolation.cgroups import Group, Place, Tree, find_places, trees

V1 = {
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes"),
    "pids": ("pids.max", "pids.current"),
    "cpu,cpuacct": ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuacct.usage"),
}
V2 = (
    "memory.max",
    "memory.swap.max",
    "memory.oom.group",
    "memory.peak",
    "pids.max",
    "cpu.max",
    "cpu.stat",
    "cgroup.kill",
)

pytestmark = pytest.mark.slow


def mounted(folder: Path, cgroup: str, mountinfo: str) -> list[Tree]:
    (folder / "cgroup").write_text(cgroup)
    (folder / "mountinfo").write_text(mountinfo)
    return trees(str(folder))


def test_trees_of_version_1(tmp_path: Path) -> None:
    found = mounted(
        tmp_path,
        "4:memory:/a/b\n3:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n",
        "30 20 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "33 30 0:29 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n",
    )
    assert [(tree.version, tree.own) for tree in found] == [
        (1, "/sys/fs/cgroup/memory/a/b"),
        (1, "/sys/fs/cgroup/cpu,cpuacct"),
        (2, "/sys/fs/cgroup/unified"),
    ]
    assert found[1].controllers[-2:] == ("cpu", "cpuacct")


def test_trees_of_version_2_and_in_containers(tmp_path: Path) -> None:
    line = "31 30 0:27 {root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    [tree] = mounted(tmp_path, "0::/user.slice/a.scope\n", line.format(root="/"))
    assert (tree.version, tree.own) == (2, "/sys/fs/cgroup/user.slice/a.scope")
    [tree] = mounted(tmp_path, "0::/docker/abc\n", line.format(root="/docker/abc"))
    assert tree.own == "/sys/fs/cgroup"
    [tree] = mounted(tmp_path, "0::/docker/abc/sub\n", line.format(root="/docker/abc"))
    assert tree.own == "/sys/fs/cgroup/sub"
    [tree] = mounted(tmp_path, "0::/elsewhere\n", line.format(root="/docker/abc"))
    assert tree.own == "/sys/fs/cgroup"
    assert mounted(tmp_path, "", line.format(root="/")) == []
    assert trees(str(tmp_path / "none")) == []


class Joining:
    """Plays the kernel: a group that is made has its files; a process can join where that is allowed."""

    def __init__(self, files: dict[str, tuple[str, ...]], refused: str = "") -> None:
        self._files = files
        self._refused = refused

    def __call__(self, door: str) -> str:
        if self._refused and self._refused in door:
            return "Permission denied"
        folder = Path(door).parent
        for name in next(files for where, files in self._files.items() if str(folder).startswith(where)):
            (folder / name).touch()
        return ""


@pytest.fixture(autouse=True)
def removable(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a real tree the files of a group go with it."""

    def rmdir(path: Path) -> None:
        for file in path.iterdir():
            if file.is_file() and "clew-try" in path.name:
                file.unlink()
        os.rmdir(path)  # noqa: PTH106

    monkeypatch.setattr(Path, "rmdir", rmdir)


def test_places_in_trees_of_version_1(tmp_path: Path) -> None:
    files = {}
    found = []
    for names, offers in V1.items():
        folder = tmp_path / names
        folder.mkdir()
        files[str(folder)] = offers
        found.append(Tree(version=1, controllers=tuple(names.split(",")), folder=str(folder), own=str(folder)))
    places, why = find_places(found, "clew-try", Joining(files))
    assert {use: Path(place.folder).name for use, place in places.items()} == {
        "memory": "memory",
        "processes": "pids",
        "cores": "cpu,cpuacct",
        "cpu": "cpu,cpuacct",
    }
    assert "no tree of control groups" in why["kill"]
    assert not [*tmp_path.glob("*/clew-try*")]
    places, why = find_places(found, "clew-try", Joining(files, refused="/pids/"))
    assert "processes" not in places
    assert why["processes"] == "Permission denied"


def test_places_in_a_tree_of_version_2(tmp_path: Path) -> None:
    own = tmp_path / "slice" / "own.scope"
    own.mkdir(parents=True)
    (own / "cgroup.subtree_control").write_text("")
    (own.parent / "cgroup.subtree_control").write_text("memory pids")
    tree = Tree(version=2, controllers=(), folder=str(tmp_path), own=str(own))
    # Below a group with processes of its own there is little; beside it there is all.
    files = {str(own): ("cpu.stat", "cgroup.kill"), str(own.parent): V2}
    places, why = find_places([tree], "clew-try", Joining(files))
    assert {*places} == {"memory", "processes", "cores", "cpu", "kill"}
    assert {place.folder for place in places.values()} == {str(own.parent)}
    assert why == {}
    assert (own.parent / "cgroup.subtree_control").read_text() == "+cpu"  # the last that was asked for
    # A group whose processes all live below it is handed out itself.
    places, _ = find_places([tree], "clew-try", Joining({str(own): V2}, refused=f"{own.parent}/clew"))
    assert {place.folder for place in places.values()} == {str(own)}
    places, why = find_places([tree], "clew-try", Joining({str(own): ("cpu.stat",)}, refused=f"{own.parent}/clew"))
    assert {*places} == {"cpu"}
    assert "cannot hand its resources out" in why["memory"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_tree_that_is_closed_to_this_user() -> None:
    tree = Tree(version=2, controllers=(), folder="/proc", own="/proc")
    places, why = find_places([tree], "clew-try", lambda door: "")
    assert places == {}
    assert why["memory"].startswith("/proc: ")


def test_bounds_of_version_1(tmp_path: Path) -> None:
    group = Group(
        {use: Place(version=1, folder=str(tmp_path / use)) for use in ("memory", "processes", "cores", "cpu")}, "g"
    )
    for use in ("memory", "processes", "cores", "cpu"):
        (tmp_path / use).mkdir()
    group.make()
    memory, cores = tmp_path / "memory" / "g", tmp_path / "cores" / "g"
    (memory / "memory.memsw.limit_in_bytes").touch()
    group.bound_memory(1_000_000)
    group.bound_processes(7)
    group.bound_cores(1.5)
    assert (memory / "memory.limit_in_bytes").read_text() == "1000000"
    assert (memory / "memory.memsw.limit_in_bytes").read_text() == "1000000"
    assert (tmp_path / "processes" / "g" / "pids.max").read_text() == "7"
    assert (cores / "cpu.cfs_period_us").read_text() == "100000"
    assert (cores / "cpu.cfs_quota_us").read_text() == "150000"
    (memory / "memory.max_usage_in_bytes").write_text("900000\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (tmp_path / "processes" / "g" / "pids.events").write_text("max 3\n")
    (tmp_path / "cpu" / "g" / "cpuacct.usage").write_text("2500000000\n")
    assert (group.peak_memory_bytes(), group.memory_refusals(), group.process_refusals()) == (900_000, 2, 3)
    assert group.cpu_s() == 2.5
    assert group.kill() is False
    assert (tmp_path / "processes" / "g" / "pids.max").read_text() == "0"
    assert len(group.doors) == 4


def test_bounds_of_version_2(tmp_path: Path) -> None:
    uses = ("memory", "processes", "cores", "cpu", "kill")
    group = Group({use: Place(version=2, folder=str(tmp_path)) for use in uses}, "g")
    group.make()
    folder = tmp_path / "g"
    for name in V2:
        (folder / name).touch()
    group.bound_memory(1_000_000)
    group.bound_processes(7)
    group.bound_cores(0.001)
    written = {name: (folder / name).read_text() for name in V2}
    assert written["memory.max"] == "1000000"
    assert (written["memory.swap.max"], written["memory.oom.group"]) == ("0", "1")
    assert written["pids.max"] == "7"
    assert written["cpu.max"] == "1000 100000"  # the kernel takes no less
    (folder / "memory.peak").write_text("900000\n")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\n")
    (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (folder / "cgroup.procs").write_text("12\n13\n")
    assert (group.peak_memory_bytes(), group.memory_refusals(), group.cpu_s()) == (900_000, 1, 1.5)
    assert group.members() == {12, 13}
    assert group.kill() is True
    assert (folder / "cgroup.kill").read_text() == "1"
    assert group.doors == [str(folder / "cgroup.procs")]


def test_what_is_not_there_is_not_known(tmp_path: Path) -> None:
    group = Group({}, "g")
    group.make()
    assert (group.cpu_s(), group.peak_memory_bytes(), group.members(), group.doors) == (None, None, set(), [])
    assert (group.memory_refusals(), group.process_refusals(), group.kill()) == (0, 0, False)
    empty = Group(
        {"memory": Place(version=2, folder=str(tmp_path)), "cpu": Place(version=1, folder=str(tmp_path))}, "g"
    )
    empty.make()
    (tmp_path / "g" / "cpuacct.usage").write_text("nonsense")
    assert (empty.cpu_s(), empty.peak_memory_bytes()) == (None, None)


@pytest.mark.slow
def test_a_real_group() -> None:
    places = offered().places
    if not places:
        pytest.skip("no control groups can be made here: " + "; ".join(sorted({*offered().why_not.values()})))
    group = Group(places, f"clew-test-{os.getpid()}")
    group.make()
    try:
        if "memory" in places:
            group.bound_memory(64 << 20)
        if "processes" in places:
            group.bound_processes(9)
        if "cores" in places:
            group.bound_cores(0.5)
        assert group.members() == set()
        assert group.cpu_s() in {0.0, None}
        assert group.kill() == ("kill" in places)
    finally:
        group.remove()
    assert not [place for place in places.values() if Path(place.folder, f"clew-test-{os.getpid()}").exists()]
