"""What a rollback would undo, for people who decide about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from clew import codec
from clew.kernel.definition import NodeSpec
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.undoing import in_order, irreversible, order
from clew.kernel.values import Binding, Expression, FromOutput, ListOf, Literal
from clew.kernel.visits import Group, Items, Visit

#: Inputs of programs, requests and restored files that tell what is done.
_TELLING = ("command", "url", "paths")
#: Kinds of nodes that change nothing.
_HARMLESS = frozenset({"ask", "wait"})


class Undoable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a run did.

    Attributes:
        path: the visit that did it; a map stands for all of its items that cannot be undone.
        step: key of the step that did it; empty for the visit itself.
        state: of the visit.
        how: kind of the compensation (``function``, ``tool``, ``shell``, …); empty if it cannot be undone.
        call: what the compensation calls: ``module:function``, the name of a tool, a command, a method and a URL,
            or paths, as far as they are known before.
        uncertain: it failed, was interrupted or goes on: whether and how far it took effect is not known.
        undone: it is undone already.
        irreversible: it was declared that it cannot be undone; otherwise, what has no `how` declares nothing.
        error: why its compensation failed, if that was tried.
    """

    path: str
    state: str
    step: str = ""
    how: str = ""
    call: str = ""
    uncertain: bool = False
    undone: bool = False
    irreversible: bool = False
    error: str = ""


class _Called(msgspec.Struct):
    """What names a body, of whichever kind it is."""

    ref: str = ""
    name: str = ""
    method: str = ""
    effects: str = "unknown"


def undoables(run: Run) -> list[Undoable]:
    """Everything that a rollback meets: what can be undone, last first, then what cannot."""
    if run.root is None:
        return []
    found = [_compensated(visit) for visit in in_order(run.undoing or order(run))]
    found += [
        Undoable(path=visit.path, state=visit.state, uncertain=_is_uncertain(visit), irreversible=True)
        for visit in irreversible(run)
    ]
    found += [
        Undoable(path=visit.path, state=visit.state, uncertain=_is_uncertain(visit))
        for visit in _undeclared(run.root)
    ]
    return found


def call_of(spec: NodeSpec) -> str:
    """What the body of a node calls: its name, or else what tells it from others; empty if there is nothing."""
    body = _called(spec)
    if body.ref or body.name:
        return body.ref or body.name
    told = [body.method, *(_text(spec.inputs[name]) for name in _TELLING if name in spec.inputs)]
    return " ".join(filter(None, told))


def _text(binding: Binding) -> str:
    """An input as people read it; what is not known before is left open."""
    match binding:
        case Literal(json=json):
            plain = codec.decode(json)
            return " ".join(map(str, cast("list[Any]", plain))) if isinstance(plain, list) else str(plain)
        case Expression(source=source):
            return source.replace("|quote }}", "}}").replace("{{( ", "{{ ").replace(" )}}", " }}")
        case ListOf(items=items):
            return " ".join(map(_text, items))
        case FromOutput():
            return "{{ output }}"
        case _:
            return "…"


def _called(spec: NodeSpec) -> _Called:
    try:
        return msgspec.json.decode(spec.body, type=_Called)
    except msgspec.MsgspecError:  # a body of another form has no name of its own
        return _Called()


def _compensated(compensation: Visit) -> Undoable:
    undone, spec, key = compensation.undoes, compensation.node.spec, compensation.undone_step
    assert undone is not None
    step = (undone.steps or {}).get(key) if key else None
    failed = compensation.state is NodeState.FAILED and compensation.error is not None
    return Undoable(
        path=undone.path,
        state=undone.state,
        step=key,
        how=spec.kind,
        call=call_of(spec),
        uncertain=step.is_open if step is not None else _is_uncertain(undone),
        undone=compensation.state is NodeState.COMPLETED,
        error=compensation.error.message if failed and compensation.error is not None else "",
    )


def _is_uncertain(visit: Visit) -> bool:
    return visit.state is not NodeState.COMPLETED


def _undeclared(group: Group) -> Iterator[Visit]:
    """What was begun in a group and says nothing about how it is undone."""
    for visit in group.members:
        if visit is None or visit.inherited or visit.started_at is None or _is_declared(visit):
            continue
        if isinstance(visit.inner, Items) and visit.node.inner is None:
            yield visit
        elif visit.inner is not None:
            yield from _undeclared(visit.inner)
        elif not visit.is_group and _may_act(visit.node.spec):
            yield visit


def _may_act(spec: NodeSpec) -> bool:
    """Whether a node may have changed something in the world."""
    return spec.kind not in _HARMLESS and _called(spec).effects != "none"


def _is_declared(visit: Visit) -> bool:
    if visit.node.undo is not None or visit.node.spec.irreversible or visit.is_barrier:
        return True
    return any(step.undo is not None for step in (visit.steps or {}).values())
