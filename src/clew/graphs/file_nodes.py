"""One node of a graph file: its body, where its inputs come from, its policies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from clew.errors import GraphError
from clew.graphs.bodies import Description, ShellBody, http, shell
from clew.graphs.documents import Document, Keys, is_graph_file
from clew.graphs.drafts import Draft, GraphDraft, MapDraft
from clew.graphs.expressions import Reference
from clew.graphs.importing import ImportProblem, import_from, refuse_missing
from clew.graphs.names import did_you_mean
from clew.graphs.policies import Delays, Options, Retry, seconds_of
from clew.graphs.signatures import Parameter, Signature
from clew.graphs.templates import Meaning, Template, UnknownNameError, template_names
from clew.graphs.writing import bind_exclusive, complete, draft_of, makes_attempts
from clew.graphs.written import WrittenGraph
from clew.kernel.definition import Backoff
from clew.kernel.values import Binding, DictOf, FromInput, FromItem, FromNode

#: Names that expressions give a meaning of their own, so that no node can have them.
TAKEN = ("input", "item", "nodes", "range")

ReadFile = Callable[[Path], GraphDraft]
ReadInPlace = Callable[[Keys, dict[str, Any]], GraphDraft]


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
        self._read_file = read_file
        self._read_in_place = read_in_place

    def read(self, node_id: str, keys: Keys, data: dict[str, Any]) -> Draft:
        """One node; its form is right."""
        document = self._around.document
        place = document.place(keys, of_key=True)
        problems: list[tuple[str, str]] = []
        body = self._body(keys, data, problems)
        options = _options(data, self._probe(data, problems))
        if body is None:
            draft = Draft(id=node_id, place=place, body=None, options=options)
        else:
            draft = draft_of(body, node_id, options, place, self._around.graph)
        draft.problems += problems
        draft.places = {
            **{name: document.place((*keys, name)) for name in data},
            "depends_on": document.place((*keys, "needs" if "needs" in data else "depends_on")),
            **{f"parameter {name!r}": document.place((*keys, "with", name)) for name in data.get("with", {})},
        }
        if node_id in TAKEN:
            draft.report("id", f"{node_id!r} has a meaning of its own in expressions; choose another id")
        draft.after = tuple(name for key in ("needs", "depends_on") for name in _listed(data.get(key, ())))
        self._fill(draft, keys, data)
        return draft

    # ------------------------------------------------------------------ bodies

    def _body(self, keys: Keys, data: dict[str, Any], problems: list[tuple[str, str]]) -> Any:
        try:
            if "run" in data:
                return self._function(data["run"])
            if "shell" in data:
                return _shell(data["shell"])
            if "http" in data:
                return _http(data["http"])
            return self._sub_graph((*keys, "graph"), data["graph"])
        except ImportProblem as error:
            problems.append(("run" if "run" in data else "graph", str(error)))
        except GraphError as error:
            self._around.graph.problems += error.problems
        return None

    def _probe(self, data: dict[str, Any], problems: list[tuple[str, str]]) -> Any:
        try:
            return self._function(data["probe"]) if "probe" in data else None
        except ImportProblem as error:
            problems.append(("probe", str(error)))
            return None

    def _function(self, reference: str) -> Any:
        found = import_from(reference, self._around.folder)
        if not callable(found):
            raise ImportProblem(f"{reference} is of type {type(found).__name__}, not a function")
        return found

    def _sub_graph(self, keys: Keys, value: Any) -> GraphDraft:
        if isinstance(value, dict):
            return self._read_in_place(keys, cast("dict[str, Any]", value))
        if is_graph_file(value):
            path = self._around.folder / value
            refuse_missing(path)
            return self._read_file(path)
        found = import_from(value, self._around.folder)
        if not isinstance(found, WrittenGraph):
            raise ImportProblem(f"{value} is of type {type(found).__name__}, not a graph")
        return found.draft

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

    def _exclusive(self, draft: Draft, keys: Keys, data: dict[str, Any], *, in_map: bool) -> None:
        if "exclusive" not in data:
            bind_exclusive(draft, self._around.graph)
        elif makes_attempts(draft):
            scope = self._around.scope(draft.inputs, in_map=in_map)
            template = self._template(draft, scope, "exclusive", (*keys, "exclusive"))
            draft.exclusive = template.binding(data["exclusive"])

    def _fill_description(self, draft: Draft, body: Description, keys: Keys, *, in_map: bool) -> None:
        used = template_names([body.inputs, draft.options.exclusive])
        known = {name: Parameter(name, required=False) for name in used if name in draft.inputs}
        draft.own_signature = Signature(parameters=known, is_async=True)
        scope = self._around.scope(draft.inputs, in_map=in_map)
        draft.stored_inputs = {}
        for name, value in body.inputs.items():
            is_line = name == "command" and isinstance(body.body, ShellBody) and body.body.shell
            at = (*keys, body.kind, name)
            if at not in self._around.document.values:
                at = (*keys, body.kind)
            draft.places[name] = self._around.document.place(at)
            draft.stored_inputs[name] = self._template(draft, scope, name, at).binding(value, shell=is_line)

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


def _shell(value: Any) -> Description:
    if not isinstance(value, dict):
        return shell(_command(value))
    fields = cast("dict[str, Any]", value)
    given = {name: fields[name] for name in ("cwd", "stdin", "capture") if name in fields}
    if "env" in fields:
        given["env"] = {name: str(text) for name, text in fields["env"].items()}
    if "ok_codes" in fields:
        given["ok_codes"] = [int(code) for code in fields["ok_codes"]]
    if "max_output" in fields:
        given["max_output"] = int(fields["max_output"])
    return shell(_command(fields["command"]), **given)


def _command(value: Any) -> str | list[str]:
    return value if isinstance(value, str) else [str(part) for part in value]


def _http(value: Any) -> Description:
    if isinstance(value, str):
        return http("GET", value)
    fields = dict(cast("dict[str, Any]", value))
    if "headers" in fields:
        fields["headers"] = {name: str(text) for name, text in fields["headers"].items()}
    if "ok_statuses" in fields:
        fields["ok_statuses"] = [int(status) for status in fields["ok_statuses"]]
    return http(fields.pop("method", "GET"), fields.pop("url"), **fields)


def _options(data: dict[str, Any], probe: Any) -> Options:
    priority = data.get("priority")
    return Options(
        retry=_retry(data.get("retry")),
        timeout=seconds_of(data.get("timeout")),
        total_timeout=seconds_of(data.get("total_timeout")),
        heartbeat=seconds_of(data.get("heartbeat")),
        on_error=data.get("on_error"),
        # Of a probe that is not found, nothing more is said.
        on_interrupt=data.get("on_interrupt") if probe is not None or "probe" not in data else None,
        probe=probe,
        exclusive=data.get("exclusive"),
        uses=_uses(data.get("uses")),
        priority=None if priority is None else int(priority),
    )


def _retry(value: Any) -> Retry | int | None:
    if not isinstance(value, dict):
        return None if value is None else int(value)
    fields = cast("dict[str, Any]", value)
    backoff = Backoff(fields.get("backoff", Backoff.EXPONENTIAL))
    delay = seconds_of(fields.get("delay", 1.0)) or 0.0
    longest = seconds_of(fields.get("max_delay", 300.0)) or 0.0
    return Retry(
        max_attempts=int(fields.get("max_attempts", 3)),
        backoff=Delays(backoff, delay, fields.get("factor", 2.0), longest),
        jitter=fields.get("jitter", 0.1),
        on=_listed(fields.get("on", ())),
        not_on=_listed(fields.get("not_on", ())),
    )


def _uses(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: int(units) for name, units in cast("dict[str, Any]", value).items()}
    return value


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
