"""What `clew.journal.port` promises of the memory: entries, their limits, searches."""

import pytest
from journal_samples import append, write
from memory_samples import act, by, held, keys, store
from msgspec import Raw

from clew.errors import InvalidInputError, UnknownEntryError, UnstorableError
from clew.journal import shelf
from clew.journal.entries import (
    MAX_ENTRY_BYTES,
    MAX_ENTRY_KEY,
    MAX_FOUND,
    MAX_NAMESPACE,
    MAX_TEXT,
    Entry,
    Query,
    Space,
)
from clew.journal.port import Journal

# Entries ----------------------------------------------------------------------------------------------------


async def test_what_was_stored_is_there(journal: Journal) -> None:
    assert await journal.entry("n", "k") is None
    assert await store(journal, "k", b'{"a":1}', at=1.5, by="ann") is False
    assert await journal.entry("n", "k") == Entry(
        namespace="n", key="k", data='{"a":1}', number=1, created_at=1.5, updated_at=1.5, by="ann"
    )
    assert await store(journal, "k", '"é\u2028"'.encode(), at=2.5, by="bob") is True
    entry = await journal.entry("n", "k")
    assert entry is not None
    assert (entry.data, entry.created_at, entry.updated_at, entry.by) == ('"é\u2028"', 1.5, 2.5, "bob")
    assert entry.number == 2
    assert await journal.entry("m", "k") is None
    assert await journal.entry("n", "K") is None


@pytest.mark.parametrize(
    ("before", "given", "after"),
    [
        (b'{"a":1,"b":{"c":2}}', b'{"b":{"d":3},"e":null}', '{"a":1,"b":{"d":3},"e":null}'),
        (b'{"a":1}', b"[1]", "[1]"),
        (b"1", b'{"a":1}', '{"a":1}'),
        (b'{"big":123456789012345678901234567890}', b"{}", '{"big":123456789012345678901234567890}'),
    ],
)
async def test_an_update_writes_over_fields(journal: Journal, before: bytes, given: bytes, after: str) -> None:
    await store(journal, "k", before)
    assert await journal.remember(act("update", "k", given)) is True
    assert await held(journal, "k") == after


async def test_what_is_not_there_cannot_be_updated(journal: Journal) -> None:
    with pytest.raises(UnknownEntryError, match=r"^the entry 'k' of the memory 'n' is not there.* store it$"):
        await journal.remember(act("update", "k"))
    await write(journal, append("r", 0))
    await store(journal, "k", b"1")
    await journal.remember(act("delete", "k", cause=by("a")))
    with pytest.raises(UnknownEntryError):
        await journal.remember(act("update", "k", cause=by("b")))
    assert [change.operation for change in await journal.changes("r")] == ["delete"]


async def test_what_was_deleted_is_gone(journal: Journal) -> None:
    assert await journal.remember(act("delete", "k")) is False
    await store(journal, "k", b"1", at=1.0)
    assert await journal.remember(act("delete", "k")) is True
    assert (await held(journal, "k"), await keys(journal), await journal.spaces()) == (None, [], [])
    await store(journal, "k", b"1", at=2.0)
    entry = await journal.entry("n", "k")
    assert entry is not None
    assert entry.created_at == 2.0


async def test_namespaces_tell_how_full_they_are(journal: Journal) -> None:
    await store(journal, "é", b"12", namespace="b")
    await store(journal, "k", b"1", namespace="a")
    await store(journal, "l", b"1", namespace="a")
    assert await journal.spaces() == [Space("a", 2, 4), Space("b", 1, 4)]
    await store(journal, "k", b"[1,2]", namespace="a")
    await journal.remember(act("delete", "l", namespace="a"))
    await journal.remember(act("delete", "é", namespace="b"))
    assert await journal.spaces() == [Space("a", 1, 6)]


# Limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "\x00", "\ud800"])
async def test_names_can_be_read(journal: Journal, name: str) -> None:
    wrong_names = [act("store", name), act("delete", "k", namespace=name)]
    for wrong in [*wrong_names, *([act("store", "k", by=name)] if name else [])]:
        with pytest.raises(InvalidInputError, match="is printable text of 1 to"):
            await journal.remember(wrong)
    if name:
        with pytest.raises(InvalidInputError, match="the namespace"):
            await journal.entries(Query(namespace=name))


