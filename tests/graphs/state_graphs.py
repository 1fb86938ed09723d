"""A state for tests, and graphs whose nodes stand in a row."""

# pyright: basic

import re
from itertools import pairwise
from typing import Annotated, Any, TypedDict

import msgspec
import pytest

from clew.errors import GraphError
from clew.graphs import END, START, Graph, StateGraph, append
from clew.graphs.functions_of import functions_of
from clew.graphs.hashing import definition_hash
from clew.kernel.definition import GraphSpec, NodeSpec
from clew.kernel.topology import compile_graph
from clew.kernel.values import Binding, FromState


class Research(TypedDict):
    topic: str
    sections: list[str]
    drafts: Annotated[list[str], append]
    page: str
    score: float


class Some(TypedDict, total=False):
    sections: list[str]
    drafts: list[str]


#: What the names of an expression over the state mean.
STATE: dict[str, Binding] = {"state": FromState()}


def plan(state: Research) -> Some:
    return {"sections": [state["topic"]]}


def keep(state) -> None: ...


def built(graph: StateGraph) -> GraphSpec:
    """The definition, as it can be compiled, stored and read again."""
    spec = graph.spec()
    compile_graph(spec)
    again = msgspec.json.decode(msgspec.json.encode(spec), type=GraphSpec)
    assert definition_hash(again) == graph.hash == definition_hash(spec)
    assert {each.ref for each in functions_of(spec)} <= graph.bodies.keys()
    return spec


def line(*bodies: Any, schema: Any = Research, **options: Any) -> StateGraph:
    """A graph whose nodes stand in a row."""
    graph = StateGraph(schema, **options)
    ids = [START, *(graph.add_node(body) for body in bodies), END]
    for source, target in pairwise(ids):
        graph.add_edge(source, target)
    return graph


def inside(graph: StateGraph) -> NodeSpec:
    """The first node."""
    return built(graph).nodes[0]


def problems(graph: StateGraph | Graph) -> list[str]:
    with pytest.raises(GraphError) as caught:
        graph.spec()
    assert caught.value.problems == graph.problems()
    places = [re.match(r"\S+\.py:\d+: ", each) for each in caught.value.problems]
    assert all(places), caught.value.problems
    return [each[place.end() :] for each, place in zip(caught.value.problems, places, strict=True) if place]


def problem(body: Any, *, schema: Any = Research, **options: Any) -> str:
    """The one problem of a graph with one node."""
    graph = StateGraph(schema)
    name = graph.add_node("one", body, **options)
    graph.add_edge(START, name)
    graph.add_edge(name, END)
    (found,) = problems(graph)
    assert found.startswith("node 'one'"), found
    return found.removeprefix("node 'one'").removeprefix(", ").removeprefix(": ")
