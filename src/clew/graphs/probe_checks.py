"""What is wrong with a node's probe: what it takes has to be there, and its answer has to be one."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any, Union, get_args, get_origin

from clew.graphs.bodies import Description
from clew.graphs.drafts import Draft
from clew.graphs.hints import bare, fits, told
from clew.graphs.names import did_you_mean, listed
from clew.graphs.probing import Happened
from clew.graphs.signatures import Signature, signature_of
from clew.graphs.typing_of import Types

Problem = tuple[str, str]
_ANSWERS = "a probe returns Happened(output), or None"


def probe_problems(draft: Draft, types_of: Types) -> Iterator[Problem]:
    """Everything that is wrong with the probe of a node that makes attempts.

    Args:
        draft: the node; its body is there, and so are its inputs.
        types_of: types in its graph.
    """
    probe: Any = draft.options.probe
    if probe is None or not callable(probe):  # `policy_problems` says so
        return
    if inspect.isgeneratorfunction(probe) or inspect.isasyncgenfunction(probe):
        yield "probe", f"it is a generator; {_ANSWERS}"
        return
    signature = signature_of(probe)
    for problem in signature.problems:
        yield "probe", problem
    yield from _parameter_problems(draft, signature)
    given = {name: value for name, value in draft.named_inputs.items() if name in signature.parameters}
    yield from types_of.misfits_of(draft, "probe", given, signature.parameters)
    yield from _answer_problems(draft, probe, signature.returns)


def _parameter_problems(draft: Draft, signature: Signature) -> Iterator[Problem]:
    known = draft.named_inputs
    for name, parameter in signature.parameters.items():
        if isinstance(draft.body, Description) and _has_two_meanings(draft, draft.body, name):
            kind = draft.body.kind
            what = f"{name!r} stands for what the {kind} node itself is given, and is a name in its texts, too"
            yield f"probe.{name}", f"{what}; give the latter another name"
        elif parameter.required and name not in known:
            near = did_you_mean(name, known) or (f"; it has {listed(known, last='and')}" if known else "")
            yield f"probe.{name}", f"a probe takes inputs of its node, which has none of this name{near}"


def _has_two_meanings(draft: Draft, body: Description, name: str) -> bool:
    if name not in body.own_inputs or name not in draft.inputs:
        return False
    return (draft.stored_inputs or {}).get(name) != draft.inputs[name]


def _answer_problems(draft: Draft, probe: Callable[..., Any], hint: Any) -> Iterator[Problem]:
    answers = [bare(one) for one in (get_args(hint) if get_origin(hint) in (Union, types.UnionType) else [hint])]
    happened = [one for one in answers if _is_happened(one)]
    if not happened and Any not in answers and object not in answers:
        name = getattr(probe, "__qualname__", None) or repr(probe)
        yield "probe", f"{name} returns {told(hint)}; {_ANSWERS}"
    returned = Any if isinstance(draft.body, Description) else draft.signature.returns
    for output in (output for one in happened for output in get_args(one)):
        if not fits(output, returned):
            yield "probe", f"its output is {told(output)}, but the function returns {told(returned)}"


def _is_happened(hint: Any) -> bool:
    kind = get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Happened)
