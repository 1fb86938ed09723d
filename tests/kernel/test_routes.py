"""Where the token goes: conditions, the plain edge, the fallback, the node's own wish, and limits (SG2, SG3)."""

from __future__ import annotations

import pytest
from play import BOOM, THREE
from trip import END, START, Trip, edge, fallback, key, part, routed, step

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import OnLimit
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R

N_ = (key("n", "replace"),)
RAISES = ["raises"]


def fork(*edges, **options) -> Trip:
    """One node whose edges are looked at, and b, c, d behind it."""
    ends = tuple(edge(name, END) for name in "bcd")
    return Trip(
        step("a"), step("b"), step("c"), step("d"), keys=N_, edges=(edge(START, "a"), *edges, *ends), **options
    )


def loop(*edges, node=None, **options) -> Trip:
    """A node that is visited again as long as nothing says otherwise; `b` for what comes then."""
    edges = (edge(START, "a"), *(edges or (edge("a", "a", ["below", "n", 99]), edge("a", END))), edge("b", END))
    return Trip(step("a", **(node or {})), step("b"), keys=N_, edges=edges, **options)


# Conditions -----------------------------------------------------------------------------------------------


def test_the_first_condition_in_order_that_holds_is_taken_and_no_other_is_asked():
    trip = fork(edge("a", "b", ["below", "n", 1]), edge("a", "c", ["below", "n", 9]), edge("a", "d", RAISES))
    trip.write("a", n=5)
    assert trip.ways == [("c", "condition")]
    assert trip.rules.asked == 2


def test_conditions_are_asked_on_the_state_after_the_node_wherever_the_plain_edge_stands():
    trip = fork(edge("a", "d"), edge("a", "b", ["below", "n", 1]), inputs={"n": 5})
    trip.write("a", n=0)
    assert trip.ways == [("b", "condition")]


def test_the_plain_edge_is_taken_if_no_condition_holds():
    trip = fork(edge("a", "b", ["below", "n", 1]), edge("a", "c"), fallback("a", "d"))
    trip.write("a", n=5)
    assert trip.ways == [("c", "edge")]


def test_the_fallback_is_taken_if_nothing_else_can_be():
    trip = fork(edge("a", "b", ["below", "n", 1]), fallback("a", "d"))
    trip.write("a", n=5)
    assert trip.ways == [("d", "fallback")]
    assert trip.events(e.Routed)[0].error is None


def test_a_router_names_its_target_by_what_it_gives():
    by = ["value", "n"]
    trip = fork(edge("a", "b", by, equals="b"), edge("a", "c", by, equals=1), edge("a", "d", by, equals=True))
    trip.write("a", n=True)
    assert trip.ways == [("d", "condition")]


def test_no_way_on_lists_each_condition_and_its_value():
    trip = fork(
        edge("a", "b", ["below", "n", 1], label="n < 1"),
        edge("a", "c", ["value", "n"], equals="c", label="which(state)"),
        edge("a", END, ["below", "n", 2]),
    )
    trip.write("a", n=5)
    assert trip.run.state is R.FAILED
    assert trip.run.error.type == "route"
    assert trip.error == (
        'no edge of a can be taken: to b if n < 1: gave false; to c if which(state): gave 5, not "c"; '
        "to END if its condition: gave false"
    )


def test_a_node_without_edges_leads_nowhere():
    trip = fork()
    trip.write("a", n=1)
    assert trip.error == "no edge of a can be taken: it has none"


def test_a_start_without_a_way_fails_before_the_first_step():
    trip = Trip(step("a"), keys=N_, edges=(edge(START, "a", ["below", "n", 0]), edge("a", END)))
    assert trip.run.state is R.FAILED
    assert trip.error == "no edge of START can be taken: to a if its condition: gave false"


def test_what_a_condition_gave_is_shown_in_part():
    trip = fork(edge("a", "b", ["value", "n"], equals=1))
    trip.write("a", n="x" * 200)
    assert len(trip.error) < 150


