"""The functions that a definition names: bodies, probes, compensations, conditions, reducers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clew.graphs.bodies import FunctionBody
from clew.graphs.conditions import Condition
from clew.kernel.definition import GraphSpec, RouteSpec
from clew.kernel.values import NOTHING


def functions_of(spec: GraphSpec) -> Iterator[FunctionBody]:
    """All functions of a graph and its sub-graphs."""
    for node in spec.nodes:
        if node.graph is not None:
            yield from functions_of(node.graph)
        undo = node.compensation
        undone_by = undo.body if undo is not None and undo.kind == "function" else NOTHING
        for function in (node.body if node.kind == "function" else NOTHING, node.probe, undone_by):
            if function:
                yield msgspec.json.decode(function, type=FunctionBody)
    if spec.routes is not None:
        yield from _rules(spec.routes)


def _rules(routes: RouteSpec) -> Iterator[FunctionBody]:
    for key in routes.keys:
        if key.custom:
            yield msgspec.json.decode(key.custom, type=FunctionBody)
    for edge in routes.edges:
        function = msgspec.json.decode(edge.when, type=Condition).function if edge.when else None
        if function is not None:
            yield function
