"""A shop whose orders can be paid back, for tests of compensations."""

# pyright: basic

import re
from typing import Any, TypedDict

import msgspec
import pytest
from state_graphs import Research

from clew import Context
from clew.errors import GraphError
from clew.graphs import Graph
from clew.graphs.body_data import FunctionBody
from clew.graphs.functions_of import functions_of
from clew.graphs.hashing import definition_hash
from clew.kernel.definition import CompensationSpec, GraphSpec, NodeSpec


class Receipt(TypedDict):
    number: str


def pay(order: str, cents: int) -> Receipt:
    return {"number": f"R-{order}-{cents}"}


def refund(order: str, output: Receipt | None = None) -> None: ...


async def refund_slowly(output: Receipt, ctx: Context) -> None: ...


def refund_anything(**given: Any) -> None: ...


def plan(state: Research) -> dict[str, Any]:
    return {"page": "p", "sections": ["a"]}


def unplan(state: Research, output: dict[str, Any]) -> None: ...


def made(graph: Graph) -> GraphSpec:
    """The definition, as it can be stored and read again."""
    spec = graph.spec()
    again = msgspec.json.decode(msgspec.json.encode(spec), type=GraphSpec)
    assert definition_hash(again) == graph.hash == definition_hash(spec)
    assert {each.ref for each in functions_of(spec)} <= graph.bodies.keys()
    return spec


def paid(compensate: Any, **options: Any) -> NodeSpec:
    """The node of a shop that pays for an order."""
    g = Graph("shop")
    g.add(pay, g.input("order", str), 5, compensate=compensate, **options)
    return made(g).nodes[0]


def undone(compensate: Any, **options: Any) -> CompensationSpec:
    found = paid(compensate, **options).compensation
    assert found is not None
    return found


def ref_of(compensation: CompensationSpec) -> str:
    return msgspec.json.decode(compensation.body, type=FunctionBody).ref


def told(graph: Graph) -> list[str]:
    with pytest.raises(GraphError) as caught:
        graph.spec()
    return [re.sub(r"^\S+: ", "", each) for each in caught.value.problems]


def wrong(compensate: Any, **options: Any) -> list[str]:
    """What is refused about paying and taking it back."""
    g = Graph("shop")
    g.add(pay, g.input("order", str), 5, compensate=compensate, **options)
    return [each.removeprefix("node 'pay', ") for each in told(g)]
