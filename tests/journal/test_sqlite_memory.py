"""The memory in a SQLite file that several processes use."""

import asyncio
import sys
from pathlib import Path

import pytest
from journal_samples import append, held, write
from memory_samples import act, by, keys, store
from memory_samples import held as kept

from clew.errors import StorageError
from clew.journal.entries import Query
from clew.journal.sqlite import SqliteJournal

STORES = """
import asyncio, sys
from pathlib import Path
from clew.journal.entries import Act, Query
from clew.journal.sqlite import SqliteJournal


async def main(path, name):
    journal = SqliteJournal(Path(path), "process")
    await journal.open()
    print("here", flush=True)
    for number in range(40):
        await journal.remember(Act(operation="store", namespace="n", key=f"{name}{number}", data=b"1"))
        data = b'{"%s":%d}' % (name.encode(), number)
        await journal.remember(Act(operation="update", namespace="n", key="shared", data=data))
        await journal.entries(Query(namespace="n", text="missing"))
    await journal.close()


asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.mark.slow
async def test_processes_share_it(path: Path, sqlite: SqliteJournal) -> None:
    await store(sqlite, "shared", b"{}")
    programs = [
        asyncio.create_subprocess_exec(sys.executable, "-c", STORES, path, name, stdout=asyncio.subprocess.PIPE)
        for name in "ab"
    ]
    for process in await asyncio.gather(*programs):
        out, _ = await process.communicate()
        assert (process.returncode, out) == (0, b"here\n")
    assert await kept(sqlite, "shared") in ('{"a":39,"b":39}', '{"b":39,"a":39}')
    found = await sqlite.entries(Query(namespace="n", limit=1_000))
    assert len({entry.number for entry in found}) == len(found) == 81
    (space,) = await sqlite.spaces()
    assert (space.entries, space.bytes) == (81, sum(len(e.key) + len(e.data or "") for e in found))


async def test_who_reads_does_not_wait_for_who_writes(path: Path, sqlite: SqliteJournal) -> None:
    await write(sqlite, append("r", 0))
    await store(sqlite, "k", b"1", cause=by("a"))
    with held(path, "BEGIN IMMEDIATE") as let_go:
        assert await keys(sqlite, text="k") == ["k"]
        assert await kept(sqlite, "k") == "1"
        with pytest.raises(StorageError, match="another process is holding the database"):
            await store(sqlite, "k", b"2", cause=by("b"))
        with pytest.raises(StorageError, match="another process is holding the database"):
            await sqlite.take_back(by("a"))
        let_go()
    assert await store(sqlite, "k", b"2", cause=by("b")) is True
    assert [change.cause.path for change in await sqlite.changes("r")] == ["a", "b"]


async def test_a_search_makes_no_file(path: Path, sqlite: SqliteJournal) -> None:
    await store(sqlite, "k", b"1")
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(StorageError, match="deleted or replaced while it was open"):
        await sqlite.entries(Query(namespace="n"))
    assert not path.exists()
    path.with_name("elsewhere.db").rename(path)
    assert await keys(sqlite) == ["k"]
    assert await sqlite.remember(act("delete", "k")) is True


async def test_damage_is_told(path: Path, sqlite: SqliteJournal) -> None:
    for number in range(200):
        await store(sqlite, f"k{number}", b'"%s"' % (b"x" * 1_000))
    await sqlite.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    await sqlite.open()
    with pytest.raises(StorageError, match="the database is damaged"):
        await sqlite.entries(Query(namespace="n", limit=1_000))
