"""State graphs in state graphs: what they start with, and what they write to the state around them."""

from __future__ import annotations

import pytest
from play import BOOM, literal, value
from trip import END, START, Trip, edge, fallback, key, part, routed, step
from trip_parts import LOG, given
from trip_rules import raw

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.values import DictOf, FromState, Known

# State graphs in state graphs -----------------------------------------------------------------------------


def nested(*inner_keys, outer=(), inputs=None, **options) -> Trip:
    inner = routed(step("x"), step("y"), keys=(LOG, *inner_keys), name="inner")
    return Trip(part("sub", inner, **options), step("z"), keys=(LOG, key("topic"), *outer), inputs=inputs)


def test_a_sub_graph_starts_on_the_keys_that_both_have_and_on_its_own_defaults():
    trip = nested(key("own", "sum", default=3), key("topic"), inputs={"log": [1], "topic": "cats"})
    assert trip.started == ["sub/x"]
    assert trip.state_of("sub") == {"log": [1], "own": 3, "topic": "cats"}


def test_a_key_that_the_enclosing_state_has_takes_the_place_of_the_default():
    trip = nested(key("topic", default="dogs"), inputs={"topic": "cats"})
    assert trip.state_of("sub") == {"topic": "cats"}
    without = nested(key("topic", default="dogs"))
    assert without.state_of("sub") == {"topic": "dogs"}


def test_what_it_writes_is_seen_inside_at_once_and_outside_at_its_end():
    trip = nested(key("own", "sum", default=3))
    trip.write("sub/x", log=[1], own=4)
    assert trip.state_of("sub") == {"log": [1], "own": 7}
    assert trip.state_of() == {}
    trip.write("sub/y", log=[2])
    assert trip.state_of() == {"log": [1, 2]}
    assert trip.started == ["z"]
    assert trip.visit("sub").output.gathered


def test_the_reducers_of_the_enclosing_state_are_asked_once_per_write():
    keys = (key("n", "custom:shift"),)
    inner = routed(step("x"), step("y"), keys=keys)
    trip = Trip(part("sub", inner), keys=keys, inputs={"n": 1})
    trip.write("sub/x", n=2)
    trip.write("sub/y", n=3)
    assert trip.state_of() == {"n": 123}
    assert trip.rules.reduced == 4  # twice inside, twice outside


def test_what_three_levels_write_arrives_in_order():
    deepest = routed(step("x"), keys=(LOG, key("own", "sum")))
    middle = routed(part("deep", deepest), step("y"), keys=(LOG, key("own", "sum")))
    trip = Trip(step("a"), part("sub", middle), keys=(LOG,))
    for path in ("a", "sub/deep/x", "sub/y"):
        trip.write(path, log=[path], **({} if path == "a" else {"own": 1}))
    assert trip.state_of() == {"log": ["a", "sub/deep/x", "sub/y"]}


def test_a_key_that_only_the_outer_and_the_innermost_have_stays_within():
    deepest = routed(step("x"), keys=(LOG,))
    middle = routed(part("deep", deepest), keys=(key("other"),))
    trip = Trip(part("sub", middle), keys=(LOG,), inputs={"log": [0]})
    assert trip.state_of("sub/deep") == {}
    trip.write("sub/deep/x", log=[1])
    assert trip.state_of() == {"log": [0]}


def test_a_sub_graph_that_deletes_a_key_deletes_it_outside():
    trip = nested(inputs={"log": [1]})
    trip.write("sub/x", delete=("log",))
    trip.write("sub/y", log=[2])
    assert trip.state_of() == {"log": [2]}


def test_inputs_of_a_sub_graph_are_read_before_it_begins():
    inputs = {"own": literal([7]), "log": FromState("log"), "gone": FromState("topic")}
    inner = routed(step("x"), keys=(LOG, key("own"), key("gone", default=1)))
    trip = Trip(part("sub", inner, inputs=inputs), keys=(LOG, key("topic")), inputs={"log": [1]})
    (command,) = trip.commands(c.Gather)
    assert command.of == DictOf({"own": literal([7]), "log": Known(value([1]))})
    assert trip.machine.outstanding() == [command]
    assert not trip.machine.is_idle
    trip.gathered("sub", {"own": [7], "log": [9]})
    (entered,) = trip.events(e.WalkEntered)
    assert entered.values == {"own": raw([7]), "log": raw([9])}
    assert trip.state_of("sub") == {"own": [7], "log": [9], "gone": 1}
    assert trip.started == ["sub/x"]


