"""Choices of plans: a condition, what is done if it holds, and what if it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clew.graphs.captures import Captures
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.name_scopes import Names
from clew.graphs.names import Place
from clew.graphs.plans.deciding import Condition
from clew.graphs.plans.parts import ELSE, OUTPUT, THEN, WHEN, choice_graph, step_of
from clew.kernel.values import Binding

#: Names that nothing taken from around can have.
RESERVED = (WHEN, OUTPUT)


def write_choice(
    around: Names,
    step: str,
    place: Place,
    when: Any,
    branches: Mapping[str, GraphDraft],
    captures: Captures,
    given: Mapping[str, Binding],
    called: str = "",
) -> Draft:
    """The node of a choice; what is wrong is noted on it.

    Args:
        around: what can be named in the plan that has it.
        step: its id.
        place: where it was written.
        when: the condition.
        branches: `THEN`, and perhaps `ELSE`.
        captures: what they take from the plan around.
        given: what they are given by name, bound in the plan around.
        called: what errors at run time call the step; its id, if that is empty.
    """
    graph = around.graph
    told = Draft(id=step, place=place, body=None, called=called or f"{graph.name}: {step}")
    condition = Condition(told, "if", when)
    inner = choice_graph(graph, step, place, branches, condition.label)
    draft = step_of(inner, step, place, graph, "choice", {WHEN: "if"})
    draft.label = condition.label
    binding = condition.binding(around.scope(given), graph)
    _never(told, condition, branches)
    draft.problems += told.problems
    draft.inputs = {**given, **captures.taken, WHEN: binding}
    return draft


def _never(told: Draft, condition: Condition, branches: Mapping[str, GraphDraft]) -> None:
    """Branches that cannot be reached."""
    holds = condition.constant
    if holds is None:
        return
    name = ELSE if holds else THEN
    if name in branches:
        always = "always holds" if holds else "never holds"
        told.report("if", f"it {always}, so that the steps of `{name}` are never reached")
