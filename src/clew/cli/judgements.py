"""Barriers in words: what is waited for, what was decided, and the command that decides."""

from __future__ import annotations

import msgspec

from clew.cli.words import command, first_line, plain, shortened
from clew.kernel import events as e
from clew.kernel.definition import BarrierSpec
from clew.kernel.values import Value
from clew.kernel.visits import Visit
from clew.kernel.writes import Judgement

#: Characters of what is to be decided, in one line.
TEXT = 200

_DONE = {
    "approve": "approved",
    "reject": "rejected",
    "modify": "modified",
    "reroute": "rerouted",
    "skip": "skipped",
}


def judgement_of(value: Value) -> Judgement:
    """A decision as it was recorded."""
    return msgspec.json.decode(value.json, type=Judgement)


def told_decision(event: e.WaitResolved) -> str:
    """What was decided at a barrier, by whom, and when it was if not there and then."""
    assert event.value is not None
    judgement = judgement_of(event.value)
    if event.outcome == "expired":
        return f"not decided in time, which counts as {judgement.kind}"
    how = " (standing)" if event.standing else " (decided before)" if event.kept else ""
    return f"{told_judgement(judgement, event.by)}{how}"


def told_judgement(judgement: Judgement, by: str) -> str:
    """A decision in a few words: ``rejected by ann: too short``."""
    who = f" by {plain(by)}" if by else ""
    where = f" to {plain(judgement.target) or 'END'}" if judgement.kind == "reroute" else ""
    why = f": {first_line(judgement.reason)}" if judgement.reason else ""
    return f"{_DONE[judgement.kind]}{where}{who}{why}"


def told_barrier(spec: BarrierSpec | None, left: str = "") -> str:
    """What a barrier waits for; `left` says for how long."""
    text = shortened(first_line(spec.text), TEXT) if spec is not None else ""
    return f"waits for a decision{left}{f': {text}' if text else ''}"


def told_default(spec: BarrierSpec) -> str:
    """What counts as the decision when nobody has decided in time."""
    return f"then: {spec.default.value}"


def deciding(run: str, visit: Visit, db: str) -> str:
    """The command by which a barrier is decided on, and that there are others."""
    return f"{command('approve', run, visit.path, db=db)} (or reject, modify, reroute)"
