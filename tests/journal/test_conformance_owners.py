"""What `clew.journal.port` promises of owners, of signals from outside, and of what attempts print."""

import pytest
from journal_samples import (
    append,
    commit,
    elsewhere,
    ended_process,
    write,
)
from msgspec.structs import replace

from clew.errors import (
    RunBusyError,
    RunFencedError,
    UnknownRunError,
)
from clew.journal.ownership import LEASE_S, this_process
from clew.journal.port import Journal
from clew.journal.records import InboxOutcome, LogLine

# Ownership ---------------------------------------------------------------------------------------------


async def test_acquiring_raises_the_epoch_and_fences_the_former_owner(journal: Journal) -> None:
    first, second = elsewhere("one"), elsewhere("two")
    await write(journal, append("a", 0, owner="one"), append("b", 0, owner="one"))
    row = await journal.acquire("a", first, 100.0)
    assert (row.owner, row.epoch, row.seq) == ("one", 2, 1)
    assert await journal.row("a") == row
    await write(journal, append("a", 1, epoch=2, owner="one"))
    row = await journal.acquire("a", second, 100.0 + LEASE_S + 1)
    assert (row.owner, row.epoch, row.seq) == ("two", 3, 2)
    fenced, other = await commit(journal, append("a", 2, epoch=2, owner="one"), append("b", 1, owner="one"))
    assert isinstance(fenced, RunFencedError)
    assert other is None
    await write(journal, append("a", 2, epoch=3, owner="two"))


async def test_a_run_of_a_live_owner_is_busy(journal: Journal) -> None:
    mine, other = this_process("mine"), this_process("other")
    await write(journal, append("a", 0, owner=mine.id))
    journal.renew(mine, 100.0)
    with pytest.raises(RunBusyError, match=f"run a .* by {mine.id}"):
        await journal.acquire("a", other, 100.0)
    row = await journal.row("a")
    assert row is not None
    assert (row.owner, row.epoch) == (mine.id, 1)
    assert (await journal.acquire("a", mine, 100.0)).epoch == 2


async def test_what_the_dead_have_left_is_freed(journal: Journal) -> None:
    alive, gone, unheard = this_process("alive"), ended_process(), elsewhere("unheard")
    owners = (alive, gone, unheard)
    ended = append("d", 0, owner=gone.id, state="completed", ended_at=5.0)
    await write(journal, *(append(name, 0, owner=o.id) for name, o in zip("abc", owners, strict=True)), ended)
    for owner in owners:
        journal.renew(owner, 100.0)
    assert await journal.free_dead(100.0) == 1
    assert await journal.free_dead(100.0) == 0
    journal.renew(alive, 100.0 + LEASE_S)
    assert await journal.free_dead(101.0 + LEASE_S) == 1
    rows = [await journal.row(name) for name in "abcd"]
    assert [row and (row.owner, row.epoch) for row in rows] == [(alive.id, 1), ("", 1), ("", 1), (gone.id, 1)]


async def test_a_run_of_a_process_that_ended_here_is_free_at_once(journal: Journal) -> None:
    gone = ended_process()
    await write(journal, append("a", 0, owner=gone.id))
    journal.renew(gone, 100.0)
    assert (await journal.acquire("a", this_process(), 100.0)).epoch == 2


async def test_a_process_id_that_was_used_again_is_another_process(journal: Journal) -> None:
    gone = replace(this_process("gone"), started="1")
    await write(journal, append("a", 0, owner=gone.id))
    journal.renew(gone, 100.0)
    assert (await journal.acquire("a", this_process(), 100.0)).epoch == 2


@pytest.mark.parametrize("owner", [elsewhere("far"), this_process("hangs")], ids=["elsewhere", "here"])
async def test_a_run_is_free_when_the_lease_has_ended(journal: Journal, owner) -> None:
    await write(journal, append("a", 0, owner=owner.id))
    journal.renew(owner, 50.0)
    journal.renew(owner, 100.0)
    with pytest.raises(RunBusyError):
        await journal.acquire("a", this_process(), 100.0 + LEASE_S)
    assert (await journal.acquire("a", this_process(), 100.1 + LEASE_S)).epoch == 2


async def test_a_run_of_an_owner_that_nobody_knows_is_free(journal: Journal) -> None:
    await write(journal, append("a", 0, owner="never heard of"))
    assert (await journal.acquire("a", this_process(), 1.0)).epoch == 2


async def test_acquiring_makes_the_lease_begin(journal: Journal) -> None:
    await write(journal, append("a", 0))
    await journal.acquire("a", elsewhere("far"), 100.0)
    with pytest.raises(RunBusyError):
        await journal.acquire("a", this_process(), 101.0)


