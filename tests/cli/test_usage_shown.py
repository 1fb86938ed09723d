"""What attempts have used, wherever a run is looked at: summed, in words, and only what was measured."""

import re
from collections.abc import Callable
from pathlib import Path

from graph_texts import SMALL
from graphs_to_watch import number
from test_screen import picture

from clew import Graph
from clew.cli.board import Board
from clew.cli.usage import told_briefly, told_usage
from clew.engine.status import status_of
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.values import NONE

Write = Callable[[str], str]

MEASURED = """
from clew import call, tool

@tool
def shout(text: str) -> str:
    return text.upper()

inner = Graph("inner")
inner.add(call(shout, text="b"), id="b")
g = Graph("loud")
g.add(call(shout, text="a"), id="a")
g.add(inner)
g.map(call(shout, text="{{ item }}"), over=["c", "d"], id="each")
"""


def test_usage_in_words() -> None:
    used = {
        "cpu_s": 1.25,
        "peak_memory_bytes": 34_100_000.0,
        "read_bytes": 4_200.0,
        "written_bytes": 812.0,
        "read_ops": 1.0,
        "write_ops": 1_200.0,
        "network_requests": 2.0,
        "tool_invocations": 1.0,
        "gpu_s": 0.5,
    }
    assert told_usage(used) == (
        "1.2 s CPU, 34.1 MB peak memory, 4.2 kB read, 812 bytes written, 1 read, 1,200 writes, 2 requests, "
        "1 tool call, gpu_s=0.5"
    )
    assert told_briefly(used) == "1.2 s CPU, 34.1 MB, 1 tool call"
    assert not told_usage({})


def test_usage_is_told_of_runs_and_nodes(clew, graph_file: Write) -> None:
    Path(graph_file(MEASURED)).rename("graph_of_usage.py")
    said = clew("run", "graph_of_usage.py", "--id", "m").out
    assert re.search(r"^  used: .*\b4 tool calls", said, re.MULTILINE)
    shown = clew("show", "m").out
    assert re.search(r"^used: .*\b4 tool calls", shown, re.MULTILINE)
    assert re.search(r"^✓  inner +graph .*1 tool call  ", shown, re.MULTILINE)
    assert re.search(r"^✓  each +map tool .*2 tool calls  ", shown, re.MULTILINE)
    assert re.search(r"^  used: .*1 tool call", clew("show", "m", "--node", "each[1]").out, re.MULTILINE)
    summary = clew("run", "graph_of_usage.py", "--id", "m", "--json").lines[-1]
    assert summary["used"]["tool_invocations"] == 4
    document = clew("show", "m", "--json").json
    assert document["used"]["tool_invocations"] == 4
    assert {node["path"]: node["used"]["tool_invocations"] for node in document["nodes"]} == {
        "a": 1,
        "inner": 1,
        "inner/b": 1,
        "each": 2,
    }


def test_what_was_not_measured_is_not_there(clew, graph_file: Write) -> None:
    assert "used" not in clew("run", graph_file(SMALL), "--id", "s").out
    assert "USED" not in clew("show", "s").out
    document = clew("show", "s", "--json").json
    assert document["used"] == {}
    assert not any("used" in node for node in document["nodes"])


def test_the_picture_says_what_was_used_by_now() -> None:
    graph = Graph("measured")
    graph.add(number, 1, id="one")
    graph.add(number, 2, id="two")
    board = Board(graph.spec())
    events: list[e.AnyEvent] = [
        e.RunAdmitted(at=0, run="m", graph="", definition="", inputs={}, labels={}, timeout_s=None),
        e.RunStarted(at=0),
        e.AttemptStarted(at=1, path="one", attempt=1),
        e.AttemptStarted(at=1, path="two", attempt=1),
        e.UsageRecorded(at=2, path="one", attempt=1, used={"cpu_s": 0.5, "peak_memory_bytes": 2_000_000.0}),
        e.NodeCompleted(at=2, path="one", attempt=1, output=NONE),
        e.UsageRecorded(at=3, path="two", attempt=1, used={"cpu_s": 0.75, "peak_memory_bytes": 1_000_000.0}),
    ]
    for seq, event in enumerate(events, 1):
        board.take(Recorded(seq, event))
    assert "  1.2 s CPU, 2.0 MB peak memory\n" in picture(board, now=3.0)
    assert picture(board, 50, now=3.0).splitlines()[0].endswith("  3.0 s  1.2 s CPU, 2.0 MB")
    status = status_of(board.run, board.run.seq)
    assert status.used == {"cpu_s": 1.25, "peak_memory_bytes": 2_000_000.0}
    assert [node.used.get("cpu_s") for node in status.nodes] == [0.5, 0.75]
