"""A run's folded state as data, and back: what recovery starts from instead of the first event.

`image(run)` holds facts only. Counters, queues and timers are derived again by `revive`, by the same rules as
folding keeps them, so that a snapshot cannot disagree with itself.
"""

from __future__ import annotations

from operator import attrgetter

import msgspec

from clew.kernel.commands import Step, Wait
from clew.kernel.mail import watch_wait
from clew.kernel.reset import is_released
from clew.kernel.state import Group, Items, Run, Scope, Visit
from clew.kernel.states import SETTLED, UNDER_WAY, NodeState, RunState
from clew.kernel.topology import Node, Topology
from clew.kernel.values import ErrorInfo, Message, Value

#: Of the images below. A snapshot of another version is not used: the run is folded from its first event.
VERSION = 2


class VisitImage(msgspec.Struct, omit_defaults=True, gc=False):
    """One visit; see `state.Visit`."""

    index: int
    state: NodeState
    order: int = -1
    attempt: int = 0
    failures: int = 0
    interruptions: int = 0
    in_doubt: bool = False
    probing: bool = False
    output: Value | None = None
    error: ErrorInfo | None = None
    cause: str = ""
    stop: str = ""
    resumes: bool = False
    started_at: float | None = None
    ended_at: float | None = None
    attempt_due: float | None = None
    total_due: float | None = None
    retry_due: float | None = None
    suspended_at: float | None = None
    steps: dict[str, Step] | None = None
    waits: dict[str, Wait] | None = None
    inner: GroupImage | None = None


class GroupImage(msgspec.Struct, omit_defaults=True):
    """One group; `count`, `keys` and `items` are those of a map, `count` is -1 for a graph."""

    members: list[VisitImage]
    failed: list[int] = []
    stop: str = ""
    error: ErrorInfo | None = None
    count: int = -1
    keys: tuple[str, ...] = ()
    items: Value | None = None


class RunImage(msgspec.Struct, omit_defaults=True):
    """A whole run at sequence number `seq`; see `state.Run`."""

    id: str
    graph: str
    definition: str
    state: RunState
    seq: int
    epoch: int
    generation: int
    next_order: int
    admitted_at: float
    root: GroupImage | None = None
    labels: dict[str, str] = {}
    inputs: dict[str, Value] = {}
    error: ErrorInfo | None = None
    reason: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    timeout_s: float | None = None
    due: float | None = None
    earlier_attempts: dict[str, tuple[int, bool]] = {}
    mail: dict[str, list[Message]] = {}


_VISIT = tuple(name for name in VisitImage.__struct_fields__ if name != "inner")
#: In the order of the image's fields, read in one call: a large run has a great many visits.
_visit_values = attrgetter(*_VISIT)
_RUN = tuple(name for name in RunImage.__struct_fields__ if name != "root")


def image(run: Run) -> RunImage:
    """The facts of a run's folded state."""
    fields = {name: getattr(run, name) for name in _RUN}
    fields["earlier_attempts"] = run.earlier_attempts.copy()
    fields["mail"] = {name: messages.copy() for name, messages in run.mail.items()}
    return RunImage(**fields, root=_group_image(run.root) if run.root else None)


def revive(data: RunImage, topology: Topology) -> Run:
    """The folded state that `image` was taken of."""
    run = Run(data.id, topology)
    for name in _RUN:
        setattr(run, name, getattr(data, name))
    run.earlier_attempts = data.earlier_attempts.copy()
    run.mail = {name: messages.copy() for name, messages in data.mail.items()}
    run.snapshot_seq = data.seq
    if data.root is not None:
        run.root = Scope("", None, topology)
        _fill(run, run.root, data.root)
        _derive_queues(run)
    if run.due is not None:
        run.timers.set(run.due, "run", None)
    return run


def _group_image(group: Group) -> GroupImage:
    members = [_visit_image(visit) for visit in group.members if visit is not None]
    data = GroupImage(members, group.failed.copy(), group.stop, group.error)
    if isinstance(group, Items):
        data.count, data.keys, data.items = len(group.members), group.keys, group.items
    return data


def _visit_image(visit: Visit) -> VisitImage:
    data = VisitImage(*_visit_values(visit))
    data.steps = dict(visit.steps) if visit.steps else None
    data.waits = dict(visit.waits) if visit.waits else None
    data.inner = _group_image(visit.inner) if visit.inner else None
    return data


def _fill(run: Run, group: Group, data: GroupImage) -> None:
    group.stop, group.error, group.failed = data.stop, data.error, data.failed.copy()
    for part in data.members:
        visit = run.visit(group, part.index, _node(group, part.index))
        for name in _VISIT:
            setattr(visit, name, getattr(part, name))
        visit.steps = dict(part.steps) if part.steps else None
        visit.waits = dict(part.waits) if part.waits else None
        if part.inner is not None:
            visit.inner = _new_group(visit, part.inner)
            _fill(run, visit.inner, part.inner)
        _count(run, visit)
    if isinstance(group, Scope):
        run.total += group.topology.leaves
        for index, node in enumerate(group.topology.nodes):
            group.remaining[index] = sum(not is_released(group, need, index) for need in node.needs)
    elif group.owner is not None and group.owner.node.inner is None:
        run.total += len(group.members)


def _new_group(visit: Visit, data: GroupImage) -> Group:
    if data.count >= 0:
        return Items(visit, data.count, data.keys, data.items)
    assert visit.node.inner is not None
    return Scope(visit.path, visit, visit.node.inner)


def _node(group: Group, index: int) -> Node:
    if isinstance(group, Items):
        return group.node
    assert isinstance(group, Scope)
    return group.topology.nodes[index]


def _count(run: Run, visit: Visit) -> None:
    leaf = not visit.is_group
    run.unopened += visit.is_map and visit.state is NodeState.READY
    settled, active = visit.state in SETTLED, visit.state in UNDER_WAY
    visit.group.settled += settled
    visit.group.active += active
    if leaf:
        run.settled += settled
        run.running += active
        run.waiting += visit.state is NodeState.WAITING
    run.failed += visit.state is NodeState.FAILED and visit.inner is None


def _derive_queues(run: Run) -> None:
    """Who is ready, in the order in which they became so, and what is due."""
    visits = sorted(run.visits.values(), key=lambda visit: visit.order)
    for visit in visits:
        if visit.state is NodeState.READY:
            run.enqueue(visit)
        for due, kind in (
            (visit.attempt_due, "attempt"),
            (visit.total_due, "total"),
            (visit.retry_due, "retry"),
        ):
            if due is not None:
                run.timers.set(due, kind, visit)
        for key, wait in (visit.waits or {}).items():
            watch_wait(run, visit, key, wait)
