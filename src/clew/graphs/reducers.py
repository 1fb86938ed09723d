"""Reducers: what becomes of a key of the state when a node writes to it.

Those of Clew are plain functions of what is there and what is written, so that they can be called and tested like
any other; in a schema (``Annotated[list[str], append]``) they are known by identity and cost no call.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from clew.graphs.hints import NOTHING, item_of, members_of, stored_as, told
from clew.graphs.signatures import accepts, is_async
from clew.kernel.definition import Reducer

T = TypeVar("T")
V = TypeVar("V")

_NUMBERS = frozenset(("int", "float", "any", "unknown"))
_OBJECTS = frozenset(("mapping", "object", "any", "unknown"))
#: What fits a reducer, and in which words that is told.
_KINDS: dict[Reducer, tuple[frozenset[str], str]] = {
    Reducer.MERGE: (_OBJECTS, "merge puts the fields of mappings and objects together"),
    Reducer.SUM: (_NUMBERS, "only numbers are added up"),
    Reducer.MAX: (_NUMBERS | {"str"}, "only numbers or text are compared"),
    Reducer.MIN: (_NUMBERS | {"str"}, "only numbers or text are compared"),
}


def append(old: Sequence[T] | None, new: Sequence[T]) -> list[T]:
    """The list that is there, and behind it the list that is written."""
    return [*(old or ()), *new]


def merge(old: Mapping[str, V] | None, new: Mapping[str, V]) -> dict[str, V]:
    """The fields that are there, and over them those that are written; nested mappings are fields like others."""
    return {**(old or {}), **new}


def total(old: Any, new: Any) -> Any:
    """The sum of the numbers that were written."""
    return new if old is None else old + new


def greatest(old: Any, new: Any) -> Any:
    """The greatest of the numbers, or of the texts, that were written."""
    return new if old is None else max(old, new)


def least(old: Any, new: Any) -> Any:
    """The least of the numbers, or of the texts, that were written."""
    return new if old is None else min(old, new)


def replace(old: T | None, new: T) -> T:  # noqa: ARG001 -- a reducer is given both
    """What is written; of parallel branches what the later one writes, which is an error without this."""
    return new


_KNOWN: tuple[tuple[Any, Reducer], ...] = (
    (append, Reducer.APPEND),
    (merge, Reducer.MERGE),
    (total, Reducer.SUM),
    (greatest, Reducer.MAX),
    (least, Reducer.MIN),
    (replace, Reducer.REPLACE),
    (max, Reducer.MAX),
    (min, Reducer.MIN),
)


def is_reducer(metadata: Any) -> bool:
    """Whether something in ``Annotated[…]`` is meant as a reducer: a function, but no class."""
    return callable(metadata) and not isinstance(metadata, type)


def reducer_of(function: Callable[..., Any], hint: Any) -> Reducer:
    """Which reducer a function in ``Annotated[hint, function]`` is; `CUSTOM` for one of the user's own."""
    for known, reducer in _KNOWN:
        if function is known:
            return reducer
    kinds = {stored_as(member) for member in members_of(hint)}
    if function is operator.add and kinds == {"array"}:
        return Reducer.APPEND
    if function is operator.add and kinds <= {"int", "float"}:
        return Reducer.SUM
    return Reducer.CUSTOM


def reducer_problem(reducer: Reducer, function: Callable[..., Any] | None, hint: Any) -> str:
    """Why a reducer cannot be that of a key of this type; empty if it can."""
    if reducer is Reducer.APPEND and (item_of(hint) is NOTHING):
        return f"append joins lists, and its type is {told(hint)}; make it list[{told(hint)}]"
    fitting, words = _KINDS.get(reducer, (frozenset[str](), ""))
    if words and not {stored_as(member) for member in members_of(hint)} <= fitting:
        return f"{words}, and its type is {told(hint)}"
    return _function_problem(function) if reducer is Reducer.CUSTOM and function is not None else ""


def _function_problem(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", None) or repr(function)
    if function is sum:
        return "sum of Python adds up one list; the reducer that adds numbers is total"
    if is_async(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return f"the reducer {name} is asynchronous or a generator; a reducer is a plain function(old, new)"
    if not accepts(function, 2):
        return f"the reducer {name} does not take two arguments; a reducer is a function(old, new)"
    return ""
