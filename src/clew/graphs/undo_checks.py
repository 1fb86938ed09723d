"""What is wrong with the compensation of a node: what it takes has to be there when the node is undone."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from clew.graphs.bodies import Description, is_importable
from clew.graphs.body_data import RestoreBody
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.names import did_you_mean, listed
from clew.graphs.signatures import Signature
from clew.graphs.state_checks import state_misfits
from clew.graphs.typing_of import Types
from clew.graphs.undo_writing import OUTPUT
from clew.kernel.values import Binding, DictOf, Expression, FromOutput, FromState, ListOf, Pick, references

Problem = tuple[str, str]

#: Of a body or a compensation with a time limit that only this process can find.
NEEDS_A_PROCESS = (
    "a synchronous function with a time limit runs in a process of its own, which cannot find this one (a lambda, "
    "a function inside a function, or one of an interactive session); define it at the top of a module, or make "
    "it async"
)


def undo_problems(draft: Draft, graph: GraphDraft, types: Types) -> Iterator[Problem]:
    """Everything that is wrong with the compensation of a node, but for its policies.

    Args:
        draft: the node; its body is there, and so are its inputs.
        graph: that it is a node of.
        types: of that graph.
    """
    how = draft.options.undoing
    if how is None:
        return
    body: Any = how.body
    if draft.undo is None:
        what = "is a function, shell(…), http(…), call(…), memory(…), restore(…), or undo(…) of one of them"
        yield "compensate", f"{what}, not {type(body).__name__}"
        return
    if OUTPUT in draft.named_inputs:
        what = f"{OUTPUT!r} stands for what the node returned, and the node has an input of this name, too"
        yield "compensate", f"{what}; give the input another name"
    if isinstance(body, Description) and isinstance(body.body, RestoreBody):
        yield from _restore_problems(draft, draft.undo.inputs)
    if not isinstance(body, Description):
        yield from _function_problems(draft, graph, body, draft.undo.signature)
        if how.timeout is not None and not draft.undo.signature.is_async and not _is_found(draft, graph):
            yield "compensate.timeout", NEEDS_A_PROCESS
    for name, binding in draft.undo.inputs.items():
        if isinstance(draft.body, GraphDraft) and graph.has_state and _uses_output(binding):
            yield f"compensate.{name}", "what this graph returned is in the state; take that"
        for other in sorted(references(binding) - draft.needs):
            if other in graph.index:
                yield f"compensate.{name}", f"the node does not depend on {other!r}; say so by depends_on"
        if binding == FromState() and name in draft.undo.signature.parameters:
            hint = draft.undo.signature.parameters[name].hint
            yield from ((f"compensate.{name}", each) for each in state_misfits(hint, graph))
    yield from types.undo_problems(draft)


def _function_problems(draft: Draft, graph: GraphDraft, body: Any, signature: Signature) -> Iterator[Problem]:
    assert draft.undo is not None
    if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
        yield "compensate", "it is a generator; what undoes a node is a plain function, asynchronous or not"
        return
    for problem in signature.problems:
        yield "compensate", problem
    known = [*(["state"] if graph.has_state else []), *draft.named_inputs, OUTPUT]
    for name, parameter in signature.parameters.items():
        if parameter.required and name not in draft.undo.inputs:
            near = did_you_mean(name, known) or f"; there is {listed(dict.fromkeys(known), last='and')}"
            what = "what undoes a node takes inputs of it, and what it returned, and there is none of this name"
            yield f"compensate.{name}", f"{what}{near}"


def _restore_problems(draft: Draft, inputs: Mapping[str, Binding]) -> Iterator[Problem]:
    if isinstance(draft.body, GraphDraft):
        yield (
            "compensate",
            "restore(…) is for a node with a body, and a graph is none; put it on the graph's nodes",
        )
    if any(map(_uses_output, inputs.values())):
        what = f"which files are put back is told before the node has returned {OUTPUT!r}"
        yield "compensate.paths", f"{what}; name them by inputs of the node"


def _uses_output(binding: Binding) -> bool:
    match binding:
        case FromOutput():
            return True
        case Pick(of=of):
            return _uses_output(of)
        case ListOf(items=items):
            return any(map(_uses_output, items))
        case DictOf(items=items) | Expression(names=items):
            return any(map(_uses_output, items.values()))
        case _:
            return False


def _is_found(draft: Draft, graph: GraphDraft) -> bool:
    return is_importable(draft.undo_body(graph.name))
