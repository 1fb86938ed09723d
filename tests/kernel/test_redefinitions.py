"""A run of a state graph goes on with another definition: what it means for its steps (SG9)."""

from __future__ import annotations

import pytest
from changing import N_KEY, Changing, row
from play import THREE, value
from trip import END, START, barrier, decided, each, edge, fallback, key, line, parallel, part, routed, step
from trip_rules import TripRules, raw

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel import snapshot
from clew.kernel.definition import Backoff, CompensationSpec, GraphSpec, NodeSpec, OnInterrupt, Retry
from clew.kernel.fold import fold
from clew.kernel.machine import Machine
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.topology import compile_graph
from clew.kernel.values import FromState

# The event ----------------------------------------------------------------------------------------------


def test_a_run_goes_on_along_the_edges_of_the_new_definition():
    trip = Changing(step("a"), step("b"), keys=N_KEY)
    trip.write("a", n=1)
    spec = row(step("a"), step("b"), step("c"))
    assert trip.change(spec, forced=True) == ""
    (changed,) = trip.events()
    assert changed == e.DefinitionChanged(
        at=0.0, graph=trip.run.graph, definition=trip.definition, spec=spec, by="ann", forced=True
    )
    trip.write("b", n=2)
    assert trip.started == ["c"]
    trip.write("c", n=3)
    assert (trip.run.state, trip.state_of()) == (R.COMPLETED, {"n": 6})


def test_what_is_under_way_is_lost_by_the_definition_that_counts_now():
    trip = Changing(step("a"), keys=N_KEY)
    assert trip.started == ["a"]
    spec = row(step("a", on_interrupt=OnInterrupt.FAIL), step("b"), keys=N_KEY, edges=(
        edge(START, "a"), edge("a", END), fallback("a", "b"), edge("b", END),
    ))  # fmt: skip
    assert trip.change(spec, s.TakeOver(epoch=2, owner="another"), forced=True) == ""
    kinds = [type(event) for event in trip.events()]
    assert kinds[:3] == [e.DefinitionChanged, e.OwnershipTaken, e.AttemptInterrupted]
    assert trip.ways == [("b", "fallback")]
    trip.write("b", n=1)
    assert trip.run.state is R.COMPLETED


def test_a_paused_run_stays_paused():
    trip = Changing(step("a"), step("b"), keys=N_KEY)
    trip.hand(s.Pause())
    trip.write("a", n=1)
    assert trip.change(row(step("a"), step("b", retry=THREE), step("c"))) == ""
    assert (trip.run.state, trip.started) == (R.PAUSED, [])
    trip.hand(s.Resume())
    assert trip.started == ["b"]
    assert trip.node_of("b").retry == THREE


def test_a_run_that_stood_still_for_want_of_rules_goes_on():
    """Whoever admitted it had no functions: its way from the start is decided by the definition of now."""
    first = Machine(compile_graph(row(step("a"), step("b"))))
    first.handle([s.Admit(run="r", graph="h", definition="d", inputs={"n": value(0)})], 0.0)
    assert first.run.visits == {}
    then = Machine(first.run.topology, first.run, rules=TripRules())
    decision = then.handle([s.Redefine(graph="i", definition="e", spec=row(step("b")))], 1.0)
    assert [type(event) for event in decision.events] == [e.DefinitionChanged, e.Routed, e.AttemptStarted]
    assert list(then.run.visits) == ["b"]


def test_history_is_folded_as_it_was_and_a_snapshot_of_before_goes_on_too():
    """Numbers of edges and nodes mean what they meant when the events were decided."""
    trip = Changing(step("a"), step("b"), keys=(key("log", "append", default=[1]),))
    trip.write("a", log=[2])
    before = trip.witness.copy()
    events = list(trip.witness.events)
    nodes = (step("x"), step("b"), step("a"))
    spec = row(*nodes, keys=(key("log", default=[]), key("m", default=7)), edges=line("x", "a", "b"))
    assert trip.change(spec, forced=True) == ""
    assert trip.state_of() == {"log": [1, 2], "m": 7}
    trip.write("b", log=[3])
    assert trip.state_of() == {"log": [3], "m": 7}
    for event in trip.witness.events[len(events) :]:
        fold(before, event)
    assert snapshot.image(before).root.walk.visited == snapshot.image(trip.run).root.walk.visited
    folded = Machine.restore(compile_graph(trip.topology.spec), None, trip.witness.events).run
    assert folded.state is R.COMPLETED
    assert folded.definition == trip.definition
    assert folded.topology.spec.nodes == nodes
    assert (before.snapshot_seq, folded.snapshot_seq) == (0, 0)


