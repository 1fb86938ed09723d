"""Rollbacks, forks, confirmations and usage, decided by hand; after each decision, folding and snapshots agree."""

from __future__ import annotations

import msgspec
import pytest
from scenes import Scene, node, raw, undo, value

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import (
    BarrierSpec,
    EdgeSpec,
    GraphSpec,
    InputSpec,
    KeySpec,
    MapSpec,
    NodeSpec,
    OnInterrupt,
    RouteSpec,
)
from clew.kernel.invariants import check
from clew.kernel.machine import Machine
from clew.kernel.states import RunState
from clew.kernel.topology import compile_graph
from clew.kernel.undoing import in_order, order
from clew.kernel.values import (
    DictOf,
    Expression,
    FromInput,
    FromNode,
    FromOutput,
    FromState,
    Known,
    ListOf,
    Literal,
    Pick,
    Undo,
)
from clew.kernel.writes import Judgement, Update


def shop(**more) -> GraphSpec:
    inner = GraphSpec(name="in", nodes=(node("x", compensation=undo(out=FromOutput())), node("y", after=("x",))))
    return GraphSpec(
        name="shop",
        nodes=(
            node("a", compensation=undo(o=FromOutput(), t=FromInput("t"))),
            node("b", inputs={"a": FromNode("a")}),
            NodeSpec(id="s", kind="graph", graph=inner, after=("b",)),
            node("c", inputs={"a": FromNode("a")}, compensation=undo(o=FromOutput())),
            node("d", after=("s", "c"), compensation=undo(o=FromOutput())),
        ),
        inputs=(InputSpec(name="t"),),
        **more,
    )


def sold(**more) -> Scene:
    scene = Scene(shop(**more), t="T")
    scene.done("a", "A")
    undoing = Undo(kind="function", body=raw("refund"), inputs={"n": value(5)}, output="out")
    scene.tell(s.StepBegun(path="b", attempt=1, key="charge", digest="x", undo=undoing))
    scene.tell(s.StepEnded(path="b", attempt=1, key="charge", digest="x", value=value("ch"), effect=True))
    lost = Undo(kind="function", body=raw("refund"), output="out")
    scene.tell(s.StepBegun(path="b", attempt=1, key="lost", digest="x", undo=lost))
    plain = Undo(kind="function", body=raw("refund"))
    scene.tell(s.StepBegun(path="b", attempt=1, key="plain", digest="x", undo=plain))
    scene.done("b", "B")
    scene.done("c", "C")
    scene.done("s/x")
    scene.done("s/y")
    return scene


def test_a_failed_run_is_rolled_back_in_reverse_causal_order():
    scene = sold(rollback=True)
    decision = scene.fails("d", used={"cpu_s": 1.5, "peak_memory_bytes": 7.0})
    assert scene.run.used == scene.run.visits["d"].used == {"cpu_s": 1.5, "peak_memory_bytes": 7.0}
    assert scene.run.state is RunState.ROLLING_BACK
    assert scene.started(decision) == ["d#undo"]
    scene.tell(s.Cancel())
    assert "rolled back" in scene.refusals[0]
    scene.tell(s.Rollback())
    assert scene.refusals[0] == "it is rolling back already"
    assert scene.started(scene.done("d#undo", used={"cpu_s": 1.0, "peak_memory_bytes": 5.0})) == [
        "c#undo",
        "s/x#undo",
    ]
    assert scene.run.used == {"cpu_s": 2.5, "peak_memory_bytes": 7.0}
    scene.done("c#undo")
    for attempt in (1, 2, 3):
        decision = scene.fails("s/x#undo", attempt)
        scene.now += 1_000
        decision = scene.tell(s.Tick()) if attempt < 3 else decision
    assert scene.started(decision) == ["b#undo[plain]"]
    assert scene.started(scene.done("b#undo[plain]")) == ["b#undo[lost]"]
    decision = scene.done("b#undo[lost]")
    (command,) = decision.commands
    assert command.inputs == {"n": Known(value(5)), "out": Known(value("ch"))}
    (command,) = scene.done("b#undo[charge]").commands
    assert command.inputs == {"o": Known(value("A")), "t": Known(value("T"), given=True)}
    scene.done("a#undo")
    assert scene.run.state is RunState.ROLLBACK_FAILED
    (failed,) = [each for each in scene.log if isinstance(each, e.RollbackFailed)]
    assert [(each.path, each.why) for each in failed.remaining] == [("s/x", "boom")]
    scene.tell(s.RetryRun())
    assert "start a new run" in scene.refusals[0]
    scene.tell(s.Rollback(by="ann"))
    scene.done("s/x#undo", attempt=4)
    assert scene.run.state is RunState.ROLLED_BACK
    scene.tell(s.Rollback())
    assert scene.refusals[0] == "it is rolled back already"


