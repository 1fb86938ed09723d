"""Commands from a second process while a first one drives the run, and on a terminal."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import PROGRAM, Terminal
from graph_texts import ASKING, ASKING_TWICE, DOUBTFUL, FAILING
from waiting_runs import leave_waiting

pytestmark = pytest.mark.slow

Write = Callable[[str], str]


def test_a_run_is_told_things_where_it_is_driven(start, graph_file: Write) -> None:
    driving = start("run", graph_file(ASKING), "--id", "o", "--db", "r.db")
    told = driving.wait_for("asks: ")
    assert told.endswith("approve asks: Pay 30 euros? (yes, no); to answer: clew answer o approve yes --db r.db")
    paused = start("pause", "o", "--by", "ann", "--db", "r.db")
    assert (paused.end(), paused.lines) == (0, ["run o is paused"])
    assert driving.wait_for("is paused by").endswith("run o is paused by ann; to go on: clew resume o --db r.db")
    listed = start("ls", "--json", "--db", "r.db")
    assert listed.end() == 0
    assert [(row["state"], row["abandoned"]) for row in json.loads(listed.lines[0])] == [("paused", False)]
    resumed = start("resume", "o", "--db", "r.db")
    assert resumed.end() == 0
    assert resumed.lines[0].startswith("run o goes on; another process drives it (")
    driving.wait_for("goes on after its pause")
    wrong = start("answer", "o", "maybe", "--db", "r.db")
    assert wrong.end() == 2
    answered = start("answer", "o", "yes", "--by", "bob", "--db", "r.db")
    assert (answered.end(), answered.lines) == (0, ["run o: approve was answered"])
    driving.wait_for("approve was answered by bob")
    assert driving.wait_for("waits for message").endswith("to send it: clew send o receipt VALUE --db r.db")
    sent = start("send", "o", "receipt", "17", "--db", "r.db")
    assert sent.end() == 0
    assert sent.lines[0].startswith("run o was sent receipt")  # it may have ended by then, and says so
    assert driving.end() == 0
    assert driving.lines[-1] == 'result: "receipt 17"'


def test_a_run_that_is_left_waiting_says_how_it_goes_on(start, graph_file: Write) -> None:
    graph = graph_file(ASKING)
    driving = start("run", graph, "--id", "o")
    driving.wait_for("asks: ")
    assert driving.end(signal.SIGINT) == 130
    assert driving.lines[-3:] == [
        "run o stopped: 1 of 3 nodes are done and are kept",
        "approve asks: Pay 30 euros? (yes, no); to answer: clew answer o approve yes",
        "to go on: clew resume o",
    ]
    again = start("run", graph, "--id", "o")
    again.wait_for("run o goes on: 1 of 3 nodes were done already and are kept")
    again.wait_for("approve asks: Pay 30 euros? (yes, no); to answer: clew answer o approve yes")
    again.end(signal.SIGKILL)
    # Its process died, and it needs none.
    listed = start("ls")
    assert listed.end() == 0
    assert "running, 1 waiting" in listed.lines[1]
    answered = start("answer", "o", "no")
    assert answered.end() == 0
    assert answered.lines == [
        "run o: approve was answered; nobody drives the run, and clew resume o goes on with it"
    ]
    assert start("resume", "o").end() == 0


def test_a_paused_run_stays_paused_when_it_is_run_again(start, graph_file: Write) -> None:
    graph = graph_file(ASKING)
    leave_waiting(graph, "o")
    assert start("pause", "o", "--by", "ann").end() == 0
    again = start("run", graph, "--id", "o")
    again.wait_for("run o is paused, and stays so until it is resumed: clew resume o")
    again.wait_for("paused by ann; to go on: clew resume o")
    assert start("answer", "o", "no").end() == 0
    assert start("resume", "o").end() == 0
    assert again.end() == 0
    assert again.lines[-1] == 'result: "receipt none"'


def test_a_run_that_is_driven_is_never_deleted(start, graph_file: Write) -> None:
    driving = start("run", graph_file(ASKING), "--id", "o")
    driving.wait_for("asks: ")
    deleted = start("delete", "o", "--force")
    assert deleted.end() == 5
    assert f"(process {driving.popen.pid})" in deleted.lines[0]
    everything = start("delete", "--state", "running", "--force", "--yes")
    assert everything.end() == 1
    assert everything.lines[:2] == ["0 runs were deleted", "1 run could not be:"]
    assert driving.end(signal.SIGINT) == 130


def test_a_pipe_carries_a_run(start, graph_file: Write) -> None:
    leave_waiting(graph_file(ASKING), "o")
    command = " ".join(f"'{word}'" for word in PROGRAM)
    assert os.system(f"{command} export o -o - | {command} import - --as copy") == 0
    shown = start("show", "copy")
    assert shown.end() == 0
    assert shown.lines[0] == "run copy of graph order: running"


def test_questions_are_answered_at_a_terminal(graph_file: Write) -> None:
    leave_waiting(graph_file(ASKING_TWICE), "t", waits=2)
    terminal = Terminal(80, 24, "answer", "t")
    terminal.wait_for(r"1  size asks \(an integer\):\n  How many\?")
    terminal.wait_for(r"2  name asks:\n  Whose\?\n  Write a name\.")
    terminal.wait_for("which one: ")
    os.write(terminal.fd, b"1\n")
    terminal.wait_for("answer of size: ")
    os.write(terminal.fd, b"many\n")
    terminal.wait_for('an integer is expected, not "many"')
    os.write(terminal.fd, b"3\n")
    assert terminal.end() == 0
    assert "run t: size was answered" in terminal.plain
    left = Terminal(80, 24, "answer", "t")
    left.wait_for("answer of name: ")
    os.write(left.fd, b"\x03\n")  # should the signal come just before it reads, the line ends that
    assert left.end() == 130


def test_a_terminal_shows_what_a_run_waits_for(start, graph_file: Write) -> None:
    terminal = Terminal(100, 24, "run", graph_file(ASKING), "--id", "o")
    terminal.wait_for(r"◔ approve .* asks: Pay 30 euros\? \(yes, no\), 1 h 56 min to go")
    terminal.wait_for(r"\napprove asks: Pay 30 euros\? \(yes, no\); to answer: clew answer o approve yes")
    assert start("pause", "o", "--by", "ann").end() == 0
    terminal.wait_for("\npaused by ann; to go on: clew resume o")
    assert start("cancel", "o").end() == 0
    assert terminal.end() == 3


def test_many_are_asked_about_at_a_terminal(graph_file: Write, clew) -> None:
    clew("run", graph_file(FAILING), "--id", "f", code=1)
    for answer, left in ((b"n\n", 1), (b"y\n", 0)):
        terminal = Terminal(80, 24, "delete", "--state", "failed")
        terminal.wait_for(r"1 run would be deleted\. Go on\? \[y/N\]: ")
        os.write(terminal.fd, answer)
        assert terminal.end() == 0
        assert len(clew("ls", "--json").json) == left
    assert Path("clew.db").exists()


def test_a_lost_effect_is_asked_about(start, graph_file: Write) -> None:
    graph = graph_file(DOUBTFUL)
    driving = start("run", graph, "--id", "d", "--tee")
    driving.wait_for("charge is under way")
    driving.end(signal.SIGKILL)
    listed = start("ls")
    assert listed.end() == 0
    assert "running, abandoned" in listed.lines[1]
    again = start("run", graph, "--id", "d", "--tee")
    assert again.wait_for("run d goes on").endswith(
        "; 1 attempt was under way and it is asked whether it took effect"
    )
    assert again.wait_for("charge asks: ").endswith("to answer: clew answer d charge retry")
    answered = start("answer", "d", '{"done": "charged once"}')
    assert answered.end() == 0
    assert again.end() == 0
    assert again.lines[-1] == 'result: "charged once"'
    assert Path("charges").read_text() == "charged\n"


def test_a_pause_can_stop_what_is_under_way(start, graph_file: Write) -> None:
    text = DOUBTFUL.replace('on_interrupt="ask"', 'on_interrupt="retry"')
    driving = start("run", graph_file(text), "--id", "d", "--tee")
    driving.wait_for("charge is under way")
    paused = start("pause", "d", "--now", "--by", "ann")
    assert paused.end() == 0
    driving.wait_for("charge is stopped for the pause, and is made again")
    Path("go").touch()
    assert start("resume", "d").end() == 0
    assert driving.end() == 0
    assert any("charge started (attempt 2)" in line for line in driving.lines)
