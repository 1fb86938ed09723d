"""Files that were damaged, edited, or written with tables of another version."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from journal_samples import append, commit, refusal, write

from clew.errors import StorageError
from clew.journal import sqlite_file
from clew.journal.sqlite import SqliteJournal
from clew.journal.sqlite_migrations import MIGRATIONS

# Damage ------------------------------------------------------------------------------------------------


async def make_journal(path: Path) -> int:
    journal = SqliteJournal(path, "process")
    await journal.open()
    for i in range(40):
        await write(journal, append(f"r{i}", 0, 30))
        await write(journal, append(f"r{i}", 30, 30))
    await journal.close()
    return path.stat().st_size


async def use(path: Path) -> tuple[int, list[str]]:
    """How many runs of `make_journal` can be read wholly, and what is said about the others."""
    journal = SqliteJournal(path, "process")
    whole, said = 0, []
    try:
        await journal.open()
        for i in range(40):
            try:
                whole += await journal.row(f"r{i}") is not None and len(await journal.read(f"r{i}")) == 60
            except StorageError as error:
                said.append(str(error))
        said += [str(error) for error in await commit(journal, append("new", 0)) if error is not None]
    except StorageError as error:
        said.append(str(error))
    finally:
        await journal.close()
    return whole, said


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
async def test_a_file_that_was_cut_is_told(path: Path, share: float) -> None:
    size = await make_journal(path)
    assert await use(path) == (40, [])
    os.truncate(path, int(size * share))
    whole, said = await use(path)
    assert whole < 40
    assert all("damaged" in text and "restore it from a copy" in text for text in said)
    assert said


@pytest.mark.parametrize("share", [0.6, 0.7, 0.8, 0.9])
async def test_a_file_with_a_hole_is_told(path: Path, share: float) -> None:
    size = await make_journal(path)
    with path.open("r+b") as file:
        file.seek(int(size * share) // 4_096 * 4_096)
        file.write(b"\xa5" * 8_192)
    whole, said = await use(path)
    assert whole < 40
    assert any("damaged" in text for text in said)


async def test_a_beginning_that_was_overwritten_is_told(path: Path) -> None:
    await make_journal(path)
    with path.open("r+b") as file:
        file.write(b"\0" * 100)
    assert "its beginning is damaged" in await refusal(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE events SET data = substr(data, 1, 20) WHERE seq = 30", "events 1 to 30 .* they are damaged"),
        (
            "UPDATE events SET data = CAST(x'5bff5d' AS TEXT) WHERE seq = 60",
            "the database is damaged; .*a text in it is no Unicode",
        ),
        ("UPDATE events SET data = '[]' WHERE seq = 60", "events 31 to 60 .* there are 0 instead of 30"),
        ("UPDATE events SET version = 9 WHERE seq = 60", "format 9, written by a newer Clew"),
        ("DELETE FROM events WHERE seq = 30", "events 1 to 30 cannot be read: they are missing"),
    ],
)
async def test_events_that_were_edited_are_told(path: Path, change: str, why: str) -> None:
    await make_journal(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(change)
    journal = SqliteJournal(path)
    await journal.open()
    with pytest.raises(StorageError, match=why):
        await journal.read("r7")
    await journal.close()


# Versions of the tables --------------------------------------------------------------------------------


def described(path: Path) -> dict[str, object]:
    """What a database is made of, however its SQL was written."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("PRAGMA table_list").fetchall()
        names = [row[1] for row in tables if not row[1].startswith("sqlite_")]
        indexes = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index'").fetchall()
        return {
            "application": connection.execute("PRAGMA application_id").fetchall(),
            "version": connection.execute("PRAGMA user_version").fetchall(),
            "tables": sorted(row[1:] for row in tables if row[1] in names),
            "columns": {name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in names},
            "indexes": sorted((name, " ".join((sql or "").split())) for name, sql in indexes),
            "keys": {name: connection.execute(f"PRAGMA foreign_key_list({name})").fetchall() for name in names},
        }


async def open_once(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.open()
    await journal.close()


async def test_a_first_release_database_becomes_what_a_new_one_is(path: Path, tmp_path: Path) -> None:
    script = (Path(__file__).parents[1] / "fixtures" / "journal-v1.sql").read_text("utf-8")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    await open_once(path)
    await open_once(tmp_path / "new.db")
    assert described(path) == described(tmp_path / "new.db")


async def test_steps_lead_from_one_version_to_the_next(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(path)
    await journal.open()
    await write(journal, append("a", 0, 3))
    await journal.close()

    def add_table(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE extra (id INTEGER PRIMARY KEY, run INTEGER REFERENCES runs (id)) STRICT")

    def add_column(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE extra ADD COLUMN what TEXT NOT NULL DEFAULT ''")
        connection.execute("CREATE INDEX extra_what ON extra (what)")

    newest = sqlite_file.schema() + (
        ";\nCREATE TABLE extra (id INTEGER PRIMARY KEY, run INTEGER REFERENCES runs (id),\n"
        " what TEXT NOT NULL DEFAULT '') STRICT;\nCREATE INDEX extra_what ON extra (what);\n"
    )
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*MIGRATIONS, add_table, add_column))
    monkeypatch.setattr(sqlite_file, "schema", lambda: newest)
    await journal.open()
    assert len(await journal.read("a")) == 3
    await journal.close()
    await open_once(tmp_path / "new.db")
    assert described(path)["version"] == [(len(MIGRATIONS) + 3,)]
    assert described(path) == described(tmp_path / "new.db")
    monkeypatch.undo()
    assert f"newer Clew (tables of version {len(MIGRATIONS) + 3}" in await refusal(path)


async def test_a_step_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await open_once(path)

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE extra (id INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY)")

    before = described(path)
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*MIGRATIONS, fail))
    with pytest.raises(StorageError, match="table runs already exists"):
        await open_once(path)
    monkeypatch.undo()
    assert described(path) == before
    await open_once(path)
