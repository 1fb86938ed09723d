"""The memory for people; and changes by runs, made once and undone, whatever happens."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Gate, history, kinds, seen
from memory_kit import NOTES, Talk, story

from clew import (
    END,
    START,
    Context,
    Engine,
    Graph,
    InvalidInputError,
    Retry,
    RunFailedError,
    StateGraph,
    UnknownEntryError,
    UnstorableError,
    fixed,
    memory,
)
from clew.kernel import events as e

# For people -------------------------------------------------------------------------------------------------


async def test_people_keep_things(url: str) -> None:
    async with Engine(url) as engine:
        notes = engine.memory(NOTES)
        assert await notes.store("a", {"n": 1, "t": ["x"]}, by="ann") is False
        assert await notes.update("a", {"n": 2}, by="bob") is True
        entry = await notes.entry("a")
        assert entry is not None
        assert (entry.value, entry.by, entry.namespace) == ({"n": 2, "t": ["x"]}, "bob", NOTES)
        assert entry.created_at <= entry.updated_at
        assert await notes.get("a") == {"n": 2, "t": ["x"]}
        assert await notes.get("b", None) is None
        await notes.store("b", "text")
        assert [found.key for found in await notes.search("TEX")] == ["b"]
        assert [found.key for found in await notes.search(where={"n": 2})] == ["a"]
        assert [found.key for found in await notes.search(limit=1)] == ["b"]
        assert [found.key for found in await notes.search(below=(await notes.search())[0].number)] == ["a"]
        assert await notes.keys() == ["a", "b"]
        assert await engine.memory("others").keys() == []
        assert [space.namespace for space in await engine.memory.spaces()] == [NOTES]
        assert await notes.delete("a") is True
        assert await notes.entry("a") is None
    async with Engine(url) as engine:
        assert await engine.memory(NOTES).get("b", type=str) == "text"


async def test_people_are_told_what_is_wrong(url: str) -> None:
    async with Engine(url, secrets={"TOKEN": "hunter2-hunter2"}) as engine:
        notes = engine.memory(NOTES)
        with pytest.raises(UnknownEntryError, match="'a' of the memory 'notes' is not there; store it, or give a"):
            await notes.get("a")
        with pytest.raises(UnknownEntryError, match="cannot be updated"):
            await notes.update("a", 1)
        with pytest.raises(UnstorableError, match=r"\$\[0\]"):
            await notes.store("a", [{1, 2}])
        with pytest.raises(InvalidInputError, match="the key is text, not 5"):
            await notes.store(5, 1)
        with pytest.raises(InvalidInputError, match="the namespace is printable text"):
            await engine.memory("").store("a", 1)
        for wrong in ({"text": 5}, {"where": {"a": {1}}}, {"where": [1]}, {"limit": "many"}):
            with pytest.raises(InvalidInputError, match="a search of the memory 'notes'"):
                await notes.search(**wrong)
        engine._secrets.lookup("TOKEN")
        for key, value in (("a", ["hunter2-hunter2"]), ("hunter2-hunter2", 1)):
            with pytest.raises(UnstorableError, match="<secret TOKEN>, which must not be stored"):
                await notes.store(key, value)
        await notes.store("a", "x")
        with pytest.raises(InvalidInputError, match="Expected `int`"):
            await notes.get("a", type=int)
        assert await notes.keys() == ["a"]


async def test_keys_are_told_however_many(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.engine.memories.MAX_FOUND", 3)
    async with Engine("memory:") as engine:
        notes = engine.memory(NOTES)
        for number in range(8):
            await notes.store(f"k{7 - number}", number)
        await notes.store("other", 1)
        assert await notes.keys("k") == [f"k{number}" for number in range(8)]


# Once, whatever happens ---------------------------------------------------------------------------------------


async def test_an_attempt_that_is_made_again_changes_nothing_again(url: str) -> None:
    tries: list[int] = []

    async def body(ctx: Context) -> bool:
        existed = await ctx.memory(NOTES).store("a", ctx.attempt if not tries else tries[0])
        tries.append(ctx.attempt)
        if len(tries) == 1:
            raise ValueError("on purpose")
        return existed

    g = Graph("g")
    g.add(body, id="body", retry=Retry(max_attempts=2, backoff=fixed(0)))
    async with Engine(url) as engine:
        run = await engine.start(g)
        assert (await run.result())["body"] is False
        assert tries == [1, 2]
        assert len(await engine.journal.changes(run.id)) == 1


async def test_a_change_whose_record_was_lost_is_not_made_again(url: str) -> None:
    """The process has died between the change and what the run records of it."""
    gate, stored = Gate(), memory("store", namespace=NOTES, key="k", value=1)

    async def waits(ctx: Context) -> bool:
        existed = await ctx.memory(NOTES).store("s", 1)
        await gate.wait()
        return existed

    g = Graph("g")
    g.add(waits, id="body")
    g.add(stored, id="node")
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.start(g, id="r")
        await gate.arrivals()
        await seen(run, e.NodeCompleted, "node")
    async with Engine(url, graphs=[g]) as engine:
        await engine.memory(NOTES).update("s", 2)
        gate.open()
        outputs = await (await engine.resume("r")).result()
        assert outputs["body"] is False
        assert outputs["node"] == {"namespace": NOTES, "key": "k", "existed": False}
        assert await engine.memory(NOTES).get("s") == 2
        assert len(await engine.journal.changes("r")) == 2


async def test_what_others_have_changed_since_is_left_alone(url: str) -> None:
    gate = Gate()

    async def waits(after: Any) -> None:
        await gate.wait()
        raise ValueError("on purpose")

    g = Graph("g", rollback=True)
    first = g.add(memory("store", namespace=NOTES, key="k", value="mine"), id="first")
    other = g.add(memory("store", namespace=NOTES, key="other", value="mine"), id="other")
    g.add(waits, [first, other])
    async with Engine(url) as engine:
        notes = engine.memory(NOTES)
        await notes.store("k", "old")
        run = await engine.start(g)
        await gate.arrivals()
        await notes.store("k", "theirs", by="ann")
        gate.open()
        with pytest.raises(RunFailedError):
            await run.result()
        assert (await run.status()).state == "rollback_failed"
        assert (await notes.get("k"), await notes.keys()) == ("theirs", ["k"])
        (failed,) = [r.event for r in await history(run) if isinstance(r.event, e.RollbackFailed)]
        (remaining,) = failed.remaining
        assert remaining.path == "first"
        assert "has been changed by ann since first of run" in remaining.why
        assert 'before that, it was "old"' in remaining.why
        assert (await kinds(run, "first#undo")).count("AttemptStarted") == 1  # trying again is of no use
        await notes.store("k", "old")
        await run.rollback(by="ann")
        await seen(run, e.RunRolledBack)
        assert await notes.get("k") == "old"


async def test_a_fork_undoes_only_what_it_did(url: str) -> None:
    g = StateGraph(Talk, name="talk", rollback=True)
    for name in ("one", "two"):
        g.add_node(name, memory("store", namespace=NOTES, key=name, value="{{ state.topic }}"), sets={})
    g.add_node("stop", stopping)
    g.add_edge(START, "one")
    g.add_edge("one", "two")
    g.add_edge("two", "stop")
    g.add_edge("stop", END)
    async with Engine(url) as engine:
        run = await engine.start(g, {"topic": "cats"})
        await run.result()
        at = next(r.seq for r in await history(run) if getattr(r.event, "path", "") == "two")
        forked = await engine.fork(run.id, at, changes={"topic": "dogs"})
        with pytest.raises(RunFailedError):
            await forked.result()
        assert (await forked.status()).state == "rolled_back"
        assert [change.cause.path for change in await engine.journal.changes(forked.id)] == ["two"]
        notes = engine.memory(NOTES)
        assert (await notes.get("one"), await notes.get("two")) == ("cats", "cats")


async def stopping(state: Talk) -> Talk:
    if state["topic"] == "dogs":
        raise ValueError("on purpose")
    return {}


async def test_the_memory_outlives_runs(url: str, tmp_path: Path) -> None:
    async with Engine(url) as engine:
        run = await engine.start(story(rollback=False), {"topic": "cats"})
        await run.result()
        await engine.memory(NOTES).store("dogs", 1)
        with (tmp_path / "run.clew").open("wb") as file:
            await engine.archive.export_run(run.id, file)
        await engine.retention.delete(run.id)
        assert await engine.memory(NOTES).keys() == ["dogs"]
        assert await engine.journal.changes(run.id) == []


async def test_two_engines_share_one_memory(url: str) -> None:
    async with Engine(url) as one, Engine(url) as other:
        runs = await asyncio.gather(*(each.start(counting(5)) for each in (one, other)))
        await asyncio.gather(*(run.result() for run in runs))
        assert [await each.memory(NOTES).keys() for each in (one, other)] == [[f"k{n}" for n in range(5)]] * 2
        existed = [r.event for run in runs for r in await history(run) if isinstance(r.event, e.NodeCompleted)]
        assert len(existed) == 10


def counting(number: int) -> Graph:
    g = Graph("g")
    for n in range(number):
        g.add(memory("store", namespace=NOTES, key=f"k{n}", value=n), id=f"n{n}")
    return g
