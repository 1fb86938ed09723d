"""Several processes on one SQLite file: how many small runs they make together.

``python -m benchmarks.processes SUBJECT MODE PATH RUNS`` is one of them. It makes a few runs, says `ready`, waits
for a line, makes its runs and tells how long it took. The clock that counts is that of the process that has
started all of them: from the line to the last answer.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Self

import msgspec

from benchmarks import floors
from benchmarks.plan import PATIENCE_S, ROOT, SYNCHRONOUS, Case
from benchmarks.workloads import UNLIMITED, chain, grown, many
from clew.engine.engine import Engine
from clew.journal.opening import journal_for
from clew.journal.records import RunFilter

#: Runs of each process, and how many it makes before it is ready.
RUNS, WARM_RUNS = 1_000, 20


async def processes(case: Case, folder: Path) -> dict[str, float]:
    """Let `case.nodes` processes make their runs at the same time."""
    path = folder / "shared.db"
    await make_file(case, path)
    command = [sys.executable, "-m", "benchmarks.processes", case.subject, case.mode, str(path), str(RUNS)]
    with ExitStack() as stack:
        errors = stack.enter_context(TemporaryFile("w+"))
        started = [stack.enter_context(Worker(command, errors)) for _ in range(case.nodes)]
        for worker in started:
            worker.wait_for("ready")
        start = time.perf_counter()
        for worker in started:
            worker.go()
        each = [float(worker.wait_for("done")) for worker in started]
        seconds = time.perf_counter() - start
        for worker in started:
            worker.wait_ended()
        errors.seek(0)
        said = errors.read()
    if "locked" in said or "Traceback" in said:
        raise SystemExit(f"{case}: a process has complained\n{said}")
    units = case.nodes * RUNS
    if case.subject == "clew":
        ended = await completed(path)
        assert ended == units + case.nodes * WARM_RUNS + 1, f"{ended} runs have completed"
    return {"seconds": seconds, "units": units, "quickest": min(each), "slowest": max(each)}


async def make_file(case: Case, path: Path) -> None:
    """A file in the state of one in use."""
    if case.subject == "clew":
        async with Engine(f"sqlite:///{path}", durability=case.mode) as engine:
            await (await engine.start(grown())).result()
    else:
        store = floors.Store(path, SYNCHRONOUS[case.mode])
        store.grow()
        store.close()


async def completed(path: Path) -> int:
    """How many runs of a journal have completed."""
    journal = journal_for(f"sqlite:///{path}")
    await journal.open()
    try:
        return await journal.count(RunFilter(states=("completed",)))
    finally:
        await journal.close()


class Worker:
    """A process that this one has started.

    Args:
        command: what it runs.
        errors: takes what it complains about.
    """

    def __init__(self, command: list[str], errors: IO[str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def wait_for(self, word: str) -> str:
        """Wait for a line that begins with a word; what comes after it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(word):
            raise SystemExit(f"process {self._process.pid} has said {line!r} instead of {word!r}")
        return line.removeprefix(word).strip()

    def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        print("go", file=self._process.stdin, flush=True)

    def wait_ended(self) -> None:
        """Wait for its end."""
        if code := self._process.wait(PATIENCE_S):
            raise SystemExit(f"process {self._process.pid} has ended with {code}")


async def clew(mode: str, path: Path, runs: int) -> None:
    """Small runs by an engine of this process."""
    graph = chain(3).graph()

    async with Engine(f"sqlite:///{path}", durability=mode, max_concurrency=UNLIMITED) as engine:

        async def single() -> None:
            result = await (await engine.start(graph)).result()
            assert result["n2"] == 3

        await at_the_word(single, runs)


async def bare(subject: str, mode: str, path: Path, runs: int) -> None:
    """The same without Clew."""
    store = floors.Store(path, SYNCHRONOUS[mode])
    keep = store.each if subject == "each" else store.grouped
    shape = chain(3)

    async def single() -> None:
        assert (await floors.run(shape, keep))[-1] == 3

    await at_the_word(single, runs)
    store.close()


async def at_the_word(single: Callable[[], Awaitable[None]], runs: int) -> None:
    """Make some runs, wait for the word, make all of them."""
    await many(WARM_RUNS, single)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    start = time.perf_counter()
    await many(runs, single)
    print("done", msgspec.json.encode(time.perf_counter() - start).decode(), flush=True)


def main() -> None:
    """Be one of the processes."""
    subject, mode, path, runs = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(clew(mode, path, runs) if subject == "clew" else bare(subject, mode, path, runs))


if __name__ == "__main__":
    main()
