"""What is written meets what is there: every reducer, one after the other and from parallel branches (SG1)."""

from __future__ import annotations

import pytest
from trip import Trip, barrier, decided, key, line, parallel, part, routed, step

from clew.kernel import events as e
from clew.kernel.definition import Reducer
from clew.kernel.states import RunState as R
from clew.kernel.writes import Change

#: reducer, what is there, two writes, what comes of them.
FITTING = [
    ("error", 1, 2, None, 2),
    ("replace", 1, 2, 3, 3),
    ("append", [1], [2], [3, 4], [1, 2, 3, 4]),
    ("append", None, [2], [], [2]),
    ("merge", {"a": 1, "b": 1}, {"b": 2}, {"c": 3}, {"a": 1, "b": 2, "c": 3}),
    ("merge", None, {"b": 2}, {"b": 3}, {"b": 3}),
    ("sum", 1, 2, 3.5, 6.5),
    ("sum", None, 2, -3, -1),
    ("max", 1, 7, 3, 7),
    ("max", None, "b", "a", "b"),
    ("min", 4, 7, 3.5, 3.5),
    ("min", None, 7, 8, 7),
    ("custom:shift", 1, 2, 3, 123),
    ("custom:shift", None, 2, 3, 23),
    ("custom:before", [1], [2], [3], [3, 2, 1]),
    ("custom:count", {"a": 1}, {"b": 2}, {"c": 3, "d": 4}, {"a": 1, "b": 2, "c": 3, "d": 4, "n": 2}),
]


def inputs(there):
    return {} if there is None else {"k": there}


@pytest.mark.parametrize(("reducer", "there", "first", "second", "after"), FITTING)
def test_one_after_the_other(reducer, there, first, second, after):
    trip = Trip(step("a"), step("b"), keys=(key("k", reducer),), inputs=inputs(there))
    trip.write("a", k=first)
    trip.write("b", **({} if second is None else {"k": second}))
    assert trip.state_of() == {"k": after}


@pytest.mark.parametrize(("reducer", "there", "first", "second", "after"), FITTING)
def test_from_branches_the_same_as_one_after_the_other(reducer, there, first, second, after):
    trip = Trip(parallel("p", step("a"), step("b")), keys=(key("k", reducer),), inputs=inputs(there))
    trip.write("p/b", **({} if second is None else {"k": second}))
    assert trip.state_of() == inputs(there), "a branch is invisible before the join"
    trip.write("p/a", k=first)
    assert trip.state_of() == {"k": after}


@pytest.mark.parametrize(("reducer", "there", "first", "second", "after"), FITTING)
def test_from_a_sub_graph_the_same_as_one_after_the_other(reducer, there, first, second, after):
    keys = (key("k", reducer),)
    inner = routed(step("a"), step("b"), keys=keys)
    trip = Trip(part("sub", inner), keys=keys, inputs=inputs(there))
    trip.write("sub/a", k=first)
    assert trip.state_of() == inputs(there), "a sub-graph writes at its end"
    trip.write("sub/b", **({} if second is None else {"k": second}))
    assert trip.state_of() == {"k": after}


# Wrong shapes -------------------------------------------------------------------------------------------

WRONG = [
    ("append", {"a": 1}, "a list"),
    ("append", "text", "a list"),
    ("merge", [1], "an object"),
    ("merge", None, "an object"),
    ("sum", "1", "a number"),
    ("sum", True, "a number"),
    ("sum", [1], "a number"),
    ("max", [1], "a number or a text"),
    ("min", None, "a number or a text"),
]


@pytest.mark.parametrize(("reducer", "wrong", "wanted"), WRONG)
def test_what_a_reducer_cannot_take_fails_the_node_that_wrote_it(reducer, wrong, wanted):
    trip = Trip(step("a"), keys=(key("k", reducer),))
    trip.write("a", k=wrong)
    assert trip.run.state is R.FAILED
    assert trip.run.error.type == "state"
    assert f"what is written to 'k' has to be {wanted}, because its reducer is {reducer}, but is " in trip.error


