"""Operations on the memory as bodies of nodes: ``graph.add(memory("get", namespace="facts", key=k))``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from msgspec import UNSET

from clew.errors import InvalidInputError
from clew.graphs.bodies import Description
from clew.graphs.body_data import MemoryBody
from clew.graphs.handles import Handle
from clew.graphs.names import did_you_mean
from clew.graphs.signatures import Signature
from clew.kernel.definition import OnInterrupt

MemoryOperation = Literal["store", "update", "delete", "get", "search"]


class MemoryChange(TypedDict):
    """What a node returns that has changed an entry of the memory; `existed`: it was there before."""

    namespace: str
    key: str
    existed: bool


class MemoryFound(TypedDict):
    """One of the entries that a search returns; the time in seconds since the epoch."""

    key: str
    value: Any
    updated_at: float
    by: str


#: By operation: what it needs, what it may be given besides, and what its node returns.
_OPERATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...], Any]] = {
    "store": (("key", "value"), (), MemoryChange),
    "update": (("key", "value"), (), MemoryChange),
    "delete": (("key",), (), MemoryChange),
    "get": (("key",), ("default",), Any),
    "search": ((), ("text", "where", "prefix", "limit"), list[MemoryFound]),
}
#: Operations that change an entry; a rollback undoes them.
CHANGING = ("store", "update", "delete")


def memory(
    operation: MemoryOperation,
    *,
    namespace: str | Handle,
    key: str | Handle | None = None,
    value: Any = UNSET,
    default: Any = UNSET,
    text: str | Handle | None = None,
    where: Mapping[str, Any] | Handle | None = None,
    prefix: str | Handle | None = None,
    limit: int | Handle | None = None,
) -> Description:
    """Describe an operation on the memory that outlives runs, to be the body of a node.

    It is done once, whatever crashes, and undone when the run is rolled back, without being told how. All that is
    given may hold expressions, and in a `Graph` also handles.

    Args:
        operation: ``store`` a value by a key, whatever was there; ``update`` what is there (fields of an object
            are written over its fields, any other value takes the place of the value; it is an error if nothing
            is there); ``delete``; ``get`` the value; ``search``.
        namespace: what the entry belongs to; entries of one namespace know nothing of those of another.
        key: of the entry.
        value: to store, or to update with.
        default: what ``get`` returns if there is no such entry; without it, that is an error.
        text: to search for: each of its words occurs in the key, or in the texts, numbers and names of fields of
            the value.
        where: to search for: the value is an object that has these fields with these values.
        prefix: to search for: what the key begins with.
        limit: of a search: how many entries at most, 20 if not given; those that were changed last come first.

    Raises:
        InvalidInputError: there is no such operation, or it is not given what it needs, or more.
    """
    optional = {"key": key, "text": text, "where": where, "prefix": prefix, "limit": limit}
    given = {name: each for name, each in optional.items() if each is not None}
    given |= {name: each for name, each in (("value", value), ("default", default)) if each is not UNSET}
    if operation not in _OPERATIONS:
        words = [*_OPERATIONS]
        near = did_you_mean(str(operation), words)
        raise InvalidInputError(f"memory: the operation is one of {', '.join(words)}, not {operation!r:.80}{near}")
    needed, possible, returns = _OPERATIONS[operation]
    for name in needed:
        if name not in given:
            raise InvalidInputError(f"memory: {operation} needs {name}=")
    for name in given:
        if name not in needed and name not in possible:
            raise InvalidInputError(f"memory: {operation} takes no {name}=; leave it out")
    return Description(
        kind="memory",
        body=MemoryBody(operation=operation, effects="idempotent" if operation in CHANGING else "none"),
        inputs={"namespace": namespace, **given},
        on_interrupt=OnInterrupt.RETRY,
        signature=Signature(parameters={}, returns=returns, is_async=True),
    )
