"""`clew rollback`: what it would undo, what it undoes, what it leaves; and its states wherever people look."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from graph_texts import SHOP, SMALL
from waiting_runs import leave_waiting

from clew.kernel.questions import CONFIRM

Write = Callable[[str], str]


@pytest.fixture
def shop(clew, graph_file: Write) -> str:
    """The file of a graph of which one run has failed, and could be undone."""
    file = graph_file(SHOP)
    clew("run", file, "--id", "s", code=1)
    return file


def told() -> list[str]:
    return Path("told").read_text().splitlines()


def without_times(text: str) -> list[str]:
    return [
        re.sub(r"\d+(\.\d)? (ms|s)\b", "T", re.sub(r"^\d\d:\d\d:\d\d ", "", line)) for line in text.splitlines()
    ]


# What would be undone ---------------------------------------------------------------------------------------


def test_a_dry_run_tells_what_would_be_undone_and_does_nothing(clew, shop: str) -> None:
    module = Path(shop).stem
    said = clew("rollback", "s", "--dry-run").out
    assert said.splitlines() == [
        "a rollback of run s (failed):",
        "it would undo, in this order:",
        f"  1  deliver             function {module}:collect   uncertain: it failed",
        f"  2  deliver, step book  function {module}:unbook",
        f"  3  pay                 function {module}:pay_back",
        f"  4  pack                function {module}:unpack",
        "what is uncertain may have taken effect, wholly or in part",
        "it leaves what declares no compensation:",
        "  look",
    ]
    plan = clew("rollback", "s", "--dry-run", "--json").json["plan"]
    assert [(each["path"], each.get("step", ""), each.get("how", "")) for each in plan] == [
        ("deliver", "", "function"),
        ("deliver", "book", "function"),
        ("pay", "", "function"),
        ("pack", "", "function"),
        ("look", "", ""),
    ]
    assert told() == ["pay"]
    assert clew("ls", "--json").json[0]["state"] == "failed"


def test_what_cannot_be_undone_is_told(clew, graph_file: Write) -> None:
    text = """
from clew import shell

async def mail() -> None:
    pass

