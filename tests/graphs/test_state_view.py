"""The state as bodies see it: read-only, by key, as their annotations say."""

# pyright: basic

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Generic, NotRequired, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from clew import codec
from clew.errors import InvalidInputError
from clew.graphs import StateView, append
from clew.graphs.state_view import state_for, takes_state
from clew.kernel.cells import changed, whole
from clew.kernel.values import Cells
from clew.kernel.writes import Change

T = TypeVar("T")


class State(TypedDict, total=False):
    topic: str
    due: NotRequired[Annotated[date, "metadata"]]
    notes: Annotated[list[str], append]
    odd: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


class Box(TypedDict, Generic[T]):
    due: date
    inside: T


@dataclass
class Draft:
    topic: str
    due: date | None = None


class Job(msgspec.Struct, rename="camel"):
    topic: str
    is_done: bool = False


class Model(pydantic.BaseModel):
    topic: str
    due: date | None = None


def cells(**values: Any) -> Cells:
    return {key: whole(msgspec.Raw(codec.encode(value))) for key, value in values.items()}


FULL = cells(topic="x", due=date(2026, 1, 2), notes=["a"], isDone=True)


@pytest.mark.parametrize("hint", [Any, object, dict, dict[str, Any], Mapping[str, object], StateView])
def test_without_types_keys_are_plain_data(hint: Any) -> None:
    state = state_for(FULL, hint)
    assert isinstance(state, StateView)
    assert {**state} == {"topic": "x", "due": "2026-01-02", "notes": ["a"], "isDone": True}
    assert state == {"topic": "x", "due": "2026-01-02", "notes": ["a"], "isDone": True}


@pytest.mark.parametrize("hint", [State, State | None, Annotated[State, "x"], Box[int]])
def test_a_typed_dict_says_what_keys_are(hint: Any) -> None:
    assert state_for(FULL, hint)["due"] == date(2026, 1, 2)


def test_a_mapping_says_what_all_keys_are() -> None:
    state = state_for(cells(a="2026-01-02"), Mapping[str, date])
    assert state["a"] == date(2026, 1, 2)


def test_what_cannot_be_read_of_an_annotation_is_plain() -> None:
    state = state_for(cells(odd="2026-01-02", due="2026-01-02"), State)
    assert (state["odd"], state["due"]) == ("2026-01-02", date(2026, 1, 2))


def test_instances_are_made_of_the_fields_that_they_have() -> None:
    assert state_for(FULL, Draft) == Draft("x", date(2026, 1, 2))
    assert state_for(FULL, Draft | None) == Draft("x", date(2026, 1, 2))
    assert state_for(FULL, Job) == Job("x", True)
    assert state_for(FULL, Model) == Model(topic="x", due=date(2026, 1, 2))
    assert state_for(cells(topic="x"), Draft) == Draft("x")


def test_an_instance_that_the_state_does_not_fit() -> None:
    with pytest.raises(InvalidInputError) as caught:
        state_for(cells(due="2026-01-02"), Draft)
    assert str(caught.value) == "the state does not fit Draft: Object missing required field `topic`"


def test_a_key_is_decoded_once_and_only_if_it_is_asked_for() -> None:
    state = state_for(cells(topic=3, notes=["a"]), State)
    assert state["notes"] is state["notes"]
    assert "topic" in state and "due" not in state
    assert list(state) == ["topic", "notes"]
    assert len(state) == 2
    with pytest.raises(InvalidInputError) as caught:
        state["topic"]
    assert str(caught.value) == "the key 'topic' of the state does not fit str: Expected `str`, got `int`"


def test_a_list_that_was_appended_to_is_seen_as_it_was() -> None:
    before = whole(msgspec.Raw(b'["a"]'))
    after = changed(before, Change(items=(msgspec.Raw(b'"b"'),), at=1))
    assert StateView({"notes": before})["notes"] == ["a"]
    assert StateView({"notes": after})["notes"] == ["a", "b"]


def test_a_key_that_is_not_there() -> None:
    with pytest.raises(KeyError) as caught:
        StateView(FULL)["topics"]
    assert str(caught.value) == "the state has no 'topics'; did you mean 'topic'?"
    assert caught.value.args == ("topics",)
    with pytest.raises(KeyError) as caught:
        StateView(FULL)["q"]
    assert str(caught.value) == "the state has no 'q'; it has 'topic', 'due', 'notes' and 'isDone'"
    with pytest.raises(KeyError, match="the state has no 'q'; it has no keys"):
        StateView({})["q"]
    assert StateView({}).get("q", 3) == 3


def test_it_is_read_only() -> None:
    state = StateView(FULL)
    with pytest.raises(TypeError) as caught:
        state["a b"] = 3
    assert (
        str(caught.value) == "the state is read-only here; return what the node changes, as in return {'a b': …}"
    )
    with pytest.raises(TypeError) as caught:
        del state["topic"]
    assert str(caught.value) == ("the state is read-only here; return {'topic': DELETE} to take a key out of it")
    with pytest.raises(AttributeError):
        state.topic = 3  # type: ignore[attr-defined]


def test_it_shows_its_keys() -> None:
    assert repr(StateView(FULL)) == "<state: topic, due, notes, isDone>"
    assert repr(StateView({})) == "<state: no keys>"


@pytest.mark.parametrize(
    ("hint", "takes"),
    [(Any, True), (State, True), (Box[int], True), (Draft, True), (Job, True), (Model, True), (Draft | None, True),
     (dict[str, int], True), (int, False), (list[str], False), (str | None, False), (Draft | Job, False)],
)  # fmt: skip
def test_what_can_be_given_the_state(hint: Any, takes: bool) -> None:
    assert takes_state(hint) is takes
