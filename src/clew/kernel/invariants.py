"""What must hold of a run's state after every signal. Tests assert it; a violation is a fault of the kernel."""

from __future__ import annotations

from clew.kernel.definition import OnInterrupt
from clew.kernel.groups import at_work
from clew.kernel.questions import IN_DOUBT
from clew.kernel.reset import is_released
from clew.kernel.routes import walks_of
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, UNDER_WAY, NodeState
from clew.kernel.visits import Group, Items, Scope, Visit, Walk, is_gathering


def check(run: Run, *, able: bool = True) -> list[str]:
    """What is wrong with a run's state; empty if nothing is.

    Args:
        run: the run.
        able: whoever drives it knows the functions of its state graphs, so that none of them waits to go on.
    """
    if run.root is None:
        return [] if not run.visits else ["visits before the run has started"]
    wrong = _check_group(run, run.root)
    if run.undoing is not None:
        wrong += _check_group(run, run.undoing)
        if run.undoing.finished and not run.ended:
            wrong.append("everything is undone and the rollback has not ended")
    visits = run.visits.values()
    leaves = [visit for visit in visits if not visit.is_group]
    figures = {
        "running": sum(visit.state in UNDER_WAY for visit in leaves),
        "settled": sum(visit.state in SETTLED for visit in leaves),
        "failed": sum(visit.state is NodeState.FAILED and visit.inner is None for visit in visits),
        "waiting": sum(visit.state is NodeState.WAITING for visit in leaves),
        "fresh": sum(_count_fresh(visit.inner) for visit in visits if isinstance(visit.inner, Items)),
        "unopened": sum(visit.is_map and visit.state is NodeState.READY for visit in visits),
    }
    wrong += [
        f"run.{name} is {getattr(run, name)}, not {figure}"
        for name, figure in figures.items()
        if getattr(run, name) != figure
    ]
    if run.running > run.topology.spec.max_concurrency:
        wrong.append(f"{run.running} attempts run, more than max_concurrency")
    if run.ended and run.running:
        wrong.append("attempts run although the run has ended")
    if run.ended is not (run.ended_at is not None):
        wrong.append("ended_at does not fit the run's state")
    if run.root.finished and not run.ended and run.undoing is None:
        wrong.append("everything has settled and the run has not ended")
    wrong += [problem for visit in visits for problem in _check_visit(run, visit)]
    if able:
        wrong += _check_going_on(run)
    return wrong + _check_mail(run)


def _count_fresh(group: Items) -> int:
    """How many items are said to be as the opening of their map has made them; -1 if one of them is not."""
    for index in range(group.touched, len(group.members)):
        visit = group.members[index]
        state, order = (
            (NodeState.PENDING, -1) if group.first_order < 0 else (NodeState.READY, group.first_order + index)
        )
        if visit is None or (visit.state, visit.order, visit.attempt) != (state, order, 0):
            return -1
    return len(group.members) - group.touched


def _check_group(run: Run, group: Group) -> list[str]:
    members = [visit for visit in group.members if visit is not None]
    wrong: list[str] = []
    if group.settled != sum(visit.state in SETTLED for visit in members):
        wrong.append(f"{group!r} counts its settled members wrong")
    if group.active != sum(visit.state in UNDER_WAY for visit in members):
        wrong.append(f"{group!r} counts its active members wrong")
    if sorted(group.failed) != [visit.index for visit in members if visit.state is NodeState.FAILED]:
        wrong.append(f"{group!r} names the wrong failed members")
    if group.limit is not None and at_work(group) > group.limit:
        wrong.append(f"{group!r} has more under way than its max_concurrency")
    if isinstance(group, Scope) and not group.stop:
        for index, node in enumerate(group.topology.nodes):
            left = sum(not is_released(group, need, index) for need in node.needs)
            if group.remaining[index] != left:
                wrong.append(f"{group.member_path(index)} waits for {group.remaining[index]}, not {left}")
            if left and group.member_state(index) not in SETTLED | {NodeState.PENDING}:
                wrong.append(f"{group.member_path(index)} began before what it depends on had settled")
            if not left and group.member_state(index) is NodeState.PENDING:
                wrong.append(f"{group.member_path(index)} is pending although nothing holds it")
    if isinstance(group, Walk):
        wrong += _check_walk(group)
    for visit in members:
        if visit.inner is not None:
            wrong += _check_group(run, visit.inner)
            if is_gathering(visit) and run.gathering.get(visit.path) is not visit:
                wrong.append(f"{visit!r} waits for something to be read, and nobody reads it")
    return wrong


