"""What `clew.journal.port` promises of what runs change in the memory: made once, recorded, taken back."""

import asyncio

import pytest
from journal_samples import append, commit, elsewhere, write
from memory_samples import act, by, held, keys, store

from clew.errors import MemoryConflictError, RefusedError, RunFencedError, StorageError, UnknownRunError
from clew.journal.entries import Query, Space
from clew.journal.port import Journal


async def test_a_visit_changes_an_entry_once(journal: Journal) -> None:
    await write(journal, append("r", 0))
    assert await store(journal, "k", b"1", at=1.0, cause=by("a")) is False
    await store(journal, "k", b"2", at=2.0)
    assert await store(journal, "k", b"1", at=3.0, cause=by("a")) is False
    assert await held(journal, "k") == "2"
    (change,) = await journal.changes("r")
    assert (change.cause, change.operation, change.at) == (by("a", epoch=0), "store", 1.0)
    assert (change.number, change.existed, change.undone, change.before) == (1, False, False, None)
    # Other visits and steps, and other things that the same visit does, are others.
    assert await store(journal, "k", b"1", cause=by("a#2")) is True
    assert await store(journal, "k", b"1", cause=by("a", step="s")) is True
    assert await store(journal, "k", b"3", cause=by("a")) is True
    assert await store(journal, "k", b"3", cause=by("a")) is True
    assert [change.cause.path for change in await journal.changes("r")] == ["a", "a#2", "a", "a"]
    entry = await journal.entry("n", "k")
    assert entry is not None
    assert (entry.by, entry.data) == ("r", "3")


async def test_who_does_not_own_the_run_changes_nothing(journal: Journal) -> None:
    await write(journal, append("r", 0))
    await journal.acquire("r", elsewhere("x"), 1.0)
    for epoch in (1, 3):
        with pytest.raises(RunFencedError, match=f"another owner now \\(epoch 2 instead of {epoch}\\)"):
            await store(journal, "k", b"1", cause=by("a", epoch=epoch))
        with pytest.raises(RunFencedError):
            await journal.take_back(by("a", epoch=epoch))
    with pytest.raises(UnknownRunError, match="there is no run q"):
        await store(journal, "k", b"1", cause=by("a", "q"))
    assert await held(journal, "k") is None


async def test_what_was_there_is_put_back(journal: Journal) -> None:
    await write(journal, append("r", 0))
    await store(journal, "old", b'{"a":1}', at=1.0, by="ann")
    old = await journal.entry("n", "old")
    await journal.remember(act("update", "old", b'{"a":2}', at=2.0, cause=by("update")))
    await store(journal, "new", b"1", at=3.0, cause=by("store"))
    await journal.remember(act("delete", "old", at=4.0, cause=by("delete", step="s")))
    (*_, deleted) = await journal.changes("r")
    assert deleted.before is not None
    assert deleted.before.data == '{"a":2}'
    assert await journal.take_back(by("delete", step="s")) == 1
    assert await held(journal, "old") == '{"a":2}'
    assert await journal.take_back(by("store")) == 1
    assert await held(journal, "new") is None
    assert await journal.take_back(by("update")) == 1
    assert await journal.entry("n", "old") == old
    assert await journal.spaces() == [Space("n", 1, 10)]
    assert all(change.undone and change.before is None for change in await journal.changes("r"))
    assert [await journal.take_back(by(path)) for path in ("store", "update")] == [0, 0]
    assert await journal.entry("n", "old") == old


async def test_changes_of_one_run_are_taken_back_in_any_order(journal: Journal) -> None:
    await write(journal, append("r", 0))
    await store(journal, "k", b"0")
    before = await journal.entry("n", "k")
    for number, path in enumerate("abc", 1):
        await store(journal, "k", b"%d" % number, cause=by(path))
    for path, left in (("b", "3"), ("a", "3"), ("c", "0")):
        assert await journal.take_back(by(path)) == 1
        assert await held(journal, "k") == left
    assert await journal.entry("n", "k") == before


async def test_what_others_have_changed_since_is_left(journal: Journal) -> None:
    await write(journal, append("r", 0), append("q", 0))
    await store(journal, "k", b'"mine"')
    await store(journal, "k", b"1", cause=by("a"))
    await store(journal, "k", b"2", cause=by("b", "q"))
    with pytest.raises(MemoryConflictError) as caught:
        await journal.take_back(by("a"))
    assert str(caught.value).startswith(
        "the entry 'k' of the memory 'n' has been changed by q since a of run r changed it, and is left as it is; "
        'before that, it was "mine". Make it what it was (clew memory changes r) and roll the run'
    )
    assert await held(journal, "k") == "2"
    # Who puts back first what came last, puts back all.
    assert await journal.take_back(by("b", "q")) == 1
    assert await journal.take_back(by("a")) == 1
    assert await held(journal, "k") == '"mine"'


