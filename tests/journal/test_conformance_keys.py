"""What `clew.journal.port` promises of exclusive keys."""

import asyncio

import pytest
from journal_samples import append, commit, write

from clew.errors import RunFencedError, UnknownRunError
from clew.journal.port import Journal
from clew.journal.records import KeyHolder


async def test_a_key_is_held_by_one_visit(journal: Journal) -> None:
    await write(journal, append("a", 0), append("b", 0))
    assert await journal.take_key("a", "n", "é/1") is None
    assert await journal.take_key("a", "n", "é/1") is None
    assert await journal.take_key("b", "n", "é/1") == KeyHolder("a", "n")
    assert await journal.take_key("a", "m[1]", "é/1") == KeyHolder("a", "n")
    assert await journal.take_key("b", "n", "e/1") is None
    assert await journal.take_key("b", "n", "") is None
    assert await journal.keys() == [
        ("", KeyHolder("b", "n")),
        ("e/1", KeyHolder("b", "n")),
        ("é/1", KeyHolder("a", "n")),
    ]


async def test_a_key_is_given_back_with_the_append_that_frees_it(journal: Journal) -> None:
    await write(journal, append("a", 0), append("b", 0))
    for path, key in (("n", "1"), ("n", "2"), ("m", "3")):
        assert await journal.take_key("a", path, key) is None
    (fenced,) = await commit(journal, append("a", 7, freed=["n"]))
    assert isinstance(fenced, RunFencedError)
    await write(journal, append("b", 1, freed=["n", "m"]))
    assert [key for key, _ in await journal.keys()] == ["1", "2", "3"]
    await write(journal, append("a", 1, freed=["n", "unknown"]))
    assert await journal.keys() == [("3", KeyHolder("a", "m"))]
    assert await journal.take_key("b", "n", "1") is None
    await write(journal, append("a", 2, freed=["n"]))
    assert await journal.take_key("a", "n", "1") == KeyHolder("b", "n")


async def test_the_keys_of_a_run_that_ended_are_free(journal: Journal) -> None:
    await write(journal, append("a", 0), append("b", 0), append("c", 0))
    for run, key in (("a", "1"), ("a", "2"), ("c", "3")):
        assert await journal.take_key(run, "n", key) is None
    await write(journal, append("a", 1, state="failed", ended_at=1.0))
    assert await journal.keys() == [("3", KeyHolder("c", "n"))]
    assert await journal.take_key("b", "n", "1") is None
    # Taken up again, it does not have them any more.
    await write(journal, append("a", 2, state="running"))
    assert await journal.keys() == [("1", KeyHolder("b", "n")), ("3", KeyHolder("c", "n"))]
    assert await journal.take_key("a", "n", "1") == KeyHolder("b", "n")
    assert await journal.take_key("a", "n", "2") is None


async def test_what_an_ended_run_takes_is_free(journal: Journal) -> None:
    await write(journal, append("a", 0, state="failed", ended_at=1.0), append("b", 0))
    assert await journal.take_key("a", "n", "1") is None
    assert await journal.keys() == []
    assert await journal.take_key("b", "n", "1") is None
    assert await journal.keys() == [("1", KeyHolder("b", "n"))]


async def test_the_keys_of_a_run_that_was_deleted_are_free(journal: Journal) -> None:
    await write(journal, append("a", 0), append("b", 0))
    assert await journal.take_key("a", "n", "1") is None
    await journal.delete("a", 1.0)
    assert await journal.keys() == []
    assert await journal.take_key("b", "n", "1") is None


async def test_of_all_who_try_at_once_one_has_it(journal: Journal) -> None:
    await write(journal, *(append(f"r{i}", 0) for i in range(20)))
    answers = await asyncio.gather(*(journal.take_key(f"r{i}", "n", "k") for i in range(20)))
    ((_, holder),) = await journal.keys()
    assert answers.count(None) == 1
    assert answers[int(holder.run[1:])] is None
    assert {answer for answer in answers if answer is not None} == {holder}


async def test_a_run_that_is_not_there_takes_nothing(journal: Journal) -> None:
    with pytest.raises(UnknownRunError, match="no run x"):
        await journal.take_key("x", "n", "1")
    assert await journal.keys() == []
