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
from clew.graphs.drafts import GraphDraft, InputDraft
from clew.graphs.file_bodies import begun
from clew.graphs.file_nodes import NodeReader, Surroundings
from clew.graphs.file_states import StateGraphReader, is_state_graph
from clew.graphs.forms import Wrong, bad_below, broken, is_named, nodes_by_id, readable, without
from clew.graphs.graph import Graph
from clew.graphs.importing import ImportProblem, importable
from clew.graphs.input_types import TypeTextError, parse_type
from clew.graphs.plans.file_plans import PlanReader, ReadInputs, is_plan
from clew.graphs.plans.plan import Plan
from clew.graphs.reading import read
from clew.graphs.shapes import Misfit, misfits
from clew.graphs.state_graph import StateGraph
from clew.graphs.templates import Template
from clew.graphs.written import WrittenGraph

_PLACE = re.compile(r"(.*?):(\d+)(?::(\d+))?: ")


def load_file(path: str | Path) -> WrittenGraph:
    """Load a graph file.

    Raises:
        GraphError: everything that is wrong with it and with the files it names.
    """
    path = Path(path)
    draft = FileReader().graph(path)
    problems = problems_of(draft)
    if problems:
        raise GraphError(sorted(problems, key=_in_order), path.name)
    if draft.plan is not None:
        return Plan.of(draft)
    return (Graph if draft.routes is None else StateGraph).of(draft)


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

    def _graph(self, document: Document, keys: Keys, data: dict[str, Any], wrong: Wrong) -> GraphDraft:
        """One graph of a file: the file's own, or one in place of a node's body."""

        def in_place(at: Keys, inner: dict[str, Any]) -> GraphDraft:
            return self._graph(document, at, inner, wrong)

        if is_plan(data):
            return PlanReader(document, self.graph, in_place, _reads_inputs(document), wrong).read(keys, data)
        if is_state_graph(data):
            return StateGraphReader(document, self.graph, in_place, wrong).read(keys, data)
        data = without(data, keys, wrong, ("nodes", "inputs"))
        bad_inputs = bad_below((*keys, "inputs"), wrong)
        draft = begun(document, keys, data)
        draft.on_error = data.get("on_error", "stop_graph")
        draft.unread = "nodes" not in data
        _reads_inputs(document)(draft, keys, data.get("inputs", {}), bad_inputs)
        nodes = nodes_by_id(data.get("nodes", {}))
        around = Surroundings(draft, document, [node_id for node_id, _, _ in nodes])
        reader = NodeReader(around, self.graph, in_place)
        for node_id, key, node in nodes:
            at = (*keys, "nodes", key)
            if is_named(at, wrong):
                kept = readable(node, at, wrong)
                draft.place_node(broken(document, at, node_id) if kept is None else reader.read(node_id, at, kept))
        if "returns" in data:
            at = (*keys, "returns")

            def report(inner: Keys, sentence: str) -> None:
                draft.problems.append(document.place((*at, *inner)).before(f"returns: {sentence}"))

            draft.output = Template(around.scope({}), f"{document.path.name}: returns", report).binding(
                data["returns"]
            )
            draft.output_place = document.place(at)
        return draft


def _reads_inputs(document: Document) -> ReadInputs:
    def read_inputs(draft: GraphDraft, keys: Keys, inputs: dict[str, Any], bad: set[str | int]) -> None:
        for name, declared in inputs.items():
            # One that does not have the form is there, of any type.
            _add_input(draft, document, (*keys, "inputs", name), None if name in bad else declared)

    return read_inputs


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


def _told(document: Document, misfit: Misfit) -> str:
    place = document.place(misfit.keys, of_key=misfit.unknown_key)
    return place.before(f"{_address(misfit.keys) or 'the file'} {misfit.why}")


def _address(keys: Keys) -> str:
    """An address in a file as people say it: ``nodes.fetch.retry.on[0]``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
