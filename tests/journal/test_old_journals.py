"""Journals of former versions stay readable: each fixture is opened, read, folded and gone on with."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from journal_samples import EVERY_EVENT, write

from clew.journal.ownership import this_process
from clew.journal.records import Append, RunRow
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
