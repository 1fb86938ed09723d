"""Types of inputs as files write them: ``int``, ``list[str]``, ``date | null``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Union

from clew.graphs.names import did_you_mean, listed

_TYPES: dict[str, Any] = {
    "any": Any,
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list[Any],
    "dict": dict[str, Any],
    "null": None,
    "path": Path,
    "date": date,
    "datetime": datetime,
}
_ALIASES: dict[str, str] = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
    "mapping": "dict",
    "none": "null",
}
_TOKEN = re.compile(r"\s*(\w+|[\[\],|]|\S)")
_MAX_DEPTH = 20


class TypeTextError(ValueError):
    """A type was written that is none."""


def parse_type(text: str) -> Any:
    """The annotation that a text stands for.

    Raises:
        TypeTextError: with the nearest right name.
    """
    tokens = _Tokens(_TOKEN.findall(text), text)
    hint = _union(tokens, 0)
    if tokens.next() is not None:
        raise tokens.error()
    return hint


class _Tokens:
    def __init__(self, tokens: list[str], text: str) -> None:
        self._tokens: Iterator[str] = iter(tokens)
        self._text = text
        self._ahead: list[str] = []

    def next(self) -> str | None:
        return self._ahead.pop() if self._ahead else next(self._tokens, None)

    def take(self, token: str) -> bool:
        found = self.next()
        if found == token:
            return True
        if found is not None:
            self._ahead.append(found)
        return False

    def error(self, name: str = "") -> TypeTextError:
        if not re.fullmatch(r"\w+", name):
            return TypeTextError(f"{self._text!r} is no type; types are written like int, list[str], str | null")
        known = [*_TYPES, *_ALIASES]
        near = did_you_mean(name, known) or f"; there are {listed(_TYPES, limit=20, last='and')}"
        return TypeTextError(f"there is no type {name!r}{near}")


def _union(tokens: _Tokens, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise tokens.error()
    members = [_single(tokens, depth)]
    while tokens.take("|"):
        members.append(_single(tokens, depth))
    return members[0] if len(members) == 1 else Union[tuple(members)]  # noqa: UP007 -- built from data


def _single(tokens: _Tokens, depth: int) -> Any:
    written = tokens.next() or ""
    name = _ALIASES.get(written.lower(), written.lower())
    if name not in _TYPES:
        raise tokens.error(written)
    if name not in ("list", "dict") or not tokens.take("["):
        return _TYPES[name]
    arguments = [_union(tokens, depth + 1)]
    while tokens.take(","):
        arguments.append(_union(tokens, depth + 1))
    if not tokens.take("]") or len(arguments) != (1 if name == "list" else 2):
        raise tokens.error()
    if name == "dict" and arguments[0] is not str:
        raise TypeTextError("the keys of a dict are str: dict[str, …]")
    return list[arguments[0]] if name == "list" else dict[str, arguments[1]]
