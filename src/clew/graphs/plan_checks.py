"""What of a plan cannot be, although each of its steps could: it uses more, or lasts longer, than the plan may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clew.errors import InvalidInputError
from clew.graphs.bodies import Description
from clew.graphs.body_data import ShellBody, ToolBody
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.limits import Limits, limits_of
from clew.graphs.typing_of import Types
from clew.graphs.units import seconds_of

_TIMES = ("timeout", "total_timeout", "expected")


def resource_problems(graph: GraphDraft) -> Iterator[str]:
    """What steps of a plan ask for beyond what the plan may use, as it is shown; those in its parts included."""
    if graph.plan is None or graph.plan.captures is not None:
        return
    try:
        limits = limits_of(graph.limits)
    except InvalidInputError:  # `limit_problems` tells
        return
    last = [each for each in (graph.timeout, limits.wall_s) if each is not None and _is_time(each)]
    longest = min(last, default=None)
    for draft in _steps(graph):
        for about, sentence in (*_too_much(draft, limits), *_too_long(draft, longest)):
            yield draft.tell(about, sentence)


def undo_problems_in(graph: GraphDraft) -> Iterator[str]:
    """Compensations of parts as wholes inside of loops: what they are given has changed when they are made."""
    if not _is_in_loop(graph):
        return
    for draft in graph.nodes:
        if isinstance(draft.body, GraphDraft) and draft.options.undoing is not None:
            sentence = "inside of a loop, it is for single steps; put it on the steps inside of this one"
            yield draft.tell("compensate", sentence)


def _is_in_loop(graph: GraphDraft) -> bool:
    plan = graph.plan
    while plan is not None and plan.captures is not None:
        if plan.own:
            return True
        outer = plan.captures.outer
        plan = outer.plan if isinstance(outer, GraphDraft) else None
    return False


def type_parts(graph: GraphDraft, types: Types) -> None:
    """Say of what the parts of steps take from a plan around them of which type it is there.

    Args:
        graph: the plan, or a part; all of it is written.
        types: of it.
    """
    for draft in graph.nodes:
        inner = draft.body
        if not draft.role or not isinstance(inner, GraphDraft) or inner.routes is None:
            continue
        own = [part for part in inner.children() if part.plan is not None and part.plan.captures is not None]
        for name, binding in draft.inputs.items():
            hint = types.of(binding, Any)
            for place in (inner, *own):
                if name in place.inputs and (place is not inner or own):
                    place.inputs[name].hint = hint
            if name in inner.routes.schema.keys and own:
                inner.routes.schema.keys[name].hint = hint


def _steps(graph: GraphDraft) -> Iterator[Draft]:
    """The nodes of a plan and of all that is inside of it."""
    for draft in graph.nodes:
        yield draft
        if isinstance(draft.body, GraphDraft):
            yield from _steps(draft.body)


def _too_much(draft: Draft, limits: Limits) -> Iterator[tuple[str, str]]:
    body = draft.body.body if isinstance(draft.body, Description) else None
    if not isinstance(body, ToolBody | ShellBody):
        return
    for name, own in body.limits.given():
        most = getattr(limits, name)
        if name != "network" and most is not None and own > most:
            yield "limits", f"{name} is {own:,}, and all steps of the plan together may use {most:,}"


def _too_long(draft: Draft, longest: float | None) -> Iterator[tuple[str, str]]:
    if longest is None:
        return
    times: dict[str, Any] = {name: getattr(draft.options, name) for name in _TIMES}
    if isinstance(draft.body, Description) and draft.body.kind == "wait":
        times["wait"] = seconds_of(draft.body.inputs.get("seconds"))
    for name, seconds in times.items():
        if _is_time(seconds) and seconds > longest:
            yield name, f"is {seconds:g} s, and the whole plan may last {longest:g} s"


def _is_time(seconds: Any) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool)
