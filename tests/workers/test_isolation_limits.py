"""Steps that pass a limit: each by a real program that does so, with and without control groups."""

from pathlib import Path

import pytest
from isolation_bench import MB, WAYS, Held, Steps, less, needs, play

pytestmark = pytest.mark.slow

EATING = """
import os, sys, time
size = int(sys.argv[1])
held = open(sys.argv[2], "w")
if os.fork() == 0:
    if os.fork() == 0:
        eaten = []
        while len(eaten) * (1 << 20) < size:
            eaten.append(bytearray(os.urandom(1 << 10)) * (1 << 10))
        print("full", flush=True)
        time.sleep(600)
    time.sleep(600)
time.sleep(600)
"""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return request.param


def test_memory_of_a_grandchild(way: str, tmp_path: Path) -> None:
    needs("memory_bytes", way=way)
    held = Held(tmp_path)

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(EATING, 1_000 * MB, held.path, memory_bytes=100 * MB, wall_s=60)
        assert held.is_free()
        passed = outcome.violation
        assert passed is not None
        assert passed.limit == "memory_bytes"
        assert passed.allowed == 100 * MB
        assert 90 * MB < passed.used < 300 * MB
        assert "raise memory_bytes" in passed.message
        assert outcome.signal == 9
        assert "full" not in steps.text

    play(scene, tmp_path, less(way))


def test_memory_that_is_shared_counts_once(tmp_path: Path) -> None:
    needs("memory_bytes", way="watched")
    code = """
import os, time
data = bytearray(os.urandom(1 << 10)) * (60 << 10)
children = [os.fork() for _ in range(3)]
time.sleep(0.3 if 0 in children else 0.5)
"""

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, memory_bytes=150 * MB, wall_s=60)
        assert outcome.violation is None, outcome
        assert outcome.exit_code == 0

    play(scene, tmp_path, less("watched"))


def test_a_fork_bomb(way: str, tmp_path: Path) -> None:
    needs("processes", way=way)
    held = Held(tmp_path)
    # Each process goes on making others, of which some leave the session; it is bounded, should all else fail.
    code = """
import os, sys, time
held = open(sys.argv[1], "w")
for _ in range(12):
    try:
        if os.fork() == 0 and os.getpid() % 2:
            os.setsid()
    except OSError:
        pass
time.sleep(600)
"""

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, held.path, processes=30, wall_s=60)
        assert held.is_free()
        assert outcome.violation is not None
        assert outcome.violation.limit == "processes"
        assert outcome.violation.used > 30
        assert outcome.left == 0

    play(scene, tmp_path, less(way))


def test_processor_time_of_several_processes(way: str, tmp_path: Path) -> None:
    needs("cpu_s", way=way)
    held = Held(tmp_path)
    code = """
import os, sys
held = open(sys.argv[1], "w")
for _ in range(3):
    os.fork()
while True:
    pass
"""

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, held.path, cpu_s=1.0, wall_s=60)
        assert held.is_free()
        assert outcome.violation is not None
        assert outcome.violation.limit == "cpu_s"
        assert 1.0 <= outcome.violation.used < 1.5
        assert outcome.usage.cpu_s is not None
        assert 1.0 <= outcome.usage.cpu_s < 2.5  # with the time that is left them to end

    play(scene, tmp_path, less(way))


def test_processor_time_of_many_short_processes(way: str, tmp_path: Path) -> None:
    needs("cpu_s", way=way)

    async def scene(steps: Steps) -> None:
        outcome = await steps.run("sh", "-c", "while :; do sh -c ':'; done", cpu_s=0.4, wall_s=60)
        assert outcome.violation is not None
        assert outcome.violation.limit == "cpu_s"

    play(scene, tmp_path, less(way))


def test_a_part_of_a_processor(tmp_path: Path) -> None:
    needs("cores")

    async def scene(steps: Steps) -> None:
        outcome = await steps.python("while True: pass", cores=0.2, wall_s=1.5, grace_s=0)
        assert outcome.violation is not None
        assert outcome.violation.limit == "wall_s"
        assert outcome.usage.cpu_s is not None
        assert outcome.usage.cpu_s < 0.6  # 0.3, and what it takes to start

    play(scene, tmp_path)


