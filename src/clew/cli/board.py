"""What a watcher of a run knows: the run's events folded once, and what of them is worth a line.

A `Board` takes recorded events and ephemeral items in the order in which they come and keeps everything that a
view asks for ready: who is under way, what failed, what ended last, how many of each state. A view looks at as
many entries as it shows; nothing goes over the whole graph, except when a graph is stopped or retried. It does
no input or output and has no clock: `now` is passed in.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar

from clew.cli.journey import Journey
from clew.cli.outlook import Outlook, Pace
from clew.engine.feed import Ephemeral
from clew.engine.feed import Progress as Told
from clew.engine.progress import Progress, progress_of
from clew.errors import UnknownRunError
from clew.journal.records import Recorded
from clew.kernel import addresses
from clew.kernel import events as e
from clew.kernel.commands import Wait
from clew.kernel.definition import GraphSpec
from clew.kernel.fold import fold, group_at
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, UNDER_WAY, NodeState
from clew.kernel.topology import compile_graph
from clew.kernel.undoing import in_order
from clew.kernel.values import ErrorInfo
from clew.kernel.visits import Scope, Visit, Walk

#: Seconds between two looks ahead, and how many more for each node of the graph.
FORESEEN_S, FORESEEN_NODE_S = 0.5, 0.0005
#: Rows that ended last, and failures, that are kept for showing.
KEPT = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """A node or item that failed for good."""

    path: str
    error: ErrorInfo
    attempt: int


class Board:
    """A run as it is watched.

    Args:
        spec: the run's definition.
        keeps_values: the journey keeps what steps wrote, and not only what is told of it.

    Attributes:
        run: the folded state.
        journey: what the steps of state graphs wrote, and why the run went on from them as it did.
        outlook: what is still to come.
        since: when this watcher came, in seconds since the epoch; None counts from the start of the run.
        caught_up: sequence number up to which events are history, told before this watcher came.
        counts: rows (nodes of the run's own graph, or steps if it is a state graph) by state; ready ones count as
            pending.
        live: leaf visits with an attempt under way, the longest under way first.
        rows: rows by state, for the states of which few are shown, in the order in which they got there.
        recent: rows that completed, were skipped or cancelled, the last one last.
        failures: leaves that failed for good, the last one last; at most `KEPT`.
        progress: what bodies under way last told about themselves.
        paused_by: who paused the run, if that was said.
        durations: how long nodes take, by place, in seconds, as earlier runs have told.
        foreseen: how far the run was when the time was told last.
        compensations: what is undone, in an order in which that can be, once the run is rolled back.
        rollback: the event by which that began last.
    """

    def __init__(self, spec: GraphSpec, *, keeps_values: bool = False) -> None:
        self.run = Run("", compile_graph(spec))
        self.journey = Journey(self.run, keeps_values=keeps_values)
        self.outlook = Outlook(self.run)
        self.since: float | None = None
        self.caught_up = 0
        self.pace = Pace()
        self.progress: dict[str, Told] = {}
        self.owner = ""
        self.paused_by = ""
        self.durations: dict[str, float] = {}
        self.foreseen = Progress()
        self._foreseen_at = 0.0
        self.compensations: list[Visit] = []
        self.rollback: e.RollbackStarted | None = None
        self._reset()

    def _reset(self) -> None:
        """Nothing of the run's nodes is known."""
        pending = 0 if self.is_walk else len(self.run.topology.nodes)
        self.counts: Counter[NodeState] = Counter({NodeState.PENDING: pending})
        self.live: dict[str, Visit] = {}
        self.rows: dict[NodeState, dict[str, Visit]] = {state: {} for state in _SHOWN}
        self.recent: deque[Visit] = deque(maxlen=KEPT)
        self.failures: deque[Failure] = deque(maxlen=KEPT)
        #: Keys of questions that were asked and not answered, by address of visits that have not settled.
        self._asked: dict[str, dict[str, None]] = {}
        self._row_states: dict[str, NodeState] = {}

    @property
    def is_walk(self) -> bool:
        """Whether the run's own graph is a state graph."""
        return self.run.topology.routing is not None

    # ------------------------------------------------------------------ taking

    def take(self, item: Recorded | Ephemeral) -> None:
        """Fold one item."""
        if isinstance(item, Recorded):
            event = item.event
            self.outlook.before(event)
            self.journey.before(event)
            fold(self.run, event)
            self.journey.take(item)
            special = self._SPECIAL.get(type(event))
            if special is not None:
                special(self, event)
            elif (visit := self.run.visits.get(getattr(event, "path", ""))) is not None:
                self._moved(visit)
        elif isinstance(item, Told) and item.path in self.live:
            self.progress[item.path] = item

    def tick(self, now: float) -> None:
        """Time goes on: take a sample of how many nodes have settled."""
        if self.run.seq >= self.caught_up:
            self.pace.sample(now, self.run.settled)
            if abs(now - self._foreseen_at) >= FORESEEN_S + len(self.run.topology.nodes) * FORESEEN_NODE_S:
                self.foresee(now)

    def foresee(self, now: float) -> None:
        """Look ahead: how far the run is, and how long it takes yet."""
        told = {path: item.fraction for path, item in self.progress.items()}
        self.foreseen = progress_of(self.run, self.durations, now, told)
        self._foreseen_at = now

    def _moved(self, visit: Visit) -> None:
        """A visit may have another state."""
        state = visit.state
        if not visit.is_group:
            if state in SETTLED and self._asked:
                self._asked.pop(visit.path, None)
            if state in UNDER_WAY:
                self.live[visit.path] = visit
            elif self.live.pop(visit.path, None) is not None:
                self.progress.pop(visit.path, None)
        if visit.group is self.run.root:
            self._row_moved(visit, shown_as(state))

    def _row_moved(self, visit: Visit, state: NodeState) -> None:
        if self.is_walk and visit.path not in self._row_states:  # a step that is new
            self.counts[NodeState.PENDING] += 1
        before = self._row_states.get(visit.path, NodeState.PENDING)
        self._row_states[visit.path] = state
        if state is before:
            return
        self.counts[before] -= 1
        self.counts[state] += 1
        if before in self.rows:
            self.rows[before].pop(visit.path, None)
        if state in self.rows:
            self.rows[state][visit.path] = visit
        elif state in SETTLED:
            self.recent.append(visit)

    def _node_failed(self, event: e.NodeFailed) -> None:
        visit = self.run.visits[event.path]
        # A group that failed because of its members says nothing new.
        if visit.inner is None or not visit.inner.failed:
            self.failures.append(Failure(visit.path, event.error, event.attempt))
        self.outlook.settled(visit)
        self._moved(visit)

    def _node_settled(self, event: e.NodeSkipped | e.NodeCancelled | e.NodeCompleted) -> None:
        visit = self.run.visits[event.path]
        self.outlook.settled(visit)
        self._moved(visit)

    def _wait_opened(self, event: e.WaitOpened) -> None:
        if event.kind == "answer":
            self._asked.setdefault(event.path, {})[event.key] = None
        self._moved(self.run.visits[event.path])

    def _wait_resolved(self, event: e.WaitResolved) -> None:
        keys = self._asked.get(event.path, {})
        keys.pop(event.key, None)
        if not keys:
            self._asked.pop(event.path, None)
        self._moved(self.run.visits[event.path])

    def _paused(self, event: e.RunPaused) -> None:
        self.paused_by = event.by

    def _rollback_started(self, event: e.RollbackStarted) -> None:
        assert self.run.undoing is not None
        self.compensations = [*in_order(self.run.undoing)]
        self.rollback = event
        self.pace = Pace()

    def _attempt_started(self, event: e.AttemptStarted) -> None:
        self.progress.pop(event.path, None)
        self._moved(self.run.visits[event.path])

    # ------------------------------------------------------------------ groups, and what is still to come

    def _run_started(self, _: e.RunStarted) -> None:
        self.outlook.count_again()

    def _scope_opened(self, event: e.ScopeOpened) -> None:
        visit = self.run.visits[event.path]
        self.outlook.scope_opened(visit)
        self._moved(visit)

    def _map_opened(self, event: e.MapOpened) -> None:
        visit = self.run.visits[event.path]
        if 2 * event.count > self.expected:
            self.pace = Pace()  # what went before says little about the items
        self.outlook.map_opened(visit, event.count)
        self._moved(visit)

    def _routed(self, event: e.Routed) -> None:
        """The token of a state graph went on; the node that it came to is ready."""
        walk = group_at(self.run, event.path)
        assert isinstance(walk, Walk)
        self.outlook.routed(walk)
        if walk.last is not None:
            self._moved(walk.last)

    def _stopping(self, event: e.GroupStopping) -> None:
        """Members of a group were cancelled without an event of their own."""
        group = group_at(self.run, event.path)
        if group is self.run.root:
            self._count_again()
        else:
            self.outlook.stopping(group)

    def _redefined(self, _: e.DefinitionChanged) -> None:
        """All visits are others than before."""
        self._count_again()

    def _retried(self, _: e.RunRetried) -> None:
        self.failures.clear()
        self.progress.clear()
        self._count_again()

    def _count_again(self) -> None:
        failures, asked = [*self.failures], self._asked
        recent = [visit for visit in self.recent if visit.state in SETTLED]
        self._reset()
        self.failures.extend(failures)
        self._asked = {path: keys for path, keys in asked.items() if path in self.run.visits}
        self.recent.extend(recent)
        root = self.run.root
        assert root is not None
        self.counts.clear()
        for index, visit in enumerate(root.members):
            state = shown_as(root.member_state(index))
            self.counts[state] += 1
            if visit is not None:
                self._row_states[visit.path] = state
                if state in self.rows:
                    self.rows[state][visit.path] = visit
        self.live = {v.path: v for v in self.run.visits.values() if not v.is_group and v.state in UNDER_WAY}
        self.outlook.count_again()

    def _taken(self, event: e.OwnershipTaken) -> None:
        self.owner = event.owner

    # ------------------------------------------------------------------ asking

    def asking(self) -> Iterator[tuple[Visit, str, Wait]]:
        """The questions that wait for an answer, in the order in which they were asked."""
        for path, keys in self._asked.items():
            visit = self.run.visits.get(path)
            for key in keys if visit is not None else ():
                assert visit is not None
                wait = visit.open_wait(key)
                if wait is not None:
                    yield visit, key, wait

    @property
    def expected(self) -> int:
        """Leaves in all, as far as they are known."""
        return self.run.total + self.outlook.leaves

    @property
    def is_total_known(self) -> bool:
        """Whether no map and no state graph can add to `expected` any more."""
        return self.outlook.unknown == 0

    def left_s(self, now: float) -> float | None:
        """Seconds until the end, by what nodes take, else at the present rate; None while nobody can tell."""
        if self.run.ended:
            return None
        if self.foreseen.left_s is not None:
            return max(0.0, self.foreseen.left_s - (now - self._foreseen_at))
        if not self.is_total_known:
            return None
        return self.pace.left_s(now, self.run.settled, self.expected - self.run.settled)

    def knows(self, path: str) -> bool:
        """Whether the run has a node or an item at this address, begun or not; of state graphs, a step."""
        return path in self.run.visits or self._names(path, Scope)

    def _names(self, path: str, kind: type[Scope | Walk]) -> bool:
        """Whether an address names a node of a graph of this kind."""
        parent, _, name = path.rpartition("/")
        if not parent:
            own = Walk if self.is_walk else Scope
            return own is kind and addresses.node_of(name) in self.run.topology.index
        visit = self.run.visits.get(parent)
        group = visit.inner if visit is not None else None
        if not isinstance(group, Scope | Walk):
            return False
        return isinstance(group, kind) and addresses.node_of(name) in group.topology.index

    def must_know(self, path: str) -> None:
        """Refuse an address that is not of this run.

        Raises:
            UnknownRunError: with the nearest right one.
        """
        if self.knows(path):
            return
        if self._names(path, Walk):
            yet = "" if self.run.ended else " yet"
            raise UnknownRunError(f"run {self.run.id} has not come to {path}{yet}")
        known = [*self.run.visits, *self.run.topology.index]
        near = get_close_matches(path, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownRunError(f"run {self.run.id} has no node {path!r}{hint}")

    def row_of(self, visit: Visit) -> Visit:
        """The node of the run's own graph that a visit belongs to."""
        while visit.group.owner is not None:
            visit = visit.group.owner
        return visit

    def map_of(self, visit: Visit) -> Visit | None:
        """The outermost map that a visit is an item of, or lies in an item of."""
        found = None
        while visit.group.owner is not None:
            visit = visit.group.owner
            if visit.is_map:
                found = visit
        return found

    #: What the events do beyond folding; those that are not here move one visit, or none.
    _SPECIAL: ClassVar[dict[type, Callable[[Board, Any], None]]] = {
        e.RunStarted: _run_started,
        e.RunPaused: _paused,
        e.RunRetried: _retried,
        e.RollbackStarted: _rollback_started,
        e.OwnershipTaken: _taken,
        e.Routed: _routed,
        e.DefinitionChanged: _redefined,
        e.WaitOpened: _wait_opened,
        e.WaitResolved: _wait_resolved,
        e.GroupStopping: _stopping,
        e.ScopeOpened: _scope_opened,
        e.MapOpened: _map_opened,
        e.AttemptStarted: _attempt_started,
        e.NodeCompleted: _node_settled,
        e.NodeFailed: _node_failed,
        e.NodeSkipped: _node_settled,
        e.NodeCancelled: _node_settled,
    }


_SHOWN = (NodeState.RUNNING, NodeState.FAILED, NodeState.RETRYING, NodeState.WAITING)


def shown_as(state: NodeState) -> NodeState:
    """The states that a watcher tells apart: being stopped is still under way, ready is still to come."""
    if state is NodeState.STOPPING:
        return NodeState.RUNNING
    return NodeState.PENDING if state is NodeState.READY else state
