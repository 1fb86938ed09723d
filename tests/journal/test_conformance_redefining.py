"""What `clew.journal.port` promises of an append that gives its run another definition."""

import pytest
from journal_samples import append, blob, commit, some_events, write

from clew.errors import MissingDefinitionError, RunFencedError, StorageError
from clew.journal.port import Journal
from clew.journal.records import RunFilter, RunRow

FIRST = blob(b'{"name":"first"}')
SECOND = blob(b'{"name":"second"}')
OTHER = blob(b'"other"')
AFTER = {"name": "second", "graph": "2", "definition": SECOND.digest}


async def begin(journal: Journal) -> None:
    first = append("a", 0, name="first", graph="1", definition=FIRST.digest, blobs=[FIRST], labels={"k": "v"})
    await write(journal, first, append("b", 0, name="first"))


async def row_of(journal: Journal) -> RunRow:
    row = await journal.row("a")
    assert row is not None
    return row


@pytest.mark.parametrize("ended_at", [None, 7.0])
async def test_a_run_is_redefined_together_with_what_else_changes(
    journal: Journal, ended_at: float | None
) -> None:
    await begin(journal)
    again = append("a", 1, redefines=True, blobs=[SECOND, FIRST], state="failed", ended_at=ended_at, **AFTER)
    await write(journal, again)
    row = await row_of(journal)
    assert (row.name, row.graph, row.definition) == ("second", "2", SECOND.digest)
    assert (row.seq, row.state, row.ended_at, row.labels) == (2, "failed", ended_at, {"k": "v"})
    assert [found.run for found in await journal.rows(RunFilter(name="second"))] == ["a"]
    assert [found.run for found in await journal.rows(RunFilter(name="first"))] == ["b"]
    assert await journal.blob(SECOND.digest) == SECOND.data


async def test_other_appends_leave_the_definition_as_it_is(journal: Journal) -> None:
    await begin(journal)
    await write(journal, append("a", 1, redefines=True, blobs=[SECOND], **AFTER))
    await write(journal, append("a", 2, name="x", graph="x", definition="x"))
    row = await row_of(journal)
    assert (row.name, row.graph, row.definition, row.seq) == ("second", "2", SECOND.digest, 3)


async def test_the_definition_has_to_be_there_or_to_come_along(journal: Journal) -> None:
    await begin(journal)
    before, refused, behind = await commit(
        journal, append("b", 1), append("a", 1, redefines=True, blobs=[OTHER], **AFTER), append("b", 2)
    )
    assert (before, behind) == (None, None)
    assert isinstance(refused, MissingDefinitionError)
    assert f"{SECOND.digest[:12]}… of run a is not in the journal" in str(refused)
    row = await row_of(journal)
    assert (row.name, row.graph, row.definition, row.seq) == ("first", "1", FIRST.digest, 1)
    assert len(await journal.read("a")) == 1
    with pytest.raises(StorageError, match="is missing"):
        await journal.blob(OTHER.digest)
    await write(journal, append("c", 0, definition=SECOND.digest, blobs=[SECOND]))
    await write(journal, append("a", 1, redefines=True, **AFTER))
    assert (await row_of(journal)).graph == "2"


@pytest.mark.parametrize(("after", "epoch", "why"), [(1, 2, "epoch"), (2, 1, "1 events")])
async def test_it_is_fenced_like_any_other(journal: Journal, after: int, epoch: int, why: str) -> None:
    await begin(journal)
    (refused,) = await commit(journal, append("a", after, redefines=True, epoch=epoch, blobs=[SECOND], **AFTER))
    assert isinstance(refused, RunFencedError)
    assert why in str(refused)
    assert (await row_of(journal)).graph == "1"
    (refused,) = await commit(journal, append("x", 3, redefines=True, **AFTER))
    assert isinstance(refused, RunFencedError)
    assert "not in the journal" in str(refused)


async def test_a_definition_that_came_along_again_is_kept_with_the_run(journal: Journal) -> None:
    await begin(journal)
    await write(journal, append("a", 1, some_events(1), redefines=True, blobs=[SECOND, FIRST], **AFTER))
    await journal.delete("b", 1.0)
    await journal.sweep(1e9)
    assert await journal.blob(FIRST.digest) == FIRST.data
    assert await journal.blob(SECOND.digest) == SECOND.data
    await journal.delete("a", 1.0)
    assert (await journal.sweep(1e9)).blobs == 2
