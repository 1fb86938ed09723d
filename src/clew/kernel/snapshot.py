"""A run's folded state as data, and back: what recovery starts from instead of the first event.

What has settled does not change any more. So the members of a group are cut into *segments*, and one that has
settled altogether is *sealed*: stored once, under a name, and only named from then on. Items of a map that nothing
has happened to are not written at all. A snapshot costs what has changed since the last one.

`image(run)` holds facts only. Counters, queues and timers are derived again by `revive`, by the same rules as
folding keeps them, so that a snapshot cannot disagree with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from operator import attrgetter
from typing import Protocol

import msgspec

from clew.kernel.commands import Step, Wait
from clew.kernel.definition import NodeSpec
from clew.kernel.mail import watch_wait
from clew.kernel.reset import is_released
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, UNDER_WAY, NodeState, RunState
from clew.kernel.topology import Node, Topology, former_node
from clew.kernel.undoing import order, resume
from clew.kernel.values import ErrorInfo, Message, Value
from clew.kernel.visits import Group, Items, Scope, Visit, Walk, is_gathering, new_group
from clew.kernel.walk_image import WalkImage, fill_walk, image_of_walk
from clew.kernel.writes import Kept, Write

#: Of the images below. A snapshot of another version is not used: the run is folded from its first event.
VERSION = 4


class VisitImage(msgspec.Struct, omit_defaults=True, gc=False):
    """One visit; see `state.Visit`.

    `node` is the index of its node, for visits of a state graph; below -1, it counts down `Run.former` from -2.
    """

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
    writes: tuple[Write, ...] = ()
    undo: Value | None = None
    inherited: bool = False
    begun: bool = False
    used: dict[str, float] | None = None
    inner: GroupImage | None = None
    node: int = -1


class GroupImage(msgspec.Struct, omit_defaults=True):
    """One group; `count`, `keys`, `items` and `first_order` are those of a map, `count` is -1 for a graph.

    Attributes:
        path: its address.
        members: those that have begun and are in no sealed segment.
        sealed: names of sealed segments, by number.
        touched: members from this index on are as the group's opening has made them.
    """

    members: list[VisitImage]
    path: str = ""
    sealed: dict[int, str] = {}
    touched: int = 0
    first_order: int = -1
    failed: list[int] = []
    stop: str = ""
    error: ErrorInfo | None = None
    count: int = -1
    keys: tuple[str, ...] = ()
    items: Value | None = None
    walk: WalkImage | None = None


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
    kept: dict[str, Kept] = {}
    origin: tuple[str, int] | None = None
    former: tuple[NodeSpec, ...] = ()
    undoing: list[VisitImage] | None = None
    confirmed: bool = False
    used: dict[str, float] = {}


#: The owner of a group that goes on, or has come to its end in this generation, is in one of these.
_BEGUN = UNDER_WAY | SETTLED
_VISIT = tuple(name for name in VisitImage.__struct_fields__ if name not in ("inner", "node"))
#: In the order of the image's fields, read in one call: a large run has a great many visits.
_visit_values = attrgetter(*_VISIT)
_index_of = attrgetter("index")
_RUN = tuple(name for name in RunImage.__struct_fields__ if name not in ("root", "undoing"))


class Sealer(Protocol):
    """Keeps sealed segments, by address of the group and number.

    Attributes:
        size: members of a segment; the same for the whole life of a run.
    """

    size: int

    def known(self, path: str, segment: int) -> str:
        """The name of a segment that was sealed before; empty if it was not."""
        ...

    def seal(self, path: str, segment: int, visits: list[VisitImage]) -> str:
        """Keep a segment; returns its name."""
        ...


def image(run: Run, sealer: Sealer | None = None) -> RunImage:
    """The facts of a run's folded state; all of them, or without the segments that `sealer` keeps."""
    fields = {name: getattr(run, name) for name in _RUN}
    fields["earlier_attempts"] = run.earlier_attempts.copy()
    fields["kept"] = run.kept.copy()
    fields["used"] = run.used.copy()
    if run.undoing is not None:
        fields["undoing"] = [_visit_image(visit, None) for visit in run.undoing.members if visit is not None]
    fields["mail"] = {name: messages.copy() for name, messages in run.mail.items()}
    return RunImage(**fields, root=_group_image(run.root, sealer) if run.root else None)