async def test_what_others_have_deleted_since_is_left(journal: Journal) -> None:
    await write(journal, append("r", 0))
    await store(journal, "k", b"1", cause=by("a"))
    await journal.remember(act("delete", "k", by="ann"))
    assert await journal.take_back(by("a")) == 1  # it was not there before
    await store(journal, "k", b"0")
    await store(journal, "k", b"1", cause=by("b"))
    await journal.remember(act("delete", "k", by="ann"))
    with pytest.raises(MemoryConflictError, match="has been changed by ann since b of run r"):
        await journal.take_back(by("b"))
    await journal.remember(act("delete", "k", by="bob"))
    await store(journal, "k", b"0.0")
    assert await journal.take_back(by("b")) == 1
    assert await held(journal, "k") == "0.0"


async def test_what_others_have_stored_since_is_left(journal: Journal) -> None:
    await write(journal, append("r", 0))
    await store(journal, "k", b"1")
    await journal.remember(act("delete", "k", cause=by("a")))
    await store(journal, "k", b"2", by="")
    await journal.remember(act("delete", "k"))
    with pytest.raises(MemoryConflictError, match="has been changed by somebody since"):
        await journal.take_back(by("a"))
    assert await held(journal, "k") is None


async def test_of_several_changes_all_are_taken_back_or_none(journal: Journal) -> None:
    await write(journal, append("r", 0))
    for key in ("x", "y"):
        await store(journal, key, b"0")
        await store(journal, key, b"1", cause=by("a"))
    await store(journal, "x", b"2")
    with pytest.raises(MemoryConflictError):
        await journal.take_back(by("a"))
    assert await held(journal, "y") == "1"
    assert [change.undone for change in await journal.changes("r")] == [False, False]
    assert await journal.spaces() == [Space("n", 2, 4)]
    await store(journal, "x", b"0")
    assert await journal.take_back(by("a")) == 2
    assert (await held(journal, "x"), await held(journal, "y")) == ("0", "0")


async def test_what_was_taken_back_is_not_made_any_more(journal: Journal) -> None:
    await write(journal, append("r", 0))
    await store(journal, "k", b"1", cause=by("a"))
    await journal.take_back(by("a"))
    assert await journal.take_back(by("late")) == 0
    for path in ("a", "late"):
        with pytest.raises(RefusedError, match=f"{path} was rolled back; it changes the entry 'k'"):
            await store(journal, "k", b"1", cause=by(path))
    assert await held(journal, "k") is None
    assert len(await journal.changes("r")) == 1


async def test_to_delete_what_is_not_there_changes_nothing(journal: Journal) -> None:
    await write(journal, append("r", 0))
    assert await journal.remember(act("delete", "k", cause=by("a"))) is False
    assert await journal.remember(act("delete", "k", cause=by("b"))) is False
    assert await store(journal, "k", b"1", cause=by("c")) is False
    for path in "cab":
        assert await journal.take_back(by(path)) == 1
    assert await held(journal, "k") is None


async def test_all_who_change_at_once_have_changed(journal: Journal) -> None:
    await write(journal, append("r", 0))
    acts = [act("store", f"k{i % 5}", b"%d" % i, cause=by(f"v{i}")) for i in range(20)]
    existed = await asyncio.gather(*map(journal.remember, acts))
    assert existed.count(False) == 5
    await asyncio.gather(*(journal.take_back(by(f"v{i}")) for i in range(20)))
    assert (await keys(journal), await journal.spaces()) == ([], [])


# Housekeeping -----------------------------------------------------------------------------------------------


async def test_the_memory_outlives_runs_and_their_changes_do_not(journal: Journal) -> None:
    await write(journal, append("r", 0), append("q", 0))
    await store(journal, "k", b"1", cause=by("a"))
    await store(journal, "k", b"2", cause=by("a", "q"))
    await journal.delete("r", 1.0)
    assert (await journal.changes("r"), len(await journal.changes("q"))) == ([], 1)
    assert await held(journal, "k") == "2"
    await write(journal, append("r", 0))
    assert await store(journal, "k", b"1", cause=by("a")) is True
    assert await held(journal, "k") == "1"


async def test_what_is_kept_of_deleted_entries_goes_one_day(journal: Journal) -> None:
    await write(journal, append("r", 0), append("q", 0))
    for key, cause in (("k", by("a")), ("l", by("b", "q"))):
        await store(journal, key, b"1")
        await journal.remember(act("delete", key, cause=cause))
    await journal.delete("r", 1.0)
    assert (await commit(journal, append("q", 1))) == [None]
    await journal.sweep(1.0, dry_run=True)
    await journal.sweep(1.0)
    assert await journal.take_back(by("b", "q")) == 1
    assert await keys(journal) == ["l"]
    await journal.remember(act("delete", "l"))
    await journal.sweep(1.0)
    assert await journal.spaces() == []


async def test_a_closed_journal_remembers_nothing(journal: Journal) -> None:
    await journal.close()
    calls = [
        journal.remember(act("store", "k")),
        journal.take_back(by("a")),
        journal.entry("n", "k"),
        journal.entries(Query(namespace="n")),
        journal.spaces(),
        journal.changes("r"),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="the journal is closed"):
            await call
