"""A state graph in a file: its state, and its nodes; its edges are read by `file_edges`."""

from __future__ import annotations

from typing import Any, cast

from clew.graphs.bodies import Description
from clew.graphs.checkpoints import Checkpoints
from clew.graphs.documents import Document, Keys
from clew.graphs.drafts import Draft, GraphDraft, MapDraft
from clew.graphs.file_bodies import (
    BodyReader,
    Problems,
    ReadFile,
    ReadInPlace,
    begun,
    listed_names,
    place_of_text,
    places_of_fields,
)
from clew.graphs.file_edges import ENDS, EdgeReader
from clew.graphs.file_keys import read_state
from clew.graphs.forms import Wrong, bad_below, broken, is_named, nodes_by_id, readable, without
from clew.graphs.importing import ImportProblem
from clew.graphs.route_drafts import Barrier, RouteDraft, barrier
from clew.graphs.route_writing import branches_draft, inputs_of
from clew.graphs.state_options import state_draft
from clew.graphs.state_schema import Schema
from clew.graphs.state_writing import fill_state_node, over_of
from clew.graphs.units import seconds_of

#: What a node has only with branches, and what it has only without.
_OF_BRANCHES = ("on_branch_error", "max_concurrency")
_NOT_OF_BRANCHES = {
    "map": "a parallel node has branches; map over a graph that has it as a node",
    "sets": "its branches say what they write",
    "compensate": "its branches are undone one by one; put it on them",
}


def is_state_graph(data: dict[str, Any]) -> bool:
    """Whether a graph of a file has a state; the schema tells them apart in the same way."""
    return "state" in data or "edges" in data


class StateGraphReader:
    """Reads one state graph of a file.

    Args:
        document: the file.
        read_file: reads another graph file.
        read_in_place: reads a graph that stands in a node.
        wrong: what in the file does not have the form.
    """

    def __init__(self, document: Document, read_file: ReadFile, read_in_place: ReadInPlace, wrong: Wrong) -> None:
        self._document = document
        self._files = read_file, read_in_place
        self._wrong = wrong

    def read(self, keys: Keys, data: dict[str, Any]) -> GraphDraft:
        """The graph.

        Args:
            keys: its address in the file.
            data: what stands there.
        """
        data = without(data, keys, self._wrong, ("state", "nodes", "edges"))
        graph = begun(self._document, keys, data)
        bodies = BodyReader(graph, self._document, *self._files)
        graph.unread = not {"state", "nodes"} <= data.keys()
        schema = self._schema(graph, bodies, keys, data)
        graph.inputs = inputs_of(schema, graph.place)
        graph.routes = RouteDraft(
            schema=schema,
            max_steps=int(data.get("max_steps", 50)),
            max_state_bytes=int(data.get("max_state_bytes", 16_000_000)),
            checkpoints=_checkpoints(data.get("checkpoints", "conservative")),
            partial="edges" not in data,
        )
        nodes = _Nodes(self._document, bodies, self._wrong)
        for node_id, key, node in nodes_by_id(data.get("nodes", {})):
            nodes.add(node_id, (*keys, "nodes", key), node, graph)
        edges = EdgeReader(graph, self._document, bodies.function)
        bad = bad_below((*keys, "edges"), self._wrong)
        for i, edge in enumerate(data.get("edges", ())):
            if i in bad:
                graph.routes.partial = True
            else:
                edges.read((*keys, "edges", i), edge)
        return graph

    def _schema(self, graph: GraphDraft, bodies: BodyReader, keys: Keys, data: dict[str, Any]) -> Schema:
        at = (*keys, "state")
        try:
            return read_state(data.get("state", {}), at, self._document, bodies, self._wrong, graph.problems)
        except ImportProblem as error:
            graph.unread = True
            graph.problems.append(self._document.place(at).before(f"state: {error}"))
            return Schema()


