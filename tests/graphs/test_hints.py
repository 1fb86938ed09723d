"""Whether declared types fit each other, and how they are told."""

import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, NotRequired, TypedDict, Union
from uuid import UUID

import msgspec
import pydantic
import pytest

from clew.graphs.hints import NOTHING, fits, item_of, part_of, told


@dataclass
class Base:
    name: str


@dataclass
class Derived(Base):
    size: int = 0


@dataclass
class Other:
    title: str


class Named(TypedDict):
    name: str
    size: NotRequired[int]


class Titled(TypedDict):
    title: str


class Row(msgspec.Struct, rename={"size": "n"}):
    name: str
    size: int = 0


class Model(pydantic.BaseModel):
    name: str


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Opaque:
    pass


UserId = NewType("UserId", str)
T = typing.TypeVar("T")
#: The old spellings, which are other objects.
OPTIONAL = Union[int, None]  # noqa: UP007
OLD_LIST = typing.List[int]  # noqa: UP006


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Any, int), (int, Any), (str, object), (object, str), (int, int), (int, float), (T, int), (int, T),
        (list[int], list), (list, list[int]), (list[int], Sequence[float]), (tuple[int, ...], list[int]),
        (list[int], tuple[int, ...]), (tuple[int, str], tuple[int, str]), (list[int], tuple[int, int]),
        (list[int], Iterable[int | str]),
        (dict[str, int], dict[str, float]), (dict, Mapping[str, int]),
        (int, int | str), (int | str, str | int), (int, OPTIONAL),
        (None, OPTIONAL), (None, None),
        (OPTIONAL, int | None), (Literal["a"], str), (Literal["a"], Literal["a", "b"]), (Literal[1], float),
        (Base, Base), (Derived, Base), (Named, Named), (Base, Named), (Named, Base), (Row, Base), (Derived, Model),
        (Base, dict), (Base, dict[str, Any]), (dict[str, str], Base), (dict, Named),
        (Path, str), (str, Path), (date, str), (str, datetime),
        (UUID, str), (int, Decimal), (Colour, str), (str, Colour),
        (Level, int), (UserId, str), (str, UserId), (Annotated[int, "x"], int), (Opaque, int), (int, Opaque),
        (typing.NoReturn, int), (list["Base"], list[Base]), (OLD_LIST, list[int]),
    ],
)  # fmt: skip
def test_it_fits(source: Any, target: Any) -> None:
    assert fits(source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (str, int), (int, str), (float, int), (bool, int), (int, bool), (None, str),
        (str, None), (str | None, str),
        (int | str, int), (list[str], list[int]), (list[str], str), (str, list[str]),
        (dict[str, str], dict[str, int]),
        (dict, list), (list, dict), (tuple[int, str], tuple[int, int]), (tuple[int, int], tuple[int, int, int]),
        (Base, Other), (Other, Base), (Titled, Named), (Base, str), (str, Base), (Base, list), (date, datetime),
        (datetime, UUID), (Literal["a"], int), (Literal["a", "c"], Literal["a", "b"]), (str, Literal["a"]),
        (Literal[1], Literal[True]), (Base, int | None), (list[Base], list[Other]), (bytes, int), (Path, int),
    ],
)  # fmt: skip
def test_it_does_not_fit(source: Any, target: Any) -> None:
    assert not fits(source, target)


@pytest.mark.parametrize(
    ("hint", "item"),
    [
        (list[int], int),
        (list, Any),
        (Any, Any),
        (tuple[int, str], int | str),
        (tuple[int, ...], int),
        (Sequence[Base], Base),
        (list[int] | list[str], int | str),
        (Opaque, Any),
        (str, NOTHING),
        (dict[str, int], NOTHING),
        (Base, NOTHING),
        (list[int] | None, NOTHING),
    ],
)
def test_items(hint: Any, item: Any) -> None:
    assert item_of(hint) == item


@pytest.mark.parametrize(
    ("hint", "key", "part"),
    [
        (Base, "name", str),
        (Named, "size", NotRequired[int]),
        (Row, "n", int),
        (Row, "size", NOTHING),
        (Model, "name", str),
        (Base, "nam", NOTHING),
        (dict[str, int], "any", int),
        (dict, "any", Any),
        (list[int], 0, int),
        (tuple[int, str], 1, str),
        (tuple[int, str], -1, str),
        (tuple[int, str], 2, NOTHING),
        (list[int], "x", NOTHING),
        (str, "x", NOTHING),
        (Base | None, "name", str),
        (Base | Other, "title", str),
        (Any, "x", Any),
        (Opaque, "x", Any),
    ],
)
def test_parts(hint: Any, key: str | int, part: Any) -> None:
    assert part_of(hint, key) == part


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (None, "None"),
        (Any, "Any"),
        (list[Base], "list[Base]"),
        (dict[str, list[Base | None]], "dict[str, list[Base | None]]"),
        (OPTIONAL, "int | None"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Annotated[int, 3], "int"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Sequence[str], "Sequence[str]"),
        ("typed", "typed"),
    ],
)
def test_told(hint: Any, text: str) -> None:
    assert told(hint) == text