def test_what_would_be_undone_is_told_in_an_order_that_serves():
    scene = sold()
    paths = [visit.path for visit in in_order(order(scene.run))]
    assert paths.index("s/x#undo") < paths.index("b#undo[charge]") < paths.index("a#undo")
    assert scene.run.undoing is None


def test_a_run_that_goes_on_is_cancelled_first():
    scene = sold()
    decision = scene.tell(s.Rollback(by="ann"))
    assert scene.run.state is RunState.STOPPING
    assert decision.commands
    scene.tell(s.Rollback())
    assert "just ending" in scene.refusals[0]
    scene.tell(s.AttemptStopped(path="d", attempt=1, used={"cpu_s": 1.0}))
    assert scene.run.state is RunState.ROLLING_BACK
    scene.tell(s.TakeOver(epoch=2, owner="o"))
    assert scene.run.reason == "rolled back by ann"


def test_nothing_to_undo_is_undone_at_once():
    scene = Scene(GraphSpec(name="g", nodes=(node("a"), node("m", map=MapSpec(over=Literal(raw([])))))))
    scene.tell(s.MapExpanded(path="m", count=0))
    scene.done("a")
    scene.tell(s.Rollback())
    assert scene.run.state is RunState.ROLLED_BACK
    empty = Scene(GraphSpec(name="empty"))
    empty.tell(s.Rollback())
    assert empty.run.state is RunState.ROLLED_BACK


def test_items_are_undone_one_by_one_and_what_has_failed_without_its_output():
    spec = MapSpec(over=Literal(raw([1, 2])))
    scene = Scene(GraphSpec(name="g", nodes=(node("m", map=spec, compensation=undo(o=FromOutput())),)))
    scene.tell(s.MapExpanded(path="m", count=2, items=value([1, 2])))
    scene.done("m[0]", 1)
    scene.fails("m[1]")
    decision = scene.tell(s.Rollback())
    given = {each.path: type(each.inputs["o"]).__name__ for each in decision.commands}
    assert given == {"m[0]#undo": "Known", "m[1]#undo": "Absent"}


def test_every_recipe_is_filled_with_the_output():
    inputs = {
        "pick": Pick(FromOutput(), ("k",)),
        "list": ListOf((FromOutput(),)),
        "dict": DictOf({"o": FromOutput()}),
        "text": Expression("{{ o }}", {"o": FromOutput()}),
        "other": Literal(raw(1)),
    }
    scene = Scene(GraphSpec(name="g", nodes=(node("a", compensation=undo(**inputs)),)))
    scene.done("a", {"k": 1})
    (command,) = scene.tell(s.Rollback()).commands
    out = Known(value({"k": 1}))
    assert command.inputs["pick"] == Pick(out, ("k",))
    assert command.inputs["text"] == Expression("{{ o }}", {"o": out})
    failed = Scene(GraphSpec(name="g", nodes=(node("a", compensation=undo(**inputs)),)))
    failed.fails("a")
    (command,) = failed.tell(s.Rollback()).commands
    assert type(command.inputs["pick"]).__name__ == "Absent"


