"""What a rollback has to undo when a run was retried or forked before, and what nobody agreed to."""

from __future__ import annotations

import msgspec
import pytest
from scenes import Scene, node, raw, undo, value

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import ErrorPolicy, GraphSpec, MapSpec, OnInterrupt
from clew.kernel.undoing import in_order, irreversible, order
from clew.kernel.values import FromOutput, Literal


def test_of_a_map_those_items_remain_that_were_made():
    spec = MapSpec(over=Literal(raw([1, 2])), max_concurrency=1)
    scene = Scene(GraphSpec(name="g", nodes=(node("m", map=spec, irreversible=True),)))
    scene.tell(s.MapExpanded(path="m", count=2, items=value([1, 2])))
    assert [visit.path for visit in irreversible(scene.run)] == []  # nobody has agreed to anything
    scene.tell(s.Answer(path="m[0]", key="#confirm", value=value("yes")))
    scene.done("m[0]", 1)
    scene.tell(s.Cancel())
    scene.tell(s.Rollback())
    failed = scene.log[-1]
    assert isinstance(failed, e.RollbackFailed)
    assert [(each.path, each.why) for each in failed.remaining] == [("m[0]", "irreversible")]


def test_whoever_did_not_agree_is_asked_again():
    answer = s.Answer(path="a", key="#confirm", value=value("no"))
    for said, state in (("no", "failed"), ("yes", "running")):
        scene = Scene(GraphSpec(name="g", nodes=(node("a", irreversible=True),)))
        scene.tell(answer)
        assert scene.started(scene.tell(s.RetryRun())) == []
        assert scene.run.visits["a"].state == "waiting"
        scene.tell(msgspec.structs.replace(answer, value=value(said)))
        assert scene.run.visits["a"].state == state
    scene.fails("a")
    assert scene.started(scene.tell(s.RetryRun())) == ["a"]  # which was agreed to


@pytest.mark.parametrize("asks", [False, True])
def test_what_was_begun_is_undone_though_the_run_was_retried_since(asks: bool):
    how = OnInterrupt.ASK if asks else OnInterrupt.RETRY
    scene = Scene(GraphSpec(name="g", nodes=(node("a", compensation=undo(o=FromOutput()), on_interrupt=how),)))
    if asks:
        scene.tell(s.TakeOver(epoch=2, owner="o"))
        scene.tell(s.Cancel())
        scene.tell(s.RetryRun())
        scene.tell(s.Answer(path="a", key="#interrupted", value=value({"done": 5})))
    else:
        scene.fails("a")
        scene.tell(s.RetryRun(), s.Pause())
        assert scene.run.visits["a"].started_at is None
    assert [visit.path for visit in in_order(order(scene.run))] == ["a#undo"]


def test_what_the_first_run_had_begun_before_a_retry_is_left_to_it():
    nodes = (node("a", compensation=undo()), node("b"))
    scene = Scene(GraphSpec(name="g", nodes=nodes, max_concurrency=1, on_error=ErrorPolicy.CONTINUE))
    scene.fails("a")
    scene.fails("b")
    scene.tell(s.RetryRun())
    assert [visit.path for visit in in_order(order(scene.run))] == ["a#undo"]
    assert scene.started(scene.tell(s.Fork(run="f", since=1.0))) == ["b"]
    assert list(in_order(order(scene.run))) == []
    assert scene.started(scene.done("b", attempt=2)) == ["a"]
    assert [visit.path for visit in in_order(order(scene.run))] == ["a#undo"]


def test_what_a_fork_does_anew_is_its_own_to_undo():
    nodes = (node("a", compensation=undo()), node("b"))
    scene = Scene(GraphSpec(name="g", nodes=nodes, on_error=ErrorPolicy.SKIP_DOWNSTREAM))
    scene.fails("a")
    scene.tell(s.Fork(run="f", since=1.0))
    scene.fails("b", 2)
    assert list(in_order(order(scene.run))) == []
    scene.tell(s.RetryRun())
    assert [visit.path for visit in in_order(order(scene.run))] == ["a#undo"]
