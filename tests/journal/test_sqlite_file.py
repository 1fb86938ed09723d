"""What a user can meet at the door of a database file; nothing is changed, and the error says what to do."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from journal_samples import append, contents, held, refusal, write

from clew.errors import StorageError
from clew.journal import sqlite_file
from clew.journal.sqlite import SqliteJournal
from clew.journal.sqlite_file import APPLICATION_ID, file_system_of

NOBODY = 65534


def make_foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("CREATE TABLE t (x)", "INSERT INTO t VALUES (1)", *statements):
            connection.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        (),
        ("PRAGMA application_id = 7",),
        ("PRAGMA user_version = 1",),
        ("DROP TABLE t", "PRAGMA user_version = 1"),
        ("DROP TABLE t", "VACUUM", "PRAGMA application_id = 7"),
    ],
    ids=" ".join,
)
async def test_a_foreign_database_is_refused(path: Path, statements: tuple[str, ...]) -> None:
    make_foreign(path, *statements)
    assert "belongs to another program; nothing was written" in await refusal(path)


async def test_what_a_foreign_program_left_in_its_log_stays_there(path: Path, tmp_path: Path) -> None:
    make_foreign(path, "PRAGMA journal_mode = WAL")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO t VALUES (2)")
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", crashed)
    assert "belongs to another program" in await refusal(crashed / path.name)
    assert (crashed / "clew.db-wal").stat().st_size > 0


async def test_what_a_foreign_program_had_half_done_is_not_undone(path: Path, tmp_path: Path) -> None:
    crashed = half_done(path, tmp_path / "crashed", before="CREATE TABLE t (x)")
    await refusal(crashed)


def half_done(path: Path, place: Path, before: str, first: str = "") -> Path:
    """What a program leaves behind that is killed in a transaction that had to be written out in part."""
    place.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (before, "PRAGMA cache_size = 2", "BEGIN", first, "CREATE TABLE u (x)"):
            connection.execute(statement)
        connection.executemany("INSERT INTO u VALUES (?)", [("x" * 500,)] * 200)
        for suffix in ("", "-journal"):
            shutil.copy(f"{path}{suffix}", place)
        connection.execute("ROLLBACK")
    assert (place / path.name).stat().st_size > 0
    return place / path.name


@pytest.mark.parametrize("before", ["", f"PRAGMA application_id = {APPLICATION_ID}"], ids=["new", "ours"])
async def test_a_journal_that_was_half_made_is_made(path: Path, tmp_path: Path, before: str) -> None:
    crashed = half_done(path, tmp_path / "crashed", before=before)
    journal = SqliteJournal(crashed)
    await journal.open()
    await write(journal, append("a", 0))
    await journal.close()
    assert not crashed.with_name("clew.db-journal").exists()


@pytest.mark.parametrize("content", [b"hello", b"x" * 5_000, b"\0" * 4_096, b"SQLite format 3\0" + b"\xff" * 200])
async def test_what_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    said = await refusal(path)
    assert "not a SQLite database" in said or "damaged" in said


async def test_a_newer_database_is_refused(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.open()
    await write(journal, append("a", 0))
    await journal.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    said = await refusal(path)
    assert f"newer Clew (tables of version 99, this one knows up to {sqlite_file.newest_version()})" in said
    assert "Install that version" in said


async def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "the folder" in await refusal(tmp_path / "no" / "clew.db")
    assert not (tmp_path / "no").exists()


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"this is a folder; name a file in it, e\.g\. .*folder/clew\.db"):
        await SqliteJournal(tmp_path / "folder").open()


async def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="not an ordinary file"):
        await SqliteJournal(tmp_path / "pipe").open()


async def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for name in ("nul\0.db", "x" * 400):
        with pytest.raises(StorageError, match="choose another place"):
            await SqliteJournal(tmp_path / name).open()
    assert not [*tmp_path.iterdir()]


@contextmanager
def as_an_ordinary_user() -> Iterator[Path]:
    """A folder, and nobody's rights in it while this lasts; root may write anywhere."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        sqlite_file.schema()  # the program may lie where nobody else may read
        root = os.getuid() == 0
        if root:
            os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield folder
        finally:
            if root:
                os.setresuid(0, 0, 0)
            folder.chmod(0o700)


async def test_a_read_only_folder_is_refused() -> None:
    with as_an_ordinary_user() as folder:
        journal = SqliteJournal(folder / "clew.db")
        await journal.open()
        await write(journal, append("a", 0))
        await journal.close()
        mode = folder.stat().st_mode
        for name in ("clew.db", "new.db"):
            if os.getuid() == NOBODY:
                os.setresuid(0, 0, 0)
                folder.chmod(0o555)
                os.setresuid(NOBODY, NOBODY, 0)
            else:
                folder.chmod(0o555)
            said = await refusal(folder / name)
            assert f"{folder} is read-only for this user; change its rights" in said
        assert mode != folder.stat().st_mode


async def test_a_read_only_file_is_refused() -> None:
    with as_an_ordinary_user() as folder:
        path = folder / "clew.db"
        path.touch(0o444)
        assert f"{path} is read-only for this user; change its rights" in await refusal(path)


async def test_a_file_that_may_not_be_looked_at_is_refused() -> None:
    with as_an_ordinary_user() as folder:
        inner = folder / "inner"
        inner.mkdir(0o000)
        with pytest.raises(StorageError, match="choose another place"):
            await SqliteJournal(inner / "clew.db").open()
        inner.chmod(0o700)


