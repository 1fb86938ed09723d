"""Looking back into runs of state graphs, and going on from there: show --at, checkpoints, diff, fork."""

import re
from collections.abc import Callable

import pytest
from graph_texts import ARTICLE, FAILING, LAWYERS, SMALL
from waiting_runs import leave_waiting

Write = Callable[[str], str]


@pytest.fixture
def article(graph_file: Write, clew) -> str:
    """The file of the run `a`: rejected once, it waits at `review#2`."""
    file = graph_file(ARTICLE)
    leave_waiting(file, "a", topic="cats")
    clew("reject", "a", "--reason", "too short", "--by", "ann")
    leave_waiting(file, "a", topic="cats", waits=2)
    return file


def test_steps_are_shown_in_order_with_what_they_did(clew, article) -> None:
    lines = clew("show", "a").out.splitlines()
    assert lines[0] == "run a of state graph article: running"
    assert "4 steps of at most 50; nodes and items: 1 waiting, 3 completed" in lines
    table = lines[lines.index(next(line for line in lines if "STEP" in line)) :]
    told = [re.sub(r"\d+(\.\d)? (ms|s)\b", "T", re.sub(r" +", " ", line)).strip() for line in table]
    assert told[1:6] == [
        "✓ draft function T drafts +1, score=0.5",
        "✓ review barrier T rejected by ann: too short",
        "→ draft#2, because not state['review.approved']",
        "✓ draft#2 function T drafts +1, score=1.0",
        told[5],
    ]
    assert told[5].startswith("◔ review#2 barrier T waits for a decision, 1 h 56 min to go: Good enough?")
    assert told[7:] == [
        "state:",
        'topic "cats"',
        'drafts ["cats 1","cats 2"]',
        "score 1.0",
        "review.approved false",
        'review.reject_reason "too short"',
    ]


def test_a_step_is_shown_with_what_it_was_given_and_wrote(clew, article) -> None:
    shown = clew("show", "a", "--node", "draft#2").out
    assert '  state: {"topic":"cats","drafts":["cats 1"],"score":0.5,"review.approved":false,' in shown
    assert '\nwrote:\n  drafts + ["cats 2"]\n  score = 1.0\n' in shown
    assert "\n     → review#2\n" in shown
    document = clew("show", "a", "--node", "draft#2", "--json").json
    assert document["wrote"] == {"drafts": {"items": ["cats 2"], "at": 1}, "score": {"value": 1.0}}
    assert document["route"] == {"target": "review#2", "why": "edge", "label": ""}
    assert document["inputs"]["state"]["drafts"] == ["cats 1"]
    assert clew("show", "a", "--node", "draft#1").out.startswith("draft (function) of run a: completed\n")
    barrier = clew("show", "a", "--node", "review#2").out
    assert "waits for a decision: Good enough?, since" in barrier
    assert "  clew approve a 'review#2' (or reject, modify, reroute)" in barrier
    assert "  rejected by ann: too short" in clew("show", "a", "--node", "review").out
    assert "error: run a has not come to keep yet" in clew("show", "a", "--node", "keep", code=4).err
    assert "no node 'kep'; did you mean 'keep'?" in clew("show", "a", "--node", "kep", code=4).err