# Counts -------------------------------------------------------------------------------------------------


def test_limits_count_from_the_change_and_visits_go_on_being_numbered():
    edges = (edge(START, "a"), edge("a", "a", ["below", "n", 9], max_visits=2), edge("a", END))
    trip = Changing(step("a", max_visits=3), keys=N_KEY, edges=edges, limits={"max_steps": 3})
    trip.write("a", n=1)
    trip.write("a#2", n=1)
    assert (trip.walk().visited, trip.walk().taken) == ([3], {0: 1, 1: 2})
    again = row(step("b"), step("a", max_visits=3), edges=(*edges, edge("b", END)), limits={"max_steps": 3})
    assert trip.change(again, forced=True) == ""
    assert (trip.walk().visited, trip.walk().taken, trip.walk().steps_before) == ([0, 0], {}, 3)
    trip.write("a#3", n=1)
    trip.write("a#4", n=1)
    assert trip.started == ["a#5"]
    trip.write("a#5", n=1)
    assert trip.run.error.type == "limit"


def test_a_node_that_was_gone_for_a_while_goes_on_being_numbered():
    loop = (edge(START, "a"), edge("a", "b"), edge("b", "a", ["below", "n", 3]), edge("b", END))
    trip = Changing(step("a"), step("b"), keys=N_KEY, edges=loop)
    trip.write("a", n=1)
    without = row(step("b"), edges=(edge(START, "b"), edge("b", "b", ["below", "n", 2]), edge("b", END)))
    assert trip.change(without, forced=True) == ""
    assert [spec.id for spec in trip.run.former] == ["a"]
    assert (trip.visit("a").node.former, trip.visit("a").node.index) == (0, -1)
    trip.write("b", n=0)
    assert trip.change(row(step("a"), step("b"), edges=loop), forced=True) == ""
    trip.write("b#2", n=0)
    assert trip.started == ["a#2"]
    assert trip.visit("a").node.index == trip.visit("a#2").node.index == 0
    assert trip.visit("a").node.former == -1


# Steps that have ended ----------------------------------------------------------------------------------


def test_steps_that_have_ended_stay_as_they_were_declared():
    sub = routed(step("x"), keys=N_KEY, name="sub")
    trip = Changing(part("a", sub), step("b", priority=1), step("c"), keys=N_KEY)
    trip.write("a/x", n=1)
    trip.write("b", n=1)
    spec = row(step("a"), step("b", priority=2), step("c"))
    assert trip.change(spec, forced=True) == ""
    assert trip.visit("a").is_group
    assert trip.visit("a/x").node.spec.id == "x"
    assert [each.id for each in trip.run.former] == ["a", "b"]
    assert [trip.visit(path).node.index for path in "abc"] == [0, 1, 2]
    assert trip.node_of("b").priority == 1
    assert trip.change(row(step("c"), step("b", priority=2)), forced=True) == ""
    assert [each.id for each in trip.run.former] == ["a", "b"]
    assert [trip.visit(path).node.index for path in "abc"] == [-1, 1, 0]
    trip.write("c", n=1)
    assert trip.run.state is R.RUNNING
    trip.write("b#2", n=1)
    assert trip.run.state is R.COMPLETED


def test_visits_of_one_former_node_share_it():
    loop = (edge(START, "a"), edge("a", "a", ["below", "n", 2]), edge("a", "b"), edge("b", END))
    trip = Changing(step("a"), step("b"), keys=N_KEY, edges=loop)
    trip.write("a", n=1)
    trip.write("a#2", n=1)
    assert trip.change(row(step("b")), forced=True) == ""
    assert len(trip.run.former) == 1
    assert trip.visit("a").node is trip.visit("a#2").node


def test_a_step_that_failed_and_was_gone_on_from_has_ended():
    ways = (edge(START, "a"), edge("a", END), fallback("a", "b"), edge("b", END))
    trip = Changing(step("a"), step("b"), keys=N_KEY, edges=ways)
    trip.fail("a")
    assert trip.change(row(step("a", retry=THREE), step("b"), edges=ways), forced=True) == ""
    assert trip.node_of("a").retry == Retry()
    assert trip.state("a") is N.FAILED
    trip.write("b", n=1)
    assert trip.run.state is R.COMPLETED