def test_a_condition_that_raises_names_its_edge():
    trip = fork(
        edge("a", "b", ["below", "n", 1]), edge("a", "c", RAISES, label="price(state) > 3"), edge("a", "d")
    )
    trip.write("a", n=5)
    assert trip.run.error.type == "condition"
    assert trip.error == "the condition of the edge a -> c (price(state) > 3) raised KeyError: ouch"
    plain = Trip(step("a"), keys=N_, edges=(edge(START, END, RAISES), edge(START, "a")))
    assert plain.error == "the condition of the edge START -> END raised KeyError: ouch"


# The node's own wish --------------------------------------------------------------------------------------


def test_a_node_may_name_the_next_one_without_conditions_being_asked():
    trip = fork(edge("a", "b"), edge("a", "c", RAISES))
    trip.tell("a", goto="c")
    assert trip.ways == [("c", "goto")]
    assert trip.rules.asked == 0


def test_a_node_may_name_the_target_of_its_fallback():
    trip = fork(edge("a", "b"), fallback("a", "d"))
    trip.tell("a", goto="d")
    assert trip.ways == [("d", "goto")]


def test_a_node_may_end_the_graph_with_or_without_an_edge_to_the_end():
    trip = fork(edge("a", "b"))
    trip.tell("a", goto=END)
    assert trip.ways == [(END, "goto")]
    assert trip.events(e.Routed)[0].edge == -1
    assert trip.run.state is R.COMPLETED
    other = fork(edge("a", "b"), edge("a", END, RAISES))
    other.tell("a", goto=END)
    assert other.events(e.Routed)[0].edge == 2


def test_a_node_may_not_go_where_no_edge_leads():
    trip = fork(edge("a", "b"), edge("a", END, RAISES), edge("a", "b", RAISES))
    trip.tell("a", goto="d")
    assert trip.error == "a names 'd' to go on with, and its edges lead to END, b; add an edge to it"
    nowhere = fork()
    nowhere.tell("a", goto="d")
    assert "its edges lead to nowhere" in nowhere.error


def test_a_node_may_ask_for_its_fallback():
    trip = fork(edge("a", "b"), fallback("a", "d"))
    trip.tell("a", fallback=True)
    assert trip.ways == [("d", "fallback")]
    assert trip.events(e.Routed)[0].error is None
    without = fork(edge("a", "b"))
    without.tell("a", fallback=True)
    assert without.error == "a asks for its fallback edge, and has none; add_fallback gives it one"


def test_what_a_node_wishes_is_forgotten_when_the_token_has_gone_on():
    trip = Trip(
        step("a"), step("b"), keys=N_,
        edges=(
            edge(START, "a"), edge("a", "b"), edge("a", "a", ["has", "gone"]), edge("b", "a"), fallback("b", END),
        ),
    )  # fmt: skip
    trip.tell("a", goto="a")
    trip.tell("a#2")
    assert trip.ways == [("b", "edge")]
    trip.tell("b", fallback=True)
    assert trip.run.state is R.COMPLETED


# Steps in all ---------------------------------------------------------------------------------------------


def test_a_graph_makes_no_more_steps_than_it_may():
    trip = loop(limits={"max_steps": 2})
    trip.write("a", n=1)
    trip.write("a#2", n=2)
    assert trip.run.state is R.FAILED
    assert trip.run.error.type == "limit"
    assert trip.error == (
        "play has made 2 steps, as many as it may (max_steps), and would go on with a; "
        "raise StateGraph(max_steps=...), or look why its loop does not end"
    )


def test_the_last_allowed_step_may_still_end():
    trip = loop(limits={"max_steps": 1})
    trip.write("a", n=99)
    assert trip.run.state is R.COMPLETED


@pytest.mark.parametrize("update", [{"goto": "b"}, {"fallback": True}])
def test_steps_are_limited_by_whatever_edge_they_are_made(update):
    trip = loop(edge("a", "b"), fallback("a", "b"), limits={"max_steps": 1})
    trip.tell("a", **update)
    assert "would go on with b" in trip.error


def test_a_failure_may_not_fall_back_beyond_the_limit():
    trip = loop(edge("a", END), fallback("a", "b"), limits={"max_steps": 1})
    trip.fail("a")
    assert "would go on with b" in trip.error


