"""When the engine's process is killed, its worker processes and all they have started end with it."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest


def ended(fifo: int) -> bool:
    """Whether nobody holds the writing end of a pipe any more; waits for it."""
    os.set_blocking(fifo, True)
    return os.read(fifo, 1) == b""


@pytest.fixture
def fifo(tmp_path: Path) -> tuple[str, int]:
    path = tmp_path / "held"
    os.mkfifo(path)
    return str(path), os.open(path, os.O_RDONLY | os.O_NONBLOCK)


SCRIPT = """
import asyncio
import sys
from clew.bodies.groups import ProcessGroups
from clew.workers.processes import ProcessPool
from clew.workers.protocol import Job

def work(ctx):
    import os, subprocess
    print(__name__ == "__main__")
    held = open(sys.argv[1] if len(sys.argv) > 1 else os.environ["HELD"], "w")
    subprocess.Popen(["sleep", "1000"], pass_fds=(held.fileno(),))
    ctx.emit(os.getpid())
    while True:
        pass  # never lets another thread of its process run for long

async def main():
    groups = ProcessGroups()
    pool = ProcessPool(1, groups)
    show = lambda *what: print(*what, flush=True)
    job = Job(ref="__main__:work", script=__file__)
    await pool.run(job, sink=show, on_emit=lambda item: show(bytes(item).decode()))

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_processes_do_not_outlive_their_engine(fifo: tuple[str, int], tmp_path: Path) -> None:
    path, end = fifo
    script = tmp_path / "program.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "HELD": path}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        said = [parent.stdout.readline().decode().strip() for _ in range(3)]
        assert "stdout False" in said  # the script was run under another name
        pid = int(next(filter(str.isdecimal, said)))
        exited = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        parent.kill()
        assert ended(end)  # the program that the body has started is gone, too
        if exited is not None:
            assert select.select([exited], [], [], 60)[0]
            os.close(exited)
