"""What can be stored is, unchanged; what JSON text cannot give back is refused, with its exact place."""

import collections
import dataclasses
import enum
import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew import codec
from clew.errors import UnstorableError


@dataclasses.dataclass
class Note:
    title: str
    parts: Any = None
    _hidden: int = 0


class Record(msgspec.Struct, rename="camel"):
    first_name: str
    parts: Any = None


class Point(NamedTuple):
    x: Any
    y: Any


class Colour(enum.Enum):
    RED = "red"
    ODD = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Page(pydantic.BaseModel):
    title: str
    parts: Any = None
    day: date | None = pydantic.Field(default=None, alias="theDay")


class Tags(pydantic.BaseModel):
    tags: set[str]

    @pydantic.field_serializer("tags")
    def sort(self, tags: set[str]) -> list[str]:
        return sorted(tags)


class Names(pydantic.RootModel[list[str]]):
    pass


class Login(pydantic.BaseModel):
    key: pydantic.SecretStr


class Text(str):
    __slots__ = ()


class Unequal:
    """Says so by raising."""


@dataclasses.dataclass(eq=False)
class Rude:
    name: str

    def __eq__(self, other: object) -> bool:
        return self.name == other.name  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(plain)
def test_plain_data_comes_back_equal_and_in_order(value: Any) -> None:
    text = codec.encode(value)
    again = codec.decode(text)
    assert again == value
    assert repr(again) == repr(value)  # order of keys, 1 is not 1.0 or True
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, (2, 3)), "[1,[2,3]]"),
        (Point(1, (2,)), "[1,[2]]"),
        (Note("a", [1]), '{"title":"a","parts":[1],"_hidden":0}'),
        (Record("a", (1,)), '{"firstName":"a","parts":[1]}'),
        (Record("a", msgspec.UNSET), '{"firstName":"a"}'),
        (Colour.RED, '"red"'),
        ([Level.LOW], "[1]"),
        (Page(title="a", theDay=date(2026, 1, 2)), '{"title":"a","parts":null,"theDay":"2026-01-02"}'),
        ([Names(["a"])], '[["a"]]'),
        (Tags(tags={"b", "a"}), '{"tags":["a","b"]}'),
        (Path("a/b"), '"a/b"'),
        ({"p": PurePosixPath("/x")}, '{"p":"/x"}'),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), '"2026-01-02T03:04:00Z"'),
        ({"d": date(2026, 1, 2)}, '{"d":"2026-01-02"}'),
        (timedelta(hours=1), '"PT3600S"'),
        (Decimal("1.50"), '"1.50"'),
        (UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
        (b"ab", '"YWI="'),
        (Text("a"), '"a"'),
        ([Text("a"), {Text("k"): 1}], '["a",{"k":1}]'),
        (collections.OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (collections.Counter("aab"), '{"a":2,"b":1}'),
        (2**64, str(2**64)),
        (-(2**70), str(-(2**70))),
        (msgspec.Raw(b'{"a":1}'), '{"a":1}'),
        (Rude("a"), '{"name":"a"}'),
        ([Rude("a")], '[{"name":"a"}]'),
    ],
)
def test_known_types(value: Any, text: str) -> None:
    assert codec.encode(value).decode() == text


class Whole(int):
    pass


class Real(float):
    pass


def test_subclasses_of_numbers() -> None:
    assert codec.encode([Whole(3), Real(1.5)]) == b"[3,1.5]"
    assert codec.encode(Whole(3)) == b"3"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