g = Graph("mails")
g.add(mail, depends_on=g.add(shell("true"), id="wash", compensate=shell("echo dirty > dirt")), irreversible=True)
"""
    leave_waiting(graph_file(text), "m", wait=CONFIRM)
    assert "irreversible" not in clew("rollback", "m", "--dry-run").out  # it has not begun: nobody has agreed
    assert "  1  wash  shell echo dirty > dirt\n" in clew("rollback", "m", "--dry-run").out
    clew("answer", "m", "yes")
    clew("resume", "m")
    assert clew("rollback", "m", "--dry-run").out.endswith("it cannot undo what is irreversible:\n  mail\n")
    said = clew("rollback", "m", "--yes", code=1).out
    assert "  not undone: mail  irreversible\n" in said
    assert "undo the rest" not in said  # it would not get any further
    assert clew("show", "m").out.rstrip().endswith("⊘  mail  irreversible")
    assert Path("dirt").exists()


def test_somebody_has_to_agree(clew, shop: str) -> None:
    said = clew("rollback", "s", code=2).err
    assert "4 things that run s did would be undone; nothing was done. Say --yes to do it, --dry-run" in said
    assert told() == ["pay"]


# What is undone ---------------------------------------------------------------------------------------------


def test_a_run_is_rolled_back_and_what_is_left_is_tried_again(clew, shop: str) -> None:
    said = clew("rollback", "s", "--yes", "--by", "ann", code=1)
    lines = without_times(said.out)
    module = Path(shop).stem
    assert lines[:5] == [
        "run s is rolled back, asked by ann: 4 things are to be undone",
        f"deliver is being undone (function {module}:collect)",
        "deliver is undone, in T",
        f"deliver, step book is being undone (function {module}:unbook)",
        "deliver, step book is undone, in T",
    ]
    assert "pack could not be undone (attempt 1), attempt 2 in T: ConnectionError: the depot is closed" in lines
    assert "pack could not be undone in 2 attempts: ConnectionError: the depot is closed" in lines
    assert lines[-6:] == [
        "run s could not be rolled back in T: 3 completed, 1 failed; 3 of 4 undone",
        "  asked by ann",
        "  deliver  ValueError: nobody is at home",
        "  not undone: pack  the depot is closed",
        "what it printed: clew logs s deliver",
        "undo the rest:   clew rollback s",
    ]
    assert sorted(told()[1:]) == ["collect None", "pay back R-A", "unbook van", "unpack", "unpack"]
    assert clew("rollback", "s", "--dry-run").out.splitlines()[1:4] == [
        "it would undo, in this order:",
        f"  1  pack  function {module}:unpack  could not be undone before: the depot is closed",
        "3 things are undone already",
    ]
    Path("open").touch()
    again = without_times(clew("rollback", "s", "--yes").out)
    assert again[0].endswith(": 1 thing is to be undone")
    assert "run s was rolled back in T: 3 completed, 1 failed; 4 undone" in again
    assert told()[-1] == "unpack"
    assert told().count("pay back R-A") == 1
    assert "run s was rolled back before: 4 things undone" in clew("rollback", "s", "--yes").err
    assert clew("rollback", "s", "--json").json == {
        "run": "s",
        "state": "rolled_back",
        "undone": 4,
        "remaining": [],
    }
    assert "it would undo nothing: all that can be is undone" in clew("rollback", "s", "--dry-run").out


def test_a_completed_run_is_undone_too(clew, graph_file: Write) -> None:
    file = graph_file(SHOP)
    Path("home").touch()
    Path("open").touch()
    clew("run", file, "--id", "s")
    document = clew("rollback", "s", "--yes", "--json").lines[-1]
    assert (document["state"], document["exit"], document["undone"], document["remaining"]) == (
        "rolled_back",
        0,
        4,
        [],
    )
    assert told()[1:3] == ["collect delivered", "unbook van"]
    assert not clew("rollback", "s", "--yes", "--quiet").out


def test_without_compensations_there_is_nothing_to_undo(clew, graph_file: Write) -> None:
    clew("run", graph_file(SMALL), "--id", "s")
    assert clew("rollback", "s", "--dry-run").out.splitlines() == [
        "a rollback of run s (completed):",
        "it would undo nothing",
        "it leaves what declares no compensation:",
        "  one",
        "  twice",
    ]
    said = clew("rollback", "s", "--yes").out
    assert "run s is rolled back, asked by " in said
    assert ": nothing can be undone\n" in said


def test_what_cannot_be_rolled_back_says_so(clew, shop: str) -> None:
    assert "there is no run x" in clew("rollback", "x", code=4).err
    clew("export", "s", "-o", "s.gz")
    clew("import", "s.gz", "--as", "copy")
    assert "copy is an imported copy" in clew("rollback", "copy", "--yes", code=2).err


# The states, wherever people look ---------------------------------------------------------------------------


def test_an_automatic_rollback_is_told_to_its_end(clew, graph_file: Write) -> None:
    Path("automatic").touch()
    Path("open").touch()
    file = graph_file(SHOP)
    lines = without_times(clew("run", file, "--id", "s", code=1).out)
    why = "because it failed (ValueError: deliver: nobody is at home)"
    assert f"run s is rolled back {why}: 4 things are to be undone" in lines
    assert lines[-3:] == [
        "run s was rolled back in T: 3 completed, 1 failed; 4 undone",
        "  deliver  ValueError: nobody is at home",
        "what it printed: clew logs s deliver",
    ]
    assert "run s has ended before" in clew("run", file, "--id", "s", code=1).out


def test_commands_say_what_a_rolled_back_run_does_not_take(clew, shop: str) -> None:
    Path("open").touch()
    clew("rollback", "s", "--yes")
    assert "run s: it was rolled back; start a new run" in clew("retry", "s", code=2).err
    assert "had ended before: rolled_back; there is nothing to cancel" in clew("cancel", "s").err
    assert "run s had ended before" in clew("resume", "s", code=1).out
    assert "it has ended (rolled_back)" in clew("pause", "s", code=2).err
    assert "such runs were rolled back; start new ones" in clew("retry", "--state", "rolled_back", code=2).err
    assert "not cancelled" in clew("cancel", "--state", "rolling_back", code=2).err
    listed = clew("ls", "--state", "rolled_back").out.splitlines()[1]
    assert listed.split()[:3] == ["s", "shop", "rolled_back,"]
    assert clew("ls", "--state", "rollback_failed").err == "no such runs\n"
    assert clew("delete", "--state", "rolled_back", "--yes").out == "1 run was deleted\n"


def test_a_rolled_back_run_is_shown_with_its_compensations(clew, shop: str) -> None:
    clew("rollback", "s", "--yes", "--by", "ann", code=1)
    text = clew("show", "s").out
    assert text.startswith("run s of graph shop: rollback_failed\n")
    assert "nodes and items: 3 completed, 1 failed\n" in text
    assert "\nrollback, asked by ann: 3 of 4 things undone\n✓  deliver             function " in text
    assert re.search(
        r"^✗  pack +function \S+:unpack +2 .* ConnectionError: the depot is closed$", text, re.MULTILINE
    )
    nodes = clew("show", "s", "--json").json["nodes"]
    undone = {(node["undoes"], node.get("undone_step", "")): node["state"] for node in nodes if "undoes" in node}
    assert undone == {
        ("deliver", ""): "completed",
        ("deliver", "book"): "completed",
        ("pay", ""): "completed",
        ("pack", ""): "failed",
    }
    assert "pack#undo (function) of run s: failed" in clew("show", "s", "--node", "pack#undo").out


def test_functions_without_a_name_come_with_the_graph(clew, graph_file: Write) -> None:
    text = """
def tell(what):
    with open("told", "a") as file:
        print(what, file=file)

g = Graph("nameless")
g.add(lambda: tell("did"), id="act", compensate=lambda output: tell("undid"))
"""
    file = graph_file(text)
    clew("run", file, "--id", "n")
    assert "--from FILE.py" in clew("rollback", "n", "--yes", code=2).err
    clew("rollback", "n", "--yes", "--from", file)
    assert told() == ["did", "undid"]