def sealed_in(data: RunImage | list[VisitImage]) -> Iterator[tuple[str, int, str]]:
    """The sealed segments that an image or a segment names: address of the group, number, name."""
    todo = [data.root] if isinstance(data, RunImage) else [part.inner for part in data]
    while todo:
        group = todo.pop()
        if group is not None:
            yield from ((group.path, number, name) for number, name in group.sealed.items())
            todo += [part.inner for part in group.members if part.inner is not None]


def revive(data: RunImage, topology: Topology, segments: Mapping[str, list[VisitImage]] | None = None) -> Run:
    """The folded state that `image` was taken of.

    Args:
        data: the image.
        topology: of the run's definition.
        segments: those that the image names, and those that they name, by name.
    """
    run = Run(data.id, topology)
    refill(run, data, topology, segments or {})
    return run


def refill(run: Run, data: RunImage, topology: Topology, segments: Mapping[str, list[VisitImage]]) -> None:
    """Make a run what an image tells, see `revive`; nothing of what it was remains."""
    Run.__init__(run, data.id, topology)
    for name in _RUN:
        setattr(run, name, getattr(data, name))
    run.earlier_attempts = data.earlier_attempts.copy()
    run.mail = {name: messages.copy() for name, messages in data.mail.items()}
    run.kept = data.kept.copy()
    run.used = data.used.copy()
    run.snapshot_seq = data.seq
    if data.root is not None:
        run.root = Scope("", None, topology) if topology.routing is None else Walk("", None, topology)
        _Reviver(run, segments).fill(run.root, data.root)
        if data.undoing is not None:
            _revive_undoing(run, data.undoing)
        _derive_queues(run)
    if run.due is not None:
        run.timers.set(run.due, "run", None)


