"""JSON Schemas of annotations, and what does not fit one, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from importlib import import_module
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin
from uuid import UUID

import msgspec

from clew import codec

#: Characters of a value that are told.
_TOLD = 80

#: Formats that msgspec names in its schemas, by what reads them.
_FORMATS: dict[str, type[Any]] = {
    "date-time": datetime,
    "date": date,
    "time": time,
    "duration": timedelta,
    "decimal": Decimal,
    "uuid": UUID,
}
_KINDS = {"array": "a list", "object": "a mapping", "string": "text", "integer": "an integer", "null": "null"}


def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON Schema of what `hint` is decoded from; of what has none, the one that everything fits."""
    if _is_model(hint):
        return hint.model_json_schema()
    if hint is datetime or hint is time:  # msgspec names no format where a zone may be left out
        return {"type": "string", "format": "time" if hint is time else "date-time"}
    try:
        return msgspec.json.schema(hint, schema_hook=_foreign_schema)
    except (TypeError, ValueError):
        if get_origin(hint) in (Union, UnionType):  # of members that msgspec cannot tell apart, and the codec can
            members = [within(schema_of(member), f"{n}") for n, member in enumerate(get_args(hint))]
            return {"anyOf": members}
        return {}


def _foreign_schema(kind: Any) -> dict[str, Any]:
    """The schema of what msgspec does not know and the codec does."""
    kind = cast("type[Any]", get_origin(kind) or kind)
    if _is_model(kind):
        return within(kind.model_json_schema(), f"{kind.__module__}.{kind.__qualname__}")
    if "__fspath__" in dir(kind) or issubclass(kind, str):
        return {"type": "string"}
    if issubclass(kind, int):
        return {"type": "integer"}
    return {"type": "number"} if issubclass(kind, float) else {}


def within(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """A schema within another one whose references are to its own definitions."""
    return {"$id": f"clew:{name}", **schema} if "$defs" in schema else schema


def _is_model(kind: Any) -> bool:
    return (
        isinstance(kind, type) and hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_json_schema")
    )


# What does not fit -------------------------------------------------------------------------------------


@cache
def _validators() -> Callable[[Any], Any]:
    """What makes a validator of a schema; loaded when the first value is looked at."""
    jsonschema: Any = import_module("jsonschema")
    registry: Any = import_module("referencing").Registry()  # an empty one: nothing is fetched from anywhere
    base = jsonschema.Draft202012Validator
    kinds = base.TYPE_CHECKER.redefine("integer", _is_integer)
    strict = jsonschema.validators.extend(base, type_checker=kinds)
    formats = jsonschema.FormatChecker(formats=())
    for name, kind in _FORMATS.items():
        formats.checks(name, raises=msgspec.ValidationError)(_reads(kind))
    return lambda schema: strict(schema, registry=registry, format_checker=formats)


def _is_integer(_: object, value: object) -> bool:
    """As the codec has it: neither true nor 1.0 is one."""
    return type(value) is int


def _reads(kind: type[Any]) -> Callable[[object], bool]:
    def reads(value: object) -> bool:
        return not isinstance(value, str) or msgspec.convert(value, kind) is not None

    return reads


def problem_of(value: Any, schema: bytes) -> str | None:
    """What of a value does not fit a JSON Schema (2020-12), with its path; None if it fits.

    Args:
        value: plain data.
        schema: as JSON text.
    """
    return _best_problem(_validator(schema).iter_errors(value))


def _validator(schema: bytes) -> Any:
    return _validators()(msgspec.json.decode(schema))


def _best_problem(errors: Iterator[Any]) -> str | None:
    error: Any = import_module("jsonschema.exceptions").best_match(errors)
    if error is None:
        return None
    while error.parent is not None and error.parent.json_path == error.json_path:
        error = error.parent  # of alternatives all are told
    shown = _short(error.instance)
    if expected := _expected(error):
        return f"{error.json_path}: {expected} is expected, not {shown}"
    why = error.message if len(error.message) <= 4 * _TOLD else f"{shown} does not fit {error.validator!r}"
    return f"{error.json_path}: {why}"


def _expected(error: Any) -> str:
    """What would have been right, in words; empty if it takes more of them."""
    wanted = error.validator_value
    match error.validator:
        case "type":
            return " or ".join(
                _KINDS.get(kind, f"a {kind}") for kind in ([wanted] if isinstance(wanted, str) else wanted)
            )
        case "enum":
            return f"one of {', '.join(_short(one) for one in wanted[:20])}"
        case "format":
            return f"a {wanted}"
        case "anyOf":
            told = [_expected(one) if one.json_path == error.json_path else "" for one in error.context]
            return " or ".join(dict.fromkeys(told)) if all(told) else ""
        case _:
            return ""


def _short(value: Any) -> str:
    text = codec.encode(value).decode()
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}…"
