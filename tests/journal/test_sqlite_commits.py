"""How the SQLite journal commits: here or in its thread, whole or not at all, whatever happens to the disk."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from journal_samples import append, blob, commit, held, some_events, write

from clew.errors import RunFencedError, StorageError
from clew.journal.records import Append, Owner
from clew.journal.sqlite import INLINE_APPENDS, INLINE_BYTES, INLINE_EVENTS, INLINE_LIMIT_S, SqliteJournal
from clew.journal.sqlite_file import LockedError
from clew.kernel import events as e

SLOW = 1.0


def commit_at_once(journal: SqliteJournal, *appends: Append) -> bool:
    """Commit; whether the outcome was there when `commit` returned."""
    seen: list[object] = []
    journal.commit(appends, seen.extend)
    return bool(seen)


async def settled(journal: SqliteJournal) -> None:
    """Wait for what the writer's thread was given."""
    await journal.release("none", Owner("", "", 0, ""))


async def test_a_quick_commit_is_made_at_once(sqlite: SqliteJournal) -> None:
    assert commit_at_once(sqlite, append("a", 0))
    assert sqlite._commit_s > 0
    assert len(await sqlite.read("a")) == 1


class Clock:
    """A clock on which each commit takes what the test says."""

    def __init__(self, commit_s: float) -> None:
        self.commit_s = commit_s
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += self.commit_s
        return self.now


