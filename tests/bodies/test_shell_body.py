"""Shell nodes with real programs: what they give, how they fail, and that nothing of them stays."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from clew.bodies import shell as shell_module
from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups
from clew.bodies.shell import in_group, run_shell
from clew.errors import InvalidInputError
from clew.graphs.body_data import ShellBody
from clew.kernel.values import ErrorInfo


class Runner:
    """Runs commands and keeps what they print."""

    def __init__(self) -> None:
        self.groups = ProcessGroups()
        self.printed: list[tuple[str, str]] = []
        self.line = asyncio.Event()  #: something was printed

    def write(self, stream: str, text: str) -> None:
        self.printed.append((stream, text))
        self.line.set()

    async def run(self, command: Any, env: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
        inputs = {name: options.pop(name) for name in ("stdin", "cwd_input", "env_input") if name in options}
        inputs = {name.removesuffix("_input"): value for name, value in inputs.items()} | {"command": command}
        body = ShellBody(shell=isinstance(command, str), **options)
        return await run_shell(body, inputs, self.write, env or {}, in_group(self.groups))

    async def fail(self, command: Any, **options: Any) -> ErrorInfo:
        with pytest.raises(BodyError) as caught:
            await self.run(command, **options)
        return caught.value.info


def play(scene: Callable[[Runner], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        runner = Runner()
        try:
            await scene(runner)
        finally:
            runner.groups.close()

    asyncio.run(main())


def test_results() -> None:
    async def scene(runner: Runner) -> None:
        assert await runner.run("echo hi; echo oh >&2") == {"exit_code": 0, "stdout": "hi\n", "stderr": "oh\n"}
        assert sorted(runner.printed) == [("stderr", "oh\n"), ("stdout", "hi\n")]
        assert (await runner.run(["echo", "a b", 3, 1.5]))["stdout"] == "a b 3 1.5\n"
        assert await runner.run("echo hi", capture="none") == {"exit_code": 0}
        assert (await runner.run("echo '{\"a\": [1]}'; echo no >&2", capture="json")) == {
            "exit_code": 0,
            "stdout": {"a": [1]},
            "stderr": "no\n",
        }
        assert (await runner.run("exit 3", ok_codes=(0, 3)))["exit_code"] == 3
        assert (await runner.run("printf '\\377'"))["stdout"] == "\N{REPLACEMENT CHARACTER}"

    play(scene)


def test_what_a_program_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W_INHERITED", "inherited")

    async def scene(runner: Runner) -> None:
        assert (await runner.run("cat", stdin="text"))["stdout"] == "text"
        assert (await runner.run("cat", stdin=b"bytes"))["stdout"] == "bytes"
        assert (await runner.run("cat", stdin={"a": 1}, capture="json"))["stdout"] == {"a": 1}
        assert (await runner.run("cat"))["stdout"] == ""
        assert (await runner.run("wc -c", stdin="x" * 1_000_000))["stdout"].strip() == "1000000"
        assert (await runner.run("true", stdin="x" * 1_000_000))["exit_code"] == 0  # nobody reads it
        show = 'echo "$W_INHERITED $W_BODY $W_INPUT $W_LAST"'
        given = {"env": {"W_LAST": "last"}, "env_input": {"W_INPUT": 5, "W_LAST": "no"}}
        monkeypatch.setenv("W_BODY", "no")
        body = ShellBody(env={"W_BODY": "body"})
        out = await run_shell(
            body, {"command": show, "env": given["env_input"]}, runner.write, given["env"], in_group(runner.groups)
        )
        assert out["stdout"] == "inherited body 5 last\n"
        assert (await runner.run("pwd", cwd=str(tmp_path)))["stdout"].strip() == str(tmp_path)
        assert (await runner.run("pwd", cwd_input=str(tmp_path)))["stdout"].strip() == str(tmp_path)

    play(scene)


def test_failures_are_named() -> None:
    async def scene(runner: Runner) -> None:
        info = await runner.fail("for i in $(seq 30); do echo line $i >&2; done; exit 4")
        assert (info.type, info.classes) == ("exit code", ("ExitCodeError", "Exception"))
        assert "ended with exit code 4; its last words:\nline 11\n" in info.message
        assert info.message.endswith("line 30")
        assert "its last words:\nsaid" in (await runner.fail("echo said; exit 1")).message
        assert (await runner.fail("exit 1")).message == "`exit 1` ended with exit code 1; it printed nothing"
        info = await runner.fail("kill -9 $$")
        assert info.type == "signal"
        assert "was killed by SIGKILL (signal 9)" in info.message
        assert "was killed by signal 40;" in (await runner.fail("kill -40 $$")).message
        assert "exit code 137 (SIGKILL (signal 9))" in (await runner.fail("exit 137")).message
        assert "exit code 161;" in (await runner.fail("exit 161")).message
        assert (await runner.fail(["w-no-such-program"])).type == "not found"
        assert "folder /w/no/such" in (await runner.fail("ls", cwd="/w/no/such")).message
        assert (await runner.fail(["./w-no-such"])).message.startswith("`./w-no-such` ended with exit code 127")
        info = await runner.fail("echo not json", capture="json")
        assert (info.type, "'not json\\n'" in info.message) == ("invalid output", True)
        assert len((await runner.fail("false " + "x" * 10_000)).message) < 500

    play(scene)


@pytest.mark.parametrize("command", ["", "  ", 5, None, [], [None], {"a": 1}])
def test_commands_that_are_none(command: Any) -> None:
    async def scene(runner: Runner) -> None:
        for shell in (True, False):
            if not (isinstance(command, str) and not shell):
                with pytest.raises(InvalidInputError, match="command"):
                    await run_shell(
                        ShellBody(shell=shell), {"command": command}, runner.write, {}, in_group(runner.groups)
                    )

    play(scene)


def test_output_without_limit_is_refused_or_passed_on() -> None:
    async def scene(runner: Runner) -> None:
        info = await runner.fail("yes", max_output=10_000)
        assert (info.type, info.retryable) == ("output too large", False)
        assert "max_output=10,000 bytes" in info.message
        runner.printed.clear()
        size = 3_000_000
        command = f"head -c {size} /dev/zero | tr '\\0' x; head -c {size} /dev/zero | tr '\\0' y >&2"
        assert await runner.run(command, capture="none") == {"exit_code": 0}
        assert sum(len(text) for stream, text in runner.printed if stream == "stdout") == size
        out = await runner.run(command, max_output=size)
        assert len(out["stdout"]) == size
        assert out["stderr"] == "y" * 65_536

    play(scene)


def test_a_sink_that_fails_fails_the_node() -> None:
    async def scene(runner: Runner) -> None:
        def full(stream: str, text: str) -> None:
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await run_shell(ShellBody(), {"command": "yes"}, full, {}, in_group(runner.groups))

    play(scene)


def ended(fifo: int) -> bool:
    """Whether nobody holds the writing end of a pipe any more; waits for it."""
    os.set_blocking(fifo, True)
    while data := os.read(fifo, 1000):
        assert b"never" not in data
    return True


@pytest.fixture
def fifo(tmp_path: Path) -> tuple[str, int]:
    """A named pipe: every process of a command holds it, so its end is the end of them all."""
    path = tmp_path / "held"
    os.mkfifo(path)
    return str(path), os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def test_background_processes_do_not_stay(fifo: tuple[str, int]) -> None:
    path, end = fifo

    async def scene(runner: Runner) -> None:
        out = await runner.run(f"exec 9>{path}; (trap '' TERM HUP; sleep 1000) & echo started")
        assert out["stdout"] == "started\n"
        assert ended(end)

    play(scene)


@pytest.mark.parametrize("stubborn", [False, True])
def test_cancelled_with_all_it_started(
    fifo: tuple[str, int], stubborn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, end = fifo
    monkeypatch.setattr(shell_module, "GRACE_S", 0.05 if stubborn else 60.0)

    async def scene(runner: Runner) -> None:
        trap = "trap '' TERM; " if stubborn else "trap 'echo asked to stop; exit' TERM; "
        task = asyncio.create_task(
            runner.run(f"exec 9>{path}; {trap} sleep 1000 & echo $$; wait; sleep 1000; echo never >&9")
        )
        await runner.line.wait()
        pid = int(runner.printed[0][1])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended(end)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)  # reaped, too
        assert ("stdout", "asked to stop\n") in runner.printed or stubborn

    play(scene)


def test_cancelled_again_while_it_is_being_stopped(fifo: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    path, end = fifo
    monkeypatch.setattr(shell_module, "GRACE_S", 0.05)

    async def scene(runner: Runner) -> None:
        task = asyncio.create_task(runner.run(f"exec 9>{path}; trap '' TERM; echo up; sleep 1000; sleep 1000"))
        await runner.line.wait()
        for _ in range(5):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended(end)

    play(scene)


LEAVE = """
import os, signal, sys
os.setsid()
with open(sys.argv[1], "w") as file:
    print(os.getpid(), file=file)
