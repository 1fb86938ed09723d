"""Undoing what a run did: when it begins, and what came of it. What is undone in which order is in `undoing`."""

from __future__ import annotations

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.moving import Mover
from clew.kernel.states import NodeState, RunState
from clew.kernel.undo_events import Remaining
from clew.kernel.undoing import irreversible
from clew.kernel.values import ErrorInfo
from clew.kernel.visits import Undoing

#: Why the run's own graph is stopped when it is to be rolled back.
ROLLBACK = "rollback"


def ask(flow: Mover, signal: s.Rollback) -> str | None:
    """Somebody wants the run undone; why it is not, if it is not."""
    run = flow.run
    if run.state in (RunState.ROLLED_BACK, RunState.ROLLING_BACK):
        return f"it is {run.state.replace('_', ' ')} already"
    if run.ended:
        begin(flow, "asked", signal.by)
        return None
    assert run.root is not None
    if run.root.stop:
        return "it is just ending; ask again when it has ended"
    by = f" by {signal.by}" if signal.by else ""
    flow.stop(run.root, ROLLBACK, ErrorInfo(type="cancelled", message=f"{signal.reason}{by}"))
    return None


def begin(flow: Mover, why: str, by: str = "") -> None:
    """Undo what was done."""
    flow.emit(e.RollbackStarted(at=flow.now, why=why, by=by))
    settled(flow)


def settled(flow: Mover) -> None:
    """A compensation is over; if it was the last one, so is the rollback."""
    undoing = flow.run.undoing
    assert undoing is not None
    if not undoing.finished:
        return
    remaining = tuple(_remaining(flow, undoing))
    undone = sum(visit is not None and visit.state is NodeState.COMPLETED for visit in undoing.members)
    if remaining:
        flow.emit(e.RollbackFailed(at=flow.now, undone=undone, remaining=remaining))
    else:
        flow.emit(e.RunRolledBack(at=flow.now, undone=undone))


def _remaining(flow: Mover, undoing: Undoing) -> list[Remaining]:
    """What could not be undone."""
    remaining = [Remaining(path=visit.path, why="irreversible") for visit in irreversible(flow.run)]
    for index in undoing.failed:
        visit = undoing.members[index]
        assert visit is not None
        assert visit.undoes is not None
        assert visit.error is not None
        remaining.append(Remaining(path=visit.undoes.path, why=visit.error.message, step=visit.undone_step))
    return remaining
