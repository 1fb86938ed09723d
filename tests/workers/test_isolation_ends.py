"""However a step ends, nothing of it is left: processes, control groups, temporary folders."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from isolation_bench import MB, PYTHON, WAYS, Held, Steps, groups, less, needs, offered, play

from clew.bodies.output import Bounded, ByteLines
from clew.errors import ClewError
from clew.workers.isolation import owners
from clew.workers.isolation.cgroups import Group
from clew.workers.isolation.limits import KeeperDiedError, LaunchError, Roots
from clew.workers.isolation.warden import Warden

pytestmark = pytest.mark.slow

#: Leaves daemons of all kinds behind, which ignore what can be ignored and hold a pipe.
DAEMONS = """
import os, signal, sys, time
held = open(sys.argv[1], "w")
def daemon(*, again):
    if os.fork() == 0:
        os.setsid()
        if again and os.fork():
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        os.write(ready, b"!")
        time.sleep(600)
        os._exit(0)
wait, ready = os.pipe()
daemon(again=False)
daemon(again=True)
os.read(wait, 1), os.read(wait, 1)
"""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return request.param


def test_daemons_end_with_the_step(way: str, tmp_path: Path) -> None:
    needs("wall_s", way=way)
    held = Held(tmp_path)

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(DAEMONS + "sys.exit(5)", held.path)
        assert outcome.exit_code == 5
        assert outcome.violation is None
        assert outcome.left == 0
        assert held.is_free()

    play(scene, tmp_path, less(way))


def test_who_ignores_being_asked_is_killed(way: str, tmp_path: Path) -> None:
    needs("wall_s", way=way)
    held = Held(tmp_path)
    code = (
        DAEMONS + "signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True))\nwhile True: time.sleep(600)"
    )

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, held.path, wall_s=0.8, grace_s=0.3)
        assert outcome.violation is not None
        assert outcome.signal == signal.SIGKILL
        assert held.is_free()
        assert steps.text == "no\n"

    play(scene, tmp_path, less(way))


def test_who_is_asked_may_end_by_itself(way: str, tmp_path: Path) -> None:
    needs("wall_s", way=way)
    code = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
time.sleep(600)
"""

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, wall_s=0.5, grace_s=60)
        assert outcome.violation is not None
        assert outcome.exit_code == 7

    play(scene, tmp_path, less(way))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGUSR1])
def test_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    async def scene(steps: Steps) -> None:
        outcome = await steps.python("import os, sys; os.kill(os.getpid(), int(sys.argv[1]))", int(number))
        assert (outcome.exit_code, outcome.signal, outcome.violation) == (None, number, None)

    play(scene, tmp_path)


def test_cancelled_means_gone(way: str, tmp_path: Path) -> None:
    needs("wall_s", way=way)
    held = Held(tmp_path)

    async def scene(steps: Steps) -> None:
        code = DAEMONS + "print('up', flush=True)\nos.read(wait, 1)"
        task = asyncio.create_task(steps.python(code, held.path))
        await steps.hears("up")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert held.is_free()

    play(scene, tmp_path, less(way))


