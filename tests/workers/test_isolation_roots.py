"""Steps reach for files outside of their roots, by all ways that there are."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from isolation_bench import Steps, needs, offered, play

from clew.errors import InvalidInputError
from clew.workers.isolation.limits import Roots

pytestmark = pytest.mark.slow

#: Tries a few things, and prints what came of each.
TRYING = """
import os, sys
def attempt(name, do):
    try:
        result = do()
        print(name, "done" if result is None or not isinstance(result, str) else result)
    except OSError as error:
        print(name, type(error).__name__)
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    needs("read", "write")
    for name in ("work", "outside", "data"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
        (tmp_path / name / "file").write_text(name)
        (tmp_path / name / "file").chmod(0o666)
    (tmp_path / "work" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "work" / "link-to-file").symlink_to(tmp_path / "outside" / "file")
    return tmp_path / "work"


def told(steps: Steps) -> dict[str, str]:
    assert steps.errors == ""
    return dict(line.split(" ", 1) for line in steps.text.splitlines())


def test_writing_outside(work: Path) -> None:
    code = (
        TRYING
        + """
out = sys.argv[1]
attempt("inside", lambda: open("new", "w").close())
attempt("folder", lambda: os.mkdir("sub"))
attempt("over", lambda: os.rename("new", "sub/new"))
attempt("absolute", lambda: open(out + "/new", "w"))
attempt("change", lambda: open(out + "/file", "a"))
attempt("dots", lambda: open("../outside/new", "w"))
attempt("link", lambda: open("link/new", "w"))
attempt("file-link", lambda: open("link-to-file", "w"))
os.symlink(out, "own-link")
attempt("own-link", lambda: open("own-link/new", "w"))
attempt("empty", lambda: os.truncate(out + "/file", 0))
attempt("remove", lambda: os.unlink(out + "/file"))
attempt("rename", lambda: os.rename(out + "/file", "stolen"))
attempt("hard-link", lambda: os.link(out + "/file", "stolen"))
attempt("away", lambda: os.rename("file", out + "/given"))
attempt("proc", lambda: open("/proc/self/root" + out + "/new", "w"))
os.chdir(out)
attempt("from-there", lambda: open("new", "w"))
attempt("there", lambda: open("file").read())
"""
    )
    outside = work.parent / "outside"

    async def scene(steps: Steps) -> None:
        await steps.python(code, outside, roots=Roots(write=(str(work),)))
        results = told(steps)
        assert {name for name, result in results.items() if result == "done"} == {"inside", "folder", "over"}
        assert results.pop("there") == "outside"  # reading is not restricted
        # What would give a file more rights than it had is refused as if it were on another disk (EXDEV).
        assert results.pop("hard-link") == "OSError"
        assert {result for result in results.values() if result != "done"} == {"PermissionError"}
        assert os.listdir(outside) == ["file"]  # noqa: PTH208
        assert (outside / "file").read_text() == "outside"
        assert (work / "sub" / "new").exists()

    play(scene, work)


def test_writing_by_a_child_that_left_the_session(work: Path) -> None:
    code = (
        TRYING
        + """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        attempt("link", lambda: open("link/new", "w"))
        sys.stdout.flush()
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
os.wait()
"""
    )

    async def scene(steps: Steps) -> None:
        await steps.python(code, roots=Roots(write=(str(work),)))
        assert told(steps) == {"link": "PermissionError"}

    play(scene, work)


def test_reading_outside(work: Path) -> None:
    code = (
        TRYING
        + """
data, out = sys.argv[1:]
attempt("inside", lambda: open("file").read())
attempt("write", lambda: open("new", "w").close())
attempt("data", lambda: open(data + "/file").read())
attempt("data-list", lambda: os.listdir(data))
attempt("data-write", lambda: open(data + "/new", "w"))
attempt("outside", lambda: open(out + "/file").read())
attempt("dots", lambda: open("../outside/file").read())
attempt("link", lambda: open("link/file").read())
attempt("list", lambda: os.listdir(out))
attempt("shadow", lambda: open("/etc/shadow").read())
attempt("environ", lambda: open(f"/proc/{os.getppid()}/environ").read())
attempt("own-environ", lambda: open("/proc/self/environ").read() and None)
attempt("null", lambda: open("/dev/null", "w").close())
attempt("program", lambda: os.system("true") and None)
"""
    )
    data, outside = work.parent / "data", work.parent / "outside"

    async def scene(steps: Steps) -> None:
        roots = Roots(read=(str(data),), write=(str(work),))
        outcome = await steps.python(code, data, outside, roots=roots, env={"PATH": os.environ["PATH"]})
        assert outcome.mechanisms["read"].startswith("Landlock")
        results = told(steps)
        denied = {"data-write", "outside", "dots", "link", "list", "shadow", "environ"}
        assert {name for name, result in results.items() if result == "PermissionError"} == denied
        assert (results["inside"], results["data"]) == ("work", "data")

    play(scene, work)


def test_programs_outside_cannot_be_run(work: Path) -> None:
    program = work.parent / "outside" / "program"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)

    async def scene(steps: Steps) -> None:
        roots = Roots(read=(str(work),))
        await steps.python(TRYING + "attempt('run', lambda: os.execv(sys.argv[1], ['x']))", program, roots=roots)
        assert told(steps) == {"run": "PermissionError"}

    play(scene, work)