@pytest.mark.parametrize("left", ["", "WAL"])
async def test_an_empty_file_is_a_new_database(path: Path, left: str) -> None:
    path.touch()
    if left:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    journal = SqliteJournal(path)
    await journal.open()
    await write(journal, append("a", 0))
    await journal.close()
    assert path.read_bytes()[68:72] == b"CLEW"


@pytest.mark.parametrize(
    "name", ["a b.db", "ü?#%20&mode=ro.db", ":memory:", "file:x.db", "a'b\"c.db", "\udcff.db"]
)
async def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    for seq in (0, 1):
        journal = SqliteJournal(tmp_path / name)
        await journal.open()
        await write(journal, append("a", seq))
        assert len(await journal.read("a")) == seq + 1
        await journal.close()
    assert [file.name for file in tmp_path.iterdir()] == [name]


async def test_a_database_of_which_only_the_log_is_left_is_refused(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.open()
    await write(journal, append("a", 0))
    log = path.with_name("clew.db-wal").read_bytes()
    await journal.close()
    path.unlink()
    path.with_name("clew.db-wal").write_bytes(log)
    said = await refusal(path)
    assert "its write-ahead log clew.db-wal is there" in said
    path.touch()
    assert "move the log away" in await refusal(path)


async def test_a_foreign_database_that_is_locked_is_refused(path: Path) -> None:
    make_foreign(path)
    with held(path, "BEGIN EXCLUSIVE"):
        assert "another process is holding the database; end it or wait" in await refusal(path, busy_s=0.02)


async def test_a_journal_that_somebody_keeps_to_himself_is_refused(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.open()
    await journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE")
        journal = SqliteJournal(path, busy_s=0.02)
        with pytest.raises(StorageError, match="another process is holding the database"):
            await journal.open()


async def test_a_journal_opens_while_another_process_writes(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.open()
    await write(journal, append("a", 0))
    await journal.close()
    with held(path, "BEGIN IMMEDIATE") as let_go:
        journal = SqliteJournal(path, busy_s=0.02)
        await journal.open()
        assert len(await journal.read("a")) == 1
        let_go()
    await journal.close()


async def test_opening_a_journal_writes_nothing(path: Path) -> None:
    first, second = SqliteJournal(path), SqliteJournal(path)
    await first.open()
    await write(first, append("a", 0))
    before, version = contents(path), first.version()
    await second.open()
    assert contents(path) == before
    assert first.version() == version
    await second.close()
    await first.close()


async def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StorageError, match=r"Clew needs 3\.37\.0 or later"):
        await SqliteJournal(path).open()
    assert not path.exists()


def test_a_durability_is_one_of_two(path: Path) -> None:
    with pytest.raises(StorageError, match="'ful' is not one of full, process"):
        SqliteJournal(path, "ful")


# Where it does not work --------------------------------------------------------------------------------

MOUNTS = """\
proc /proc proc rw 0 0
/dev/vda1 / ext4 rw 0 0
server:/home /mnt/my\\040home nfs4 rw 0 0
/dev/vdb /mnt/my\\040home/local xfs rw 0 0
tmpfs /mnt/my tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/mnt", "ext4"),
        ("/mnt/my", "tmpfs"),
        ("/mnt/my home", "nfs4"),
        ("/mnt/my home/a", "nfs4"),
        ("/mnt/my home/local/a", "xfs"),
        ("/mnt/my homes", "ext4"),
    ],
)
def test_the_file_system_of_a_folder_is_found(folder: str, kind: str) -> None:
    assert file_system_of(Path(folder), MOUNTS) == kind


async def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "file_system_of", lambda _folder, _mounts: "nfs4")
    assert "not safe on a network file system (nfs4); choose a local disk" in await refusal(path)
    assert not path.exists()


MAKE = """
import asyncio, pathlib, sys
from clew.journal.sqlite import SqliteJournal

async def make(path):
    journal = SqliteJournal(pathlib.Path(path))
    await journal.open()
    await journal.rows()
    await journal.close()

print("ready", flush=True)
for line in sys.stdin:
    asyncio.run(make(line.strip()))
    print(line, end="", flush=True)
"""


@pytest.mark.slow
def test_many_processes_may_make_one_database(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE]
    makers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    for maker in makers:
        assert maker.stdout.readline() == "ready\n"
    for trial in range(30):
        for maker in makers:
            maker.stdin.write(f"{tmp_path / str(trial)}\n")
            maker.stdin.flush()
        assert [maker.stdout.readline().strip() for maker in makers] == [str(tmp_path / str(trial))] * 6
    for maker in makers:
        maker.communicate()
        assert maker.returncode == 0


async def test_two_journals_of_one_process_keep_their_claim_to_the_log(path: Path) -> None:
    """Closing any handle on a file drops all locks of a process on it; only SQLite itself knows to wait."""
    first, second = SqliteJournal(path), SqliteJournal(path)
    await first.open()
    await write(first, append("a", 0))
    log = path.with_name("clew.db-wal").stat().st_ino
    await second.open()
    await second.close()
    with held(path, "SELECT count(*) FROM runs") as let_go:
        let_go()
    assert path.with_name("clew.db-wal").stat().st_ino == log
    await write(first, append("a", 1))
    await second.open()
    assert len(await second.read("a")) == 2
    await second.close()
    await first.close()


def test_the_loop_is_free_while_a_file_is_opened(path: Path) -> None:
    async def scenario() -> int:
        make_foreign(path)
        turns = 0
        with held(path, "BEGIN EXCLUSIVE"):
            opening = asyncio.ensure_future(SqliteJournal(path, busy_s=0.05).open())
            while not opening.done():
                turns += 1
                await asyncio.wait([opening], timeout=0.005)
        with pytest.raises(StorageError):
            await opening
        return turns

    assert asyncio.run(scenario()) > 2
