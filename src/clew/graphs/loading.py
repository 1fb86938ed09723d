"""From what a command line names to a graph: a graph file, a Python file, a module."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from clew.errors import GraphError
from clew.graphs.documents import is_graph_file
from clew.graphs.drafts import GraphDraft
from clew.graphs.files import load_file
from clew.graphs.importing import ImportProblem, import_module, importable, refuse_missing
from clew.graphs.names import did_you_mean, listed
from clew.graphs.written import WrittenGraph

_PYTHON_FILE = re.compile(r"(.+\.py)(?::([\w.]+))?")
_MODULE = re.compile(r"([A-Za-z_][\w.]*)(?::([\w.]+))?")


def load(target: str | Path) -> WrittenGraph:
    """Load a graph.

    Args:
        target: ``FILE.yaml`` (``.yml``, ``.toml``, ``.json``), ``FILE.py``, ``FILE.py:graph``, ``module`` or
            ``module:graph``. Without a name, the module's only graph is meant. The folder of a file (for
            modules, the current one) is first on `sys.path` meanwhile, and last afterwards.

    Raises:
        GraphError: it cannot be found or is not valid.
    """
    text = str(target)
    try:
        if is_graph_file(text):
            refuse_missing(Path(text))
            return load_file(text)
        graph = _from_python(text)
    except ImportProblem as error:
        raise GraphError([str(error)], text) from error.__cause__
    graph.spec()
    return graph


def load_module(file: str) -> ModuleType:
    """Load a Python file as the module that it is.

    Raises:
        GraphError: it is not there, or its code fails.
    """
    path = Path(file)
    try:
        refuse_missing(path)
        folder, name = _module_of(path)
        with importable(folder):
            return import_module(name, folder)
    except ImportProblem as error:
        raise GraphError([str(error)], file) from error.__cause__


def _from_python(text: str) -> WrittenGraph:
    if python_file := _PYTHON_FILE.fullmatch(text):
        path = Path(python_file[1])
        refuse_missing(path)
        return _from_file(path, python_file[2] or "", python_file[1])
    if module := _MODULE.fullmatch(text):
        with importable(Path()):
            return _from_module(module[1], module[2] or "", module[1], Path())
    raise ImportProblem("this names no graph; give FILE.yaml, FILE.toml, FILE.py[:graph] or module:graph")


def _from_file(path: Path, name: str, target: str) -> WrittenGraph:
    folder, module = _module_of(path)
    with importable(folder):
        return _from_module(module, name, target, folder)


def _from_module(module_name: str, name: str, target: str, folder: Path) -> WrittenGraph:
    module = import_module(module_name, folder)
    graphs = {key: value for key, value in vars(module).items() if isinstance(value, WrittenGraph)}
    if name:
        found = graphs.get(name)
        if found is None:
            other = vars(module).get(name)
            is_else = f"is of type {type(other).__name__}, not a graph" if other is not None else "is not there"
            near = did_you_mean(name, graphs) or (f"; it has {listed(graphs, last='and')}" if graphs else "")
            raise ImportProblem(f"{name!r} {is_else}{near or '; it has no graphs'}")
        return found
    inner = {id(child) for graph in graphs.values() for child in _children(graph.draft)}
    different = {id(graph.draft): key for key, graph in graphs.items() if id(graph.draft) not in inner}
    if len(different) == 1:
        return graphs[next(iter(different.values()))]
    if not graphs:
        raise ImportProblem("there is no Graph or StateGraph in it; make one at the top level of the module")
    candidates = " or ".join(f"{target}:{key}" for key in different.values())
    raise ImportProblem(f"it has {len(different)} graphs; say which: {candidates}")


def _children(draft: GraphDraft) -> Iterator[GraphDraft]:
    """The graphs that are nodes of a graph, or branches of its parallel nodes."""
    for child in draft.children():
        yield child
        if child.branches_of is not None:
            yield from child.children()


def _module_of(path: Path) -> tuple[Path, str]:
    """The folder that makes a file importable, and the name it then has: packages are walked up."""
    folder, parts = path.absolute().parent, [path.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts)
    if len(parts) == 1 and path.stem in sys.stdlib_module_names:
        raise ImportProblem(f"a module of Python's own is called {path.stem!r}; rename the file")
    return folder, name
