"""Conditions on edges, and reducers of the user's own: as data, and as what they give.

A condition is a synchronous function of the state, or one expression (``{{ state.score > 0.8 }}``). The same
condition decides about several edges if it is a router: each edge then names the value that it wants.
"""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

import msgspec

from clew import codec
from clew.errors import InvalidInputError, UnstorableError
from clew.graphs.bodies import describe_function, name_of
from clew.graphs.body_data import FunctionBody
from clew.graphs.expressions import ExpressionError, evaluate, parse
from clew.graphs.names import listed
from clew.graphs.signatures import positional
from clew.graphs.state_view import state_for
from clew.kernel.values import Cells

#: What decides about an edge: a synchronous function of the state, or one expression.
When = Callable[[Any], Any] | str
#: Finds a function by its description, as `clew.bodies.functions.find` does.
Find = Callable[[FunctionBody], Callable[..., Any]]

#: Characters of a label.
_LONGEST = 120


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What decides about an edge; either `function` or `expression`.

    Attributes:
        function: a synchronous function of the state.
        expression: text of one expression over `state`.
        where: where it was written, for messages; left out of the graph's hash.
    """

    function: FunctionBody | None = None
    expression: str = ""
    where: str = ""


def describe(when: When, owner: str, where: str = "") -> Condition:
    """Describe a condition.

    Args:
        when: a function of the state, or one expression.
        owner: ``graph/edge``, to tell functions apart that cannot be imported.
        where: where it was written, for messages.
    """
    if isinstance(when, str):
        return Condition(expression=when, where=where)
    return Condition(function=describe_function(when, owner, is_async=False), where=where)


def label_of(when: When) -> str:
    """A condition as people read it: a function's name, the text of a lambda or of an expression."""
    if isinstance(when, str):
        text = when.strip().removeprefix("{{").removesuffix("}}").strip()
    else:
        text = name_of(when)[1].rpartition(".")[2]
        text = _lambda_text(when) if text == "<lambda>" else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def evaluate_condition(condition: Condition, find: Find, cells: Cells) -> Any:
    """What a condition gives for a state.

    Args:
        condition: from an edge.
        find: finds its function.
        cells: the state.

    Raises:
        ExpressionError: the expression has no value.
        InvalidInputError: the function does not take this state, or is asynchronous.
        UnresolvedBodyError: the function is not found.
        Exception: whatever the function raises.
    """
    if condition.function is None:
        return _evaluated(condition, cells)
    function = find(condition.function)
    hints = _hints(function)
    value = function(state_for(cells, hints[0] if hints else Any))
    return _synchronous(value, f"the condition {condition.function.ref}")


def reduce_custom(
    function: Callable[..., Any], old: bytes | msgspec.Raw | None, new: bytes | msgspec.Raw
) -> bytes:
    """What a reducer of the user's own makes of a key.

    Args:
        function: ``function(old, new)``; both are decoded by its annotations.
        old: what is there, as JSON text; None if the key is not there, and the function is then given None.
        new: what was written, as JSON text.

    Raises:
        InvalidInputError: an argument does not fit its annotation, or the function is asynchronous.
        UnstorableError: what it returns cannot be stored.
        Exception: whatever it raises.
    """
    hints = [*_hints(function), Any, Any]
    arguments: list[Any] = []
    for name, json, hint in zip(("what is there", "what is written"), (old, new), hints, strict=False):
        try:
            arguments.append(None if json is None else codec.decode(json, hint))
        except InvalidInputError as error:
            raise InvalidInputError(f"the reducer {name_of(function)[1]}: {name}: {error}") from None
    name = name_of(function)[1]
    try:
        return codec.encode(_synchronous(function(*arguments), f"the reducer {name}"))
    except UnstorableError as error:
        raise UnstorableError(error.path, f"{error.why} (returned by the reducer {name})") from None


def _evaluated(condition: Condition, cells: Cells) -> Any:
    """The value of an expression; only the keys that it names are decoded."""
    source = condition.expression
    try:
        return evaluate(source, {"state": named_state(source, cells)}, condition.where)
    except ExpressionError as error:
        missing = missing_keys(source, {"state": cells}, condition.where)
        if missing is None:
            raise
        raise missing from error


def missing_keys(source: str, states: Mapping[str, Cells], where: str) -> ExpressionError | None:
    """Why an expression has no value: keys that it names are not in the state yet; None if that is not why.

    Args:
        source: the text of the expression.
        states: the names of the expression that stand for a state.
        where: where it was written, for messages.
    """
    keys = [key for name, cells in states.items() for key in _named_keys(source, cells, name) if key not in cells]
    if not keys:
        return None
    told = listed(keys, last="and")
    why = f"nothing has been written to {told} yet; write `| default(…)`, or let a node write it first"
    return ExpressionError(why, source, where)


def named_state(source: str, cells: Cells, name: str = "state") -> dict[str, Any]:
    """The state as an expression sees it: only the keys that it names are there, as plain data.

    Args:
        source: the text of the expression.
        cells: the state.
        name: what the expression calls it.
    """
    return {key: codec.decode(cells[key].text()) for key in _named_keys(source, cells, name) if key in cells}


def _named_keys(source: str, cells: Cells, name: str = "state") -> list[str]:
    paths = [each.path for each in parse(source).references if each.name == name]
    return [*cells] if () in paths else [*dict.fromkeys(str(path[0]) for path in paths)]


def _synchronous(value: Any, what: str) -> Any:
    if not inspect.isawaitable(value):
        return value
    if inspect.iscoroutine(value):
        value.close()  # or Python warns that it was never awaited
    raise InvalidInputError(f"{what} is asynchronous; make it a node that writes what it finds to the state")


def _hints(function: Callable[..., Any]) -> tuple[Any, ...]:
    try:
        return _cached_hints(function)
    except TypeError:  # a callable object without a hash
        return _positional_hints(function)


def _positional_hints(function: Callable[..., Any]) -> tuple[Any, ...]:
    return tuple(parameter.hint for parameter in positional(function))


_cached_hints = lru_cache(maxsize=512)(_positional_hints)


# Labels ------------------------------------------------------------------------------------------------


def _lambda_text(function: Callable[..., Any]) -> str:
    """The text of a lambda's expression, from where its code says that it stands; "" if the file is not there."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    spans = cast("list[tuple[int, int, int, int]]", [span for span in code.co_positions() if None not in span])
    places = [(line, end, start, stop) for line, end, start, stop in spans if (line, start) < (end, stop)]
    if not places:
        return ""
    first, start = min((line, column) for line, _, column, _ in places)
    last, end = max((line, column) for _, line, _, column in places)
    lines = [linecache.getline(code.co_filename, number).encode() for number in range(first, last + 1)]
    if not all(lines):
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    text = re.sub(r"\s+", " ", b" ".join(lines).decode(errors="replace")).strip()
    return text + ")" * (text.count("(") - text.count(")"))
