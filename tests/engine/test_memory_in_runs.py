"""The memory as nodes and bodies see it: changed, searched, undone by rollbacks."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from engine_kit import count, history, seen
from memory_kit import NOTES, Talk, doing, ended, fails, story

from clew import (
    END,
    START,
    Context,
    Engine,
    Graph,
    InvalidInputError,
    MemoryEntry,
    RunFailedError,
    StateGraph,
    StepConflictError,
    UnknownEntryError,
    UnstorableError,
    item,
    memory,
)
from clew.bodies.memory import MemoryOfRun
from clew.kernel import events as e

# Nodes ------------------------------------------------------------------------------------------------------


async def test_nodes_store_update_search_and_delete(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(story(rollback=False), {"topic": "cats"})
        outputs = await run.result()
        (found,) = outputs["search"]
        assert (found.pop("updated_at") > 1e9, found) == (
            True,
            {"key": "cats", "value": {"topic": "cats", "seen": 2}, "by": run.id},
        )
        changed = {"namespace": NOTES, "key": "cats"}
        assert outputs["store"] == {**changed, "existed": False}
        assert outputs["delete"] == {**changed, "existed": True}
        assert outputs["get"] == ["cats"]
        assert [change.operation for change in await engine.journal.changes(run.id)] == [
            "store",
            "update",
            "delete",
        ]


async def test_what_nodes_have_changed_is_undone_by_itself(url: str) -> None:
    async with Engine(url) as engine:
        await engine.memory(NOTES).store("cats", "purr", by="ann")
        before = await engine.memory(NOTES).entry("cats")
        run = await ended(engine, story(rollback=True), topic="cats")
        assert await engine.memory(NOTES).entry("cats") == before
        plan = {each.path: (each.how, each.undone) for each in await run.rollback_plan() if each.how}
        assert plan == dict.fromkeys(("delete", "update", "store"), ("memory", True))
        undone = [path for kind, path in await count(run) if kind == "NodeCompleted" and path.endswith("#undo")]
        assert sorted(undone) == ["delete#undo", "store#undo", "update#undo"]


async def test_a_node_may_be_undone_otherwise_or_not_at_all(url: str) -> None:
    g = Graph("g", rollback=True)
    mine = memory("delete", namespace=NOTES, key="{{ key }}")
    first = g.add(memory("store", namespace=NOTES, key="{{ key }}", value=1), id="a", key="k", compensate=mine)
    again = g.add(
        memory("store", namespace=NOTES, key="l", value=1), id="b", irreversible=True, depends_on=[first]
    )
    g.add(fails, again)
    async with Engine(url) as engine:
        await engine.memory(NOTES).store("k", 0)
        run = await engine.start(g, confirmed=True)
        with pytest.raises(RunFailedError):
            await run.result()
        assert (await run.status()).state == "rollback_failed"
        assert await engine.memory(NOTES).keys() == ["l"]


async def test_items_of_a_map_store_each_their_own(url: str) -> None:
    g = Graph("g", rollback=True)
    stored = g.map(
        memory("store", namespace=NOTES, key=item["key"], value=item), over=g.input("all", list), id="m"
    )
    g.add(fails, stored)
    async with Engine(url) as engine:
        await engine.memory(NOTES).store("b", 0)
        run = await ended(engine, g, all=[{"key": name} for name in "abc"])
        assert await engine.memory(NOTES).keys() == ["b"]
        found = await count(run)
        assert [found["NodeCompleted", f"m[{number}]#undo"] for number in range(3)] == [1, 1, 1]


async def test_a_state_graph_remembers_what_its_state_says(url: str) -> None:
    g = StateGraph(Talk, name="talk", rollback=True)
    g.add_node(
        "keep",
        memory("store", namespace=NOTES, key="{{ state.topic }}", value={"times": "{{ state.times }}"}),
        sets={"said": "{{ output.existed }}", "times": "{{ state.times + 1 }}"},
    )
    g.add_node("stop", failing)
    g.add_edge(START, "keep")
    g.add_edge("keep", "keep", when=lambda state: state["times"] < 3)
    g.add_edge("keep", "stop")
    g.add_edge("stop", END)
    async with Engine(url) as engine:
        run = await engine.start(g, {"topic": "cats", "times": 0})
        with pytest.raises(RunFailedError):
            await run.result()
        assert (await run.status()).state == "rolled_back"
        assert await engine.memory(NOTES).keys() == []
        assert [change.cause.path for change in await engine.journal.changes(run.id)] == [
            "keep",
            "keep#2",
            "keep#3",
        ]


async def failing(state: Talk) -> Talk:
    assert state["said"] is True
    raise ValueError("on purpose")


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (memory("get", namespace=NOTES, key="k"), "the entry 'k' of the memory 'notes' is not there"),
        (memory("update", namespace=NOTES, key="k", value=1), "cannot be updated; store it"),
        (memory("store", namespace=NOTES, key="a\nb", value=1), "the key is printable text of 1 to 500"),
        (memory("store", namespace=NOTES, key=["k"], value=1), "memory: key is text, not ['k']"),
        (memory("store", namespace=NOTES, key="k", value="secret://TOKEN"), "holds <secret TOKEN>"),
        (memory("search", namespace=NOTES, limit=0), "limit is a number from 1 to 1000, not 0"),
        (memory("search", namespace=NOTES, where=[1]), "a search of the memory 'notes'"),
        (memory("store", namespace=NOTES, key="k", value="x" * 1_000_001), "may have (1000000); store where"),
    ],
)
async def test_an_operation_that_cannot_be_done_fails_its_node(operation: Any, told: str) -> None:
    g = Graph("g")
    g.add(operation, id="m")
    async with Engine("memory:", secrets={"TOKEN": "hunter2-hunter2"}) as engine:
        run = await ended(engine, g, "failed")
        assert told in (await seen(run, e.NodeFailed, "m")).error.message
        assert await engine.memory.spaces() == []


async def test_a_number_may_be_a_key(url: str) -> None:
    g = Graph("g")
    g.add(memory("store", namespace=NOTES, key=g.input("id", int), value=None))
    async with Engine(url) as engine:
        run = await engine.start(g, {"id": 5})
        await run.result()
        assert await engine.memory(NOTES).get("5") is None


# Bodies -----------------------------------------------------------------------------------------------------


async def test_a_body_changes_the_memory_in_steps(url: str) -> None:
    heard: list[Any] = []

    async def body(ctx: Context) -> list[str]:
        notes = ctx.memory(NOTES)
        assert isinstance(notes, MemoryOfRun)
        heard.append(await notes.store("a", {"n": 1}))
        heard.append(await notes.update("a", {"m": 2}))
        heard.append(await notes.get("a"))
        found = await notes.search("n")
        assert isinstance(found[0], MemoryEntry)
        heard.append(found[0].by == ctx.run_id)
        heard.append(await notes.delete("b"))
        heard.append(await notes.store("a", {"n": 1}, step="again"))
        return await notes.keys()

    async with Engine(url) as engine:
        run = await engine.start(doing(body))
        assert (await run.result())["body"] == ["a"]
        assert heard == [False, True, {"n": 1, "m": 2}, True, False, True]
        steps = [r.event.key for r in await history(run) if isinstance(r.event, e.StepCompleted)]
        assert steps == [
            f"memory store {NOTES}/a",
            f"memory update {NOTES}/a",
            f"memory delete {NOTES}/b",
            "again",
        ]


async def test_what_a_body_has_changed_is_undone_in_reverse(url: str) -> None:
    async def body(ctx: Context) -> None:
        notes = ctx.memory(NOTES)
        await notes.store("a", 1)
        await notes.delete("b")
        await notes.store("a", 2, step="again")

    async with Engine(url) as engine:
        await engine.memory(NOTES).store("b", "kept")
        run = await ended(engine, doing(body, then_fails=True))
        assert [(await engine.memory(NOTES).keys()), await engine.memory(NOTES).get("b")] == [["b"], "kept"]
        undone = [r.event.path for r in await history(run) if isinstance(r.event, e.AttemptStarted)][2:]
        assert undone == [
            "body#undo[again]",
            f"body#undo[memory delete {NOTES}/b]",
            f"body#undo[memory store {NOTES}/a]",
        ]


async def test_a_body_is_told_what_is_wrong(url: str) -> None:
    told: list[str] = []

    async def body(ctx: Context) -> None:
        notes = ctx.memory(NOTES)
        ctx.secret("TOKEN")
        wrong: list[Callable[[], Awaitable[Any]]] = [
            lambda: notes.store("a", "hunter2-hunter2"),
            lambda: notes.store("a", 1, step="#mine"),
            lambda: notes.update("missing", 1),
            lambda: notes.get("missing"),
            lambda: ctx.memory(" ").delete("a"),
        ]
        for call in wrong:
            with pytest.raises((UnstorableError, InvalidInputError, UnknownEntryError)) as caught:
                await call()
            told.append(str(caught.value))
        await notes.store("a", 1)
        with pytest.raises(StepConflictError, match="used twice"):
            await notes.store("a", 1)
        await notes.store("k" * 500, 1)

    async with Engine(url, secrets={"TOKEN": "hunter2-hunter2"}) as engine:
        run = await engine.start(doing(body))
        await run.result()
        assert "must not be stored" in told[0]
        assert "are Clew's own" in told[1]
        assert "cannot be updated" in told[2]
        assert "is not there" in told[3]
        assert "the namespace is printable text" in told[4]
        (long,) = [r.event.key for r in await history(run) if isinstance(r.event, e.StepCompleted)][1:]
        assert long.startswith("memory store notes/kkk")
        assert len(long) < 430


async def test_a_body_in_a_process_is_sent_to_the_loop(url: str) -> None:
    g = Graph("g")
    g.add(in_a_process, timeout=60)
    async with Engine(url) as engine:
        run = await ended(engine, g, "failed")
        error = (await seen(run, e.NodeFailed)).error
        assert "a change of the memory 'notes' cannot be recorded" in error.message


def in_a_process(ctx: Context) -> None:
    ctx.memory(NOTES)