class _Nodes:
    """Reads the nodes of a state graph, and the branches of those."""

    def __init__(self, document: Document, bodies: BodyReader, wrong: Wrong) -> None:
        self._document = document
        self._bodies = bodies
        self._wrong = wrong

    def add(self, node_id: str, keys: Keys, data: dict[str, Any], graph: GraphDraft) -> Draft | None:
        """Read a node or a branch, and add it to its graph; None if its id is none."""
        if not is_named(keys, self._wrong):
            if graph.routes is not None:
                graph.routes.partial = True
            return None
        kept = readable(data, keys, self._wrong)
        draft = broken(self._document, keys, node_id) if kept is None else self._node(node_id, keys, kept, graph)
        if node_id in ENDS:
            draft.report("id", f"{node_id!r} is an end of the graph; choose another id")
        graph.place_node(draft)
        return draft

    def _node(self, node_id: str, keys: Keys, data: dict[str, Any], graph: GraphDraft) -> Draft:
        problems: Problems = []
        branches = nodes_by_id(data.get("parallel", ()))
        place = self._document.place(keys, of_key=True)
        if "parallel" in data:
            most = int(data.get("max_concurrency", len(branches)))
            body: Any = branches_draft(graph, node_id, place, data.get("on_branch_error"), most, len(branches))
            problems += ((name, why) for name, why in _NOT_OF_BRANCHES.items() if name in data)
        else:
            body = _barrier(data["barrier"]) if "barrier" in data else self._bodies.body(keys, data, problems)
            problems += (
                (name, "is for parallel nodes; a map says inside of `map` how many items may run at once")
                for name in _OF_BRANCHES
                if name in data
            )
        draft = self._begun(body, node_id, keys, data, graph, problems)
        draft.places |= places_of_fields(self._document, keys, data)
        for branch_id, key, branch in branches:
            added = self.add(branch_id, (*keys, "parallel", key), branch, body)
            if added is not None:
                added.branch_of = node_id
        if "parallel" not in data:
            self._fill(draft, keys, data, graph)
        return draft

    def _begun(
        self, body: Any, node_id: str, keys: Keys, data: dict[str, Any], graph: GraphDraft, problems: Problems
    ) -> Draft:
        """A node with its policies."""
        place = self._document.place(keys, of_key=True)
        if "parallel" in data:
            data = {name: value for name, value in data.items() if name not in _NOT_OF_BRANCHES}
        policies = self._bodies.options(data, problems)
        if body is None:
            draft = Draft(id=node_id, place=place, body=None, options=policies)
        else:
            options = {name: getattr(policies, name) for name in policies.given()}
            draft = state_draft(body, node_id, options, place, graph)
        if "max_visits" in data:
            draft.max_visits = int(data["max_visits"])
        draft.on_limit = data.get("on_limit", draft.on_limit)
        draft.problems += problems
        draft.called = f"{self._document.path.name}: {'.'.join(map(str, keys))}"
        return draft

    def _fill(self, draft: Draft, keys: Keys, data: dict[str, Any], graph: GraphDraft) -> None:
        """What a node reads, and what it writes."""
        document = self._document
        if "map" in data:
            self._map(draft, (*keys, "map"), data["map"])
        fill_state_node(draft, graph, data.get("sets"))
        for name in data.get("sets", ()):
            draft.places[f"sets.{name}"] = document.place((*keys, "sets", name))
        self._texts(draft, "", draft.body, keys)
        if draft.options.undoing is not None:
            self._texts(draft, "compensate.", draft.options.undoing.body, (*keys, "compensate"))
        if isinstance(draft.body, Barrier):
            for name in ("text", "shows", "timeout", "default"):
                draft.places[name] = document.place((*keys, "barrier", name))
            if "{{" in draft.body.text:
                draft.report("text", "it is shown as it is; `shows` says what of the state people see besides")

    def _texts(self, draft: Draft, prefix: str, body: Any, keys: Keys) -> None:
        """Note where the texts of a description stand."""
        if isinstance(body, Description):
            for name in body.inputs:
                at = place_of_text(self._document, keys, body.kind, name)
                draft.places[prefix + name] = self._document.place(at)

    def _map(self, draft: Draft, keys: Keys, value: Any) -> None:
        fields = cast("dict[str, Any]", value if isinstance(value, dict) else {"over": value})
        document = self._document
        draft.places |= {
            "over": document.place((*keys, "over")),
            "item": document.place((*keys, "as")),
            **{name: document.place((*keys, name)) for name in ("on_item_error", "max_concurrency")},
        }
        key, concurrency = fields.get("key"), fields.get("max_concurrency")
        if key is not None and ":" in key:
            try:
                key = self._bodies.function(key)
            except ImportProblem as error:
                draft.report("map", f"key: {error}")
        draft.item = fields.get("as")
        draft.map = MapDraft(
            over=over_of(draft, fields["over"]),
            key=key,
            on_item_error=fields.get("on_item_error", "fail_fast"),
            max_concurrency=None if concurrency is None else int(concurrency),
        )


def _barrier(value: Any) -> Barrier:
    fields = cast("dict[str, Any]", value if isinstance(value, dict) else {"text": value})
    return barrier(
        fields.get("text", ""),
        shows=listed_names(fields.get("shows", ())),
        timeout=seconds_of(fields.get("timeout")),
        default=fields.get("default", "reject"),
    )


def _checkpoints(value: Any) -> Checkpoints | str:
    if isinstance(value, str):
        return value
    fields = dict(cast("dict[str, Any]", value))
    if "keep" in fields:
        fields["keep"] = int(fields["keep"])
    if "keep_for" in fields:
        fields["keep_for"] = seconds_of(fields["keep_for"])
    return Checkpoints(**fields)