def test_the_limit_names_the_state_graph_it_is_of():
    inner = routed(step("x"), edges=(edge(START, "x"), edge("x", "x")), limits={"max_steps": 1})
    trip = Trip(part("sub", inner), keys=N_)
    trip.tell("sub/x")
    assert trip.error.startswith("sub: sub has made 1 steps")


def test_steps_are_counted_anew_when_the_run_is_retried():
    trip = loop(limits={"max_steps": 2})
    trip.write("a", n=1)
    trip.write("a#2", n=2)
    trip.hand(s.RetryRun())
    assert trip.started == ["a#3"]
    trip.write("a#3", n=3)
    trip.write("a#4", n=4)
    assert "has made 2 steps" in trip.error


# Visits of a node or an edge ------------------------------------------------------------------------------


def test_a_node_is_visited_no_more_often_than_it_may_be():
    trip = loop(node={"max_visits": 2})
    trip.write("a", n=1)
    trip.write("a#2", n=2)
    assert trip.run.state is R.FAILED
    assert trip.error == "a was visited 2 times, as often as it may be (max_visits, max_iterations)"


def test_an_edge_is_taken_no_more_often_than_it_may_be():
    trip = loop(edge("a", "a", ["below", "n", 99], max_visits=1), edge("a", END))
    trip.write("a", n=1)
    trip.write("a#2", n=2)
    assert trip.error == "the edge a -> a was taken once, as often as it may be (max_visits)"
    start = Trip(step("a"), keys=N_, edges=(edge(START, END, max_visits=0), edge("a", END)))
    assert start.error == "the edge START -> END was taken 0 times, as often as it may be (max_visits)"


@pytest.mark.parametrize(
    "limited",
    [
        {"node": {"max_visits": 2, "on_limit": OnLimit.DROP}},
        {"edges": {"max_visits": 1, "on_limit": OnLimit.DROP}},
    ],
)
def test_an_edge_that_was_taken_often_enough_can_be_passed_over(limited):
    again = edge("a", "a", ["below", "n", 99], **limited.get("edges", {}))
    trip = loop(again, edge("a", END), node=limited.get("node"))
    trip.write("a", n=1)
    trip.write("a#2", n=2)
    assert trip.ways == [(END, "edge")]


def test_no_way_on_tells_what_was_taken_as_often_as_it_may_be():
    limit = {"max_visits": 1, "on_limit": OnLimit.DROP}
    trip = loop(edge("a", "a", ["below", "n", 99], **limit), edge("a", "b", **limit), node={})
    trip.write("a", n=1)
    trip.write("a#2", n=99)
    trip.write("b", n=1)
    assert trip.run.state is R.COMPLETED
    both = Trip(
        step("a"), keys=N_,
        edges=(edge(START, "a"), edge("a", "a", ["below", "n", 9], **limit), edge("a", "a", **limit)),
    )  # fmt: skip
    both.write("a", n=1)
    both.write("a#2", n=1)
    both.write("a#3", n=1)
    assert both.error == (
        "no edge of a#3 can be taken: to a if its condition: gave true (taken as often as it may be); "
        "to a: taken as often as it may be"
    )


def test_a_limit_of_a_node_can_lead_to_its_own_fallback():
    trip = loop(
        edge("a", "a", ["below", "n", 99]), fallback("a", "b"),
        node={"max_visits": 1, "on_limit": OnLimit.FALLBACK},
    )  # fmt: skip
    trip.write("a", n=1)
    (way,) = trip.events(e.Routed)
    assert (way.target, way.why) == ("b", "fallback")
    assert way.error.message == "a was visited once, as often as it may be (max_visits, max_iterations)"


def three(**limits) -> Trip:
    """a and b call each other; each has a fallback of its own."""
    return Trip(
        step("a"), step("b", **limits.get("node", {})), step("c"), step("d"), keys=N_,
        edges=(
            edge(START, "a"), edge("a", "b", **limits.get("edge", {})), edge("b", "a"),
            edge("c", END), edge("d", END),
            *([fallback("a", "c")] if limits.get("of_a", True) else []),
            *([fallback("b", "d")] if limits.get("of_b", True) else []),
        ),
    )  # fmt: skip


