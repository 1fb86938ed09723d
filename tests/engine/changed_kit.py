"""What the tests of changed graphs share: bodies that count how often they were made, and the changes of a run."""

from collections import Counter
from typing import Annotated, Any, TypedDict

from engine_kit import history
from state_kit import State

from clew import END, START, Run, StateGraph, append
from clew.kernel import events as e

made: Counter[str] = Counter()


class Wider(TypedDict, total=False):
    """The state with one key more."""

    log: Annotated[list[str], append]
    number: int
    mood: str


async def first(state: State) -> State:
    made["first"] += 1
    return {"log": ["first"]}


async def second(state: State) -> State:
    made["second"] += 1
    return {"log": ["second"]}


async def third(state: State) -> State:
    made["third"] += 1
    return {"log": ["third"]}


async def broken(state: State) -> State:
    made["broken"] += 1
    raise ValueError("boom")


async def changes(run: Run) -> list[e.DefinitionChanged]:
    return [each.event for each in await history(run) if isinstance(each.event, e.DefinitionChanged)]


def routed(*nodes: Any, name: str = "chain", schema: Any = State, **options: Any) -> StateGraph:
    """Nodes by id one after the other."""
    graph = StateGraph(schema, name=name)
    ids = []
    for node in nodes:
        id_, body = node if isinstance(node, tuple) else (node.__name__, node)
        ids.append(graph.add_node(id_, body, **options.get(id_, {})))
    for source, target in zip([START, *ids], [*ids, END], strict=True):
        graph.add_edge(source, target)
    return graph
