"""How a state differs from the one before, key by key, as plain data: what streams tell instead of the whole.

It is read off the cells: what grew is told by what was put to it, whatever the reducer was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec import UNSET, UnsetType

from clew import codec
from clew.kernel.values import NOTHING, Cell, Cells


class Delta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one key changed. Exactly one of four: `value`, `items`, `fields` with `removed`, or `deleted`.

    Attributes:
        value: the whole value that it has now.
        items: of a list, what has been put in; it takes the place of `cut` elements at index `at`.
        at: where. As far as something was only appended, the length that the list had.
        cut: how many elements were taken out there.
        fields: of an object, the fields that were set.
        removed: those that were taken out.
        deleted: the key is not there any more.
    """

    value: Any = UNSET
    items: list[Any] | UnsetType = UNSET
    at: int | UnsetType = UNSET
    cut: int = 0
    fields: dict[str, Any] | UnsetType = UNSET
    removed: tuple[str, ...] = ()
    deleted: bool = False


def changes_between(before: Cells, after: Cells) -> dict[str, Delta]:
    """What has changed from one state to another; a key that was written with the same value has not."""
    changes = {key: Delta(deleted=True) for key in before if key not in after}
    for key, cell in after.items():
        old = before.get(key)
        if cell is not old and (change := _change(old, cell)) is not None:
            changes[key] = change
    return changes


def applied(state: Mapping[str, Any], changes: Mapping[str, Delta]) -> dict[str, Any]:
    """The state after changes, for whoever follows a run by its changes alone. `state` stays as it is."""
    after = dict(state)
    for key, change in changes.items():
        if change.deleted:
            after.pop(key, None)
        elif change.items is not UNSET:
            at = cast("int", change.at)
            items: list[Any] = after[key]
            after[key] = [*items[:at], *change.items, *items[at + change.cut :]]
        elif change.fields is not UNSET:
            kept = {name: value for name, value in after[key].items() if name not in change.removed}
            after[key] = {**kept, **change.fields}
        else:
            after[key] = change.value
    return after


def _change(before: Cell | None, after: Cell) -> Delta | None:
    if before is not None and before.items is not None and after.items is not None:
        return _of_list(before, after)
    if before is not None and before.fields is not None and after.fields is not None:
        return _of_object(before.fields, after.fields)
    if before is not None and bytes(before.text()) == bytes(after.text()):
        return None
    return Delta(value=codec.decode(bytes(after.text())))


def _of_list(before: Cell, after: Cell) -> Delta | None:
    old, new = before.elements(), after.elements()
    start, old_end, new_end = 0, before.count, after.count
    if old is new:  # it has only grown
        start = min(old_end, new_end)
    while start < min(old_end, new_end) and _same(old[start], new[start]):
        start += 1
    while min(old_end, new_end) > start and _same(old[old_end - 1], new[new_end - 1]):
        old_end, new_end = old_end - 1, new_end - 1
    if start == old_end == new_end:
        return None
    return Delta(items=[*map(_plain, new[start:new_end])], at=start, cut=old_end - start)


def _of_object(before: dict[str, msgspec.Raw], after: dict[str, msgspec.Raw]) -> Delta | None:
    fields = {name: _plain(value) for name, value in after.items() if not _same(before.get(name, NOTHING), value)}
    removed = tuple(name for name in before if name not in after)
    return Delta(fields=fields, removed=removed) if fields or removed else None


def _same(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    return one is other or bytes(one) == bytes(other)


def _plain(json: msgspec.Raw) -> Any:
    return codec.decode(bytes(json))
