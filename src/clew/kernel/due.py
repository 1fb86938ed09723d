"""What happens when its time has come: time limits, retries, the ends of waits."""

from __future__ import annotations

from collections.abc import Callable

from clew.kernel import events as e
from clew.kernel import reasons, waiting
from clew.kernel.flow import Flow
from clew.kernel.states import NodeState
from clew.kernel.timers import Timer
from clew.kernel.visits import Visit


def fire_due(flow: Flow, is_kept: Callable[[Timer[Visit]], bool]) -> None:
    """Let happen what is due, but not what is to be kept for later."""
    run = flow.run
    kept: list[Timer[Visit]] = []
    while (timer := run.timers.take_due(flow.now)) is not None:
        if is_kept(timer):
            kept.append(timer)
        else:
            _fire(flow, timer.kind, timer.of, timer.key)
    for timer in kept:
        run.timers.put_back(timer)


def _fire(flow: Flow, kind: str, visit: Visit | None, key: str) -> None:
    if visit is None:
        _run_timeout(flow)
        return
    match kind:
        case "retry":
            flow.emit(e.RetryDue(at=flow.now, path=visit.path))
        case "wait":
            waiting.expire(flow, visit, key)
        case "attempt":
            flow.stop_attempt(visit, "timeout")
        case _:
            _total_timeout(flow, visit)


def _run_timeout(flow: Flow) -> None:
    run = flow.run
    assert run.root is not None
    limit = run.timeout_s if run.timeout_s is not None else run.topology.spec.timeout_s
    flow.stop(run.root, "timeout", reasons.timed_out("the run", limit))


def _total_timeout(flow: Flow, visit: Visit) -> None:
    error = reasons.timed_out("the node with its retries", visit.node.spec.total_timeout_s)
    if visit.inner is not None:
        flow.stop(visit.inner, "timeout", error)
    elif visit.state is NodeState.RUNNING:
        flow.stop_attempt(visit, "total_timeout")
    else:
        flow.fail(visit, error)
