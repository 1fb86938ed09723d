"""Graphs, sub-graphs and maps: who starts when, and what a failure means for the others (DG2, DG4)."""

from __future__ import annotations

import pytest
from play import BOOM, Play, graph, mapped, node

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import ErrorPolicy
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R

CONTINUE = {"on_error": ErrorPolicy.CONTINUE}
SKIP = {"on_error": ErrorPolicy.SKIP_DOWNSTREAM}


# Order ---------------------------------------------------------------------------------------------


def test_an_empty_graph_completes_at_once():
    play = Play()
    assert play.run.state is R.COMPLETED
    assert [type(event) for event in play.events()] == [e.RunAdmitted, e.RunStarted, e.RunCompleted]


def test_sources_start_at_once_and_others_when_their_own_dependencies_are_done():
    play = Play(node("a"), node("slow"), node("b", "a"), node("z", "b", "slow"))
    assert play.started == ["a", "slow"]
    play.succeed("a")
    assert play.started == ["b"]
    play.succeed("b")
    assert play.started == []
    play.succeed("slow")
    assert play.started == ["z"]


def test_a_completion_and_the_start_of_its_successors_are_one_decision():
    play = Play(node("a"), node("b", "a"))
    play.succeed("a")
    assert [type(event) for event in play.events()] == [e.NodeCompleted, e.AttemptStarted]


def test_no_more_attempts_run_than_the_graph_allows():
    play = Play(node("a"), node("b"), node("c"), max_concurrency=2)
    assert play.started == ["a", "b"]
    play.succeed("b")
    assert play.started == ["c"]


def test_the_more_important_start_first_and_the_earlier_among_equals():
    nodes = (node("a"), node("b"), node("c", priority=1), node("d", priority=1))
    assert Play(*nodes).started == ["c", "d", "a", "b"]


def test_what_the_gate_refuses_stays_ready_and_does_not_hold_up_others():
    free = {"gpu": 0}
    play = Play(
        node("a", uses={"gpu": 1}), node("b"), gate=lambda path, n: all(free[name] for name in n.spec.uses)
    )
    assert play.started == ["b"]
    assert play.state("a") is N.READY
    assert play.hand(s.SlotsFreed()).events == []
    free["gpu"] = 1
    play.hand(s.SlotsFreed())
    assert play.started == ["a"]


# Failures ------------------------------------------------------------------------------------------


def test_stop_graph_cancels_what_runs_and_starts_nothing_new():
    play = Play(node("a"), node("b"), node("c", "a"))
    play.fail("a")
    assert play.stopped == ["b"]
    assert play.run.state is R.STOPPING
    play.acknowledge("b")
    assert play.states() == {"a": "failed", "b": "cancelled"}
    assert play.run.state is R.FAILED
    assert play.run.error.message == "a: boom"


def test_stop_graph_without_anything_under_way_ends_at_once():
    play = Play(node("a"), node("b", "a"))
    play.fail("a")
    assert play.run.state is R.FAILED


def test_skip_downstream_skips_dependents_at_any_distance_and_goes_on_elsewhere():
    play = Play(node("a"), node("b", "a"), node("c", "b"), node("d", "a", "c"), node("x"), node("y", "x"), **SKIP)
    play.fail("a")
    assert {event.path: event.cause for event in play.events(e.NodeSkipped)} == dict.fromkeys("bcd", "a")
    play.succeed("x")
    play.succeed("y")
    assert play.run.state is R.FAILED
    assert play.run.error.message == "a: boom"


def test_a_run_names_its_first_failure_and_counts_the_others():
    play = Play(node("a"), node("b"), node("c"), **SKIP)
    play.fail("b")
    play.fail("a")
    play.succeed("c")
    assert play.run.error.message == "b: boom (and 1 more)"


def test_continue_lets_dependents_run_and_tells_them_what_failed():
    play = Play(node("a"), node("x"), node("b", "a", "x"), **CONTINUE)
    play.fail("a")
    play.succeed("x")
    (command,) = play.commands(c.StartAttempt)
    assert command.failed_upstream == {"a": BOOM}
    play.succeed("b")
    assert play.run.state is R.COMPLETED
    assert play.events(e.RunCompleted)[0].failed == 1


def test_the_policy_of_a_node_overrides_that_of_its_graph():
    play = Play(node("a", on_error=ErrorPolicy.SKIP_DOWNSTREAM), node("b"), node("c", "a"))
    play.fail("a")
    assert play.state("b") is N.RUNNING
    assert play.state("c") is N.SKIPPED


def test_a_failure_that_is_borne_does_not_save_what_another_one_skips():
    play = Play(node("a", **CONTINUE), node("b", **SKIP), node("c", "a", "b"))
    play.fail("b")
    play.fail("a")
    assert play.state("c") is N.SKIPPED
    assert play.run.state is R.FAILED


# Sub-graphs ----------------------------------------------------------------------------------------


def test_a_sub_graph_runs_inside_and_completes_with_its_members():
    play = Play(node("g", graph=graph(node("a"), node("b", "a"))), node("z", "g"))
    assert play.started == ["g/a"]
    play.succeed("g/a")
    play.succeed("g/b")
    assert play.state("g") is N.COMPLETED
    assert play.started == ["z"]


