"""What a tool takes, read off its function: a JSON Schema from annotations, descriptions from the docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from clew import codec
from clew.errors import InvalidInputError, UnstorableError
from clew.graphs.json_schemas import schema_of, within
from clew.graphs.signatures import signature_of


def described(function: Callable[..., Any]) -> str:
    """What a function does, as its docstring says before it comes to parameters."""
    parsed = _docstring(function)
    parts = (parsed.short_description, parsed.long_description)
    return "\n\n".join(part.strip() for part in parts if part)


def parameters_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The JSON Schema of a function's arguments, by name; what it does not know it refuses.

    Raises:
        InvalidInputError: it has parameters that cannot be given by name.
    """
    signature = signature_of(function)
    if signature.problems:
        raise InvalidInputError(f"{_name(function)} cannot be a tool: {'; '.join(signature.problems)}")
    told = {each.arg_name: each.description for each in _docstring(function).params}
    defaults = _defaults(function)
    properties: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        schema = dict(within(schema_of(parameter.hint), f"{_name(function)}.{name}"))
        if description := (told.get(name) or "").strip():
            schema["description"] = description
        if name in defaults:
            schema["default"] = defaults[name]
        properties[name] = schema
    required = [name for name, parameter in signature.parameters.items() if parameter.required]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": signature.takes_any,
    }


def _docstring(function: Callable[..., Any]) -> Any:
    from docstring_parser import parse  # noqa: PLC0415 -- only where tools are made

    return parse(inspect.getdoc(function) or "")


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Defaults that are plain data; others are the function's own affair."""
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            continue
        try:
            found[name] = codec.decode(codec.encode(parameter.default))
        except UnstorableError:
            continue
    return found


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))
