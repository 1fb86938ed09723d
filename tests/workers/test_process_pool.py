"""Bodies in real processes: what comes back, what they print, how they end, and that none is left."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
from process_bodies import Page

from clew import codec
from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups
from clew.kernel.values import ErrorInfo
from clew.workers import warm
from clew.workers.processes import PoolClosed, ProcessPool
from clew.workers.protocol import Job


class Bench:
    """A pool, and what its attempts say."""

    def __init__(self, size: int = 1, **options: Any) -> None:
        self.groups = ProcessGroups()
        self.pool = ProcessPool(size, self.groups, **options)
        self.printed: list[tuple[str, str]] = []
        self.progress: list[tuple[float, str]] = []
        self.emitted: asyncio.Queue[Any] = asyncio.Queue()

    def sink(self, stream: str, text: str) -> None:
        self.printed.append((stream, text))

    def text(self, stream: str = "stdout") -> str:
        return "".join(text for name, text in self.printed if name == stream)

    async def run(self, name: str, job: dict[str, Any] | None = None, **inputs: Any) -> Any:
        encoded = {key: msgspec.Raw(codec.encode(value)) for key, value in inputs.items()}
        ref = name if ":" in name else f"process_bodies:{name}"
        json = await self.pool.run(
            Job(ref=ref, inputs=encoded, **(job or {})),
            sink=self.sink,
            on_progress=lambda fraction, message: self.progress.append((fraction, message)),
            on_emit=lambda item: self.emitted.put_nowait(codec.decode(item)),
            secret={"NAME": "s3cret"}.__getitem__,
        )
        return codec.decode(json)

    async def fail(self, name: str, **inputs: Any) -> ErrorInfo:
        with pytest.raises(BodyError) as caught:
            await self.run(name, **inputs)
        return caught.value.info


def play(scene: Callable[[Bench], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        bench = Bench(**options)
        try:
            await scene(bench)
        finally:
            await bench.pool.close()
            bench.groups.close()
            assert bench.pool.pids == []

    asyncio.run(main())


def test_values_cross_by_annotation() -> None:
    async def scene(bench: Bench) -> None:
        assert await bench.run("page", page=Page("a", 1)) == {"title": "A", "size": 2}
        assert await bench.run("default") == [7, "x"]
        assert await bench.run("default", {"absent": {"value": "up", "other": "up"}}) == [7, "x"]
        assert await bench.run("returns", what="none") is None
        assert len(await bench.run("returns", what="huge")) == 20_000_000

    play(scene)


def test_what_goes_wrong_is_told() -> None:
    async def scene(bench: Bench) -> None:
        info = await bench.fail("fails")
        assert info.type == "ConnectionResetError"
        assert "ConnectionError" in info.classes
        assert len(info.message) < 5_000
        assert "in fails" in info.traceback
        assert "child.py" not in info.traceback
        info = await bench.fail("returns", what="set")
        assert (info.type, info.retryable) == ("unstorable", False)
        assert info.message.startswith("$: a set")
        assert (await bench.fail("page", page=5)).type == "invalid input"
        assert (await bench.fail("page")).type == "invalid input"
        assert (await bench.fail("pages", page=5)).type == "unresolved"
        assert (await bench.fail("w_nowhere:f")).type == "unresolved"
        assert (await bench.fail("emits_a_set")).type == "unstorable"
        assert "step 'pay' cannot be recorded; make the body async" in (await bench.fail("step")).message
        assert "a durable sleep cannot be recorded" in (await bench.fail("sleep")).message
        assert (await bench.fail("ends", how="sys.exit")).type == "SystemExit"
        assert len(bench.pool.pids) == 1
        assert await bench.run("identity")  # the process has borne it all

    play(scene)


def test_processes_are_kept() -> None:
    async def scene(bench: Bench) -> None:
        first = await bench.run("identity")
        assert [await bench.run("identity") for _ in range(3)] == [first] * 3
        assert "1 idle" in repr(bench.pool)

    play(scene)


def test_the_context() -> None:
    async def scene(bench: Bench) -> None:
        job = {
            "run": "r1",
            "path": "fetch[3]",
            "attempt": 2,
            "idempotency_key": "k",
            "failed_upstream": {"up": ErrorInfo(type="timeout", message="slow")},
            "log_level": logging.INFO,
        }
        assert await bench.run("context", job) == {
            "run": "r1",
            "path": "fetch[3]",
            "attempt": 2,
            "key": "k",
            "failed": {"up": "timeout"},
            "secret": "s3cret",
        }
        assert bench.progress == [(0.25, "a quarter \\ud800")]
        assert bench.emitted.get_nowait() == {"token": 1}
        assert bench.text("log") == "a line\nINFO informed\n"
        assert (await bench.fail("no_secret")).type == "LookupError"
        bench.printed.clear()
        await bench.run("context")  # the level is that of the job
        assert bench.text("log") == "a line\n"
        # Nobody needs to listen.
        for name, kind in (("context", "LookupError"), ("emits_a_set", "unstorable")):
            with pytest.raises(BodyError) as caught:
                await bench.pool.run(Job(ref=f"process_bodies:{name}"), sink=bench.sink)
            assert caught.value.info.type == kind

    play(scene)


def test_all_output_is_kept_in_order_and_complete() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run("prints")
        assert bench.text() == (
            "no end yet, from a program\nfrom native code\nbytes \N{REPLACEMENT CHARACTER}\0 and\nlast words"
        )
        assert bench.text("stderr") == "oh\n"
        bench.printed.clear()
        await bench.run("identity")
        assert bench.printed == []

    play(scene)


def test_output_is_bounded() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run("prints_a_lot", lines=100_000)
        text = bench.text()
        assert len(text) < 2_200
        assert text.startswith(f"{0:99}\n")
        assert f"{10_000_000 - 2_000:,} characters are left out" in text
        assert text.endswith("x" * 99 + "\n")

    play(scene, max_output=1_000)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("exit", "ended with exit code 7"),
        ("kill", "was killed by SIGKILL (signal 9, as the system does when memory runs out)"),
        ("crash", "was killed by SIGSEGV (signal 11); its last words:\nFatal Python error: Segmentation fault"),
        ("nonsense", "broke its connection to the engine"),
        ("too much", "broke its connection to the engine"),
    ],
)
def test_a_body_may_end_its_process(how: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "_LAST_WORDS_S", 0.05 if how in {"nonsense", "too much"} else 60.0)

    async def scene(bench: Bench) -> None:
        before = await bench.run("identity")
        info = await bench.fail("ends", how=how)
        assert (info.type, info.classes, info.retryable) == ("process died", ("ProcessDied", "Exception"), None)
        assert told in info.message
        assert bench.text() == "before the end\n"
        assert await bench.run("identity") != before

    play(scene)


def test_an_idle_process_that_dies_is_replaced() -> None:
    async def scene(bench: Bench) -> None:
        pid, _ = await bench.run("identity")
        [child] = bench.pool._idle
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait({child._life})
        assert bench.pool.pids == []
        assert (await bench.run("identity"))[0] != pid

    play(scene)


def test_a_process_that_dies_unnoticed_fails_one_attempt() -> None:
    async def scene(bench: Bench) -> None:
        pid, _ = await bench.run("identity")
        os.kill(pid, signal.SIGKILL)
        assert (await bench.fail("identity")).type == "process died"  # sent before the loop could know
        assert (await bench.run("identity"))[0] != pid

    play(scene)


def ended(fifo: int) -> bool:
    """Whether nobody holds the writing end of a pipe any more; waits for it."""
    os.set_blocking(fifo, True)
    return os.read(fifo, 1) == b""


@pytest.fixture
def fifo(tmp_path: Path) -> tuple[str, int]:
    path = tmp_path / "held"
    os.mkfifo(path)
    return str(path), os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def test_cancelled_means_gone(fifo: tuple[str, int]) -> None:
    path, end = fifo

    async def scene(bench: Bench) -> None:
        task = asyncio.create_task(bench.run("holds", fifo=path))
        pid, program = await bench.emitted.get()
        waiting = asyncio.create_task(bench.run("identity"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)  # reaped
        os.set_blocking(end, False)
        assert os.read(end, 1) == b""  # and nobody holds it: the program is gone, too
        assert (await waiting)[0] not in {pid, program}

    play(scene)


def test_cancelled_while_waiting_for_a_process(fifo: tuple[str, int]) -> None:
    path, end = fifo

    async def scene(bench: Bench) -> None:
        first = asyncio.create_task(bench.run("holds", fifo=path))
        await bench.emitted.get()
        second = asyncio.create_task(bench.run("identity"))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert len(bench.pool.pids) == 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert ended(end)

    play(scene)


def test_cancelled_while_starting() -> None:
    async def scene(bench: Bench) -> None:
        task = asyncio.create_task(bench.run("identity"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bench.pool.pids == []
        assert await bench.run("identity")

    play(scene)


def test_as_many_at_once_as_there_are_places(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        paths = [tmp_path / str(number) for number in range(3)]
        for path in paths:
            os.mkfifo(path)
        ends = [os.open(path, os.O_RDONLY | os.O_NONBLOCK) for path in paths]
        tasks = [asyncio.create_task(bench.run("holds", fifo=str(path))) for path in paths]
        pids = {(await bench.emitted.get())[0] for _ in range(2)}
        assert {*bench.pool.pids} == pids
        assert "2 busy" in repr(bench.pool)
        tasks[0].cancel()
        assert (await bench.emitted.get())[0] not in pids
        await bench.pool.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, PoolClosed, PoolClosed]
        assert all(map(ended, ends))
        with pytest.raises(PoolClosed):
            await bench.run("identity")
        assert repr(bench.pool) == "<ProcessPool 0 busy, 0 idle, closed>"

    play(scene, size=2)


def test_closed_while_starting() -> None:
    async def scene(bench: Bench) -> None:
        task = asyncio.create_task(bench.run("identity"))
        await asyncio.sleep(0)
        await bench.pool.close()
        with pytest.raises(PoolClosed):
            await task

    play(scene)


def test_what_a_body_does_to_its_process_is_undone() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run("disturbs")
        assert await bench.run("disturbed") == [None, str(Path.cwd())]
        assert bench.text() == "heard\n"
        assert bench.text("stderr") == "heard, too\n"
        assert await bench.run("interrupts_itself") == "still here"
        await bench.run("leaves_a_thread")
        await bench.run("wakes_the_thread")
        assert bench.emitted.empty()

    play(scene)


def test_listeners_that_fail_fail_the_attempt() -> None:
    def full(*_: object) -> None:
        raise OSError("disk full")

    async def scene(bench: Bench) -> None:
        job = Job(ref="process_bodies:prints")
        with pytest.raises(OSError, match="disk full"):
            await bench.pool.run(job, sink=full)
        with pytest.raises(OSError, match="disk full"):
            await bench.pool.run(Job(ref="process_bodies:context"), sink=bench.sink, on_emit=full)
        with pytest.raises(OSError, match="disk full"):
            await bench.pool.run(Job(ref="process_bodies:ends", inputs={"how": msgspec.Raw(b'"exit"')}), sink=full)
        assert await bench.run("identity")

    play(scene)


def test_a_process_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(bench: Bench) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/w/no/such/python")
            with pytest.raises(FileNotFoundError):
                await bench.run("identity")
        with monkeypatch.context() as patch:
            patch.setattr(warm, "_BOOT", "raise SystemExit('no such module')")
            info = await bench.fail("identity")
            assert info.message.endswith("ended with exit code 1; its last words:\nno such module")
        assert await bench.run("identity")

    play(scene)
