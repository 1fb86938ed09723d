"""What the tests of runs of state graphs share: a small state, chains of nodes, looking on."""

from typing import Annotated, Any, TypedDict

from engine_kit import history, seen

from clew import END, START, Run, StateGraph, append
from clew.engine.status import OpenBarrier
from clew.kernel import events as e
from clew.kernel.questions import DECISION


class State(TypedDict, total=False):
    """A state that is enough for most tests."""

    log: Annotated[list[str], append]
    number: int


async def add_a(state: State) -> State:
    """Say that this node was here."""
    return {"log": ["a"]}


async def add_b(state: State) -> State:
    """Likewise."""
    return {"log": ["b"]}


def chain(*nodes: Any, schema: Any = State, **options: Any) -> StateGraph:
    """Nodes one after the other; a barrier is given by its name."""
    graph = StateGraph(schema, name="chain", **options)
    names = [
        graph.add_barrier(node, f"{node}?") if isinstance(node, str) else graph.add_node(node) for node in nodes
    ]
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph


async def waits_at(run: Run, path: str = "") -> OpenBarrier:
    """Wait until a barrier is waited at."""
    await seen(run, e.WaitOpened, path or None)
    return (await run.barriers())[0]


async def decisions(run: Run) -> list[e.WaitResolved]:
    """What was decided at barriers, by people or by the end of their time."""
    events = [recorded.event for recorded in await history(run)]
    return [event for event in events if isinstance(event, e.WaitResolved) and event.key == DECISION]


async def routes(run: Run) -> list[e.Routed]:
    """The way of the token."""
    return [recorded.event for recorded in await history(run) if isinstance(recorded.event, e.Routed)]
