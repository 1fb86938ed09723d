"""Conditions on edges and reducers of the user's own: what they are as data, and what they give."""

# pyright: basic

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from types import FunctionType
from typing import Any, TypedDict

import msgspec
import pytest

from clew import codec
from clew.errors import InvalidInputError, UnstorableError
from clew.graphs import StateView
from clew.graphs.body_data import FunctionBody
from clew.graphs.conditions import Condition, describe, evaluate_condition, label_of, reduce_custom
from clew.graphs.expressions import ExpressionError
from clew.kernel.cells import whole
from clew.kernel.values import Cells


class State(TypedDict):
    due: date
    score: float


@dataclass
class Draft:
    topic: str
    score: float = 0.0


def cells(**values: Any) -> Cells:
    return {key: whole(msgspec.Raw(codec.encode(value))) for key, value in values.items()}


FULL = cells(topic="x", score=0.9, due=date(2026, 1, 2), notes=["a", {"b": 1}]) | {
    "review.approved": whole(msgspec.Raw(b"false"))
}


def is_due(state: State) -> bool:
    return state["due"] < date(2026, 2, 1)


def is_good(draft: Draft) -> bool:
    return draft.score > 0.8 and draft.topic == "x"


def plain(state) -> Any:
    return type(state), state["due"]


class Callable_:
    def __call__(self, state: Draft, /) -> str:
        return state.topic


async def later(state: State) -> bool:
    return True


def given(function: Callable[..., Any], state: Cells = FULL) -> Any:
    condition = describe(function, "g/a->b")
    return evaluate_condition(condition, lambda _: function, state)


def value(expression: str, state: Cells = FULL) -> Any:
    def find(body: FunctionBody) -> Callable[..., Any]:
        raise AssertionError(body)

    return evaluate_condition(describe(expression, "g/a->b", "g: a -> b"), find, state)


def test_conditions_are_data() -> None:
    function = describe(is_due, "g/a->b").function
    assert function is not None
    assert (function.ref, function.is_async) == (f"{__name__}:is_due", False)
    written = describe(lambda s: s, "g/a->b").function
    assert written is not None
    assert written.ref.endswith("<lambda>@g/a->b")
    assert describe("{{ state.x }}", "g/a->b", "g: a -> b") == Condition(
        expression="{{ state.x }}", where="g: a -> b"
    )
    stored = msgspec.json.encode(describe(is_due, "g/a->b", "here"))
    assert msgspec.json.decode(stored, type=Condition) == describe(is_due, "g/a->b", "here")


def test_a_function_is_given_the_state_by_its_annotation() -> None:
    assert given(is_due) is True
    assert given(is_good) is True
    assert given(plain) == (StateView, "2026-01-02")
    assert given(Callable_()) == "x"
    assert given(partial(lambda limit, s: s["score"] > limit, 0.5)) is True


def test_it_is_found_by_what_describes_it() -> None:
    asked: list[FunctionBody] = []

    def find(body: FunctionBody) -> Callable[..., Any]:
        asked.append(body)
        return is_good

    condition = describe(is_due, "g/a->b")
    assert evaluate_condition(condition, find, FULL) is True
    assert asked == [condition.function]


def test_an_asynchronous_condition_is_refused_and_leaves_nothing_behind() -> None:
    with pytest.raises(InvalidInputError) as caught:
        given(lambda s: later(s))
    assert "is asynchronous; make it a node that writes what it finds to the state" in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("{{ state.score > 0.8 }}", True),
        ("{{ state['review.approved'] }}", False),
        ("{{ state.notes[1].b }}", 1),
        ("{{ state.notes | length }}", 2),
        ("{{ state.nothing is defined }}", False),
        ("{{ state.nothing | default(3) }}", 3),
        ("{{ state | length }}", 5),
        ("{{ state.get('topic') }}", "x"),
        ("{{ 'yes' if state.due > '2026' else 'no' }}", "yes"),
    ],
)
def test_expressions(expression: str, expected: Any) -> None:
    assert value(expression) == expected


def test_only_the_keys_that_an_expression_names_are_decoded() -> None:
    state = FULL | {"broken": whole(msgspec.Raw(b"{"))}
    assert value("{{ state.score > 0.8 }}", state) is True
    with pytest.raises(InvalidInputError):
        value("{{ state.broken }}", state)


def test_a_key_that_was_not_written_yet() -> None:
    with pytest.raises(ExpressionError) as caught:
        value("{{ state.core > state.score }}")
    assert str(caught.value) == (
        "g: a -> b: '{{ state.core > state.score }}': nothing has been written to 'core' yet; write "
        "`| default(…)`, or let a node write it first"
    )
    with pytest.raises(ExpressionError) as caught:
        value("{{ state.score.x }}")
    assert str(caught.value) == "g: a -> b: '{{ state.score.x }}': a number has no 'x'"


def test_labels() -> None:
    threshold = 0.8
    assert label_of(is_due) == "is_due"
    assert label_of(Callable_()) == "Callable_"
    assert label_of("{{ state.score > 0.8 }}") == "state.score > 0.8"
    assert len(label_of("{{ state.a }}" + "x" * 200)) == 120
    assert label_of(lambda s: s["score"] > threshold) == 's["score"] > threshold'
    assert label_of(lambda _: True) == "True"
    several = [lambda s: s["a"] and (s["b"]
                                     or not s["c"]), lambda s: not s["ü"]]  # fmt: skip
    assert [label_of(each) for each in several] == ['s["a"] and (s["b"] or not s["c"])', 'not s["ü"]']


def test_the_text_of_a_lambda_whose_file_is_gone() -> None:
    names: dict[str, Any] = {}
    FunctionType(compile("made = lambda s: s['a']", "nowhere.py", "exec"), names)()
    assert label_of(names["made"]) == ""


# Reducers ----------------------------------------------------------------------------------------------


def latest(old: date | None, new: date) -> date:
    return max(old, new) if old is not None else new


def unread(old, new) -> Any:
    return {"old": old, "new": new}


def unstorable(old: int | None, new: int) -> list[set[int]]:
    return [{new}]


async def asynchronous(old: int, new: int) -> int:
    return new


def test_a_reducer_is_given_values_by_its_annotations() -> None:
    assert reduce_custom(latest, None, b'"2026-01-02"') == b'"2026-01-02"'
    assert reduce_custom(latest, b'"2026-01-03"', b'"2026-01-02"') == b'"2026-01-03"'
    assert reduce_custom(unread, b'"2026-01-03"', b"[1]") == b'{"old":"2026-01-03","new":[1]}'
    assert reduce_custom(max, b"1", b"2") == b"2"


def test_what_a_reducer_does_not_take_or_cannot_give() -> None:
    with pytest.raises(InvalidInputError) as caught:
        reduce_custom(latest, b"3", b'"2026-01-02"')
    assert str(caught.value).startswith("the reducer latest: what is there: Expected `date | null`")
    with pytest.raises(InvalidInputError, match="the reducer latest: what is written: Expected"):
        reduce_custom(latest, None, b"3")
    with pytest.raises(InvalidInputError, match="the reducer asynchronous is asynchronous"):
        reduce_custom(asynchronous, None, b"3")
    with pytest.raises(UnstorableError) as refused:
        reduce_custom(unstorable, None, b"3")
    assert "$[0]: a set has no order" in str(refused.value)
    assert str(refused.value).endswith(" (returned by the reducer unstorable)")
