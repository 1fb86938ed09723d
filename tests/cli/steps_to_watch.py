"""State graphs that do everything that a watcher can see of them."""

from contextlib import aclosing
from itertools import pairwise
from typing import Annotated, TypedDict

from graphs_to_watch import numbers, odd_fails, recorded_run

from clew.engine.run import Run
from clew.graphs import END, START, Graph, StateGraph, Update, append, barrier, merge, total
from clew.journal.records import Recorded


class Paper(TypedDict, total=False):
    topic: str
    drafts: Annotated[list[str], append]
    notes: Annotated[list[str], append]
    words: Annotated[int, total]
    meta: Annotated[dict, merge]
    score: float
    n: int


async def draft(state: Paper) -> dict:
    number = len(state.get("drafts", [])) + 1
    return {"drafts": [f"{state.get('topic', 'cats')} {number}"], "score": number / 2}


async def facts(state: Paper) -> dict:
    return {"notes": ["facts"], "words": 2}


async def style(state: Paper) -> dict:
    return {"notes": ["style"], "words": 3, "meta": {"dull": True}}


async def breaks(state: Paper) -> dict:
    raise ValueError("it broke,\nbadly")


async def count(state: Paper, item: str) -> dict:
    if item == "bad":
        raise ValueError("no words")
    return {"words": len(item)}


async def asks_for_less(state: Paper) -> Update:
    return Update({"notes": ["less"]}, fallback=True)


async def names_the_end(state: Paper) -> Update:
    return Update(goto=END)


def loop() -> StateGraph:
    """Two drafts by a condition."""
    graph = StateGraph(Paper, name="loop")
    graph.add_node(draft)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "draft", when="{{ state.score < 1 }}")
    graph.add_edge("draft", END)
    return graph


def parts() -> StateGraph:
    """Branches, items, a state graph and a dependency graph as steps."""
    inner = StateGraph(Paper, name="inner")
    inner.add_node(draft)
    inner.add_parallel("both", [facts, style])
    for source, target in ((START, "draft"), ("draft", "both"), ("both", END)):
        inner.add_edge(source, target)
    sums = Graph("sums")
    listed = sums.add(numbers, sums.input("n", int, default=3))
    sums.map(odd_fails, over=listed, id="each", on_item_error="collect")
    sums.returns({"score": 2.5})
    graph = StateGraph(Paper, name="parts")
    graph.add_node("inner", inner)
    graph.add_node("sums", sums)
    graph.add_parallel("check", [facts, breaks, inner], on_branch_error="collect_all", max_concurrency=2)
    graph.add_map("count", count, over="{{ ['a', 'bad', 'abc'] }}", on_item_error="collect")
    graph.add_map("again", inner, over="{{ [1, 2] }}", item="n")
    steps = [START, "inner", "sums", "check", "count", "again", END]
    for source, target in pairwise(steps):
        graph.add_edge(source, target)
    return graph


def degraded() -> StateGraph:
    """A failure, a wish and a limit, each gone on from by a fallback."""
    graph = StateGraph(Paper, name="degraded")
    graph.add_node(breaks)
    graph.add_node(asks_for_less, max_visits=1, on_limit="fallback")
    graph.add_node(draft)
    graph.add_node(names_the_end)
    graph.add_edge(START, "breaks")
    graph.add_edge("breaks", END)
    graph.add_fallback("breaks", "asks_for_less")
    graph.add_edge("asks_for_less", END)
    graph.add_fallback("asks_for_less", "draft")
    graph.add_edge("draft", "asks_for_less", when="{{ state.score < 1 }}")
    graph.add_edge("draft", "names_the_end")
    graph.add_edge("names_the_end", END)
    return graph


def failing() -> StateGraph:
    """A branch fails, and with it everything."""
    graph = StateGraph(Paper, name="failing")
    graph.add_node(draft)
    inner = StateGraph(Paper, name="inner")
    inner.add_parallel("both", [facts, breaks])
    inner.add_edge(START, "both")
    inner.add_edge("both", END)
    graph.add_node("inner", inner)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "inner")
    graph.add_edge("inner", END)
    return graph


def reviewed(timeout: float | None = None) -> StateGraph:
    """Drafts until somebody approves."""
    graph = StateGraph(Paper, name="reviewed")
    graph.add_node(draft)
    graph.add_barrier("review", "Good enough?\nThink twice.", shows=["drafts", "topic"], timeout=timeout)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "review")
    graph.add_edge("review", "draft", when="{{ not state['review.approved'] }}")
    graph.add_edge("review", END)
    return graph


def asked_twice() -> StateGraph:
    """Two barriers side by side."""
    graph = StateGraph(Paper, name="asked_twice")
    asks = {"legal": barrier("Is it legal?", shows="topic"), "taste": barrier("Is it nice?"), "facts": facts}
    graph.add_parallel("ask", asks)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    return graph


def inside() -> Graph:
    """State graphs as nodes of a dependency graph, one of them for each item."""
    graph = Graph("inside", on_error="continue")
    topic = graph.input("topic", str, default="dogs")
    first = graph.add(loop(), topic=topic, id="first")
    graph.map(parts(), over={"n": graph.add(numbers, 2)}, id="each", depends_on=first)
    graph.add(failing(), topic=topic, id="fails")
    graph.add(numbers, 3, depends_on=first, id="last")
    return graph


ALL = [loop, parts, degraded, failing, inside]


async def wait_for_barriers(run: Run, number: int = 1) -> None:
    """Until a run waits at so many barriers."""
    async with aclosing(run.events()) as events:
        async for _ in events:
            if len(await run.barriers()) >= number:
                return
    raise AssertionError("it has ended")


async def rejected_once(run: Run) -> None:
    """Reject what waits, change the state, then approve."""
    await wait_for_barriers(run)
    await run.reject(reason="too short", by="ann")
    await wait_for_barriers(run)
    await run.modify({"topic": "dogs"}, by="bob")
    await wait_for_barriers(run)
    await run.checkpoint("nearly", by="bob")
    await run.approve(by="cleo")


def recorded_review() -> list[Recorded]:
    """What is recorded of `reviewed`, decided on as in `rejected_once`."""
    return recorded_run(reviewed(), rejected_once)
