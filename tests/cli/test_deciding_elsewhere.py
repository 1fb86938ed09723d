"""Decisions from a second process while a first one drives the run, and at a terminal."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import Terminal
from graph_texts import ARTICLE, HEAD, LAWYERS
from waiting_runs import leave_waiting

pytestmark = pytest.mark.slow

Write = Callable[[str], str]


def said(process) -> list[str]:
    assert process.end() == 0
    return process.lines


def test_a_run_is_decided_on_where_it_is_driven(start, graph_file: Write) -> None:
    driving = start("run", graph_file(ARTICLE), "-i", "topic=cats", "--id", "a", "--db", "r.db")
    told = driving.wait_for("waits for a decision")
    assert told.endswith("; to decide: clew approve a review --db r.db (or reject, modify, reroute)")
    early = start("approve", "a", "review#2", "--by", "cleo", "--db", "r.db")
    assert said(early) == ["run a: review#2 is approved as soon as it is reached"]
    driving.wait_for("review#2: approved by cleo, for when it is reached")
    changed = start("modify", "a", "topic=dogs", "--by", "ann", "--db", "r.db")
    assert said(changed) == ["run a: the state was changed, and review waits for a decision on what it is now"]
    driving.wait_for('the state was changed by ann: topic="dogs"')
    named = start("checkpoint", "a", "changed", "--db", "r.db")
    assert said(named)[0].endswith(" is checkpoint changed")
    wrong = start("reroute", "a", "nowhere", "--db", "r.db")
    assert wrong.end() == 2
    rejected = start("reject", "a", "--reason", "too short", "--by", "bob", "--db", "r.db")
    assert said(rejected)[0].startswith("run a: review was rejected")  # it may have ended by then, and says so
    driving.wait_for("review: rejected by bob: too short")
    driving.wait_for("draft#2 completed")
    driving.wait_for("review#2: approved by cleo (decided before)")
    driving.wait_for("degraded: publish -> keep, the fallback")
    assert driving.end() == 0
    assert '"dogs 2"' in next(line for line in driving.lines if line.startswith("result: "))


def test_a_fork_is_decided_on_by_itself(start, graph_file: Write) -> None:
    driving = start("run", graph_file(ARTICLE), "-i", "topic=cats", "--id", "a")
    driving.wait_for("waits for a decision")
    forked = start("fork", "a", "--id", "f", "--set", "topic=dogs")
    assert forked.wait_for("is a fork of a").startswith("run f is a fork of a, after its event ")
    forked.wait_for("review waits for a decision: Good enough?; to decide: clew approve f review")
    assert said(start("reroute", "f", "END"))[0].startswith("run f: review was rerouted to END")
    assert forked.end() == 0
    assert said(start("approve", "a"))[0].startswith("run a: review was approved")
    assert driving.end() == 0


def test_a_run_that_is_left_waits_on(start, graph_file: Write) -> None:
    file = graph_file(ARTICLE)
    driving = start("run", file, "-i", "topic=cats", "--id", "a")
    driving.wait_for("waits for a decision")
    assert driving.end(signal.SIGINT) == 130
    assert driving.lines[-3:] == [
        "run a stopped: 1 node is done and is kept",
        "review waits for a decision: Good enough?; to decide: clew approve a review (or reject, modify, reroute)",
        "to go on: clew resume a",
    ]
    again = start("run", file, "-i", "topic=cats", "--id", "a")
    again.wait_for("run a goes on: 1 node was done already and is kept")
    again.wait_for("review waits for a decision: Good enough?; to decide: clew approve a review")
    again.end(signal.SIGKILL)
    assert said(start("reroute", "a", "keep"))[0].endswith(
        "review was rerouted to keep; nobody drives the run, and clew resume a goes on with it"
    )
    assert start("resume", "a").end() == 0


def test_a_run_goes_on_with_a_changed_graph(start, graph_file: Write) -> None:
    file = graph_file(ARTICLE)
    leave_waiting(file, "a", topic="cats")
    changed = ARTICLE.replace('g.add_edge("keep", END)', 'g.add_edge("keep", END, when="{{ state.score > 0 }}")')
    Path(file).write_text(HEAD + changed)
    refused = start("resume", "a", "--from", file)
    assert refused.end() == 2
    assert refused.lines[0].startswith("error: run a exists with another graph: edge keep -> END")
    forked = start("fork", "a", "--from", file, "--on-change", "compatible", "--id", "f")
    forked.wait_for("run f goes on with a changed graph by ")
    assert said(start("reroute", "f", "keep"))[0].startswith("run f: review was rerouted to keep")
    assert forked.end() == 0
    resumed = start("resume", "a", "--from", file, "--on-change", "compatible")
    resumed.wait_for("run a goes on")
    assert said(start("approve", "a"))[0].startswith("run a: review was approved")
    resumed.wait_for("keep -> END, because state.score > 0")
    assert resumed.end() == 0


def test_what_is_decided_on_is_shown_at_a_terminal(start, graph_file: Write) -> None:
    leave_waiting(graph_file(ARTICLE), "a", topic="cats\nand dogs")
    terminal = Terminal(80, 24, "approve", "a")
    terminal.wait_for(r"review of run a waits for a decision:\n  Good enough\?\n  Think twice\.\n")
    terminal.wait_for(
        r"  topic:\n    cats\n    and dogs\n  drafts  \[\"cats\\nand dogs 1\"\]\n  asked .* ago, until"
    )
    terminal.wait_for(r"approve review\? \[y/N\]: ")
    assert start("modify", "a", "topic=birds").end() == 0
    os.write(terminal.fd, b"y\n")
    terminal.wait_for("it was refused, because what is decided on has changed meanwhile; this is what it is now:")
    terminal.wait_for(r"  topic   birds\n")
    terminal.wait_for(r"approve review\? \[y/N\]: ")
    os.write(terminal.fd, b"\n")
    assert terminal.end() == 0
    assert "nothing was done" in terminal.plain
    terminal = Terminal(80, 24, "reject", "a", "--set", "score=3")
    terminal.wait_for("to be written: score = 3")
    terminal.wait_for("reason: ")
    os.write(terminal.fd, b"too dull\n")
    terminal.wait_for(r"reject review\? \[y/N\]: ")
    os.write(terminal.fd, b"y\n")
    assert terminal.end() == 0
    assert "run a: review was rejected; nobody drives the run" in terminal.plain


def test_other_decisions_are_asked_about_too(graph_file: Write, clew) -> None:
    leave_waiting(graph_file(ARTICLE), "a", topic="cats")
    for arguments, question in (
        (["modify", "a", "topic=x", "--delete", "score"], r"change the state that review decides on\? \[y/N\]: "),
        (["reroute", "a", "keep"], r"let the run go on from review with keep\? \[y/N\]: "),
        (["approve", "a", "--standing"], r"approve review, now and each time it is reached\? \[y/N\]: "),
    ):
        terminal = Terminal(80, 24, *arguments)
        terminal.wait_for(question)
        os.write(terminal.fd, b"n\n")
        assert terminal.end() == 0
    terminal = Terminal(80, 24, "approve", "a", "review#2")
    terminal.wait_for("run a does not wait at review#2 now; the decision is kept until it does")
    os.write(terminal.fd, b"y\n")
    assert terminal.end() == 0
    assert "review#2 is approved as soon as it is reached" in terminal.plain
    terminal = Terminal(80, 24, "approve", "a", "-y")
    assert terminal.end() == 0
    assert "[y/N]" not in terminal.plain
    assert clew("ls", "--json").json[0]["waiting"] == 0


def test_one_of_several_barriers_is_chosen_at_a_terminal(graph_file: Write) -> None:
    leave_waiting(graph_file(LAWYERS), "l", waits=2, text="t")
    terminal = Terminal(80, 24, "approve", "l")
    terminal.wait_for(r"1  ask/legal  Is it legal\?\n   asked .* ago\n2  ask/taste  Is it nice\?\n")
    terminal.wait_for("which one: ")
    os.write(terminal.fd, b"2\n")
    terminal.wait_for(r"approve ask/taste\? \[y/N\]: ")
    os.write(terminal.fd, b"y\n")
    assert terminal.end() == 0
    assert "run l: ask/taste was approved" in terminal.plain


def test_a_terminal_shows_the_steps_of_a_run(start, graph_file: Write) -> None:
    terminal = Terminal(100, 24, "run", graph_file(ARTICLE), "-i", "topic=cats", "--id", "a")
    terminal.wait_for(r"step 2 of at most 50")
    terminal.wait_for(r"✓ draft .* drafts \+1, score=0\.5")
    terminal.wait_for(r"◔ review .* waits for a decision, 1 h 56 min to go: Good enough\?")
    terminal.wait_for(r"\nreview waits for a decision: Good enough\?\n  to decide: clew approve a review \(or")
    assert start("approve", "a", "--by", "ann").end() == 0
    terminal.wait_for(r"✗ publish failed: ConnectionError")
    assert terminal.end() == 0
    assert "✓ review" in terminal.plain
    assert "approved by ann" in terminal.plain
    assert "run a completed in" in terminal.plain
