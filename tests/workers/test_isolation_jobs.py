"""Python functions with limits, by way of the pool: the same protocol, a process for each."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import isolated_bodies
import msgspec
import pytest
from isolation_bench import MB, WAYS, groups, less, needs, offered

from clew import codec
from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups
from clew.errors import ClewError
from clew.graphs.limits import Limits
from clew.kernel.values import ErrorInfo
from clew.workers.isolation.confinement import Confinement
from clew.workers.isolation.limits import LaunchError, Outcome, Roots, UnenforceableLimitError
from clew.workers.isolation.mechanisms import Mechanisms
from clew.workers.isolation.warden import Warden
from clew.workers.processes import PoolClosed, ProcessPool
from clew.workers.protocol import Job

pytestmark = pytest.mark.slow


class Bench:
    """A pool with a warden, and what its attempts say."""

    def __init__(self, folder: Path, mechanisms: Mechanisms) -> None:
        self.folder = folder
        self.groups = ProcessGroups()
        self.warden = Warden(mechanisms)
        self.pool = ProcessPool(2, self.groups, warden=self.warden)
        self.printed: list[tuple[str, str]] = []
        self.outcomes: list[Outcome] = []
        self.emitted: asyncio.Queue[Any] = asyncio.Queue()

    async def run(
        self, name: str, *, roots: Roots | None = None, limits: Limits | None = None, **inputs: Any
    ) -> Any:
        confinement = Confinement(
            limits=limits or Limits(wall_s=60), roots=roots or Roots(), folder=str(self.folder), grace_s=0.1
        )
        json = await self.pool.run(
            Job(
                ref=f"isolated_bodies:{name}",
                folder=str(Path(isolated_bodies.__file__).parent),
                inputs={key: msgspec.Raw(codec.encode(value)) for key, value in inputs.items()},
            ),
            sink=lambda stream, text: self.printed.append((stream, text)),
            isolated=confinement,
            on_outcome=self.outcomes.append,
            on_emit=lambda item: self.emitted.put_nowait(codec.decode(item)),
            secret={"NAME": "s3cret"}.__getitem__,
        )
        return codec.decode(json)

    async def fail(self, name: str, **options: Any) -> ErrorInfo:
        with pytest.raises(BodyError) as caught:
            await self.run(name, **options)
        return caught.value.info


def play(
    scene: Callable[[Bench], Coroutine[Any, Any, None]], folder: Path, mechanisms: Mechanisms | None = None
) -> None:
    async def main() -> None:
        bench = Bench(folder, mechanisms or offered())
        try:
            await scene(bench)
        finally:
            await bench.pool.close()
            await bench.warden.close()
            bench.groups.close()
        assert bench.pool.pids == []

    asyncio.run(main())
    assert groups() == []


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_function_with_limits(way: str, tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        one = await bench.run("speaks", word="hello")
        other = await bench.run("speaks", word="again")
        assert (one["said"], one["secret"], one["folder"]) == ("HELLO", "s3cret", str(tmp_path))
        assert one["pid"] != other["pid"]  # a process of its own
        assert other["before"] == 0  # which knows nothing of the others
        assert bench.emitted.get_nowait() == "hello"
        assert bench.printed[:2] == [("stdout", "printed\n"), ("stderr", "erred\n")]
        assert len(bench.outcomes) == 2
        usage = bench.outcomes[0].usage
        assert usage.cpu_s is not None
        assert 0 <= usage.cpu_s < 5  # where looking measures, less than a tick is nothing
        assert bench.pool.pids == []

    play(scene, tmp_path, less(way))


def test_errors_are_those_of_the_body(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        info = await bench.fail("fails")
        assert (info.type, info.message) == ("ValueError", "no")
        assert "in fails" in info.traceback
        info = await bench.fail("exits")
        assert info.type == "process died"
        assert "exit code 7" in info.message
        assert len(bench.outcomes) == 2

    play(scene, tmp_path)


def test_memory(way: str, tmp_path: Path) -> None:
    needs("memory_bytes", way=way)

    async def scene(bench: Bench) -> None:
        info = await bench.fail("eats", limits=Limits(memory_bytes=150 * MB, wall_s=60), size=2_000 * MB)
        assert info.type == "resource exhausted"
        assert info.classes == ("ResourceExhausted", "Exception")
        assert info.retryable is False
        assert "memory_bytes allows 157.3 MB" in info.message
        assert bench.outcomes[0].violation is not None

    play(scene, tmp_path, less(way))


def test_time_of_its_child(way: str, tmp_path: Path) -> None:
    needs("wall_s", way=way)

    async def scene(bench: Bench) -> None:
        info = await bench.fail("hangs", limits=Limits(wall_s=1.0))
        assert info.type == "resource exhausted"
        assert "wall_s" in info.message

    play(scene, tmp_path, less(way))


def test_roots(tmp_path: Path) -> None:
    needs("read", "write")
    work, outside = tmp_path / "work", tmp_path / "outside"
    for folder in (work, outside):
        folder.mkdir()
        folder.chmod(0o777)

    async def scene(bench: Bench) -> None:
        roots = Roots(read=(str(work),), write=(str(work),))
        assert await bench.run("writes", path=str(work / "new"), roots=roots) == "written"
        info = await bench.fail("writes", path=str(outside / "new"), roots=roots)
        assert info.type == "PermissionError"
        assert (await bench.fail("writes", path=f"{work}/../outside/new", roots=roots)).type == "PermissionError"
        assert [each.name for each in outside.iterdir()] == []

    play(scene, tmp_path / "work")


def test_the_network(tmp_path: Path) -> None:
    needs("network=()")

    async def scene(bench: Bench) -> None:
        info = await bench.fail("connects", limits=Limits(network=()), port=9)
        assert info.type in {"PermissionError", "OSError"}

    play(scene, tmp_path)


def test_cancelled_means_gone(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        task = asyncio.create_task(bench.run("hangs"))
        held = await bench.emitted.get()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for pid in held:
            assert not Path(f"/proc/{pid}").exists()

    play(scene, tmp_path)


def test_what_cannot_be_enforced_is_refused(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        with pytest.raises(UnenforceableLimitError, match="read cannot be enforced"):
            await bench.run("speaks", word="x", roots=Roots(read=()))
        assert bench.outcomes == []

    play(scene, tmp_path, msgspec.structs.replace(offered(), landlock=0))


def test_a_pool_without_a_warden(tmp_path: Path) -> None:
    async def main() -> None:
        pool = ProcessPool(1, ProcessGroups())
        with pytest.raises(ClewError, match="needs a pool with a warden"):
            await pool.run(Job(ref="os:getpid"), sink=lambda *_: None, isolated=Confinement())
        await pool.close()

    asyncio.run(main())


def test_a_worker_that_cannot_be_started(tmp_path: Path) -> None:
    """Say, because its group is not there any more."""
    if not offered().places:
        pytest.skip("there are no control groups that could be missing")
    places = {use: msgspec.structs.replace(place, folder="/none") for use, place in offered().places.items()}

    async def scene(bench: Bench) -> None:
        with pytest.raises(LaunchError, match="preparing its surroundings: /none"):
            await bench.run("speaks", word="x")

    play(scene, tmp_path, msgspec.structs.replace(offered(), places=places))


def test_closed_meanwhile(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        task = asyncio.create_task(bench.run("hangs"))
        await bench.emitted.get()
        await bench.pool.close()
        with pytest.raises(PoolClosed):
            await task
        with pytest.raises(PoolClosed):
            await bench.run("speaks", word="x")

    play(scene, tmp_path)
