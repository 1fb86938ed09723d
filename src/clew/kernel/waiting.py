"""What bodies record and wait for, and what people answer and send: decided here, for `machine`."""

from __future__ import annotations

from typing import Any

import msgspec

from clew.kernel import barriers, routes
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.cells import fields_of
from clew.kernel.flow import Flow
from clew.kernel.questions import CONFIRM, DECISION, IN_DOUBT, Verdict, is_confirmed, verdict_of
from clew.kernel.reasons import not_agreed, said_to_have_failed
from clew.kernel.values import NULL, Value
from clew.kernel.visits import Visit
from clew.kernel.writes import Update

#: Messages of one name that may lie unreceived.
MAX_MAIL = 10_000


def step_begun(flow: Flow, signal: s.StepBegun) -> None:
    """A step that acts on the outside world is about to be made."""
    visit = flow.current(signal.path, signal.attempt)
    if visit is not None and not visit.probing and signal.key not in (visit.steps or {}):
        flow.emit(
            e.StepStarted(
                at=flow.now,
                path=visit.path,
                attempt=visit.attempt,
                key=signal.key,
                digest=signal.digest,
                undo=signal.undo,
            )
        )


def step_ended(flow: Flow, signal: s.StepEnded) -> None:
    """A step returned or raised; what was recorded first counts. Those of probes are not recorded."""
    visit = flow.current(signal.path, signal.attempt)
    if visit is None or visit.probing:
        return
    known = (visit.steps or {}).get(signal.key)
    if known is not None and not known.is_open:
        return
    where: dict[str, Any] = {
        "at": flow.now, "path": visit.path, "attempt": visit.attempt,
        "key": signal.key, "digest": signal.digest,
    }  # fmt: skip
    if signal.error is not None:
        flow.emit(e.StepFailed(**where, error=signal.error))
    else:
        assert signal.value is not None
        flow.emit(e.StepCompleted(**where, value=signal.value, effect=signal.effect, undo=signal.undo))


def open_wait(flow: Flow, signal: s.OpenWait) -> None:
    """A body waits; a message that lies there already is received at once."""
    visit = flow.current(signal.path, signal.attempt)
    if visit is None or signal.key in (visit.waits or {}):
        return
    flow.emit(
        e.WaitOpened(
            at=flow.now,
            path=visit.path,
            attempt=visit.attempt,
            key=signal.key,
            kind=signal.kind,
            due=signal.due,
            name=signal.name,
            question=signal.question,
            digest=signal.digest,
            default=signal.default,
        )
    )
    if signal.kind == "message":
        flow.hand_out(signal.name)


def key_taken(flow: Flow, signal: s.KeyTaken) -> None:
    """An exclusive key belongs to the visit that waited for it."""
    visit = flow.run.visits.get(signal.path)
    wait = visit.open_wait(signal.key) if visit is not None else None
    if visit is not None and wait is not None and wait.kind == "key":
        flow.emit(e.WaitResolved(at=flow.now, path=visit.path, key=signal.key, outcome="taken"))


def expire(flow: Flow, visit: Visit, key: str) -> None:
    """The moment that a wait ends by itself has come."""
    if key == DECISION:
        barriers.expire(flow, visit)
        return
    assert visit.waits is not None
    wait = visit.waits[key]
    outcome = "fired" if wait.kind == "timer" else "expired"
    flow.emit(e.WaitResolved(at=flow.now, path=visit.path, key=key, outcome=outcome, value=wait.default))


def send(flow: Flow, signal: s.Send) -> str | None:
    """A message arrives; who has waited longest for its name receives it."""
    run = flow.run
    if run.ended:
        return f"it has ended ({run.state})"
    if len(run.mail.get(signal.name, ())) >= MAX_MAIL:
        return f"{MAX_MAIL} messages called {signal.name!r} lie unreceived, and more are not taken"
    flow.emit(e.MessageArrived(at=flow.now, name=signal.name, value=signal.value, by=signal.by))
    flow.hand_out(signal.name)
    return None


def answer(flow: Flow, signal: s.Answer) -> str | None:
    """Somebody answers; the first answer in time is the one that counts."""
    visit = flow.run.visits.get(signal.path)
    wait = (visit.waits or {}).get(signal.key) if visit is not None else None
    if visit is None or wait is None or wait.kind != "answer":
        return f"{signal.path} asks nothing called {signal.key!r}"
    if signal.key == DECISION:
        return f"{signal.path} waits for a decision (approve, reject, modify, reroute), and not for an answer"
    if visit.open_wait(signal.key) is None:
        why = wait.outcome or "it is being stopped"
        return f"{signal.path} does not wait for {signal.key!r} any more ({why})"
    if signal.shown and signal.shown != wait.digest:
        return f"what {signal.path} asks as {signal.key!r} is not what was shown; look at it again"
    at = flow.now if signal.at is None else signal.at
    if wait.due is not None and at >= wait.due:
        expire(flow, visit, signal.key)
        return f"{signal.path} does not wait for {signal.key!r} any more (expired)"
    if signal.key == CONFIRM:
        return _confirm(flow, visit, signal)
    if signal.key == IN_DOUBT:
        return _answer_doubt(flow, visit, signal)
    _resolve(flow, visit, signal)
    return None


def _resolve(flow: Flow, visit: Visit, signal: s.Answer) -> None:
    flow.emit(
        e.WaitResolved(
            at=flow.now,
            path=visit.path,
            key=signal.key,
            outcome="answered",
            value=signal.value,
            by=signal.by,
            shown=signal.shown,
        )
    )


def _confirm(flow: Flow, visit: Visit, signal: s.Answer) -> str | None:
    """Somebody says whether something that cannot be undone is to be done."""
    agreed = is_confirmed(signal.value)
    if agreed is None:
        return "the answer is yes or no"
    _resolve(flow, visit, signal)
    if not agreed:
        flow.fail(visit, not_agreed(signal.by))
    return None


def _answer_doubt(flow: Flow, visit: Visit, signal: s.Answer) -> str | None:
    """A person says whether a lost attempt took effect."""
    verdict = verdict_of(signal.value)
    if verdict is None:
        return 'the answer is retry, fail, done, or {"done": the output of the node}'
    if isinstance(verdict, Verdict) and visit.group.walk is not None:
        if flow.rules is None:
            return "what it wrote can be said only where the run goes on: resume it there, then answer"
        update = _update_of(verdict)
        if update is None:
            return 'it is a node of a state graph: {"done": ...} gives the changes of the state, by key'
        _resolve(flow, visit, signal)
        routes.complete(flow, visit, update)
        return None
    _resolve(flow, visit, signal)
    if isinstance(verdict, Verdict):
        output = Value(json=verdict.done)
        flow.emit(e.NodeCompleted(at=flow.now, path=visit.path, attempt=visit.attempt, output=output))
        flow.settled(visit)
    elif verdict == "fail":
        flow.fail(visit, said_to_have_failed(visit, signal.by))
    return None


def _update_of(verdict: Verdict) -> Update | None:
    """What a lost attempt of a node of a state graph is said to have written; None if it is not said so."""
    if verdict.done == NULL:
        return Update()
    try:
        return Update(changes=fields_of(verdict.done))
    except msgspec.DecodeError:
        return None


def checkpoint(flow: Flow, signal: s.Checkpoint) -> str | None:
    """Somebody names the position that the run has now."""
    if flow.run.ended:
        return f"it has ended ({flow.run.state})"
    flow.emit(e.CheckpointTaken(at=flow.now, name=signal.name, path=signal.path, by=signal.by))
    return None