def _group_image(group: Group, sealer: Sealer | None) -> GroupImage:
    data = GroupImage([], path=group.path, failed=group.failed.copy(), stop=group.stop, error=group.error)
    data.touched = group.touched
    if isinstance(group, Items):
        data.count, data.keys, data.items = len(group.members), group.keys, group.items
        data.first_order = group.first_order
    elif isinstance(group, Walk):
        data.walk = image_of_walk(group)
    if group.owner is not None and group.owner.state not in _BEGUN:
        sealer = None  # it is of an earlier generation, and is made pending again when it begins
    size = sealer.size if sealer is not None else max(1, group.touched)
    for start in range(0, group.touched, size):
        visits = group.members[start : min(start + size, group.touched)]
        if sealer is not None and len(visits) == size and (name := _sealed(group, start // size, visits, sealer)):
            data.sealed[start // size] = name
        else:
            data.members += [_visit_image(visit, sealer) for visit in visits if visit is not None]
    return data


def _sealed(group: Group, number: int, visits: list[Visit | None], sealer: Sealer) -> str:
    """The name of a segment, which is sealed now if all of it has settled; empty if it has not."""
    if name := sealer.known(group.path, number):
        return name
    if not all(visit is not None and visit.state in SETTLED for visit in visits):
        return ""
    return sealer.seal(group.path, number, [_visit_image(v, sealer) for v in visits if v is not None])


def _visit_image(visit: Visit, sealer: Sealer | None) -> VisitImage:
    data = VisitImage(*_visit_values(visit))
    data.steps = dict(visit.steps) if visit.steps else None
    data.waits = dict(visit.waits) if visit.waits else None
    data.used = dict(visit.used) if visit.used else None
    data.inner = _group_image(visit.inner, sealer) if visit.inner else None
    if isinstance(visit.group, Walk):
        data.node = visit.node.index if visit.node.former < 0 else -2 - visit.node.former
    return data


def _assign(visit: Visit, part: VisitImage) -> None:
    """Take over what an image tells; written out, because a large run has a great many visits."""
    visit.state = part.state
    visit.order = part.order
    visit.attempt = part.attempt
    visit.failures = part.failures
    visit.interruptions = part.interruptions
    visit.in_doubt = part.in_doubt
    visit.probing = part.probing
    visit.output = part.output
    visit.error = part.error
    visit.cause = part.cause
    visit.stop = part.stop
    visit.resumes = part.resumes
    visit.started_at = part.started_at
    visit.ended_at = part.ended_at
    visit.attempt_due = part.attempt_due
    visit.total_due = part.total_due
    visit.retry_due = part.retry_due
    visit.suspended_at = part.suspended_at
    visit.steps = part.steps
    visit.waits = part.waits
    visit.writes = part.writes
    visit.undo = part.undo
    visit.inherited = part.inherited
    visit.begun = part.begun
    visit.used = part.used


class _Reviver:
    """Makes the groups and visits of a run out of their images."""

    def __init__(self, run: Run, segments: Mapping[str, list[VisitImage]]) -> None:
        self._run = run
        self._segments = segments
        #: Made once for all their visits.
        self._former: dict[tuple[int, int], Node] = {}

    def fill(self, group: Group, data: GroupImage) -> None:
        """Make the members of a group."""
        run = self._run
        group.stop, group.error, group.failed = data.stop, data.error, data.failed.copy()
        group.touched = data.touched
        if isinstance(group, Walk):
            assert data.walk is not None
            fill_walk(group, data.walk)
        parts = [data.members, *(self._segments[name] for name in data.sealed.values())]
        visits = chain.from_iterable(parts)
        for part in sorted(visits, key=_index_of) if isinstance(group, Walk) else visits:
            self._visit(group, part)
        if isinstance(group, Scope):
            run.total += group.topology.leaves
            for index, node in enumerate(group.topology.nodes):
                group.remaining[index] = sum(not is_released(group, need, index) for need in node.needs)
        elif isinstance(group, Items):
            group.first_order = data.first_order
            self._fresh(group)
            if group.node.inner is None:
                run.total += len(group.members)

    def _visit(self, group: Group, part: VisitImage) -> None:
        if isinstance(group, Walk):
            visit = self._run.add_step(group, self._node_of_step(group.topology, part.node))
        else:
            visit = self._run.visit(group, part.index, _node(group, part.index))
        _assign(visit, part)
        visit.steps = dict(part.steps) if part.steps else None
        visit.waits = dict(part.waits) if part.waits else None
        visit.used = dict(part.used) if part.used else None
        if part.inner is not None:
            visit.inner = _new_group(visit, part.inner)
            self.fill(visit.inner, part.inner)
        _count(self._run, visit)

    def _node_of_step(self, topology: Topology, number: int) -> Node:
        if number >= 0:
            return topology.nodes[number]
        key = id(topology), -2 - number
        if key not in self._former:
            self._former[key] = former_node(self._run.former[key[1]], key[1], topology)
        return self._former[key]

    def _fresh(self, group: Items) -> None:
        """The items that are as the opening of their map has made them."""
        self._run.fresh += len(group.members) - group.touched
        for index in range(group.touched, len(group.members)):
            visit = self._run.visit(group, index, group.node)
            if group.first_order >= 0:
                visit.state, visit.order = NodeState.READY, group.first_order + index


def _new_group(visit: Visit, data: GroupImage) -> Group:
    return Items(visit, data.count, data.keys, data.items) if data.count >= 0 else new_group(visit)


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
    if is_gathering(visit):
        run.gathering[visit.path] = visit


def _revive_undoing(run: Run, parts: list[VisitImage]) -> None:
    """The compensations are found again, as they were when the rollback began."""
    undoing = order(run)
    for visit, part in zip(undoing.members, parts, strict=True):
        assert visit is not None
        _assign(visit, part)
        run.visits[visit.path] = visit
        _count(run, visit)
        if visit.state is NodeState.FAILED:
            undoing.failed.append(visit.index)
    resume(run, undoing)


def _derive_queues(run: Run) -> None:
    """Who is ready, in the order in which they became so, and what is due."""
    unsettled = [visit for visit in run.visits.values() if visit.state not in SETTLED]
    for visit in sorted(unsettled, key=lambda visit: visit.order):
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
