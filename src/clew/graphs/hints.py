"""Whether what one body returns fits what another takes, judged by their annotations before anything runs.

A value crosses the codec between two bodies and is decoded by its consumer's annotation. So what counts is
not inheritance alone: a path fits text (it is stored as text), a bool does not fit an int (the codec tells
them apart). Whatever is not known to be wrong is accepted.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections import abc
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec

#: Stands for "not a list" and "no such field".
NOTHING: Any = object()

_ARRAYS = (list, tuple, set, frozenset, abc.Sequence, abc.Iterable, abc.Collection, abc.MutableSequence)
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)
#: Stored as text.
_TEXTUAL = (datetime, date, time, timedelta, UUID, Decimal, bytes, PurePath)


def fits(source: Any, target: Any) -> bool:
    """Whether a value declared as `source` may be given where `target` is declared."""
    source, target = bare(source), bare(target)
    if source is Any or target is Any or source == target or target is object or source is object:
        return True
    if source in (typing.Never, typing.NoReturn):
        return True
    if _is_union(source):
        return all(fits(member, target) for member in get_args(source))
    if get_origin(source) is Literal and get_origin(target) is not Literal:
        return all(_literal_fits(value, target) for value in get_args(source))
    if _is_union(target):
        return any(fits(source, member) for member in get_args(target))
    if get_origin(target) is Literal:
        return get_origin(source) is Literal and _same_literals(get_args(source), get_args(target))
    return _single_fits(source, target)


def bare(hint: Any) -> Any:
    """The annotation without what does not change values: Annotated, NewType, Required, aliases."""
    while True:
        if hint is None:
            return type(None)
        if get_origin(hint) in (typing.Annotated, typing.Required, typing.NotRequired, typing.Final):
            hint = get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        elif isinstance(hint, typing.TypeVar | str | typing.ForwardRef):
            return Any
        else:
            return hint


def item_of(hint: Any) -> Any:
    """The annotation of a list's items; `NOTHING` if `hint` is declared and not a list."""
    hint = bare(hint)
    kind = get_origin(hint) or hint
    if hint is Any or hint is object:
        return Any
    if _is_union(hint):
        items = [item for member in get_args(hint) if (item := item_of(member)) is not NOTHING]
        return Union[tuple(items)] if len(items) == len(get_args(hint)) else NOTHING  # noqa: UP007 -- built from data
    if kind is tuple:
        parts = [part for part in get_args(hint) if part is not ...]
        return Union[tuple(parts)] if parts else Any  # noqa: UP007 -- built from data
    if kind in _ARRAYS:
        return (get_args(hint) or (Any,))[0]
    return NOTHING if _category(hint) != "unknown" else Any


def part_of(hint: Any, key: str | int) -> Any:
    """The annotation of ``value[key]``; `NOTHING` if it is declared and has no such part."""
    hint = bare(hint)
    kind = get_origin(hint) or hint
    if _is_union(hint):
        parts = [part for m in get_args(hint) if m is not type(None) and (part := part_of(m, key)) is not NOTHING]
        return Union[tuple(parts)] if parts else NOTHING  # noqa: UP007 -- built from data
    if isinstance(key, int):
        if kind is tuple and get_args(hint) and ... not in get_args(hint):
            parts = get_args(hint)
            return parts[key] if -len(parts) <= key < len(parts) else NOTHING
        return item_of(hint)
    fields = fields_of(hint)
    if fields is not None:
        return fields[key][0] if key in fields else NOTHING
    if kind in _MAPPINGS:
        return (get_args(hint) or (Any, Any))[1]
    return Any if _category(hint) in ("any", "unknown") else NOTHING


def fields_of(hint: Any) -> dict[str, tuple[Any, bool]] | None:
    """Annotation and requiredness of each field of a structured type; None for other types."""
    kind: Any = get_origin(hint) or hint
    return _fields(kind) if isinstance(kind, type) else None


def members_of(hint: Any) -> tuple[Any, ...]:
    """The members of a union, None included; of everything else, itself."""
    hint = bare(hint)
    return tuple(map(bare, get_args(hint))) if _is_union(hint) else (hint,)


def stored_as(hint: Any) -> str:
    """How values of an annotation that is no union are stored, as far as that is told apart.

    Returns:
        ``int``, ``float``, ``str``, ``bool``, ``null``, ``array``, ``mapping``, ``object`` (declared fields),
        ``textual``, ``decimal``, ``enum``; ``any``, or ``unknown``.
    """
    return _category(bare(hint))


