"""Messages to a run: each is received once, in order, by whoever has waited longest for its name."""

from __future__ import annotations

import json

from play import THREE, Play, graph, mapped, node, value

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import ErrorPolicy
from clew.kernel.values import FromNode
from clew.kernel.waiting import MAX_MAIL

LOOSE = {"on_error": ErrorPolicy.CONTINUE}


def receive(play: Play, path: str, key: str = "mail", name: str = "m", due: float | None = None) -> None:
    play.wait(path, key, "message", name=name, due=due)


def received(play: Play) -> list[tuple[str, object]]:
    """Who was given which message by the last decision."""
    resolved = [x for x in play.events(e.WaitResolved) if x.outcome == "received"]
    return [(x.path, json.loads(bytes(x.value.json))) for x in resolved]


def lying(play: Play, name: str = "m") -> list[object]:
    return [json.loads(bytes(message.value.json)) for message in play.run.mail.get(name, [])]


def test_a_message_wakes_the_body_that_waits_for_it():
    play = Play(node("a"))
    receive(play, "a")
    play.idle("a", "mail")
    assert play.machine.is_idle
    play.send("m", {"x": 1})
    assert received(play) == [("a", {"x": 1})]
    (command,) = play.commands(c.StartAttempt)
    assert (command.resumed, command.waits["mail"].by) == (True, "you")


def test_a_message_that_comes_first_lies_until_it_is_received():
    play = Play(node("a"))
    play.send("m", 1)
    assert [type(x) for x in play.events()] == [e.MessageArrived]
    play.take_over()
    receive(play, "a")
    assert received(play) == [("a", 1)]
    assert play.run.mail == {}


def test_messages_are_received_in_order_by_those_who_wait_in_order():
    play = Play(node("a"), node("b"), node("c"))
    for path in ("b", "c", "a"):
        receive(play, path)
    play.take_over()
    play.hand(*(s.Send(name="m", value=value(number)) for number in range(2)))
    assert received(play) == [("b", 0), ("c", 1)]
    play.send("m", 2)
    play.send("m", 3)
    assert (received(play), lying(play)) == ([], [3])


def test_a_message_goes_by_its_name():
    play = Play(node("a"))
    receive(play, "a")
    play.send("n", 1)
    assert received(play) == []
    receive(play, "a", "other", "n")
    assert received(play) == [("a", 1)]


def test_a_body_may_wait_for_more_than_one():
    play = Play(node("a"))
    receive(play, "a", "first")
    receive(play, "a", "second")
    play.send("m", 1)
    play.send("m", 2)
    waits = play.visit("a").waits
    assert [json.loads(bytes(waits[key].value.json)) for key in ("first", "second")] == [1, 2]


def test_one_who_has_waited_long_enough_takes_no_message():
    play = Play(node("a"), node("b"))
    receive(play, "a", due=5.0)
    receive(play, "b")
    play.at(5.0)
    assert play.visit("a").waits["mail"].outcome == "expired"
    play.send("m", 1)
    assert received(play) == [("b", 1)]


def test_whoever_waits_in_vain_again_and_again_is_remembered_once():
    play = Play(node("a"))
    for turn in range(50):
        receive(play, "a", f"turn {turn}", due=turn + 1.0)
        play.at(turn + 1.0)
    receive(play, "a", "last")
    assert len(play.run.receivers["m"]) == 1


def test_a_body_that_is_stopped_for_good_receives_nothing():
    play = Play(node("a"), node("b"))
    receive(play, "a")
    play.fail("b")
    play.send("m", 1)
    assert (received(play), lying(play)) == ([], [1])
    assert play.run.receivers == {}


def test_a_body_that_is_stopped_for_a_pause_is_not_forgotten():
    play = Play(node("a"), node("b"))
    receive(play, "a")
    play.hand(s.Pause(stop_attempts=True))
    play.send("m", 1)
    assert received(play) == [("a", 1)]
    play.acknowledge("a")
    play.hand(s.Resume())
    assert play.commands(c.StartAttempt)[0].waits["mail"].outcome == "received"


def test_an_attempt_that_was_lost_still_waits_for_its_message():
    play = Play(node("a"))
    receive(play, "a")
    play.take_over()
    play.send("m", 1)
    assert received(play) == [("a", 1)]


def test_what_an_attempt_has_received_serves_the_next_one():
    play = Play(node("a", retry=THREE))
    play.send("m", 1)
    receive(play, "a")
    receive(play, "a", "more")
    play.fail("a")
    play.send("m", 2)
    assert lying(play) == [2], "nobody waits any more"
    play.at(1.0)
    assert list(play.commands(c.StartAttempt)[0].waits) == ["mail"]
    receive(play, "a", "more")
    assert received(play) == [("a", 2)]


