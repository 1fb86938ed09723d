"""Recipes of inputs become JSON text: blobs are read, lists put together, expressions evaluated.

The text is decoded only by who consumes it, by its own annotation.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, assert_never

import msgspec

from clew import codec
from clew.engine.secrets import MARK, Secrets, guard, unguard
from clew.errors import InternalError, InvalidInputError, UnstorableError
from clew.graphs import expressions
from clew.graphs.conditions import missing_keys, named_state
from clew.journal.port import Journal
from clew.kernel.cells import text_of
from clew.kernel.values import (
    Absent,
    Binding,
    DictOf,
    Expression,
    FromInput,
    FromItem,
    FromNode,
    FromOutput,
    FromState,
    Known,
    ListOf,
    Literal,
    Pick,
    Value,
    View,
)

#: Values up to so many bytes of JSON text travel inside events; larger ones become blobs.
INLINE = 1_024
#: JSON text that one value of a body may have, in bytes.
MAX_VALUE = 256 * 1024 * 1024
#: Values taken apart that are kept for the next item of the same map.
_CACHED = 4

_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_DICT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class InputReader:
    """Reads the values of one engine's journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        #: Lists and mappings taken apart, by digest, most recently used last.
        self._parts: OrderedDict[str, list[msgspec.Raw] | dict[str, msgspec.Raw]] = OrderedDict()

    async def read(self, binding: Binding, secrets: Secrets | None = None) -> bytes:
        """The JSON text of a resolved binding; what is absent inside of it is null.

        Args:
            binding: what is read.
            secrets: fill the references in what the definition says, and in what the run was started with. What
                nodes made is data: a page that was fetched cannot ask for a secret.
        """
        match binding:
            case Known(value=value, given=given):
                json = await self.value(value)
                return secrets.fill(json) if secrets is not None and given else json
            case Literal(json=json):
                return secrets.fill(bytes(json)) if secrets is not None else bytes(json)
            case Absent():
                return b"null"
            case Pick(of=of, path=path):
                json = await self._pick(of, path)
                own = isinstance(of, Literal) or (isinstance(of, Known) and of.given)
                return secrets.fill(json) if secrets is not None and own else json
            case ListOf(items=items):
                return b"[" + b",".join([await self.read(item, secrets) for item in items]) + b"]"
            case DictOf(items=items):
                parts = [codec.encode(key) + b":" + await self.read(item, secrets) for key, item in items.items()]
                return b"{" + b",".join(parts) + b"}"
            case View(cells=cells):
                return bytes(text_of(cells))
            case Expression(source=source, names=names, where=where):
                known = {name: await self._named(part, name, source, secrets) for name, part in names.items()}
                try:
                    return _evaluated(source, known, where, secrets)
                except expressions.ExpressionError as error:
                    states = {name: part.cells for name, part in names.items() if isinstance(part, View)}
                    if (missing := missing_keys(source, states, where)) is None:
                        raise
                    raise missing from error
            case FromInput() | FromNode() | FromItem() | FromState() | FromOutput():
                raise InternalError(f"an input was not resolved: {binding}")
            case _:
                assert_never(binding)

    async def value(self, value: Value) -> bytes:
        """The JSON text of a stored value."""
        if value.blob:
            return await self._journal.blob(value.blob)
        assert value.json
        return bytes(value.json)

    async def plain(self, binding: Binding) -> Any:
        """A resolved binding as plain JSON data."""
        return codec.decode(await self.read(binding))

    async def _named(self, part: Binding, name: str, source: str, secrets: Secrets | None) -> Any:
        """What a name of an expression means; of a state, only the keys that the expression names."""
        if not isinstance(part, View):
            return codec.decode(await self.read(part, secrets))
        return named_state(source, part.cells, name)

    async def _pick(self, of: Binding, path: tuple[str | int, ...]) -> bytes:
        cached = of.value.blob if isinstance(of, Known) else ""
        if isinstance(of, ListOf) and isinstance(path[0], int) and len(path) == 1 and 0 <= path[0] < len(of.items):
            return await self.read(of.items[path[0]])
        parts: Any = self._parts.get(cached) if cached else None
        if parts is None:
            parts = _take_apart(await self.read(of))
            if cached:
                self._parts[cached] = parts
                while len(self._parts) > _CACHED:
                    self._parts.popitem(last=False)
        elif cached:
            self._parts.move_to_end(cached)
        for step in path[:-1]:
            parts = _take_apart(bytes(_part(parts, step, path)))
        return bytes(_part(parts, path[-1], path))


def refuse_large(json: bytes) -> None:
    """Refuse a value that is larger than any should be.

    Raises:
        UnstorableError: says how large it is.
    """
    if len(json) > MAX_VALUE:
        raise UnstorableError("$", f"{len(json)} bytes of JSON are more than the limit of {MAX_VALUE}")


def store(json: bytes) -> tuple[Value, bytes | None]:
    """A reference to a value, and the blob to store with it unless it travels inline."""
    if len(json) <= INLINE:
        return Value(json=msgspec.Raw(json)), None
    return Value(blob=codec.digest(json), size=len(json)), json


def _evaluated(source: str, known: dict[str, Any], where: str, secrets: Secrets | None) -> bytes:
    """The value of an expression; references to secrets in its own text are filled, not those in what it names."""
    if secrets is None or MARK not in source:
        return codec.encode(expressions.evaluate(source, known, where))
    guarded = {name: guard(value) for name, value in known.items()}
    return unguard(secrets.fill(codec.encode(expressions.evaluate(source, guarded, where))))


def _take_apart(json: bytes) -> list[msgspec.Raw] | dict[str, msgspec.Raw]:
    try:
        return _LIST.decode(json) if json[:1] == b"[" else _DICT.decode(json)
    except msgspec.DecodeError:
        shown = json[:60].decode(errors="replace")
        raise InvalidInputError(f"a list or mapping is needed to take a part of, not {shown}") from None


def _part(
    parts: list[msgspec.Raw] | dict[str, msgspec.Raw], step: str | int, path: tuple[str | int, ...]
) -> msgspec.Raw:
    where = "".join(f"[{p!r}]" for p in path)
    try:
        return parts[step]  # type: ignore[index]
    except KeyError:
        assert isinstance(parts, dict)
        raise InvalidInputError(
            f"{where}: there is no {step!r}; there are {', '.join(list(parts)[:20])}"
        ) from None
    except IndexError:
        raise InvalidInputError(f"{where}: there is no item {step}; there are {len(parts)}") from None
    except TypeError:
        kind = "list" if isinstance(parts, list) else "mapping"
        raise InvalidInputError(f"{where}: {step!r} does not fit a {kind}") from None
