"""Visits and the groups that they are members of: what a run's state consists of.

A *group* is what has members that settle one by one and that settles itself when they have: the run's own
graph and each sub-graph (`Scope`; `Walk` if it is a state graph), and each map (`Items`). A visit exists from the
moment it may run; a node without a visit is pending, or cancelled when its group has stopped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from clew.kernel import addresses
from clew.kernel.commands import Step, Wait
from clew.kernel.definition import ItemPolicy
from clew.kernel.states import SETTLED, UNDER_WAY, NodeState
from clew.kernel.topology import Node, Topology
from clew.kernel.values import Cells, ErrorInfo, Value
from clew.kernel.writes import Write


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
        is_barrier: it settles by a decision instead.
        writes: what it is to write to the state, as a branch, when all branches have ended.
        undo: what its compensation is to be given, if it was captured when it completed.
        undoes: the visit that it undoes, if it is a compensation; `undone_step` is the key of the step.
        used: what its attempts have used, summed.
        waited: for people or other runs, so that how long it took says nothing of it; for estimates, and in no
            snapshot.
        inherited: it was done by the run that this one was forked from, and is not this one's to undo.
        begun: in an earlier generation of this run, so that there may be something to undo.
    """

    __slots__ = (
        "attempt",
        "attempt_due",
        "begun",
        "cause",
        "ended_at",
        "error",
        "failures",
        "group",
        "in_doubt",
        "index",
        "inherited",
        "inner",
        "interruptions",
        "is_barrier",
        "is_group",
        "is_map",
        "node",
        "order",
        "output",
        "path",
        "probing",
        "resumes",
        "retry_due",
        "started_at",
        "state",
        "steps",
        "stop",
        "suspended_at",
        "total_due",
        "undo",
        "undoes",
        "undone_step",
        "used",
        "waited",
        "waits",
        "writes",
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
        self.writes: tuple[Write, ...] = ()
        self.undo: Value | None = None
        self.undoes: Visit | None = None
        self.undone_step = ""
        self.inherited = False
        self.begun = False
        self.used: dict[str, float] | None = None
        self.waited = False
        self.is_map = node.spec.map is not None and not isinstance(group, Items)
        self.is_group = self.is_map or node.inner is not None
        self.is_barrier = node.spec.barrier is not None and not self.is_map

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
        touched: members from this index on are as the group's opening has made them.
        limit: how many members may be under way at once; None is any number.
        walk: the state graph whose state the members read and write; None outside of state graphs, and in a
            dependency graph that is a node of one.
    """

    __slots__ = (
        "active", "error", "failed", "limit", "members", "owner", "path", "settled", "stop", "touched", "walk",
    )  # fmt: skip

    def __init__(self, path: str, owner: Visit | None, size: int) -> None:
        self.path = path
        self.owner = owner
        self.members: list[Visit | None] = [None] * size
        self.settled = 0
        self.active = 0
        self.failed: list[int] = []
        self.stop = ""
        self.error: ErrorInfo | None = None
        self.touched = 0
        self.limit: int | None = None
        self.walk: Walk | None = None

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
        if topology.spec.branches and owner is not None:
            self.walk = owner.group.walk
            limit = topology.spec.max_concurrency
            self.limit = limit if limit < len(topology.nodes) else None

    @property
    def reports(self) -> bool:
        """Whether it is a dependency graph that is a node of a state graph: what it returns is to be written."""
        return self.walk is None and self.owner is not None and self.owner.group.walk is not None

    def member_name(self, index: int) -> str:
        """The id of a node of this graph."""
        return self.topology.nodes[index].spec.id

    def member_path(self, index: int) -> str:
        """The address of a node of this graph."""
        return addresses.child(self.path, self.member_name(index))


class Items(Group):
    """The items of one map.

    Attributes:
        keys: their names; empty when they are named by index.
        items: the list itself, when it is not another node's output.
        first_order: the `Visit.order` of the first item when all of them became ready at once; else -1.
    """

    __slots__ = ("first_order", "items", "keys", "node")

    def __init__(self, owner: Visit, count: int, keys: tuple[str, ...], items: Value | None) -> None:
        super().__init__(owner.path, owner, count)
        self.node = owner.node
        self.keys = keys
        self.items = items
        self.first_order = -1
        self.limit = self.node.spec.map.max_concurrency if self.node.spec.map is not None else None
        self.walk = owner.group.walk

    def member_name(self, index: int) -> str:
        """The key of an item."""
        return self.keys[index] if self.keys else str(index)

    def member_path(self, index: int) -> str:
        """The address of an item."""
        return addresses.item(self.path, self.member_name(index))

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


class Walk(Group):
    """One running instance of a state graph; its members are the visits, in the order of the steps.

    Attributes:
        cells: the state, by key.
        size: bytes of its JSON text, nearly.
        entered: it knows what it starts with.
        done: the token has reached the end.
        routed: where the token goes from the last member is decided; or from the start, while there is none.
        goto: the node that the last member wants to go on with, empty for the end.
        wants_fallback: the last member wants the fallback edge.
        passed: how often each node was visited, by id; `visited` counts those of this generation, by index.
        taken: how often each edge was taken in this generation, by number.
        steps_before: members of earlier generations.
        writes: what was written, in order, if there is an enclosing state that it is written to at the end.
    """

    __slots__ = (
        "cells", "done", "entered", "goto", "passed", "routed", "size", "steps_before", "taken", "topology",
        "visited", "wants_fallback", "writes",
    )  # fmt: skip

    def __init__(self, path: str, owner: Visit | None, topology: Topology) -> None:
        super().__init__(path, owner, 0)
        self.topology = topology
        self.cells: Cells = {}
        self.size = 2
        self.entered = False
        self.done = False
        self.routed = False
        self.goto: str | None = None
        self.wants_fallback = False
        self.passed: dict[str, int] = {}
        self.visited = [0] * len(topology.nodes)
        self.taken: dict[int, int] = {}
        self.steps_before = 0
        self.walk = self
        self.writes: list[Write] | None = [] if self.outer is not None else None

    @property
    def outer(self) -> Walk | None:
        """The state graph whose state it starts on, and writes to at its end."""
        return self.owner.group.walk if self.owner is not None else None

    @property
    def finished(self) -> bool:
        """Nothing of it is left to be done, or to be waited for."""
        return self.active == 0 if self.stop else self.done

    @property
    def stands_still(self) -> bool:
        """Whether it is to be decided where the token goes."""
        if not self.entered or self.routed or self.done or self.stop:
            return False
        return self.last is None or self.last.state in SETTLED

    @property
    def last(self) -> Visit | None:
        """Where the token is, or was last."""
        return self.members[-1] if self.members else None

    def member_path(self, index: int) -> str:
        """The address of a step."""
        visit = self.members[index]
        assert visit is not None
        return visit.path

    def next_path(self, node: Node) -> str:
        """The address of the next visit of a node."""
        return addresses.visit(addresses.child(self.path, node.spec.id), self.passed.get(node.spec.id, 0) + 1)


class Undoing(Group):
    """The compensations of a run that is rolled back, in the order in which they were found.

    Attributes:
        waits: for how many points each point of the order still waits.
        follows: the points that wait for a point, by number.
        point_of: the point of each member.
        member_at: the member at a point; -1 for points that only order others.
    """

    __slots__ = ("follows", "member_at", "point_of", "waits")

    def __init__(self) -> None:
        super().__init__("", None, 0)
        self.waits: list[int] = []
        self.follows: list[list[int]] = []
        self.point_of: list[int] = []
        self.member_at: list[int] = []

    def member_path(self, index: int) -> str:
        """The address of a compensation."""
        visit = self.members[index]
        assert visit is not None
        return visit.path


def new_group(visit: Visit) -> Scope | Walk:
    """What a sub-graph's members live in, before there are any."""
    inner = visit.node.inner
    assert inner is not None
    return Walk(visit.path, visit, inner) if inner.routing else Scope(visit.path, visit, inner)


def feeding_items(visit: Visit) -> Items | None:
    """The items that a map takes one by one; None if it finds its own (also because its feeder found none)."""
    fed_by = visit.node.fed_by
    feeder = None if fed_by is None else visit.group.members[fed_by]
    return feeder.inner if feeder and isinstance(feeder.inner, Items) else None


def is_gathering(visit: Visit) -> bool:
    """Whether something is to be read for a group: what it starts with, or what it returned."""
    inner = visit.inner
    if visit.state not in UNDER_WAY or inner is None:
        return False
    if isinstance(inner, Walk):
        return not (inner.entered or inner.stop)
    return isinstance(inner, Scope) and inner.reports and inner.finished
