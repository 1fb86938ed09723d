"""Looking at graphs and at the machine: nothing is run."""

import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from graph_texts import FAILING, SMALL

from clew.cli import exits
from clew.cli.main import COMMANDS, cli
from clew.graphs.schema import SCHEMA

Write = Callable[[str], str]


def test_a_graph_is_drawn(clew, graph_file: Write) -> None:
    graph = graph_file(SMALL)
    out = clew("graph", graph).out
    assert out.startswith(
        "graph small: Doubles a number.\ninputs:\n  n: int = 3   any number\n2 nodes in 2 layers:\n"
    )
    assert "   2  twice  (function)   after one" in out
    assert clew("graph", graph, "--format", "mermaid").out.startswith(("flowchart", "graph"))
    clew("graph", graph, "--format", "svg", "-o", "g.svg")
    assert Path("g.svg").read_text().lstrip().startswith("<svg")
    assert clew("graph", graph, "--json").json["layers"] == [["one"], ["twice"]]
    assert "cannot be written" in clew("graph", graph, "-o", "no/g.txt", code=2).err


def test_the_schema_is_printed(clew) -> None:
    assert clew("schema").json == SCHEMA


def test_the_doctor_finds_this_place_healthy(clew, graph_file: Write) -> None:
    clew("run", graph_file(FAILING), code=1)
    checks = {each["check"]: each for each in clew("doctor", "--json").json["checks"]}
    assert {
        "python",
        "libraries",
        "sqlite",
        "folder",
        "database",
        "processes",
        "machine",
        "terminal",
    } <= checks.keys()
    # What limits can be held to is another matter on each machine.
    assert all(each["verdict"] == "ok" for name, each in checks.items() if not name.startswith("limit"))
    limits = {name.removeprefix("limit ") for name in checks if name.startswith("limit ")}
    assert not limits or {"memory_bytes", "cpu_s", "network", "read", "write"} <= limits
    assert "1 run, healthy" in checks["database"]["found"]
    assert "killed with their children" in clew("doctor").out


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"not a database", "file is not a database"), (b"", "belongs to another program")],
)
def test_the_doctor_finds_what_is_wrong(clew, tmp_path, content: bytes, told: str) -> None:
    file = tmp_path / "other.db"
    file.write_bytes(content)
    said = clew("doctor", "--db", str(file), code=1)
    assert told in said.out
    assert "another" in said.out
    assert file.read_bytes() == content
    assert "fail  folder" in clew("doctor", "--db", str(tmp_path / "none" / "x.db"), code=1).out


def test_a_foreign_database_is_a_storage_error(clew, tmp_path) -> None:
    (tmp_path / "x.db").write_text("something else that is no database at all, longer than a header" * 20)
    assert clew("ls", "--db", str(tmp_path / "x.db"), code=6).err.startswith("error: ")


def test_every_option_and_exit_code_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert f"## clew {name}\n" in page
        for option in command.params:
            for text in option.opts if isinstance(option, click.Option) else ():
                assert re.search(rf"`{re.escape(text)}[` ]", page), (name, text)
    for code, meaning in exits.MEANINGS.items():
        assert f"| {code} | {meaning[:12]}" in page, code
