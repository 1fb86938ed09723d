"""One node of a graph file: its body, where its inputs come from, its policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from clew.graphs.bodies import Description
from clew.graphs.documents import Document, Keys
from clew.graphs.drafts import Draft, GraphDraft, MapDraft
from clew.graphs.expressions import Reference
from clew.graphs.file_bodies import (
    BodyReader,
    Problems,
    ReadFile,
    ReadInPlace,
    listed_names,
    place_of_text,
    places_of_fields,
)
from clew.graphs.importing import ImportProblem, import_from
from clew.graphs.names import did_you_mean
from clew.graphs.signatures import Parameter, Signature
from clew.graphs.templates import Meaning, Template, UnknownNameError, template_names
from clew.graphs.undo_writing import OUTPUT, bind_undo, wanted_by
from clew.graphs.writing import bind_exclusive, complete, draft_of, makes_attempts
from clew.kernel.values import Binding, DictOf, FromInput, FromItem, FromNode, FromOutput

#: Names that expressions give a meaning of their own, so that no node can have them.
TAKEN = ("input", "item", "nodes", "range")


class FileScope:
    """The names of expressions in a file.

    Args:
        around: the graph that the node is in.
        given: names of the node itself: those that `with` gives to a shell or http node.
        in_map: there is an item.
    """

    def __init__(self, around: Surroundings, given: dict[str, Binding], *, in_map: bool) -> None:
        self._around = around
        self._given = given
        self._in_map = in_map

    def meaning(self, reference: Reference) -> Meaning:
        """See `templates.Scope`."""
        name = reference.name
        if name in self._given:
            return Meaning(self._given[name])
        match name:
            case "item":
                if not self._in_map:
                    raise UnknownNameError("'item' stands for something only in nodes with a map")
                return Meaning(FromItem())
            case "input":
                return self._input(reference)
            case "nodes":
                return self._node(reference)
            case _ if name in self._around.ids:
                return Meaning(FromNode(name))
            case _:
                raise UnknownNameError(self._unknown(name))

    def _input(self, reference: Reference) -> Meaning:
        inputs = self._around.graph.inputs
        if not reference.path:
            return Meaning(DictOf({name: FromInput(name) for name in inputs}))
        name = str(reference.path[0])
        if name not in inputs:
            raise UnknownNameError(f"there is no input {name!r}{did_you_mean(name, inputs)}")
        return Meaning(FromInput(name), inside=True)

    def _node(self, reference: Reference) -> Meaning:
        if not reference.path or not isinstance(reference.path[0], str):
            raise UnknownNameError('a node is named by text: nodes["fetch"]')
        name = reference.path[0]
        if name not in self._around.ids:
            raise UnknownNameError(f"there is no node {name!r}{did_you_mean(name, self._around.ids)}")
        return Meaning(FromNode(name), inside=True)

    def _unknown(self, name: str) -> str:
        if name in self._around.graph.inputs:
            return f"there is no node {name!r}; did you mean 'input.{name}'?"
        known = [*self._given, *self._around.ids, "input", "nodes", *(["item"] if self._in_map else [])]
        return f"there is no node {name!r}{did_you_mean(name, known)}"


class Surroundings:
    """What a node of a file can see.

    Args:
        graph: with its inputs; nodes are added while they are read.
        document: the file.
        ids: of all nodes of the graph, also those not read yet.
    """

    def __init__(self, graph: GraphDraft, document: Document, ids: list[str]) -> None:
        self.graph = graph
        self.document = document
        self.ids = dict.fromkeys(ids)

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self.document.path.parent

    def scope(self, given: dict[str, Binding], *, in_map: bool = False) -> FileScope:
        """The names of an expression."""
        return FileScope(self, given, in_map=in_map)


class NodeReader:
    """Reads the nodes of one graph.

    Args:
        around: what they see.
        read_file: reads another graph file.
        read_in_place: reads a graph that stands in a node.
    """

    def __init__(self, around: Surroundings, read_file: ReadFile, read_in_place: ReadInPlace) -> None:
        self._around = around
        self._bodies = BodyReader(around.graph, around.document, read_file, read_in_place)

    def read(self, node_id: str, keys: Keys, data: dict[str, Any]) -> Draft:
        """One node; its form is right."""
        document = self._around.document
        place = document.place(keys, of_key=True)
        problems: Problems = []
        body = self._bodies.body(keys, data, problems)
        options = self._bodies.options(data, problems)
        if body is None:
            draft = Draft(id=node_id, place=place, body=None, options=options)
        else:
            draft = draft_of(body, node_id, options, place, self._around.graph)
        draft.problems += problems
        draft.places = {
            **places_of_fields(document, keys, data),
            "depends_on": document.place((*keys, "needs" if "needs" in data else "depends_on")),
            **{f"parameter {name!r}": document.place((*keys, "with", name)) for name in data.get("with", {})},
        }
        if node_id in TAKEN:
            draft.report("id", f"{node_id!r} has a meaning of its own in expressions; choose another id")
        draft.after = tuple(name for key in ("needs", "depends_on") for name in listed_names(data.get(key, ())))
        self._fill(draft, keys, data)
        return draft

    # ------------------------------------------------------------------ inputs

    def _fill(self, draft: Draft, keys: Keys, data: dict[str, Any]) -> None:
        given: dict[str, Any] = data.get("with", {})
        in_map = "map" in data
        self._map(draft, data.get("map"), keys)
        scope = self._around.scope({}, in_map=in_map)
        for name, value in given.items():
            about = f"parameter {name!r}"
            draft.inputs[name] = self._template(draft, scope, about, (*keys, "with", name)).binding(value)
        if isinstance(draft.body, Description):
            self._fill_description(draft, draft.body, keys, in_map=in_map)
        else:
            complete(draft)
        self._exclusive(draft, keys, data, in_map=in_map)
        self._undo(draft, keys, in_map=in_map)

    def _undo(self, draft: Draft, keys: Keys, *, in_map: bool) -> None:
        how = draft.options.undoing
        if how is None:
            return
        document, at = self._around.document, (*keys, "compensate")
        names = self._around.scope({**draft.inputs, OUTPUT: FromOutput()}, in_map=in_map)
        kind = how.body.kind if isinstance(how.body, Description) else "run"

        def text(about: str) -> Template:
            place = place_of_text(document, at, kind, about.removeprefix("compensate."))
            draft.places[about] = document.place(place)
            return self._template(draft, names, about, place)

        bind_undo(draft, draft.named_inputs, text)

    def _exclusive(self, draft: Draft, keys: Keys, data: dict[str, Any], *, in_map: bool) -> None:
        if "exclusive" not in data:
            bind_exclusive(draft, self._around.graph)
        elif makes_attempts(draft):
            scope = self._around.scope(draft.inputs, in_map=in_map)
            template = self._template(draft, scope, "exclusive", (*keys, "exclusive"))
            draft.exclusive = template.binding(data["exclusive"])

    def _fill_description(self, draft: Draft, body: Description, keys: Keys, *, in_map: bool) -> None:
        used = [*template_names([body.inputs, draft.options.exclusive]), *wanted_by(draft.options.undoing)]
        known = {name: Parameter(name, required=False) for name in used if name in draft.inputs}
        draft.own_signature = Signature(parameters=known, is_async=True)
        scope = self._around.scope(draft.inputs, in_map=in_map)
        draft.stored_inputs = {}
        for name, value in body.inputs.items():
            at = place_of_text(self._around.document, keys, body.kind, name)
            draft.places[name] = self._around.document.place(at)
            template = self._template(draft, scope, name, at)
            draft.stored_inputs[name] = template.binding(value, shell=body.is_line(name))

    def _map(self, draft: Draft, value: Any, keys: Keys) -> None:
        if value is None:
            return
        fields = cast("dict[str, Any]", value if isinstance(value, dict) else {"over": value})
        document = self._around.document
        draft.places["over"] = document.place((*keys, "map", "over"))
        template = self._template(draft, self._around.scope({}), "over", (*keys, "map", "over"))
        key = fields.get("key")
        if key is not None and ":" in key:
            try:
                key = import_from(key, self._around.folder)
            except ImportProblem as error:
                draft.report("map", f"key: {error}")
        concurrency = fields.get("max_concurrency")
        draft.map = MapDraft(
            over=template.binding(fields["over"]),
            key=key,
            on_item_error=fields.get("on_item_error", "fail_fast"),
            max_concurrency=None if concurrency is None else int(concurrency),
        )
        if "as" in fields:
            draft.inputs[fields["as"]] = FromItem()

    def _template(self, draft: Draft, scope: FileScope, about: str, keys: Keys) -> Template:
        document = self._around.document
        where = ".".join(map(str, keys))

        def report(inner: Keys, sentence: str) -> None:
            full = about + "".join(f"[{key!r}]" for key in inner)
            draft.places[full] = document.place((*keys, *inner))
            draft.report(full, sentence)

        return Template(scope, f"{document.path.name}: {where}", report)