@pytest.mark.parametrize(("reducer", "wrong", "wanted"), WRONG)
def test_a_branch_that_writes_what_does_not_fit_fails_by_itself(reducer, wrong, wanted):
    trip = Trip(parallel("p", step("a"), step("b"), collect=True), keys=(key("k", reducer),))
    trip.write("p/a", k=wrong)
    assert f"has to be {wanted}" in trip.visit("p/a").error.message
    trip.tell("p/b")
    assert trip.run.state is R.COMPLETED


@pytest.mark.parametrize(("reducer", "wrong", "wanted"), WRONG)
def test_a_sub_graph_whose_key_is_of_another_kind_fails_where_it_writes_to_the_state_around_it(
    reducer, wrong, wanted
):
    inner = routed(step("a"), keys=(key("k", "replace"),))
    trip = Trip(part("sub", inner), keys=(key("k", reducer),))
    trip.write("sub/a", k=wrong)
    assert trip.run.state is R.FAILED
    assert f"has to be {wanted}, because its reducer is {reducer}" in trip.error


def test_a_long_wrong_value_is_shown_in_part():
    trip = Trip(step("a"), keys=(key("k", "sum"),))
    trip.write("a", k="x" * 500)
    assert trip.error.endswith("xxx…")
    assert len(trip.error) < 200


@pytest.mark.parametrize(
    ("reducer", "there", "new"),
    [("append", "x", [1]), ("merge", "x", {"a": 1}), ("sum", "x", 1), ("max", "x", 1), ("min", [1], 1)],
)
def test_a_value_that_a_person_has_put_there_and_the_reducer_cannot_take_is_what_the_error_speaks_of(
    reducer, there, new
):
    trip = Trip(barrier("ok"), step("a"), keys=(key("k", reducer), *decided("ok")))
    trip.decide("ok", "approve", changes={"k": there})
    trip.write("a", k=new)
    assert trip.run.state is R.FAILED
    shown = str(there).replace("'", '"')
    assert trip.error.startswith("a: 'k' is ")
    assert f"and {reducer} cannot take" in trip.error
    assert shown in trip.error


def test_what_one_branch_puts_there_and_the_other_cannot_add_to_is_an_error():
    inner = routed(barrier("ok"), keys=(key("log", "append"), *decided("ok")))
    trip = Trip(parallel("p", part("sub", inner), step("a")), keys=(key("log", "append"),))
    trip.decide("p/sub/ok", "approve", changes={"log": "text"})
    trip.write("p/a", log=[1])
    assert trip.run.state is R.FAILED
    assert "'log' is \"text\", and append cannot take [1]" in trip.error


def test_numbers_that_grow_beyond_what_can_be_stored_are_an_error():
    trip = Trip(step("a"), keys=(key("n", "sum"),), inputs={"n": 1.7e308})
    trip.write("a", n=1.7e308)
    assert trip.run.state is R.FAILED
    assert "'n'" in trip.error
    large = Trip(step("a"), keys=(key("n", "sum"),), inputs={"n": 2**70})
    large.write("a", n=1)
    assert large.state_of() == {"n": 2**70 + 1}


def test_a_reducer_that_raises_fails_the_node():
    trip = Trip(step("a"), keys=(key("k", "custom:raise"),))
    trip.write("a", k=1)
    assert trip.error == "a: ouch"
    merged = Trip(parallel("p", step("a")), keys=(key("k", "custom:raise"),))
    merged.write("p/a", k=1)
    assert merged.error == "p: ouch"


# Puts and deletes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reducer", ["append", "merge", "sum", "max", "custom:shift"])
def test_a_person_writes_past_the_reducers(reducer):
    trip = Trip(barrier("ok"), keys=(key("k", reducer, default=5), *decided("ok")))
    trip.decide("ok", "approve", changes={"k": 2})
    assert trip.state_of()["k"] == 2