def test_cancelled_while_starting(tmp_path: Path) -> None:
    async def scene(steps: Steps) -> None:
        await steps.warden.mechanisms()
        for turns in range(8):
            task = asyncio.create_task(steps.run("sleep", "600"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await steps.run("true")).exit_code == 0

    play(scene, tmp_path)


def test_a_sink_that_fails_ends_the_step(tmp_path: Path) -> None:
    def full(stream: str, data: bytes) -> None:
        raise ValueError("enough")

    async def scene(steps: Steps) -> None:
        with pytest.raises(ValueError, match="enough"):
            await steps.python("import time; print(1, flush=True); time.sleep(600)", sink=full)

    play(scene, tmp_path)


def test_closing_ends_all_steps(tmp_path: Path) -> None:
    held = Held(tmp_path)

    async def scene(steps: Steps) -> None:
        code = "import sys, time; held = open(sys.argv[1], 'w'); print('up', flush=True); time.sleep(600)"
        tasks = [asyncio.create_task(steps.python(code, held.path)) for _ in range(3)]
        while steps.text.count("up") < 3:
            steps.heard.clear()
            await steps.heard.wait()
        assert "3 steps" in repr(steps.warden)
        await steps.warden.close()
        assert held.is_free()
        assert [(await each).signal for each in tasks] == [signal.SIGKILL] * 3
        with pytest.raises(ClewError, match="being closed"):
            await steps.run("true")

    play(scene, tmp_path)


def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)

    async def scene(steps: Steps) -> None:
        with pytest.raises(LaunchError, match="starting w_no_such_program: .*No such file") as caught:  # noqa: RUF043
            await steps.run("w_no_such_program")
        assert caught.value.errno == 2
        with pytest.raises(LaunchError, match="Exec format error"):
            await steps.run("./text")
        with pytest.raises(LaunchError, match="Permission denied"):
            await steps.run("/etc/passwd")
        steps.folder = tmp_path / "none"
        with pytest.raises(NotADirectoryError, match="does not exist"):
            await steps.run("true")

    play(scene, tmp_path)


