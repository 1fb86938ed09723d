"""What people tell runs that nobody drives: answers, messages, pauses. See also test_two_terminals."""

import getpass
import re
from collections.abc import Callable

import pytest
from graph_texts import ASKING, ASKING_TWICE, SMALL
from waiting_runs import leave_waiting

Write = Callable[[str], str]


@pytest.fixture
def order(graph_file: Write) -> str:
    """The run `order-7`, which waits for an answer; nobody drives it."""
    leave_waiting(graph_file(ASKING), "order-7")
    return "order-7"


def test_a_waiting_run_says_what_for(clew, order: str) -> None:
    row = clew("ls").out.splitlines()[1]
    assert re.search(r"running, 1 waiting +1/3 .* due in 1 h 56 min", row)
    assert clew("ls", "--json").json[0]["abandoned"] is False  # it needs no process
    shown = clew("show", order).out
    assert "  nobody drives it while it waits; to go on with it: clew resume order-7" in shown
    assert re.search(
        r"^waiting:\n  approve asks: Pay 30 euros\? \(yes, no\), since .*, until 20.* \(in 1 h 56 min\), "
        r'then: "no"\n'
        r"    clew answer order-7 approve yes$",
        shown,
        re.MULTILINE,
    )
    assert re.search(r"◔  approve  function .* asks: Pay 30 euros\? \(yes, no\), 1 h 56 min to go", shown)
    (wait,) = clew("show", order, "--json").json["waits"]
    assert (wait["path"], wait["key"], wait["kind"], wait["default"]) == ("approve", "pay", "answer", "no")
    assert wait["question"]["text"] == "Pay 30 euros?"


def test_what_is_asked_is_shown_in_a_pipe(clew, order: str) -> None:
    lines = clew("answer", order).out.splitlines()
    assert lines[:2] == ["approve asks (yes, no):", "  Pay 30 euros?"]
    assert re.fullmatch(r"  asked .* ago, until 20\d\d.* \(in 1 h 56 min\), then: \"no\"", lines[2])
    assert lines[3:] == ["  clew answer order-7 approve yes"]
    (question,) = clew("answer", order, "--json").json
    assert (question["node"], question["key"], question["choices"]) == ("approve", "pay", ["yes", "no"])
    assert question["schema"] == {"enum": ["yes", "no"]}


def test_an_answer_is_taken_without_starting_anything(clew, order: str) -> None:
    said = clew("answer", order, "approve", "yes", "--by", "anna")
    assert said.err == (
        "run order-7: approve was answered; nobody drives the run, and clew resume order-7 goes on with it\n"
    )
    assert clew("ls", "--json").json[0]["running"] == 0
    assert clew("ls", "--abandoned", "--json").json[0]["run"] == order  # now it has something to do
    assert "1 run has something to do, and the process is gone; to go on: clew resume order-7" in clew("ls").err
    shown = clew("show", order, "--node", "approve").out
    assert 'wait pay answered by anna: "yes"' in shown
    assert clew("answer", order, "no", code=2).err == "run order-7 asks nothing now\n"


def test_an_answer_must_fit(clew, order: str) -> None:
    said = clew("answer", order, "maybe", code=2).err
    assert 'error: the answer does not fit the question: $: one of "yes", "no" is expected, not "maybe"' in said
    said = clew("answer", order, "price", "yes", code=2).err
    assert said.startswith("run order-7 asks no such thing:\napprove asks (yes, no):\n  Pay 30 euros?\n")
    assert "clew answer order-7 approve yes" in said
    assert "VALUE of several words goes in quotes" in clew("answer", order, "a", "b", "c", code=2).err
    assert "is not what was shown" in clew("answer", order, "yes", "--shown", "0123", code=2).err
    assert len(clew("answer", order, "--json").json) == 1


def test_a_run_that_asks_nothing_says_so(clew, graph_file: Write) -> None:
    clew("run", graph_file(SMALL), "--id", "s")
    assert clew("answer", "s").err == "run s asks nothing: it has ended (completed)\n"
    assert clew("answer", "s", "--json").json == []
    assert "it has ended (completed)" in clew("answer", "s", "yes", code=2).err
    assert clew("answer", "s", "yes", "--json", code=2).json == []
    for command in (["pause"], ["send"]):
        arguments = [*command, "s", *(["x"] if command == ["send"] else [])]
        assert "error: run s: it has ended (completed)" in clew(*arguments, code=2).err
        assert "there is no run t" in clew(*[x if x != "s" else "t" for x in arguments], code=4).err