def test_whole_processors_without_a_group(tmp_path: Path) -> None:
    offered = less("watched")
    if offered.cores < 2 or not offered.filters:
        pytest.skip("one processor, or no filters")
    code = """
import os
print(len(os.sched_getaffinity(0)))
try:
    os.sched_setaffinity(0, range(os.cpu_count()))
except PermissionError:
    print("kept")
"""

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, cores=1)
        assert outcome.exit_code == 0
        assert steps.text == "1\nkept\n"

    play(scene, tmp_path, offered)


def test_time(way: str, tmp_path: Path) -> None:
    needs("wall_s", way=way)

    async def scene(steps: Steps) -> None:
        outcome = await steps.run("sleep", "600", wall_s=0.2)
        assert outcome.violation is not None
        assert outcome.violation.limit == "wall_s"
        assert 0.2 <= outcome.violation.used < 2
        assert outcome.signal == 15
        assert "the step took 0.2" in outcome.violation.message

    play(scene, tmp_path, less(way))


@pytest.mark.parametrize("how", ["write", "allocate", "unlinked", "many", "child"])
def test_a_disk_that_fills(how: str, tmp_path: Path) -> None:
    needs("disk_bytes")
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    code = """
import os, sys, time
how = sys.argv[1]
if how == "child" and os.fork() == 0:
    os.setsid()
    how = "write"
elif how == "child":
    time.sleep(600)
if how == "allocate":
    os.posix_fallocate(os.open("file", os.O_CREAT | os.O_RDWR), 0, 64 << 20)
    time.sleep(600)
if how == "many":
    for number in range(64):
        os.makedirs(f"a/{number}")
        open(f"a/{number}/file", "wb").write(bytes(1 << 20))
        os.link(f"a/{number}/file", f"a/{number}/link")
    time.sleep(600)
file = open("file", "wb", buffering=0)
if how == "unlinked":
    os.unlink("file")
for number in range(64):
    file.write(bytes(1 << 20))
time.sleep(600)
"""

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, how, disk_bytes=8 * MB, wall_s=60)
        assert outcome.violation is not None
        assert outcome.violation.limit == "disk_bytes"
        assert outcome.violation.used > 8 * MB

    play(scene, work)


def test_a_file_cannot_become_much_larger_where_all_that_is_written_counts(tmp_path: Path) -> None:
    needs("disk_bytes", "write")
    from clew.workers.isolation.limits import Roots

    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)

    async def scene(steps: Steps) -> None:
        outcome = await steps.run(
            *("dd", "if=/dev/zero", "of=file", "bs=1M", "count=4000"),
            roots=Roots(write=(str(work),)),
            disk_bytes=8 * MB,
            wall_s=60,
        )
        assert outcome.violation is not None
        assert outcome.violation.limit == "disk_bytes"
        assert outcome.violation.used <= 25 * MB

    play(scene, work)


def test_temporary_files_count_and_are_gone(tmp_path: Path) -> None:
    needs("disk_bytes", "write")
    from clew.workers.isolation.limits import Roots

    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    code = """
import tempfile, time
print(tempfile.gettempdir(), flush=True)
open(tempfile.gettempdir() + "/file", "wb").write(bytes(20 << 20))
time.sleep(600)
"""

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, roots=Roots(write=(str(work),)), disk_bytes=8 * MB, wall_s=60)
        assert outcome.violation is not None
        assert outcome.violation.limit == "disk_bytes"
        assert "clew-step-" in steps.text
        assert not Path(steps.text.strip()).exists()

    play(scene, work)


def test_what_is_within_its_limits_is_left_alone(way: str, tmp_path: Path) -> None:
    needs("memory_bytes", "cpu_s", "processes", "disk_bytes", "wall_s", way=way)
    limits = {"memory_bytes": 500 * MB, "cpu_s": 30, "processes": 50, "disk_bytes": 1 << 40, "wall_s": 60}

    async def scene(steps: Steps) -> None:
        outcome = await steps.run("sh", "-c", "echo one | cat; echo two >&2; exit 3", **limits)
        assert outcome.violation is None
        assert outcome.exit_code == 3
        assert outcome.signal is None
        assert (steps.text, steps.errors) == ("one\n", "two\n")
        assert {*outcome.mechanisms} == {*limits}

    play(scene, tmp_path, less(way))
