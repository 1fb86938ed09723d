"""What is refused as an answer to a question, and what the person who gave it is told."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from clew import InvalidInputError, codec
from clew.engine.questions import question_of, refuse_unfit
from clew.kernel.questions import Question, question_of_doubt


class Part(BaseModel):
    name: str


class Order(BaseModel):
    parts: list[Part]


class Size(Enum):
    S = "s"
    L = "l"


class Point(NamedTuple):
    x: int
    y: int


class Movie(TypedDict):
    title: str


@dataclass
class Item:
    sku: str
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    tags: list[str] = field(default_factory=list)


def refusal(hint: Any, answer: Any, choices: Any = None) -> str:
    """Why an answer is refused; empty if it is not."""
    try:
        refuse_unfit(question_of("Q", hint, choices), codec.encode(answer))
    except InvalidInputError as error:
        return str(error).removeprefix("the answer does not fit the question: ")
    return ""


@pytest.mark.parametrize(
    ("hint", "answer", "told"),
    [
        (str, 3, "$: text is expected, not 3"),
        (int, 1.0, "$: an integer is expected, not 1.0"),
        (int, True, "$: an integer is expected, not true"),
        (bool, "yes", '$: a boolean is expected, not "yes"'),
        (float, "1", '$: a number is expected, not "1"'),
        (list[int], [1, "2"], '$[1]: an integer is expected, not "2"'),
        (Item, {"sku": "a", "tags": ["x", 5]}, "$.tags[1]: text is expected, not 5"),
        (Item, {"count": 1}, "$: 'sku' is a required property"),
        (Item, {"sku": "a", "count": 0}, "$.count: 0 is less than the minimum of 1"),
        (Item, [1], "$: a mapping is expected, not [1]"),
        (Movie, {"title": None}, "$.title: text is expected, not null"),
        (Size, "m", '$: one of "l", "s" is expected, not "m"'),
        (Literal["a", "b"], "c", '$: one of "a", "b" is expected, not "c"'),
        (datetime, "yesterday", '$: a date-time is expected, not "yesterday"'),
        (date, "2024-02-30", '$: a date is expected, not "2024-02-30"'),
        (timedelta, "1h", '$: a duration is expected, not "1h"'),
        (UUID, "1", '$: a uuid is expected, not "1"'),
        (Decimal, "one", '$: a decimal is expected, not "one"'),
        (tuple[int, str], [1], "$: [1] is too short"),
        (Part, {"name": 1}, "$.name: text is expected, not 1"),
        (list[Order], [{"parts": [{"name": 1}]}], "$[0].parts[0].name: text is expected, not 1"),
        (Path, 5, "$: text is expected, not 5"),
        (str, "x" * 3, ""),
        (list[Order], [{"parts": [{"name": "a"}]}], ""),
        (Item | Order, {"parts": [{"name": "a"}]}, ""),
        (Order | Point, [1, 2], ""),
        (Any, {"whatever": [None]}, ""),
        (UUID, "12345678-1234-5678-1234-567812345678", ""),
        (Decimal, "1.50", ""),
        (Path, "a/b", ""),
        (str | None, None, ""),
    ],
)
def test_it_says_where_and_what(hint: Any, answer: Any, told: str) -> None:
    assert refusal(hint, answer).startswith(told)
    assert bool(refusal(hint, answer)) == bool(told)


def test_choices() -> None:
    assert refusal(str, "c", ["a", "b"]) == '$: one of "a", "b" is expected, not "c"'
    assert refusal(Any, True, [1, 2]).startswith("$: one of 1, 2 is expected, not true")
    assert not refusal(Any, {"a": 1}, [{"a": 1}])


def test_verdicts() -> None:
    value, _ = question_of_doubt("pay", 1)
    question = msgspec.json.decode(value.json, type=Question)
    for fine in (b'"retry"', b'"done"', b'"fail"', b'{"done": [1]}'):
        refuse_unfit(question, fine)
    with pytest.raises(InvalidInputError, match='"fail", "done" or a mapping is expected, not "yes"'):
        refuse_unfit(question, b'"yes"')


def test_answers_that_are_no_json() -> None:
    with pytest.raises(InvalidInputError, match="it is not JSON text"):
        refuse_unfit(question_of("Q", str, None), b"yes")


def test_long_answers_are_not_told_in_full() -> None:
    assert len(refusal(int, "x" * 10_000)) < 200
    assert len(refusal(Item, {"sku": "x", "count": -(10**300)})) < 400


def test_a_schema_fetches_nothing() -> None:
    schema = msgspec.Raw(b'{"$ref": "https://example.org/schema.json"}')
    with pytest.raises(Exception, match=r"example\.org/schema\.json"):
        refuse_unfit(Question(text="Q", schema=schema), b"1")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-3, 3) | st.sampled_from(["a", "2024-01-01", "s"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["sku", "count", "tags", "title"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    hint=st.sampled_from([str, int, bool, list[int], Item, Movie, Size, date, int | None, Point, dict[str, int]]),
    answer=json_values,
)
def test_what_is_accepted_can_be_decoded(hint: Any, answer: Any) -> None:
    if not refusal(hint, answer):
        codec.decode(codec.encode(answer), hint)