def test_several_questions_are_told_apart(clew, graph_file: Write) -> None:
    leave_waiting(graph_file(ASKING_TWICE), "t", waits=2)
    said = clew("answer", "t", "3", code=2).err.splitlines()
    assert said[0] == "run t asks several things; say which one is answered:"
    assert [line for line in said if line.startswith("  clew")] == [
        "  clew answer t size VALUE",
        "  clew answer t name VALUE",
    ]
    assert "size asks (an integer):" in said
    assert "name asks:" in said
    assert {each["node"] for each in clew("answer", "t", "3", "--json", code=2).json} == {"size", "name"}
    assert "an integer is expected" in clew("answer", "t", "size", "three", code=2).err
    assert clew("answer", "t", "5", "--key", "who", "--json").json["answer"] == "5"  # text is asked for
    assert clew("answer", "t", "5", "--json").json["answer"] == 5  # the one that is left
    assert clew("resume", "t").out.endswith('result: {"size":5,"name":"5"}\n')


def test_a_message_is_kept_until_it_is_received(clew, order: str) -> None:
    said = clew("send", order, "receipt", "R-17").err
    assert said == "run order-7 was sent receipt; nobody drives the run, which waits: clew show order-7\n"
    assert "  1 message receipt not received yet" in clew("show", order).out
    clew("answer", order, "yes")
    out = clew("resume", order).out
    assert out.startswith("run order-7 goes on: 1 of 3 nodes were done already and are kept\n")
    assert out.endswith('result: "receipt R-17"\n')
    node = clew("show", order, "--node", "receipt").out
    assert "inputs:\n  ok: true\n" in node
    assert 'step book completed: "receipt R-17"' in node
    assert re.search(r"wait message receipt received by .*: \"R-17\"", node)
    document = clew("show", order, "--node", "receipt", "--json").json
    assert document["inputs"] == {"ok": True}
    assert [(step["key"], step["value"]) for step in document["steps"]] == [("book", "receipt R-17")]


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("R 5", "R 5"), ('"5"', "5"), (None, None), ('{"a":1}', {"a": 1})]
)
def test_messages_are_json_or_text(clew, order: str, text, value) -> None:
    clew("send", order, "receipt", *([text] if text is not None else []))
    clew("answer", order, "yes")
    assert clew("resume", order, "-q").json == f"receipt {value}"


def test_who_says_so_is_the_login_name(clew, order: str) -> None:
    clew("answer", order, "yes")
    assert f'answered by {getpass.getuser()}: "yes"' in clew("show", order, "--node", "approve").out


# pause -----------------------------------------------------------------------------------------------------


def test_a_paused_run_rests_until_it_is_resumed(clew, order: str) -> None:
    said = clew("pause", order, "--by", "anna").err
    assert said == "run order-7 is paused; nobody drives the run, and clew resume order-7 goes on with it\n"
    assert clew("pause", order).err.startswith("run order-7 is paused already; ")
    assert clew("pause", order, "--json").json == {"run": order, "state": "paused", "running": 0, "driven": False}
    assert re.search(r"paused, 1 waiting", clew("ls").out)
    assert "nobody drives it; to go on: clew resume order-7" in clew("show", order).out
    clew("answer", order, "no")
    assert "there is no unfinished run that could go on here" in clew("resume", "--all").err
    out = clew("resume", order).out
    assert 'result: "receipt none"' in out
    assert "could go on here" in clew("resume", "--all").err
    assert "error: run order-7: it has ended (completed)" in clew("pause", order, code=2).err


def test_cancelling_starts_nothing(clew, order: str) -> None:
    clew("answer", order, "yes")
    assert clew("cancel", order, "--by", "anna").err == "run order-7 is cancelled\n"
    shown = clew("show", order).out
    assert shown.startswith("run order-7 of graph order: cancelled\n  cancelled by anna\n")
    assert re.search(r"⊘  receipt +function +cancelled", shown)


def test_a_lost_run_is_marked(clew, graph_file: Write, order: str) -> None:
    clew("answer", order, "yes")
    row = clew("ls").out.splitlines()[1]
    assert "running, abandoned" in row
    assert clew("ls", "--abandoned", "--json").json[0]["run"] == order
    assert clew("ls", "--abandoned", "--state", "paused").err == "no such runs\n"
    clew("run", graph_file(SMALL), "--id", "s")
    assert [row["run"] for row in clew("ls", "--abandoned", "--json").json] == [order]
