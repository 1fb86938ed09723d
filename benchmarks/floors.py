"""The floors: the least that a program without Clew does for the same work.

The work that a user sees is: a task for each node, that gets the values of the nodes before it. Three floors:

- *bare*: asyncio tasks, nothing else;
- *each*: the same, and each node makes one SQLite commit of a row of 200 bytes when it is done, on the loop's
  thread, before its value goes on;
- *grouped*: the same, but what is done in one turn of the loop shares a commit; a value goes on when it is on
  disk. Nobody who keeps every value can do with fewer commits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.workloads import FILL, Shape, one, total

#: Bytes of a stored row.
ROW = 200
#: How long a store waits for other processes that write, in seconds.
PATIENCE_S = 60.0

Keep = Callable[[int], Awaitable[None]]


class Store:
    """One SQLite file that values are kept in.

    Args:
        path: a file, which other processes may use as well.
        synchronous: FULL or NORMAL, as in the mode of the engine that it is compared with.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE_S)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        self._connection.execute("CREATE TABLE IF NOT EXISTS done (id INTEGER PRIMARY KEY, data TEXT)")
        self._rows: list[tuple[str]] = []
        self._group: asyncio.Future[None] | None = None

    def grow(self) -> None:
        """Bring the file into the state of one in use, see `workloads.grown`."""
        self._connection.execute("INSERT INTO done (data) VALUES (?)", ("x" * FILL,))

    async def each(self, value: int) -> None:
        """Keep a value with a commit of its own."""
        self.keep(value)

    def keep(self, value: int) -> None:
        """The same."""
        self._connection.execute("INSERT INTO done (data) VALUES (?)", (f"{value:{ROW}}",))

    async def grouped(self, value: int) -> None:
        """Keep a value with what else is done in this turn of the loop."""
        self._rows.append((f"{value:{ROW}}",))
        if self._group is None:
            loop = asyncio.get_running_loop()
            self._group = loop.create_future()
            loop.call_soon(self._commit)
        await self._group

    def _commit(self) -> None:
        rows, self._rows = self._rows, []
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO done (data) VALUES (?)", rows)
        self._connection.execute("COMMIT")
        assert self._group is not None
        self._group.set_result(None)
        self._group = None

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


async def run(shape: Shape, keep: Keep | None = None) -> list[int]:
    """Run a graph as tasks that await each other; the value of each node."""
    tasks: list[asyncio.Task[int]] = []

    async def node(needs: tuple[int, ...]) -> int:
        values = [await tasks[need] for need in needs]
        value = await total(values) if len(values) > 1 else await one(*values)
        if keep is not None:
            await keep(value)
        return value

    tasks.extend(asyncio.create_task(node(needs)) for needs in shape.needs)
    return [await task for task in tasks]


async def run_map(n: int, width: int, keep: Keep | None = None) -> list[int]:
    """The body of a map over `n` items, `width` of them at once."""
    free = asyncio.Semaphore(width)

    async def item(x: int) -> int:
        async with free:
            value = await one(x)
            if keep is not None:
                await keep(value)
            return value

    return await asyncio.gather(*(asyncio.create_task(item(x)) for x in range(n)))
