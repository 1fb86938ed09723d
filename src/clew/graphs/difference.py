"""How two definitions differ, in sentences that people read.

What is compared is what the hash is made of: two definitions with different hashes differ in at least one
sentence, and two with the same hash in none. So the source of functions, and where code lies, make no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from clew.graphs.edge_difference import edge_differences, order_differs
from clew.graphs.hashing import without_places
from clew.kernel.definition import GraphSpec, KeySpec, NodeSpec, RouteSpec

#: So many are told in one message; the others are counted.
TOLD = 12

Data = dict[str, Any]

#: Fields of a node and of a graph that have sentences of their own.
_PARTS = frozenset({"nodes", "inputs", "routes"})
#: Stands for a field that is as by default.
_LEFT_OUT = object()


def differences(before: GraphSpec, after: GraphSpec) -> list[str]:
    """What has changed from one definition to the other, sub-graphs included; empty if their hashes are equal."""
    plain = without_places(before), without_places(after)
    found = list(_graphs(before, after, *plain, ""))
    if not found and plain[0] != plain[1]:
        found.append("a default is written out in one of them, which changes nothing but its hash")
    return found


def node_changes(before: NodeSpec, after: NodeSpec) -> list[str]:
    """Which fields of a node differ; not those of its sub-graph."""
    old, new = (without_places(GraphSpec(name="", nodes=(node,)))["nodes"][0] for node in (before, after))
    return _fields_of_node(old, new, before, after)


def key_changes(before: KeySpec, after: KeySpec) -> list[str]:
    """Which fields of a key of a state differ."""
    specs = (GraphSpec(name="", routes=RouteSpec(keys=(key,))) for key in (before, after))
    old, new = (without_places(spec)["routes"]["keys"][0] for spec in specs)
    return _fields(old, new, before, after)


def told(sentences: Sequence[str]) -> str:
    """Some sentences as the end of a message; the first of them, if there are many."""
    more = len(sentences) - TOLD
    return "; ".join(sentences[:TOLD]) + (f"; and {more} more" if more > 0 else "")


def _graphs(before: GraphSpec, after: GraphSpec, old: Data, new: Data, place: str) -> Iterator[str]:
    """The differences of two graphs; `place` is the address of the sub-graph."""
    at = f"{place}: " if place else ""
    if (before.routes is None) != (after.routes is None):
        kinds = {True: "a dependency graph", False: "a state graph"}
        yield f"{at}was {kinds[before.routes is None]}, is {kinds[after.routes is None]} now"
    yield from (at + each for each in _fields(old, new, before, after, without=_PARTS))
    nodes, now = {node.id: node for node in before.nodes}, {node.id: node for node in after.nodes}
    plain_nodes, plain_now = (_by(data.get("nodes", ()), "id") for data in (old, new))
    yield from (f"{at}node {id_} is gone" for id_ in nodes if id_ not in now)
    yield from (f"{at}node {id_} is new" for id_ in now if id_ not in nodes)
    for id_, node in nodes.items():
        if id_ in now and plain_nodes[id_] != plain_now[id_]:
            yield from _node(node, now[id_], plain_nodes[id_], plain_now[id_], place)
    if order_differs(list(nodes), list(now)):
        yield f"{at}its nodes stand in another order"
    changed: set[str] = set()
    if before.routes is not None and after.routes is not None:
        for name, sentence in _keys(before, after, old["routes"], new["routes"]):
            changed.add(name)
            yield at + sentence
        routes = old["routes"], new["routes"]
        yield from (at + each for each in edge_differences(before.routes, after.routes, *routes))
        limits = _fields(*routes, before.routes, after.routes, without=frozenset({"keys", "edges"}))
        yield from (at + each for each in limits)
    yield from (at + each for each in _inputs(before, after, old, new, changed))


def _node(before: NodeSpec, after: NodeSpec, old: Data, new: Data, place: str) -> Iterator[str]:
    at = f"{place}: " if place else ""
    inner = f"{place}/{before.id}" if place else before.id
    fields = _fields_of_node(old, new, before, after)
    if (before.graph is None) != (after.graph is None):
        fields.append("it is no sub-graph now" if after.graph is None else "it is a sub-graph now")
    if fields:
        yield f"{at}node {before.id}: {', '.join(fields)}"
    if before.graph is not None and after.graph is not None:
        yield from _graphs(before.graph, after.graph, old["graph"], new["graph"], inner)


def _fields_of_node(old: Data, new: Data, before: NodeSpec, after: NodeSpec) -> list[str]:
    """The fields of a node; bodies of different kinds have nothing to compare."""
    return _fields(old, new, before, after, without=frozenset({"graph", *["body"] * (before.kind != after.kind)}))


def _keys(before: GraphSpec, after: GraphSpec, old: Data, new: Data) -> Iterator[tuple[str, str]]:
    """The differences of the keys of two states, each with the key; without those of barriers that are told."""
    assert before.routes is not None
    assert after.routes is not None
    keys, now = ({key.name: key for key in routes.keys} for routes in (before.routes, after.routes))
    plain_keys, plain_now = (_by(data.get("keys", ()), "name") for data in (old, new))
    told_of = {node.id for node in before.nodes} ^ {node.id for node in after.nodes}
    for name in (*keys, *(name for name in now if name not in keys)):
        if name in keys and name in now:
            if plain_keys[name] != plain_now[name]:
                fields = _fields(plain_keys[name], plain_now[name], keys[name], now[name])
                yield name, f"key {name}: {', '.join(fields)}"
        elif name.rpartition(".")[0] not in told_of:
            yield name, f"key {name} is {'gone' if name in keys else 'new'}"
    if order_differs(list(keys), list(now)):
        yield "", "its keys stand in another order"


def _inputs(before: GraphSpec, after: GraphSpec, old: Data, new: Data, told_of: set[str]) -> Iterator[str]:
    """The differences of what two graphs are started with; a key of a state that is told of is one of them."""
    inputs, now = ({each.name: each for each in spec.inputs} for spec in (before, after))
    plain_inputs, plain_now = (_by(data.get("inputs", ()), "name") for data in (old, new))
    for name in (*inputs, *(name for name in now if name not in inputs)):
        if name in told_of or plain_inputs.get(name) == plain_now.get(name):
            continue
        if name in inputs and name in now:
            fields = _fields(plain_inputs[name], plain_now[name], inputs[name], now[name])
            yield f"input {name}: {', '.join(fields)}"
        else:
            yield f"input {name} is {'gone' if name in inputs else 'new'}"
    if not told_of and order_differs(list(inputs), list(now)):
        yield "its inputs stand in another order"


def _by(parts: Sequence[Data], name: str) -> dict[str, Data]:
    return {part[name]: part for part in parts}


# Fields ------------------------------------------------------------------------------------------------


def _fields(
    old: Data, new: Data, before: object, after: object, *, without: frozenset[str] = frozenset()
) -> list[str]:
    """The fields that differ, with their values where these are short.

    Args:
        old: a part of a definition as plain data, what is as by default left out.
        new: the same part of the other one.
        before: the same as a struct that knows the defaults, if there is one.
        after: likewise.
        without: fields that are not compared.
    """
    found: list[str] = []
    for name in dict.fromkeys((*old, *new)):
        was, is_ = old.get(name, _LEFT_OUT), new.get(name, _LEFT_OUT)
        if name in without or was == is_:
            continue
        if _has_parts(was) and _has_parts(is_):
            parts = getattr(before, name, None), getattr(after, name, None)
            found += [f"{name}.{each}" for each in _fields(_parts(was), _parts(is_), *parts)]
        else:
            values = _value(was, before, name), _value(is_, after, name)
            if values[0] != values[1]:
                found.append(_change(name, *values))
    return found


def _has_parts(value: Any) -> bool:
    """Whether a value can be compared field by field; a binding, which has a type, is compared as a whole."""
    return value is _LEFT_OUT or (isinstance(value, dict) and "type" not in value)


def _parts(value: Any) -> Data:
    return {} if value is _LEFT_OUT else value


def _value(plain: Any, struct: object, name: str) -> Any:
    """The value of a field; one that is left out is as by default."""
    value = getattr(struct, name, _LEFT_OUT) if plain is _LEFT_OUT else plain
    return _LEFT_OUT if isinstance(value, msgspec.Raw | msgspec.Struct) else value


def _change(name: str, was: Any, is_: Any) -> str:
    """One field, as in ``timeout none -> 60 s``; a value that is not short is not shown."""
    unit = " s" if name.endswith("_s") else ""
    shown = [_shown(value, unit) for value in (was, is_)]
    return f"{name.removesuffix('_s')} {' -> '.join(shown)}" if all(shown) and shown[0] != shown[1] else name


def _shown(value: Any, unit: str) -> str:
    match value:
        case None:
            return "none"
        case _ if value is _LEFT_OUT:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"{value:g}{unit}" if isinstance(value, float) else f"{value}{unit}"
        case str() if 0 < len(value) <= 60:
            return str(value)
        case _:
            return ""
