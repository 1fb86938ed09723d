"""Synchronous bodies in threads: what they return, raise and leave behind."""

import asyncio
import subprocess
import sys
import threading
from contextvars import ContextVar
from threading import Event, Thread, current_thread

import pytest

from clew.bodies.errors import BodyError
from clew.workers.threads import run_in_thread

variable: ContextVar[str] = ContextVar("variable", default="unset")


def test_what_it_returns_and_where_it_runs() -> None:
    async def main() -> None:
        variable.set("mine")

        def body(a: int, *, b: int) -> tuple[int, str, str, bool]:
            seen = variable.get()
            variable.set("changed")
            return a + b, seen, current_thread().name, current_thread().daemon

        assert await run_in_thread(body, {"a": 1, "b": 2}, name="clew-x") == (3, "mine", "clew-x", True)
        assert variable.get() == "mine"

    asyncio.run(main())


def test_what_it_raises() -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await run_in_thread(lambda: 1 / 0, {})

    asyncio.run(main())


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopIteration(), GeneratorExit()]
)
def test_a_body_does_not_end_the_program(error: BaseException) -> None:
    def body() -> None:
        raise error

    async def main() -> None:
        with pytest.raises(BodyError) as caught:
            await run_in_thread(body, {})
        assert caught.value.info.type == type(error).__name__

    asyncio.run(main())


def test_cancelled_at_once_and_ended_later() -> None:
    async def main() -> None:
        go, started = Event(), Event()
        ended = asyncio.Event()

        def body() -> str:
            started.set()
            go.wait()
            return "nobody waits"

        task = asyncio.create_task(run_in_thread(body, {}, on_end=ended.set))
        await asyncio.to_thread(started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not ended.is_set()
        go.set()
        await ended.wait()

    asyncio.run(main())


def test_the_end_is_told_also_without_a_cancel() -> None:
    async def main() -> None:
        ended = asyncio.Event()
        assert await run_in_thread(dict, {"a": 1}, on_end=ended.set) == {"a": 1}
        assert ended.is_set()

    asyncio.run(main())


def test_a_loop_that_is_closed_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    go, started = Event(), Event()
    threads: list[Thread] = []
    problems: list[object] = []
    monkeypatch.setattr(threading, "excepthook", problems.append)

    def body() -> None:
        threads.append(current_thread())
        started.set()
        go.wait()

    async def main() -> None:
        task = asyncio.create_task(run_in_thread(body, {}))
        await asyncio.to_thread(started.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    go.set()
    threads[0].join()
    assert not problems


HANGS = """
import asyncio
from threading import Event
from clew.workers.threads import run_in_thread

async def main():
    started = Event()
    def body():
        started.set()
        Event().wait()
    task = asyncio.create_task(run_in_thread(body, {}))
    await asyncio.to_thread(started.wait)
    print("main is done")

asyncio.run(main())
"""


def test_a_thread_that_hangs_does_not_keep_the_program() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "main is done\n")
