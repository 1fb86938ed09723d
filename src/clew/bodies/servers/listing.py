"""Tools of servers as tools of ours: names, schemas, and how much of what they say of themselves is believed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from typing import Any, cast

import mcp_types as types

from clew.graphs.servers import Server
from clew.graphs.tools import Effects, Permissions, Tool

#: Characters of a name, as for `clew.graphs.tools`.
_LONGEST = 64
#: Levels of a schema.
_DEEPEST = 100
_ANY = {"type": "object"}


def tool_at(server: Server, told: types.Tool) -> Tool:
    """A tool of a server.

    Args:
        server: where it is.
        told: what the server says of it.
    """
    return Tool(
        name=name_of(server, told.name),
        description=told.description or told.title or "",
        parameters=parameters_of(told.input_schema),
        server=server,
        remote=told.name,
        permissions=_permissions(server, told.annotations),
        effects=_effects(server, told.annotations),
    )


def name_of(server: Server, name: str) -> str:
    """How a tool is called here: ``SERVER.TOOL``; what cannot be a name as it is has a hash at its end."""
    whole = f"{server.name}.{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}"
    if len(whole) <= _LONGEST and whole == f"{server.name}.{name}":
        return whole
    return f"{whole[: _LONGEST - 9]}_{sha256(name.encode()).hexdigest()[:8]}"


def parameters_of(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a tool's arguments.

    One that cannot be held against values here (an older dialect, references to elsewhere) is reduced to the
    names, which of them are required, and their descriptions: the rest is checked by the server.
    """
    if _is_usable(schema):
        return schema
    given: Any = schema.get("properties")
    properties = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    required: Any = schema.get("required")
    names = cast("list[Any]", required) if isinstance(required, list) else []
    return {
        **_ANY,
        "properties": {name: _described(part) for name, part in properties.items()},
        "required": [name for name in names if isinstance(name, str)],
    }


def _described(part: Any) -> dict[str, Any]:
    told: Any = cast("dict[str, Any]", part).get("description") if isinstance(part, dict) else None
    return {"description": told} if isinstance(told, str) else {}


def disarm(schema: dict[str, Any] | None) -> None:
    """Take the patterns out of a schema: one can be made so that a text is looked at for hours.

    Those of a server may also be of another language; the server applies them itself.
    """
    try:
        for part in [*_parts(schema)]:
            if isinstance(part.get("pattern"), str):
                del part["pattern"]
            patterns = part.get("patternProperties")
            if isinstance(patterns, dict):
                part["patternProperties"] = {}
    except RecursionError:
        if schema is not None:
            schema.clear()
            schema.update(_ANY)


def _is_usable(schema: dict[str, Any]) -> bool:
    jsonschema: Any = import_module("jsonschema")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError):
        return False
    return schema.get("type") == "object" and all(_leads_on(schema, part) for part in _parts(schema))


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """All mappings in a schema.

    Raises:
        RecursionError: it is nested too deeply.
    """
    level: list[Any] = [schema]
    for _ in range(_DEEPEST):
        mappings = [cast("dict[str, Any]", each) for each in level if isinstance(each, dict)]
        yield from mappings
        inner: list[Any] = [value for each in mappings for value in each.values()]
        lists = [cast("list[Any]", each) for each in level if isinstance(each, list)]
        level = inner + [value for each in lists for value in each]
        if not level:
            return
    raise RecursionError


def _leads_on(schema: dict[str, Any], part: dict[str, Any]) -> bool:
    """Whether references of a part lead to something within the shared definitions."""
    targets = [part[key] for key in ("$ref", "$dynamicRef") if isinstance(part.get(key), str)]
    return not part.keys() & {"$id", "$anchor", "$dynamicAnchor"} and all(_leads(schema, each) for each in targets)


def _leads(schema: dict[str, Any], target: str) -> bool:
    root, *names = target.split("/")
    if root != "#" or not names or names[0] not in {"$defs", "definitions"}:
        return False
    found: Any = schema
    for name in names:
        key = name.replace("~1", "/").replace("~0", "~")
        found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    return isinstance(found, dict | bool)


def _effects(server: Server, hints: types.ToolAnnotations | None) -> Effects:
    if not server.trusted or hints is None:
        return "unknown"
    if hints.read_only_hint:
        return "none"
    return "idempotent" if hints.idempotent_hint else "unknown"


def _permissions(server: Server, hints: types.ToolAnnotations | None) -> Permissions:
    """What it may do: everything, as far as the word of a trusted server does not say less."""
    believed = hints if server.trusted and hints is not None else types.ToolAnnotations()
    reads_only = believed.read_only_hint is True
    return Permissions(
        write=() if reads_only else None,
        network=() if believed.open_world_hint is False else None,
        shell=not reads_only,
    )