def test_an_empty_sub_graph_completes_at_once():
    play = Play(node("g", graph=graph()), node("z", "g"))
    assert play.started == ["z"]


def test_the_failure_of_a_sub_graph_is_told_by_its_member():
    play = Play(node("g", graph=graph(node("h", graph=graph(node("a"))))))
    play.fail("g/h/a")
    assert play.run.error.message == "g: g/h: g/h/a: boom"


def test_a_failure_reaches_into_sub_graphs_and_maps():
    inner = graph(node("a"), mapped("m"))
    play = Play(node("g", graph=inner), node("x"))
    play.expand("g/m", 2)
    play.fail("x")
    assert play.stopped == ["g/a", "g/m[0]", "g/m[1]"]
    play.acknowledge("g/a", "g/m[0]")
    assert play.run.state is R.STOPPING
    play.acknowledge("g/m[1]")
    assert play.states() == {
        "g": "cancelled", "g/a": "cancelled", "g/m": "cancelled", "g/m[0]": "cancelled", "g/m[1]": "cancelled",
        "x": "failed",
    }  # fmt: skip


def test_a_sub_graph_that_stops_by_itself_is_left_alone_by_the_stop_of_the_run():
    play = Play(node("g", graph=graph(node("a"), node("b"))), node("x"), on_error=ErrorPolicy.SKIP_DOWNSTREAM)
    play.fail("g/a")
    play.hand(s.Cancel())
    assert play.stopped == ["x"]
    play.acknowledge("g/b", "x")
    assert play.state("g") is N.CANCELLED


def test_a_sub_graph_whose_members_all_come_in_while_it_stops_is_completed():
    play = Play(node("g", graph=graph(node("a"))), node("x"))
    play.fail("x")
    play.succeed("g/a")
    assert play.state("g") is N.COMPLETED


# Maps ----------------------------------------------------------------------------------------------


def test_a_map_runs_once_per_item_and_completes_with_them():
    play = Play(mapped("m"), node("z", "m"))
    assert [command.path for command in play.commands(c.ExpandMap)] == ["m"]
    play.expand("m", 2, keys=("x", "y/z"))
    assert play.started == ["m[x]", "m[y/z]"]
    play.succeed("m[x]", "m[y/z]")
    assert play.started == ["z"]


def test_a_map_over_nothing_completes_at_once():
    play = Play(mapped("m"), node("z", "m"))
    play.expand("m", 0)
    assert play.started == ["z"]


def test_a_map_bounds_how_many_of_its_items_run():
    play = Play(mapped("m", max_concurrency=2), node("x"))
    play.expand("m", 3)
    assert play.started == ["m[0]", "m[1]"]
    play.succeed("m[1]")
    assert play.started == ["m[2]"]


def test_a_map_that_fails_fast_stops_the_others():
    play = Play(mapped("m"), **SKIP)
    play.expand("m", 3)
    play.succeed("m[0]")
    play.fail("m[1]")
    assert play.stopped == ["m[2]"]
    play.acknowledge("m[2]")
    assert play.visit("m").error.message == "m[1]: boom"


def test_a_map_that_collects_keeps_the_successes():
    play = Play(mapped("m", collect=True))
    play.expand("m", 2)
    play.fail("m[0]")
    play.succeed("m[1]")
    assert play.run.state is R.COMPLETED
    assert play.run.failed == 1


def test_a_map_whose_items_cannot_be_found_fails():
    play = Play(mapped("m"))
    play.hand(s.MapExpanded(path="m", error=BOOM))
    assert play.state("m") is N.FAILED
    assert play.run.state is R.FAILED


# Maps over maps ------------------------------------------------------------------------------------


def test_items_flow_one_by_one():
    play = Play(mapped("m"), mapped("n", over="m"))
    play.expand("m", 2, keys=("x", "y"))
    assert play.commands(c.ExpandMap) == []
    play.succeed("m[y]")
    assert play.started == ["n[y]"]
    play.succeed("n[y]", "m[x]")
    assert play.started == ["n[x]"]


def test_a_map_that_opens_late_takes_what_is_there():
    play = Play(mapped("m"), node("x"), mapped("n", "x", over="m", collect=True))
    play.expand("m", 2)
    play.succeed("m[0]", "m[1]")
    play.succeed("x")
    assert play.started == ["n[0]", "n[1]"]


def test_a_lost_item_is_skipped_down_the_line_with_its_cause():
    play = Play(mapped("m", collect=True), mapped("n", over="m"), mapped("o", over="n"))
    play.expand("m", 2)
    play.fail("m[0]")
    assert {event.path: event.cause for event in play.events(e.NodeSkipped)} == {"n[0]": "m[0]", "o[0]": "n[0]"}
    play.succeed("m[1]")
    play.succeed("n[1]")
    play.succeed("o[1]")
    assert play.run.state is R.COMPLETED


