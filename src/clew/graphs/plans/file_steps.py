"""What single steps of plans in files run, besides what the nodes of other graphs do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from clew.errors import InvalidInputError
from clew.graphs.bodies import Description, node_id
from clew.graphs.documents import Document, Keys
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.file_bodies import BodyReader, Problems, ReadFile, ReadInPlace
from clew.graphs.importing import ImportProblem
from clew.graphs.memories import memory
from clew.graphs.pauses import ask, wait
from clew.graphs.plan_schema import STEP_BODIES
from clew.graphs.plans.steps import Narrowing, described
from clew.graphs.preconditions import Check, check
from clew.graphs.units import seconds_of

_ASKS = ("confirm", "input", "choice", "information")
#: What a step can be told about the tool that it calls, and about nothing else.
_OF_TOOLS = ("permissions", "limits", "best_effort", "folder", "checks")
_OF_CHOICES = ("then", "else")


class StepBodies(BodyReader):
    """Reads the bodies of the steps of one plan.

    Args:
        graph: the plan.
        document: the file.
        read_file: reads another graph file.
        read_in_place: reads a graph that stands in a step.
    """

    def __init__(
        self, graph: GraphDraft, document: Document, read_file: ReadFile, read_in_place: ReadInPlace
    ) -> None:
        super().__init__(graph, document, read_file, read_in_place)
        self._plan = graph

    def body(self, keys: Keys, data: dict[str, Any], problems: Problems) -> Any:
        """What a step runs; None if it cannot be found."""
        inside = "; what a program is held to stands inside of `shell`" if "shell" in data else ""
        misplaced = [name for name in _OF_TOOLS if name in data and "tool" not in data]
        problems += ((name, f"is for steps that call a tool{inside}") for name in misplaced)
        problems += ((name, "is for steps with `if`") for name in _OF_CHOICES if name in data)
        given: dict[str, Any] = data.get("with", {})
        try:
            if "tool" in data:
                return described(data["tool"], given, _narrowing(data), self._plan, problems)
            if "memory" in data:
                return memory(data["memory"], **_arguments(given))
            if "ask" in data:
                return _ask(data["ask"])
            if "wait" in data:
                return _wait(data["wait"])
        except InvalidInputError as error:
            kind = next(kind for kind in ("tool", "memory", "ask", "wait") if kind in data)
            problems.append((kind, str(error).removeprefix(f"{kind}: ")))
            return None
        return super().body(keys, data, problems)


def named_after(step: dict[str, Any]) -> str:
    """The id of a step that does not say one."""
    kind = next((kind for kind in STEP_BODIES if kind in step), "step")
    value = step.get(kind)
    match kind:
        case "tool" if isinstance(value, str):
            return node_id(value)
        case "run" if isinstance(value, str):
            return node_id(value.rpartition(":")[2].rpartition(".")[2])
        case "graph" if isinstance(value, str):
            return node_id(value.rpartition("/")[2].rpartition(".")[0] or value)
        case "if":
            return "choice"
        case "loop":  # in expressions, that name has another meaning
            return "repeat"
        case _:
            return kind


def ids_inside(step: dict[str, Any]) -> Iterator[str]:
    """The ids of the steps inside of a step, as far as they say them."""
    loop = step.get("loop")
    parts = [
        step.get("then"),
        step.get("else"),
        cast("Any", loop).get("steps") if isinstance(loop, dict) else None,
    ]
    for part in parts:
        if isinstance(part, dict):
            yield from cast("dict[str, Any]", part)
        for each in cast("list[Any]", part) if isinstance(part, list) else ():
            if isinstance(each, dict) and isinstance(found := cast("dict[str, Any]", each).get("id"), str):
                yield found


def read_checks(draft: Draft, data: list[dict[str, Any]], bodies: BodyReader) -> list[Check]:
    """What is checked before a step, as it stands in a file; what is wrong is noted on the step."""
    found: list[Check] = []
    for i, each in enumerate(data):
        fields = dict(each)
        try:
            function = bodies.function(fields.pop("run")) if "run" in fields else None
            arguments = fields.pop("with", None)
            found.append(check(function, arguments=arguments, **fields))
        except (ImportProblem, InvalidInputError) as error:
            draft.report(f"checks[{i}]", str(error))
    return found


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    known = ("namespace", "key", "value", "default", "text", "where", "prefix", "limit")
    for name in given:
        if name not in known:
            raise InvalidInputError(f"memory: there is no {name!r}; there are {', '.join(known)}")
    if "namespace" not in given:
        raise InvalidInputError("memory: it needs namespace=")
    return given


def _narrowing(data: dict[str, Any]) -> Narrowing:
    may = cast("dict[str, Any]", data.get("permissions", {}))
    return Narrowing(**may, **{name: data[name] for name in ("limits", "best_effort", "folder") if name in data})


def _ask(value: Any) -> Description:
    if isinstance(value, str):
        return ask("confirm", value)
    fields = dict(cast("dict[str, Any]", value))
    how = next(how for how in _ASKS if how in fields)
    text = fields.pop(how)
    if "timeout" in fields:
        fields["timeout"] = seconds_of(fields["timeout"])
    return ask(how, text, **fields)


def _wait(value: Any) -> Description:
    if not isinstance(value, dict):
        return wait(value)
    fields = dict(cast("dict[str, Any]", value))
    if "timeout" in fields:
        fields["timeout"] = seconds_of(fields["timeout"])
    return wait(fields.pop("seconds", None), **fields)
