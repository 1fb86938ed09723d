"""Handles: what stands for a value before there is one. Passing a handle on is the dependency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, cast

import msgspec

from clew import codec
from clew.errors import UnstorableError
from clew.graphs.captures import Reaches
from clew.kernel.values import (
    Absent,
    Binding,
    DictOf,
    FromInput,
    FromItem,
    FromNode,
    FromOutput,
    FromState,
    ListOf,
    Literal,
    Pick,
)

#: Deeper arguments are refused, as everywhere.
_MAX_DEPTH = codec.MAX_DEPTH

#: Stands for what could not be bound, where the reason has been told; no definition is made of it.
UNBOUND = Absent("")

Report = Callable[[str], None]


class Handle:
    """The output of a node, an input of a graph, or a part of one of them, before a run.

    Give it to `Graph.add` as an argument, by itself or inside lists and mappings. ``page["title"]`` and
    ``pages[0]`` stand for parts.
    """

    __slots__ = ("binding", "graph")

    def __init__(self, graph: object, binding: Binding) -> None:
        self.graph = graph
        self.binding = binding

    @property
    def id(self) -> str | None:
        """The id of the node whose output this is (or is part of); None for inputs and items."""
        match _source(self.binding):
            case FromNode(node=node):
                return node
            case _:
                return None

    def __getitem__(self, key: str | int) -> Handle:
        if isinstance(key, bool) or not isinstance(key, str | int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a part of {self} is named by text or a whole number, not by {key!r}")
        if isinstance(self.binding, Pick):
            return Handle(self.graph, Pick(self.binding.of, (*self.binding.path, key)))
        return Handle(self.graph, Pick(self.binding, (key,)))

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self} has no value before the run; use Graph.map to run a body for each of its items")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self} has no value before the run; decide inside a body")

    def __repr__(self) -> str:
        return f"<handle {tell(self.binding)}>"


#: In `Graph.map`, the item that the body is run for; ``item["path"]`` is a part of it.
item = Handle(None, FromItem())


def tell(binding: Binding) -> str:
    """A binding as it is written in files, for messages."""
    match binding:
        case FromNode(node=node):
            return node if node.isidentifier() else f'nodes["{node}"]'
        case FromInput(name=name):
            return f"input.{name}"
        case FromItem():
            return "item"
        case FromState(key=key):
            return f"state{_steps((key,))}" if key else "state"
        case FromOutput():
            return "output"
        case Pick(of=of, path=path):
            return tell(of) + _steps(path)
        case _:
            return type(binding).__name__.lower()


def _steps(path: tuple[str | int, ...]) -> str:
    return "".join(f".{p}" if isinstance(p, str) and p.isidentifier() else f"[{p!r}]" for p in path)


def bind(value: Any, graph: object, report: Report) -> Binding:
    """Turn an argument into a binding.

    Args:
        value: a handle, plain data with handles in it, or a constant.
        graph: the graph whose handles are welcome.
        report: is told what is wrong; the binding is then `UNBOUND`.
    """
    try:
        return _bind(value, graph, report, _MAX_DEPTH) if _holds_handle(value, _MAX_DEPTH) else _constant(value)
    except UnstorableError as error:
        place = "" if error.path == "$" else f" at {error.path}"
        report(f"the value{place} cannot be stored: {error.why}")
    except RecursionError:
        report(f"the value is nested more than {_MAX_DEPTH} levels deep")
    return UNBOUND


def _bind(value: Any, graph: object, report: Report, depth: int) -> Binding:
    if depth == 0:
        raise RecursionError
    match value:
        case Handle():
            return _own(value, graph, report)
        case list() | tuple():
            items = cast("list[Any]", value)
            return ListOf(tuple(_bind(part, graph, report, depth - 1) for part in items))
        case dict():
            parts = cast("dict[Any, Any]", value)
            wrong = [key for key in parts if not isinstance(key, str)]
            if wrong:
                report(f"the key {wrong[0]!r} is not text")
                return UNBOUND
            return DictOf({key: _bind(part, graph, report, depth - 1) for key, part in parts.items()})
        case _:
            return _constant(value)


def _own(handle: Handle, graph: object, report: Report) -> Binding:
    if handle.graph is not graph and handle.graph is not None:
        if isinstance(graph, Reaches) and (found := graph.reach(handle.graph, handle.binding)) is not None:
            return found
        name = getattr(handle.graph, "name", "?")
        report(
            f"{tell(handle.binding)} belongs to another graph, {name!r}; add that graph as a node, and give it "
            "what it needs as an input"
        )
        return UNBOUND
    return handle.binding


def _constant(value: Any) -> Binding:
    return Literal(msgspec.Raw(codec.encode(value)))


def _holds_handle(value: Any, depth: int) -> bool:
    if isinstance(value, Handle):
        return True
    if depth == 0:
        raise RecursionError
    if isinstance(value, list | tuple):
        return any(_holds_handle(part, depth - 1) for part in cast("list[Any]", value))
    if isinstance(value, dict):
        return any(_holds_handle(part, depth - 1) for part in cast("dict[Any, Any]", value).values())
    return False


def _source(binding: Binding) -> Binding:
    return _source(binding.of) if isinstance(binding, Pick) else binding
