"""How limits are held to on machines that offer this and that: decided from data, before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from clew.errors import InvalidInputError
from clew.graphs.limits import Limits
from clew.workers.isolation.cgroups import Place
from clew.workers.isolation.choosing import Enforcement, choose, describe_mechanisms
from clew.workers.isolation.confinement import Confinement, order_for
from clew.workers.isolation.limits import Roots, UnenforceableLimitError, violation
from clew.workers.isolation.mechanisms import Mechanisms

PLACES = {
    "memory": Place(version=1, folder="/sys/fs/cgroup/memory"),
    "processes": Place(version=2, folder="/sys/fs/cgroup"),
    "cores": Place(version=2, folder="/sys/fs/cgroup"),
    "cpu": Place(version=2, folder="/sys/fs/cgroup"),
}
LINUX = {"system": "Linux 6.1", "subreaper": True, "process_tree": True, "cores": 4}
FULL = Mechanisms(
    **LINUX,
    root=True,
    places=PLACES,
    landlock=6,
    network_namespace="direct",
    filters=True,
    notifications=True,
    death_signal=True,
)
#: As a user, without control groups and Landlock.
USER = Mechanisms(**LINUX, filters=True, notifications=True, network_namespace="with user namespace")
#: A container that refuses everything that can be refused.
BARE = Mechanisms(**LINUX, why_not={"filters": "seccomp: Operation not permitted", "landlock": "not built in"})
#: Another operating system.
OTHER = Mechanisms(system="Darwin 24")


def chosen(offered: Mechanisms, *, roots: Roots | None = None, **limits: Any) -> Enforcement:
    return choose(Limits(**limits), roots or Roots(), offered)


def refused(offered: Mechanisms, *, roots: Roots | None = None, **limits: Any) -> UnenforceableLimitError:
    with pytest.raises(UnenforceableLimitError) as caught:
        chosen(offered, roots=roots, **limits)
    return caught.value


def test_control_groups_come_first() -> None:
    how = chosen(FULL, memory_bytes=1, processes=1, cpu_s=1, cores=0.5)
    assert "control group (version 1)" in how.mechanisms["memory_bytes"]
    assert all("control group (version 2)" in how.mechanisms[name] for name in ("processes", "cpu_s", "cores"))
    assert how.watched == ()
    assert how.places == PLACES


def test_without_them_processes_are_watched_and_asked_for() -> None:
    how = chosen(USER, memory_bytes=1, processes=1, cpu_s=1, cores=2)
    assert how.watched == ("memory_bytes", "cpu_s")
    assert how.filter is not None
    assert how.filter.notify_forking
    assert (how.processors, how.filter.keep_affinity, how.filter.keep_apart) == (2, True, True)


def test_the_limit_of_a_users_processes_does_not_bind_the_superuser() -> None:
    how = chosen(BARE, processes=5)
    assert how.limits_user
    assert "processes" in how.watched
    root = Mechanisms(**LINUX, root=True)
    error = refused(root, processes=5)
    assert "does not bind the superuser" in error.why
    assert error.limit == "processes"
    assert "run as another user" in error.advice
    assert str(error).startswith("processes cannot be enforced on this machine: ")
    assert "best_effort" in str(error)


def test_parts_of_processors_need_a_group() -> None:
    assert "a part of a processor" in refused(USER, cores=1.5).why
    assert "no more than 4" in chosen(BARE, cores=4).mechanisms["cores"]
    assert "Operation not permitted" in refused(BARE, cores=1).why


def test_no_network() -> None:
    assert chosen(FULL, network=()).namespace == "direct"
    assert "with user namespace" in chosen(USER, network=()).mechanisms["network"]
    filtered = Mechanisms(**LINUX, filters=True)
    how = chosen(filtered, connections=0)
    assert how.filter is not None
    assert how.filter.sockets == "no network"
    assert "seccomp" in refused(BARE, network=()).why


def test_some_network() -> None:
    how = chosen(USER, network=("example.com:443",), connections=3)
    assert how.guards
    assert how.filter is not None
    assert (how.filter.sockets, how.filter.notify_connect, how.filter.notify_sending) == ("guarded", True, True)
    filtered = Mechanisms(**LINUX, filters=True, why_not={"notifications": "Linux is too old"})
    for limits in ({"network": ("10.0.0.0/8",)}, {"connections": 3}):
        error = refused(filtered, **limits)
        assert "Linux is too old" in error.why
        assert "network=()" in error.advice
    with pytest.raises(InvalidInputError, match="'two words' is no destination"):
        chosen(FULL, network=("two words",))


def test_roots_need_landlock() -> None:
    how = chosen(FULL, roots=Roots(read=("/usr",), write=()))
    assert (how.confines_reading, how.confines_writing, how.guards) == (True, True, True)
    assert "version 6" in how.mechanisms["read"]
    assert "not built in" in refused(BARE, roots=Roots(read=())).why
    old = Mechanisms(**LINUX, landlock=2)
    assert "lets files be emptied" in refused(old, roots=Roots(write=())).why


def test_other_systems_hold_to_nothing() -> None:
    for limits in (
        {"memory_bytes": 1},
        {"cpu_s": 1},
        {"wall_s": 1},
        {"disk_bytes": 1},
        {"processes": 1},
        {"cores": 1},
    ):
        if limits != {"cores": 1}:  # there is one
            assert "Darwin 24 does not offer it" in refused(OTHER, **limits).why
    described = describe_mechanisms(OTHER)
    assert {each.limit for each in described if each.mechanism} == set()
    assert all(each.why for each in described)


def test_best_effort_leaves_out_what_cannot_be_had() -> None:
    limits = Limits(memory_bytes=5, network=(), connections=0, cores=1, wall_s=3)
    how = choose(limits, Roots(read=("/",)), BARE, best_effort=True)
    assert {*how.unenforced} == {"network", "cores", "read"}
    assert how.limits == Limits(memory_bytes=5, wall_s=3)
    assert how.filter is None
    assert not how.confines_reading
    assert {*how.mechanisms} == {"memory_bytes", "wall_s"}


def test_what_is_not_limited_is_not_touched() -> None:
    how = choose(Limits(), Roots(), FULL)
    assert (how.restricted, how.filter, how.namespace, how.guards) == (False, None, "", False)
    assert chosen(FULL, wall_s=1).restricted


def test_a_machine_is_described() -> None:
    described = {each.limit: each for each in describe_mechanisms(FULL)}
    assert {*described} == {
        *("memory_bytes", "cpu_s", "cores", "processes", "disk_bytes", "wall_s"),
        *("network=()", "network", "connections", "read", "write", "shell"),
    }
    assert all(each.mechanism and not each.why for each in described.values())
    assert not {each.limit: each for each in describe_mechanisms(BARE)}["network"].mechanism


@pytest.mark.parametrize(
    "limits",
    [
        {"memory_bytes": 0},
        {"cpu_s": -1},
        {"wall_s": float("nan")},
        {"cores": 0},
        {"processes": 0},
        {"connections": -1},
    ],
)
def test_figures_that_are_none(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=f"limits: {next(iter(limits))} is "):
        Limits(**limits)


def test_what_a_violation_says() -> None:
    told = violation("memory_bytes", 50_000_000, 52_400_000).message
    assert told == (
        "the step wanted more memory than it may have: it had 52.4 MB, and memory_bytes allows 50.0 MB; "
        "raise memory_bytes if it needs more"
    )
    assert "2.50 s, and cpu_s allows 2.00 s" in violation("cpu_s", 2, 2.5).message
    assert "900 bytes" in violation("disk_bytes", 900, 1.2e9).message
    assert "1.2 GB" in violation("disk_bytes", 9e3, 1.2e9).message


def test_an_order_has_resolved_paths(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    link = str(tmp_path / "link")
    confinement = Confinement(roots=Roots(read=(link,), write=(f"{link}/../real",)), folder=link)
    order = order_for(confinement, FULL, argv=["a", b"\xff"], env={"A": "b"})
    real = str(tmp_path / "real")
    assert order.folder == real
    assert order.read is not None
    assert order.write is not None
    assert (order.read[0], order.write[0]) == (real, real)
    assert "/usr" in order.read
    assert "/etc" not in order.read
    assert "/dev/null" in order.write
    assert order.argv == (b"a", b"\xff")
    assert order.env == ((b"A", b"b"),)
    assert order.temporary
    plain = order_for(Confinement(roots=Roots(read=(), system=False)), FULL)
    assert plain.read == ()
    assert plain.write is None
    assert not plain.temporary
    assert plain.folder == str(Path.cwd().resolve())
