"""What of the arguments of a tool does not fit its schema, each with its path and the nearest right name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

import msgspec

from clew import codec
from clew.graphs.json_schemas import problem_of
from clew.graphs.names import did_you_mean, listed, nearest
from clew.kernel.values import Binding, DictOf, ListOf, Literal

#: Argument (with the path inside of it), and what is wrong.
Problem = tuple[str, str]

#: Stands for what is not known before a run.
_OPEN = msgspec.UNSET
#: Parts of a schema that its properties refer to.
_SHARED = ("$defs", "definitions")


def argument_problems(schema: Mapping[str, Any], inputs: Mapping[str, Binding]) -> list[Problem]:
    """What is wrong with arguments before a run, as far as they are constants.

    Args:
        schema: JSON Schema of all arguments, an object.
        inputs: where each argument comes from.
    """
    values = {name: _value(binding) for name, binding in inputs.items()}
    known = {name: value for name, value in values.items() if value is not _OPEN}
    return misfits(schema, known, later=values.keys() - known.keys())


def misfits(schema: Mapping[str, Any], given: Mapping[str, Any], later: Collection[str] = ()) -> list[Problem]:
    """What is wrong with arguments.

    Args:
        schema: JSON Schema of all arguments, an object.
        given: their values, plain data.
        later: the names of those that are given and not known yet.
    """
    properties = cast("dict[str, Any]", schema.get("properties") or {})
    names = [*given, *later]
    found = [*_name_problems(schema, properties, names)]
    shared = {name: schema[name] for name in _SHARED if name in schema}
    for name, value in given.items():
        part: Any = properties.get(name, schema.get("additionalProperties", True))
        if name not in properties and part is False:
            continue
        text = msgspec.json.encode({**shared, **part} if isinstance(part, dict) else part)
        if problem := problem_of(value, text):
            path, _, sentence = problem.partition(": ")
            found.append((name + path.removeprefix("$"), sentence))
    if not found and not later and (problem := problem_of(dict(given), msgspec.json.encode(schema))):
        path, _, sentence = problem.partition(": ")
        found.append((path.removeprefix("$").removeprefix("."), sentence))
    return found


def is_constant(binding: Binding) -> bool:
    """Whether a value is known before a run; a secret is not."""
    return _value(binding) is not _OPEN


def _name_problems(
    schema: Mapping[str, Any], properties: Mapping[str, Any], names: list[str]
) -> Iterator[Problem]:
    unknown = [name for name in names if name not in properties and schema.get("additionalProperties") is False]
    free = [name for name in properties if name not in names]
    for name in unknown:
        has = f"; it has {listed(properties, last='and')}" if properties else "; it has none"
        yield name, f"the tool has no such argument{did_you_mean(name, free or properties) or has}"
    meant = {nearest(name, free) for name in unknown}
    for name in cast("list[str]", schema.get("required") or []):
        if name not in names and name not in meant:
            yield name, "is missing"


def _value(binding: Binding) -> Any:
    """A value that is known before a run."""
    match binding:
        case Literal(json=json):
            return _OPEN if b"secret://" in bytes(json) else codec.decode(json)
        case ListOf(items=items):
            parts = [_value(part) for part in items]
            return _OPEN if any(part is _OPEN for part in parts) else parts
        case DictOf(items=items):
            fields = {name: _value(part) for name, part in items.items()}
            return _OPEN if any(part is _OPEN for part in fields.values()) else fields
        case _:
            return _OPEN
