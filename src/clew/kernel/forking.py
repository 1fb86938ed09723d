"""A run that goes on as another one: what it inherits, and what it leaves to the first one."""

from __future__ import annotations

from clew.kernel import barriers
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.errors import RuleError
from clew.kernel.flow import Flow
from clew.kernel.reducing import plan_puts
from clew.kernel.routes import go_on_anywhere
from clew.kernel.states import UNDER_WAY, RunState
from clew.kernel.visits import Walk
from clew.kernel.writes import Write


def fork(flow: Flow, signal: s.Fork) -> str | None:
    """The run goes on as another one from here; why it cannot, if it cannot.

    The time that has passed since the last event of the first run does not count: what was due in an hour is due
    in an hour.
    """
    run = flow.run
    if run.state not in (RunState.RUNNING, RunState.PAUSED):
        return f"at that position it is {run.state}; choose an earlier one"
    changes = (signal.changes, signal.delete)
    writes: tuple[Write, ...] = ()
    if any(changes):
        if not isinstance(run.root, Walk):
            return "only the state of a state graph can be changed, and this is none"
        try:
            writes = plan_puts(run.root, *changes)
        except RuleError as error:
            return error.info.message
    shift_s = max(0.0, flow.now - signal.since)
    flow.emit(
        e.RunForked(
            at=flow.now, run=signal.run, origin=run.id, shift_s=shift_s, labels=signal.labels, by=signal.by
        )
    )
    if run.state is RunState.PAUSED:
        flow.emit(e.RunResumed(at=flow.now, by=signal.by))
    for visit in run.in_turn():
        if visit.state in UNDER_WAY and not visit.is_group:
            flow.emit(e.AttemptInterrupted(at=flow.now, path=visit.path, attempt=visit.attempt, left=True))
    if writes:
        flow.emit(e.StateChanged(at=flow.now, writes=writes, by=signal.by))
        _ask_again(flow)
    go_on_anywhere(flow)
    return None


def _ask_again(flow: Flow) -> None:
    """Whoever waits for a decision on the state waits for one on what it is now."""
    root = flow.run.root
    assert isinstance(root, Walk)
    assert root.last is not None
    barriers.ask_again(flow, root.last)
