"""From what a command line names to a graph."""

import sys
from pathlib import Path

import msgspec
import pytest

from clew.errors import GraphError
from clew.graphs import Graph, load
from clew.graphs.body_data import FunctionBody

ONE = """
from clew.graphs import Graph

async def body() -> int:
    from {name}_late import value
    return value

graph = Graph("{name}")
graph.add(body)
"""


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(target: str | Path) -> str:
    with pytest.raises(GraphError) as caught:
        load(target)
    (problem,) = caught.value.problems
    return problem


def test_the_only_graph_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, "load_one.py", ONE.format(name="load_one"))
    write(tmp_path, "load_one_late.py", "value = 3\n")
    graph = load(path)
    assert graph.name == "load_one"
    body = msgspec.json.decode(graph.spec().nodes[0].body, type=FunctionBody)
    assert body == FunctionBody("load_one:body", folder=str(tmp_path))
    assert load(path) is graph
    assert load(f"{path}:graph") is graph
    # What a body imports when it runs is found, too.
    import load_one_late

    assert load_one_late.value == 3
    assert sys.path[-1] == str(tmp_path)


def test_a_module_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "load_two.py", ONE.format(name="load_two"))
    monkeypatch.chdir(tmp_path)
    assert load("load_two").name == load("load_two:graph").name == "load_two"


def test_a_file_in_a_package_is_imported_as_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, "load_pkg/__init__.py", "")
    write(tmp_path, "load_pkg/words.py", "async def body() -> int: ...\n")
    path = write(
        tmp_path,
        "load_pkg/graphs.py",
        "from clew.graphs import Graph\nfrom .words import body\ng = Graph('p')\ng.add(body)\n",
    )
    body = msgspec.json.decode(load(path).spec().nodes[0].body, type=FunctionBody)
    assert body == FunctionBody("load_pkg.words:body", folder=str(tmp_path))


def test_sub_graphs_are_not_meant(tmp_path: Path) -> None:
    text = "from clew.graphs import Graph, shell\na = Graph('a')\na.add(shell('true'))\nb = Graph('b')\nb.add(a)\n"
    assert load(write(tmp_path, "load_subs.py", text)).name == "b"


def test_candidates_are_named(tmp_path: Path) -> None:
    text = "from clew.graphs import Graph\nx = 3\nfirst = Graph('a')\nsecond = Graph('b')\n"
    path = write(tmp_path, "load_many.py", text)
    assert refused(path) == f"it has 2 graphs; say which: {path}:first or {path}:second"
    assert refused(f"{path}:frist") == "'frist' is not there; did you mean 'first'?"
    assert refused(f"{path}:x") == "'x' is of type int, not a graph; it has 'first' and 'second'"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "load_none.py",
            "x = 1\n",
            "there is no Graph or StateGraph in it; make one at the top level of the module",
        ),
        (
            "load_raises.py",
            "raise ValueError('no\\nway')\n",
            "module 'load_raises' does not import: ValueError: no",
        ),
        ("load_syntax.py", "x = = 1\n", "module 'load_syntax' does not import: SyntaxError: invalid syntax"),
        ("load_missing.py", "import no_such_thing\n", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("load_exits.py", "raise SystemExit(3)\n", "module 'load_exits' does not import: SystemExit: 3"),
        ("json.py", "", "a module of Python's own is called 'json'; rename the file"),
    ],
)
def test_modules_that_do_not_do(name: str, text: str, problem: str, tmp_path: Path) -> None:
    assert problem in refused(write(tmp_path, name, text))


def test_names_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "audit.yaml", "")
    assert refused("audits.yaml") == "there is no file 'audits.yaml'; did you mean 'audit.yaml'?"
    assert refused("x.py") == "there is no file 'x.py'"
    assert refused("nowhere/x.py").startswith("there is no folder ")
    assert refused("no_such_module_at_all").startswith("there is no module 'no_such_module_at_all'")
    assert refused("a b").startswith("this names no graph; give FILE.yaml")


def test_two_modules_of_one_name(tmp_path: Path) -> None:
    load(write(tmp_path / "a", "load_twin.py", ONE.format(name="load_twin")))
    problem = refused(write(tmp_path / "b", "load_twin.py", ONE.format(name="load_twin")))
    assert "module 'load_twin' is loaded already, from " in problem
    assert problem.endswith("rename one of them")


def test_a_graph_with_problems_is_not_loaded(tmp_path: Path) -> None:
    text = "from clew.graphs import Graph\ng = Graph('empty')\n"
    assert refused(write(tmp_path, "load_empty.py", text)).endswith("nodes: there are none")


def test_graphs_have_a_short_form() -> None:
    assert repr(Graph("g")) == "<graph g: 0 nodes>"
