"""What the tests of streams share: everything of a run, in brief, and graphs that have much to tell."""

from collections.abc import Iterable
from contextlib import aclosing
from typing import Annotated, Any, TypedDict, TypeVar

import msgspec
from stream_laws import Audience

from clew import END, START, Context, Engine, Run, StateGraph, Update, append, total

T = TypeVar("T")

EVERYTHING = ("debug", "values")


async def collect(run: Run, *modes: Any, after: int = 0) -> list[Any]:
    """A whole stream."""
    return [item async for item in run.stream(modes or EVERYTHING, after)]


def of(items: Iterable[Any], kind: type[T], path: str | None = None) -> list[T]:
    """The items of a kind; of one path, if it is given."""
    return [x for x in items if isinstance(x, kind) and path in {None, getattr(x, "path", None)}]


def one(items: Iterable[Any], kind: type[T], path: str | None = None) -> T:
    """The only item of a kind."""
    (found,) = of(items, kind, path)
    return found


def brief(items: Iterable[Any], *kinds: type[Any]) -> list[str]:
    """Kinds and addresses in order."""
    found = [x for x in items if not kinds or isinstance(x, kinds)]
    return [f"{type(x).__name__} {getattr(x, 'path', '')}".strip() for x in found]


async def until(run: Run, kind: type[T], mode: Any = "debug", path: str | None = None, after: int = 0) -> T:
    """Wait until a run tells such an item."""
    async with aclosing(run.stream(mode, after)) as items:  # type: ignore[type-var]
        async for item in items:
            if isinstance(item, kind) and path in {None, getattr(item, "path", None)}:
                return item
    raise AssertionError(f"{run} ended without {kind.__name__} of {path}")


async def sound(run: Run) -> list[Any]:
    """Everything of a run that has ended; asserts that it fits together."""
    items = await collect(run)
    audience = Audience()
    for item in items:
        audience.hear(item)
    assert not audience.wrong, audience.wrong
    numbers = [item.seq for item in items]
    assert numbers == sorted(numbers)
    following = [*numbers[1:], 0]
    assert [item.more for item in items] == [a == b for a, b in zip(numbers, following, strict=True)]
    return items


def plain(item: Any) -> Any:
    """An item, or several, as they are in JSON."""
    return msgspec.json.decode(msgspec.json.encode(item))


# A graph that has much to tell ------------------------------------------------------------------------------


class Paper(TypedDict, total=False):
    """The state of `paper`."""

    topic: str
    found: Annotated[list[str], append]
    parts: Annotated[list[str], append]
    words: Annotated[int, total]
    note: str


class Search(TypedDict, total=False):
    """The state of its sub-graph."""

    topic: str
    found: Annotated[list[str], append]
    tries: Annotated[int, total]


async def plan(state: Paper) -> dict[str, Any]:
    return {"note": f"about {state['topic']}"}


async def library(state: Paper) -> dict[str, Any]:
    return {"found": [f"{state['topic']} in a book"]}


async def broken_index(state: Paper) -> dict[str, Any]:
    raise OSError("the index is closed")


async def look(state: Search) -> dict[str, Any]:
    return {"found": ["a page"], "tries": 1}


async def write(state: Paper, item: str) -> dict[str, Any]:
    return {"parts": [f"{item}."], "words": len(item)}


async def polish(state: Paper, ctx: Context) -> Update:
    ctx.emit("polishing")
    return Update({"note": "polished"}, cost=2.0, effects=True)


def paper() -> StateGraph:
    """Steps, branches (one of them a sub-graph, one that fails), a map, a barrier in a loop."""
    search = StateGraph(Search, name="search")
    search.add_node(look)
    search.add_edge(START, "look")
    search.add_edge("look", "look", when="{{ state.tries < 2 }}")
    search.add_edge("look", END)
    g = StateGraph(Paper, name="paper")
    g.add_node(plan)
    g.add_parallel(
        "research", {"library": library, "search": search, "index": broken_index}, on_branch_error="collect_all"
    )
    g.add_map("sections", write, over="found")
    g.add_barrier("review", "Good enough?", shows="parts", timeout=3600, default="approve")
    g.add_node(polish)
    for source, target in [
        (START, "plan"),
        ("plan", "research"),
        ("research", "sections"),
        ("sections", "review"),
    ]:
        g.add_edge(source, target)
    g.add_edge("review", "polish", when=lambda s: s["review.approved"])
    g.add_edge("review", "sections")
    g.add_edge("polish", END)
    return g


# Small graphs ----------------------------------------------------------------------------------------------


class State(TypedDict, total=False):
    log: Annotated[list[str], append]
    round: int
    text: str


async def step(state: State) -> dict[str, Any]:
    return {"log": ["step"], "round": state.get("round", 0) + 1}


async def plan_b(state: State) -> dict[str, Any]:
    return {"log": ["plan b"]}


async def fails(state: State) -> dict[str, Any]:
    raise ValueError("boom")


def line(*bodies: Any, **options: Any) -> StateGraph:
    """Nodes one after the other."""
    g = StateGraph(State, name="line", **options)
    last = START
    for body in bodies:
        g.add_edge(last, last := g.add_node(body))
    g.add_edge(last, END)
    return g


async def told(graph: Any, inputs: Any = None) -> list[Any]:
    """Everything of a run to its end, good or bad."""
    async with Engine("memory:") as engine:
        run = await engine.start(graph, inputs, id="r")
        await run.wait_ended()
        return await sound(run)
