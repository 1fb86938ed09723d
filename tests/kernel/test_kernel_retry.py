"""Retrying an ended run: what is kept, what is made anew, and in which bounds."""

from __future__ import annotations

from play import BOOM, Play, graph, mapped, node, value

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import ErrorPolicy
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R

CONTINUE = {"on_error": ErrorPolicy.CONTINUE}
SKIP = {"on_error": ErrorPolicy.SKIP_DOWNSTREAM}


def retry(play: Play) -> None:
    play.hand(s.RetryRun(by="me"))


def test_skipped_nodes_wait_for_what_is_done_again():
    play = Play(node("a"), node("b", "a"), node("c", "b"), **SKIP)
    play.fail("a")
    retry(play)
    assert play.states() == {"a": "running", "b": "pending", "c": "pending"}
    play.succeed("a")
    assert play.started == ["b"]


def test_cancelled_nodes_and_nodes_that_never_began_are_done():
    play = Play(node("a"), node("b"), node("c", "a"))
    play.fail("a")
    play.acknowledge("b")
    retry(play)
    assert play.started == ["a", "b"]
    play.succeed("a")
    assert play.started == ["c"]


def test_what_had_never_begun_because_of_the_end_begins():
    play = Play(node("a"), node("b"), node("c", "a"))
    play.hand(s.Pause())
    play.succeed("a")
    play.fail("b")
    assert play.state("c") is N.CANCELLED
    retry(play)
    assert play.started == ["b", "c"]


def test_a_node_whose_dependency_came_in_too_late_begins():
    play = Play(node("a"), node("b"), node("c", "a"))
    play.fail("b")
    play.succeed("a")
    assert "c" not in play.run.visits
    retry(play)
    assert play.started == ["b", "c"]


def test_a_completed_node_that_saw_a_failure_is_done_again():
    play = Play(node("a"), node("b", "a"), node("c"), **CONTINUE)
    play.fail("a")
    play.succeed("b")
    play.succeed("c")
    retry(play)
    assert play.states() == {"a": "running", "b": "pending", "c": "completed"}


def test_a_retried_run_starts_with_new_counts_of_failures():
    play = Play(node("a"))
    play.fail("a")
    retry(play)
    assert (play.visit("a").failures, play.visit("a").attempt, play.visit("a").error) == (0, 2, None)


def test_effects_of_a_failed_node_are_kept():
    play = Play(node("a"))
    step = {"path": "a", "attempt": 1, "digest": "d", "value": value(1)}
    play.hand(s.StepEnded(**step, key="paid", effect=True), s.StepEnded(**step, key="read"))
    play.fail("a")
    retry(play)
    assert list(play.commands(c.StartAttempt)[0].steps) == ["paid"]


def test_a_retried_run_has_its_time_limit_again():
    play = Play(node("a"), timeout_s=5.0)
    play.fail("a")
    assert play.machine.wake_at is None
    play.now = 100.0
    retry(play)
    assert play.machine.wake_at == 105.0


def test_a_sub_graph_that_failed_keeps_its_completed_members():
    play = Play(node("g", graph=graph(node("a"), node("b", "a"))))
    play.succeed("g/a")
    play.fail("g/b")
    retry(play)
    assert play.started == ["g/b"]
    play.succeed("g/b")
    assert play.run.state is R.COMPLETED


def test_a_map_that_failed_keeps_its_completed_items():
    play = Play(mapped("m"))
    play.expand("m", 3)
    play.succeed("m[0]")
    play.fail("m[1]")
    play.acknowledge("m[2]")
    retry(play)
    assert play.started == ["m[1]", "m[2]"]


def test_a_map_whose_list_is_made_anew_forgets_its_items():
    play = Play(node("a"), mapped("m", "a", collect=True), **CONTINUE)
    play.fail("a")
    play.expand("m", 3)
    play.succeed("m[0]", "m[1]")
    play.fail("m[2]")
    assert (play.run.total, play.run.settled, play.run.failed) == (4, 4, 2)
    retry(play)
    assert (play.run.total, play.run.settled, play.run.failed) == (1, 0, 0)
    play.succeed("a")
    play.expand("m", 1)
    assert play.run.total == 2


def test_sub_graphs_that_are_made_anew_forget_their_members_at_any_depth():
    inner = graph(node("b"), node("c", "b"), mapped("m"), **CONTINUE)
    play = Play(node("a"), node("g", "a", graph=inner), **CONTINUE)
    play.fail("a")
    play.hand(s.MapExpanded(path="g/m", error=BOOM))
    play.fail("g/b")
    play.succeed("g/c")
    retry(play)
    assert play.states() == {"a": "running", "g": "pending"}
    play.succeed("a")
    assert play.started == ["g/b"]
    assert play.visit("g/b").attempt == 2


def test_a_sub_graph_that_was_cut_short_and_is_made_anew_forgets_what_it_had():
    play = Play(node("a"), node("g", "a", graph=graph(node("b"), node("c", "b"))), **CONTINUE)
    play.fail("a")
    play.fail("g/b")
    retry(play)
    assert play.states() == {"a": "running", "g": "pending"}


def test_maps_over_sub_graphs_that_are_made_anew_count_what_is_in_them():
    play = Play(node("a"), mapped("m", "a", graph=graph(node("b"), node("c"))), **CONTINUE)
    play.fail("a")
    play.expand("m", 2)
    play.succeed("m[0]/b", "m[0]/c", "m[1]/b")
    play.succeed("m[1]/c")
    assert play.run.total == 5
    retry(play)
    assert play.run.total == 1


def test_a_fed_map_keeps_the_items_whose_sources_are_kept():
    play = Play(mapped("m", collect=True), mapped("n", over="m"))
    play.expand("m", 3)
    play.succeed("m[0]", "m[1]")
    play.succeed("n[0]")
    play.fail("m[2]")
    play.succeed("n[1]")
    assert play.run.state is R.COMPLETED
    retry(play)
    assert play.started == ["m[2]"]
    assert [play.state(f"n[{i}]") for i in range(3)] == [N.COMPLETED, N.COMPLETED, N.PENDING]
    play.succeed("m[2]")
    assert play.started == ["n[2]"]
    play.succeed("n[2]")
    assert play.run.state is R.COMPLETED


def test_an_item_is_done_again_if_something_failed_inside_its_source():
    play = Play(mapped("m", graph=graph(node("a"), **CONTINUE)), mapped("n", over="m"))
    play.expand("m", 1)
    play.fail("m[0]/a")
    play.succeed("n[0]")
    assert play.run.state is R.COMPLETED
    retry(play)
    assert play.started == ["m[0]/a"]
    assert play.state("n[0]") is N.PENDING


def test_a_retry_keeps_to_the_bound_of_a_map_of_sub_graphs():
    body = graph(node("a"), node("b", "a"))
    play = Play(mapped("m", graph=body, collect=True, max_concurrency=1))
    play.expand("m", 3)
    for item in range(3):
        play.succeed(f"m[{item}]/a")
        play.fail(f"m[{item}]/b")
    assert play.run.state is R.COMPLETED
    retry(play)
    assert play.started == ["m[0]/b"]
    play.succeed("m[0]/b")
    assert play.started == ["m[1]/b"]
    assert play.events(e.ScopeOpened)[0].path == "m[1]"


def test_a_run_can_be_retried_more_than_once():
    play = Play(node("a"))
    for generation in (2, 3):
        play.fail("a")
        retry(play)
        assert (play.run.generation, play.visit("a").attempt) == (generation, generation)
