"""What is stored can be read: events, snapshots, and machines restored from both."""

from __future__ import annotations

import msgspec
import pytest
from laws import EVENTS, IMAGE
from play import BOOM, Play, graph, mapped, node, value

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel import snapshot
from clew.kernel.commands import TakeSnapshot
from clew.kernel.errors import KernelError
from clew.kernel.fold import _FOLDS, fold
from clew.kernel.machine import Machine
from clew.kernel.state import Run


def test_every_event_has_a_fold_and_a_name():
    events = {x for x in vars(e).values() if isinstance(x, type) and issubclass(x, e.Event)} - {e.Event}
    assert events == set(e.AnyEvent.__args__) == set(_FOLDS)


def test_an_event_is_stored_by_name_without_what_goes_without_saying():
    text = msgspec.json.encode(e.AttemptStarted(at=1.5, path="a"))
    assert text == b'{"type":"attempt_started","at":1.5,"path":"a"}'


def test_values_of_events_are_stored_as_they_are():
    events = [e.NodeCompleted(at=1.0, path="a", output=value({"b": [1, None]}))]
    text = msgspec.json.encode(events)
    assert b'"output":{"json":{"b":[1,null]}}' in text
    assert EVENTS.decode(text) == events


def test_folding_counts_events():
    play = Play(node("a"))
    assert play.run.seq == len(play.witness.events) == 3


def test_an_event_about_what_has_not_begun_is_refused():
    play = Play(node("g", graph=graph(node("a"))), gate=lambda path, n: False)
    play.visit("g").inner = None
    with pytest.raises(KernelError, match="run run: g has not begun"):
        fold(play.run, e.GroupStopping(at=1.0, path="g", reason="failed", error=BOOM))
    with pytest.raises(KernelError, match="run x: the graph has not begun"):
        fold(Run("x", play.topology), e.GroupStopping(at=1.0, path="", reason="failed", error=BOOM))


def test_a_run_that_was_not_admitted_has_an_empty_snapshot():
    play = Play(node("a"))
    data = snapshot.image(Run("", play.topology))
    assert snapshot.image(snapshot.revive(data, play.topology)) == data


def rich() -> Play:
    """A run with everything in it that a snapshot must hold."""
    play = Play(
        mapped("m", collect=True, timeout_s=50.0), mapped("n", over="m"), node("g", graph=graph(node("a"))),
        node("b"), timeout_s=99.0,
    )  # fmt: skip
    play.expand("m", 3, keys=("x", "y", "z"))
    play.succeed("m[x]")
    play.fail("m[y]")
    play.hand(s.StepEnded(path="b", attempt=1, key="k", digest="d", value=value(1)))
    play.sleep("b", due=9.0)
    return play


def test_a_snapshot_holds_everything():
    play = rich()
    stored = msgspec.json.encode(snapshot.image(play.run))
    revived = snapshot.revive(IMAGE.decode(stored), play.topology)
    assert msgspec.json.encode(snapshot.image(revived)) == stored
    assert revived.snapshot_seq == play.run.seq


def test_what_happens_after_a_snapshot_does_not_change_it():
    play = rich()
    data = snapshot.image(play.run)
    stored = msgspec.json.encode(data)
    later = [e.StepFailed(at=1.0, path="b", key="l", digest="d", error=BOOM)]
    Machine.restore(play.topology, snapshot.revive(data, play.topology), later)
    play.hand(s.OpenWait(path="g/a", attempt=1, key="w", kind="answer"))
    assert msgspec.json.encode(data) == stored


def test_a_machine_is_restored_from_a_snapshot_and_the_rest():
    play = rich()
    data, before = snapshot.image(play.run), play.run.seq
    play.at(9.0)
    play.succeed("b")
    run = snapshot.revive(data, play.topology)
    machine = Machine.restore(play.topology, run, play.witness.events[before:])
    assert snapshot.image(machine.run) == snapshot.image(play.run)


def test_a_restored_machine_does_not_ask_for_a_snapshot_of_the_same():
    play = rich()
    play.run.seq = 5_000
    run = snapshot.revive(snapshot.image(play.run), play.topology)
    decision = Machine(play.topology, run).handle([s.Pause()], 1.0)
    assert TakeSnapshot() not in decision.commands


def test_states_are_shown_to_a_debugging_person():
    play = rich()
    assert repr(play.visit("m[x]")) == "<m[x] completed attempt 1>"
    assert repr(play.run.root) == "<group /: 0/4 settled, 3 active>"
    assert repr(play.visit("m").inner) == "<group m: 2/3 settled, 1 active>"


def test_members_have_states_and_addresses_before_they_begin():
    play = Play(node("a"), node("b", "a"))
    root = play.run.root
    assert (root.member_path(1), root.member_state(1)) == ("b", "pending")
    play.fail("a")
    assert root.member_state(1) == "cancelled"
