"""Steps that call tools: the tool found, its rights narrowed, and where its arguments come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clew.errors import InvalidInputError
from clew.graphs.bodies import Description
from clew.graphs.body_data import ToolBody
from clew.graphs.calls import call
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.handles import bind
from clew.graphs.name_scopes import Names
from clew.graphs.names import Place
from clew.graphs.plan_drafts import PlanDraft
from clew.graphs.plans.rights import granted
from clew.graphs.policies import Options
from clew.graphs.preconditions import Check, check_problems, resolved
from clew.graphs.server_files import tool_unasked
from clew.graphs.signatures import Signature
from clew.graphs.templates import Template
from clew.graphs.tools import Tool, Tools, tool_of
from clew.graphs.undo_writing import OUTPUT, bind_undo
from clew.graphs.writing import draft_of
from clew.kernel.values import Binding, FromOutput

#: What a step runs, by name or itself.
Called = str | Tool | Callable[..., Any]
#: What is wrong, as (field, sentence).
Problems = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """What a step leaves its tool; None is what the tool has."""

    read: Any = None
    write: Any = None
    network: Any = None
    shell: bool | None = None
    limits: Any = None
    best_effort: bool | None = None
    folder: str | None = None

    def given(self) -> dict[str, Any]:
        """What is given."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


def found(tool: Called, plan: PlanDraft) -> Tool:
    """The tool that is meant.

    Raises:
        InvalidInputError: there is none of this name, or it is no tool.
    """
    if not isinstance(tool, str):
        return tool_of(tool)
    at_server = tool_unasked(plan.servers, tool) if tool not in plan.tools else None
    return at_server or plan.tools.get(tool)


def described(
    tool: Called, arguments: Mapping[str, Any], narrowing: Narrowing, graph: GraphDraft, problems: Problems
) -> Description | None:
    """The call that a step makes, with no more rights than its plan grants.

    Args:
        tool: by name or itself.
        arguments: by name.
        narrowing: what the step leaves it.
        graph: the plan.
        problems: takes what is wrong.

    Returns:
        None if there is no such tool.
    """
    plan = graph.plan
    assert plan is not None
    try:
        made = found(tool, plan)
    except InvalidInputError as error:
        problems.append(("tool", str(error)))
        return None
    given = narrowing.given()
    if plan.folder and made.server is None:
        given.setdefault("folder", plan.folder)
    try:
        made = made.within(**given) if given else made
    except InvalidInputError as error:
        problems.append(_about(str(error)))
    made, wrong = granted(made, plan.permissions)
    problems += wrong
    return call(made, **arguments)


def step_draft(
    body: Description | None, step: str, options: Options, place: Place, graph: GraphDraft, problems: Problems
) -> Draft:
    """Begin a step; what is wrong is noted on it."""
    if body is None:
        draft = Draft(id=step, place=place, body=None, options=options)
    else:
        draft = draft_of(body, step, options, place, graph)
        draft.own_signature = Signature(parameters={}, is_async=True)
    draft.problems += problems
    return draft


def add_checks(draft: Draft, checks: Sequence[Check], tools: Tools, template: Callable[[str], Template]) -> None:
    """Give a step that has its inputs what is checked before it.

    Args:
        draft: the step.
        checks: in order.
        tools: of the plan.
        template: reads what they are given; it is told which of them it is.
    """
    body = draft.body
    if not isinstance(body, Description) or not isinstance(body.body, ToolBody) or draft.stored_inputs is None:
        return
    found: list[Check] = []
    for i, each in enumerate(checks):
        about = f"checks[{i}]"
        try:
            one = resolved(each, tools)
        except InvalidInputError as error:
            draft.report(about, str(error))
            continue
        for sentence in check_problems(one, body.body):
            draft.report(about, sentence)
        for name, value in one.given(len(found)):
            draft.stored_inputs[name] = template(about).binding(value)
        found.append(one)
    draft.checks = tuple(found)


def fill_step(draft: Draft, names: Names, checks: Sequence[Check] = ()) -> None:
    """Give a step that is written in Python its inputs; texts in them name steps of the plan, and its inputs."""
    body = draft.body
    if not isinstance(body, Description):
        return
    graph = names.graph
    draft.called = f"{graph.name}: {draft.id}"

    def template(about: str, given: Mapping[str, Any]) -> Template:
        def report(_: object, sentence: str) -> None:
            draft.report(about, sentence)

        return Template(names.scope(given), f"{draft.called}.{about}", report, graph)

    draft.stored_inputs = {
        name: template(name, {}).binding(value, shell=body.is_line(name)) for name, value in body.inputs.items()
    }
    own = draft.named_inputs
    if draft.options.exclusive is not None:
        draft.exclusive = template("exclusive", own).binding(draft.options.exclusive)
    bind_undo(draft, own, lambda about: template(about, {**own, OUTPUT: FromOutput()}))
    assert graph.plan is not None
    add_checks(draft, checks, graph.plan.tools, lambda about: template(about, own))


def bound(graph: GraphDraft, given: Mapping[str, Any], problems: Problems) -> dict[str, Binding]:
    """What the parts of a step are given by name."""

    def one(name: str, value: Any) -> Binding:
        return bind(value, graph, lambda sentence: problems.append((f"parameter {name!r}", sentence)))

    return {name: one(name, value) for name, value in given.items()}


def _about(sentence: str) -> tuple[str, str]:
    """The field that a refusal of `Tool.within` is about, and the rest of it."""
    field, colon, rest = sentence.partition(": ")
    return (field, rest) if colon and field in Narrowing.__slots__ else ("permissions", sentence)