def test_what_cannot_be_undone_is_agreed_to_first_and_remains():
    scene = Scene(GraphSpec(name="g", nodes=(node("a", irreversible=True),)))
    assert scene.run.visits["a"].state == "waiting"
    answer = s.Answer(path="a", key="#confirm", value=value("perhaps"))
    scene.tell(answer)
    assert scene.refusals[0] == "the answer is yes or no"
    scene.tell(msgspec.structs.replace(answer, value=value("yes")))
    scene.done("a")
    scene.tell(s.Rollback())
    assert scene.run.state is RunState.ROLLBACK_FAILED
    no = Scene(GraphSpec(name="g", nodes=(node("a", irreversible=True),)))
    no.tell(msgspec.structs.replace(answer, value=value("no"), by="ann"))
    assert no.run.error is not None
    assert "not agreed to by ann" in no.run.error.message


# Forks -------------------------------------------------------------------------------------------------


def talk() -> GraphSpec:
    return GraphSpec(
        name="talk",
        nodes=(
            node("say", compensation=undo(s=FromState("n"), o=FromOutput()), timeout_s=9.0),
            NodeSpec(id="review", kind="barrier", barrier=BarrierSpec(timeout_s=10)),
            node("end", exclusive=Literal(raw("k"))),
        ),
        routes=RouteSpec(
            keys=(KeySpec(name="n"), KeySpec(name="review.approved"), KeySpec(name="review.reject_reason")),
            edges=(
                EdgeSpec(source="", target="say"),
                EdgeSpec(source="say", target="review"),
                EdgeSpec(source="review", target="end"),
                EdgeSpec(source="end", target=""),
            ),
        ),
    )


def said() -> Scene:
    scene = Scene(talk(), n=1)
    update = Update(changes={"n": raw(2)})
    scene.done("say", update=update, undo=value({"s": 1, "o": {"n": 2}}))
    return scene


def test_a_fork_shifts_what_is_due_and_asks_again_about_another_state():
    scene = said()
    scene.tell(s.Decide(barrier="review#2", judgement=Judgement(kind="approve")))
    scene.tell(s.Pause())
    scene.now = 101.0
    scene.tell(s.Fork(run="f", since=1.0, labels={"a": "b"}, changes={"n": raw(7)}, by="ann"))
    assert (scene.run.id, scene.run.origin, scene.run.state) == ("f", ("r", 9), RunState.RUNNING)
    assert scene.run.kept == {}
    assert scene.machine.wake_at == 111.0
    assert (scene.run.root.cells["n"].text(), scene.run.visits["say"].inherited) == (raw(7), True)
    scene.tell(s.Decide(barrier="review", judgement=Judgement(kind="approve")))
    scene.done("end", update=Update())
    scene.tell(s.Rollback())
    assert scene.run.state is RunState.ROLLED_BACK  # what the first run said is not this one's to undo


def test_compensations_in_a_state_graph_are_given_what_was_kept():
    scene = said()
    scene.tell(s.Cancel())
    (command,) = scene.tell(s.Rollback()).commands
    assert command.inputs["s"] == Pick(Known(value({"s": 1, "o": {"n": 2}})), ("s",))


@pytest.mark.parametrize("changes", [{}, {"n": raw(5)}])
def test_what_is_under_way_is_left_to_the_first_run(changes: dict):
    scene = Scene(talk(), n=1)
    scene.tell(s.StepBegun(path="say", attempt=1, key="open", digest="x"))
    scene.tell(s.OpenWait(path="say", attempt=1, key="nap", kind="timer", due=50.0))
    scene.tell(s.OpenWait(path="say", attempt=1, key="k", kind="key", name="k"))
    scene.tell(s.KeyTaken(path="say", key="k"))
    scene.tell(s.OpenWait(path="say", attempt=1, key="k2", kind="key", name="k2"))
    scene.tell(s.Fork(run="f", since=1.0, changes=changes))
    visit = scene.run.visits["say"]
    assert (visit.attempt, visit.interruptions, visit.steps) == (2, 0, None)
    assert "k" not in (visit.waits or {})


