"""Schemas of state graphs: every kind of class, reducers by what they are, defaults, and what is refused."""

# pyright: basic

import operator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, NotRequired, Required, TypedDict

import msgspec
import pydantic
import pytest

from clew.graphs import append, greatest, least, merge, replace, total
from clew.graphs.reducers import reducer_of
from clew.graphs.state_schema import Schema, graph_name, read_schema
from clew.kernel.definition import Reducer


def longest(old: str | None, new: str) -> str:
    return max(old or "", new, key=len)


class Review(TypedDict):
    topic: str
    notes: Annotated[list[str], append]
    score: NotRequired[Annotated[float, greatest, "metadata that is no function"]]
    best: Required[Annotated[str, longest]]


Functional = TypedDict(
    "Functional", {"topic": str, "a.approved": bool, "cost": Annotated[float, operator.add]}, total=False
)


@dataclass
class Draft:
    topic: str
    notes: Annotated[list[str], operator.add] = field(default_factory=lambda: ["first"])
    due: date = date(2026, 1, 2)
    tries: Annotated[int, total] = 0


class Job(msgspec.Struct, rename="camel"):
    job_name: str
    is_done: bool = False
    parts: Annotated[dict[str, int], merge] = msgspec.field(default_factory=dict[str, int])


class Model(pydantic.BaseModel):
    topic: str
    notes: Annotated[list[str], append] = []
    low: Annotated[int, least, pydantic.Field(gt=0)] = 9


def keys(schema: Any) -> dict[str, tuple[str, Reducer, bytes, bool]]:
    found = read_schema(schema)
    assert found.problems == []
    return {k.name: (k.type, k.reducer, k.default, k.required) for k in found.keys.values()}


def problems(schema: Any) -> list[tuple[str, str]]:
    return read_schema(schema).problems


def test_keys_of_a_typed_dict_are_there_when_they_are_written() -> None:
    assert keys(Review) == {
        "topic": ("str", Reducer.ERROR, b"", False),
        "notes": ("list[str]", Reducer.APPEND, b"", False),
        "score": ("float", Reducer.MAX, b"", False),
        "best": ("str", Reducer.CUSTOM, b"", False),
    }
    assert read_schema(Review).keys["best"].custom is longest
    assert keys(Functional)["cost"] == ("float", Reducer.SUM, b"", False)


def test_defaults_of_a_dataclass_are_the_values_at_the_start() -> None:
    assert keys(Draft) == {
        "topic": ("str", Reducer.ERROR, b"", True),
        "notes": ("list[str]", Reducer.APPEND, b'["first"]', False),
        "due": ("date", Reducer.ERROR, b'"2026-01-02"', False),
        "tries": ("int", Reducer.SUM, b"0", False),
    }


def test_a_struct_is_known_by_the_names_that_it_is_stored_with() -> None:
    assert keys(Job) == {
        "jobName": ("str", Reducer.ERROR, b"", True),
        "isDone": ("bool", Reducer.ERROR, b"false", False),
        "parts": ("dict[str, int]", Reducer.MERGE, b"{}", False),
    }


def test_a_pydantic_model() -> None:
    assert keys(Model) == {
        "topic": ("str", Reducer.ERROR, b"", True),
        "notes": ("list[str]", Reducer.APPEND, b"[]", False),
        "low": ("int", Reducer.MIN, b"9", False),
    }


def test_a_mapping_of_annotations() -> None:
    assert keys({"a": int, "b": Annotated[list[int], append], "c": Any}) == {
        "a": ("int", Reducer.ERROR, b"", False),
        "b": ("list[int]", Reducer.APPEND, b"", False),
        "c": ("Any", Reducer.ERROR, b"", False),
    }


def test_metadata_that_is_no_function_stays_with_the_type() -> None:
    key = read_schema({"a": Annotated[int, msgspec.Meta(ge=1), total]}).keys["a"]
    assert key.hint == Annotated[int, msgspec.Meta(ge=1)]
    assert read_schema({"a": Annotated[int, pydantic.Field]}).keys["a"].custom is pydantic.Field
    assert read_schema({"a": Annotated[int, Decimal]}).keys["a"].reducer is Reducer.ERROR


@pytest.mark.parametrize(
    ("function", "hint", "reducer"),
    [
        (operator.add, list[str], Reducer.APPEND),
        (operator.add, int, Reducer.SUM),
        (operator.add, int | float, Reducer.SUM),
        (operator.add, str, Reducer.CUSTOM),
        (operator.add, Any, Reducer.CUSTOM),
        (max, int, Reducer.MAX),
        (min, str, Reducer.MIN),
        (replace, str, Reducer.REPLACE),
        (longest, str, Reducer.CUSTOM),
    ],
)
def test_which_reducer_a_function_is(function: Any, hint: Any, reducer: Reducer) -> None:
    assert reducer_of(function, hint) is reducer