@pytest.mark.parametrize(("reducer", "there", "first", "second", "after"), FITTING)
def test_a_deleted_key_begins_anew(reducer, there, first, second, after):
    trip = Trip(step("a"), step("b"), keys=(key("k", reducer),), inputs={"k": first})
    trip.write("a", delete=("k",))
    assert trip.state_of() == {}
    trip.write("b", k=first)
    expected = {**first, "n": len(first)} if reducer == "custom:count" else first
    assert trip.state_of() == {"k": expected}


@pytest.mark.parametrize(("reducer", "there", "first", "second", "after"), FITTING)
def test_a_key_that_one_branch_deletes_begins_anew_for_the_next(reducer, there, first, second, after):
    trip = Trip(parallel("p", step("a"), step("b")), keys=(key("k", reducer),), inputs={"k": first})
    trip.tell("p/a", delete=("k",))
    trip.write("p/b", **({"k": first} if reducer != "error" else {}))
    if reducer == "error":
        assert trip.state_of() == {}
    else:
        expected = {**first, "n": len(first)} if reducer == "custom:count" else first
        assert trip.state_of() == {"k": expected}


@pytest.mark.parametrize("reducer", ["append", "sum", "custom:shift"])
def test_a_key_that_the_last_branch_deletes_is_gone(reducer):
    value = [1] if reducer == "append" else 1
    trip = Trip(parallel("p", step("a"), step("b")), keys=(key("k", reducer),), inputs={"k": value})
    trip.write("p/a", k=value)
    trip.write("p/b", delete=("k",))
    assert trip.state_of() == {}


@pytest.mark.parametrize(
    ("reducer", "there", "put", "new", "after"),
    [
        ("custom:before", [7, 8, 9], [1], [2], [2, 1]),
        ("custom:count", {"a": 1, "b": 2}, {"c": 3}, {"d": 4}, {"d": 4, "c": 3, "n": 1}),
        ("sum", 5, 1, 2, 3),
        ("append", [7, 8, 9], [1], [2], [1, 2]),
    ],
)
def test_what_a_person_has_put_in_a_sub_graph_is_what_its_reducers_go_on_from(reducer, there, put, new, after):
    keys = (key("k", reducer), *decided("ok"))
    inner = routed(barrier("ok"), step("a"), keys=keys)
    trip = Trip(part("sub", inner), keys=(key("k", reducer),), inputs={"k": there})
    trip.decide("sub/ok", "approve", changes={"k": put})
    trip.write("sub/a", k=new)
    assert trip.run.state is R.COMPLETED
    assert trip.state_of() == {"k": after}


# What is stored -----------------------------------------------------------------------------------------


def written(trip: Trip) -> list:
    return [write for event in trip.events(e.NodeCompleted) for write in event.writes]


def test_what_a_reducer_only_puts_together_is_stored_as_it_was_written():
    trip = Trip(step("a"), keys=(key("log", "append"),), inputs={"log": list(range(100))})
    trip.write("a", log=[1])
    (write,) = written(trip)
    assert bytes(write.value) == b"[1]"
    assert write.becomes is None


def test_what_a_reducer_computes_is_stored_as_a_difference_and_not_computed_again():
    trip = Trip(step("a"), keys=(key("k", "custom:before"),), inputs={"k": ["a long text"] * 4})
    trip.write("a", k=["x"])
    (write,) = written(trip)
    assert write.becomes == Change(items=(type(write.value)(b'"x"'),), at=0, cut=0)
    assert not write.value
    assert trip.rules.reduced == 1


def test_each_write_of_branches_is_computed_once_however_often_it_is_read():
    trip = Trip(parallel("p", step("a"), step("b")), step("c"), keys=(key("k", "custom:shift"),), inputs={"k": 1})
    trip.write("p/a", k=2)
    trip.write("p/b", k=3)
    assert trip.rules.reduced == 2
    trip.take_over()
    assert trip.state_of() == {"k": 123}
    assert trip.rules.reduced == 2


def test_every_reducer_is_tried_here():
    assert {row[0].partition(":")[0] for row in FITTING} == {reducer.value for reducer in Reducer}


# Size ---------------------------------------------------------------------------------------------------