def test_a_run_is_shown_as_it_was(clew, article) -> None:
    found = clew("checkpoints", "a", "--json").json
    points = {(each["why"], each["path"]): each["seq"] for each in found}
    seq, waited = points["step", "draft"], points["barrier", "review"]
    shown = clew("show", "a", "--at", str(seq)).out
    assert shown.startswith(f"run a of state graph article, as it was after its event {seq} at 20")
    assert "score  0.5" in re.sub(r" {2,}", "  ", shown)
    assert "draft#2" not in shown
    assert "clew approve" not in clew("show", "a", "--at", str(waited)).out  # it is over
    document = clew("show", "a", "--at", str(seq), "--json").json
    assert (document["run"], document["seq"], document["state"]["score"]) == ("a", seq, 0.5)
    assert [node["path"] for node in document["status"]["nodes"]] == ["draft", "review"]
    assert clew("show", "a", "--at", str(seq), "--state").json["drafts"] == ["cats 1"]
    assert clew("show", "a", "--state").json["drafts"] == ["cats 1", "cats 2"]
    assert "state: " not in clew("show", "a", "--at", "1").out
    node = clew("show", "a", "--at", str(waited), "--node", "review").out
    assert "waits for a decision" in node
    assert "rejected" not in node
    assert "run a has no event 999; it has 1 to" in clew("show", "a", "--at", "999", code=2).err
    assert (
        "run a has no checkpoint 'x'; it has none. Or give the number"
        in clew("show", "a", "--at", "x", code=2).err
    )
    assert "is no state graph that has begun" in clew("show", "a", "--at", "1", "--state", code=2).err


def test_the_state_of_a_dependency_graph_is_not_there(clew, graph_file) -> None:
    clew("run", graph_file(SMALL), "--id", "s")
    assert (
        "error: run s is no state graph that has begun: it has no state"
        in clew("show", "s", "--state", code=2).err
    )
    assert "run s is none of a state graph" in clew("diff", "s", "1", "2", code=2).err
    said = clew("fork", "s", "--at", "4", "--set", "n=1", code=2).err
    assert "run s is none of a state graph: it has no state that could be changed" in said
    assert clew("show", "s", "--at", "2").out.startswith("run s of graph small, as it was after its event 2")


def test_positions_are_named(clew, article) -> None:
    said = clew("checkpoint", "a", "second", "--by", "bob").err
    seq = clew("checkpoints", "a", "--json").json[-1]["seq"]
    assert said.startswith(f"run a: its event {seq} is checkpoint second")
    third = clew("checkpoint", "a", "third", "--json").json["seq"]
    assert third > seq
    assert "12 is the number of an event" in clew("checkpoint", "a", "12", code=2).err
    said = clew("checkpoints", "a")
    assert re.search(rf"^ *{seq} +4 .* second \(bob\)$", said.out, re.MULTILINE)
    assert re.search(r"review was decided on +draft$", said.out, re.MULTILINE)
    assert f"to go on there as another run:   clew fork a --at {third}" in said.err
    assert "checkpoint second by bob" in clew("show", "a").out
    assert "as it was after its event" in clew("show", "a", "--at", "second").out
    assert "no checkpoint 'secnd'; did you mean 'second'?" in clew("diff", "a", "1", "secnd", code=2).err


def test_states_are_compared(clew, article) -> None:
    clew("modify", "a", "topic=dogs", "--delete", "score")
    assert clew("diff", "a", "6").out == clew("diff", "a", "6", str(clew("ls", "--json").json[0]["seq"])).out
    said = clew("diff", "a", "6").out
    assert 'drafts (1 item before)\n  + ["cats 2"]\n' in said
    assert "topic\n  - cats\n  + dogs\n" in said
    assert "score (not there any more)\n  - 0.5\n" in said
    assert "review.approved (new)\n  + false\n" in said
    changes = {each["key"]: each for each in clew("diff", "a", "6", "--json").json}
    assert changes["topic"] == {"key": "topic", "before": "cats", "after": "dogs"}
    assert "before" not in changes["review.approved"]
    assert clew("diff", "a", "5", "6").err == "the state after event 5 is that after event 6\n"


def test_long_values_are_cut_unless_all_is_wanted(clew, article) -> None:
    clew("modify", "a", "topic=" + "\n".join(f"line {n}" for n in range(50)))
    said = clew("diff", "a", "6").out
    assert "  + line 19\n    … and 30 more lines; --full shows all\n" in said
    assert "  + line 49\n" in clew("diff", "a", "6", "--full").out