def told(hint: Any) -> str:
    """An annotation as people write it."""
    arguments = get_args(hint)
    if hint is None or hint is type(None):
        return "None"
    if isinstance(hint, str):
        return hint
    if _is_union(hint):
        return " | ".join(map(told, arguments))
    if get_origin(hint) is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if get_origin(hint) is typing.Annotated:
        return told(arguments[0])
    name: str = getattr(get_origin(hint) or hint, "__name__", "") or repr(hint).replace("typing.", "")
    inner = ["..." if each is ... else told(each) for each in arguments if not isinstance(each, list)]
    return f"{name}[{', '.join(inner)}]" if inner else name


def _single_fits(source: Any, target: Any) -> bool:
    a, b = _category(source), _category(target)
    if "unknown" in (a, b):
        return True
    if a == b:
        return _same_category_fits(a, source, target)
    return (a, b) in {
        ("int", "float"), ("int", "decimal"), ("float", "decimal"), ("str", "decimal"),
        ("decimal", "str"), ("textual", "str"), ("str", "textual"), ("enum", "str"), ("str", "enum"),
        ("enum", "int"), ("int", "enum"), ("object", "mapping"), ("mapping", "object"),
    }  # fmt: skip


def _same_category_fits(category: str, source: Any, target: Any) -> bool:
    match category:
        case "array":
            return _arrays_fit(source, target)
        case "mapping":
            return fits((get_args(source) or (Any, Any))[1], (get_args(target) or (Any, Any))[1])
        case "object":
            return _objects_fit(get_origin(source) or source, get_origin(target) or target)
        case "textual" | "enum":
            return issubclass(get_origin(source) or source, get_origin(target) or target)
        case _:
            return True


def _arrays_fit(source: Any, target: Any) -> bool:
    a, b = get_args(source), get_args(target)
    if get_origin(source) is tuple and get_origin(target) is tuple and ... not in a and ... not in b:
        return len(a) == len(b) and all(map(fits, a, b))
    if get_origin(target) is tuple and ... not in b:
        return True
    return fits(item_of(source), item_of(target))


def _objects_fit(source: type, target: type) -> bool:
    """A structured value is decoded by field names, so the source needs the fields that the target requires."""
    if typing.is_typeddict(source) == typing.is_typeddict(target) and _is_subclass(source, target):
        return True
    have = _fields(source) or {}
    return all(name in have for name, (_, required) in (_fields(target) or {}).items() if required)


def _is_subclass(source: type, target: type) -> bool:
    return source is target or (not typing.is_typeddict(target) and issubclass(source, target))


_SCALARS: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}


def _category(hint: Any) -> str:
    """How its values are stored, as far as they are told apart here."""
    kind = get_origin(hint) or hint
    if hint is Any:
        return "any"
    if kind in _ARRAYS:
        return "array"
    if kind in _MAPPINGS:
        return "mapping"
    if not isinstance(kind, type):
        return "unknown"
    if kind in _SCALARS:
        return _SCALARS[kind]
    if _fields(kind) is not None:
        return "object"
    if issubclass(kind, Enum):
        return "enum"
    if issubclass(kind, Decimal):
        return "decimal"
    if issubclass(kind, _TEXTUAL):
        return "textual"
    return next((_SCALARS[base] for base in (bool, int, float, str) if issubclass(kind, base)), "unknown")


@lru_cache(maxsize=1024)
def _fields(kind: type[Any]) -> dict[str, tuple[Any, bool]] | None:
    if typing.is_typeddict(kind):
        required: frozenset[str] = getattr(kind, "__required_keys__", frozenset())
        return {name: (hint, name in required) for name, hint in _hints(kind).items()}
    if issubclass(kind, msgspec.Struct):
        found = msgspec.structs.fields(kind)
        return {field.encode_name: (field.type, field.required) for field in found}
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        missing = dataclasses.MISSING
        return {
            f.name: (hints.get(f.name, Any), f.default is missing and f.default_factory is missing)
            for f in dataclasses.fields(kind)
        }
    model = getattr(kind, "model_fields", None)
    if model is not None and hasattr(kind, "model_validate_json"):
        # By alias or by name, and with computed fields: only the names that are certain are told.
        certain = not any(field.alias for field in model.values())
        return (
            {name: (field.annotation, field.is_required()) for name, field in model.items()} if certain else None
        )
    return None


def _hints(kind: type[Any]) -> dict[str, Any]:
    read: Callable[..., dict[str, Any]] = typing.get_type_hints
    try:
        return read(kind, include_extras=True)
    except Exception:
        return dict.fromkeys(getattr(kind, "__annotations__", {}), Any)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _literal_fits(value: Any, target: Any) -> bool:
    return fits(type(value), target) if get_origin(target) is not Literal else value in get_args(target)


def _same_literals(source: tuple[Any, ...], target: tuple[Any, ...]) -> bool:
    allowed: set[tuple[Any, Any]] = {(type(value), value) for value in target}
    return all((type(value), value) in allowed for value in source)
