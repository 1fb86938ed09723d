"""What a definition names: functions (bodies, tools, probes, compensations, conditions, reducers), servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from clew.graphs.body_data import FunctionBody, ToolBody
from clew.graphs.conditions import Condition
from clew.graphs.servers import Server
from clew.kernel.definition import GraphSpec, RouteSpec
from clew.kernel.values import Binding


def functions_of(spec: GraphSpec) -> Iterator[FunctionBody]:
    """All functions of a graph and its sub-graphs."""
    for node in spec.nodes:
        if node.graph is not None:
            yield from functions_of(node.graph)
        yield from _called(node.kind, node.body)
        yield from _called("function", node.probe)
        if node.compensation is not None:
            yield from _called(node.compensation.kind, node.compensation.body)
    if spec.routes is not None:
        yield from _rules(spec.routes)


def servers_of(spec: GraphSpec) -> Iterator[Server]:
    """The servers of all tools that are called in a graph and its sub-graphs."""
    for node in spec.nodes:
        if node.graph is not None:
            yield from servers_of(node.graph)
        yield from _asked(node.kind, node.body)
        if node.compensation is not None:
            yield from _asked(node.compensation.kind, node.compensation.body)


def unasked_calls(spec: GraphSpec, above: str = "") -> Iterator[tuple[str, ToolBody, Mapping[str, Binding]]]:
    """The calls of tools of which no server has told yet what they take: where, what, and the arguments."""
    for node in spec.nodes:
        path = f"{above}{node.id}"
        if node.graph is not None:
            yield from unasked_calls(node.graph, f"{path}/")
        how = node.compensation
        calls = [(path, node.kind, node.body, node.inputs)]
        calls += [(f"{path}, compensate", how.kind, how.body, how.inputs)] if how is not None else []
        for where, kind, body, inputs in calls:
            call = msgspec.json.decode(body, type=ToolBody) if kind == "tool" and body else None
            if call is not None and call.server is not None and call.ask_first:
                yield where, call, inputs


def _asked(kind: str, body: msgspec.Raw) -> Iterator[Server]:
    if kind == "tool" and body and (server := msgspec.json.decode(body, type=ToolBody).server) is not None:
        yield server


def _called(kind: str, body: msgspec.Raw) -> Iterator[FunctionBody]:
    if not body:
        return
    if kind == "function":
        yield msgspec.json.decode(body, type=FunctionBody)
    elif kind == "tool":
        called = msgspec.json.decode(body, type=ToolBody)
        # Whether the tool of a check is there is what the check finds out.
        checks = (each.function for each in called.checks if each.kind == "run")
        functions = (called.function, *checks)
        yield from (function for function in functions if function is not None)


def _rules(routes: RouteSpec) -> Iterator[FunctionBody]:
    for key in routes.keys:
        if key.custom:
            yield msgspec.json.decode(key.custom, type=FunctionBody)
    for edge in routes.edges:
        function = msgspec.json.decode(edge.when, type=Condition).function if edge.when else None
        if function is not None:
            yield function
