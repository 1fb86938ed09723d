"""What nodes of a state graph return, on its way to the journal."""

# pyright: basic

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec
import pydantic
import pytest

from clew.errors import UnstorableError
from clew.graphs import DELETE, END, START, StateView, Update
from clew.graphs.updates import encode_update
from clew.kernel import writes


@dataclass
class Draft:
    topic: str
    notes: list[str] = field(default_factory=list[str])


class Job(msgspec.Struct, rename="camel", tag=True, omit_defaults=True):
    job_name: str
    is_done: bool = False
    left_out: int | msgspec.UnsetType = msgspec.UNSET


class Model(pydantic.BaseModel):
    topic: str
    notes: list[Any] = []


def update(value: Any) -> writes.Update:
    return msgspec.json.decode(encode_update(value), type=writes.Update)


def changes(value: Any) -> dict[str, Any]:
    return {key: msgspec.json.decode(json) for key, json in update(value).changes.items()}


def refused(value: Any) -> str:
    with pytest.raises(UnstorableError) as caught:
        encode_update(value)
    return str(caught.value)


def test_nothing_is_changed_by_nothing() -> None:
    assert update(None) == writes.Update()
    assert update({}) == writes.Update()
    assert update(Update()) == writes.Update()


def test_mappings() -> None:
    assert changes({"a": 1, "review.approved": True}) == {"a": 1, "review.approved": True}
    assert changes(MappingProxyType({"a": Draft("x")})) == {"a": {"topic": "x", "notes": []}}


def test_an_instance_says_all_its_fields() -> None:
    assert changes(Draft("x")) == {"topic": "x", "notes": []}
    assert changes(Update(Draft("x"), goto="review")) == {"topic": "x", "notes": []}
    assert changes(Job("x")) == {"jobName": "x", "isDone": False}  # no tag, no UNSET, but what equals its default


def test_a_model_says_the_fields_that_were_set() -> None:
    assert changes(Model(topic="x")) == {"topic": "x"}
    assert changes(Model(topic="x", notes=[])) == {"topic": "x", "notes": []}


def test_keys_are_taken_out() -> None:
    assert update({"a": DELETE, "b": 1}).delete == ("a",)
    assert update(Update(delete="a")).delete == ("a",)
    assert update(Update({"a": DELETE, "b": DELETE}, delete=["b", "c"])).delete == ("b", "c", "a")
    assert repr(DELETE) == "DELETE"
    assert refused(Update({"a": 1}, delete="a")) == "changes.a: it is written and deleted at once"


def test_where_to_go_on() -> None:
    assert update(Update(goto="review")).goto == "review"
    assert update(Update(goto=END)).goto == ""
    assert update(Update()).goto is None
    assert update(Update(fallback=True)).fallback


def test_what_a_step_was() -> None:
    found = update(Update(cost=3, effects=True))
    assert (found.cost, found.effects) == (3.0, True)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"goto": ""}, "goto is the id of a node, or END, not ''"),
        ({"goto": START}, "goto is the id of a node, or END, not '__start__'"),
        ({"goto": 3}, "goto is the id of a node, or END, not 3"),
        (
            {"goto": "a", "fallback": True},
            "goto='a' and fallback=True say two ways to go on; leave one of them out",
        ),
        ({"cost": -1}, "cost is a number of at least 0, not -1"),
        ({"cost": float("nan")}, "cost is a number of at least 0, not nan"),
        ({"cost": True}, "cost is a number of at least 0, not True"),
        ({"delete": [1]}, "delete is the name of a key, or several, not [1]"),
    ],
)
def test_what_contradicts_itself_is_refused_where_it_is_written(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Update(**fields)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            {"notes": ["a", "b", {1}]},
            "changes.notes[2]: a set has no order and no JSON form; return a sorted list",
        ),
        ({"a b": {"c": float("nan")}}, "changes['a b'].c: nan has no JSON form; return None or text instead"),
        (Draft("x", notes=[{1}]), "changes.notes[0]: a set has no order"),  # type: ignore[list-item]
        (Model.model_construct(topic="x", notes=[{1}]), "changes.notes[0]: a set has no order"),
        ({"a": [DELETE]}, "changes.a[0]: a clew.graphs.updates._Delete cannot be stored as JSON"),
        ({1: 2}, "changes: the key 1 is not text; keys of the state are"),
        ("done", "returns what it changes (a mapping by key, or an Update), or None, not str ('done')"),
        ([{"a": 1}], "changes: a node of a state graph returns what it changes"),
        (Draft, "or None, not the class Draft"),
        (StateView({}), "changes: it is the state that the node was given; return only what the node changes"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_path(value: Any, sentence: str) -> None:
    assert sentence in refused(value)
