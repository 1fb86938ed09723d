"""Folding what bodies record and wait for: steps, sleeps, questions, messages, keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from clew.kernel import events as e
from clew.kernel import mail
from clew.kernel.commands import Step, Wait
from clew.kernel.questions import BEFORE, CONFIRM, DECISION, IN_DOUBT
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.values import Message
from clew.kernel.visits import Visit

#: Outcomes of waits that the next attempt need not wait for again: what people have given.
GIVEN = frozenset({"answered", "received"})
#: Likewise for the next generation of a run.
CAME_ABOUT = GIVEN | {"fired", "expired"}
#: Kinds of waits that somebody else ends.
OF_OTHERS = frozenset({"answer", "message", "key"})
#: Outcomes of waits that took something out of a mailbox.
RECEIVED = frozenset({"received"})


#: What is measured under a name that begins so is not summed: the most of it counts.
PEAK = "peak_"
#: Waits that the machine opens by itself.
MACHINES = frozenset({IN_DOUBT, DECISION, CONFIRM})


def keep_waits(visit: Visit, outcomes: frozenset[str]) -> None:
    """Forget the waits of a visit whose outcome is none of these; what was decided at a barrier is kept."""
    if visit.waits is not None:
        visit.waits = {
            key: wait
            for key, wait in visit.waits.items()
            if wait.outcome in outcomes or (wait.outcome and key == DECISION)
        } or None


def serves_undoing(key: str, step: Step) -> bool:
    """Whether a step is of use when its visit has completed."""
    return step.undo is not None or key.startswith(BEFORE)


def _step_started(run: Run, event: e.StepStarted) -> None:
    _record_step(run.visits[event.path], event.key, Step(event.digest, effect=True, undo=event.undo))


def _step_completed(run: Run, event: e.StepCompleted) -> None:
    visit = run.visits[event.path]
    begun = (visit.steps or {}).get(event.key)
    undo = event.undo or (begun.undo if begun is not None else None)
    _record_step(visit, event.key, Step(event.digest, value=event.value, effect=event.effect, undo=undo))


def _step_failed(run: Run, event: e.StepFailed) -> None:
    _record_step(run.visits[event.path], event.key, Step(event.digest, error=event.error))


def _record_step(visit: Visit, key: str, step: Step) -> None:
    if visit.steps is None:
        visit.steps = {}
    visit.steps[key] = step


def _wait_opened(run: Run, event: e.WaitOpened) -> None:
    visit = run.visits[event.path]
    if visit.waits is None:
        visit.waits = {}
    wait = Wait(
        kind=event.kind,
        due=event.due,
        question=event.question,
        name=event.name,
        digest=event.digest,
        default=event.default,
        since=event.at,
        opened=run.seq + 1,
    )
    visit.waits[event.key] = wait
    mail.watch_wait(run, visit, event.key, wait)
    # No attempt is under way that could ask: the machine does, in its place.
    if event.key in MACHINES and visit.state is not NodeState.WAITING:
        run.move(visit, NodeState.WAITING)


def _wait_resolved(run: Run, event: e.WaitResolved) -> None:
    visit = run.visits[event.path]
    assert visit.waits is not None
    wait = visit.waits[event.key]
    number = mail.take(run, wait.name).number if event.outcome == "received" else 0
    visit.waits[event.key] = replace(wait, outcome=event.outcome, value=event.value, by=event.by, message=number)
    visit.waited |= wait.kind in OF_OTHERS
    if event.key == DECISION:
        if event.kept and not event.standing:
            del run.kept[event.path]
        return  # what was decided is done next
    if event.key == IN_DOUBT:
        visit.in_doubt = False
        del visit.waits[IN_DOUBT]
        if visit.total_due is not None:
            visit.total_due += event.at - wait.since
    # The machine's own question is waited for alone, whatever else the lost attempt waited for.
    if visit.state is NodeState.WAITING and IN_DOUBT not in visit.waits:
        visit.resumes = visit.suspended_at is not None
        run.make_ready(visit)
        run.set_total_timer(visit)


def _message_arrived(run: Run, event: e.MessageArrived) -> None:
    mail.deliver(run, Message(event.value, event.by, run.seq + 1), event.name)


def _usage_recorded(run: Run, event: e.UsageRecorded) -> None:
    visit = run.visits[event.path]
    if visit.used is None:
        visit.used = {}
    for total in (run.used, visit.used):
        add_usage(total, event.used)


def add_usage(total: dict[str, float], used: Mapping[str, float]) -> None:
    """Add what was used to what was used before: the sum; of what is a peak, the highest."""
    for name, amount in used.items():
        before = total.get(name, 0.0)
        total[name] = max(before, amount) if name.startswith(PEAK) else before + amount


RECORDING: dict[type, Callable[[Run, Any], None]] = {
    e.StepStarted: _step_started,
    e.StepCompleted: _step_completed,
    e.StepFailed: _step_failed,
    e.WaitOpened: _wait_opened,
    e.WaitResolved: _wait_resolved,
    e.MessageArrived: _message_arrived,
    e.UsageRecorded: _usage_recorded,
}
