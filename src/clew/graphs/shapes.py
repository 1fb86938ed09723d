"""Whether data has the form that a JSON Schema asks for, said in words: what, where, and the nearest right name.

Only the keywords that `schema` uses are known. The verdict equals that of a full validator; the words are
better, because of alternatives (`anyOf`) only the one that is meant is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from clew.graphs.names import did_you_mean, listed
from clew.graphs.schema import SCHEMA, Schema

Keys = tuple[str | int, ...]

_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


class Misfit(NamedTuple):
    """One part that does not have the form.

    Attributes:
        keys: where it is.
        why: what is wrong.
        unknown_key: it is a key that should not be there; the rest can be read without it.
    """

    keys: Keys
    why: str
    unknown_key: bool = False


def misfits(data: Any, schema: Schema = SCHEMA, keys: Keys = ()) -> Iterator[Misfit]:
    """Everything about `data` that the schema refuses."""
    schema = _followed(schema, data)
    if "not" in schema:
        yield Misfit(keys, schema["description"], unknown_key=True)
        return
    if "anyOf" in schema:
        yield from _alternatives(data, schema["anyOf"], keys)
        return
    wanted = schema.get("type")
    if wanted is not None and not _is_a(data, wanted):
        yield Misfit(keys, f"is {_told_type(wanted)}, not {_told(data)}")
        return
    if "enum" in schema and data not in schema["enum"]:
        words = [str(word) for word in schema["enum"]]
        near = did_you_mean(data, words) if isinstance(data, str) else ""
        yield Misfit(keys, f"is one of {', '.join(words)}, not {_told(data)}{near}")
        return
    match data:
        case dict():
            yield from _of_mapping(cast("dict[str, Any]", data), schema, keys)
        case list():
            yield from _of_list(cast("list[Any]", data), schema, keys)
        case str():
            yield from _of_text(data, schema, keys)
        case int() | float() if not isinstance(data, bool):
            yield from _of_number(data, schema, keys)
        case _:
            pass


def _followed(schema: Schema, data: Any) -> Schema:
    """The form that is meant, where another place or the data says which that is."""
    while "$ref" in schema or "if" in schema:
        if "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
        else:
            schema = schema["else" if any(misfits(data, schema["if"])) else "then"]
    return schema


def _alternatives(data: Any, schemas: list[Schema], keys: Keys) -> Iterator[Misfit]:
    flat = [inner for each in schemas for inner in _followed(each, data).get("anyOf", [_followed(each, data)])]
    fitting = [schema for schema in flat if _is_a(data, schema.get("type", [*_WORDS]))]
    if not fitting:
        types = [schema["type"] for schema in flat]
        yield Misfit(keys, f"is {_told_type([t for each in types for t in _several(each)])}, not {_told(data)}")
        return
    tries = [[*misfits(data, schema, keys)] for schema in fitting]
    if all(tries):
        yield from min(tries, key=len)


def _of_mapping(data: dict[str, Any], schema: Schema, keys: Keys) -> Iterator[Misfit]:
    properties: Schema = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    names: Schema = schema.get("propertyNames", {})
    for key, value in data.items():
        if not re.search(names.get("pattern", ""), key):
            yield Misfit((*keys, key), f"is no name; a name has {names['description']}", unknown_key=True)
        elif key in properties:
            yield from misfits(value, properties[key], (*keys, key))
        elif others is False:
            known = [name for name, each in properties.items() if "not" not in each]
            near = did_you_mean(key, known) or f"; there are {listed(known, limit=30, last='and')}"
            yield Misfit((*keys, key), f"is an unknown key{near}", unknown_key=True)
        elif isinstance(others, dict):
            yield from misfits(value, cast("Schema", others), (*keys, key))
    for key in schema.get("required", ()):
        if key not in data:
            yield Misfit(keys, f"lacks {key!r}")
    if len(data) < schema.get("minProperties", 0):
        yield Misfit(keys, "is empty")
    yield from _one_of(data, schema, keys)


def _one_of(data: dict[str, Any], schema: Schema, keys: Keys) -> Iterator[Misfit]:
    choices = [key for each in schema.get("oneOf", ()) for key in each["required"]]
    there = [key for key in choices if key in data]
    if choices and len(there) != 1:
        known: Schema = schema.get("properties", {})
        has = f"it has {listed(there, last='and')}" if there else "it has none of them"
        near = next((hint for key in data if key not in known and (hint := did_you_mean(key, choices))), "")
        yield Misfit(keys, f"has just one of {listed(choices, limit=20)}; {has}{near if not there else ''}")


def _of_list(data: list[Any], schema: Schema, keys: Keys) -> Iterator[Misfit]:
    for i, value in enumerate(data):
        yield from misfits(value, schema.get("items", {}), (*keys, i))
    if len(data) < schema.get("minItems", 0):
        yield Misfit(keys, "is empty")


def _of_text(data: str, schema: Schema, keys: Keys) -> Iterator[Misfit]:
    if len(data) < schema.get("minLength", 0):
        yield Misfit(keys, "is empty")
    if not re.search(schema.get("pattern", ""), data):
        example = f", as in {schema['description']}" if "description" in schema else ""
        yield Misfit(keys, f"does not have the right form{example}: {_told(data)}")


def _of_number(data: float, schema: Schema, keys: Keys) -> Iterator[Misfit]:
    if "minimum" in schema and data < schema["minimum"]:
        yield Misfit(keys, f"is at least {schema['minimum']}, not {data}")
    if "maximum" in schema and data > schema["maximum"]:
        yield Misfit(keys, f"is at most {schema['maximum']}, not {data}")
    if "exclusiveMinimum" in schema and not data > schema["exclusiveMinimum"]:
        yield Misfit(keys, f"is more than {schema['exclusiveMinimum']}, not {data}")


def _is_a(data: Any, wanted: str | list[str]) -> bool:
    return any(_is_of(data, kind) for kind in _several(wanted))


def _is_of(data: Any, kind: str) -> bool:
    match kind:
        case "string":
            return isinstance(data, str)
        case "boolean":
            return isinstance(data, bool)
        case "integer":
            is_whole = isinstance(data, int) or (isinstance(data, float) and data.is_integer())
            return is_whole and not isinstance(data, bool)
        case "number":
            return isinstance(data, int | float) and not isinstance(data, bool)
        case "object":
            return isinstance(data, dict)
        case "array":
            return isinstance(data, list)
        case _:
            return data is None


def _several(kinds: str | list[str]) -> list[str]:
    return [kinds] if isinstance(kinds, str) else kinds


def _told_type(kinds: str | list[str]) -> str:
    words = [_WORDS[kind] for kind in dict.fromkeys(_several(kinds))]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _told(data: Any) -> str:
    match data:
        case None:
            return "nothing"
        case bool():
            return str(data).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            text = repr(data)
            return text if len(text) <= 60 else f"{text[:59]}…"
