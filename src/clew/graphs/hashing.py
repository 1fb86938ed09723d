"""The hash of a definition: the same wherever the code lies, another one when the graph is another."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import msgspec

from clew.kernel.definition import GraphSpec

#: What depends on where the code lies, or on where in a file something was written.
_PLACES_OF_FUNCTIONS = ("script", "folder")


def definition_hash(spec: GraphSpec) -> str:
    """Hex SHA-256 of the definition as JSON with sorted keys.

    The source of functions is not part of it, so that a run can go on with a mended function; nor are the labels
    of edges, which may be source. Nor is where they lie (the folder and the script), so that another checkout of
    the same program has the same hash, nor the places that expressions keep for messages.
    """
    return hashlib.sha256(msgspec.json.encode(without_places(spec), order="deterministic")).hexdigest()


def without_places(spec: GraphSpec) -> dict[str, Any]:
    """A definition as plain data, as far as its hash is made of it."""
    data = msgspec.json.decode(msgspec.json.encode(spec))
    _drop_places(data)
    return data


def _drop_places(graph: dict[str, Any]) -> None:
    for node in graph.get("nodes", ()):
        undo = node.get("compensation", {"kind": ""})
        for name in _PLACES_OF_FUNCTIONS:
            for performed in (node, undo):
                if performed["kind"] == "function":
                    performed["body"].pop(name, None)
                elif performed["kind"] == "tool":
                    for called in (performed["body"], *performed["body"].get("checks", ())):
                        called.get("function", {}).pop(name, None)
            node.get("probe", {}).pop(name, None)
        if node.get("graph"):
            _drop_places(node["graph"])
        others = (node.get("map", {}).get("over"), node.get("exclusive"))
        named = (node.get("inputs", {}), node.get("sets", {}), undo.get("inputs", {}))
        for binding in (*(value for each in named for value in each.values()), *others):
            _drop_where(binding)
    _drop_where(graph.get("output"))
    _drop_places_of_routes(graph.get("routes") or {})


def _drop_places_of_routes(routes: dict[str, Any]) -> None:
    for key in routes.get("keys", ()):
        for name in _PLACES_OF_FUNCTIONS:
            key.get("custom", {}).pop(name, None)
    for edge in routes.get("edges", ()):
        edge.pop("label", None)  # the text of a lambda is source
        edge.get("when", {}).pop("where", None)
        for name in _PLACES_OF_FUNCTIONS:
            edge.get("when", {}).get("function", {}).pop(name, None)


def _drop_where(binding: Any) -> None:
    if not isinstance(binding, dict):
        return
    fields = cast("dict[str, Any]", binding)
    match fields.get("type"):
        case "expression":
            fields.pop("where", None)
            parts = [*fields["names"].values()]
        case "dict":
            parts = [*fields["items"].values()]
        case "list":
            parts = fields["items"]
        case "pick":
            parts = [fields["of"]]
        case _:
            parts = []
    for part in parts:
        _drop_where(part)
