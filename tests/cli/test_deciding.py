"""Decisions at barriers of runs that nobody drives. See also test_deciding_elsewhere."""

import getpass
import re
from collections.abc import Callable

import pytest
from graph_texts import ARTICLE, LAWYERS, SMALL
from waiting_runs import leave_waiting

Write = Callable[[str], str]

GOES_ON = "nobody drives the run, and clew resume a goes on with it"


@pytest.fixture
def article(graph_file: Write) -> str:
    """The file of the run `a`, which waits at the barrier `review`; nobody drives it."""
    file = graph_file(ARTICLE)
    leave_waiting(file, "a", topic="cats")
    return file


def test_a_run_that_waits_for_a_decision_says_so(clew, article) -> None:
    row = clew("ls").out.splitlines()[1]
    assert re.search(
        r"running, 1 waiting .* review waits for a decision: Good enough\?, since .*; due in 1 h", row
    )
    assert clew("ls", "--json").json[0]["abandoned"] is False  # it needs no process
    shown = clew("show", "a").out
    assert "  nobody drives it while it waits; to go on with it: clew resume a" in shown
    assert re.search(
        r"^waiting:\n  review waits for a decision: Good enough\?, since .*, until 20.* \(in 1 h 56 min\), "
        r"then: reject\n"
        r'    topic   "cats"\n'
        r'    drafts  \["cats 1"\]\n'
        r"    clew approve a review \(or reject, modify, reroute\)$",
        shown,
        re.MULTILINE,
    )
    (wait,) = clew("show", "a", "--json").json["waits"]
    assert (wait["path"], wait["text"], wait["default"]) == ("review", "Good enough?\nThink twice.", "reject")
    assert wait["shows"] == {"topic": "cats", "drafts": ["cats 1"]}
    said = clew("answer", "a").err
    assert said == (
        "run a asks nothing now, but review waits for a decision: "
        "clew approve a review (or reject, modify, reroute)\n"
    )
    assert clew("answer", "a", "review", "yes", code=2).err == said
    assert clew("answer", "a", "--json").json == []


def test_an_approval_is_taken_without_starting_anything(clew, article) -> None:
    assert clew("approve", "a").err == f"run a: review was approved; {GOES_ON}\n"
    assert clew("ls", "--abandoned", "--json").json[0]["run"] == "a"  # now it has something to do
    shown = clew("show", "a").out
    assert re.search(rf"review +barrier .* approved by {getpass.getuser()}$", shown, re.MULTILINE)
    out = clew("resume", "a").out
    assert out.startswith("run a goes on: 2 nodes were done already and are kept\n")
    assert "degraded: publish -> keep, the fallback" in out
    assert re.search(r"^run a completed in .* after 4 steps: 3 completed, 1 failed$", out, re.MULTILINE)
    assert "  publish  ConnectionError: the server does not answer  -> keep, the fallback\n" in out
    assert clew("approve", "a", code=2).err == "error: run a: it has ended (completed)\n"


def test_a_rejection_says_why(clew, article) -> None:
    assert "say why it is rejected: --reason TEXT" in clew("reject", "a", code=2).err
    assert clew("reject", "a", "--reason", "too short", "--by", "ann").err.startswith("run a: review was rejected")
    state = clew("show", "a", "--state").json
    assert (state["review.approved"], state["review.reject_reason"]) == (False, "too short")
    assert "rejected by ann: too short" in clew("show", "a").out
    said = clew("approve", "a", "review", code=2).err
    assert "review does not wait for a decision any more: it was decided (reject by ann)" in said


def test_a_decision_can_change_the_state(clew, article) -> None:
    clew("approve", "a", "--set", "topic=5", "--set", "score=5", "--set", "drafts=[]", "--set", "place={bad")
    state = clew("show", "a", "--state").json
    assert state["topic"] == "5"  # text is declared
    assert (state["score"], state["drafts"], state["place"]) == (5, [], "{bad")


def test_what_is_decided_on_can_be_changed_first(clew, article) -> None:
    digest = clew("show", "a", "--json").json["waits"][0]["digest"]
    assert "say what is to be changed" in clew("modify", "a", "review", code=2).err
    said = clew("modify", "a", "topic=dogs", "--delete", "score", "--by", "ann").err
    assert said.startswith("run a: the state was changed, and review waits for a decision on what it is now; ")
    said = clew("approve", "a", "--shown", digest, code=2).err
    assert "what is decided on at review is not what was shown; look at it again" in said
    (wait,) = clew("show", "a", "--json").json["waits"]
    assert wait["shows"]["topic"] == "dogs"
    assert 'the state was changed by ann: topic="dogs", score deleted' in clew("show", "a").out
    clew("modify", "a", "review", "topic=birds")
    digest = clew("show", "a", "--json").json["waits"][0]["digest"]
    document = clew("approve", "a", "review", "--shown", digest, "--json").json
    assert document == {
        "run": "a",
        "barrier": "review",
        "decision": "approve",
        "kept": False,
        "standing": False,
        "state": "running",
        "driven": False,
    }


