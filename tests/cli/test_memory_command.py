"""`clew memory`: what is remembered is listed, searched, stored and deleted."""

import asyncio
from pathlib import Path

import pytest

from clew import Engine, Graph, memory


@pytest.fixture(autouse=True)
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def remember() -> None:
        async with Engine("clew.db") as engine:
            facts = engine.memory("facts")
            await facts.store("cats", {"legs": 4, "says": "meow\x1b[31m"}, by="ann")
            await facts.store("stones", "quiet")
            await engine.memory("names").store("a", 1)

    asyncio.run(remember())


def test_namespaces_are_listed(clew) -> None:
    lines = clew("memory", "ls").out.splitlines()
    assert [line.split()[:3] for line in lines] == [["facts", "2", "entries"], ["names", "1", "entry"]]
    assert clew("memory", "ls", "--json").json[1] == {"namespace": "names", "entries": 1, "bytes": 2}


def test_entries_are_listed(clew) -> None:
    head, stones, cats = clew("memory", "ls", "facts").out.splitlines()
    assert head.split() == ["KEY", "CHANGED", "BY", "VALUE"]
    assert stones.split()[0::4] == ["stones"]
    assert (cats.split()[0], "ann" in cats, "\x1b" in cats) == ("cats", True, False)
    told = clew("memory", "ls", "facts", "--prefix", "c", "-n", "1")
    assert ([line.split()[0] for line in told.out.splitlines()], "say --limit" in told.err) == (
        ["KEY", "cats"],
        True,
    )
    assert "nothing is found in the memory nowhere" in clew("memory", "ls", "nowhere").err


def test_values_are_printed(clew) -> None:
    assert clew("memory", "get", "facts", "stones").out == "quiet\n"
    assert clew("memory", "get", "names", "a").out == "1\n"
    entry = clew("memory", "get", "facts", "cats", "--json").json
    assert (entry["by"], entry["value"]["legs"]) == ("ann", 4)
    assert "there is no entry 'dogs' in the memory 'facts'" in clew("memory", "get", "facts", "dogs", code=4).err


def test_entries_are_found(clew) -> None:
    def keys(*words: str) -> list[str]:
        return [entry["key"] for entry in clew("memory", "search", "facts", *words, "--json").json]

    assert keys("LEGS", "4") == ["cats"]
    assert keys("--where", "legs=4") == ["cats"]
    assert keys("--where", "legs=5") == []
    assert keys("--prefix", "st") == ["stones"]
    assert "NAME=VALUE" in clew("memory", "search", "facts", "--where", "legs", code=2).err
    assert "limit is a number from 1 to 1000" in clew("memory", "search", "facts", "-n", "0", code=2).err


def test_values_are_stored_and_deleted(clew) -> None:
    assert (
        "cats was stored in the memory facts in the place of" in clew("memory", "store", "facts", "cats", "[1").err
    )
    assert clew("memory", "get", "facts", "cats").out == "[1\n"
    stored = clew("memory", "store", "new", "k", "null", "--by", "bob", "--json").json
    assert stored == {"namespace": "new", "key": "k", "existed": False}
    assert clew("memory", "get", "new", "k", "--json").json["by"] == "bob"
    assert "the key is printable text" in clew("memory", "store", "new", " ", "1", code=2).err
    told = clew("memory", "delete", "facts", "cats", "dogs", code=4)
    assert told.err.splitlines() == [
        "cats of the memory facts was deleted",
        "dogs of the memory facts is not there",
    ]
    assert clew("memory", "delete", "new", "k", "--json").json == [
        {"namespace": "new", "key": "k", "existed": True}
    ]
    assert [each["namespace"] for each in clew("memory", "ls", "--json").json] == ["facts", "names"]


def test_what_a_run_has_changed_is_listed(clew) -> None:
    async def change() -> None:
        g = Graph("g")
        first = g.add(memory("store", namespace="facts", key="cats", value=1), id="first")
        g.add(memory("delete", namespace="facts", key="missing"), id="second", depends_on=[first])
        other = Graph("other")
        other.add(memory("search", namespace="facts"))
        async with Engine("clew.db") as engine:
            await (await engine.start(g, id="r")).result()
            await (await engine.start(other, id="none")).result()

    asyncio.run(change())
    head, first, second = clew("memory", "changes", "r").out.splitlines()
    assert head.split() == ["WHAT", "NAMESPACE", "KEY", "AT", "BY", "BEFORE"]
    assert (first.split()[:3], '{"legs":4' in first) == (["store", "facts", "cats"], True)
    assert (second.split()[:3], second.split()[-1]) == (["delete", "facts", "missing"], "second")
    edits = clew("memory", "changes", "r", "--json").json
    assert [(each["path"], each["existed"], each["undone"]) for each in edits] == [
        ("first", True, False),
        ("second", False, False),
    ]
    assert edits[0]["before"]["legs"] == 4
    clew("rollback", "r", "--yes", code=None)
    lines = clew("memory", "changes", "r").out.splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [["store,", "undone"], ["delete,", "undone"]]
    assert "run none has changed nothing in the memory" in clew("memory", "changes", "none").err
    clew("memory", "changes", "nobody", code=4)


def test_there_may_be_nothing(clew) -> None:
    for namespace, key in (("facts", "cats"), ("facts", "stones"), ("names", "a")):
        clew("memory", "delete", namespace, key)
    assert "nothing is remembered" in clew("memory", "ls").err
    assert "there is no database" in clew("memory", "ls", "--db", "other.db", code=4).err
