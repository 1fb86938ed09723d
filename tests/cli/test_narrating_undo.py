"""Rollbacks in lines and in the picture: each thing that is undone, and of many how far they are."""

import asyncio
import re

import pytest
from graphs_to_watch import number
from test_narrating import lines_of
from test_screen import SIZES, picture

from clew import Graph, undo
from clew.cli.board import Board
from clew.cli.narrating_undo import EACH
from clew.engine.engine import Engine
from clew.engine.undoables import undoables
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.states import NodeState

UNFIT = 7


async def forget(n: int) -> None:
    if n == UNFIT:
        raise ValueError("7 is never forgotten")


def many(items: int) -> Graph:
    graph = Graph("many")
    graph.map(number, over=[*range(items)], compensate=undo(forget, retry=1))
    return graph


def undone(graph: Graph) -> list[Recorded]:
    """Everything that is recorded of a run that completes and is rolled back."""

    async def drive() -> list[Recorded]:
        async with Engine("memory:") as engine:
            run = await engine.start(graph)
            await run.result()
            await run.rollback(by="ann")
            await run.wait_ended()
            return [recorded async for recorded in run.events(live=False)]

    return asyncio.run(drive())


def test_few_are_told_one_by_one() -> None:
    graph = many(2)
    lines = lines_of(graph, undone(graph))
    assert lines[-5].endswith(" is rolled back, asked by ann: 2 things are to be undone")
    called = "(function test_narrating_undo:forget)"
    assert sorted(lines[-4:]) == [
        f"number[0] is being undone {called}",
        "number[0] is undone, in T",
        f"number[1] is being undone {called}",
        "number[1] is undone, in T",
    ]


def test_of_many_it_is_told_how_far_they_are_and_what_fails() -> None:
    graph = many(4 * EACH)
    lines = lines_of(graph, undone(graph))
    assert sum("is being undone" in line for line in lines) == 0
    assert "number[7] could not be undone: ValueError: 7 is never forgotten" in lines
    assert "100 of 200 things undone (50 %)" in lines
    assert sum(" things undone (" in line for line in lines) <= 20


@pytest.mark.parametrize("size", SIZES)
def test_every_moment_of_a_rollback_fits_every_terminal(size: tuple[int, int]) -> None:
    graph = many(25)
    board = Board(graph.spec())
    for recorded in undone(graph):
        board.take(recorded)
        picture(board, *size, now=recorded.event.at + 100)


def test_of_many_those_under_way_and_failed_are_shown() -> None:
    graph = many(100)
    board = Board(graph.spec())
    for recorded in undone(graph):
        board.take(recorded)
        if isinstance(recorded.event, e.AttemptStarted) and recorded.event.path == "number[99]#undo":
            text = picture(board, now=recorded.event.at + 2)
            assert re.search(r"● number\[99\] +\d", text) or re.search(r"and [\d ,a-z]*running", text)
    text = picture(board)
    assert "99/100 undone  99 %  1 failed" in text
    assert "✗ number[7]" in text
    assert text.rstrip().endswith("… and 99 completed")


def test_a_plan_says_what_is_undone_and_what_could_not_be() -> None:
    graph = many(10)
    board = Board(graph.spec())
    for recorded in undone(graph):
        board.take(recorded)
    plan = {each.path: each for each in undoables(board.run)}
    assert [path for path, each in plan.items() if not each.undone] == ["number[7]"]
    assert plan["number[7]"].error == "7 is never forgotten"
    assert (plan["number[0]"].how, plan["number[0]"].call) == ("function", "test_narrating_undo:forget")
    assert not any(each.uncertain for each in plan.values())
    assert board.run.visits["number[7]#undo"].state is NodeState.FAILED