def _check_going_on(run: Run) -> list[str]:
    """Whatever has ended has been gone on from."""
    wrong = [f"{walk!r} stands still at {walk.last!r}" for walk in walks_of(run) if walk.stands_still]
    for visit in run.visits.values():
        if visit.state not in UNDER_WAY or visit.inner is None or not visit.inner.finished:
            continue
        if not is_gathering(visit):
            wrong.append(f"{visit!r} has not settled although its members have")
    return wrong


def _check_walk(walk: Walk) -> list[str]:
    """One token: at most one member is not settled, and it is the last one."""
    wrong: list[str] = []
    open_ = [visit for visit in walk.members if visit is not None and visit.state not in SETTLED]
    if len(open_) > 1 or (open_ and open_[0] is not walk.last):
        wrong.append(f"{walk!r} has several steps under way: {open_}")
    if walk.done and open_:
        wrong.append(f"{walk!r} is at its end, and {open_[0]!r} has not settled")
    if walk.members and not walk.entered:
        wrong.append(f"{walk!r} has begun without its state")
    size = 2 + sum(cell.size for cell in walk.cells.values())
    if walk.entered and walk.size != size:
        wrong.append(f"{walk!r} counts the size of its state wrong: {walk.size}, not {size}")
    return wrong


def _check_visit(run: Run, visit: Visit) -> list[str]:
    wrong: list[str] = []
    if run.visits.get(visit.path) is not visit or visit.group.members[visit.index] is not visit:
        wrong.append(f"{visit!r} is not where its address says")
    if (visit.output is not None) is not (visit.state is NodeState.COMPLETED):
        wrong.append(f"{visit!r} has an output that does not fit its state")
    if visit.state is NodeState.FAILED and visit.error is None:
        wrong.append(f"{visit!r} failed without an error")
    if visit.state is NodeState.STOPPING and not visit.stop:
        wrong.append(f"{visit!r} is stopping for no reason")
    if visit.state is NodeState.RUNNING:
        wrong += _check_limits(visit)
    if visit.state is NodeState.READY and not visit.is_group and not _is_queued(run, visit):
        wrong.append(f"{visit!r} is ready and in no queue")
    if visit.state is NodeState.WAITING and not any(not w.outcome for w in (visit.waits or {}).values()):
        wrong.append(f"{visit!r} waits for nothing")
    if visit.state in SETTLED and any(not w.outcome for w in (visit.waits or {}).values()):
        wrong.append(f"{visit!r} has settled and still waits")
    return wrong + _check_doubt(visit)


def _check_doubt(visit: Visit) -> list[str]:
    """An attempt of unknown effect is followed by a probe or a question, and by nothing else."""
    how = visit.node.spec.on_interrupt
    asked = (visit.waits or {}).get(IN_DOUBT)
    wrong: list[str] = []
    if visit.in_doubt and how not in (OnInterrupt.PROBE, OnInterrupt.ASK):
        wrong.append(f"{visit!r} is in doubt, which its declaration does not know")
    if visit.in_doubt and visit.state is NodeState.COMPLETED:
        wrong.append(f"{visit!r} has completed in doubt")
    if visit.in_doubt and visit.state is NodeState.RUNNING and not visit.probing:
        wrong.append(f"{visit!r} runs in doubt of an earlier attempt")
    if visit.probing and not visit.in_doubt:
        wrong.append(f"{visit!r} probes for nothing")
    if asked is not None and not (visit.in_doubt and visit.state is NodeState.WAITING):
        wrong.append(f"{visit!r} is asked about and does not wait for the answer")
    return wrong


def _check_mail(run: Run) -> list[str]:
    """A message lies in its mailbox only as long as nobody waits for it."""
    wrong: list[str] = []
    for name, messages in run.mail.items():
        numbers = [message.number for message in messages]
        if not numbers or numbers != sorted(set(numbers)):
            wrong.append(f"the messages called {name} lie in disorder")
        for visit in run.visits.values():
            for key, wait in (visit.waits or {}).items():
                if wait.kind == "message" and wait.name == name and visit.open_wait(key):
                    wrong.append(f"{visit!r} waits for a message called {name}, and one lies there")
    return wrong


def _check_limits(visit: Visit) -> list[str]:
    spec = visit.node.spec
    wrong: list[str] = []
    if visit.started_at is None:
        wrong.append(f"{visit!r} runs since no time")
    if spec.timeout_s is not None and not visit.is_group and visit.attempt_due is None:
        wrong.append(f"{visit!r} runs without its time limit")
    if spec.total_timeout_s is not None and not isinstance(visit.group, Items) and visit.total_due is None:
        wrong.append(f"{visit!r} runs without its total time limit")
    return wrong


def _is_queued(run: Run, visit: Visit) -> bool:
    if visit.is_barrier and not run.is_limited(visit):
        return visit in run.openable
    queue = run.ready.get(run.lane(visit), [])
    return any(entry[2] is visit and entry[1] == visit.order for entry in queue)
