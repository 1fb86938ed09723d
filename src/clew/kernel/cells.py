"""The values of a state, key by key: immutable to whoever looks, cheap to grow.

A cell holds one value as JSON text, or in parts: the elements of a list, the fields of an object. A list that
only grows shares its elements with all earlier cells of the key, so that a step that appends costs what it
appends, however long the list is.
"""

from __future__ import annotations

from typing import cast

import msgspec

from clew.kernel.errors import KernelError
from clew.kernel.values import Cell, Cells
from clew.kernel.writes import Change

_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def size_of(json: msgspec.Raw) -> int:
    """Bytes of a JSON text."""
    return memoryview(json).nbytes


def whole(json: msgspec.Raw) -> Cell:
    """The cell of a value that is known as JSON text."""
    return Cell(json=json, size=size_of(json))


def elements_of(json: msgspec.Raw) -> tuple[msgspec.Raw, ...]:
    """The elements of a JSON list.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return tuple(_LIST.decode(json))


def fields_of(json: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _OBJECT.decode(json)


def changed(cell: Cell | None, change: Change) -> Cell:
    """The cell after a change; None is a key that is not there."""
    if change.json:
        return whole(change.json)
    if change.items is not None:
        return _spliced(cell, change.items, change.at, change.cut)
    if change.fields is None:
        raise KernelError("a change of a state that changes nothing")
    fields = dict(cell.members()) if cell is not None else {}
    for name in change.removed:
        fields.pop(name, None)
    fields.update(change.fields)
    return Cell(fields=fields, size=2 + sum(len(k) + size_of(v) + 4 for k, v in fields.items()))


def _spliced(cell: Cell | None, items: tuple[msgspec.Raw, ...], at: int, cut: int) -> Cell:
    before = cell.elements() if cell is not None else []
    count = cell.count if cell is not None else 0
    size = cell.size if cell is not None else 2
    at = count if at < 0 else at
    if at < count:
        after = [*before[:at], *items, *before[at + cut : count]]
        return Cell(items=after, count=len(after), size=2 + sum(size_of(i) + 1 for i in after))
    if _has_grown_alike(before, count, items):
        before.extend(items[len(before) - count :])
    else:
        before = [*before[:count], *items]
    return Cell(items=before, count=count + len(items), size=size + sum(size_of(i) + 1 for i in items))


def _has_grown_alike(shared: list[msgspec.Raw], count: int, items: tuple[msgspec.Raw, ...]) -> bool:
    """Whether nobody else has made a list longer, or by the same: a sub-graph did, and has ended now."""
    if len(shared) == count:
        return True
    grown = shared[count : count + len(items)]
    return all(bytes(a) == bytes(b) for a, b in zip(grown, items, strict=False))


def text_of(cells: Cells) -> msgspec.Raw:
    """A whole state as JSON text."""
    return msgspec.Raw(_encode({key: cell.text() for key, cell in cells.items()}))


def copied(cell: Cell) -> Cell:
    """A cell that shares nothing with others, for a snapshot."""
    items = cell.items
    if items is None:
        return cell
    return Cell(items=items[: cell.count], count=cell.count, size=cell.size)


def plain(cells: Cells) -> dict[str, object]:
    """A whole state as plain data."""
    return cast("dict[str, object]", msgspec.json.decode(text_of(cells)))
