"""Graphs as files: YAML, TOML or JSON with the same meaning as the Python form.

A file is read (`documents`), its form checked (`shapes`), and what has the right form becomes a `GraphDraft`,
which `checks` looks at like any other. So all problems of a file and of the files it names come at once.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from clew import codec
from clew.errors import GraphError, InvalidInputError
from clew.graphs.checks import problems_of
from clew.graphs.documents import Document, Keys
from clew.graphs.drafts import Draft, GraphDraft, InputDraft
from clew.graphs.file_nodes import NodeReader, Surroundings
from clew.graphs.graph import Graph
from clew.graphs.importing import ImportProblem, importable
from clew.graphs.input_types import TypeTextError, parse_type
from clew.graphs.policies import seconds_of
from clew.graphs.reading import read
from clew.graphs.schema import BODIES
from clew.graphs.shapes import Misfit, misfits
from clew.graphs.templates import Template

#: Keys of a node without which nothing can be said about it.
_SUBSTANCE = (*BODIES, "with", "map")
_PLACE = re.compile(r"(.*?):(\d+)(?::(\d+))?: ")


def load_file(path: str | Path) -> Graph:
    """Load a graph file.

    Raises:
        GraphError: everything that is wrong with it and with the files it names.
    """
    path = Path(path)
    draft = FileReader().graph(path)
    problems = problems_of(draft)
    if problems:
        raise GraphError(sorted(problems, key=_in_order), path.name)
    return Graph.of(draft)


def _in_order(problem: str) -> tuple[int, int]:
    place = _PLACE.match(problem)
    return (int(place[2]), int(place[3] or 0)) if place else (0, 0)


class FileReader:
    """Reads files that may name each other; each is read once."""

    def __init__(self) -> None:
        self._read: dict[Path, GraphDraft] = {}
        #: Files that are being read, outermost first.
        self._open: list[Path] = []

    def graph(self, path: Path) -> GraphDraft:
        """The graph of a file.

        Raises:
            GraphError: it cannot be read; other problems are in the draft.
            ImportProblem: it contains itself.
        """
        place = path.resolve()
        if place in self._open:
            names = [each.name for each in (*self._open[self._open.index(place) :], place)]
            raise ImportProblem(f"the files contain each other in a circle: {' -> '.join(names)}")
        if place not in self._read:
            self._open.append(place)
            try:
                document = read(path)
                with importable(path.parent):
                    self._read[place] = self._whole(document)
            finally:
                self._open.pop()
        return self._read[place]

    def _whole(self, document: Document) -> GraphDraft:
        data = cast("dict[str, Any]", document.data)
        if not isinstance(document.data, dict):
            why = "a graph file is a mapping with 'nodes'"
            raise GraphError([*document.problems, document.place(()).before(why)], document.path.name)
        wrong = [*misfits(data)]
        draft = self._graph(document, (), data, wrong)
        draft.problems[:0] = [*document.problems, *(_told(document, misfit) for misfit in wrong)]
        return draft

    def _graph(self, document: Document, keys: Keys, data: dict[str, Any], wrong: list[Misfit]) -> GraphDraft:
        """One graph of a file: the file's own, or one in place of a node's body."""
        data = _without(data, keys, wrong)
        default_name = document.path.stem if not keys else str(keys[-2])
        draft = GraphDraft(
            name=data.get("name", default_name),
            place=document.place(keys),
            description=data.get("description", ""),
            on_error=data.get("on_error", "stop_graph"),
            timeout=seconds_of(data.get("timeout")),
            max_concurrency=int(data.get("max_concurrency", 4)),
            max_interruptions=int(data.get("max_interruptions", 10)),
        )
        for name, declared in data.get("inputs", {}).items():
            _add_input(draft, document, (*keys, "inputs", name), declared)
        nodes = _nodes_by_id(data.get("nodes", {}))
        around = Surroundings(draft, document, [node_id for node_id, _, _ in nodes])
        reader = NodeReader(around, self.graph, lambda at, inner: self._graph(document, at, inner, wrong))
        for node_id, key, node in nodes:
            at = (*keys, "nodes", key)
            if any(misfit.keys == at and misfit.unknown_key for misfit in wrong):
                continue  # its id is none
            readable = _readable(node, at, wrong)
            draft.place_node(
                _broken(document, at, node_id) if readable is None else reader.read(node_id, at, readable)
            )
        if "returns" in data:
            at = (*keys, "returns")

            def report(inner: Keys, sentence: str) -> None:
                draft.problems.append(document.place((*at, *inner)).before(f"returns: {sentence}"))

            draft.output = Template(around.scope({}), f"{document.path.name}: returns", report).binding(
                data["returns"]
            )
            draft.output_place = document.place(at)
        return draft


def _add_input(draft: GraphDraft, document: Document, keys: Keys, declared: Any) -> None:
    fields = cast("dict[str, Any]", declared if isinstance(declared, dict) else {"type": declared})
    name = str(keys[-1])
    made = InputDraft(name=name, place=document.place(keys, of_key=True))
    made.type = fields.get("type") or ""
    made.description = fields.get("description", "")
    try:
        made.hint = parse_type(made.type) if made.type else Any
        if "default" in fields:
            made.required = False
            made.default = codec.encode(fields["default"])
            codec.decode(made.default, made.hint)
    except TypeTextError as error:
        draft.problems.append(document.place((*keys, "type")).before(f"input {name!r}: {error}"))
    except InvalidInputError as error:
        place = document.place((*keys, "default"))
        draft.problems.append(place.before(f"input {name!r}: the default does not fit: {error}"))
    draft.inputs[name] = made


def _nodes_by_id(nodes: Any) -> list[tuple[str, str | int, dict[str, Any]]]:
    """Id, key in the file and content of each node that can be read at all."""
    if isinstance(nodes, dict):
        pairs = cast("dict[str, Any]", nodes).items()
        whole = ((name, cast("dict[str, Any]", node) if isinstance(node, dict) else {}) for name, node in pairs)
        return [(name, name, node) for name, node in whole]
    found: list[tuple[str, str | int, dict[str, Any]]] = []
    for i, item in enumerate(cast("list[Any]", nodes)):
        node = cast("dict[str, Any]", item if isinstance(item, dict) else {})
        if isinstance(node.get("id"), str):
            found.append((node["id"], i, node))
    return found


def _without(data: dict[str, Any], keys: Keys, wrong: list[Misfit]) -> dict[str, Any]:
    """A graph without the parts that do not have the form; inputs lose their type, nodes are looked at singly."""
    bad = _bad_below(keys, wrong)
    kept = {key: value for key, value in data.items() if key not in bad or key in ("nodes", "inputs")}
    for key in ("nodes", "inputs"):
        if any(misfit.keys == (*keys, key) for misfit in wrong):
            del kept[key]
    inputs = cast("dict[str, Any]", kept.get("inputs", {}))
    bad_inputs = _bad_below((*keys, "inputs"), wrong)
    kept["inputs"] = {name: None if name in bad_inputs else value for name, value in inputs.items()}
    return kept


def _readable(node: dict[str, Any], keys: Keys, wrong: list[Misfit]) -> dict[str, Any] | None:
    """A node without the policies that do not have the form; None if what it runs or is given does not."""
    own = [misfit for misfit in wrong if misfit.keys[: len(keys)] == keys]
    if any(_spoils(misfit, len(keys)) for misfit in own):
        return None
    bad = _bad_below(keys, wrong)
    return {key: value for key, value in node.items() if key not in bad}


def _spoils(misfit: Misfit, depth: int) -> bool:
    if len(misfit.keys) == depth or misfit.keys[depth] in _SUBSTANCE:
        return True
    return misfit.unknown_key and any(f"did you mean {name!r}" in misfit.why for name in _SUBSTANCE)


def _bad_below(keys: Keys, wrong: list[Misfit]) -> set[str | int]:
    depth = len(keys)
    return {misfit.keys[depth] for misfit in wrong if misfit.keys[:depth] == keys and len(misfit.keys) > depth}


def _broken(document: Document, keys: Keys, node_id: str) -> Draft:
    return Draft(id=node_id, place=document.place(keys, of_key=True), body=None)


def _told(document: Document, misfit: Misfit) -> str:
    place = document.place(misfit.keys, of_key=misfit.unknown_key)
    return place.before(f"{_address(misfit.keys) or 'the file'} {misfit.why}")


def _address(keys: Keys) -> str:
    """An address in a file as people say it: ``nodes.fetch.retry.on[0]``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
