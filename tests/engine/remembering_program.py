"""A program that dies: python remembering_program.py DATABASE FOLDER DIES. It stores, edits a file, fails, undoes.

It kills itself at the call number DIES of those by which the memory is changed and changes are taken back: odd
numbers die before the journal is asked, even ones when it has answered and nobody has heard of that. And it dies
once in the middle of editing its file, and once in the middle of putting that back.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from clew import Context, Engine, Graph, RunFailedError, fixed, memory, restore
from clew import Retry as Again
from clew.journal.entries import Act, Cause
from clew.journal.sqlite import SqliteJournal

NAMES = "names"


def die() -> None:
    """End at once, as a power cut would have it."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(marker: Path) -> None:
    """Die, but not again."""
    if not marker.exists():
        marker.touch()
        die()


class Mortal(SqliteJournal):
    """Dies at one of the changes of the memory."""

    def __init__(self, path: Path, dies: int) -> None:
        super().__init__(path, "process")
        self._left = dies

    def _age(self) -> None:
        self._left -= 1
        if self._left == 0:
            die()

    async def remember(self, act: Act) -> bool:
        self._age()
        existed = await super().remember(act)
        self._age()
        return existed

    async def take_back(self, cause: Cause) -> int:
        self._age()
        undone = await super().take_back(cause)
        self._age()
        return undone


async def talk(ctx: Context) -> list[bool]:
    names = ctx.memory(NAMES)
    return [await names.store("bob", 2), await names.delete("ann"), await names.update("bob", 3)]


async def edit(folder: str) -> None:
    """Dies with half of its work done, the first time."""
    Path(folder, "a.txt").write_text("half")
    Path(folder, "new").touch()
    die_once(Path(folder, "edited"))
    Path(folder, "a.txt").write_text("all")


async def fails(after: object) -> None:
    raise ValueError("on purpose")


def graph() -> Graph:
    """Store, talk, edit, fail; and undo all that."""
    g = Graph("g", rollback=True)
    folder = g.input("folder", str)
    stored = g.add(memory("store", namespace=NAMES, key="ann", value=1), id="store")
    talked = g.add(talk, depends_on=[stored])
    again = Again(max_attempts=3, backoff=fixed(0))
    put_back = restore("{{ folder }}/a.txt", "{{ folder }}/new")
    edited = g.add(edit, folder, compensate=put_back, retry=again, depends_on=[talked])
    g.add(fails, edited)
    return g


async def main(database: str, folder: str, dies: int) -> None:
    """Start the run or go on with it, and say how it ended and what is left."""
    original = os.fsync

    def die_while_putting_back(descriptor: int) -> None:
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith(folder):
            die_once(Path(folder, "put"))
        original(descriptor)

    os.fsync = die_while_putting_back
    async with Engine(Mortal(Path(database), dies), graphs=[graph()]) as engine:
        run = await engine.start(graph(), {"folder": folder}, id="r")
        with contextlib.suppress(RunFailedError):
            await run.result()
        print((await run.status()).state, *await engine.memory(NAMES).keys(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