def test_a_retry_of_the_run_keeps_what_was_received_and_what_lies_there():
    play = Play(node("a"))
    play.send("m", 1)
    play.send("m", 2)
    receive(play, "a")
    play.fail("a")
    play.hand(s.RetryRun())
    assert list(play.commands(c.StartAttempt)[0].waits) == ["mail"]
    assert lying(play) == [2]


def test_what_is_made_anew_gives_its_messages_back_to_their_places():
    play = Play(node("u", **LOOSE), node("a", inputs={"u": FromNode("u")}), node("b", inputs={"u": FromNode("u")}))
    play.fail("u")
    for number in range(1, 6):
        play.send("m", number)
    for path, key in (("a", "first"), ("b", "first"), ("a", "second"), ("b", "second")):
        receive(play, path, key)
    play.wait("a", "q", "answer")
    play.answer("a", "q")
    play.hand(s.Cancel())
    play.acknowledge("a", "b")
    play.hand(s.RetryRun())
    assert lying(play) == [1, 2, 3, 4, 5]
    play.succeed("u")
    assert [command.waits for command in play.commands(c.StartAttempt)] == [{}, {}]
    receive(play, "b")
    assert received(play) == [("b", 1)]


def test_a_completed_visit_that_is_made_anew_gives_its_messages_back():
    play = Play(node("u", **LOOSE), node("a", inputs={"u": FromNode("u")}))
    play.fail("u")
    for number in range(1, 4):
        play.send("m", number)
    receive(play, "a", "first")
    receive(play, "a", "second")
    play.take_over()
    play.succeed("a")
    assert lying(play) == [3]
    play.hand(s.RetryRun())
    assert lying(play) == [1, 2, 3]


def test_what_is_dropped_with_its_sub_graph_gives_its_messages_back_too():
    inner = graph(node("x"), node("y"))
    play = Play(node("u", **LOOSE), node("g", graph=inner, inputs={"u": FromNode("u")}))
    play.fail("u")
    play.send("m", 1)
    receive(play, "g/x")
    play.hand(s.Cancel())
    play.acknowledge("g/x", "g/y")
    play.hand(s.RetryRun())
    assert ("g/x" in play.run.visits, lying(play)) == (False, [1])


def test_messages_that_a_sub_graph_gives_back_when_it_begins_again_are_handed_out():
    """The members of a bounded map of sub-graphs begin again one after the other, in a run that goes on."""
    inner = graph(node("u", **LOOSE), node("x", inputs={"u": FromNode("u")}))
    play = Play(mapped("m", graph=inner, max_concurrency=1, collect=True), node("r"))
    play.expand("m", 2)
    play.succeed("m[0]/u")
    play.fail("m[0]/x")
    play.fail("m[1]/u")
    play.send("m", 1)
    receive(play, "m[1]/x")
    assert received(play) == [("m[1]/x", 1)]
    play.hand(s.Cancel())
    play.acknowledge("m[1]/x", "r")
    play.hand(s.RetryRun())
    assert play.started == ["r", "m[0]/x"]
    receive(play, "r")
    assert received(play) == []
    play.succeed("m[0]/x")
    assert received(play) == [("r", 1)]


def test_a_wait_that_was_forgotten_is_not_taken_for_a_later_one_of_that_key():
    play = Play(node("a", retry=THREE), node("b"))
    receive(play, "a")
    play.fail("a")
    play.at(1.0)
    receive(play, "a", name="n")
    receive(play, "b")
    play.send("m", 1)
    assert received(play) == [("b", 1)]


def test_what_lies_unreceived_is_bounded():
    play = Play(node("a"))
    play.machine.handle([s.Send(name="m", value=value(1))] * MAX_MAIL, 0.0)
    decision = play.machine.handle([s.Send(name="m", value=value(1))], 0.0)
    assert decision.events == []
    assert list(decision.refusals.values()) == ["10000 messages called 'm' lie unreceived, and more are not taken"]
    assert play.machine.handle([s.Send(name="n", value=value(1))], 0.0).refusals == {}


def test_a_run_that_has_ended_takes_no_message():
    play = Play(node("a"))
    play.succeed("a")
    decision = play.send("m", 1)
    assert (decision.events, list(decision.refusals.values())) == ([], ["it has ended (completed)"])