def test_a_gigabyte_of_output_takes_no_memory(tmp_path: Path) -> None:
    kept: list[str] = []

    async def scene(steps: Steps) -> None:
        bounded = Bounded(lambda _, text: kept.append(text), 10_000)
        lines = ByteLines("stdout", bounded)
        tracemalloc.start()
        try:
            outcome = await steps.run(
                *("sh", "-c", "yes $(printf %99s x) | head -c 1000000000; echo the end"),
                sink=lambda _, data: lines.feed(data),
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        bounded.close()
        assert outcome.exit_code == 0
        assert peak < 20 * MB
        text = "".join(kept)
        assert len(text) < 21_000
        assert "characters are left out" in text
        assert text.endswith("the end\n")

    play(scene, tmp_path)


def test_input_and_environment(tmp_path: Path) -> None:
    async def scene(steps: Steps) -> None:
        await steps.run("cat", stdin=b"x" * 1_000_000)
        assert steps.printed["stdout"] == b"x" * 1_000_000
        steps.printed["stdout"].clear()
        await steps.run("cat")  # no input is an empty one
        assert steps.text == ""
        await steps.run("true", stdin=b"x" * 1_000_000)  # nobody has to read it
        odd = os.fsdecode(b"\xff")
        code = "import os; print(os.environ['A'], ascii(os.environ['B']), os.getcwd())"
        await steps.python(code, env={"A": "1", "B": odd, "PATH": os.environ["PATH"]})
        assert steps.text == f"1 '\\udcff' {tmp_path}\n"

    play(scene, tmp_path)


def test_standard_streams_are_all_that_is_passed_on(tmp_path: Path) -> None:
    code = """
import os, signal
print(sorted(os.listdir("/proc/self/fd"))[:-1], os.getsid(0) == os.getpid())
print([number for number in signal.Signals if signal.getsignal(number) == signal.SIG_IGN and number != 13])
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""

    async def scene(steps: Steps) -> None:
        await steps.python(code)
        lines = steps.text.splitlines()
        assert lines == ["['0', '1', '2'] True", f"[{signal.SIGXFSZ!r}]", "set()"]  # as Python itself sets them

    play(scene, tmp_path)


def run_engine(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    program = Path(__file__).with_name("isolation_engine.py")
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [PYTHON, str(program), str(folder), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def wait_until_free(held: Held) -> None:
    """Wait until nobody holds the pipe: a blocking read returns at its end."""
    os.set_blocking(held._end, True)
    assert os.read(held._end, 1) == b""


def test_nothing_outlives_an_engine_that_is_killed(tmp_path: Path) -> None:
    held = Held(tmp_path)
    with run_engine(tmp_path, DAEMONS + "print('up', flush=True)\nos.read(wait, 1)", held.path) as engine:
        assert engine.stdout is not None
        while "up" not in engine.stdout.readline():
            pass
        engine.kill()
    wait_until_free(held)
    # The keepers are ending; their groups are the last that they remove.
    play(lambda steps: steps.run("true"), tmp_path)  # type: ignore[arg-type, return-value]


def test_what_a_killed_keeper_leaves_is_ended(way: str, tmp_path: Path) -> None:
    needs("wall_s", way=way)
    held = Held(tmp_path)

    async def scene(steps: Steps) -> None:
        task = asyncio.create_task(
            steps.python(DAEMONS + "print(os.getppid(), flush=True)\nos.read(wait, 1)", held.path)
        )
        await steps.hears("\n")
        os.kill(int(steps.text), signal.SIGKILL)
        with pytest.raises(KeeperDiedError):
            await task
        await asyncio.to_thread(wait_until_free, held)
        assert groups() == []
        assert (await steps.run("true")).exit_code == 0

    play(scene, tmp_path, less(way))


def test_what_dead_owners_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """As if engine, zygote and keeper had been killed at once."""
    held = Held(tmp_path)
    dead = subprocess.Popen(["true"])
    mine = owners.new_name().split("-")
    abandoned = "-".join([*mine[:3], str(dead.pid), "1", "0badcafe"])
    dead.wait()
    foreign = "-".join([*mine[:2], "1", str(dead.pid), "1", "0badcafe"])  # of another container
    assert owners.is_abandoned(abandoned)
    assert not owners.is_abandoned(foreign)
    assert not owners.is_abandoned(owners.new_name())
    assert not owners.is_abandoned("clew-step-something-else")
    folder = Path(tempfile.gettempdir()) / abandoned
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").touch()
    (folder / "deep").chmod(0)
    places = offered().places
    group = Group(places, abandoned)
    group.make()
    code = f"""
import os, sys, time
held = open(sys.argv[1], "w")
for door in {group.doors!r}:
    open(door, "w").write("0")
print("in", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([PYTHON, "-c", code, held.path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            play(lambda steps: steps.run("true"), tmp_path)  # type: ignore[arg-type, return-value]
            if places:
                assert process.wait(10) == -signal.SIGKILL
                assert held.is_free()
        finally:
            process.kill()
    assert not folder.exists()


def test_a_zygote_that_was_killed_is_replaced(tmp_path: Path) -> None:
    async def scene(steps: Steps) -> None:
        await steps.run("true")
        assert steps.warden._zygote is not None
        steps.warden._zygote.kill()
        steps.warden._zygote.wait()
        assert (await steps.run("true")).exit_code == 0

    play(scene, tmp_path)


def test_a_zygote_that_does_not_come_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(sys, "path", [])
        warden = Warden()
        with pytest.raises(ClewError, match="(?s)did not come up.*No module named"):  # noqa: RUF043
            await warden.mechanisms()
        await warden.close()

    asyncio.run(main())


def test_temporary_folders_are_gone(tmp_path: Path) -> None:
    needs("write")
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    code = """
import os, tempfile
folder = tempfile.mkdtemp()
os.makedirs(folder + "/a/b")
os.symlink("/", folder + "/a/link")
open(folder + "/a/b/file", "w").close()
os.chmod(folder + "/a", 0)
print(os.environ["TMPDIR"])
"""

    async def scene(steps: Steps) -> None:
        await steps.python(code, roots=Roots(write=(str(work),)))
        assert not Path(steps.text.strip()).exists()
        steps.printed["stdout"].clear()
        roots = Roots(write=(str(work),), temporary=False)
        await steps.python("import os; print(os.environ.get('TMPDIR'))", roots=roots, env={"PATH": "/bin"})
        assert steps.text == "None\n"

    play(scene, work)


def test_a_machine_without_anything(tmp_path: Path) -> None:
    """Best effort: nothing is enforced, and the step runs and ends all the same."""
    nothing = msgspec.structs.replace(
        offered(), places={}, landlock=0, network_namespace="", filters=False, notifications=False
    )
    held = Held(tmp_path)

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(
            DAEMONS, held.path, best_effort=True, network=(), cores=0.5, roots=Roots(read=("/usr",))
        )
        assert outcome.exit_code == 0
        assert {*outcome.unenforced} == {"network", "cores", "read"}
        assert held.is_free()

    play(scene, tmp_path, nothing)
