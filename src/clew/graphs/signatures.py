"""What a body takes and returns, whatever kind of body it is."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

_KINDS = inspect.Parameter


class Parameter(NamedTuple):
    """One thing that a body takes."""

    name: str
    hint: Any = Any
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a body takes and returns.

    Attributes:
        parameters: by name, in order, without the one that takes the context.
        returns: annotation of what it returns.
        is_async: it is a coroutine function.
        takes_any: it takes inputs of any other name, too.
        takes_context: one more parameter takes the context; true also if the parameters cannot be read.
        problems: why it cannot be the body of a node.
    """

    parameters: dict[str, Parameter]
    returns: Any = Any
    is_async: bool = False
    takes_any: bool = False
    takes_context: bool = False
    problems: tuple[str, ...] = ()


def signature_of(function: Callable[..., Any]) -> Signature:
    """The signature of a callable; annotations that cannot be read count as `Any`."""
    try:
        return _cached_signature(function)
    except TypeError:  # a callable object without a hash
        return _read_signature(function)


def _read_signature(function: Callable[..., Any]) -> Signature:
    try:
        given = inspect.signature(function)
    except (TypeError, ValueError):
        return Signature(parameters={}, takes_any=True, takes_context=True)
    hints = _Hints(function)
    parameters: dict[str, Parameter] = {}
    problems: list[str] = []
    takes_any = takes_context = False
    for name, parameter in given.parameters.items():
        if parameter.kind is _KINDS.VAR_KEYWORD:
            takes_any = True
        elif parameter.kind is _KINDS.VAR_POSITIONAL:
            continue
        elif _takes_context(parameter, hints):
            takes_context = True
        elif parameter.kind is _KINDS.POSITIONAL_ONLY:
            problems.append(
                f"parameter {name!r} is positional-only, but inputs are given by name; wrap it in a function"
            )
        else:
            required = parameter.default is _KINDS.empty
            parameters[name] = Parameter(name, hints.of(name, parameter.annotation), required)
    return Signature(
        parameters=parameters,
        returns=_returned(function, given, hints),
        is_async=is_async(function),
        takes_any=takes_any,
        takes_context=takes_context,
        problems=(*problems, *_generator_problem(function)),
    )


_cached_signature = lru_cache(maxsize=512)(_read_signature)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 -- an object whose call is asynchronous
    )


def positional(function: Callable[..., Any]) -> list[Parameter]:
    """What a callable takes by position, in order; nothing if that cannot be read."""
    try:
        given = inspect.signature(function)
    except (TypeError, ValueError):
        return []
    hints = _Hints(function)
    by_position = (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD)
    return [
        Parameter(name, hints.of(name, each.annotation), each.default is _KINDS.empty)
        for name, each in given.parameters.items()
        if each.kind in by_position
    ]


def accepts(function: Callable[..., Any], count: int) -> bool:
    """Whether a callable can be called with so many arguments by position; true if that cannot be read."""
    try:
        given = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        given.bind(*range(count))
    except TypeError:
        return False
    return True


class _Hints:
    """Reads annotations one by one, so that one name that only a type checker knows does not hide the rest."""

    def __init__(self, function: Callable[..., Any]) -> None:
        inner: Any = inspect.unwrap(getattr(function, "func", function))
        if not isinstance(function, type) and not hasattr(inner, "__globals__"):
            inner = getattr(inner, "__func__", None) or cast("Any", type(inner)).__call__
        self._globals: dict[str, Any] = getattr(inner, "__globals__", {})

    def of(self, name: str, annotation: Any) -> Any:
        if annotation is _KINDS.empty:
            return Any
        holder = SimpleNamespace(__annotations__={name: annotation})
        try:
            return typing.get_type_hints(holder, self._globals, include_extras=True)[name]
        except Exception:
            return Any


def _takes_context(parameter: inspect.Parameter, hints: _Hints) -> bool:
    annotation = parameter.annotation
    if annotation is _KINDS.empty:
        return parameter.name == "ctx"
    if isinstance(annotation, str) and annotation.strip("\"'").rpartition(".")[2] == "Context":
        hint = hints.of(parameter.name, annotation)
        return hint is Any or _is_context(hint)
    return _is_context(annotation)


def _is_context(hint: Any) -> bool:
    return isinstance(hint, type) and hint.__name__ == "Context" and hint.__module__.startswith("clew.")


def _returned(function: Callable[..., Any], given: inspect.Signature, hints: _Hints) -> Any:
    if isinstance(function, type):
        return function
    return hints.of("return", given.return_annotation)


def _generator_problem(function: Callable[..., Any]) -> tuple[str, ...]:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return ("it is a generator; return a list, and use ctx.emit for what is to be seen on the way",)
    return ()
