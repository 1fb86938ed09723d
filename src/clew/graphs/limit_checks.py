"""What is wrong with the limits of a graph, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from clew.errors import InvalidInputError
from clew.graphs.bodies import Description, name_of
from clew.graphs.drafts import GraphDraft
from clew.graphs.limits import limits_of
from clew.graphs.signatures import signature_of

#: What can be told of one step only.
_OF_STEPS = ("cores", "network")
_OUTERMOST = "only those of the outermost graph would hold, for all of its parts"
_NOT_IN_THE_LOOP = "no limit holds there: make it synchronous, call it as a tool, or say best_effort"


def limit_problems(graph: GraphDraft) -> Iterator[tuple[str, str]]:
    """What is wrong with the limits of a graph."""
    try:
        limits = limits_of(graph.limits)
    except InvalidInputError as error:
        yield "limits", str(error).removeprefix("limits: ")
        return
    for name in _OF_STEPS:
        if getattr(limits, name) is not None:
            yield "limits", f"{name} is a limit of single steps; give it to the tools that are called"
    for draft in graph.nodes:
        if isinstance(draft.body, GraphDraft) and draft.body.limits:
            yield "limits", f"the graph of {draft.id} has limits of its own; {_OUTERMOST}"
    if limits.need_isolation and not graph.best_effort:
        for where in _in_the_loop(graph, ""):
            yield "limits", f"{where} is asynchronous, and runs in the loop of the engine; {_NOT_IN_THE_LOOP}"


def _in_the_loop(graph: GraphDraft, above: str) -> Iterator[str]:
    """The nodes whose functions cannot be put into processes of their own."""
    for draft in graph.nodes:
        where = f"{above}{draft.id}"
        if isinstance(draft.body, GraphDraft):
            yield from _in_the_loop(draft.body, f"{where}/")
        elif callable(draft.body) and not isinstance(draft.body, Description):
            is_ours = name_of(draft.body)[0].startswith("clew.")
            if not is_ours and signature_of(draft.body).is_async:
                yield where