def bounded(*nodes, **options) -> Trip:
    keys = (key("doc", "replace"), key("log", "append"), key("obj", "merge"), key("own", "custom:before"))
    return Trip(*nodes, keys=(*keys, *decided("ok")), limits={"max_state_bytes": 1_000}, **options)


BIG = "x" * 700


@pytest.mark.parametrize(
    "update",
    [{"doc": BIG * 2}, {"log": [BIG, BIG]}, {"obj": {"a": BIG, "b": BIG}}, {"own": [BIG, BIG]}],
)
def test_a_state_that_would_grow_too_large_fails_the_node(update):
    trip = bounded(step("a"))
    trip.write("a", **update)
    assert trip.run.error.type == "state"
    assert "would have 1,4" in trip.error
    assert "more than its limit of 1,000; raise StateGraph(max_state_bytes=...)" in trip.error


def test_what_takes_the_place_of_something_large_is_not_counted_twice():
    trip = bounded(step("a"), step("b"), inputs={"doc": BIG})
    trip.write("a", doc=BIG)
    trip.write("b", doc=BIG + "x")
    assert trip.run.state is R.COMPLETED


def test_a_small_difference_of_something_large_is_small():
    trip = bounded(step("a"), inputs={"own": [BIG]})
    trip.write("a", own=["x"])
    assert trip.run.state is R.COMPLETED


def test_what_is_deleted_makes_room():
    trip = bounded(step("a"), inputs={"log": [BIG]})
    trip.write("a", doc=BIG, delete=("log",))
    assert trip.state_of() == {"doc": BIG}


def test_branches_together_may_not_make_a_state_too_large():
    trip = bounded(parallel("p", step("a"), step("b")))
    trip.write("p/a", log=[BIG])
    trip.write("p/b", log=[BIG])
    assert trip.run.state is R.FAILED
    assert "more than its limit" in trip.error


def test_a_sub_graph_that_writes_something_large_again_and_again_is_counted_once():
    inner = routed(step("a"), step("b"), keys=(key("doc", "replace"),), edges=line("a", "b"))
    trip = bounded(part("sub", inner), inputs={"doc": BIG})
    trip.write("sub/a", doc=BIG)
    trip.write("sub/b", doc=BIG)
    assert trip.run.state is R.COMPLETED


@pytest.mark.parametrize("first", [{"log": [BIG]}, {"doc": BIG}, {"obj": {"a": BIG}}, {"own": [BIG]}])
def test_what_sub_graphs_delete_makes_room_for_the_next_ones(first):
    keys = (key("doc", "replace"), key("log", "append"), key("obj", "merge"), key("own", "custom:before"))
    inner = routed(step("x"), keys=keys)
    trip = bounded(parallel("p", part("a", inner), part("b", inner)), inputs=first)
    trip.tell("p/a/x", delete=tuple(first))
    trip.write("p/b/x", **({"doc": BIG} if "doc" not in first else {"log": [BIG]}))
    assert trip.run.state is R.COMPLETED


def test_fields_that_take_the_place_of_others_are_not_counted_twice():
    inner = routed(step("x"), step("y"), keys=(key("obj", "merge"),))
    trip = bounded(part("a", inner), inputs={"obj": {"a": BIG}})
    trip.write("a/x", obj={"a": BIG, "b": 1})
    trip.write("a/y", obj={"a": BIG, "b": 2})
    assert trip.state_of() == {"obj": {"a": BIG, "b": 2}}


def test_a_run_does_not_start_on_a_state_that_is_too_large():
    trip = bounded(step("a"), inputs={"doc": BIG * 2})
    assert trip.run.state is R.FAILED
    assert "more than its limit" in trip.error
    assert trip.started == []


def test_a_person_may_not_make_a_state_too_large():
    trip = bounded(barrier("ok"))
    trip.decide("ok", "approve", changes={"doc": BIG * 2})
    assert "more than its limit" in trip.refusal
    trip.decide("ok", "approve", changes={"doc": BIG})
    assert trip.run.state is R.COMPLETED
