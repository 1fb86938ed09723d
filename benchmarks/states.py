"""State graphs: a loop, branches, a large state of which little changes, a conversation."""

from __future__ import annotations

import gc
import operator
import time
from pathlib import Path
from typing import Annotated, TypedDict

from benchmarks.plan import Case
from clew.engine.engine import Engine
from clew.graphs.state_graph import StateGraph
from clew.graphs.updates import END, START

#: Bytes of the part of a large state that does not change.
LARGE = 1_000_000
#: Bytes of a message of a conversation.
MESSAGE = 500


class Count(TypedDict, total=False):
    """The state of a loop."""

    n: int
    limit: int


class Total(TypedDict, total=False):
    """The state of branches."""

    sum: Annotated[int, operator.add]
    items: list[int]


class Document(TypedDict, total=False):
    """A large state."""

    n: int
    limit: int
    text: str


class Talk(TypedDict, total=False):
    """A conversation; `said` counts its messages, which no node reads."""

    said: int
    limit: int
    messages: Annotated[list[str], operator.add]


async def step(state: Count) -> Count:
    """One step of a loop."""
    return {"n": state["n"] + 1}


async def branch(state: Total, item: int) -> Total:  # noqa: ARG001 - a branch may read the state
    """One branch."""
    return {"sum": item}


async def say(state: Talk) -> Talk:
    """One turn."""
    return {"said": state["said"] + 1, "messages": [f"{state['said']:{MESSAGE}}"]}


def loop(schema: type = Count) -> StateGraph:
    """A node that is visited again until it has counted to the limit."""
    graph = StateGraph(schema, name="loop", max_steps=1_000_000)
    graph.add_node(step)
    graph.add_edge(START, "step")
    graph.add_edge("step", "step", when=goes_on)
    graph.add_edge("step", END)
    return graph


def goes_on(state: Count) -> bool:
    """Whether the loop goes on."""
    return state["n"] < state["limit"]


def talks(state: Talk) -> bool:
    """Whether the conversation goes on."""
    return state["said"] < state["limit"]


def branches() -> StateGraph:
    """A map over a list in the state, whose items are summed up."""
    graph = StateGraph(Total, name="branches", max_concurrency=5_000)
    graph.add_map("each", branch, over="items", item="item")
    graph.add_edge(START, "each")
    graph.add_edge("each", END)
    return graph


def conversation() -> StateGraph:
    """Turns, each of which adds a message."""
    graph = StateGraph(Talk, name="conversation", max_steps=1_000_000)
    graph.add_node(say)
    graph.add_edge(START, "say")
    graph.add_edge("say", "say", when=talks)
    graph.add_edge("say", END)
    return graph


async def states(case: Case, folder: Path) -> dict[str, float]:
    """Seconds and bytes of one of the workloads."""
    graph, given = _work(case)
    small, few = _work(Case(case.work, case.subject, case.mode, 5))
    url = "memory:" if case.mode == "memory" else f"sqlite:///{folder / 'timed.db'}"
    async with Engine(url, durability=case.mode, max_concurrency=5_000) as engine:
        await (await engine.start(small, few)).result()
    before = _bytes(folder)
    async with Engine(url, durability=case.mode, max_concurrency=5_000) as engine:
        gc.collect()
        start, cpu = time.perf_counter(), time.process_time()
        result = await (await engine.start(graph, given)).result()
        seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    assert result["sum" if case.work == "branches" else "said" if case.work == "conversation" else "n"]
    return {"seconds": seconds, "cpu_seconds": cpu_s, "units": case.nodes, "bytes": _bytes(folder) - before}


def _work(case: Case) -> tuple[StateGraph, dict[str, object]]:
    match case.work:
        case "loop":
            return loop(), {"n": 0, "limit": case.nodes}
        case "branches":
            return branches(), {"items": list(range(1, case.nodes + 1))}
        case "large state":
            return loop(Document), {"n": 0, "limit": case.nodes, "text": "x" * LARGE}
        case _:
            return conversation(), {"said": 0, "limit": case.nodes}


def _bytes(folder: Path) -> int:
    """Bytes on disk of a database that was closed."""
    return sum(file.stat().st_size for file in folder.iterdir())
