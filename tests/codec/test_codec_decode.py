"""A value comes back as what its consumer declares, or the consumer is told what does not fit, and where."""

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Never, NewType, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest

from clew import codec
from clew.errors import InvalidInputError


@dataclasses.dataclass
class Note:
    title: str
    size: int = 0


class Record(msgspec.Struct):
    title: str


class Point(NamedTuple):
    x: int
    y: int


class Row(TypedDict):
    a: int


class Colour(enum.Enum):
    RED = "red"


class Page(pydantic.BaseModel):
    title: str
    day: date | None = None


class Strict(pydantic.BaseModel, strict=True):
    day: date
    tags: frozenset[str]


class Text(str):
    __slots__ = ()


class Custom:
    pass


CASES: list[tuple[Any, Any]] = [
    (Note("a", 1), Note),
    ([Note("a", 1)], list[Note]),
    (Record("a"), Record),
    (Point(1, 2), Point),
    ({"a": 1}, Row),
    (Colour.RED, Colour),
    (Page(title="a", day=date(2026, 1, 2)), Page),
    ({"k": [Page(title="a")]}, dict[str, list[Page]]),
    (Page(title="b"), Page | None),
    (None, Page | None),
    (Path("a/b"), Path),
    ([Path("a")], list[Path]),
    (datetime(2026, 1, 2, tzinfo=UTC), datetime),
    (date(2026, 1, 2), date),
    (Decimal("1.50"), Decimal),
    (UUID(int=7), UUID),
    (b"\x00\xff", bytes),
    ((1, "a"), tuple[int, str]),
    ("a", Literal["a", "b"]),
    (5, NewType("Count", int)),
    (5, Annotated[int, "a note"]),
    (5, Annotated[int, ["not hashable"]]),
    (5, object),
    ([1], Iterable[int]),
    ([1], Sequence[int]),
    ({"a": 1}, Mapping[str, int]),
    (2**100, int),
    (Text("a"), Text),
]


@pytest.mark.parametrize(("value", "hint"), CASES)
def test_round_trip_by_annotation(value: Any, hint: Any) -> None:
    again = codec.decode(codec.encode(value), hint)
    assert again == value
    assert type(again) is type(value)


def test_undeclared_values_are_plain() -> None:
    assert codec.decode(codec.encode({"a": (1, Point(1, 2)), "d": date(2026, 1, 2)})) == {
        "a": [1, [1, 2]],
        "d": "2026-01-02",
    }
    assert codec.decode(msgspec.Raw(b"[1]")) == [1]
    assert codec.decode(msgspec.Raw(b"[1]"), list[int]) == [1]


def test_strict_models_read_json() -> None:
    assert codec.decode(b'{"day":"2026-01-02","tags":["a"]}', Strict) == Strict(
        day=date(2026, 1, 2), tags=frozenset({"a"})
    )


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        (b'"a"', str | Path, "a"),
        (b'"a"', Path | str, Path("a")),
        (b"5", Page | int, 5),
        (b'{"title":"a"}', Page | Note, Page(title="a")),
        (b'{"title":"a","size":"no"}', Note | Page, Page(title="a")),
        (b"null", Page | int | None, None),
        (b"3", float, 3.0),
    ],
)
def test_unions_in_the_order_of_their_members(text: bytes, hint: Any, value: Any) -> None:
    assert codec.decode(text, hint) == value


@pytest.mark.parametrize(
    ("text", "hint", "message"),
    [
        (b'"x"', int, "Expected `int`, got `str`"),
        (b'{"title":"a","size":"x"}', Note, "$.size"),
        (b'[{"title":1}]', list[Record], "$[0].title"),
        (b'{"title":[]}', Page, "title: Input should be a valid string"),
        (b'[{"title":"a"},{}]', list[Page], "title: Field required - at `$[1]`"),
        (b"[]", Page, "Page: Input should be"),
        (b"1", Path, "Expected `Path`, got `int`"),
        (b"true", Page | int, "; or Expected `int`, got `bool`"),
        (b"1", Text, "Expected `Text`, got `int`"),
        (b"{}", Custom, "Expected `Custom`, got `dict`"),
        (b"{}", Callable, "Expected `Callable`"),
        (b"[1", list[int], "it is not JSON text"),
        (b"", Any, "it is not JSON text"),
        (b"1", "Unresolved", "cannot be decoded to"),
        (b"1", Page | Literal[Colour.RED], "cannot be decoded to"),
    ],
)
def test_what_does_not_fit(text: bytes, hint: Any, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        codec.decode(text, hint)
    assert message in str(caught.value)


def test_annotations_can_be_judged_before() -> None:
    assert codec.hint_problem(list[Page]) == ""
    assert codec.hint_problem(str | Path) == ""
    assert "cannot be decoded to" in codec.hint_problem("Unresolved")
    assert "Never" in codec.hint_problem(Never)