FALL = {"max_visits": 0, "on_limit": OnLimit.FALLBACK}


@pytest.mark.parametrize(
    ("limits", "target"),
    [
        ({"node": FALL}, "d"),
        ({"node": FALL, "of_b": False}, "c"),
        ({"edge": FALL}, "c"),
        ({"edge": FALL, "of_a": False}, "d"),
    ],
)
def test_a_limit_leads_to_the_fallback_of_what_is_limited_or_else_of_the_other_end(limits, target):
    trip = three(**limits)
    trip.tell("a")
    assert trip.ways == [(target, "fallback")]


def test_a_limit_without_any_fallback_fails():
    trip = three(node=FALL, of_a=False, of_b=False)
    trip.tell("a")
    assert trip.error == "b was visited 0 times, as often as it may be (max_visits, max_iterations)"


def test_the_start_may_have_a_fallback_and_an_edge_to_the_end_a_limit():
    trip = Trip(step("a"), keys=N_, edges=(edge(START, END, **FALL), fallback(START, "a"), edge("a", END, **FALL)))
    assert trip.ways == [("a", "fallback")]
    trip.tell("a")
    assert trip.error == "the edge a -> END was taken 0 times, as often as it may be (max_visits)"


def test_a_fallback_has_a_limit_too():
    trip = loop(edge("a", END), fallback("a", "a", max_visits=1))
    trip.fail("a")
    assert trip.ways == [("a", "fallback")]
    trip.tell("a#2", fallback=True)
    assert trip.error == "the edge a -> a was taken once, as often as it may be (max_visits)"


def test_a_failure_is_not_hidden_by_the_limit_of_its_fallback():
    trip = loop(edge("a", END), fallback("a", "a", max_visits=1))
    trip.fail("a")
    trip.fail("a#2")
    assert "was taken once" in trip.error
    assert "boom" in trip.error


def test_a_limit_counts_for_a_named_target_as_well():
    trip = loop(edge("a", "a"), node={"max_visits": 1})
    trip.tell("a", goto="a")
    assert trip.error == "a was visited once, as often as it may be (max_visits, max_iterations)"


def test_a_named_target_that_is_dropped_is_an_error_that_tells_the_limit():
    trip = loop(edge("a", "a"), edge("a", END, RAISES), node={"max_visits": 1, "on_limit": OnLimit.DROP})
    trip.tell("a", goto="a")
    told = "a was visited once, as often as it may be (max_visits, max_iterations)"
    assert trip.error == f"a names 'a' to go on with, and {told}"


def test_the_end_can_be_named_although_the_edge_to_it_is_dropped():
    trip = loop(edge("a", END, max_visits=0, on_limit=OnLimit.DROP))
    trip.tell("a", goto=END)
    assert trip.run.state is R.COMPLETED


def test_another_edge_to_a_named_target_is_taken_if_one_is_dropped():
    trip = loop(edge("a", "b", RAISES, max_visits=0, on_limit=OnLimit.DROP), edge("a", "b"))
    trip.tell("a", goto="b")
    assert trip.events(e.Routed)[0].edge == 2


def test_visits_are_counted_anew_when_the_run_is_retried():
    trip = loop(
        edge("a", "a", ["below", "n", 99], max_visits=1), edge("a", END), node={"max_visits": 2, "retry": THREE}
    )
    trip.write("a", n=1)
    trip.write("a#2", n=2)
    assert trip.run.state is R.FAILED
    trip.hand(s.RetryRun())
    assert trip.ways == [("a", "condition")]
    trip.write("a#3", n=3)
    assert trip.error == "the edge a -> a was taken once, as often as it may be (max_visits)"


def test_a_node_that_failed_and_is_retried_is_no_visit_of_the_new_generation():
    trip = loop(node={"max_visits": 1})
    trip.fail("a")
    trip.hand(s.RetryRun())
    trip.write("a", n=1)
    assert trip.ways == [("a", "condition")]
    trip.fail("a#2", BOOM)
    assert trip.state("a#2") is N.FAILED