def test_roots_may_be_links_and_files(work: Path) -> None:
    outside = work.parent / "outside"
    code = (
        TRYING
        + "attempt('link', lambda: open('link/file').read())\nattempt('a', lambda: open('../data/file', 'a').close())"  # noqa: E501
    )

    async def scene(steps: Steps) -> None:
        roots = Roots(read=(str(work / "link"),), write=(str(work.parent / "data" / "file"),))
        await steps.python(code, roots=roots)
        assert told(steps) == {"link": "outside", "a": "done"}
        with pytest.raises(InvalidInputError, match="read: .*none does not exist"):  # noqa: RUF043
            await steps.run("true", roots=Roots(read=(str(outside / "none"),)))

    play(scene, work)


def test_without_the_system_nothing_can_be_started(work: Path) -> None:
    from clew.workers.isolation.limits import LaunchError

    async def scene(steps: Steps) -> None:
        with pytest.raises(LaunchError, match="Permission denied"):
            await steps.run("/bin/true", roots=Roots(read=(str(work),), system=False))

    play(scene, work)


def test_local_sockets_outside(work: Path) -> None:
    if not offered().notifications:
        pytest.skip(f"local sockets are not put before a supervisor: {offered().why('notifications')}")
    code = """
import errno, os, socket, sys
for path in sys.argv[1:]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as client:
            try:
                client.connect(path.replace("@", "\\0"))
                client.send(b"hello")
                print(path.rpartition("/")[2], "sent")
            except OSError as error:
                print(path.rpartition("/")[2], errno.errorcode[error.errno])
"""
    with socket.socket(socket.AF_UNIX) as inside, socket.socket(socket.AF_UNIX) as outside:  # noqa: SIM117
        with socket.socket(socket.AF_UNIX) as abstract:
            os.chdir(work)
            inside.bind("inside")
            outside.bind("../outside/out")
            abstract.bind("\0clew-test")
            for each in (inside, outside, abstract):
                each.listen()
                each.setblocking(False)
            (work / "to-out").symlink_to(work.parent / "outside" / "out")
            for path in (work / "inside", work.parent / "outside" / "out"):
                path.chmod(0o777)

            async def scene(steps: Steps) -> None:
                paths = ("inside", f"{work}/inside", "../outside/out", "to-out", "@clew-test", "none")
                outcome = await steps.python(code, *paths, roots=Roots(write=(str(work),)))
                assert steps.errors == ""
                assert steps.text.splitlines() == [
                    *("inside sent", "inside EPROTOTYPE"),
                    *("inside sent", "inside EPROTOTYPE"),
                    *("out EACCES", "out EACCES"),
                    *("to-out EACCES", "to-out EACCES"),
                    *("@clew-test EACCES", "@clew-test EACCES"),
                    *("none ENOENT", "none ENOENT"),
                ]
                assert any("outside of the write roots" in text for text in outcome.refused)
                for _ in range(2):
                    inside.accept()[0].close()
                for each in (inside, outside, abstract):
                    with pytest.raises(BlockingIOError):
                        each.accept()

            play(scene, work)


def test_others_are_out_of_reach(work: Path) -> None:
    """A step can neither signal nor trace processes that are not its own, nor leave its group, nor mount."""
    if offered().landlock < 6:
        pytest.skip("signals are held back by Landlock from version 6 on")
    code = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
other = int(sys.argv[1])
for name, pid in (("other", other), ("keeper", os.getppid())):
    try:
        os.kill(pid, 0)
        print(name, "signalled")
    except PermissionError:
        print(name, "not signalled")
print("traced" if libc.ptrace(16, other, 0, 0) == 0 else "not traced")
print("mounted" if libc.mount(b"none", sys.argv[2].encode(), b"tmpfs", 0, None) == 0 else "not mounted")
for door in sys.argv[3:]:
    try:
        open(door, "w").write("0")
        print("left")
    except OSError:
        print("stayed")
"""
    doors = sorted({f"{place.folder}/cgroup.procs" for place in offered().places.values()})
    with subprocess.Popen(["sleep", "600"]) as other:

        async def scene(steps: Steps) -> None:
            await steps.python(code, other.pid, work, *doors, wall_s=60)
            assert steps.errors == ""
            assert steps.text.split("\n")[:4] == [
                "other not signalled",
                "keeper not signalled",
                "not traced",
                "not mounted",
            ]
            assert "left" not in steps.text

        try:
            play(scene, work)
        finally:
            other.kill()