def test_what_has_ended_is_undone_as_it_was_declared():
    undo = CompensationSpec(kind="function", body=raw({"ref": "m:undo_a"}))
    trip = Changing(step("a", compensation=undo), step("b"), keys=N_KEY)
    trip.write("a", n=1)
    assert trip.change(row(step("b")), forced=True) == ""
    trip.fail("b")
    folded = Machine.restore(trip.topology, None, trip.witness.events, rules=TripRules())
    for machine in (trip.machine, folded):
        (start,) = machine.handle([s.Rollback()], 1.0).commands
        assert (start.path, bytes(start.body)) == ("a#undo", b'{"ref":"m:undo_a"}')


# The step that goes on ----------------------------------------------------------------------------------


def test_the_step_that_the_token_is_at_goes_on_as_it_is_declared_now():
    slow = Retry(max_attempts=2, backoff=Backoff.FIXED, delay_s=100.0, jitter=0.0)
    trip = Changing(step("a", retry=slow, uses={"llm": 1}), keys=N_KEY, gate=lambda _, node: not node.lane)
    assert trip.started == []
    assert trip.change(row(step("a", retry=THREE, timeout_s=5.0)), forced=True) == ""
    assert trip.started == ["a"]
    assert trip.visit("a").attempt_due == 5.0
    trip.fail("a")
    assert trip.state("a") is N.RETRYING
    assert trip.change(row(step("a", retry=THREE)), forced=True) == ""
    assert trip.machine.wake_at == 1.0
    trip.at(1.0)
    (start,) = trip.commands(c.StartAttempt)
    assert (start.attempt, start.timeout_s) == (2, None)


def test_a_step_that_has_not_begun_may_become_anything():
    trip = Changing(
        step("a"), step("b", uses={"x": 1}), keys=(*N_KEY, *decided("b")), gate=lambda _, n: not n.lane
    )
    trip.write("a", n=1)
    for node in (
        part("b", routed(step("x"), keys=N_KEY, name="sub"), uses={"x": 1}),
        step("b", uses={"x": 1}),
        barrier("b"),
        each("b", FromState("n")),
    ):
        twin = Changing(step("a"), step("b", uses={"x": 1}), keys=trip.topology.spec.routes.keys, gate=trip.gate)
        twin.write("a", n=1)
        assert twin.state("b") is N.READY
        assert twin.change(row(step("a"), node, keys=trip.topology.spec.routes.keys), forced=True) == ""
        assert twin.node_of("b").kind == node.kind


def test_a_step_that_failed_may_become_a_sub_graph_and_is_made_anew_as_that():
    trip = Changing(step("a"), keys=N_KEY)
    trip.fail("a")
    assert trip.run.state is R.FAILED
    assert trip.change(row(part("a", routed(step("x"), keys=N_KEY, name="sub"))), forced=True) == ""
    assert trip.run.state is R.FAILED
    trip.hand(s.RetryRun())
    assert trip.started == ["a/x"]
    trip.write("a/x", n=1)
    assert (trip.run.state, trip.state_of()) == (R.COMPLETED, {"n": 1})


def test_a_step_that_has_begun_stays_what_it_is():
    trip = Changing(step("a"), keys=(*N_KEY, *decided("a")))
    assert trip.change(row(barrier("a"), keys=(*N_KEY, *decided("a"))), forced=True) == (
        "a has begun as a node with a body, and is a barrier in the changed graph: give that node another id, or "
        "fork the run from an earlier checkpoint"
    )
    assert trip.events() == []
    sub = Changing(part("a", routed(step("x"), keys=N_KEY, name="sub")), keys=N_KEY)
    assert "begun as a state graph, and is a dependency graph in" in sub.change(
        row(part("a", GraphSpec(name="d")))
    )
    assert "and is parallel branches in" in sub.change(row(parallel("a", step("x"))))
    assert "and is a node with a body for each item in" in sub.change(row(each("a", FromState("n"))))


def test_a_step_that_waits_has_begun():
    trip = Changing(step("a"), keys=N_KEY)
    trip.sleep("a", None)
    assert trip.state("a") is N.WAITING
    sub = part("a", routed(step("x"), keys=N_KEY, name="sub"))
    assert "has begun" in trip.change(row(sub))
    trip.answer("a")
    assert trip.state("a") is N.RUNNING
    trip = Changing(step("a"), keys=N_KEY)
    trip.sleep("a", None)
    trip.hand(s.Pause())
    trip.answer("a")
    assert trip.state("a") is N.READY
    assert "has begun" in trip.change(row(sub))


