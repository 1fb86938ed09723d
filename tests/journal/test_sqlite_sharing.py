"""What must be atomic between processes, tried with real ones: keys, and deleting what somebody drives."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from journal_samples import append, commit, write

from clew.errors import RunBusyError, RunFencedError, UnknownRunError
from clew.journal.ownership import this_process
from clew.journal.records import KeyHolder
from clew.journal.sqlite import SqliteJournal

#: Takes the keys named on its input for one run, and says of each who has it; then gives them all back.
TAKER = """
import asyncio, pathlib, sys
from clew.journal.records import Append, RunRow
from clew.journal.sqlite import SqliteJournal

async def main(path, run):
    journal = SqliteJournal(pathlib.Path(path), "process")
    await journal.open()
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        holder = await journal.take_key(run, "n", line.strip())
        print(holder.run if holder else run, flush=True)
    done = loop.create_future()
    journal.commit([Append(row=RunRow(run=run, seq=1), after=1, events=[], freed=["n"])], done.set_result)
    assert await done == [None]
    await journal.close()

asyncio.run(main(*sys.argv[1:]))
"""

#: Owns a run, and goes on with it for each line of its input until it is refused.
DRIVER = """
import asyncio, pathlib, sys
from clew.journal.ownership import this_process
from clew.journal.records import Append
from clew.journal.sqlite import SqliteJournal
from clew.kernel.events import RetryDue

async def main(path, run):
    journal = SqliteJournal(pathlib.Path(path), "process")
    await journal.open()
    owner = this_process("driver")
    loop = asyncio.get_running_loop()
    row = await journal.acquire(run, owner, 100.0)
    print("ready", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        row.seq += 1
        done = loop.create_future()
        journal.commit([Append(row=row, after=row.seq - 1, events=[RetryDue(at=1.0, path="n")])], done.set_result)
        (outcome,) = await done
        print(type(outcome).__name__, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@contextmanager
def program(code: str, path: Path, run: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has opened the journal, and ends when its input does."""
    command = [sys.executable, "-c", code, str(path), run]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def tell(process: subprocess.Popen[str], line: str) -> None:
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


async def opened(path: Path, *runs: str) -> SqliteJournal:
    journal = SqliteJournal(path, "process")
    await journal.open()
    await write(journal, *(append(run, 0, state="running") for run in runs))
    return journal


@pytest.mark.slow
def test_of_many_processes_one_has_a_key(path: Path) -> None:
    names = [f"r{i}" for i in range(4)]
    keys = [f"k{i}" for i in range(60)]
    journal = asyncio.run(opened(path, *names))
    with ExitStack() as stack:
        takers = [stack.enter_context(program(TAKER, path, name)) for name in names]
        said: list[list[str]] = []
        for number, key in enumerate(keys):
            # All of them are waiting for the line; whoever is told first is another one each time.
            for place in range(len(takers)):
                tell(takers[(number + place) % len(takers)], key)
            said.append([taker.stdout.readline().strip() for taker in takers])
        held = dict(asyncio.run(journal.keys()))
        assert set(held) == set(keys)
        for key, answers in zip(keys, said, strict=True):
            assert set(answers) == {held[key].run}
    assert asyncio.run(journal.keys()) == []
    asyncio.run(journal.close())


@pytest.mark.slow
def test_a_key_of_a_killed_process_is_held_until_its_run_has_ended(path: Path) -> None:
    journal = asyncio.run(opened(path, "a", "b"))
    with program(TAKER, path, "a") as taker:
        tell(taker, "k")
        assert taker.stdout.readline() == "a\n"
        taker.kill()
        taker.wait()
    assert asyncio.run(journal.take_key("b", "n", "k")) == KeyHolder("a", "n")
    # Whoever takes the run over has the key with it.
    assert asyncio.run(journal.take_key("a", "n", "k")) is None
    asyncio.run(write(journal, append("a", 1, state="failed", ended_at=1.0)))
    assert asyncio.run(journal.take_key("b", "n", "k")) is None
    asyncio.run(journal.close())


@pytest.mark.slow
def test_a_run_is_not_deleted_under_a_living_process(path: Path) -> None:
    journal = asyncio.run(opened(path, "a"))
    with program(DRIVER, path, "a") as driver:
        with pytest.raises(RunBusyError, match=f"process {driver.pid}"):
            asyncio.run(journal.delete("a", 100.0))
        tell(driver, "go on")
        assert driver.stdout.readline() == "NoneType\n"
        # Its lease is over, as if it had been paused: what it still writes is refused.
        asyncio.run(journal.delete("a", 200.0))
        tell(driver, "go on")
        assert driver.stdout.readline() == f"{RunFencedError.__name__}\n"
    assert asyncio.run(journal.read("a")) == []
    asyncio.run(journal.close())


@pytest.mark.slow
def test_a_run_of_a_killed_process_is_deleted_at_once(path: Path) -> None:
    journal = asyncio.run(opened(path, "a"))
    with program(DRIVER, path, "a") as driver:
        driver.kill()
        driver.wait()
    asyncio.run(journal.delete("a", 100.0))
    assert asyncio.run(journal.row("a")) is None
    asyncio.run(journal.close())


async def test_two_connections_see_each_others_keys_and_deletions(path: Path) -> None:
    mine, other = await opened(path, "a", "b"), await opened(path)
    answers = await asyncio.gather(mine.take_key("a", "n", "k"), other.take_key("b", "n", "k"))
    assert sorted(answer is None for answer in answers) == [False, True]
    ((_, holder),) = await other.keys()
    assert holder in answers
    # Deleting and taking over at the same moment: one of both comes first, and the other is told.
    outcomes = await asyncio.gather(
        mine.delete("a", 100.0), other.acquire("a", this_process(), 100.0), return_exceptions=True
    )
    row = await mine.row("a")
    if row is None:
        assert isinstance(outcomes[1], UnknownRunError)
    else:
        assert isinstance(outcomes[0], RunBusyError)
    await mine.close()
    await other.close()


async def test_a_driver_of_a_deleted_run_is_told_so(path: Path) -> None:
    mine, other = await opened(path, "a"), await opened(path)
    await other.delete("a", 100.0)
    (outcome,) = await commit(mine, append("a", 1))
    assert isinstance(outcome, RunFencedError)
    assert "run a is not in the journal any more" in str(outcome)
    with pytest.raises(UnknownRunError):
        await mine.take_key("a", "n", "k")
    await mine.close()
    await other.close()
