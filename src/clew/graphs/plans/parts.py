"""The parts of a step (branches, the body of a loop) put together to a state graph, the node of the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from clew.graphs.captures import Captures
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.graph import Graph
from clew.graphs.names import Place
from clew.graphs.plan_drafts import Role
from clew.graphs.policies import NOT_GIVEN
from clew.graphs.route_drafts import RouteDraft
from clew.graphs.route_writing import inputs_of, place_edge
from clew.graphs.signatures import positional
from clew.graphs.state_schema import KeyDraft, Schema
from clew.graphs.updates import END, START
from clew.graphs.writing import draft_of
from clew.kernel.definition import OnLimit
from clew.kernel.values import Binding, FromNode, FromOutput, FromState

#: Keys of the state of a choice: whether the condition holds, and what the branch returned.
WHEN, OUTPUT = "when", "output"
#: The branches of a choice.
THEN, ELSE = "then", "else"
#: What inputs of the node of a step are called in problems, by name.
Words = Mapping[str, str]
#: The node of a loop.
BODY = "body"


def part(around: GraphDraft, name: str, place: Place, captures: Captures) -> GraphDraft:
    """Begin a part of a step.

    Args:
        around: the plan that has the step.
        name: of the step and the part.
        place: where it was written.
        captures: what the parts of the step take from the plan around.
    """
    assert around.plan is not None
    return GraphDraft(
        name=f"{around.name}/{name}",
        place=place,
        on_error=around.on_error,
        plan=replace(around.plan, captures=captures, metadata={}, own=()),
    )


def write_part(plan: Graph, written: Any, seen: object | None) -> GraphDraft:
    """Let a function write a part.

    Args:
        plan: the part, empty.
        written: the function.
        seen: what the part sees of its loop, which the function is given if it needs two arguments.
    """
    graph = plan.draft
    if not callable(written):
        what = "a branch or body is a plan, or a function that writes one"
        graph.problems.append(graph.place.before(f"{graph.name}: {what}, not {type(written).__name__}"))
        return graph
    wants_loop = seen is not None and sum(each.required for each in positional(written)) > 1
    returned: Any = written(plan, seen) if wants_loop else written(plan)
    if returned is not None:
        plan.returns(returned)
    returns_last(graph)
    return graph


def returns_last(graph: GraphDraft) -> None:
    """A part returns what its last step did, if it does not say what."""
    if graph.output is None and graph.nodes:
        graph.output = FromNode(graph.nodes[-1].id)
        graph.output_place = graph.place


def choice_graph(
    around: GraphDraft, step: str, place: Place, branches: Mapping[str, GraphDraft], label: str
) -> GraphDraft:
    """The state graph of a choice; what its branches take are its keys.

    Args:
        around: the plan that has the step.
        step: id of the step.
        place: where it was written.
        branches: `THEN`, and perhaps `ELSE`.
        label: the condition as people read it.
    """
    own = [KeyDraft(name=WHEN, required=True, own=True), KeyDraft(name=OUTPUT, default=b"null", own=True)]
    graph = _state_graph(around, step, place, own, branches.values())
    for name, branch in branches.items():
        _add(graph, name, branch, {OUTPUT: FromOutput()})
        place_edge(graph, name, END, place)
    place_edge(graph, START, THEN, place, when=f"{{{{ state.{WHEN} }}}}").label = label
    place_edge(graph, START, ELSE if ELSE in branches else END, place)
    graph.output = FromState(OUTPUT)
    return graph


def loop_graph(
    around: GraphDraft, step: str, place: Place, body: GraphDraft, keys: list[KeyDraft], captures: Captures
) -> GraphDraft:
    """The state graph of a loop; what its body takes are its keys.

    Args:
        around: the plan that has the step.
        step: id of the step.
        place: where it was written.
        body: what is done again and again.
        keys: of its state.
        captures: what the loop takes from the plan around.
    """
    assert around.plan is not None
    graph = _state_graph(around, step, place, keys, [body])
    graph.plan = replace(around.plan, captures=captures, metadata={}, own=())
    _add(graph, BODY, body, {})
    return graph


def close_loop(graph: GraphDraft, captures: Captures, again: str, label: str) -> None:
    """Draw the edges of a loop, when its conditions have been read.

    Args:
        graph: from `loop_graph`.
        captures: what the loop takes from the plan around, its conditions included.
        again: the key that says whether the body is done once more.
        label: the condition as people read it.
    """
    assert graph.routes is not None
    keys = graph.routes.schema.keys
    for name in captures.taken:
        keys.setdefault(name, KeyDraft(name=name, required=True))
    graph.inputs = inputs_of(graph.routes.schema, graph.place)
    for source in (START, BODY):
        place_edge(graph, source, BODY, graph.place, when=f"{{{{ state.{again} }}}}").label = label
        place_edge(graph, source, END, graph.place)


def bound_loop(graph: GraphDraft, most: int, *, stops: bool) -> None:
    """Say how often the body of a loop may be done.

    Args:
        graph: from `loop_graph`.
        most: so often.
        stops: the loop ends there; otherwise it fails.
    """
    (draft,) = graph.nodes
    assert graph.routes is not None
    draft.max_visits = most
    draft.on_limit = OnLimit.DROP if stops else OnLimit.STRICT
    graph.routes.max_steps = most + 1


def step_of(graph: GraphDraft, step: str, place: Place, around: GraphDraft, role: Role, words: Words) -> Draft:
    """Begin the node of a step that is made of parts.

    Args:
        graph: its state graph.
        step: its id.
        place: where it was written.
        around: the plan that has it.
        role: what it is for people.
        words: what its inputs are called in problems.
    """
    draft = draft_of(graph, step, NOT_GIVEN, place, around)
    draft.role = role
    draft.words = {f"parameter {name!r}": word for name, word in words.items()}
    return draft


def _state_graph(
    around: GraphDraft, step: str, place: Place, own: list[KeyDraft], parts: Iterable[GraphDraft]
) -> GraphDraft:
    schema = Schema(keys={key.name: key for key in own})
    for each in parts:
        for declared in each.inputs.values():
            known = schema.keys.get(declared.name)
            if known is None:
                schema.keys[declared.name] = KeyDraft(
                    name=declared.name,
                    hint=declared.hint,
                    default=declared.default or b"" if not declared.required else b"",
                    required=declared.required,
                    description=declared.description,
                )
            elif known.hint != declared.hint and known not in own:
                schema.keys[declared.name] = KeyDraft(
                    name=declared.name, required=known.required or declared.required, default=known.default
                )
    return GraphDraft(
        name=f"{around.name}/{step}",
        place=place,
        inputs=inputs_of(schema, place),
        routes=RouteDraft(schema=schema),
    )


def _add(graph: GraphDraft, name: str, part_: GraphDraft, sets: Mapping[str, Binding]) -> None:
    draft = draft_of(part_, name, NOT_GIVEN, part_.place, graph)
    draft.sets = dict(sets)
    graph.place_node(draft)
