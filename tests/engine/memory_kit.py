"""Graphs that change the memory, for the tests of it."""

from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

import pytest

from clew import (
    Engine,
    Graph,
    Run,
    RunFailedError,
    memory,
)

NOTES = "notes"


async def fails(after: Any = None) -> None:
    raise ValueError("on purpose")


async def ended(engine: Engine, graph: Graph, state: str = "rolled_back", **inputs: Any) -> Run:
    """A run that has failed, and what has become of it."""
    run = await engine.start(graph, inputs)
    with pytest.raises(RunFailedError):
        await run.result()
    assert (await run.status()).state == state
    return run


def doing(body: Callable[..., Awaitable[Any]], *, then_fails: bool = False) -> Graph:
    """A graph with one body, and perhaps one that fails after it."""
    graph = Graph("g", rollback=then_fails)
    handle = graph.add(body, id="body")
    if then_fails:
        graph.add(fails, handle)
    return graph


def story(*, rollback: bool) -> Graph:
    """Every operation, one after the other."""
    g = Graph("story", rollback=rollback)
    topic = g.input("topic", str)
    stored = g.add(memory("store", namespace=NOTES, key=topic, value={"topic": topic, "seen": 1}), id="store")
    updated = g.add(
        memory("update", namespace="{{ where }}", key="{{ topic }}", value={"seen": "{{ 1 + 1 }}"}),
        id="update",
        topic=topic,
        where=NOTES,
        depends_on=[stored],
    )
    found = g.add(
        memory("search", namespace=NOTES, text=topic, where={"seen": 2}), id="search", depends_on=[updated]
    )
    deleted = g.add(memory("delete", namespace=NOTES, key=found[0]["key"]), id="delete")
    got = g.add(memory("get", namespace=NOTES, key=topic, default=[topic]), id="get", depends_on=[deleted])
    if rollback:
        g.add(fails, got)
    return g


class Talk(TypedDict, total=False):
    topic: str
    said: Any
    times: int
