"""Deciding to go on with another definition, and what follows from it at once."""

from __future__ import annotations

from clew.kernel import barriers
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.errors import UnfitDefinitionError
from clew.kernel.moving import Mover
from clew.kernel.questions import DECISION
from clew.kernel.rebinding import rebound
from clew.kernel.routes import go_on_anywhere
from clew.kernel.state import Run
from clew.kernel.states import RunState
from clew.kernel.topology import Topology, compile_graph


def redefine(flow: Mover, signal: s.Redefine) -> str | None:
    """The run goes on with another definition; why it does not, if it does not."""
    refusal = obstacle(flow.run, compile_graph(signal.spec), flow.now)
    if refusal is not None:
        return refusal
    flow.emit(
        e.DefinitionChanged(
            at=flow.now,
            graph=signal.graph,
            definition=signal.definition,
            spec=signal.spec,
            by=signal.by,
            forced=signal.forced,
        )
    )
    for visit in flow.run.in_turn():
        wait = visit.open_wait(DECISION) if visit.is_barrier else None
        if wait is not None and wait.digest != barriers.digest_of(visit):
            barriers.ask_again(flow, visit)
    if not flow.run.ended:
        go_on_anywhere(flow)
    return None


def obstacle(run: Run, topology: Topology, now: float) -> str | None:
    """Why a run cannot go on with another definition, whatever anybody says; None if it can."""
    if run.undoing is not None:
        return f"it is {run.state.replace('_', ' ')}"
    if run.state is RunState.COMPLETED:
        return "it has completed"
    try:
        rebound(run, topology, now)
    except UnfitDefinitionError as error:
        return str(error)
    return None