async def test_a_slow_disk_moves_commits_to_the_thread_and_back(
    sqlite: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(2 * INLINE_LIMIT_S)
    monkeypatch.setattr("clew.journal.sqlite.time", clock)
    here = []
    for seq in range(40):
        clock.commit_s = INLINE_LIMIT_S * (2 if seq < 20 else 0.5)
        here.append(commit_at_once(sqlite, append("a", seq)))
        await settled(sqlite)
        assert len(await sqlite.read("a")) == seq + 1
    changes = [seq for seq in range(1, 40) if here[seq] != here[seq - 1]]
    assert here[0]
    assert len(changes) == 2
    assert changes[0] < 10
    assert 20 < changes[1] < 40


async def test_what_events_take_does_not_pass_for_a_slow_disk(
    sqlite: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clew.journal.sqlite.time", Clock(2 * INLINE_LIMIT_S))
    for seq in range(0, 20_000, 2_000):
        await write(sqlite, append("a", seq, 2_000))
    assert sqlite._commit_s < INLINE_LIMIT_S


@pytest.mark.parametrize(
    "large",
    [
        [append(f"r{i}", 0) for i in range(INLINE_APPENDS + 1)],
        [append("r0", 0, INLINE_EVENTS + 1)],
        [append("r0", 0, blobs=[blob(bytes(INLINE_BYTES + 1))])],
    ],
    ids=["appends", "events", "bytes"],
)
async def test_a_large_commit_is_made_in_the_thread(sqlite: SqliteJournal, large: list[Append]) -> None:
    assert not commit_at_once(sqlite, *large)
    await settled(sqlite)
    assert await sqlite.row("r0") is not None
    sqlite._commit_s = 0.0
    assert commit_at_once(sqlite, append("b", 0))


@pytest.mark.parametrize("measured", [0.0, SLOW], ids=["here", "in the thread"])
async def test_both_paths_do_the_same(sqlite: SqliteJournal, measured: float) -> None:
    sqlite._commit_s = measured
    first = await commit(sqlite, append("a", 0), append("b", 0), append("a", 0))
    sqlite._commit_s = measured
    second = await commit(sqlite, append("a", 1), append("b", 7), append("a", 2, epoch=5), append("a", 2))
    assert [type(outcome).__name__ for outcome in first] == ["NoneType", "NoneType", "RunConflictError"]
    assert [type(outcome).__name__ for outcome in second] == [
        *("NoneType", "RunFencedError", "RunFencedError", "NoneType")
    ]
    assert len(await sqlite.read("a")) == 3


@pytest.mark.parametrize("measured", [0.0, SLOW], ids=["here", "in the thread"])
async def test_what_cannot_be_stored_is_undone_alone(sqlite: SqliteJournal, measured: float) -> None:
    sqlite._commit_s = measured
    bad = append("b", 0, [*some_events(2_500), e.RunPaused(at=1.0, by="\udcff")], blobs=[blob(b"1")])
    outcomes = await commit(sqlite, append("a", 0), bad, append("c", 0))
    assert [outcome is None for outcome in outcomes] == [True, False, True]
    assert "run b: what happened in it cannot be stored" in str(outcomes[1])
    assert isinstance(outcomes[1], StorageError)
    assert [row.run for row in await sqlite.rows()] == ["c", "a"]
    assert await sqlite.read("b") == []


async def test_an_error_in_a_transaction_undoes_all_of_it(sqlite: SqliteJournal) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE runs SET note = 'x'")
        raise KeyError

    await write(sqlite, append("a", 0))
    with pytest.raises(KeyError):
        await sqlite._db.write_async(work)
    row = await sqlite.row("a")
    assert row is not None
    assert row.note == ""
    await write(sqlite, append("a", 1))


async def test_an_error_of_whoever_is_told_reaches_him(sqlite: SqliteJournal) -> None:
    """What `done` raises is its own affair: the commit stands, and the journal goes on."""

    def done(_outcomes: list[Exception | None]) -> None:
        raise StorageError("of the caller")

    with pytest.raises(StorageError, match="of the caller"):
        sqlite.commit([append("a", 0)], done)
    raised: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: raised.append(context))
    sqlite.commit([append("a", 1, 1_000)], done)
    await settled(sqlite)
    assert [str(context["exception"]) for context in raised] == ["of the caller"]
    assert len(await sqlite.read("a", 0, 5_000)) == 1_001
    await write(sqlite, append("a", 1_001))


async def test_a_page_that_fails_to_be_read_holds_up_nothing(sqlite: SqliteJournal) -> None:
    await write(sqlite, append("a", 0), append("b", 0))
    await write(sqlite, append("a", 1))
    with closing(sqlite3.connect(sqlite._db.path, isolation_level=None)) as connection:
        connection.execute("UPDATE events SET version = 99 WHERE seq = 1 AND run = 1")
    with pytest.raises(StorageError) as caught:
        await sqlite.read("a")
    await write(sqlite, append("b", 1))
    assert len(await sqlite.read("b")) == 2
    assert "newer Clew" in str(caught.value)


# Other processes ---------------------------------------------------------------------------------------


async def test_a_process_that_keeps_the_database_is_told(sqlite: SqliteJournal) -> None:
    await write(sqlite, append("a", 0))
    with held(sqlite._db.path, "BEGIN IMMEDIATE") as let_go:
        outcomes = await commit(sqlite, append("a", 1), append("b", 0))
        assert [type(outcome) for outcome in outcomes] == [LockedError] * 2
        assert "another process is holding the database; end it or wait" in str(outcomes[0])
        assert len(await sqlite.read("a")) == 1
        let_go()
    await write(sqlite, append("a", 1), append("b", 0))


async def test_another_process_is_waited_for_off_the_loop(path: Path) -> None:
    journal = SqliteJournal(path, "process", busy_s=20)
    await journal.open()
    await write(journal, append("a", 0))
    outcomes: list[object] = []
    with held(path, "BEGIN IMMEDIATE") as let_go:
        journal.commit([append("a", 1)], outcomes.extend)
        assert outcomes == []
        let_go()
    await settled(journal)
    assert outcomes == [None]
    journal._commit_s = 0.0
    assert commit_at_once(journal, append("a", 2))
    await journal.close()


async def test_what_another_connection_writes_is_noticed(path: Path) -> None:
    mine, other = SqliteJournal(path), SqliteJournal(path, "process")
    await mine.open()
    await other.open()
    versions = [mine.version()]
    await write(mine, append("a", 0))
    versions.append(mine.version())
    await mine.post("a", b"1", 1.0, "")
    versions.append(mine.version())
    assert len({*versions}) == 1
    await other.post("a", b"2", 1.0, "")
    assert mine.version() != versions[0]
    assert len(await mine.inbox("a")) == 2
    assert mine.version() == mine.version()
    await mine.close()
    await other.close()


async def test_a_run_taken_over_by_another_connection_is_fenced(path: Path) -> None:
    mine, other = SqliteJournal(path, "process"), SqliteJournal(path, "process")
    await mine.open()
    await other.open()
    await write(mine, append("a", 0, owner="gone"), append("b", 0))
    await other.acquire("a", Owner("new", "h", 1, "1"), 1.0)
    fenced, well = await commit(mine, append("a", 1), append("b", 1))
    assert isinstance(fenced, RunFencedError)
    assert "epoch 2 instead of 1" in str(fenced)
    assert well is None
    await mine.close()
    await other.close()


# The disk ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measured", [0.0, SLOW], ids=["here", "in the thread"])
async def test_a_full_disk_is_told_and_loses_nothing(sqlite: SqliteJournal, measured: float) -> None:
    await write(sqlite, append("a", 0))

    def limit(pages: int) -> None:
        sqlite._db._writer.execute(f"PRAGMA max_page_count = {pages}")

    limit(60)
    seq, outcome = 1, None
    while outcome is None:
        sqlite._commit_s = measured
        last = await commit(sqlite, append("a", seq, 100), append(f"r{seq}", 0))
        outcome, other = last
        seq += 0 if outcome else 100
        assert (outcome is None) == (other is None)
    assert "is full; make room, then resume: nothing acknowledged is lost" in str(outcome)
    assert len(await sqlite.read("a", 0, 100_000)) == seq
    limit(10_000)
    await write(sqlite, append("a", seq, 100))
    assert len(await sqlite.read("a", 0, 100_000)) == seq + 100


@pytest.mark.parametrize("measured", [0.0, SLOW], ids=["here", "in the thread"])
async def test_a_file_that_is_gone_takes_no_more_appends(sqlite: SqliteJournal, measured: float) -> None:
    path = sqlite._db.path
    await write(sqlite, append("a", 0))
    away = path.rename(path.with_name("away.db"))
    for replaced in (False, True):
        if replaced:
            path.write_bytes(b"something else")
        sqlite._commit_s = measured
        (outcome,) = await commit(sqlite, append("a", 1))
        assert isinstance(outcome, StorageError)
        assert "deleted or replaced while it was open; nothing is written" in str(outcome)
        with pytest.raises(StorageError, match="Put it back"):
            await sqlite.post("a", b"1", 1.0, "")
    assert path.read_bytes() == b"something else"
    away.rename(path)
    await write(sqlite, append("a", 1))


async def test_a_relative_path_is_that_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = SqliteJournal(Path("clew.db"))
    await journal.open()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    await write(journal, append("a", 0))
    await journal.close()
    assert not [*Path().iterdir()]


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("process", 1)])
async def test_the_durability_is_that_of_the_file(path: Path, durability: str, synchronous: int) -> None:
    journal = SqliteJournal(path, durability)
    await journal.open()
    assert journal._db._writer.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert journal._db._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    await journal.close()