def test_what_is_read_comes_once():
    trip = given()
    trip.gathered("sub", {"own": 1})
    trip.gathered("sub", {"own": 2})
    assert trip.decision.events == []
    assert trip.state_of("sub") == {"own": 1}


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ({"error": BOOM}, "boom"),
        ({"plain": [1]}, "sub is to return changes of the state, by key, and gave [1]"),
        ({"plain": {"own": 1, "more": 2}}, "sub is given more, which its state does not have"),
    ],
)
def test_a_sub_graph_that_cannot_begin_fails(outcome, told):
    trip = given()
    trip.gathered("sub", **outcome)
    assert trip.state("sub") is N.FAILED
    assert trip.error == f"sub: {told}"


def test_a_cancel_does_not_wait_for_what_is_read_for_a_sub_graph():
    trip = given()
    trip.hand(s.Cancel())
    assert trip.run.state is R.CANCELLED
    assert trip.gathered("sub", {"own": 1}).events == []


def test_what_was_to_be_read_when_the_process_died_is_read_again():
    trip = given()
    trip.take_over()
    assert [command.path for command in trip.commands(c.Gather)] == ["sub"]
    trip.gathered("sub", {"own": 1})
    assert trip.started == ["sub/x"]


def test_what_is_read_during_a_pause_is_taken_and_nothing_starts():
    trip = given()
    trip.hand(s.Pause())
    trip.gathered("sub", {"own": 1})
    assert trip.ways == [("x", "edge")]
    assert trip.started == []
    trip.hand(s.Resume())
    assert trip.started == ["sub/x"]


def test_a_sub_graph_that_fails_falls_back_as_a_node_does():
    inner = routed(step("x"), keys=(LOG,))
    trip = Trip(
        part("sub", inner), step("z"), keys=(LOG,),
        edges=(edge(START, "sub"), edge("sub", END), fallback("sub", "z"), edge("z", END)),
    )  # fmt: skip
    trip.fail("sub/x")
    assert trip.ways == [("z", "fallback")]
    assert trip.events(e.Routed)[0].error.message == "sub/x: boom"


def test_a_sub_graph_without_a_way_on_fails_with_what_its_edges_say():
    inner = routed(step("x"), keys=(LOG,), edges=(edge(START, "x"), edge("x", END, ["has", "log"])))
    trip = Trip(part("sub", inner), keys=(LOG,))
    trip.tell("sub/x")
    assert trip.error == "sub: no edge of sub/x can be taken: to END if its condition: gave false"


def test_a_sub_graph_in_a_loop_begins_anew_on_the_state_as_it_is_then():
    inner = routed(step("x"), keys=(LOG, key("own", "sum", default=0)))
    trip = Trip(
        part("sub", inner), keys=(LOG,),
        edges=(edge(START, "sub"), edge("sub", "sub", ["shorter", "log", 2]), edge("sub", END)),
    )  # fmt: skip
    trip.write("sub/x", log=[1], own=5)
    assert trip.state_of("sub#2") == {"log": [1], "own": 0}
    trip.write("sub#2/x", log=[2])
    assert trip.state_of() == {"log": [1, 2]}


def test_a_sub_graph_has_a_time_limit_as_a_whole():
    trip = nested(total_timeout_s=5.0)
    trip.at(5.0)
    assert trip.stopped == ["sub/x"]
    trip.write("sub/x", log=[1])
    assert trip.state("sub") is N.FAILED
    assert trip.state_of() == {}


def test_a_sub_graph_that_ends_at_its_start_writes_nothing():
    inner = routed(keys=(LOG,), edges=(edge(START, END),))
    trip = Trip(part("sub", inner), step("z"), keys=(LOG,))
    assert trip.started == ["z"]