def test_a_fork_goes_on_here(clew, article) -> None:
    clew("approve", "a", "--by", "ann")
    point = next(each["seq"] for each in clew("checkpoints", "a", "--json").json if each["why"] == "barrier")
    clew("fork", "a", "--at", str(point), "--id", "f", "--detach", "--set", "topic=dogs", "--label", "x=y")
    shown = clew("show", "f").out
    assert f"a fork of a, after its event {point}\n" in shown
    assert "labels: x=y\n" in shown
    clew("approve", "f")
    assert '"topic":"dogs"' in clew("resume", "f", "-q").out
    out = clew("fork", "a", "--id", "g", "--label", "z=1").out
    assert out.startswith("run g is a fork of a, after its event ")
    assert "run g completed" in out
    assert clew("show", "a", "--json").json["state"]["topic"] == "cats"
    assert clew("ls", "--label", "z=1", "--json").json[0]["run"] == "g"
    lines = clew("fork", "a", "--id", "h", "--json").lines
    assert lines[0] == {"type": "forked", "run": "h", "origin": "a", "seq": lines[0]["seq"]}
    assert (lines[-1]["type"], lines[-1]["state"]) == ("summary", "completed")
    assert clew("show", "h", "--json").json["origin"] == {"run": "a", "seq": lines[0]["seq"]}


def test_a_fork_is_left_to_others(clew, article) -> None:
    said = clew("fork", "a", "--at", "6", "--id", "f", "--detach").err
    assert re.fullmatch(r"run f is a fork of a, after its event \d; to go on with it: clew resume f\n", said)
    document = clew("fork", "a", "--at", "6", "--detach", "--json", "--delete", "score").json
    assert (document["type"], document["origin"]) == ("forked", "a")
    assert "score" not in clew("show", document["run"], "--state").json


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["a", "--at", "6", "--id", "a"], 2, "run a exists; give the fork another id"),
        (["a", "--at", "6", "--set", "topik=1"], 2, "the state has no key 'topik'; did you mean 'topic'?"),
        (["a", "--at", "6", "--delete", "x"], 2, "the state has no key 'x'"),
        (["a", "--at", "99"], 2, "run a has no event 99; it has 1 to"),
        (["b"], 4, "there is no run b"),
        (["a", "--label", "x"], 2, "--label x: write NAME=VALUE"),
    ],
)
def test_forks_that_cannot_be_are_refused(clew, article, arguments, code, said) -> None:
    for detach in ([], ["--detach"]):
        assert said in clew("fork", *arguments, *detach, code=code).err
    assert len(clew("ls", "--json").json) == 1


def test_an_ended_run_is_forked_from_a_position(clew, article) -> None:
    clew("approve", "a")
    clew("resume", "a")
    said = clew("fork", "a", code=2).err
    assert "run a has ended (completed): say from where it is to go on, with --at" in said
    assert "clew checkpoints a" in said
    seq = clew("ls", "--json").json[0]["seq"]
    assert "at that position it is completed" in clew("fork", "a", "--at", str(seq), code=2).err
    assert "run f completed" in clew("fork", "a", "--at", str(seq - 3), "--id", "f").out


def test_a_fork_that_could_not_go_on_is_not_made(clew, graph_file) -> None:
    file = graph_file(LAWYERS)
    leave_waiting(file, "l", waits=2, text="t")
    said = clew("fork", "l", "--id", "f", code=2).err
    assert "a fork of l could not go on here and was not made (--detach makes one all the same): " in said
    assert [row["run"] for row in clew("ls", "--json").json] == ["l"]
    clew("approve", "l", "--standing", "ask/legal")
    clew("approve", "l", "--standing", "ask/taste")
    assert "run f completed" in clew("fork", "l", "--id", "f", "--from", file).out


def test_dependency_graphs_are_forked_too(clew, graph_file) -> None:
    from pathlib import Path

    clew("run", graph_file(FAILING), "--id", "d", code=1)
    assert clew("checkpoints", "d").err.startswith("run d has no checkpoints; clew checkpoint d NAME makes one")
    Path("mended").touch()
    assert clew("fork", "d", "--at", "5", "--id", "e", "-q").json == {"again": 2}
