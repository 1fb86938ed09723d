"""Graphs that do everything that a watcher can see."""

import asyncio
import contextlib
from collections.abc import Callable

from clew.cli.board import Board
from clew.cli.outlook import Outlook
from clew.engine.engine import Engine
from clew.engine.run import Run
from clew.errors import RunFailedError
from clew.graphs import Graph, Retry, fixed
from clew.journal.records import Recorded


async def number(n: int = 0) -> int:
    return n


async def numbers(n: int) -> list[int]:
    return list(range(n))


async def odd_fails(n: int) -> int:
    if n % 2:
        raise ValueError(f"{n} is odd,\nand that is not wanted")
    return n


async def second_time(n: int, ctx=None) -> int:
    if ctx.attempt < 2:
        raise ConnectionError("busy")
    return n


def chain() -> Graph:
    graph = Graph("chain")
    handle = graph.add(number, 1, id="n0")
    for i in range(1, 5):
        handle = graph.add(number, handle, id=f"n{i}")
    return graph


def collecting(items: int = 10) -> Graph:
    graph = Graph("collecting")
    mapped = graph.map(odd_fails, over=graph.add(numbers, items), on_item_error="collect")
    graph.add(number, depends_on=mapped, id="last")
    return graph


def failing_fast() -> Graph:
    graph = Graph("failing_fast", max_concurrency=1)
    mapped = graph.map(odd_fails, over=graph.add(numbers, 10))
    graph.add(number, depends_on=mapped, id="last")
    return graph


def skipping() -> Graph:
    graph = Graph("skipping", on_error="skip_downstream")
    bad = graph.add(odd_fails, 1, id="bad")
    inner = Graph("inner")
    inner.map(number, over=inner.add(numbers, 3))
    graph.add(inner, depends_on=bad, id="research")
    graph.map(number, over=[1, 2], depends_on=bad, id="never")
    graph.add(number, 2, id="aside")
    return graph


def nested() -> Graph:
    leaf = Graph("leaf")
    n = leaf.input("n", int)
    leaf.add(odd_fails, leaf.add(number, n), id="check")
    inner = Graph("inner", on_error="continue")
    inner.map(leaf, over={"n": inner.add(numbers, 4)}, id="each", on_item_error="collect")
    inner.add(second_time, 1, retry=Retry(max_attempts=2, backoff=fixed(0.0)))
    graph = Graph("nested", on_error="continue")
    done = graph.add(inner, id="research")
    graph.add(number, depends_on=done, id="last")
    return graph


def wide(nodes: int) -> Graph:
    graph = Graph("wide", on_error="continue", max_concurrency=50)
    for i in range(nodes):
        graph.add(odd_fails if i % 100 == 1 else number, i, id=f"node_{i}")
    return graph


ALL = [chain, collecting, failing_fast, skipping, nested]


def check(board: Board) -> None:
    """What a board keeps up to date is what counting everything again finds."""
    again = Board(board.run.topology.spec)
    again.run = board.run
    again.outlook = Outlook(board.run)
    if board.run.root is None:
        return
    again._count_again()
    assert +board.counts == +again.counts
    assert board.live.keys() == again.live.keys()
    assert board.rows == again.rows
    assert (board.expected, board.outlook.unknown) == (again.expected, again.outlook.unknown)
    assert board.expected >= board.run.settled


def recorded_run(graph: Graph, during: Callable[[Run], object] | None = None, **inputs: object) -> list[Recorded]:
    """Everything that is recorded of a run, driven to its end in memory."""

    async def drive() -> list[Recorded]:
        async with Engine("memory:") as engine:
            run = await engine.start(graph, inputs)
            if during is not None:
                await during(run)
            with contextlib.suppress(RunFailedError):
                await run.result()
            return [recorded async for recorded in run.events(live=False)]

    return asyncio.run(drive())


def board_of(graph: Graph, recorded: list[Recorded]) -> Board:
    board = Board(graph.spec())
    for each in recorded:
        board.take(each)
    return board
