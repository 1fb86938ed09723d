"""What a rollback would undo, for people who decide about it."""

from __future__ import annotations

import msgspec

from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.undoing import in_order, irreversible, order


class Undoable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a run did.

    Attributes:
        path: the visit that did it.
        step: key of the step that did it; empty for the visit itself.
        state: of the visit; of one that has not completed it is not known how far it came.
        how: kind of the compensation; empty if it cannot be undone.
        undone: it is undone already.
    """

    path: str
    state: str
    step: str = ""
    how: str = ""
    undone: bool = False


def undoables(run: Run) -> list[Undoable]:
    """Everything that a rollback meets: what can be undone, last first, then what cannot."""
    if run.root is None:
        return []
    found: list[Undoable] = []
    undoing = run.undoing or order(run)
    for visit in in_order(undoing):
        done = visit.state is NodeState.COMPLETED
        undone = visit.undoes
        assert undone is not None
        kind, step = visit.node.spec.kind, visit.undone_step
        found.append(Undoable(path=undone.path, state=undone.state, step=step, how=kind, undone=done))
    found += [Undoable(path=visit.path, state=visit.state) for visit in irreversible(run)]
    return found
