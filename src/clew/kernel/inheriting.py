"""Folding a fork: the run gets its own name and times, and what was under way is as if it had not begun."""

from __future__ import annotations

from msgspec.structs import replace

from clew.kernel import events as e
from clew.kernel.mail import watch_wait
from clew.kernel.questions import BEFORE
from clew.kernel.state import Run
from clew.kernel.visits import Visit


def run_forked(run: Run, event: e.RunForked) -> None:
    """The events before this one are those of another run."""
    run.origin = run.id, run.seq
    run.id, run.labels = event.run, event.labels
    run.generation = run.epoch = 1
    run.kept = {}  # what was decided beforehand was decided about the other run
    if run.due is not None:
        run.due += event.shift_s
        run.timers.set(run.due, "run", None)
    for visit in run.visits.values():
        if visit.ended_at is not None:
            visit.inherited = True
            continue
        _shift(run, visit, event.shift_s)
        _disown(visit)


def _shift(run: Run, visit: Visit, by_s: float) -> None:
    """What is due for a visit is due as much later."""
    for name, kind in (("attempt_due", "attempt"), ("total_due", "total"), ("retry_due", "retry")):
        due: float | None = getattr(visit, name)
        if due is not None:
            setattr(visit, name, due + by_s)
            run.timers.set(due + by_s, kind, visit)
    if visit.suspended_at is not None:
        visit.suspended_at += by_s
    for key, wait in list((visit.waits or {}).items()):
        assert visit.waits is not None
        if wait.outcome == "taken":  # the first run holds the key
            del visit.waits[key]
        elif not wait.outcome:
            due = wait.due + by_s if wait.due is not None else None
            visit.waits[key] = replace(wait, due=due, since=wait.since + by_s)
            watch_wait(run, visit, key, visit.waits[key])


def _disown(visit: Visit) -> None:
    """What was done of a visit so far is not this run's to undo."""
    visit.begun = False
    if not visit.is_group:
        visit.started_at = None
    if visit.steps is not None:
        done = {key: step for key, step in visit.steps.items() if not key.startswith(BEFORE)}
        visit.steps = {key: replace(step, undo=None) for key, step in done.items()} or None


def leave(visit: Visit) -> None:
    """What an attempt of the first run had begun is left to it: steps that have no end, keys that it holds."""
    if visit.steps is not None:
        visit.steps = {key: step for key, step in visit.steps.items() if not step.is_open} or None
    if visit.waits is not None:
        visit.waits = {key: wait for key, wait in visit.waits.items() if wait.kind != "key"} or None
