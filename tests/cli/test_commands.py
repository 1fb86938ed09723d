"""The commands as they are called, in this process: what they print, and their exit codes."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from graph_texts import FAILING, SMALL

from clew.cli import exits
from clew.cli.main import COMMANDS, call, cli

Write = Callable[[str], str]


# The program ---------------------------------------------------------------------------------------


def test_help_lists_every_command_and_exit_code(clew) -> None:
    text = clew("--help").out
    for name, told in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(told)}$", text, re.MULTILINE)
    for code in exits.MEANINGS:
        assert re.search(rf"^ +{code}  ", text, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_commands_say(name: str) -> None:
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert command.short_help == COMMANDS[name]
    assert command.get_help(click.Context(command, info_name=name))


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from clew.cli.main import call; call([sys.argv[1]]); "
        "heavy = {'asyncio', 'msgspec', 'rich', 'httpx', 'jinja2', 'yaml', 'sqlite3', 'clew.engine'}; "
        "print(sorted(heavy & {*sys.modules}))"
    )
    for option in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"


def test_a_wrong_command_gets_a_hint(clew) -> None:
    assert "Did you mean 'show'?" in clew("sow", code=2).err
    assert "To run a graph: clew run a.yaml" in clew("a.yaml", code=2).err
    assert "There are: run, ls" in clew("zzz", code=2).err


def test_a_bug_says_so_with_a_traceback(capfd, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(cli, "main", broken)
    assert call(["ls"]) == exits.BUG
    said = capfd.readouterr().err
    assert "RuntimeError: oh" in said
    assert said.endswith("error: this is a fault of Clew itself; please report it with the lines above\n")


def test_every_error_has_an_exit_code() -> None:
    from clew import errors

    assert exits.of_error(errors.GraphError(["x"])) == 2
    assert exits.of_error(errors.UnknownRunError("x")) == 4
    assert exits.of_error(errors.RunBusyError("x")) == 5
    assert exits.of_error(errors.StorageError("x")) == 6
    assert exits.of_error(errors.ClewError("x")) == 1


# run -----------------------------------------------------------------------------------------------


def test_a_run_is_told_in_lines_and_summed_up(clew, graph_file: Write) -> None:
    said = clew("run", graph_file(SMALL), "--id", "a", "-i", "n=5")
    told = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in said.out.splitlines()]
    told = [re.sub(r"\d+(\.\d)? m?s\b", "T", line) for line in told]
    assert told == [
        "run a of graph small started: 2 nodes",
        "one started",
        "one completed in T",
        "twice started",
        "twice completed in T",
        "run a completed in T: 2 completed",
        'result: {"double":10}',
    ]
    assert said.err == ""
    assert Path("clew.db").exists()


def test_tee_shows_what_nodes_print(clew, graph_file: Write) -> None:
    assert "\none | one got 3\n" in clew("run", graph_file(SMALL), "--tee").out


def test_quiet_prints_the_result_only(clew, graph_file: Write) -> None:
    said = clew("run", graph_file(SMALL), "-q")
    assert (said.json, said.err) == ({"double": 6}, "")


def test_json_is_lines_of_events_and_a_summary(clew, graph_file: Write) -> None:
    lines = clew("run", graph_file(SMALL), "--id", "a", "--json", "--label", "k=v").lines
    numbered = [line["seq"] for line in lines if "seq" in line]
    assert numbered == [*range(1, len(numbered) + 1)]
    assert lines[0]["type"] == "run_admitted"
    assert lines[0]["labels"] == {"k": "v"}
    assert {"type": "output", "path": "one", "attempt": 1, "stream": "stdout", "text": "one got 3"} in lines
    summary = lines[-1]
    assert summary["type"] == "summary"
    assert (summary["state"], summary["exit"], summary["output"]) == ("completed", 0, {"double": 6})
    assert summary["counts"] == {"completed": 2}


def test_a_failed_run_says_what_failed_and_what_to_do(clew, graph_file: Write) -> None:
    said = clew("run", graph_file(FAILING), "--id", "f", "--db", "runs.db", code=1)
    assert "again failed (attempt 1), attempt 2 in " in said.out
    summary = said.out[said.out.index("run f failed in ") :].splitlines()
    assert summary[0].endswith(": 1 completed, 1 failed")
    assert summary[1:] == [
        "  again  ValueError: not yet (2 attempts)",
        "what it printed: clew logs f again --db runs.db",
        "try again:       clew retry f --db runs.db   (completed nodes are kept)",
    ]
    assert "\x1b" not in said.out


def test_a_run_that_has_ended_is_shown_again(clew, graph_file: Write) -> None:
    graph = graph_file(FAILING)
    clew("run", graph, "--id", "f", code=1)
    again = clew("run", graph, "--id", "f", code=1).out
    assert again.startswith("run f has ended before; --anew starts another one\nrun f failed in ")
    assert " started" not in again.replace("--anew starts", "")


def test_anew_counts_the_runs_of_an_id(clew, graph_file: Write) -> None:
    graph = graph_file(SMALL)
    for expected in ("a", "a-2", "a-3"):
        assert clew("run", graph, "--id", "a", "--anew", "--json").lines[-1]["run"] == expected
    assert "--anew needs --id" in clew("run", graph, "--anew", code=2).err


def test_an_id_belongs_to_its_graph_and_inputs(clew, graph_file: Write) -> None:
    graph = graph_file(SMALL)
    clew("run", graph, "--id", "a")
    assert "other inputs: n was 3, now 4" in clew("run", graph, "--id", "a", "-i", "n=4", code=2).err


def test_ids_are_readable(clew, graph_file: Write) -> None:
    assert re.fullmatch(r"small-[0-9a-f]{6}", clew("run", graph_file(SMALL), "--json").lines[-1]["run"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-i", "n=abc"], "input 'n': Expected `int`, got `str`"),
        (["-i", "n"], "--input n: write NAME=VALUE"),
        (["-i", "m=1", "-i", "n=1.5"], "it has no input 'm'"),
        (["--inputs", "inputs.json"], "it does not hold a mapping"),
        (["--inputs", "inputs.txt"], "a file of inputs is a .json, .yaml, .yml or .toml file"),
        (["--inputs", "none.json"], "does not exist"),
        (["--limit", "llm"], "--limit llm: write NAME=VALUE"),
        (["--limit", "llm=many"], "write a number, or a rate like 60/minute"),
        (["--concurrency", "0"], "0 is not in the range"),
        (["--timeout", "-1"], "-1.0 is not in the range"),
        (["--label", "x"], "--label x: write NAME=VALUE"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(clew, graph_file: Write, arguments, told) -> None:
    graph = graph_file(SMALL)
    Path("inputs.json").write_text("[1]")
    Path("inputs.txt").write_text("n=1")
    assert told in clew("run", graph, *arguments, code=2).err
    if Path("clew.db").exists():
        assert clew("ls", "--json").json == []


@pytest.mark.parametrize(
    ("name", "text"), [("i.json", '{"n": 7}'), ("i.yaml", "n: 7"), ("i.toml", "n = 7"), ("i.yml", "")]
)
def test_inputs_come_from_files(clew, graph_file: Write, name: str, text: str) -> None:
    Path(name).write_text(text)
    graph = graph_file(SMALL)
    assert clew("run", graph, "-q", "--inputs", name).json == {"double": 14 if text else 6}
    assert clew("run", graph, "-q", "--inputs", name, "-i", "n=1").json == {"double": 2}


def test_what_is_wrong_with_a_graph_is_told_at_once(clew, graph_file: Write) -> None:
    graph = graph_file(
        "async def f(x: int) -> int: ...\n"
        "g = Graph('bad')\n"
        "g.add(f, 1, depends_on=['nowhere'])\n"
        "g.add(f, 'one', id='other')\n"
    )
    said = clew("run", graph, code=2).err
    assert said.startswith("error: graph bad: 2 problems\n  - ")
    assert "nowhere" in said
    assert "'other'" in said
    assert not Path("clew.db").exists()


def test_a_missing_file_is_told_in_one_line(clew, graph_file: Write) -> None:
    graph = graph_file(SMALL)
    said = clew("run", graph.replace("graph", "grap"), code=2).err
    assert said.startswith("error: ")
    assert f"did you mean '{graph}'" in said
    assert len(said.splitlines()) == 1


def test_a_limit_of_time_ends_the_run(clew, graph_file: Write) -> None:
    graph = graph_file(
        "import asyncio\nasync def hang():\n    await asyncio.Event().wait()\ng = Graph('h')\ng.add(hang)\n"
    )
    said = clew("run", graph, "--id", "h", "--timeout", "0.05", code=1).out
    assert "longer than its time limit of 0.05 s" in said


def test_memory_keeps_nothing(clew, graph_file: Write) -> None:
    clew("run", graph_file(SMALL), "--durability", "memory", "-q")
    assert not Path("clew.db").exists()


# the others ----------------------------------------------------------------------------------------


@pytest.fixture
def failed(clew, graph_file: Write) -> str:
    clew("run", graph_file(FAILING), "--id", "failing-1", "--label", "team=a", code=1)
    return "failing-1"


@pytest.mark.parametrize(
    "command", [["ls"], ["show", "x"], ["logs", "x"], ["resume", "x"], ["cancel", "x"], ["retry", "x"]]
)
def test_looking_makes_no_database(clew, graph_file: Write, command) -> None:
    said = clew(*command, code=4)
    assert "there is no database clew.db; `clew run` makes one" in said.err
    assert not [*Path().glob("*.db*")]


def test_the_database_comes_from_the_environment(clew, graph_file: Write, monkeypatch) -> None:
    monkeypatch.setenv("CLEW_DB", "mine.db")
    clew("run", graph_file(SMALL), "-q")
    assert Path("mine.db").exists()
    assert len(clew("ls", "--json").json) == 1


def test_ls_lists_and_filters(clew, failed: str, graph_file: Write) -> None:
    clew("run", graph_file(SMALL), "--id", "s")
    out = clew("ls").out.splitlines()
    assert out[0].split() == ["RUN", "GRAPH", "STATE", "DONE", "STARTED", "TOOK"]
    assert [line.split()[0] for line in out[1:]] == ["s", failed]
    assert "failed, 1 failed" in out[2]
    assert "again: not yet" in out[2]
    assert "team=a" in out[2]
    for options in (["--state", "failed"], ["--graph", "failing"], ["--label", "team=a"]):
        assert [row["run"] for row in clew("ls", *options, "--json").json] == [failed]
    assert "the newest 1 are listed" in clew("ls", "--limit", "1").err
    assert clew("ls", "--graph", "none").err == "no such runs\n"


def test_show_tells_how_a_run_went(clew, failed: str) -> None:
    out = clew("show", failed).out
    assert out.startswith("run failing-1 of graph failing: failed\n  ValueError: again: not yet")
    assert "nodes and items: 1 completed, 1 failed" in out
    assert re.search(r"^✓  first +function +\d.* 1$", out, re.MULTILINE)
    assert re.search(r"^✗  again +function +2 .*ValueError: not yet$", out, re.MULTILINE)
    assert "clew show failing-1 --node again" in out
    document = clew("show", failed, "--json").json
    assert document["state"] == "failed"
    assert {node["path"]: node["output"] for node in document["nodes"]} == {"first": 1, "again": None}


def test_show_tells_the_result(clew, graph_file: Write) -> None:
    clew("run", graph_file(SMALL), "--id", "s")
    assert 'result: {"double":6}' in clew("show", "s").out
    assert clew("show", "s", "--json").json["output"] == {"double": 6}


def test_a_long_result_is_shortened_where_it_is_told(clew, graph_file: Write) -> None:
    graph = graph_file("async def long() -> str:\n    return 'x' * 5_000\ng = Graph('long')\ng.add(long)\n")
    out = clew("run", graph, "--id", "l").out
    assert len(out) < 1_000
    assert "5,011 characters; all of it: clew show l --full" in out
    assert "x" * 5_000 in clew("show", "l", "--full").out
    assert "x" * 5_000 not in clew("show", "l").out


def test_show_tells_the_story_of_one_node(clew, failed: str) -> None:
    out = clew("show", failed, "--node", "again").out
    for told in ("attempt 1 started", "attempt 1 failed", "attempt 2 started", "failed: ValueError: not yet"):
        assert told in out
    assert "Traceback" in out
    assert "raise ValueError" in out
    assert clew("show", failed, "--node", "first", "--json").json["output"] == 1
    assert "did you mean 'again'" in clew("show", failed, "--node", "agan", code=4).err


def test_runs_are_found_by_the_beginning_of_their_id(clew, failed: str, graph_file: Write) -> None:
    assert clew("show", "fail", "--json").json["run"] == failed
    clew("run", graph_file(FAILING), "--id", "failing-2", code=1)
    assert "is the beginning of 2 runs: failing-2, failing-1" in clew("show", "fail", code=4).err
    assert "did you mean 'failing-" in clew("show", "fialing-1", code=4).err


def test_logs_are_told_by_node(clew, graph_file: Write) -> None:
    clew("run", graph_file(SMALL), "--id", "s")
    assert re.fullmatch(r"\d\d:\d\d:\d\d one \| one got 3\n", clew("logs", "s").out)
    assert re.fullmatch(r"\d\d:\d\d:\d\d \| one got 3\n", clew("logs", "s", "one", "--follow").out)
    assert clew("logs", "s", "one", "--json").json["text"] == "one got 3"
    assert clew("logs", "s", "twice").err == "twice printed nothing\n"
    assert "no node 'thrice'" in clew("logs", "s", "thrice", code=4).err


def test_a_failed_run_is_taken_up_again(clew, failed: str) -> None:
    Path("mended").touch()
    out = clew("retry", failed).out
    assert "is taken up again by clew retry: 1 of 2 nodes had completed and are kept" in out
    assert "first started" not in out
    assert "again started (attempt 3)" in out
    assert "nothing to try again" in clew("retry", failed, code=2).err


def test_ended_runs_are_neither_resumed_nor_cancelled(clew, failed: str) -> None:
    assert clew("resume", failed, code=1).out.startswith("run failing-1 had ended before\n")
    assert "had ended before: failed; there is nothing to cancel" in clew("cancel", failed).err
    assert clew("cancel", failed, "--json").json == {"run": failed, "state": "failed", "cancelled": False}
    assert "no unfinished run" in clew("resume", "--all").err
    assert "name a RUN" in clew("resume", code=2).err
