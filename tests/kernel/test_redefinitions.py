"""A run of a state graph goes on with another definition (SG9)."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from play import THREE, value
from reckoning import Reckoning
from trip import END, START, Trip, barrier, decided, each, edge, fallback, key, line, parallel, part, routed, step
from trip_rules import TripRules, unraw

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel import snapshot
from clew.kernel.definition import Backoff, GraphSpec, NodeSpec, OnInterrupt, Retry
from clew.kernel.fold import fold
from clew.kernel.machine import Machine
from clew.kernel.questions import DECISION
from clew.kernel.state import Run
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState as R
from clew.kernel.topology import compile_graph
from clew.kernel.values import FromState
from clew.kernel.visits import Walk

N_KEY = (key("n", "sum", default=0),)
LOG = key("log", "append", default=[])


class Changing(Trip):
    """A run whose definition changes; the reckoning goes on with the new one from there."""

    def change(self, spec: GraphSpec, *signals: s.AnySignal, forced: bool = False) -> str:
        """Hand in another definition, then other signals; why it is refused, if it is."""
        name = sha256(msgspec.json.encode(spec)).hexdigest()
        signal = s.Redefine(graph=f"hash {name}", definition=f"digest {name}", spec=spec, by="ann", forced=forced)
        before, self.reckoning = self.reckoning, None
        assert before is not None
        self.decision = self._decide(signal, *signals)
        if not self.refusal:
            _redefine(before, self.run, spec)
        before.heed([each for each in self.decision.events if not isinstance(each, e.DefinitionChanged)])
        self.reckoning = before
        before.compare(self.run)
        return self.refusal

    def _decide(self, *signals: s.AnySignal) -> Any:
        decision = self.machine.handle(signals, self.now)
        self.witness.observe(decision)
        return decision

    @property
    def definition(self) -> str:
        return self.run.definition

    def node_of(self, path: str) -> NodeSpec:
        return self.visit(path).node.spec


def _redefine(reckoning: Reckoning, run: Run, spec: GraphSpec) -> None:
    """What a change means for the state graphs that have not ended."""
    reckoning.spec = spec
    reckoning._nodes.clear()
    for path, book in sorted(reckoning.books.items()):
        group = run.visits[path].inner if path else run.root
        if not isinstance(group, Walk) or group.done or (path and run.visits[path].state is N.COMPLETED):
            continue
        before = book.keys
        book.spec = graph = reckoning.graph_at(path)
        assert graph.routes is not None
        book.routes, book.nodes = graph.routes, {node.id: node for node in graph.nodes}
        book.keys = {each.name: each for each in graph.routes.keys}
        book.new_generation()
        book.state = {name: plain for name, plain in book.state.items() if name in book.keys}
        outer = reckoning.books[reckoning.walk_path(path)] if path and reckoning.has_state(path) else None
        for name, spec_ in book.keys.items():
            same = name in before and bytes(before[name].default) == bytes(spec_.default)
            if name in book.state or same:
                continue
            if outer is not None and name in outer.state and name not in before:
                book.state[name] = outer.state[name]
            elif spec_.default:
                book.state[name] = unraw(spec_.default)


def row(*nodes: NodeSpec, keys: Any = N_KEY, **options: Any) -> GraphSpec:
    return routed(*nodes, keys=keys, name="play", max_concurrency=100, **options)


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
    trip = Changing(step("a"), step("b"), step("c"), keys=N_KEY)
    trip.machine._flow.rules = None
    trip.hand(s.Pause())
    trip.hand(s.Resume())
    assert trip.hand(s.AttemptStopped(path="a", attempt=1)).events == []
    trip.machine._flow.rules = TripRules()
    edges = (edge(START, "a"), edge("a", "c"), edge("c", END))
    assert trip.change(row(step("a"), step("c"), edges=edges)) == ""
    trip.write("a", n=1)
    assert trip.started == ["c"]


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


# Keys ---------------------------------------------------------------------------------------------------


def test_new_keys_begin_with_their_defaults_and_old_ones_keep_what_they_have():
    keys = (key("a", default=1), key("b", default=1), key("c"), key("d", default=1), key("e", default=1))
    trip = Changing(step("x"), step("y"), keys=keys)
    trip.write("x", b=2, delete=("d", "e"))
    after = (key("a", default=9), key("b", "sum", default=9), key("c", default=3), key("d", default=1))
    new = (*after, key("e", default=2), key("f", default=4), key("g"))
    assert trip.change(row(step("x"), step("y"), keys=new)) == ""
    assert trip.state_of() == {"a": 1, "b": 2, "c": 3, "e": 2, "f": 4}
    trip.write("y", b=5, g=0)
    assert trip.state_of() == {"a": 1, "b": 7, "c": 3, "e": 2, "f": 4, "g": 0}


def test_a_key_that_is_gone_takes_its_value_with_it():
    trip = Changing(step("x"), step("y"), keys=(key("a"), key("b")))
    trip.write("x", a=1, b=2)
    assert trip.change(row(step("x"), step("y"), keys=(key("b"),)), forced=True) == ""
    assert trip.state_of() == {"b": 2}
    assert trip.change(row(step("x"), step("y"), keys=(key("a"), key("b"))), forced=True) == ""
    assert trip.state_of() == {"b": 2}


# Barriers -----------------------------------------------------------------------------------------------


def test_a_decision_is_one_on_the_state_as_it_is_after_the_change():
    trip = Changing(barrier("ok", timeout_s=60.0), keys=(*N_KEY, *decided("ok")))
    shown = trip.visit("ok").waits[DECISION].digest
    keys = (*N_KEY, *decided("ok"))
    assert trip.change(row(barrier("ok", timeout_s=60.0), step("a"), keys=keys)) == ""
    assert trip.events(e.WaitOpened) == []
    assert trip.change(row(barrier("ok", timeout_s=60.0), step("a"), keys=(*keys, key("m", default=1)))) == ""
    (again,) = trip.events(e.WaitOpened)
    assert (again.due, again.digest == shown) == (60.0, False)
    trip.decide("ok", "approve", shown=shown)
    assert "look at it again" in trip.refusal
    trip.decide("ok", "approve", shown=again.digest)
    assert trip.started == ["a"]


def test_a_barrier_that_waits_can_be_rerouted_before_it_goes():
    keys = (*N_KEY, *decided("ok"))
    trip = Changing(barrier("ok"), step("a"), keys=keys)
    without = row(step("a"))
    assert "it is at ok" in trip.change(without, forced=True)
    trip.decide("ok", "reroute", target="a")
    assert trip.change(without, forced=True) == ""
    trip.write("a", n=1)
    assert (trip.run.state, trip.state_of()) == (R.COMPLETED, {"n": 1})


# What is in a step --------------------------------------------------------------------------------------


def test_a_sub_graph_that_is_under_way_changes_with_its_graph():
    keys = (*N_KEY, key("own", default=1))
    trip = Changing(part("s", routed(step("x"), step("y"), keys=keys, name="sub")), keys=N_KEY)
    trip.write("s/x", n=1, own=2)
    keys = (*N_KEY, key("own", default=1), key("m", default=0), key("k", default=0))
    sub = routed(step("x", priority=1), step("y"), step("z"), keys=keys, name="sub")
    assert trip.change(row(part("s", sub), keys=(*N_KEY, key("m", default=5))), forced=True) == ""
    assert trip.state_of("s") == {"n": 1, "own": 2, "m": 5, "k": 0}
    assert [each.id for each in trip.run.former] == ["x"]
    trip.write("s/y", n=1)
    assert trip.started == ["s/z"]
    trip.write("s/z", m=6)
    assert (trip.run.state, trip.state_of()) == (R.COMPLETED, {"n": 2, "m": 6})


def test_a_sub_graph_that_does_not_know_yet_what_it_starts_with():
    inputs = {"n": FromState("n")}
    trip = Changing(part("s", routed(step("x"), keys=N_KEY, name="sub"), inputs=inputs), keys=N_KEY)
    assert not trip.walk("s").entered
    sub = routed(step("x"), keys=(*N_KEY, key("m", default=1)), name="sub")
    assert trip.change(row(part("s", sub, inputs=inputs)), forced=True) == ""
    trip.gathered("s", {"n": 4})
    assert trip.state_of("s") == {"n": 4, "m": 1}


def test_branches_that_have_begun_go_on_with_the_nodes_that_they_are():
    keys = (LOG, key("m"))
    trip = Changing(parallel("p", step("a"), step("b")), keys=keys)
    trip.write("p/a", log=["a"], m=1)
    assert trip.change(row(parallel("p", step("a"), step("b"), step("c")), keys=keys), forced=True) == (
        "p has begun, and has other nodes, or nodes that depend on others, in the changed graph: what runs side "
        "by side goes on with the nodes that it has; let it end first"
    )
    assert trip.change(row(parallel("p", step("a"), step("b", timeout_s=9.0)), keys=(LOG,)), forced=True) == ""
    assert trip.visit("p/b").attempt_due == 9.0
    assert [write.key for write in trip.visit("p/a").writes] == ["log"]
    trip.write("p/b", log=["b"])
    assert (trip.run.state, trip.state_of()) == (R.COMPLETED, {"log": ["a", "b"]})


def test_what_a_branch_is_to_write_to_a_key_that_is_gone_is_gone_though_the_branches_stay():
    trip = Changing(
        parallel("p", step("a"), part("s", routed(step("x"), keys=(LOG,), name="sub"))), keys=(LOG, key("m"))
    )
    trip.write("p/a", m=1)
    trip.write("p/s/x", log=["x"])
    again = Changing(parallel("p", step("a"), step("b")), keys=(LOG, key("m")))
    again.write("p/a", m=1, log=["a"])
    assert again.change(row(parallel("p", step("a"), step("b")), keys=(LOG,)), forced=True) == ""
    again.write("p/b", log=["b"])
    assert (again.run.state, again.state_of()) == (R.COMPLETED, {"log": ["a", "b"]})


def test_items_go_on_as_they_are_declared_now():
    sub = routed(step("x"), keys=(LOG,), name="sub")
    trip = Changing(each("m", FromState("log"), sub, collect=True), keys=(LOG,))
    trip.expand("m", 3)
    trip.write("m[0]/x", log=[0])
    trip.fail("m[1]/x")
    now = routed(step("x"), step("y"), keys=(LOG,), name="sub")
    spec = row(each("m", FromState("log"), now, collect=True, total_timeout_s=50.0), keys=(LOG,))
    assert trip.change(spec, forced=True) == ""
    assert (trip.visit("m").total_due, trip.visit("m[2]").total_due) == (50.0, None)
    assert trip.state("m[0]") is N.COMPLETED
    trip.write("m[2]/x", log=[2])
    assert trip.started == ["m[2]/y"]
    trip.write("m[2]/y", log=[3])
    assert trip.state_of() == {"log": [0, 2, 3]}
    assert trip.run.state is R.COMPLETED


def test_a_dependency_graph_that_has_begun_goes_on_as_declared_now():
    def inner(**options: Any) -> GraphSpec:
        a, b = NodeSpec(id="a", kind="function"), NodeSpec(id="b", kind="function", after=("a",), **options)
        return GraphSpec(name="dag", nodes=(a, b))

    trip = Changing(part("d", inner()), keys=N_KEY)
    trip.succeed("d/a")
    assert trip.change(row(part("d", inner(retry=THREE))), forced=True) == ""
    trip.fail("d/b")
    assert trip.state("d/b") is N.RETRYING
    other = GraphSpec(name="dag", nodes=(NodeSpec(id="a", kind="function"), NodeSpec(id="b", kind="function")))
    assert "nodes that depend on others" in trip.change(row(part("d", other)), forced=True)


# The run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "given", "due"),
    [
        (None, 60.0, None, 70.0),
        (20.0, 60.0, None, 60.0),
        (20.0, None, None, None),
        (20.0, 20.0, None, 20.0),
        (20.0, 60.0, 30.0, 30.0),
    ],
)
def test_the_time_that_a_run_has_had_counts(before: Any, after: Any, given: Any, due: Any):
    topology = compile_graph(row(step("a"), timeout_s=before))
    machine = Machine(topology, rules=TripRules())
    admit = s.Admit(run="r", graph="h", definition="d", inputs={"n": value(0)}, timeout_s=given)
    machine.handle([admit], 0.0)
    spec = row(step("a"), step("b"), timeout_s=after)
    decision = machine.handle([s.Redefine(graph="i", definition="e", spec=spec)], 10.0)
    assert decision.refusals == {}
    assert machine.run.due == due
    assert machine.wake_at == due


def test_a_snapshot_is_due_soon_because_none_is_of_this_definition():
    trip = Changing(step("a"), keys=N_KEY)
    trip.run.snapshot_seq = trip.run.seq
    assert trip.change(row(step("a"), step("b"))) == ""
    assert trip.run.snapshot_seq == 0
