"""The commands by which a visit begins: what its body is given, and how a map finds its items."""

from __future__ import annotations

from clew.kernel import commands as c
from clew.kernel.resolve import (
    resolve_exclusive,
    resolve_inputs,
    resolve_over,
    resolve_sets,
    resolve_undo,
    surroundings,
)
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.values import Binding, ErrorInfo
from clew.kernel.visits import Visit


def start(run: Run, visit: Visit, *, resumed: bool = False) -> c.StartAttempt:
    """The command that runs a visit's body."""
    spec = visit.node.spec
    probe = visit.probing
    undo, before = _for_undoing(run, visit)
    return c.StartAttempt(
        run=run.id,
        path=visit.path,
        attempt=visit.attempt,
        kind="function" if probe else spec.kind,
        body=spec.probe if probe else spec.body,
        inputs=resolve_inputs(run, visit),
        timeout_s=spec.timeout_s,
        heartbeat_s=None if probe else spec.heartbeat_s,
        exclusive=resolve_exclusive(run, visit) if spec.exclusive is not None else None,
        probe=probe,
        uses=spec.uses,
        steps={} if probe else dict(visit.steps or {}),
        waits=dict(visit.waits or {}),
        updates=visit.group.walk is not None,
        sets=resolve_sets(run, visit) if spec.sets else {},
        undo=undo,
        before=before,
        failed_upstream=_failed_upstream(visit),
        resumed=resumed,
    )


def _for_undoing(run: Run, visit: Visit) -> tuple[dict[str, Binding] | None, dict[str, Binding] | None]:
    """What is kept when the body has returned, and what is recorded before it is entered."""
    how = visit.node.spec.compensation
    if how is None:
        return None, None
    if how.before:
        return None, None if visit.probing else resolve_undo(run, visit)
    return resolve_undo(run, visit) if _is_in_walk(visit) else None, None


def _is_in_walk(visit: Visit) -> bool:
    """Whether what a visit is given may depend on a state, which will have changed when it is undone."""
    group = visit.group
    while group.walk is None and group.owner is not None:
        group = group.owner.group
    return group.walk is not None


def _failed_upstream(visit: Visit) -> dict[str, ErrorInfo]:
    if visit.undoes is not None:
        return {}
    scope, _ = surroundings(visit)
    if not scope.failed:
        return {}
    failed = (scope.members[need] for need in visit.node.needs)
    return {v.node.spec.id: v.error for v in failed if v is not None and v.state is NodeState.FAILED and v.error}


def expand(run: Run, visit: Visit) -> c.ExpandMap:
    """The command that finds a map's items."""
    assert visit.node.spec.map is not None
    return c.ExpandMap(path=visit.path, over=resolve_over(run, visit), map=visit.node.spec.map)
