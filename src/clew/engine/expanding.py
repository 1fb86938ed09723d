"""The items of a map, and what they are called."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from clew import codec
from clew.bodies.functions import Signature, find
from clew.engine.inputs import InputReader, store
from clew.engine.jobs import Functions
from clew.errors import InvalidInputError
from clew.graphs.body_data import FunctionBody
from clew.journal.records import Blob
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.values import Known

#: Items that one map may have.
MAX_ITEMS = 1_000_000


async def expand(
    command: c.ExpandMap, functions: Functions, reader: InputReader
) -> tuple[s.MapExpanded, list[Blob]]:
    """The items of a map and their keys, and what is to be stored with them."""
    json = await reader.read(command.over)
    items = _list(json)
    keys = _keys(command.map.key, items, functions) if command.map.key else ()
    # Another node's stored output is read again by reference; anything put together is stored once, here.
    value, data = (None, None) if isinstance(command.over, Known) else store(json)
    blobs = [Blob(value.blob, data)] if value is not None and data is not None else []
    return s.MapExpanded(path=command.path, count=len(items), keys=keys, items=value), blobs


def _keys(key: str, items: list[msgspec.Raw], functions: Functions) -> tuple[str, ...]:
    """The names of a map's items: a field of each, or what a function says of it."""
    if ":" in key:
        function = find(FunctionBody(key), functions)
        declared = Signature.of(function).declared.parameters
        # Builtins like `str` may tell nothing of their parameters: they get plain data.
        hint = next(iter(declared.values())).hint if declared else Any
        named = [function(codec.decode(item, hint)) for item in items]
    else:
        named = [_field(item, key, number) for number, item in enumerate(items)]
    keys = tuple(str(name) for name in named)
    seen: dict[str, int] = {}
    for number, name in enumerate(keys):
        if name in seen:
            raise InvalidInputError(f"items {seen[name]} and {number} of the map have the same key {name!r}")
        seen[name] = number
    return keys


def _list(json: bytes) -> list[msgspec.Raw]:
    try:
        items = msgspec.json.decode(json, type=list[msgspec.Raw])
    except msgspec.DecodeError:
        shown = json[:60].decode(errors="replace")
        raise InvalidInputError(f"a map runs over a list, and this is none: {shown}") from None
    if len(items) > MAX_ITEMS:
        raise InvalidInputError(f"{len(items)} items are more than a map may have ({MAX_ITEMS}); split the list")
    return items


def _field(item: msgspec.Raw, key: str, number: int) -> Any:
    value = codec.decode(item)
    if not isinstance(value, dict) or key not in value:
        raise InvalidInputError(f"item {number} of the map has no field {key!r} to be named by")
    return cast("dict[str, Any]", value)[key]
