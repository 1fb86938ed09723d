"""Values to JSON text and back: the one door that every value of a run goes through, in every mode.

A body's output is encoded when the body returns and decoded by what its consumer declares, also when nothing
is stored; so a live run and a recovered one see the same types. Undeclared, a value comes back as plain JSON
data (a tuple as a list, a date as text).

What JSON cannot give back is refused here, with the exact place, instead of being bent: msgspec alone would
write a set as a list, NaN as null and the key 1 as "1". The check costs little: the text is decoded again and
compared, both in C; only what differs (or fails) is walked in Python to find out whether it is a date, which
is fine, or a set, which is not.

Pydantic models are known by their methods; nothing is imported for them.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import Any, Protocol, Union, cast, get_args, get_origin
from uuid import UUID

import msgspec

from clew.errors import InvalidInputError, UnstorableError

#: Deeper values are refused: every reader of the journal, also in other languages, must be able to recurse.
MAX_DEPTH = 200

#: How much of a path is told; a value that contains itself has an endless one.
_TOLD_SEGMENTS = 12

_NATIVE = frozenset(
    (type(None), bool, bytes, bytearray, memoryview, datetime, date, time, timedelta, Decimal, UUID)
)
_CONTAINERS = frozenset((dict, list))
#: Written right or not at all, so that the text need not be read again.
_ATOMS = _NATIVE | {str, int}


def encode(value: Any) -> bytes:
    """Write `value` as JSON text.

    Raises:
        UnstorableError: with the path of what cannot be stored: a set, a key that is no text, NaN or
            infinity, text that is no Unicode, a secret, a handle or any other object, nesting beyond
            `MAX_DEPTH`.
    """
    try:
        json = _encode(value)
        if type(value) in _ATOMS or _survives(value, json):
            return json
    except Exception:
        return _encode_checked(value)
    return _encode_checked(value)


def decode(json: bytes | msgspec.Raw, hint: Any = Any) -> Any:
    """Read JSON text as the type that the consumer declares.

    Args:
        json: the text.
        hint: an annotation; `Any` gives plain JSON data.

    Raises:
        InvalidInputError: the text does not fit; the message names the path.
    """
    try:
        if hint is Any:
            return _decode(json)
        return _decoder_of(hint).decode(json)
    except msgspec.ValidationError as error:
        raise InvalidInputError(str(error)) from None
    except msgspec.DecodeError as error:
        raise InvalidInputError(f"it is not JSON text: {error}") from None


def hint_problem(hint: Any) -> str:
    """Say why `hint` cannot be decoded to, or "" if it can."""
    try:
        _decoder_of(hint)
    except InvalidInputError as error:
        return str(error)
    return ""


def digest(json: bytes) -> str:
    """Name a JSON text by its content: hex SHA-256."""
    return hashlib.sha256(json).hexdigest()


# Encoding ----------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Turn what msgspec does not know into what it does (its hook)."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", value))
    if _is_model(value):
        return value.model_dump(mode="json", by_alias=True, round_trip=True)
    raise TypeError(_foreign(value))


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
_decode = msgspec.json.Decoder().decode


def _survives(value: Any, json: bytes) -> bool:
    """Tell whether reading the text gives the value again, and it is not too deep."""
    again = _decode(json)
    # NaN comes back as None, a set as a list, the key 1 as "1": all unequal.
    if again != value:
        return False
    return json.count(b"[") + json.count(b"{") <= MAX_DEPTH or not _too_deep(again)


def _too_deep(plain: Any) -> bool:
    level: list[Any] = [plain]
    for _ in range(MAX_DEPTH):
        level = [item for container in level for item in _items(container) if type(item) in _CONTAINERS]
        if not level:
            return False
    return True


def _items(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _encode_checked(value: Any) -> bytes:
    """Encode after looking at every part: for what does not come back equal, or does not encode at all."""
    try:
        _check(value, 0)
        return _encode(value)
    except _Refused as refused:
        told = refused.segments[::-1]
        if len(told) > _TOLD_SEGMENTS:
            told = [*told[:_TOLD_SEGMENTS], "..."]
        raise UnstorableError("$" + "".join(told), refused.why) from None
    except RecursionError:
        raise UnstorableError("$", _TOO_DEEP) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise UnstorableError("$", str(error)) from error


class _Refused(Exception):
    """Travels up from the bad part; each container on the way adds where it holds it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.segments: list[str] = []