# A killed process --------------------------------------------------------------------------------------

APPEND = """
import asyncio, os, pathlib, sys
from clew.journal.sqlite import SqliteJournal
from clew.journal.records import Append, Blob, RunRow, Snapshot
from clew.kernel.events import RetryDue
from clew import codec

def blob(seq):
    data = b"%d" % seq + b"x" * (seq % 3_000)
    return Blob(codec.digest(data), data)

async def main(path, durability, measured):
    journal = SqliteJournal(pathlib.Path(path), durability)
    await journal.open()
    loop = asyncio.get_running_loop()
    for seq in range(1, 1_000_000):
        events = [RetryDue(at=float(seq), path=f"n{seq}")]
        append = Append(
            row=RunRow(run="a", seq=seq), after=seq - 1, events=events,
            blobs=[blob(seq)], snapshot=Snapshot(seq, b"%d" % seq),
        )
        done = loop.create_future()
        journal._commit_s = float(measured)
        journal.commit([append], done.set_result)
        assert await done == [None]
        os.write(1, b"%d\\n" % seq)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("measured", ["0", "1"], ids=["here", "in the thread"])
@pytest.mark.parametrize("durability", ["full", "process"])
def test_a_killed_process_loses_nothing_acknowledged(path: Path, durability: str, measured: str) -> None:
    chance = random.Random(durability + measured)
    for trial in range(4):
        place = path.with_name(f"{trial}.db")
        child = subprocess.Popen(
            [sys.executable, "-c", APPEND, place, durability, measured], stdout=subprocess.PIPE, text=True
        )
        wanted = chance.choice([1, 2, 30, 400])
        acknowledged = 0
        for line in child.stdout:
            acknowledged = int(line)
            if acknowledged == wanted:
                os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        asyncio.run(check_survivor(place, durability, acknowledged))


async def check_survivor(path: Path, durability: str, acknowledged: int) -> None:
    journal = SqliteJournal(path, durability)
    await journal.open()
    row = await journal.row("a")
    assert row is not None
    # At most the append under way is there without having been acknowledged.
    assert acknowledged <= row.seq <= acknowledged + 1
    recorded = await journal.read("a", 0, 1_000_000)
    assert [(one.seq, one.event.path) for one in recorded] == [(i, f"n{i}") for i in range(1, row.seq + 1)]
    snapshot = await journal.snapshot("a")
    assert snapshot is not None
    assert (snapshot.seq, snapshot.data) == (row.seq, b"%d" % row.seq)
    data, unknown = (blob(b"%d" % seq + b"x" * (seq % 3_000)) for seq in (row.seq, row.seq + 1))
    assert await journal.blob(data.digest) == data.data
    with pytest.raises(StorageError, match="is missing"):
        await journal.blob(unknown.digest)
    await write(journal, append("a", row.seq))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    await journal.close()


#: Each database is begun by a fork, which is killed a little later each time.
STARTS = """
import asyncio, os, pathlib, signal, sys, time
from clew.journal.sqlite import SqliteJournal

for number in range(40):
    pid = os.fork()
    if pid == 0:
        journal = SqliteJournal(pathlib.Path(sys.argv[1]) / f"{number}.db")
        asyncio.run(journal.open())
        signal.pause()
    start = time.perf_counter()
    while time.perf_counter() - start < number * 0.000_2:
        continue
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


@pytest.mark.slow
def test_a_process_killed_at_its_start_leaves_a_file_that_opens(tmp_path: Path) -> None:
    """The tables are made in the first milliseconds; whenever that is cut off, the next start mends it."""
    subprocess.run([sys.executable, "-c", STARTS, tmp_path], check=True)
    for number in range(40):
        journal = SqliteJournal(tmp_path / f"{number}.db")
        asyncio.run(journal.open())
        assert asyncio.run(commit(journal, append("a", 0))) == [None]
        asyncio.run(journal.close())