def test_an_attempt_that_waits_goes_on_in_the_fork():
    scene = Scene(talk(), n=1)
    scene.tell(s.OpenWait(path="say", attempt=1, key="nap", kind="timer", due=50.0))
    scene.tell(s.AttemptIdle(path="say", attempt=1, keys=("nap",)))
    scene.now = 11.0
    scene.tell(s.Fork(run="f", since=1.0))
    assert scene.machine.wake_at == 60.0
    scene.now = 60.0
    scene.tell(s.Tick())
    assert scene.run.visits["say"].started_at == 60.0


def test_forks_that_cannot_be():
    scene = said()
    scene.tell(s.Fork(run="f", since=1.0, changes={"m": raw(1)}))
    assert "'m' is no key" in scene.refusals[0]
    plain = Scene(GraphSpec(name="g", nodes=(node("a", on_interrupt=OnInterrupt.ASK),), timeout_s=60))
    plain.tell(s.Fork(run="f", since=1.0, changes={"m": raw(1)}))
    assert "no" in plain.refusals[0]
    plain.tell(s.Fork(run="f", since=1.0))
    plain.done("a", attempt=2)
    plain.tell(s.Fork(run="g", since=1.0))
    assert "choose an earlier one" in plain.refusals[0]


def test_members_tell_their_addresses():
    scene = sold()
    undoing = order(scene.run)
    assert undoing.member_path(0).endswith("#undo")
    assert said().run.root.member_path(0) == "say"


def test_a_rollback_that_does_not_end_is_found():
    scene = Scene(GraphSpec(name="g", nodes=(node("a"),)))
    scene.done("a")
    scene.tell(s.Rollback())
    scene.run.state, scene.run.ended_at = RunState.ROLLING_BACK, None
    assert check(scene.run) == ["everything is undone and the rollback has not ended"]


def test_usage_of_several_attempts_is_summed_and_steps_without_compensation_stay():
    scene = Scene(GraphSpec(name="g", nodes=(node("a"),)))
    scene.tell(s.StepBegun(path="a", attempt=1, key="mail", digest="x"))
    scene.tell(s.StepEnded(path="a", attempt=1, key="mail", digest="x", value=value(1), effect=True))
    scene.fails("a", used={"cpu_s": 1.0})
    scene.tell(s.RetryRun())
    scene.fails("a", 2, used={"cpu_s": 2.0})
    assert scene.run.visits["a"].used == {"cpu_s": 3.0}
    scene.tell(s.Rollback())
    assert scene.run.state is RunState.ROLLED_BACK


def test_what_came_about_is_inherited_as_it_is():
    scene = Scene(talk(), n=1)
    scene.tell(s.OpenWait(path="say", attempt=1, key="nap", kind="timer", due=2.0))
    scene.now = 3.0
    scene.tell(s.Tick())
    scene.tell(s.Fork(run="f", since=1.0))
    assert scene.run.visits["say"].waits["nap"].outcome == "fired"


def test_whoever_has_no_rules_takes_no_word_for_what_was_written():
    machine = Machine(compile_graph(GraphSpec(name="g", nodes=(node("a"),))))
    machine.handle([s.TakeOver(epoch=2, owner="o")], 1.0)
    routes = RouteSpec(edges=(EdgeSpec(source="", target="a"), EdgeSpec(source="a", target="")))
    graph = GraphSpec(name="w", nodes=(node("a", on_interrupt=OnInterrupt.ASK),), routes=routes)
    scene = Scene(graph)
    scene.tell(s.TakeOver(epoch=2, owner="o"))
    other = Machine.restore(scene.topology, None, scene.log)
    refusals = other.handle([s.Answer(path="a", key="#interrupted", value=value({"done": {}}))], 2.0).refusals
    assert "where the run goes on" in refusals[0]
