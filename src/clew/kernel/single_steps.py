"""Executing single steps of a run that is paused."""

from __future__ import annotations

from clew.kernel import signals as s
from clew.kernel.flow import Flow
from clew.kernel.groups import has_room
from clew.kernel.states import SETTLED, UNDER_WAY, NodeState, RunState

#: So many of the steps that could be executed are named.
_NAMED = 8


def execute(flow: Flow, signal: s.Execute) -> str | None:
    """Enter one visit of a paused run; why that cannot be, if it cannot."""
    run = flow.run
    if run.state is not RunState.PAUSED:
        return f"single steps are executed while a run is paused, and it is {run.state}"
    visit = run.visits.get(signal.path)
    if visit is None:
        return f"there is no step {signal.path!r} to be executed now; {_offered(flow)}"
    if visit.state in SETTLED or visit.state in UNDER_WAY:
        return f"{visit.path} is {visit.state} already; {_offered(flow)}"
    if visit.state is not NodeState.READY:
        return f"{visit.path} is {visit.state}, so that it cannot be executed now; {_offered(flow)}"
    is_leaf = not visit.is_group and not visit.is_barrier
    is_full = is_leaf and run.running >= run.topology.spec.max_concurrency
    if is_full or not has_room(visit) or not flow.set_going(visit):
        return f"there is no room for {visit.path} at the moment: limits are used up; ask again later"
    return None


def _offered(flow: Flow) -> str:
    """The steps that could be executed, in a clause."""
    paths = [visit.path for visit in flow.run.in_turn() if visit.state is NodeState.READY]
    if not paths:
        return "no step could be executed now"
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"those that could be are {', '.join(paths[:_NAMED])}{more}"
