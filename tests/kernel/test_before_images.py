"""What was there before a visit: recorded once, before its body is entered, and given to what puts it back."""

from __future__ import annotations

import pytest
from test_rollback_and_forks import Scene, node, raw, value

from clew.kernel import addresses
from clew.kernel import signals as s
from clew.kernel.definition import (
    CompensationSpec,
    EdgeSpec,
    ErrorPolicy,
    GraphSpec,
    InputSpec,
    KeySpec,
    MapSpec,
    NodeSpec,
    OnInterrupt,
    RouteSpec,
)
from clew.kernel.errors import DefinitionError
from clew.kernel.questions import BEFORE
from clew.kernel.states import NodeState, RunState
from clew.kernel.topology import compile_graph
from clew.kernel.values import FromInput, FromItem, FromNode, FromState, Known, ListOf, Literal, Pick
from clew.kernel.writes import Update


def restore(**inputs: object) -> CompensationSpec:
    return CompensationSpec(kind="restore", inputs=inputs, before=True)


def edit(id_: str = "edit", **more) -> NodeSpec:
    return node(id_, compensation=restore(paths=FromInput("file")), **more)


def scene(*nodes: NodeSpec, **more) -> Scene:
    return Scene(GraphSpec(name="g", nodes=nodes, inputs=(InputSpec(name="file"),), **more), file="a.txt")


def kept(scene: Scene, path: str, of: object, attempt: int = 1, number: str = "") -> None:
    """What was there before a visit is recorded."""
    key = f"{BEFORE}{number}"
    scene.tell(s.StepEnded(path=path, attempt=attempt, key=key, digest="", value=value(of), effect=True))


def given(*values: object) -> dict[str, object]:
    return {"before": ListOf(tuple(Known(value(each)) for each in values))}


def test_it_is_asked_for_with_each_attempt_and_kept():
    play = scene(edit(), node("last", after=("edit",)))
    (command,) = play.machine.outstanding()
    assert command.before == {"paths": Known(value("a.txt"), given=True)}
    assert (command.undo, command.steps) == (None, {})
    kept(play, "edit", "first")
    play.tell(s.TakeOver(epoch=2, owner="b"))
    (command,) = play.machine.outstanding()
    assert command.before is not None
    assert command.steps[BEFORE].value == value("first")
    kept(play, "edit", "second", attempt=2)  # what was recorded first counts
    play.done("edit", attempt=2)
    play.tell(s.Rollback())
    play.tell(s.AttemptStopped(path="last", attempt=1))
    (command,) = play.machine.outstanding()
    assert (command.path, command.inputs, command.before) == ("edit#undo", given("first"), None)
    play.done("edit#undo")
    assert play.run.state is RunState.ROLLED_BACK


def test_it_outlasts_failures_and_retries_of_the_run():
    play = scene(edit())
    kept(play, "edit", "first")
    play.fails("edit")
    play.tell(s.RetryRun())
    (command,) = play.machine.outstanding()
    assert (command.attempt, command.steps[BEFORE].value) == (2, value("first"))
    play.fails("edit", 2)
    (command,) = play.tell(s.Rollback()).commands
    assert command.inputs == given("first")


def test_it_outlasts_other_inputs():
    """What is made anew keeps it, and records what it did not record before."""
    play = scene(
        node("a", on_error=ErrorPolicy.CONTINUE),
        edit("b", inputs={"a": FromNode("a")}),
        node("c", after=("b",)),
    )
    play.fails("a")
    kept(play, "b", "first")
    play.tell(s.StepEnded(path="b", attempt=1, key="other", digest="", value=value(1), effect=True))
    play.done("b")
    play.fails("c")
    play.tell(s.RetryRun())
    play.done("a", "A", attempt=2)
    (command,) = play.machine.outstanding()
    assert (command.path, [*command.steps]) == ("b", [BEFORE])
    kept(play, "b", "more", attempt=2, number=" 2")
    play.done("b", attempt=2)
    play.fails("c", 2)
    (command,) = play.tell(s.Rollback()).commands
    assert (command.path, command.inputs) == ("b#undo", given("first", "more"))


def test_what_was_never_recorded_is_not_put_back():
    play = scene(edit())
    play.tell(s.Cancel())
    play.tell(s.AttemptStopped(path="edit", attempt=1))
    (command,) = play.tell(s.Rollback()).commands
    assert command.inputs == given()


def test_items_record_it_one_by_one():
    over = MapSpec(over=Literal(raw(["x", "y"])))
    play = Scene(GraphSpec(name="g", nodes=(node("m", map=over, compensation=restore(paths=FromItem())),)))
    play.tell(s.MapExpanded(path="m", count=2, keys=(), items=value(["x", "y"])))
    commands = {command.path: command for command in play.machine.outstanding()}
    assert commands["m[1]"].before == {"paths": Pick(Known(value(["x", "y"])), (1,))}
    kept(play, "m[1]", "y")
    play.done("m[1]")
    play.fails("m[0]")
    play.tell(s.Rollback())
    found = {command.path: command.inputs for command in play.machine.outstanding()}
    assert found == {"m[0]#undo": given(), "m[1]#undo": given("y")}


def test_probes_record_nothing():
    play = scene(edit(on_interrupt=OnInterrupt.PROBE, probe=raw("looks")))
    kept(play, "edit", "first")
    play.tell(s.TakeOver(epoch=2, owner="b"))
    (command,) = play.machine.outstanding()
    assert (command.probe, command.before, command.steps) == (True, None, {})
    play.done("edit", attempt=2)
    (command,) = play.tell(s.Rollback()).commands
    assert command.inputs == given("first")


def walk() -> Scene:
    routes = RouteSpec(
        keys=(KeySpec(name="file", default=raw("a.txt")),),
        edges=(EdgeSpec(source="", target="edit"), EdgeSpec(source="edit", target="")),
    )
    node_ = node("edit", compensation=restore(paths=FromState("file")))
    return Scene(GraphSpec(name="g", nodes=(node_,), routes=routes))


def test_in_a_state_graph_it_is_what_the_state_said_then():
    play = walk()
    (command,) = play.machine.outstanding()
    assert (command.before, command.undo) == ({"paths": Known(value("a.txt"))}, None)
    kept(play, "edit", "first")
    play.done("edit", update=Update(changes={"file": raw("b.txt")}))
    (command,) = play.tell(s.Rollback()).commands
    assert (command.path, command.inputs) == ("edit#undo", given("first"))


@pytest.mark.parametrize("other", [False, True])
def test_a_fork_records_its_own(other: bool):
    """What the first run found is not what the fork finds."""
    play = walk()
    kept(play, "edit", "first")
    if other:
        play.tell(s.StepEnded(path="edit", attempt=1, key="look", digest="", value=value(1)))
    play.tell(s.Fork(run="f", since=1.0))
    assert play.run.visits["edit"].state is NodeState.RUNNING
    (command,) = play.machine.outstanding()
    assert [*command.steps] == (["look"] if other else [])
    assert command.before is not None


def test_a_graph_has_nothing_before_it():
    inner = GraphSpec(name="in", nodes=(node("x"),))
    wrong = NodeSpec(id="s", kind="graph", graph=inner, compensation=restore())
    with pytest.raises(DefinitionError, match="s: what was there before is recorded for a body"):
        compile_graph(GraphSpec(name="g", nodes=(wrong,)))


@pytest.mark.parametrize("path", ["a", "s#2/m[x%23undo]"])
def test_the_address_of_what_is_undone_is_told(path: str):
    assert addresses.undone(addresses.undo(path)) == addresses.undone(path) == path
