"""Single steps of a paused run."""

from play import THREE, Play, graph, mapped, node

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import GraphSpec, OnInterrupt
from clew.kernel.machine import Machine
from clew.kernel.states import NodeState as N
from clew.kernel.states import RunState
from clew.kernel.topology import compile_graph


def paused(*nodes, **options) -> Play:
    play = Play(*nodes, paused=True, **options)
    assert play.run.state is RunState.PAUSED
    assert not play.decision.commands
    return play


def refusal(play: Play, path: str) -> str:
    decision = play.hand(s.Execute(path=path))
    assert not decision.commands
    assert not decision.events
    return decision.refusals[0]


def test_one_after_the_other():
    play = paused(node("a"), node("b", "a"), node("c"))
    play.hand(s.Execute(path="a"))
    assert play.started == ["a"]
    assert play.state("c") is N.READY
    assert not play.machine.is_idle
    play.succeed("a")
    assert play.run.state is RunState.PAUSED
    assert play.started == []
    assert play.machine.is_idle
    play.hand(s.Execute(path="b"))
    assert play.started == ["b"]
    play.succeed("b")
    play.hand(s.Resume())
    assert play.started == ["c"]
    play.succeed("c")
    assert play.run.state is RunState.COMPLETED


def test_what_cannot_be_executed_is_told_with_what_can():
    play = paused(node("a"), node("b", "a"), node("c"))
    assert refusal(play, "x") == "there is no step 'x' to be executed now; those that could be are a, c"
    play.hand(s.Execute(path="a"))
    assert refusal(play, "a") == "a is running already; those that could be are c"
    play.succeed("a")
    assert refusal(play, "a") == "a is completed already; those that could be are c, b"
    play.hand(s.Execute(path="c"))
    play.hand(s.Execute(path="b"))
    assert refusal(play, "c") == "c is running already; no step could be executed now"
    many = paused(*(node(f"n{i}") for i in range(10)))
    assert refusal(many, "x").endswith("n5, n6, n7 and 2 more")


def test_one_that_waits_for_its_retry_is_not_ready():
    play = Play(node("a", retry=THREE))
    play.fail("a")
    play.hand(s.Pause())
    assert refusal(play, "a").startswith("a is retrying, so that it cannot be executed now")


def test_only_while_paused():
    play = Play(node("a"))
    assert refusal(play, "a") == "single steps are executed while a run is paused, and it is running"


def test_there_has_to_be_room():
    play = paused(node("a"), node("b"), gate=lambda path, node: False)
    assert "there is no room for a at the moment" in refusal(play, "a")
    full = paused(node("a"), node("b"), max_concurrency=1)
    full.hand(s.Execute(path="b"))
    assert "there is no room for a" in refusal(full, "a")
    narrow = paused(mapped("m", max_concurrency=1))
    narrow.hand(s.Execute(path="m"))
    assert [command.path for command in narrow.commands(c.ExpandMap)] == ["m"]
    narrow.expand("m", 2)
    narrow.hand(s.Execute(path="m[0]"))
    assert "there is no room for m[1]" in refusal(narrow, "m[1]")


def test_groups_are_opened():
    play = Play(node("a"), node("g", "a", graph=graph(node("x"), node("y", "x"))))
    play.hand(s.Pause())
    play.succeed("a")
    play.hand(s.Execute(path="g"))
    assert play.state("g/x") is N.READY
    assert play.started == []
    play.hand(s.Execute(path="g/x"))
    play.succeed("g/x")
    play.hand(s.Execute(path="g/y"))
    play.succeed("g/y")
    assert play.state("g") is N.COMPLETED


def test_what_has_to_be_asked_is_asked():
    play = paused(node("a", irreversible=True))
    play.hand(s.Execute(path="a"))
    assert [event.path for event in play.events(e.WaitOpened)] == ["a"]
    assert play.started == []


def test_a_lost_step_is_ready_again():
    play = paused(node("a"), node("b", on_interrupt=OnInterrupt.ASK))
    play.hand(s.Execute(path="a"))
    play.hand(s.Execute(path="b"))
    play.hand(s.TakeOver(epoch=2, owner="o"))
    assert play.started == []
    play.hand(s.Execute(path="a"))
    assert play.visit("a").attempt == 2
    play.hand(s.Execute(path="b"))
    assert [event.path for event in play.events(e.WaitOpened)] == ["b"]


def test_the_last_step_ends_the_run():
    play = paused(node("a"))
    play.hand(s.Execute(path="a"))
    play.succeed("a")
    assert play.run.state is RunState.COMPLETED


def test_a_run_that_is_to_begin_paused_and_has_nothing_to_do_has_ended():
    machine = Machine(compile_graph(GraphSpec(name="empty")))
    machine.handle([s.Admit(run="run", graph="hash", definition="digest", paused=True)], 0.0)
    assert machine.run.state is RunState.COMPLETED
