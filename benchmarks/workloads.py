"""The graphs that are measured, as data, so that the engine and the floors run the same nodes and bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from clew.graphs.graph import Graph

#: Attempts that may run at once: the floors know no limit, so the widest workload must not meet one.
UNLIMITED = 5_000
#: Runs at once in the workload of small runs, and how many there are in all.
AT_ONCE, RUNS = 50, 1_000
#: Items of a map, or nodes of a layer, that run at once in the measurements of scale.
WIDTH = 64

#: Bytes that make SQLite's write-ahead log as long as it gets before it begins again at its start.
FILL = 6_000_000


async def one(x: int = 0) -> int:
    """A node with at most one dependency."""
    return x + 1


async def total(xs: list[int]) -> int:
    """A node with several dependencies."""
    return sum(xs)


async def long_text() -> str:
    """A value that fills a write-ahead log, see `grown`."""
    return "x" * FILL


def up_to(n: int) -> list[int]:
    """What a map of `n` items runs over."""
    return list(range(n))


@dataclass(frozen=True)
class Shape:
    """A graph: for each node, the earlier nodes whose values it takes.

    Attributes:
        name: of the workload.
        needs: by node.
    """

    name: str
    needs: tuple[tuple[int, ...], ...]

    def graph(self, max_concurrency: int = UNLIMITED) -> Graph:
        """The same as a graph of Clew."""
        graph = Graph(self.name, max_concurrency=max_concurrency)
        handles = []
        for number, needs in enumerate(self.needs):
            upstream = [handles[need] for need in needs]
            if len(upstream) > 1:
                handle = graph.add(total, upstream, id=f"n{number}")
            else:
                handle = graph.add(one, *upstream, id=f"n{number}")
            handles.append(handle)
        return graph

    def values(self) -> list[int]:
        """What each node must return."""
        values: list[int] = []
        for needs in self.needs:
            values.append(sum(values[need] for need in needs) + (len(needs) < 2))
        return values


def chain(n: int) -> Shape:
    """Each node takes the value of the one before."""
    return Shape("chain", tuple((i - 1,) if i else () for i in range(n)))


def fan(n: int) -> Shape:
    """One node feeds `n`, and these feed one."""
    return Shape("fan", ((), *[(0,)] * n, tuple(range(1, n + 1))))


def layers(depth: int, width: int, dependencies: int = 3) -> Shape:
    """`depth` layers; each node takes the values of some nodes of the layer before, strides apart."""
    needs: list[tuple[int, ...]] = [()] * width
    for layer in range(1, depth):
        start = (layer - 1) * width
        needs += [tuple(start + (i + 7 * d) % width for d in range(dependencies)) for i in range(width)]
    return Shape("layers", tuple(needs))


def grown() -> Graph:
    """A run of it brings a new journal into the state of one in use.

    A write-ahead log that still grows is a good deal slower to make durable than one that is written over again;
    which of the two a short measurement meets would be chance.
    """
    graph = Graph("grown")
    graph.add(long_text)
    return graph


def shape_of(name: str, *, small: bool = False) -> Shape:
    """A workload by its name; a small one of its kind to warm up with."""
    match name:
        case "chain":
            return chain(20 if small else 1_000)
        case "fan":
            return fan(20 if small else 1_000)
        case "layers":
            return layers(3, 10) if small else layers(20, 50)
        case "runs":
            return chain(3)
    raise ValueError(f"there is no workload {name!r}")


async def many(runs: int, start: Callable[[], Awaitable[None]]) -> None:
    """Make many runs, `AT_ONCE` of them at once."""
    free = asyncio.Semaphore(AT_ONCE)

    async def single() -> None:
        async with free:
            await start()

    await asyncio.gather(*(single() for _ in range(runs)))
