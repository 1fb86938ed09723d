"""The edges of a state graph in a file: ``draft -> review``, or a mapping that says more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

from clew.graphs.conditions import When
from clew.graphs.documents import Document, Keys
from clew.graphs.drafts import GraphDraft
from clew.graphs.importing import ImportProblem
from clew.graphs.route_drafts import end_told
from clew.graphs.route_writing import place_edge, place_router
from clew.graphs.schema_parts import FUNCTION_PATTERN
from clew.graphs.updates import END, START

#: The ends of the graph, by the words for them.
ENDS = {"START": START, "END": END}
_FUNCTION = re.compile(FUNCTION_PATTERN)
#: What can be said only of an edge with one target that is taken by itself.
_OF_ONE = ("when", "max_visits", "on_limit")


class EdgeReader:
    """Reads the edges of one graph.

    Args:
        graph: they are added to it.
        document: the file.
        function: finds a function.
    """

    def __init__(self, graph: GraphDraft, document: Document, function: Callable[[str], Any]) -> None:
        self._graph = graph
        self._document = document
        self._function = function

    def read(self, keys: Keys, edge: Any) -> None:
        """Read one entry; its form is right."""
        if isinstance(edge, str):
            ends = [_end(each.strip()) for each in edge.split("->")]
            for source, target in pairwise(ends):
                place_edge(self._graph, source, target, self._document.place(keys))
            return
        fields = cast("dict[str, Any]", edge)
        if "fallback" in fields:
            self._fallback(keys, fields)
        elif "route" in fields:
            self._router(keys, fields)
        elif isinstance(fields["to"], str):
            self._edge(keys, fields)
        else:
            what = "several nodes need `route`, an expression or a function that says which of them is next"
            self._refuse((*keys, "to"), f"edges of {end_told(_end(fields['from']))}, to: {what}")

    def _fallback(self, keys: Keys, fields: dict[str, Any]) -> None:
        source, target = _end(fields["from"]), _end(fields["fallback"])
        edge = place_edge(self._graph, source, target, self._document.place(keys), fallback=True)
        self._stray(keys, fields, edge.subject, (*_OF_ONE, "route"), "has no meaning for a fallback")

    def _edge(self, keys: Keys, fields: dict[str, Any]) -> None:
        source, target = _end(fields["from"]), _end(fields["to"])
        subject = f"edge {end_told(source)} -> {end_told(target)}"
        when = self._condition(keys, fields, "when", subject) if "when" in fields else None
        if when is None and "when" in fields:
            return
        visits = fields.get("max_visits")
        edge = place_edge(
            self._graph,
            source,
            target,
            self._document.place(keys),
            when=when,
            max_visits=None if visits is None else int(visits),
            on_limit=fields.get("on_limit", "strict"),
        )
        edge.places = {name: self._document.place((*keys, name)) for name in _OF_ONE if name in fields}

    def _router(self, keys: Keys, fields: dict[str, Any]) -> None:
        source, to = _end(fields["from"]), fields["to"]
        subject = f"router of {end_told(source)}"
        self._stray(keys, fields, subject, _OF_ONE, "is for an edge without `route`")
        when = self._condition(keys, fields, "route", subject)
        if when is None:
            return
        if isinstance(to, dict):
            found = cast("dict[str, str]", to)
            pairs = [(_value(key), _end(target)) for key, target in found.items()]
            places = [self._document.place((*keys, "to", key)) for key in found]
        else:
            names = [to] if isinstance(to, str) else cast("list[str]", to)
            # A function names the end as Python does, an expression as files do.
            pairs = [(name if isinstance(when, str) else _end(name), _end(name)) for name in names]
            places = [self._document.place((*keys, "to", i)) for i in range(len(names))]
        place_router(
            self._graph, source, when, pairs, self._document.place((*keys, "route")),
            by_name=not isinstance(to, dict), places=places,
        )  # fmt: skip

    def _condition(self, keys: Keys, fields: dict[str, Any], name: str, subject: str) -> When | None:
        """An expression, or a function; None if that is not found, and the edge is left out."""
        text = fields[name]
        if not _FUNCTION.search(text):
            return text
        try:
            return self._function(text)
        except ImportProblem as error:
            self._refuse((*keys, name), f"{subject}, {name}: {error}")
            return None

    def _stray(self, keys: Keys, fields: dict[str, Any], subject: str, names: tuple[str, ...], why: str) -> None:
        for name in names:
            if name in fields:
                place = self._document.place((*keys, name))
                self._graph.problems.append(place.before(f"{subject}, {name}: {why}"))

    def _refuse(self, keys: Keys, sentence: str) -> None:
        assert self._graph.routes is not None
        self._graph.routes.partial = True
        self._graph.problems.append(self._document.place(keys).before(sentence))


def _end(name: str) -> str:
    return ENDS.get(name, name)


def _value(key: str) -> Any:
    """The value that a key of a mapping stands for: a number, true, false or null, if it reads like one."""
    try:
        value: Any = json.loads(key, parse_constant=str)
    except ValueError:
        return key
    return value if isinstance(value, int | float | None) else key