def test_a_map_that_opens_after_an_item_was_lost_skips_it():
    play = Play(mapped("m", collect=True), node("x"), mapped("n", "x", over="m"))
    play.expand("m", 2)
    play.fail("m[0]")
    play.succeed("x")
    assert play.state("n[0]") is N.SKIPPED
    play.succeed("m[1]")
    play.succeed("n[1]")
    assert play.state("n") is N.COMPLETED


def test_readers_of_a_map_that_failed_fast_do_without_the_missing_items():
    play = Play(mapped("m"), mapped("n", over="m"), node("z", "n"), **CONTINUE)
    play.expand("m", 3)
    play.succeed("m[0]")
    play.fail("m[1]")
    assert play.state("n[1]") is N.PENDING, "its map will fail, and its policy decides"
    play.acknowledge("m[2]")
    assert [play.state(f"n[{i}]") for i in range(3)] == [N.RUNNING, N.SKIPPED, N.SKIPPED]
    play.succeed("n[0]")
    assert play.started == ["z"]


def test_a_map_that_fails_ends_the_maps_that_it_feeds():
    play = Play(mapped("m"), mapped("n", over="m"), node("z", "n"), node("x"), **SKIP)
    play.expand("m", 2)
    play.succeed("m[0]")
    play.fail("m[1]")
    assert play.stopped == ["n[0]"]
    assert play.state("z") is N.SKIPPED
    play.acknowledge("n[0]")
    assert play.state("n") is N.SKIPPED
    assert play.state("n[0]") is N.CANCELLED


def test_a_fed_map_that_stops_already_is_not_stopped_again():
    play = Play(mapped("m"), mapped("n", over="m"), **SKIP)
    play.expand("m", 3)
    play.succeed("m[0]", "m[1]")
    play.fail("n[0]")
    assert play.stopped == ["n[1]"]
    play.fail("m[2]")
    assert play.events(e.GroupStopping)[0].path == "m"
    assert len(play.events(e.GroupStopping)) == 1
    play.acknowledge("n[1]")
    assert play.state("n") is N.FAILED


def test_a_fed_map_that_failed_before_stays_failed():
    play = Play(mapped("m"), mapped("n", over="m"), **SKIP)
    play.expand("m", 2)
    play.succeed("m[0]")
    play.fail("n[0]")
    play.fail("m[1]")
    assert play.state("n") is N.FAILED


@pytest.mark.parametrize("policy", [CONTINUE, SKIP])
def test_a_fed_map_that_could_not_open_yet_follows_the_policy(policy):
    play = Play(mapped("m", total_timeout_s=5.0), mapped("n", over="m"), **policy)
    play.hand(s.Pause())
    play.expand("m", 1)
    assert play.state("n") is N.READY
    play.now = 6.0
    play.hand(s.Resume())
    assert play.state("m") is N.FAILED
    assert play.state("n") is (N.COMPLETED if policy is CONTINUE else N.SKIPPED)


def test_items_may_be_sub_graphs_and_flow_on():
    play = Play(mapped("m", graph=graph(node("a"))), mapped("n", over="m"))
    play.expand("m", 2)
    assert play.started == ["m[0]/a", "m[1]/a"]
    play.succeed("m[1]/a")
    assert play.started == ["n[1]"]


def test_a_sub_graph_of_a_map_that_ends_because_of_its_feeder_is_cancelled():
    play = Play(mapped("m"), mapped("n", over="m", graph=graph(node("a"))), **SKIP)
    play.expand("m", 2)
    play.succeed("m[0]")
    play.fail("m[1]")
    play.acknowledge("n[0]/a")
    assert (play.state("n"), play.state("n[0]")) == (N.SKIPPED, N.CANCELLED)


def test_readers_of_a_map_that_timed_out_do_without_what_it_lost_before_and_then():
    play = Play(mapped("m", collect=True, total_timeout_s=5.0), mapped("n", over="m"), **CONTINUE)
    play.expand("m", 3)
    play.fail("m[0]")
    play.succeed("m[1]")
    play.at(5.0)
    play.acknowledge("m[2]")
    assert [play.state(f"n[{i}]") for i in range(3)] == [N.SKIPPED, N.RUNNING, N.SKIPPED]


def test_a_sub_graph_that_was_cancelled_before_its_turn_is_not_opened():
    inner = graph(node("a"), node("b"), node("h", "b", graph=graph(node("x"))))
    play = Play(node("g", graph=inner), node("z"), **CONTINUE)
    play.hand(s.Pause())
    play.succeed("g/b")
    play.fail("g/a")
    assert play.state("g/h") is N.CANCELLED
    assert play.hand(s.Resume()).events == [e.RunResumed(at=0.0)]


def test_a_map_that_opens_while_its_feeder_fails_waits_for_the_policy():
    play = Play(mapped("m"), node("x"), mapped("n", "x", over="m"), node("z", "n"), **SKIP)
    play.expand("m", 3)
    play.succeed("m[0]")
    play.fail("m[1]")
    play.succeed("x")
    play.succeed("n[0]")
    assert [play.state(f"n[{i}]") for i in (1, 2)] == [N.PENDING, N.PENDING]
    play.acknowledge("m[2]")
    assert (play.state("n"), play.state("z")) == (N.SKIPPED, N.SKIPPED)