async def test_names_and_values_have_limits(journal: Journal) -> None:
    key, namespace = "k" * MAX_ENTRY_KEY, "n" * MAX_NAMESPACE
    await store(journal, key, b"1" * MAX_ENTRY_BYTES, namespace=namespace)
    assert len(await held(journal, key, namespace) or "") == MAX_ENTRY_BYTES
    with pytest.raises(InvalidInputError, match=f"1 to {MAX_ENTRY_KEY} characters"):
        await store(journal, key + "k", b"1")
    with pytest.raises(InvalidInputError, match=f"1 to {MAX_NAMESPACE} characters"):
        await store(journal, "k", b"1", namespace=namespace + "n")
    with pytest.raises(
        UnstorableError, match=rf"{MAX_ENTRY_BYTES + 1} bytes .*store where it can be found instead"
    ):
        await store(journal, "k", b"1" * (MAX_ENTRY_BYTES + 1))
    await store(journal, "o", b'{"a":"%s"}' % (b"x" * (MAX_ENTRY_BYTES // 2)))
    with pytest.raises(UnstorableError, match="in parts"):
        await journal.remember(act("update", "o", b'{"b":"%s"}' % (b"x" * (MAX_ENTRY_BYTES // 2))))


async def test_a_namespace_is_full_one_day(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MAX_ENTRIES", 2)
    monkeypatch.setattr(shelf, "MAX_SPACE_BYTES", 10)
    await store(journal, "a", b"1")
    await store(journal, "b", b"1")
    with pytest.raises(
        UnstorableError, match=r"'n' has 2 entries with 4 bytes, and may have 2 with 10; delete some"
    ):
        await store(journal, "c", b"1")
    await store(journal, "c", b"1", namespace="m")
    await store(journal, "b", b"1234567")
    with pytest.raises(UnstorableError, match="delete some"):
        await journal.remember(act("update", "a", b"12"))
    await write(journal, append("r", 0))
    await journal.remember(act("delete", "b", cause=by("x")))
    await store(journal, "c", b"1234567")
    assert await journal.take_back(by("x")) == 1  # what was there is put back, limit or not
    assert await journal.spaces() == [Space("m", 1, 2), Space("n", 3, 18)]


# Searches ---------------------------------------------------------------------------------------------------


async def test_a_search_finds_words_anywhere(journal: Journal) -> None:
    await store(journal, "cats", b'{"says":"Meow","legs":4,"tame":true,"of":[{"Kind":"LION"}],"not":null}')
    await store(journal, "dogs", b'"they bark, and are no cats"')
    await store(journal, "stones", '"STRASSE, straße"'.encode())
    assert await keys(journal, text="CAT") == ["dogs", "cats"]
    assert await keys(journal, text="cat meow") == ["cats"]
    assert await keys(journal, text="  legs 4\ttrue lion ") == ["cats"]
    assert await keys(journal, text="null") == []
    assert await keys(journal, text='":') == []
    assert await keys(journal, text="straße") == ["stones"]
    assert await keys(journal, text="meow bark") == []
    assert await keys(journal) == await keys(journal, text=" ") == ["stones", "dogs", "cats"]


async def test_a_search_compares_fields(journal: Journal) -> None:
    await store(journal, "a", b'{"n":1,"t":["x",{"y":1.0}]}')
    await store(journal, "b", b'{"n":true,"t":null}')
    await store(journal, "c", b'[{"n":1}]')
    assert await keys(journal, where={"n": Raw(b"1.0")}) == ["a"]
    assert await keys(journal, where={"n": Raw(b"true")}) == ["b"]
    assert await keys(journal, where={"t": Raw(b"null")}) == ["b"]
    assert await keys(journal, where={"t": Raw(b'["x",{"y":1}]'), "n": Raw(b"1")}) == ["a"]
    assert await keys(journal, where={"t": Raw(b'["x"]')}) == []
    assert await keys(journal, where={"missing": Raw(b"null")}) == []
    assert await keys(journal, where={"n": Raw(b"1")}, text="y") == ["a"]


async def test_a_search_is_for_keys_and_has_pages(journal: Journal) -> None:
    for key in ("a/1", "a/2", "A/3", "a%", "é/1", "a/4"):
        await store(journal, key, b"1")
    await store(journal, "a/1", b"2")
    assert await keys(journal, prefix="a/") == ["a/1", "a/4", "a/2"]
    assert await keys(journal, prefix="a%") == ["a%"]
    assert await keys(journal, prefix="é") == ["é/1"]
    page = await journal.entries(Query(namespace="n", prefix="a/", limit=2))
    assert [entry.key for entry in page] == ["a/1", "a/4"]
    assert await keys(journal, prefix="a/", below=page[-1].number) == ["a/2"]
    assert await keys(journal, limit=1) == ["a/1"]


@pytest.mark.parametrize("limit", [0, -1, MAX_FOUND + 1])
async def test_a_search_has_limits(journal: Journal, limit: int) -> None:
    with pytest.raises(InvalidInputError, match=f"from 1 to {MAX_FOUND}, not {limit}"):
        await journal.entries(Query(namespace="n", limit=limit))
    with pytest.raises(InvalidInputError, match=f"{MAX_TEXT + 1} characters"):
        await journal.entries(Query(namespace="n", text="x" * (MAX_TEXT + 1)))