REFUSED = [
    (math.nan, "$", "nan"),
    ({"a": [1, math.inf]}, "$.a[1]", "inf"),
    ({1, 2}, "$", "sorted list"),
    ({"files": [1, 2, 3, {"size": {1}}]}, "$.files[3].size", "sorted list"),
    (frozenset(), "$", "sorted list"),
    ({1: "a"}, "$", "key 1 is not text"),
    ([{None: 1}], "$[0]", "key None"),
    ({Colour.RED: 1}, "$", "is not text"),
    ({"a b": {"é": "\ud800"}}, '$["a b"].é', "surrogate"),
    ({"\ud800": 1}, "$", "surrogate"),
    ("\udfff", "$", "surrogate"),
    (Path("/a/\udcff"), "$", "surrogate"),
    (Colour.ODD, "$", "text or an integer"),
    (Note("a", [{"x": object()}]), "$.parts[0].x", "a object cannot be stored"),
    ([Record("a", {3})], "$[0].parts", "sorted list"),
    (Point(1, {2}), "$.y", "sorted list"),
    ({"m": [Page(title="a", parts={1})]}, "$.m[0].parts", "sorted list"),
    (Page(title="a", parts=math.nan), "$.parts", "nan"),
    (Page(title="a", parts=object()), "$", "does not serialise"),
    (Page(title="a", parts={"x": [1, {2}]}), "$.parts.x[1]", "sorted list"),
    (Login(key=pydantic.SecretStr("k")), "$.key", "secret://NAME"),
    (pydantic.SecretStr("k"), "$", "secret://NAME"),
    (10**5000, "$", "too long"),
    ([10**5000], "$[0]", "too long"),
    ([msgspec.Raw(b"nonsense")], "$[0]", "not valid"),
    ([msgspec.UNSET], "$[0]", "UnsetType"),
    (Note, "$", "a class (Note)"),
    (len, "$", "builtin_function_or_method"),
    ((x for x in "a"), "$", "generator"),
    (collections.deque(), "$", "collections.deque"),
    (MappingProxyType({}), "$", "mappingproxy"),
    ({"deep": Unequal()}, "$.deep", "Unequal cannot be stored"),
    (nested(codec.MAX_DEPTH + 1), "$" + "[0]" * 12 + "...", "200 levels"),
    ({"a": nested(50_000)}, "$.a" + "[0]" * 11 + "...", "200 levels"),
]


@pytest.mark.parametrize(
    ("value", "path", "why"), REFUSED, ids=[f"{why} at {path[:20]}" for _, path, why in REFUSED]
)
def test_refused_with_its_place(value: Any, path: str, why: str) -> None:
    with pytest.raises(UnstorableError) as caught:
        codec.encode(value)
    assert caught.value.path == path
    assert why in caught.value.why


def test_open_files_and_paths_of_bytes_are_refused() -> None:
    with Path(__file__).open() as file, pytest.raises(UnstorableError, match=r"\$\.f: a _io\.TextIOWrapper"):
        codec.encode({"f": file})

    class BytesPath:
        def __fspath__(self) -> bytes:
            return b"a"

    with pytest.raises(UnstorableError, match="path of bytes"):
        codec.encode(BytesPath())


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append({"again": loop})
    with pytest.raises(UnstorableError, match="contains itself"):
        codec.encode(loop)


def test_the_greatest_depth() -> None:
    assert codec.decode(codec.encode(nested(codec.MAX_DEPTH))) == nested(codec.MAX_DEPTH)
    wide = [nested(codec.MAX_DEPTH - 1)] * 3
    assert codec.decode(codec.encode(wide)) == wide
    assert codec.decode(codec.encode((*wide, date(2026, 1, 1))))[0] == wide[0]


def test_attrs_classes() -> None:
    attrs = pytest.importorskip("attrs")
    kind = attrs.make_class("Kind", ["a"])
    assert codec.encode(kind(1)) == b'{"a":1}'
    with pytest.raises(UnstorableError) as caught:
        codec.encode([kind({1})])
    assert caught.value.path == "$[0].a"


def test_a_model_that_cannot_write_itself() -> None:
    class Broken(pydantic.BaseModel):
        a: int

        @pydantic.model_serializer
        def refuse(self) -> Any:
            raise ValueError("not today")

    with pytest.raises(UnstorableError, match="not today"):
        codec.encode([Broken(a=1)])


def test_digest_is_of_the_text() -> None:
    assert codec.digest(b"[1]") == codec.digest(codec.encode((1,)))
    assert codec.digest(b"[1]") != codec.digest(b"[1 ]")
    assert len(codec.digest(b"")) == 64