def test_limits_of_a_step_that_waits_count_from_when_it_began_to():
    trip = Changing(step("a"), keys=N_KEY)
    trip.now = 10.0
    trip.sleep("a", None)
    trip.now = 30.0
    assert trip.change(row(step("a", timeout_s=5.0, total_timeout_s=7.0)), forced=True) == ""
    assert (trip.visit("a").attempt_due, trip.visit("a").total_due) == (15.0, 17.0)
    trip.now = 40.0
    trip.answer("a")
    assert (trip.visit("a").attempt_due, trip.visit("a").total_due) == (45.0, 47.0)
    assert trip.change(row(step("a", priority=3)), forced=True) == ""
    assert (trip.visit("a").attempt_due, trip.visit("a").total_due) == (None, None)


def test_a_step_in_doubt_goes_on_being_asked_about():
    trip = Changing(step("a", on_interrupt=OnInterrupt.ASK), keys=N_KEY)
    trip.take_over()
    assert trip.visit("a").in_doubt
    assert trip.change(row(step("a"))) == (
        "whether the lost attempt of a took effect is to be found out, and on_interrupt says retry in the changed "
        "graph: answer that question first"
    )
    assert trip.change(row(step("a", on_interrupt=OnInterrupt.ASK, priority=2))) == ""
    assert trip.state("a") is N.WAITING


@pytest.mark.parametrize(
    ("limit", "told"), [("timeout_s", "the attempt"), ("total_timeout_s", "the node with its")]
)
def test_a_step_that_is_stopped_for_a_limit_that_is_no_more_has_reached_it(limit: str, told: str):
    trip = Changing(step("a", **{limit: 5.0}), keys=N_KEY)
    trip.at(5.0)
    assert trip.state("a") is N.STOPPING
    assert trip.change(row(step("a")), s.TakeOver(epoch=2, owner="another"), forced=True) == ""
    assert trip.run.error.message.startswith(f"a: {told}")
    assert trip.run.error.message.endswith("took longer than its time limit")


def test_a_step_that_was_silent_for_longer_than_a_limit_that_is_no_more():
    trip = Changing(step("a", heartbeat_s=5.0), keys=N_KEY)
    trip.hand(s.HeartbeatMissed(path="a", attempt=1))
    assert trip.change(row(step("a")), s.TakeOver(epoch=2, owner="another"), forced=True) == ""
    assert "silent for longer than its heartbeat; it is to call" in trip.run.error.message


# What is refused ----------------------------------------------------------------------------------------


def test_the_token_has_to_be_somewhere():
    trip = Changing(step("a"), step("b"), keys=N_KEY)
    assert trip.change(row(step("b")), forced=True) == (
        "it is at a, which the changed graph does not have: fork it from an earlier checkpoint, or, if it waits "
        "at a barrier, reroute it first"
    )
    trip.write("a", n=1)
    assert trip.change(row(step("b")), forced=True) == ""
    sub = Changing(part("s", routed(step("x"), step("y"), keys=N_KEY, name="sub")), keys=N_KEY)
    assert "it is at s/x, which" in sub.change(row(part("s", routed(step("y"), keys=N_KEY, name="sub"))))


def test_the_token_may_not_be_at_a_former_step_that_is_gone_again():
    """Its way from there could not be decided; a second change must not lose the node either."""
    trip = Changing(step("a"), step("b"), keys=N_KEY, edges=(edge(START, "a"), edge("a", "b", ["below", "n", 1])))
    trip.write("a", n=1)
    assert trip.run.state is R.FAILED
    assert trip.change(row(step("a", priority=1), step("b")), forced=True) == ""
    assert trip.visit("a").node.former == 0
    assert "it is at a, which" in trip.change(row(step("b")), forced=True)
    trip.hand(s.RetryRun())
    assert trip.started == ["b"]


def test_runs_of_other_kinds_and_runs_that_are_over_do_not_change():
    plain = Changing(NodeSpec(id="a", kind="function"))
    assert plain.change(row(step("a"))).startswith("only a run of a state graph")
    trip = Changing(step("a"), keys=N_KEY)
    assert trip.change(GraphSpec(name="d", nodes=(NodeSpec(id="a", kind="function"),))).endswith(
        "of the same kind"
    )
    trip.write("a", n=1)
    assert trip.change(row(step("b"))) == "it has completed"
    failed = Changing(step("a"), keys=N_KEY)
    failed.fail("a")
    failed.machine.handle([s.Rollback()], 0.0)
    redefine = s.Redefine(graph="h", definition="d", spec=row(step("a")))
    assert failed.machine.handle([redefine], 0.0).refusals == {0: "it is rolled back"}
