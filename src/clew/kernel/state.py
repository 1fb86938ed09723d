"""The folded state of a run: visits in groups, counters instead of scans.

A *group* is what has members that settle one by one and that settles itself when they have: the run's own
graph and each sub-graph (`Scope`), and each map (`Items`). A visit exists from the moment it may run; a node
without a visit is pending, or cancelled when its group has stopped. `fold` writes this state and nobody else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from heapq import heappop, heappush

from clew.kernel import addresses
from clew.kernel.commands import Step, Wait
from clew.kernel.definition import ItemPolicy
from clew.kernel.errors import IllegalTransition
from clew.kernel.states import (
    NODE_TRANSITIONS,
    RUN_ENDED,
    RUN_TRANSITIONS,
    SETTLED,
    UNDER_WAY,
    NodeState,
    RunState,
)
from clew.kernel.timers import Timer, Timers
from clew.kernel.topology import Node, Topology
from clew.kernel.values import ErrorInfo, Message, Value

#: States in which a visit's total time limit can be reached.
_TIMED = frozenset({NodeState.READY, NodeState.RUNNING, NodeState.RETRYING})

ReadyQueue = list[tuple[int, int, "Visit"]]
Waiting = tuple[int, "Visit", str]  # `Wait.opened`, whose wait it is, and its key


class Visit:
    """One entry of a node, or of an item of a mapped node.

    Attributes:
        path: its address.
        node: the compiled node.
        group: what it is a member of.
        index: its place in the group.
        state: where it stands.
        attempt: number of the last attempt, 0 before the first.
        failures: recorded failures in this generation.
        interruptions: attempts lost with their process.
        in_doubt: an attempt was lost, and whether it took effect has to be found out before another one is made.
        probing: its last attempt is the probe.
        order: when it became ready, relative to others; set anew each time.
        output: what it returned, when completed.
        error: why it failed, or the last error while it is retried.
        cause: which node's failure made it be skipped.
        stop: why its attempt is being stopped, else empty.
        started_at: of its first attempt, seconds since the epoch.
        ended_at: when it settled.
        attempt_due: end of the attempt's time limit.
        total_due: end of the visit's time limit.
        retry_due: when the next attempt is due.
        resumes: its attempt was suspended and its wait is over; the next start resumes it.
        suspended_at: since when its attempt is suspended: it waits, or its wait is over and it has no slot yet.
        steps: what its body recorded.
        waits: what its body waits or has waited for, and the machine's question about a lost attempt.
        inner: its members, if it is a sub-graph or a map that has begun.
        is_map: its members are the items of a list.
        is_group: it settles through members instead of attempts of its own.
    """

    __slots__ = (
        "attempt", "attempt_due", "cause", "ended_at", "error", "failures", "group", "in_doubt", "index",
        "inner", "interruptions", "is_group", "is_map", "node", "order", "output", "path", "probing", "resumes",
        "retry_due", "started_at", "state", "steps", "stop", "suspended_at", "total_due", "waits",
    )  # fmt: skip

    def __init__(self, path: str, node: Node, group: Group, index: int) -> None:
        self.path = path
        self.node = node
        self.group = group
        self.index = index
        self.state = NodeState.PENDING
        self.attempt = 0
        self.failures = 0
        self.interruptions = 0
        self.in_doubt = False
        self.probing = False
        self.order = -1
        self.output: Value | None = None
        self.error: ErrorInfo | None = None
        self.cause = ""
        self.stop = ""
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.attempt_due: float | None = None
        self.total_due: float | None = None
        self.retry_due: float | None = None
        self.suspended_at: float | None = None
        self.resumes = False
        self.steps: dict[str, Step] | None = None
        self.waits: dict[str, Wait] | None = None
        self.inner: Group | None = None
        self.is_map = node.spec.map is not None and isinstance(group, Scope)
        self.is_group = self.is_map or node.inner is not None

    @property
    def stops_for_good(self) -> bool:
        """Whether its attempt is told to stop and will not be gone on with, as one stopped for a pause is."""
        return self.state is NodeState.STOPPING and (self.stop != "pause" or bool(self.group.stop))

    def open_wait(self, key: str, opened: int = 0) -> Wait | None:
        """A wait that somebody or something may still end: by its key, and `Wait.opened` if that is known."""
        wait = (self.waits or {}).get(key)
        if wait is None or wait.outcome or self.stops_for_good or (opened and wait.opened != opened):
            return None
        return wait

    def __repr__(self) -> str:
        return f"<{self.path} {self.state} attempt {self.attempt}>"


class Group(ABC):
    """Members that settle one by one.

    Attributes:
        path: its address; empty for the run's own graph.
        owner: the visit whose output this group is; None for the run's own graph.
        members: their visits, by index; None where no visit exists yet.
        settled: how many members have settled.
        active: how many are under way (attempts, or groups that have begun).
        failed: indexes of members that failed, in the order in which they did.
        stop: why the group ends early, else empty.
        error: the fact behind `stop`.
    """

    __slots__ = ("active", "error", "failed", "members", "owner", "path", "settled", "stop")

    def __init__(self, path: str, owner: Visit | None, size: int) -> None:
        self.path = path
        self.owner = owner
        self.members: list[Visit | None] = [None] * size
        self.settled = 0
        self.active = 0
        self.failed: list[int] = []
        self.stop = ""
        self.error: ErrorInfo | None = None

    @property
    def finished(self) -> bool:
        """Nothing of it is left to be done, or to be waited for."""
        return self.active == 0 if self.stop else self.settled == len(self.members)

    @abstractmethod
    def member_path(self, index: int) -> str:
        """The address of a member, whether or not its visit exists."""

    def member_state(self, index: int) -> NodeState:
        """Where a member stands, whether or not its visit exists."""
        visit = self.members[index]
        if visit is not None:
            return visit.state
        return NodeState.CANCELLED if self.stop else NodeState.PENDING

    def __repr__(self) -> str:
        return f"<group {self.path or '/'}: {self.settled}/{len(self.members)} settled, {self.active} active>"


class Scope(Group):
    """One running instance of a graph. `remaining[i]`: how many nodes node i still waits for."""

    __slots__ = ("remaining", "topology")

    def __init__(self, path: str, owner: Visit | None, topology: Topology) -> None:
        super().__init__(path, owner, len(topology.nodes))
        self.topology = topology
        self.remaining = topology.counts.copy()

    def member_path(self, index: int) -> str:
        """The address of a node of this graph."""
        return addresses.child(self.path, self.topology.nodes[index].spec.id)


class Items(Group):
    """The items of one map. `keys` is empty when they are named by index."""

    __slots__ = ("items", "keys", "node")

    def __init__(self, owner: Visit, count: int, keys: tuple[str, ...], items: Value | None) -> None:
        super().__init__(owner.path, owner, count)
        self.node = owner.node
        self.keys = keys
        self.items = items

    def member_path(self, index: int) -> str:
        """The address of an item."""
        return addresses.item(self.path, self.keys[index] if self.keys else str(index))

    @property
    def collects(self) -> bool:
        """Whether the map goes on when items fail."""
        assert self.node.spec.map is not None
        return self.node.spec.map.on_item_error is ItemPolicy.COLLECT

    @property
    def source(self) -> Items | None:
        """The items that these are made from one by one, if there are such."""
        assert self.owner is not None
        return feeding_items(self.owner)


def feeding_items(visit: Visit) -> Items | None:
    """The items that a map takes one by one; None if it finds its own (also because its feeder found none)."""
    fed_by = visit.node.fed_by
    feeder = None if fed_by is None else visit.group.members[fed_by]
    return feeder.inner if feeder and isinstance(feeder.inner, Items) else None


@dataclass(slots=True)
class Run:
    """The whole folded state of one run.

    Attributes:
        id: the run's id.
        graph: hash of its definition.
        definition: digest of the blob that holds it.
        topology: the compiled definition.
        root: the run's own graph; None until the run is admitted.
        state: where the run stands.
        seq: sequence number of the last event folded.
        epoch: of the owner that writes it.
        generation: counts the retries of the whole run, from 1.
        visits: every visit that exists, by address.
        ready: visits that may start, by lane; entries of visits that are not ready any more are stale.
        openable: groups whose turn has come, in order; those that are not ready any more are stale.
        earlier_attempts: of visits that a retry has dropped, by address: their last attempts, so that the same
            number is never used twice, and whether it is in doubt.
        running: attempts under way.
        total: leaf members known so far (nodes that are no groups, items of maps).
        settled: leaf visits that have settled.
        failed: visits that have failed by themselves, not through their members.
        waiting: visits that only wait.
        unopened: maps whose turn has come and whose items are not known yet.
        timers: what is due.
        mail: messages that nobody has received yet, by name, oldest first; each with who sent it.
        receivers: waits for messages, by name, as heaps; key_waits: waits for exclusive keys. Some may be over.
    """

    id: str
    topology: Topology
    graph: str = ""
    definition: str = ""
    root: Scope | None = None
    state: RunState = RunState.QUEUED
    seq: int = 0
    epoch: int = 1
    generation: int = 1
    labels: dict[str, str] = field(default_factory=dict[str, str])
    inputs: dict[str, Value] = field(default_factory=dict[str, Value])
    error: ErrorInfo | None = None
    reason: str = ""
    admitted_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    timeout_s: float | None = None
    due: float | None = None
    snapshot_seq: int = 0
    visits: dict[str, Visit] = field(default_factory=dict[str, Visit])
    ready: dict[tuple[object, ...], ReadyQueue] = field(default_factory=dict[tuple[object, ...], ReadyQueue])
    openable: list[Visit] = field(default_factory=list[Visit])
    running: int = 0
    total: int = 0
    settled: int = 0
    failed: int = 0
    waiting: int = 0
    unopened: int = 0
    timers: Timers[Visit] = field(init=False)
    mail: dict[str, list[Message]] = field(default_factory=dict[str, list[Message]])
    receivers: dict[str, list[Waiting]] = field(default_factory=dict[str, list[Waiting]])
    key_waits: list[Waiting] = field(default_factory=list[Waiting])
    next_order: int = 0
    earlier_attempts: dict[str, tuple[int, bool]] = field(default_factory=dict[str, tuple[int, bool]])

    def __post_init__(self) -> None:
        self.timers = Timers(self.is_due)

    @property
    def ended(self) -> bool:
        """Whether the run is over (a retry may take it up again)."""
        return self.state in RUN_ENDED

    def enter(self, target: RunState) -> None:
        """Move the run along its table."""
        if target not in RUN_TRANSITIONS[self.state]:
            raise IllegalTransition(f"run {self.id}", self.state, target)
        self.state = target

    def move(self, visit: Visit, target: NodeState) -> None:
        """Move a visit along its table and keep every counter true."""
        source = visit.state
        if target not in NODE_TRANSITIONS[source]:
            raise IllegalTransition(f"node {visit.path}", source, target)
        visit.state = target
        group = visit.group
        leaf = not visit.is_group
        change = (target in UNDER_WAY) - (source in UNDER_WAY)
        if change:
            group.active += change
            if leaf:
                self.running += change
        if leaf:
            self.waiting += (target is NodeState.WAITING) - (source is NodeState.WAITING)
        elif visit.is_map:
            self.unopened += (target is NodeState.READY) - (source is NodeState.READY)
        if target in SETTLED:
            group.settled += 1
            self.settled += leaf
            if target is NodeState.FAILED:
                group.failed.append(visit.index)
                self.failed += visit.inner is None
        elif source in SETTLED:
            group.settled -= 1
            self.settled -= leaf
            if source is NodeState.FAILED:
                group.failed.remove(visit.index)
                self.failed -= visit.inner is None

    def visit(self, group: Group, index: int, node: Node) -> Visit:
        """The visit of a member, made if it does not exist yet."""
        visit = group.members[index]
        if visit is None:
            visit = Visit(group.member_path(index), node, group, index)
            if self.earlier_attempts:
                visit.attempt, visit.in_doubt = self.earlier_attempts.pop(visit.path, (0, False))
            group.members[index] = visit
            self.visits[visit.path] = visit
        return visit

    def make_ready(self, visit: Visit) -> None:
        """A visit may start: a leaf as soon as a gate admits it, a group as soon as its map has room."""
        self.move(visit, NodeState.READY)
        visit.order = self.next_order
        self.next_order += 1
        self.enqueue(visit)

    def enqueue(self, visit: Visit) -> None:
        """Put a ready visit where `Flow.advance` finds it."""
        if visit.is_group and not self.is_limited_item(visit):
            self.openable.append(visit)
            return
        queue = self.ready.setdefault(self.lane(visit), [])
        heappush(queue, (-visit.node.spec.priority, visit.order, visit))

    def lane(self, visit: Visit) -> tuple[object, ...]:
        """What decides, besides its priority, whether a ready visit can start now."""
        return (*visit.node.lane, visit.group.path) if self.is_limited_item(visit) else visit.node.lane

    @staticmethod
    def is_limited_item(visit: Visit) -> bool:
        """Whether a visit is an item of a map that bounds how many of them run."""
        spec = visit.node.spec.map
        return spec is not None and spec.max_concurrency is not None and not visit.is_map

    def next_ready(self, lane: tuple[object, ...]) -> Visit | None:
        """The first ready visit of a lane; stale entries are dropped on the way."""
        queue = self.ready[lane]
        while queue:
            _, order, visit = queue[0]
            if visit.state is NodeState.READY and visit.order == order:
                return visit
            heappop(queue)
        del self.ready[lane]
        return None

    def set_total_timer(self, visit: Visit) -> None:
        """Remember the end of a visit's time limit, if it has one."""
        if visit.total_due is not None:
            self.timers.set(visit.total_due, "total", visit)

    def begin_group(self, visit: Visit, at: float) -> None:
        """A group is under way; the time limit of a map is one for all its items."""
        self.move(visit, NodeState.RUNNING)
        visit.started_at = at
        limit = visit.node.spec.total_timeout_s
        if limit is not None and isinstance(visit.group, Scope):
            visit.total_due = at + limit
            self.set_total_timer(visit)

    def is_due(self, timer: Timer[Visit]) -> bool:
        """Whether a timer means something in the present state."""
        due, _, kind, visit, key = timer
        if visit is None:
            return self.due == due and self.state in (RunState.RUNNING, RunState.PAUSED)
        if kind == "attempt":
            return visit.attempt_due == due and visit.state is NodeState.RUNNING
        if kind == "total":  # the clock stands still while the body is suspended, until it holds a slot again
            return visit.total_due == due and visit.state in _TIMED and visit.suspended_at is None
        if kind == "retry":
            return visit.retry_due == due and visit.state is NodeState.RETRYING
        wait = visit.open_wait(key)
        return wait is not None and wait.due == due
