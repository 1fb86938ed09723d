"""Journals of former versions stay readable: each fixture is opened, read, folded and gone on with."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from journal_samples import EVERY_EVENT, write

from clew.errors import StorageError
from clew.journal.ownership import this_process
from clew.journal.records import Append, RunFilter, RunRow
from clew.journal.sqlite import SqliteJournal
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel import snapshot as images
from clew.kernel.definition import GraphSpec
from clew.kernel.machine import Machine
from clew.kernel.snapshot import RunImage, image, revive
from clew.kernel.topology import Topology, compile_graph

FIXTURES = Path(__file__).parents[1] / "fixtures"
OLD = sorted(FIXTURES.glob("journal-v*.sql"))

#: What of each run of version 1 is where, whatever later versions think of.
STATES = {
    "audit-1": {
        "discover": "completed",
        "analyse": "running",
        "analyse[a.py]": "completed",
        "analyse[b.py]": "running",
        "analyse[c.py]": "running",
        "analyse[d.py]": "running",
        "rest": "waiting",
        "ask": "completed",
        "part": "running",
        "part/one": "completed",
        "part/two": "running",
    },
    "fragile-1": {"a": "completed", "b": "cancelled", "c": "cancelled", "d": "cancelled"},
}


async def opened(fixture: Path, path: Path) -> SqliteJournal:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(fixture.read_text("utf-8"))
    journal = SqliteJournal(path, "process")
    await journal.open()
    return journal


async def topology_of(journal: SqliteJournal, row: RunRow) -> Topology:
    return compile_graph(msgspec.json.decode(await journal.blob(row.definition), type=GraphSpec))


def same_image(one: Machine, other: Machine) -> bool:
    """Whether two folded states are the same facts."""
    return msgspec.json.encode(image(one.run)) == msgspec.json.encode(image(other.run))


def test_there_is_a_journal_of_each_version_of_events() -> None:
    assert len(OLD) >= e.VERSION
    assert all(fixture.stat().st_size < 100_000 for fixture in OLD)


@pytest.mark.parametrize("fixture", OLD, ids=lambda fixture: fixture.stem)
async def test_every_event_is_still_read(fixture: Path, path: Path) -> None:
    journal = await opened(fixture, path)
    row = await journal.row("words")
    assert row is not None
    recorded = await journal.read("words")
    assert [one.seq for one in recorded] == list(range(1, row.seq + 1))
    if fixture.stem == "journal-v1":
        names = list(dict.fromkeys(type(event) for event in EVERY_EVENT))[:27]
        assert [type(one.event) for one in recorded] == names
    await journal.close()


@pytest.mark.parametrize("fixture", OLD, ids=lambda fixture: fixture.stem)
@pytest.mark.parametrize("run", STATES)
async def test_a_run_is_folded_to_where_it_was(fixture: Path, run: str, path: Path) -> None:
    journal = await opened(fixture, path)
    row = await journal.row(run)
    assert row is not None
    topology = await topology_of(journal, row)
    recorded = await journal.read(run)
    folded = Machine.restore(topology, None, [one.event for one in recorded])
    assert (folded.run.seq, str(folded.run.state), folded.run.epoch) == (row.seq, row.state, row.epoch)
    assert (folded.run.total, folded.run.settled, folded.run.running) == (row.total, row.settled, row.running)
    assert folded.wake_at == row.wake_at
    assert {path: str(visit.state) for path, visit in folded.run.visits.items()} == STATES[run]

    snapshot = await journal.snapshot(run)
    if images.VERSION == 1:
        assert snapshot is not None
    if snapshot is not None:
        half = Machine.restore(topology, None, [one.event for one in recorded if one.seq <= snapshot.seq])
        kept = msgspec.json.decode(snapshot.data, type=RunImage)
        assert msgspec.json.encode(image(half.run)) == msgspec.json.encode(kept)
        tail = [one.event for one in recorded if one.seq > snapshot.seq]
        assert tail
        assert same_image(Machine.restore(topology, revive(kept, topology), tail), folded)
    await journal.close()


@pytest.mark.parametrize("fixture", OLD, ids=lambda fixture: fixture.stem)
async def test_a_run_goes_on_where_it_was(fixture: Path, path: Path) -> None:
    journal = await opened(fixture, path)
    owner = this_process()
    row = await journal.acquire("audit-1", owner, 1_700_001_000.0)
    (item,) = await journal.inbox("audit-1")
    assert item.data == b'{"key":"more?","value":2}'
    recorded = await journal.read("audit-1")
    machine = Machine.restore(await topology_of(journal, row), None, [one.event for one in recorded])
    before = {(command.path, command.attempt) for command in machine.outstanding()}
    assert {path for path, _ in before} == {f"analyse[{name}.py]" for name in "bcd"} | {"part/two"}
    decision = machine.handle([s.TakeOver(epoch=row.epoch, owner=owner.id)], 1_700_001_000.0)
    row.seq = machine.run.seq
    await write(journal, Append(row=row, after=recorded[-1].seq, events=decision.events))
    assert len(await journal.read("audit-1")) == row.seq
    assert [line.text for line in await journal.read_logs("audit-1")] == ["4 files", "é"]
    await journal.close()


@pytest.mark.parametrize("fixture", OLD, ids=lambda fixture: fixture.stem)
async def test_what_later_versions_look_for_is_found(fixture: Path, path: Path) -> None:
    """Labels, states and names by index; values with the runs that need them, those of the definitions too."""
    journal = await opened(fixture, path)
    kind = RunFilter(labels={"kind": "fixture"})
    assert [row.run for row in await journal.rows(kind)] == ["fragile-1", "audit-1"]
    assert [row.run for row in await journal.rows(RunFilter(states=("cancelled",)))] == ["fragile-1"]
    assert [row.run for row in await journal.rows(RunFilter(states=("completed",), name="words"))] == ["words"]
    assert [row.run for row in await journal.rows(RunFilter(unfinished=True))] == ["audit-1"]
    assert await journal.count(kind) == 2
    assert [(row.idle, row.imported) for row in await journal.rows()] == [(False, False)] * 3
    assert await journal.keys() == []

    now = 1_800_000_000.0
    swept = await journal.sweep(now)
    assert (swept.blobs, swept.owners) == (0, 1)
    row = await journal.row("audit-1")
    assert row is not None
    outputs = [one.event for one in await journal.read("audit-1") if isinstance(one.event, e.NodeCompleted)]
    large = [event.output for event in outputs if event.output.blob]
    assert [len(await journal.blob(value.blob)) for value in large] == [value.size for value in large] != []

    await journal.delete("audit-1", now)
    assert (await journal.sweep(now)).blobs == 1 + len(large)
    for digest in (row.definition, *(value.blob for value in large)):
        with pytest.raises(StorageError, match="is missing"):
            await journal.blob(digest)
    assert await journal.pack("fragile-1") > 0
    assert len(await journal.read("fragile-1")) == 21
    assert await journal.count(kind) == 1
    await journal.close()


async def test_what_only_looks_like_a_reference_is_none(path: Path) -> None:
    """A value of a user may hold the words of one; a value that is not there is not referred to."""
    script = (FIXTURES / "journal-v1.sql").read_text("utf-8")
    lost = 'UPDATE events SET data = replace(data, \'"json":"receipt"\', \'"json":{"blob":"%s"}\')' % ("0" * 64)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{script};{lost}")
    journal = SqliteJournal(path, "process")
    await journal.open()
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT run, digest FROM blob_refs").fetchall()
        texts = "".join(data for (data,) in connection.execute("SELECT data FROM events"))
    assert "0" * 64 in texts
    assert [run for run, _ in found] == [1]
    assert found[0][1] != "0" * 64
    await journal.close()


async def test_a_program_of_the_first_version_writes_no_values_any_more(path: Path) -> None:
    """It would not say which run needs them, and they would be swept away under it."""
    journal = await opened(FIXTURES / "journal-v1.sql", path)
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="stored_at"):
            connection.execute("INSERT INTO blobs (digest, data) VALUES ('d', x'00') ON CONFLICT DO NOTHING")
        connection.execute("UPDATE runs SET state = 'running', seq = seq WHERE run = 'audit-1'")
    await journal.close()


async def test_labels_that_are_damaged_keep_a_journal_as_it_is(path: Path) -> None:
    script = (FIXTURES / "journal-v1.sql").read_text("utf-8")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{script};UPDATE runs SET labels = '[' WHERE run = 'audit-1'")
    with pytest.raises(
        StorageError, match=r"clew\.db: the labels of run audit-1 are damaged: .*; nothing was changed"
    ):
        await SqliteJournal(path).open()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM blobs").fetchone() == (3,)