def test_reducers_are_plain_functions() -> None:
    assert append(None, [1]) == [1]
    assert append([1], [2]) == [1, 2]
    assert merge(None, {"a": 1}) == {"a": 1}
    assert merge({"a": 1, "b": 1}, {"b": 2}) == {"a": 1, "b": 2}
    assert (total(None, 2), total(1, 2)) == (2, 3)
    assert (greatest(None, 2), greatest(1, 2), greatest(3, 2)) == (2, 2, 3)
    assert (least(None, 2), least(1, 2), least(3, 2)) == (2, 1, 2)
    assert replace(1, 2) == 2


async def later(old: int, new: int) -> int: ...


def single(new: int) -> int: ...


@pytest.mark.parametrize(
    ("annotation", "sentence"),
    [
        (Annotated[str, append], "append joins lists, and its type is str; make it list[str]"),
        (Annotated[list[str] | None, append], "append joins lists, and its type is list[str] | None; "),
        (
            Annotated[list[int], merge],
            "merge puts the fields of mappings and objects together, and its type is list",
        ),
        (Annotated[str, total], "only numbers are added up, and its type is str"),
        (Annotated[bool, total], "only numbers are added up, and its type is bool"),
        (Annotated[int | None, total], "only numbers are added up, and its type is int | None"),
        (Annotated[Decimal, total], "only numbers are added up, and its type is Decimal"),
        (Annotated[list[int], greatest], "only numbers or text are compared, and its type is list[int]"),
        (Annotated[dict[str, int], least], "only numbers or text are compared, and its type is dict[str, int]"),
        (Annotated[int, later], "the reducer later is asynchronous or a generator; a reducer is a plain function"),
        (
            Annotated[int, single],
            "the reducer single does not take two arguments; a reducer is a function(old, new)",
        ),
        (Annotated[int, sum], "sum of Python adds up one list; the reducer that adds numbers is total"),
        (Annotated[int, total, longest], "it has several reducers; put them together in one function(old, new)"),
        ("Unresolved", "no stored value can be given to it: the annotation 'Unresolved' cannot be decoded to"),
    ],
)
def test_reducers_and_types_that_do_not_fit(annotation: Any, sentence: str) -> None:
    ((key, told),) = problems({"a": annotation})
    assert key == "a"
    assert sentence in told


def test_types_that_reducers_fit() -> None:
    assert problems(
        {
            "a": Annotated[Any, append],
            "b": Annotated[tuple[int, ...], append],
            "c": Annotated[Draft, merge],
            "d": Annotated[int | float, total],
            "e": Annotated[str, greatest],
        }
    ) == []  # fmt: skip


@dataclass
class Unfit:
    a: int = "x"  # type: ignore[assignment]
    b: Any = field(default_factory=set[int])


def test_defaults_that_do_not_fit_or_cannot_be_stored() -> None:
    (first, a), (second, b) = problems(Unfit)
    assert (first, second) == ("a", "b")
    assert a == "its default does not fit: Expected `int`, got `str`"
    assert b.startswith("its default does not fit: $: a set has no order")


class Aliased(pydantic.BaseModel):
    topic: str = pydantic.Field("x", alias="subject")


def test_a_key_has_one_name() -> None:
    assert problems(Aliased) == [("topic", "a key of a state has one name; leave its alias out")]


class Forward(TypedDict):
    a: "Annotated[list[int], append]"
    b: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


@dataclass
class Inherited(Draft):
    more: "Nowhere | None" = None  # type: ignore[name-defined]  # noqa: F821


def test_an_annotation_that_cannot_be_read_hides_no_other() -> None:
    found = read_schema(Forward)
    assert found.problems == [("b", "its annotation cannot be read: name 'Nowhere' is not defined")]
    assert found.keys["a"].reducer is Reducer.APPEND
    assert found.keys["b"].hint is Any
    inherited = read_schema(Inherited)
    assert [about for about, _ in inherited.problems] == ["more"]
    assert inherited.keys["notes"].reducer is Reducer.APPEND


class Plain:
    a: int


@pytest.mark.parametrize("schema", [Plain, 3, "State"])
def test_what_is_no_schema(schema: Any) -> None:
    ((key, told),) = problems(schema)
    assert key == ""
    assert told.startswith(
        "a schema is a TypedDict, a dataclass, a Struct, a pydantic model, or a mapping of names"
    )


def test_a_schema_has_keys() -> None:
    assert problems({}) == [("", "it has no keys")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ResearchState", "research_state"), ("HTTPJob", "http_job"), ("Draft2", "draft2"), ("", "state_graph")],
)
def test_a_graph_is_called_after_its_schema(name: str, expected: str) -> None:
    assert graph_name(Schema(name=name)) == expected
