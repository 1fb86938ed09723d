"""What a step is said to have used, compared with what it did."""

from pathlib import Path

import pytest
from isolation_bench import MB, WAYS, Steps, less, play

from clew.workers.isolation.spending import spent

pytestmark = pytest.mark.slow


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return request.param


def test_processor_time(way: str, tmp_path: Path) -> None:
    """Of children that are waited for, of those that are not, and of daemons."""
    code = """
import os, signal, sys, time
if sys.argv[1] == "alone":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def burn(seconds):
    while time.process_time() < seconds:
        pass
if os.fork() == 0:
    os.setsid()
    burn(0.4)
    os._exit(0)
if sys.argv[1] == "waiting":
    os.wait()
burn(0.3)
if sys.argv[1] == "alone":
    time.sleep(1)
"""

    async def scene(steps: Steps) -> None:
        for how in ("waiting", "alone"):
            outcome = await steps.python(code, how)
            assert outcome.usage.cpu_s is not None
            assert 0.65 < outcome.usage.cpu_s < 1.5, how

    play(scene, tmp_path, less(way))


def test_memory(way: str, tmp_path: Path) -> None:
    code = """
import os, time
if os.fork() == 0:
    held = bytearray(os.urandom(1 << 10)) * (100 << 10)
    time.sleep(0.4)
    os._exit(0)
os.wait()
"""

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code)
        assert outcome.usage.peak_memory_bytes is not None
        assert 100 * MB < outcome.usage.peak_memory_bytes < 160 * MB

    play(scene, tmp_path, less(way))


def test_files(way: str, tmp_path: Path) -> None:
    code = """
import os
if os.fork() == 0:
    file = os.open("file", os.O_CREAT | os.O_WRONLY)
    for _ in range(200):
        os.write(file, bytes(100_000))
    os.fsync(file)
    os._exit(0)
os.wait()
file = os.open("file", os.O_RDONLY)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
while os.read(file, 100_000):
    pass
"""

    async def scene(steps: Steps) -> None:
        usage = (await steps.python(code)).usage
        if usage.written_bytes is None:
            pytest.skip("this kernel does not count what processes read and write")
        assert usage.read_ops is not None
        assert usage.write_ops is not None
        assert 200 <= usage.write_ops < 300
        assert 200 <= usage.read_ops < 2_000
        if on_memory(tmp_path):
            pytest.skip("these files are in memory, where nothing is read or written")
        assert 20_000_000 <= usage.written_bytes < 22_000_000
        assert usage.read_bytes is not None
        assert usage.read_bytes < 40_000_000

    tmp_path.chmod(0o777)
    play(scene, tmp_path, less(way))


def on_memory(folder: Path) -> bool:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    inside = [
        (len(place), kind) for _, place, kind, *_ in mounts if f"{folder}/".startswith(f"{place.rstrip('/')}/")
    ]
    return max(inside)[1] in {"tmpfs", "ramfs"}


def test_what_keeping_costs_is_not_the_steps(tmp_path: Path) -> None:
    """The keeper adds up files to hold the step to its disk; that is not read by the step."""
    for number in range(300):
        (tmp_path / str(number)).touch()

    async def scene(steps: Steps) -> None:
        outcome = await steps.run("true", disk_bytes=1 << 40, wall_s=60)
        assert outcome.usage.read_ops is not None
        assert outcome.usage.read_ops < 100
        assert outcome.usage.cpu_s is not None
        assert outcome.usage.cpu_s < 0.3

    play(scene, tmp_path)


def test_what_cannot_be_measured_is_absent() -> None:
    from clew.workers.isolation.cgroups import Group
    from clew.workers.isolation.descendants import Ledger

    usage = spent(Group({}, "none"), Ledger(1), None)
    assert usage.connections is None
