"""What a long conversation costs on disk: what was said, and not what was said before once more.

Elsewhere, each checkpoint is a copy of the whole state, and a conversation of twice as many turns takes four times
the room.
"""

import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest

from clew import END, START, Engine, StateGraph, StateView, append

TURNS = 200
#: Bytes of the database per byte of what was said: the journal, and one snapshot.
SHARE = 4.0


def said(number: int) -> str:
    """Half a kilobyte that nothing can be made smaller by."""
    dice = random.Random(number)
    return "".join(dice.choices(string.ascii_letters, k=500))


def appended(old: list[Any] | None, new: list[Any]) -> list[Any]:
    """A reducer that the engine knows nothing about."""
    return [*(old or []), *new]


async def conversation(database: Path, turns: int, reducer: Callable[..., Any], *, asks: bool = False) -> int:
    """Let a run talk; the bytes of its database, in a file of its own."""

    async def reply(state: StateView) -> dict[str, Any]:
        number = state["turns"]
        told = [{"role": "user", "text": said(number)}, {"role": "model", "text": said(-number)}]
        return {"messages": told, "turns": number + 1}

    schema = {"messages": Annotated[list[dict[str, str]], reducer], "turns": int}
    graph = StateGraph(schema, name="chat", max_steps=10 * TURNS)
    graph.add_node(reply)
    graph.add_edge(START, "reply")
    last = "reply"
    if asks:
        last = graph.add_barrier("on", "Go on?")
        graph.add_edge("reply", last)
    graph.add_edge(last, "reply", when=lambda state: state["turns"] < turns)
    graph.add_edge(last, END)
    async with Engine(str(database), durability="process") as engine:
        run = await engine.start(graph, {"messages": [], "turns": 0})
        if asks:
            await run.approve("on", standing=True)
        result = await run.result()
        assert [each["text"] for each in result["messages"][-2:]] == [said(turns - 1), said(1 - turns)]
    return database.stat().st_size


@pytest.mark.parametrize("reducer", [append, pytest.param(appended, marks=pytest.mark.slow)])
async def test_storage_grows_with_the_conversation_and_not_with_its_square(
    tmp_path: Path, reducer: Callable[..., Any]
) -> None:
    half = await conversation(tmp_path / "half.db", TURNS // 2, reducer)
    whole = await conversation(tmp_path / "whole.db", TURNS, reducer)
    assert whole < SHARE * TURNS * 2 * len(said(0))
    assert whole < 2.2 * half


async def test_a_barrier_in_each_turn_copies_no_state(tmp_path: Path) -> None:
    without = await conversation(tmp_path / "without.db", TURNS, append)
    asking = await conversation(tmp_path / "asking.db", TURNS, append, asks=True)
    # Asked, decided, written, gone on: some hundred bytes each. And one snapshot more, of 200 KB.
    assert asking - without < 3_000 * TURNS
