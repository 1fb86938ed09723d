"""The state of a state graph as a body sees it: read-only, and decoded key by key, when it is asked for.

What a key is decoded to is said by the annotation of the parameter that the state is given to, and by nothing
else: worker processes know no more than the function. They import this, so it imports little.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import SimpleNamespace, UnionType
from typing import Any, NoReturn, TypeVar, Union, cast, get_args, get_origin

import msgspec

from clew import codec
from clew.errors import InvalidInputError
from clew.graphs.names import did_you_mean, listed
from clew.kernel.values import Cell, Cells

T = TypeVar("T")

_QUALIFIERS = frozenset(("Required", "NotRequired", "ReadOnly"))
_READ_ONLY = "the state is read-only here; return what the node changes, as in return {{{key!r}: …}}"


class StateView(Mapping[str, Any]):
    """The state as it was when the node started. A node changes it by what it returns.

    Args:
        cells: the values.
        hint: what the keys are decoded to: a TypedDict, or a mapping; plain data where it says nothing.
    """

    __slots__ = ("_cells", "_decoded", "_hint")

    def __init__(self, cells: Cells, hint: Any = Any) -> None:
        self._cells = cells
        self._hint = hint
        self._decoded: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key in self._decoded:
            return self._decoded[key]
        cell = self._cells.get(key)
        if cell is None:
            raise MissingKeyError(key, self._cells)
        value = self._decoded[key] = _decoded(key, cell, _kept(_key_hint, self._hint, key))
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._cells

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    def __setitem__(self, key: str, value: Any) -> NoReturn:
        raise TypeError(_READ_ONLY.format(key=key))

    def __delitem__(self, key: str) -> NoReturn:
        raise TypeError(f"the state is read-only here; return {{{key!r}: DELETE}} to take a key out of it")

    def __repr__(self) -> str:
        return f"<state: {', '.join(self._cells) or 'no keys'}>"


class MissingKeyError(KeyError):
    """A key that is not in the state: nobody has written it, or there is none of this name.

    Args:
        key: what was asked for.
        known: what is there.
    """

    def __init__(self, key: str, known: Mapping[str, object]) -> None:
        super().__init__(key)
        near = did_you_mean(str(key), known)
        has = f"; it has {listed(known, limit=20, last='and')}" if known else "; it has no keys"
        self._told = f"the state has no {key!r}{near or has}"

    def __str__(self) -> str:
        return self._told


def state_for(cells: Cells, hint: Any = Any) -> Any:
    """The state as a parameter takes it.

    Args:
        cells: the values.
        hint: the annotation of the parameter.

    Returns:
        An instance of a dataclass, a Struct or a pydantic model with the fields that it has; a `StateView` for
        everything else.

    Raises:
        InvalidInputError: a field of the instance is missing or does not fit.
    """
    hint, fields = _kept(_shape_of, hint)
    if fields is None:
        return StateView(cells, hint)
    json = msgspec.json.encode({name: cells[name].text() for name in fields if name in cells})
    try:
        return codec.decode(json, hint)
    except InvalidInputError as error:
        raise InvalidInputError(f"the state does not fit {_name(hint)}: {error}") from None


def _shape_of(hint: Any) -> tuple[Any, tuple[str, ...] | None]:
    """What an annotation comes to, and the fields of the instance that it asks for; None if it asks for none."""
    alone = single(hint)
    return alone, _instance_fields(alone)


def _kept(find: Callable[..., T], hint: Any, *more: str) -> T:
    """What is found out about an annotation, once; it is asked about at each step of each run."""
    try:
        return _found(find, hint, *more)
    except TypeError:  # an annotation without a hash
        return find(hint, *more)


def takes_state(hint: Any) -> bool:
    """Whether a parameter of this annotation can be given the state."""
    hint = single(hint)
    kind = get_origin(hint) or hint
    if hint in (Any, object) or typing.is_typeddict(kind) or _instance_fields(hint) is not None:
        return True
    return isinstance(kind, type) and (issubclass(kind, Mapping) or issubclass(StateView, kind))


def single(hint: Any) -> Any:
    """The annotation without what does not matter here: Annotated, and None beside it."""
    while True:
        if get_origin(hint) is typing.Annotated:
            hint = get_args(hint)[0]
        elif get_origin(hint) in (Union, UnionType):
            members = [member for member in get_args(hint) if member is not type(None)]
            if len(members) != 1:
                return hint
            hint = members[0]
        else:
            return hint


def _instance_fields(hint: Any) -> tuple[str, ...] | None:
    """The names of the fields of an annotation that an instance is made of; None if none is."""
    kind: Any = get_origin(hint) or hint
    declared: Mapping[str, Any] | None = getattr(kind, "__dataclass_fields__", None)
    if not isinstance(kind, type) or typing.is_typeddict(kind):
        return None
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_encode_fields__
    if declared is not None:
        return tuple(declared)
    return tuple(_model_fields(kind)) or None


def _model_fields(kind: Any) -> tuple[str, ...]:
    return tuple(kind.model_fields) if hasattr(kind, "model_validate_json") else ()


def _decoded(key: str, cell: Cell, hint: Any) -> Any:
    try:
        return codec.decode(cell.text(), hint)
    except InvalidInputError as error:
        raise InvalidInputError(f"the key {key!r} of the state does not fit {_name(hint)}: {error}") from None


def _name(hint: Any) -> str:
    return str(getattr(hint, "__name__", "") if get_origin(hint) is None else "") or repr(hint)


def _key_hint(hint: Any, key: str) -> Any:
    kind = get_origin(hint) or hint
    if typing.is_typeddict(kind):
        return _typed_keys(kind).get(key, Any)
    arguments = get_args(hint)
    return arguments[1] if len(arguments) == 2 else Any


@lru_cache(maxsize=512)
def _typed_keys(kind: Any) -> dict[str, Any]:
    """What each key of a TypedDict is decoded to; plain data where its annotation cannot be read."""
    read: Callable[..., dict[str, Any]] = typing.get_type_hints
    try:
        hints = read(kind, include_extras=True)
    except Exception:  # whatever an annotation raises: they are read one by one
        given = cast("dict[str, Any]", kind.__annotations__)
        hints = {name: _one_hint(name, hint) for name, hint in given.items()}
    return {name: _unqualified(hint) for name, hint in hints.items()}


def _one_hint(name: str, hint: Any) -> Any:
    read: Callable[..., dict[str, Any]] = typing.get_type_hints
    try:
        return read(SimpleNamespace(__annotations__={name: hint}), include_extras=True)[name]
    except Exception:
        return Any


def _unqualified(hint: Any) -> Any:
    while getattr(get_origin(hint), "_name", "") in _QUALIFIERS:
        hint = get_args(hint)[0]
    return hint


@lru_cache(maxsize=2048)
def _found(find: Callable[..., T], hint: Any, *more: str) -> T:
    return find(hint, *more)
