"""What of a run is undone: how much, by what, and what is left; the lines are in `rollback_lines`."""

from __future__ import annotations

from typing import Any

import msgspec

from clew.cli.words import plain
from clew.engine.undoables import call_of, undoables
from clew.kernel.state import Run
from clew.kernel.states import RunState
from clew.kernel.visits import Visit


def what(path: str, step: str) -> str:
    """A visit, or a step of it, as people are told of it."""
    return f"{plain(path)}, step {plain(step)}" if step else plain(path)


def undone_by(compensation: Visit) -> str:
    """What a compensation undoes."""
    assert compensation.undoes is not None
    return what(compensation.undoes.path, compensation.undone_step)


def called(compensation: Visit) -> str:
    """What a compensation calls: ``function shop:refund``."""
    return told_call(compensation.node.spec.kind, call_of(compensation.node.spec))


#: Characters of what a compensation calls that are shown in a line.
_LONGEST = 60


def told_call(how: str, call: str) -> str:
    """The kind of a compensation, and what it calls if that has a name."""
    told = " ".join(f"{how} {call}".split())
    return plain(told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…")


def size(run: Run) -> int:
    """How many compensations the rollback of a run has."""
    return len(run.undoing.members) if run.undoing is not None else 0


def made(run: Run) -> int:
    """How many of them are made."""
    undoing = run.undoing
    return undoing.settled - len(undoing.failed) if undoing is not None else 0


def document(run: Run) -> dict[str, Any]:
    """What is undone of a run and what is not, as data; nothing of one that was never rolled back."""
    if run.undoing is None:
        return {}
    plan = [each for each in undoables(run) if each.how or each.irreversible]
    left = [msgspec.to_builtins(each) for each in plan if not each.undone]
    return {"undone": made(run), "remaining": left}


def can_be_tried_again(run: Run) -> bool:
    """Whether a rollback of a run has left something that another one could undo."""
    return run.state is RunState.ROLLBACK_FAILED and run.undoing is not None and bool(run.undoing.failed)