signal.pause()
"""


def test_who_leaves_the_group_is_not_waited_for(
    fifo: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, end = fifo
    monkeypatch.setattr(shell_module, "_DRAIN_S", 0.05)
    os.mkfifo(tmp_path / "left")
    (tmp_path / "leave.py").write_text(LEAVE)

    async def scene(runner: Runner) -> None:
        leave = f"{sys.executable} {tmp_path}/leave.py {tmp_path}/left &"
        out = await runner.run(f"exec 9>{path}; {leave} read pid < {tmp_path}/left; echo $pid")
        os.kill(int(out["stdout"]), signal.SIGKILL)  # it holds our pipe, and lives
        assert ended(end)

    play(scene)


PARENT = """
import asyncio, sys
from clew.bodies.groups import ProcessGroups
from clew.bodies.shell import in_group, run_shell
from clew.graphs.body_data import ShellBody

async def main():
    write = lambda stream, text: print(text, end="", flush=True)
    await run_shell(ShellBody(), {"command": sys.argv[1]}, write, {}, in_group(ProcessGroups()))

asyncio.run(main())
"""


def test_nothing_outlives_the_engine(fifo: tuple[str, int]) -> None:
    path, end = fifo
    command = f"exec 9>{path}; trap '' TERM HUP; sleep 1000 & echo up; wait; sleep 1000"
    with subprocess.Popen([sys.executable, "-c", PARENT, command], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        parent.kill()
        assert ended(end)


def test_the_guard_is_replaced(fifo: tuple[str, int]) -> None:
    path, end = fifo

    async def scene(runner: Runner) -> None:
        await runner.run("true")
        guard = runner.groups._guard
        assert guard is not None
        task = asyncio.create_task(runner.run(f"exec 9>{path}; echo up; sleep 1000"))
        await runner.line.wait()
        guard.kill()
        guard.wait()
        await runner.run("true")
        assert runner.groups._guard is not guard
        runner.groups.close()  # the new guard knows the old group, too
        assert ended(end)
        with pytest.raises(BodyError):
            await task

    play(scene)