_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep, or contains itself"


def _check(value: Any, depth: int) -> None:
    """Raise `_Refused` at the first part of `value` that JSON text cannot give back."""
    kind = cast("type[Any]", type(value))
    if kind in _NATIVE:
        return
    if isinstance(value, Enum):
        if not isinstance(value.value, str | int):
            raise _Refused(f"{value!r} is stored by its value, which must be text or an integer")
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int):
        _check_integer(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _Refused(_not_finite(value))
    elif depth >= MAX_DEPTH:
        raise _Refused(_TOO_DEEP)
    elif isinstance(value, dict):
        _check_mapping(cast("dict[Any, Any]", value), depth)
    elif isinstance(value, list | tuple):
        items = cast("list[Any] | tuple[Any, ...]", value)
        names: tuple[str, ...] | None = getattr(kind, "_fields", None)
        _check_parts(items, names and [f".{name}" for name in names], depth)
    else:
        _check_object(value, kind, depth)


def _check_parts(parts: Iterable[Any], segments: Iterable[str] | None, depth: int) -> None:
    """Check what a container holds; `segments` say where (read only when something is refused)."""
    index = 0
    try:
        for index, part in enumerate(parts):  # noqa: B007 - the handler tells where it was
            _check(part, depth + 1)
    except _Refused as refused:
        refused.segments.append(f"[{index}]" if segments is None else [*segments][index])
        raise


def _check_mapping(mapping: dict[Any, Any], depth: int) -> None:
    for key in mapping:
        if not isinstance(key, str):
            raise _Refused(f"the key {key!r} is not text; JSON has no other keys")
        _check_text(key)
    _check_parts(mapping.values(), map(_segment, mapping), depth)


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise _Refused(f"{text[:40]!a} is not Unicode text (a lone surrogate at {error.start})") from None


def _check_integer(value: int) -> None:
    if value.bit_length() > 4096:
        try:
            str(int.__int__(value))
        except ValueError:
            raise _Refused(f"an integer of {value.bit_length()} bits is too long for JSON") from None


def _check_object(value: Any, kind: type[Any], depth: int) -> None:
    if isinstance(value, type):
        raise _Refused(f"a class ({value.__qualname__}) cannot be stored; return its name")
    if isinstance(value, msgspec.Struct):
        _check_fields(value, value.__struct_fields__, depth)
    elif hasattr(kind, "__dataclass_fields__"):
        _check_fields(value, kind.__dataclass_fields__, depth)
    elif hasattr(kind, "__attrs_attrs__"):
        _check_fields(value, (field.name for field in kind.__attrs_attrs__), depth)
    elif isinstance(value, msgspec.Raw):
        _check_raw(value)
    elif _is_model(value):
        _check_model(value, depth)
    elif isinstance(value, os.PathLike):
        text = os.fspath(cast("os.PathLike[Any]", value))
        if not isinstance(text, str):
            raise _Refused("a path of bytes cannot be stored; return text")
        _check_text(text)
    else:
        raise _Refused(_foreign(value))


def _check_fields(value: Any, names: Iterable[str], depth: int) -> None:
    missing = msgspec.UNSET
    fields = {name: part for name in names if (part := getattr(value, name, missing)) is not missing}
    _check_parts(fields.values(), (f".{name}" for name in fields), depth)


def _check_raw(raw: msgspec.Raw) -> None:
    try:
        _decode(raw)
    except msgspec.DecodeError as error:
        raise _Refused(f"it is given as JSON text and is not valid: {error}") from None


def _check_model(model: Any, depth: int) -> None:
    """Check a pydantic model as it is before and after its own serialisers have had their turn for JSON."""
    dumped = model.model_dump(mode="python", by_alias=True, round_trip=True)
    _check_leniently(dumped, depth)
    try:
        _check(_plain(model), depth)
    except ValueError as error:
        raise _Refused(f"{_name(model)} does not serialise: {error}") from None


def _check_leniently(value: Any, depth: int) -> None:
    """Refuse what a model's JSON form would hide (sets, secrets); what it knows to write is its business."""
    if isinstance(value, dict):
        parts = ((_segment(str(key)), item) for key, item in cast("dict[Any, Any]", value).items())
    elif isinstance(value, list | tuple):
        parts = ((f"[{i}]", item) for i, item in enumerate(cast("list[Any]", value)))
    elif isinstance(value, set | frozenset) or hasattr(value, "get_secret_value"):
        raise _Refused(_foreign(value))
    elif isinstance(value, float) and not math.isfinite(value):
        raise _Refused(_not_finite(value))
    else:
        return
    segment = ""
    try:
        for segment, item in parts:  # noqa: B007 - the handler tells where it was
            _check_leniently(item, depth + 1)
    except _Refused as refused:
        refused.segments.append(segment)
        raise


def _segment(key: str) -> str:
    return f".{key}" if key.isidentifier() else f"[{msgspec.json.encode(key).decode()}]"


def _is_model(value: Any) -> bool:
    return hasattr(value, "__pydantic_validator__") and hasattr(value, "model_dump")


def _name(value: Any) -> str:
    kind = cast("type[Any]", type(value))
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _not_finite(value: float) -> str:
    return f"{value} has no JSON form; return None or text instead"


def _foreign(value: Any) -> str:
    if isinstance(value, set | frozenset):
        return "a set has no order and no JSON form; return a sorted list"
    if hasattr(value, "get_secret_value"):
        return "a secret is not stored; pass its reference, secret://NAME"
    return f"a {_name(value)} cannot be stored as JSON; return plain data, a dataclass or a model"


# Decoding ----------------------------------------------------------------------------------------------


class _Decoder(Protocol):
    def decode(self, buf: bytes | msgspec.Raw, /) -> Any: ...


def _decoder_of(hint: Any) -> _Decoder:
    try:
        decoder = _cached_decoder(hint)
        # `A | B` equals `B | A`, but here the first that fits is taken, so their order is a part of the key.
        return decoder if type(decoder) is not _UnionDecoder else _cached_union(hint, get_args(hint))
    except TypeError:  # an annotation that has no hash, as Annotated[int, []]
        return _new_decoder(hint)


def _new_decoder(hint: Any) -> _Decoder:
    try:
        return msgspec.json.Decoder(hint, dec_hook=_built)
    except Exception as error:  # it evaluates annotations of users' classes: anything may come
        if get_origin(hint) in (Union, UnionType):
            return _UnionDecoder(hint, get_args(hint))
        raise InvalidInputError(f"the annotation {_told(hint)} cannot be decoded to: {error}") from None


class _UnionDecoder:
    """Tries the members of a union in order: for those with models or paths, which msgspec does not take."""

    def __init__(self, _: Any, members: tuple[Any, ...]) -> None:
        self.members = [_decoder_of(member) for member in members]

    def decode(self, buf: bytes | msgspec.Raw, /) -> Any:
        problems: list[str] = []
        for member in self.members:
            try:
                return member.decode(buf)
            except msgspec.DecodeError as error:
                problems.append(str(error))
        raise msgspec.ValidationError("; or ".join(dict.fromkeys(problems)))


_cached_decoder = lru_cache(maxsize=2048)(_new_decoder)
_cached_union = lru_cache(maxsize=2048)(_UnionDecoder)


def _built(hint: Any, plain: Any) -> Any:
    """Build what msgspec does not know from plain data (its hook)."""
    kind = cast("type[Any]", get_origin(hint) or hint)
    if hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_validate_json"):
        return _model(kind, plain)
    if isinstance(plain, str) and "__fspath__" in dir(kind):
        return cast("Callable[[str], Any]", kind)(plain)
    if kind in (str, int, float) or not issubclass(kind, str | int | float):
        if isinstance(plain, kind):
            return plain
    elif isinstance(plain, str | int | float) and issubclass(kind, type(plain)):
        return kind(plain)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(plain).__name__}`")


def _model(kind: Any, plain: Any) -> Any:
    # From JSON text, not from Python data: a strict model takes a date's text only there.
    try:
        return kind.model_validate_json(msgspec.json.encode(plain))
    except ValueError as error:
        listed = getattr(error, "errors", None)
        if listed is None:
            raise
        told = [f"{'.'.join(map(str, each['loc'])) or kind.__name__}: {each['msg']}" for each in listed()]
        raise ValueError("; ".join(told)) from None


def _told(hint: Any) -> str:
    return getattr(hint, "__name__", None) or repr(hint)