async def test_a_released_run_is_free(journal: Journal) -> None:
    mine, other = elsewhere("mine"), elsewhere("other")
    await write(journal, append("a", 0))
    await journal.acquire("a", mine, 100.0)
    await journal.release("a", other)
    with pytest.raises(RunBusyError):
        await journal.acquire("a", other, 100.0)
    await journal.release("a", mine)
    row = await journal.row("a")
    assert row is not None
    assert (row.owner, row.epoch) == ("", 2)
    assert (await journal.acquire("a", other, 100.0)).epoch == 3
    await journal.release("unknown", mine)


async def test_the_runs_of_an_owner_that_retires_are_free(journal: Journal) -> None:
    mine, other = elsewhere("mine"), elsewhere("other")
    await write(journal, append("a", 0), append("b", 0), append("c", 0, state="failed", ended_at=1.0))
    for run, owner in (("a", mine), ("b", other), ("c", mine)):
        await journal.acquire(run, owner, 100.0)
    await journal.retire(mine)
    row = await journal.row("a")
    assert row is not None
    assert row.owner == ""
    for run in "ac":
        assert (await journal.acquire(run, other, 100.0)).epoch == 3
    with pytest.raises(RunBusyError):
        await journal.acquire("b", mine, 100.0)


async def test_what_is_not_there_cannot_be_acquired_or_written_to(journal: Journal) -> None:
    line = LogLine("a", 1, 1.0, "stdout", "x")
    for call in (
        journal.acquire("x", this_process(), 1.0),
        journal.post("x", b"1", 1.0, ""),
        journal.note("x", "text"),
        journal.write_logs("x", [line]),
    ):
        with pytest.raises(UnknownRunError, match="no run x"):
            await call
    assert await journal.read_logs("x") == []
    assert await journal.inbox("x") == []


async def test_a_note_is_kept(journal: Journal) -> None:
    await write(journal, append("a", 0), append("b", 0))
    await journal.note("a", "where is x:f?")
    assert [row.note for row in await journal.rows()] == ["", "where is x:f?"]


# Inbox and logs ----------------------------------------------------------------------------------------


async def test_signals_wait_for_the_append_that_answers_them(journal: Journal) -> None:
    await write(journal, append("a", 0), append("b", 0))
    one = await journal.post("a", b'{"v":1}', 5.5, "ann")
    two = await journal.post("a", b'{"v":2}', 5.0, "")
    three = await journal.post("b", b"3", 7.0, "")
    assert [(item.id, item.run, item.data, item.at, item.by) for item in await journal.inbox("a")] == [
        (one, "a", b'{"v":1}', 5.5, "ann"),
        (two, "a", b'{"v":2}', 5.0, ""),
    ]
    assert await journal.outcome(one) is None
    await write(journal, append("a", 1, inbox=[InboxOutcome(one), InboxOutcome(two, "too late")]))
    assert await journal.outcome(one) == ""
    assert await journal.outcome(two) == "too late"
    assert await journal.outcome(three) is None
    assert await journal.inbox("a") == []
    assert [item.id for item in await journal.inbox("b")] == [three]
    assert [(item.id, item.run) for item in await journal.inbox()] == [(three, "b")]
    assert await journal.outcome(999) == "there is no such signal"


async def test_an_outcome_is_final_and_only_the_run_itself_gives_it(journal: Journal) -> None:
    await write(journal, append("a", 0), append("b", 0))
    item = await journal.post("a", b"1", 1.0, "")
    await write(journal, append("b", 1, inbox=[InboxOutcome(item, "not mine")]))
    assert await journal.outcome(item) is None
    (fenced,) = await commit(journal, append("a", 9, inbox=[InboxOutcome(item, "a ghost's")]))
    assert isinstance(fenced, RunFencedError)
    assert await journal.outcome(item) is None
    await write(journal, append("a", 1, inbox=[InboxOutcome(item)]))
    await write(journal, append("a", 2, inbox=[InboxOutcome(item, "again"), InboxOutcome(999)]))
    assert await journal.outcome(item) == ""
    assert await journal.outcome(999) == "there is no such signal"
    assert await journal.post("a", b"2", 1.0, "") > item


async def test_logs_are_read_by_visit_and_in_pages(journal: Journal) -> None:
    await write(journal, append("a", 0), append("b", 0))
    lines = [LogLine(f"n{i % 2}", 1, float(i), "stdout", f"line {i} é") for i in range(10)]
    await journal.write_logs("a", lines[:4])
    await journal.write_logs("b", [LogLine("n0", 1, 0.0, "stderr", "other")])
    await journal.write_logs("a", lines[4:])
    found = await journal.read_logs("a")
    assert [replace(line, id=0) for line in found] == lines
    assert [line.id for line in found] == sorted({line.id for line in found})
    assert [line.text for line in await journal.read_logs("a", "n1", limit=2)] == ["line 1 é", "line 3 é"]
    assert await journal.read_logs("a", after=found[6].id) == found[7:]
    assert await journal.read_logs("a", "n1", after=found[6].id) == found[7::2]
    assert [line.stream for line in await journal.read_logs("b")] == ["stderr"]