def test_a_run_is_rerouted(clew, article) -> None:
    assert clew("reroute", "a", "keep", "--by", "ann").err.startswith("run a: review was rerouted to keep; ")
    assert '"place":"on disk"' in clew("resume", "a", "-q").out
    shown = clew("show", "a").out
    assert "rerouted to keep by ann\n     → keep, rerouted" in shown
    assert "review.approved" not in clew("show", "a", "--state").json


def test_a_run_is_rerouted_to_its_end(clew, article) -> None:
    clew("reroute", "a", "END", "--set", "score=9", "--barrier", "review")
    clew("resume", "a")
    document = clew("show", "a", "--json").json
    assert (document["state"]["score"], document["steps"]) == (9, 2)
    assert document["nodes"][1]["route"] == {"target": "", "why": "reroute", "label": ""}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["approve", "a", "reveiw"], "error: run a has no barrier 'reveiw'; did you mean 'review'?"),
        (["approve", "a", "xyz"], "error: run a has no barrier 'xyz'; it has 'review'"),
        (["reroute", "a", "kep"], "run a: there is no node 'kep' to go on with; did you mean 'keep'?"),
        (["reroute", "a", "zz"], "; there are 'draft', 'publish', 'keep', 'review' or 'END'"),
        (["approve", "a", "--set", "topik=1"], "error: the state has no key 'topik'; did you mean 'topic'?"),
        (["modify", "a", "--delete", "zz"], "error: the state has no key 'zz'; it has 'drafts', 'place', "),
        (["approve", "a", "--set", "topic"], "topic: write KEY=VALUE"),
        (["modify", "a", "review", "topic"], "topic: write KEY=VALUE"),
    ],
)
def test_mistakes_are_told_with_what_was_probably_meant(clew, article, arguments, said) -> None:
    assert said in clew(*arguments, code=2).err
    assert clew("ls", "--json").json[0]["waiting"] == 1


def test_a_decision_can_be_given_before_it_is_asked_for(clew, article) -> None:
    said = clew("approve", "a", "review#2", "--by", "ann").err
    assert said.startswith("run a: review#2 is approved as soon as it is reached; ")
    assert "has a decision already, by ann" in clew("approve", "a", "review#2", code=2).err
    clew("modify", "a", "review#3", "topic=dogs")
    shown = clew("show", "a").out
    assert (
        "decided before it is asked for:\n"
        "  review#2 approved by ann, when it is reached\n"
        f"  review#3 modified by {getpass.getuser()}, when it is reached\n"
    ) in shown
    kept = clew("show", "a", "--json").json["kept"]
    assert [(each["barrier"], each["kind"], each["standing"]) for each in kept] == [
        ("review#2", "approve", False),
        ("review#3", "modify", False),
    ]
    clew("reject", "a", "review#1", "--reason", "")
    out = clew("resume", "a").out
    assert "review#2: approved by ann (decided before)" in out


def test_a_standing_decision_holds_each_time(clew, article) -> None:
    said = clew("approve", "a", "review#4", "--standing", "--json").json
    assert (said["barrier"], said["standing"]) == ("review", True)
    assert "decided before it is asked for:\n  review approved by " in clew("show", "a").out
    assert clew("show", "a", "--json").json["kept"][0]["kind"] == "approve"


def test_a_run_that_has_no_barriers_says_so(clew, graph_file) -> None:
    clew("run", graph_file(SMALL), "--id", "s")
    assert "run s: it has ended (completed)" in clew("approve", "s", code=2).err
    assert "there is no run t" in clew("approve", "t", code=4).err


def test_several_barriers_are_told_apart(clew, graph_file) -> None:
    leave_waiting(graph_file(LAWYERS), "l", waits=2, text="a\x1b[31mb\nc")
    said = clew("approve", "l", code=2).err.splitlines()
    assert said == [
        "run l waits at several barriers; say which is meant:",
        "  clew approve l ask/legal",
        "  clew approve l ask/taste",
    ]
    found = clew("approve", "l", "--json", code=2).json
    assert [(each["path"], each["shows"]) for each in found] == [
        ("ask/legal", {"text": "a\x1b[31mb\nc"}),
        ("ask/taste", {"text": "a\x1b[31mb\nc"}),
    ]
    said = clew("reroute", "l", "END", "--barrier", "ask/legal", code=2).err
    assert "legal is a branch by itself: it can be approved or rejected" in said
    clew("reject", "l", "ask/legal", "--reason", "no", "--by", "ann")
    clew("approve", "l")  # the one that is left
    assert "waits at no barrier now" in clew("approve", "l", code=2).err


def test_functions_that_have_no_name_come_from_the_file(clew, graph_file) -> None:
    file = graph_file(LAWYERS)
    leave_waiting(file, "l", waits=2, text="t")
    clew("approve", "l", "ask/legal")
    clew("approve", "l", "ask/taste")
    said = clew("resume", "l", code=2).err
    assert "is a lambda" in said
    assert "or say here which file or module makes the graph: --from FILE.py" in said
    other = graph_file(ARTICLE)
    said = clew("resume", "l", "--from", other, code=2).err
    assert said.startswith("error: run l exists with another graph: name lawyers -> article; ")
    assert "run l completed" in clew("resume", "l", "--from", file).out
