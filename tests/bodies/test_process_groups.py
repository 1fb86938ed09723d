"""Process groups: started behind a gate, ended whole, reaped, on every way there is."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from clew.bodies import groups as groups_module
from clew.bodies.groups import ProcessGroups, unbroken


def play(scene: Callable[[ProcessGroups], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        groups = ProcessGroups()
        try:
            await scene(groups)
        finally:
            groups.close()
            groups.close()

    asyncio.run(main())


def close(process: Any) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def refuse(pid: int, flags: int = 0) -> int:
    raise OSError("not in this sandbox")


@pytest.mark.parametrize("pidfd", ["there", "refused", "missing"])
def test_exit_codes(pidfd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if pidfd == "missing":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    elif pidfd == "refused":
        monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)

    async def scene(groups: ProcessGroups) -> None:
        process = groups.spawn(["sh", "-c", "exit 7"])
        await groups.wait(process)
        assert process.returncode is None  # not reaped: its number is still its own
        assert await groups.reap(process) == 7
        assert await groups.reap(process) == 7
        assert await groups.stop(process, 1) == 7
        await groups.wait(process)
        close(process)
        process = groups.spawn(["sleep", "1000"])
        assert await groups.stop(process, 60) == -signal.SIGTERM
        close(process)
        process = groups.spawn(["sleep", "1000"])
        assert await groups.reap(process) == -signal.SIGKILL
        close(process)

    play(scene)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a system without /proc")
def test_the_program_leads_a_session_and_inherits_nothing() -> None:
    async def scene(groups: ProcessGroups) -> None:
        process = groups.spawn(["sh", "-c", "echo $$; read x; echo read:$x; exec ls /proc/self/fd"])
        assert process.stdout is not None
        await groups.wait(process)
        pid, *rest = process.stdout.read().split()
        assert int(pid) == process.pid
        assert rest == [b"read:", b"0", b"1", b"2", b"3"]  # the last is what lists them
        await groups.reap(process)
        close(process)

    play(scene)


def test_without_the_go_ahead_nothing_runs() -> None:
    async def scene(groups: ProcessGroups) -> None:
        process = groups.spawn_waiting(["sh", "-c", groups_module._GATE, "clew", "echo", "ran"], stdin=True)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()  # as it is when this process ends
        await groups.wait(process)
        assert process.stdout.read() == b""
        assert await groups.reap(process) == 125
        close(process)

    play(scene)


def test_closing_kills_what_was_left() -> None:
    groups = ProcessGroups()
    process = groups.spawn(["sleep", "1000"])
    groups.close()
    assert process.wait() == -signal.SIGKILL
    close(process)


def test_reaping_is_not_interrupted() -> None:
    async def scene(groups: ProcessGroups) -> None:
        process = groups.spawn(["sleep", "1000"])
        task = asyncio.create_task(groups.reap(process))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.returncode == -signal.SIGKILL
        close(process)

    play(scene)


def test_unbroken_hands_results_and_errors_on() -> None:
    async def main() -> None:
        async def result() -> int:
            await asyncio.sleep(0)
            return 5

        async def error() -> int:
            await asyncio.sleep(0)
            raise ValueError("no")

        async def cancelled() -> int:
            raise asyncio.CancelledError

        assert await unbroken(result()) == 5
        with pytest.raises(ValueError, match="no"):
            await unbroken(error())
        with pytest.raises(asyncio.CancelledError):
            await unbroken(cancelled())

    asyncio.run(main())


def test_groups_that_run() -> None:
    async def scene(groups: ProcessGroups) -> None:
        process = groups.spawn(["sleep", "1000"])
        assert groups_module._runs(process.pid)
        process.send_signal(signal.SIGKILL)
        await groups.wait(process)
        assert not groups_module._runs(process.pid)  # a zombie, and nobody else
        await groups.reap(process)
        assert not groups_module._runs(process.pid)
        close(process)

    play(scene)
