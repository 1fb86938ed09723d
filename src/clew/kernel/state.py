"""The folded state of a run: its visits, counters instead of scans, queues and timers.

`fold` writes this state and nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from operator import attrgetter

from clew.kernel.definition import NodeSpec
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
from clew.kernel.visits import Group, Items, Scope, Undoing, Visit, Walk
from clew.kernel.writes import Kept

#: States in which a visit's total time limit can be reached.
_TIMED = frozenset({NodeState.READY, NodeState.RUNNING, NodeState.RETRYING})

_turn = attrgetter("order")

ReadyQueue = list[tuple[int, int, "Visit"]]
Waiting = tuple[int, "Visit", str]  # `Wait.opened`, whose wait it is, and its key


@dataclass(slots=True)
class Run:
    """The whole folded state of one run.

    Attributes:
        id: the run's id.
        graph: hash of its definition.
        definition: digest of the blob that holds it.
        former: nodes of earlier definitions that visits which have ended were made of, where the definition of now
            has others; visits name them by their place.
        origin: the run that it was forked from, and the number of the last event of that; None if it was not.
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
        fresh: items that are as the opening of their map has made them.
        unopened: maps whose turn has come and whose items are not known yet.
        timers: what is due.
        undoing: the compensations, once the run is or was rolled back.
        confirmed: whoever started it has agreed to what cannot be undone.
        used: what attempts have used, summed; of what begins with ``peak_``, the most.
        gathering: groups that something is read for: what they start with, or what they returned. Some of them may
            not need it any more.
        kept: decisions that were given before they are asked for, by address of the barrier.
        mail: messages that nobody has received yet, by name, oldest first; each with who sent it.
        receivers: waits for messages, by name, as heaps; key_waits: waits for exclusive keys. Some may be over.
    """

    id: str
    topology: Topology
    graph: str = ""
    definition: str = ""
    former: tuple[NodeSpec, ...] = ()
    origin: tuple[str, int] | None = None
    root: Scope | Walk | None = None
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
    fresh: int = 0
    unopened: int = 0
    timers: Timers[Visit] = field(init=False)
    undoing: Undoing | None = None
    confirmed: bool = False
    used: dict[str, float] = field(default_factory=dict[str, float])
    gathering: dict[str, Visit] = field(default_factory=dict[str, "Visit"])
    kept: dict[str, Kept] = field(default_factory=dict[str, Kept])
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
        if visit.index >= group.touched:
            self.touch(group, visit.index + 1)
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
            self.gathering.pop(visit.path, None)
            if isinstance(group, Scope):
                self.expect_report(group)
            if target is NodeState.FAILED:
                group.failed.append(visit.index)
                self.failed += visit.inner is None
        elif source in SETTLED:
            group.settled -= 1
            self.settled -= leaf
            if source is NodeState.FAILED:
                group.failed.remove(visit.index)
                self.failed -= visit.inner is None

    def expect_report(self, scope: Scope) -> None:
        """What a dependency graph in a state graph returned is to be read, if it has ended."""
        if scope.reports and scope.finished:
            assert scope.owner is not None
            self.gathering[scope.path] = scope.owner

    def in_turn(self) -> list[Visit]:
        """All visits, in the order in which they became ready; in whichever order they are kept."""
        return sorted(self.visits.values(), key=_turn)

    def touch(self, group: Group, touched: int) -> None:
        """The members of a group below this index are not all as its opening has made them."""
        if isinstance(group, Items):
            self.fresh -= touched - group.touched
        group.touched = touched

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

    def add_step(self, walk: Walk, node: Node) -> Visit:
        """The next visit of a state graph."""
        visit = Visit(walk.next_path(node), node, walk, len(walk.members))
        if self.earlier_attempts:
            visit.attempt, visit.in_doubt = self.earlier_attempts.pop(visit.path, (0, False))
        walk.members.append(visit)
        walk.passed[node.spec.id] = walk.passed.get(node.spec.id, 0) + 1
        self.visits[visit.path] = visit
        self.total += not visit.is_group
        return visit

    def enter_node(self, walk: Walk, node: Node) -> None:
        """The token of a state graph comes to a node, which is ready."""
        walk.visited[node.index] += 1
        self.make_ready(self.add_step(walk, node))

    def make_ready(self, visit: Visit) -> None:
        """A visit may start: a leaf as soon as a gate admits it, a group as soon as its map has room."""
        self.move(visit, NodeState.READY)
        visit.order = self.next_order
        self.next_order += 1
        self.enqueue(visit)

    def enqueue(self, visit: Visit) -> None:
        """Put a ready visit where `Flow.advance` finds it."""
        if (visit.is_group or visit.is_barrier) and not self.is_limited(visit):
            self.openable.append(visit)
            return
        queue = self.ready.setdefault(self.lane(visit), [])
        heappush(queue, (-visit.node.spec.priority, visit.order, visit))

    def lane(self, visit: Visit) -> tuple[object, ...]:
        """What decides, besides its priority, whether a ready visit can start now."""
        return (*visit.node.lane, visit.group.path) if self.is_limited(visit) else visit.node.lane

    @staticmethod
    def is_limited(visit: Visit) -> bool:
        """Whether a visit is one of those of which so many may run; finding a map's items is not running."""
        group = visit.group
        above = group.owner.group if isinstance(group, Items) and group.owner is not None else group
        return not visit.is_map and (group.limit is not None or above.limit is not None)

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
        if limit is not None and not isinstance(visit.group, Items):
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
