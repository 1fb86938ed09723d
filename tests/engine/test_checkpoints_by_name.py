"""SG8: a checkpoint that a body, or somebody outside, names is on disk, and can be forked from."""

import pytest

from clew import END, START, Context, Engine, InvalidInputError, RefusedError, StateGraph


async def note(state: dict, ctx: Context) -> dict:
    await ctx.checkpoint("before the note")
    return {"notes": state.get("notes", 0) + 1}


def notes() -> StateGraph:
    graph = StateGraph({"notes": int}, name="notes", checkpoints="manual")
    graph.add_node(note)
    graph.add_edge(START, "note")
    graph.add_edge("note", "note", when=lambda state: state["notes"] < 2)
    graph.add_edge("note", END)
    return graph


async def test_a_body_names_where_it_is() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(notes(), id="a")
        assert (await run.result())["notes"] == 2
        found = await run.checkpoints()
        assert [(each.why, each.name, each.path) for each in found] == [
            ("named", "before the note", "note"),
            ("named", "before the note", "note#2"),
        ]
        assert [(await run.at(each.seq)).state for each in found] == [{}, {"notes": 1}]
        fork = await engine.fork("a", found[1].seq, changes={"notes": 5})
        assert (await fork.result())["notes"] == 6


async def test_a_name_that_is_none_is_refused() -> None:
    graph = StateGraph({"notes": int}, name="empty")

    async def unnamed(ctx: Context) -> None:
        with pytest.raises(InvalidInputError, match="checkpoint"):
            await ctx.checkpoint("")

    graph.add_node(unnamed)
    graph.add_edge(START, "unnamed")
    graph.add_edge("unnamed", END)
    async with Engine("memory:") as engine:
        await (await engine.start(graph)).result()


async def test_an_ended_run_takes_no_name() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(notes())
        await run.result()
        with pytest.raises(RefusedError, match="it has ended"):
            await run.checkpoint("too late")
