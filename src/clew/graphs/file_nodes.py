"""One node of a graph file: its body, where its inputs come from, its policies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from clew.graphs.bodies import Description
from clew.graphs.documents import Document, Keys
from clew.graphs.drafts import Draft, GraphDraft, MapDraft
from clew.graphs.file_bodies import (
    WITH_ARGUMENTS,
    BodyReader,
    Problems,
    ReadFile,
    ReadInPlace,
    listed_names,
    place_of_text,
    places_of_fields,
)
from clew.graphs.importing import ImportProblem, import_from
from clew.graphs.name_scopes import TAKEN, Names, NameScope
from clew.graphs.signatures import Parameter, Signature
from clew.graphs.templates import Template, template_names
from clew.graphs.undo_writing import OUTPUT, bind_undo, wanted_by
from clew.graphs.writing import bind_exclusive, complete, draft_of, makes_attempts
from clew.kernel.values import Binding, FromItem, FromOutput


class Surroundings(Names):
    """What a node of a file can see.

    Args:
        graph: with its inputs; nodes are added while they are read.
        document: the file.
        ids: of all nodes of the graph, also those not read yet.
        own: what has a name besides.
        outer: what can be named around the graph, if it is a part of a step there.
    """

    def __init__(
        self,
        graph: GraphDraft,
        document: Document,
        ids: list[str],
        own: Mapping[str, Binding] | None = None,
        outer: Names | None = None,
    ) -> None:
        super().__init__(graph, dict.fromkeys(ids), own, outer)
        self.document = document

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self.document.path.parent


class NodeReader:
    """Reads the nodes of one graph.

    Args:
        around: what they see.
        read_file: reads another graph file.
        read_in_place: reads a graph that stands in a node.
        bodies: reads what the nodes run, if that is more than in other graphs.
    """

    def __init__(
        self,
        around: Surroundings,
        read_file: ReadFile,
        read_in_place: ReadInPlace,
        bodies: BodyReader | None = None,
    ) -> None:
        self._around = around
        self._bodies = bodies or BodyReader(around.graph, around.document, read_file, read_in_place)

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
        is_call = isinstance(draft.body, Description) and draft.body.kind in WITH_ARGUMENTS
        given: dict[str, Any] = {} if is_call else data.get("with", {})
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
        names = self._around.scope({**_own(draft), OUTPUT: FromOutput()}, in_map=in_map)
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
            scope = self._around.scope(_own(draft), in_map=in_map)
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

    def _template(self, draft: Draft, scope: NameScope, about: str, keys: Keys) -> Template:
        document = self._around.document
        where = ".".join(map(str, keys))

        def report(inner: Keys, sentence: str) -> None:
            full = about + "".join(f"[{key!r}]" for key in inner)
            draft.places[full] = document.place((*keys, *inner))
            draft.report(full, sentence)

        return Template(scope, f"{document.path.name}: {where}", report)


def _own(draft: Draft) -> dict[str, Binding]:
    """The inputs of a node that texts about it can name; of a call, its arguments."""
    is_call = isinstance(draft.body, Description) and draft.body.kind in WITH_ARGUMENTS
    return draft.named_inputs if is_call else draft.inputs
