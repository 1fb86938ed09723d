"""What a node of a graph file runs, and its policies: the same in dependency graphs and in state graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from clew.errors import GraphError, InvalidInputError
from clew.graphs.bodies import Description, http, shell
from clew.graphs.documents import Document, Keys, is_graph_file
from clew.graphs.drafts import GraphDraft
from clew.graphs.importing import ImportProblem, import_from, refuse_missing
from clew.graphs.names import Place
from clew.graphs.policies import Compensation, Delays, Options, Retry, undo
from clew.graphs.restoring import restore
from clew.graphs.units import seconds_of
from clew.graphs.written import WrittenGraph
from clew.kernel.definition import Backoff, OnInterrupt

ReadFile = Callable[[Path], GraphDraft]
ReadInPlace = Callable[[Keys, dict[str, Any]], GraphDraft]
#: What was wrong with a node when it was read, as (field, sentence).
Problems = list[tuple[str, str]]


#: Kinds of bodies whose inputs are what `with` gives.
WITH_ARGUMENTS = ("tool", "memory")


class BodyReader:
    """Reads the bodies of the nodes of one graph.

    Args:
        graph: is told what is wrong with the files that nodes name.
        document: the file.
        read_file: reads another graph file.
        read_in_place: reads a graph that stands in a node.
    """

    def __init__(
        self, graph: GraphDraft, document: Document, read_file: ReadFile, read_in_place: ReadInPlace
    ) -> None:
        self._graph = graph
        self._document = document
        self._read_file = read_file
        self._read_in_place = read_in_place

    @property
    def _folder(self) -> Path:
        return self._document.path.parent

    def body(self, keys: Keys, data: dict[str, Any], problems: Problems) -> Any:
        """What a node runs, as it is given to `Graph.add`; None if it cannot be found."""
        try:
            if "run" in data:
                return self.function(data["run"])
            if "shell" in data:
                return _shell(data["shell"])
            if "http" in data:
                return _http(data["http"])
            if "restore" in data:
                return restore(*listed_names(data["restore"]))
            return self._sub_graph((*keys, "graph"), data["graph"])
        except ImportProblem as error:
            problems.append(("run" if "run" in data else "graph", str(error)))
        except GraphError as error:
            self._graph.problems += error.problems
        except InvalidInputError as error:
            problems.append(("restore" if "restore" in data else "shell", str(error)))
        return None

    def options(self, data: dict[str, Any], problems: Problems) -> Options:
        """The policies of a node."""
        return _options(data, self._probe(data, problems), self._compensation(data, problems))

    def function(self, reference: str) -> Any:
        """What ``module:function`` names.

        Raises:
            ImportProblem: there is none, or it is no function.
        """
        found = self.named(reference)
        if not callable(found):
            raise ImportProblem(f"{reference} is of type {type(found).__name__}, not a function")
        return found

    def named(self, reference: str) -> Any:
        """What ``module:name`` names, whatever it is.

        Raises:
            ImportProblem: there is nothing of this name.
        """
        return import_from(reference, self._folder)

    def _probe(self, data: dict[str, Any], problems: Problems) -> Any:
        try:
            return self.function(data["probe"]) if "probe" in data else None
        except ImportProblem as error:
            problems.append(("probe", str(error)))
            return None

    def _compensation(self, data: dict[str, Any], problems: Problems) -> Compensation | None:
        if "compensate" not in data:
            return None
        value = data["compensate"]
        fields = cast("dict[str, Any]", value if isinstance(value, dict) else {"run": value})
        wrong: Problems = []
        body = self.body((), fields, wrong)
        if body is None:
            problems += ((f"compensate.{about}", sentence) for about, sentence in wrong)
            return None
        return undo(
            body,
            retry=_retry(fields.get("retry")),
            timeout=seconds_of(fields.get("timeout")),
            on_interrupt=fields.get("on_interrupt", OnInterrupt.RETRY),
        )

    def _sub_graph(self, keys: Keys, value: Any) -> GraphDraft:
        if isinstance(value, dict):
            return self._read_in_place(keys, cast("dict[str, Any]", value))
        if is_graph_file(value):
            path = self._folder / value
            refuse_missing(path)
            return self._read_file(path)
        found = self.named(value)
        if not isinstance(found, WrittenGraph):
            raise ImportProblem(f"{value} is of type {type(found).__name__}, not a graph")
        return found.draft


def begun(document: Document, keys: Keys, data: dict[str, Any]) -> GraphDraft:
    """A graph with what all graphs have besides their nodes."""
    return GraphDraft(
        name=data.get("name", document.path.stem if not keys else str(keys[-2])),
        place=document.place(keys),
        description=data.get("description", ""),
        timeout=seconds_of(data.get("timeout")),
        max_concurrency=int(data.get("max_concurrency", 4)),
        max_interruptions=int(data.get("max_interruptions", 10)),
        rollback=data.get("rollback", False),
        limits=data.get("limits"),
        best_effort=data.get("best_effort", False),
    )


def places_of_fields(document: Document, keys: Keys, data: dict[str, Any]) -> dict[str, Place]:
    """Where the fields of a node stand, by the names that its problems have."""
    places = {name: document.place((*keys, name)) for name in data}
    places |= {name: document.place((*keys, "permissions", name)) for name in data.get("permissions", ())}
    how = data.get("compensate")
    for name in cast("dict[str, Any]", how) if isinstance(how, dict) else ():
        places[f"compensate.{name}"] = document.place((*keys, "compensate", name))
    return places


def place_of_text(document: Document, keys: Keys, kind: str, name: str) -> Keys:
    """Where an input of a description stands: in its own key, or where the whole description does."""
    at = (*keys, "with" if kind in WITH_ARGUMENTS else kind, name)
    return at if at in document.values else (*keys, kind)


_HELD_TO = ("limits", "read", "write", "network", "best_effort")


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
    given |= {name: fields[name] for name in _HELD_TO if name in fields}
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


def _options(data: dict[str, Any], probe: Any, compensate: Compensation | None) -> Options:
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
        compensate=compensate,
        irreversible=data.get("irreversible"),
        expected=seconds_of(data.get("expected")),
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
        on=listed_names(fields.get("on", ())),
        not_on=listed_names(fields.get("not_on", ())),
    )


def _uses(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: int(units) for name, units in cast("dict[str, Any]", value).items()}
    return value


def listed_names(value: Any) -> list[str]:
    """Names that may stand alone or in a list."""
    return [value] if isinstance(value, str) else list(value)
