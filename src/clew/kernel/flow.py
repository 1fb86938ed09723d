"""What follows from a visit that settles: policies, groups that end, groups that open, attempts that start.

`Flow` is the half of the machine that no signal reaches directly. It records what it decides as events, each
folded at once, and collects commands; `machine` turns signals into calls of it.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import assert_never

from clew.kernel import barriers, reasons, rollback, routes
from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel.definition import ErrorPolicy, OnInterrupt
from clew.kernel.fold import fold
from clew.kernel.groups import failures, has_room, is_cut_short, is_lost
from clew.kernel.mail import receiver
from clew.kernel.policies import is_retried, retry_delay
from clew.kernel.questions import CONFIRM, IN_DOUBT, is_confirmed, question_of_confirmation, question_of_doubt
from clew.kernel.reducing import Rules
from clew.kernel.starting import expand, start
from clew.kernel.state import Run
from clew.kernel.states import RUN_GOES_ON, SETTLED, UNDER_WAY, NodeState, RunState
from clew.kernel.topology import Node
from clew.kernel.values import GATHERED, ErrorInfo, Value
from clew.kernel.visits import Group, Items, Scope, Undoing, Visit, Walk, feeding_items

#: May this attempt start now? A yes takes the slots; the driver gives them back when the attempt has ended.
Gate = Callable[[str, Node], bool]


class Flow:
    """Moves one run on.

    Attributes:
        run: the folded state.
        gate: asked before each attempt, besides the run's own `max_concurrency`.
        rules: the conditions and reducers of state graphs; without them, state graphs stand still.
        now: the time of the call, seconds since the epoch.
        events: decided, and folded, in this call.
        commands: to be performed when `events` are durable.
        reading: groups that something is to be read for because of this call.
    """

    def __init__(self, run: Run, gate: Gate, rules: Rules | None) -> None:
        self.run = run
        self.gate = gate
        self.rules = rules
        self.now = 0.0
        self.events: list[e.AnyEvent] = []
        self.commands: list[c.Command] = []
        self.reading: set[str] = set()

    def begin(self, now: float) -> None:
        """Start collecting for a call at time `now`."""
        self.now = now
        self.events, self.commands = [], []
        self.reading = set()

    def emit(self, event: e.AnyEvent) -> None:
        """Record a fact: fold it now, store it with the rest of this call."""
        fold(self.run, event)
        self.events.append(event)

    def current(self, path: str, attempt: int) -> Visit | None:
        """The visit whose attempt a signal speaks of, unless the signal comes too late."""
        visit = self.run.visits.get(path)
        if visit is None or visit.attempt != attempt or visit.is_group:
            return None
        # A suspended body is still in memory, and may go on by itself (a time limit of its own).
        return visit if visit.state in UNDER_WAY or visit.suspended_at is not None else None

    def failed(self, visit: Visit, error: ErrorInfo) -> None:
        """An attempt failed: it is tried again, or the visit has failed for good."""
        retry = visit.node.spec.retry
        failures = visit.failures + 1
        if not is_retried(retry, error, failures):
            self.fail(visit, error)
            return
        delay = retry_delay(retry, failures, error, f"{self.run.id} {visit.path} {visit.attempt}")
        self.emit(
            e.RetryScheduled(
                at=self.now, path=visit.path, attempt=visit.attempt, error=error, due=self.now + delay
            )
        )

    def fail(self, visit: Visit, error: ErrorInfo) -> None:
        """A visit failed for good."""
        self.emit(e.NodeFailed(at=self.now, path=visit.path, attempt=visit.attempt, error=error))
        self.settled(visit)

    def stopped(self, visit: Visit, reason: str) -> None:
        """An attempt that was told to stop has done so (or was lost, which is the same)."""
        because = visit.group.stop
        if because:
            self.emit(e.NodeCancelled(at=self.now, path=visit.path, attempt=visit.attempt, reason=because))
            self.settled(visit)
        elif reason == "timeout":
            self.failed(visit, reasons.timed_out("the attempt", visit.node.spec.timeout_s))
        elif reason == "heartbeat":
            self.failed(visit, reasons.silent(visit.node.spec.heartbeat_s))
        elif reason == "pause":
            self.emit(e.AttemptInterrupted(at=self.now, path=visit.path, attempt=visit.attempt))
        else:
            self.fail(visit, reasons.timed_out("the node with its retries", visit.node.spec.total_timeout_s))

    def settled(self, visit: Visit) -> None:
        """A visit settled: its group's policy decides what that means, and the group may end with it."""
        group = visit.group
        if isinstance(group, Scope):
            if visit.state is NodeState.FAILED and not group.stop:
                self._apply_policy(group, visit)
        elif isinstance(group, Walk):
            routes.go_on(self, group)
        elif isinstance(group, Undoing):
            rollback.settled(self)
            return
        else:
            assert isinstance(group, Items)
            self._item_settled(group, visit)
        if group.finished:
            self.close(group)

    def _apply_policy(self, scope: Scope, visit: Visit) -> None:
        policy = visit.node.spec.on_error or scope.topology.spec.on_error
        match policy:
            case ErrorPolicy.STOP_GRAPH:
                self.stop(scope, "failed", reasons.because(visit))
            case ErrorPolicy.SKIP_DOWNSTREAM:
                self._skip_downstream(scope, visit)
            case ErrorPolicy.CONTINUE:
                self._skip_unfed_items(visit)
            case _:
                assert_never(policy)

    def _skip_downstream(self, scope: Scope, failed: Visit) -> None:
        """Skip whatever depends on a failed node, at any distance; maps that it feeds end early."""
        todo = [*failed.node.releases, *failed.node.feeds]
        while todo:
            index = todo.pop()
            state = scope.member_state(index)
            if state in UNDER_WAY:
                member = scope.members[index]
                assert member is not None
                assert member.inner is not None
                if member.inner.stop:
                    continue  # it ends already; what that means for its readers is decided by how it ends
                self.stop(member.inner, "upstream", reasons.because(failed), cause=failed.path)
            elif state not in SETTLED:
                self.emit(e.NodeSkipped(at=self.now, path=scope.member_path(index), cause=failed.path))
            else:
                continue
            node = scope.topology.nodes[index]
            todo += [*node.releases, *node.feeds]

    def _skip_unfed_items(self, failed: Visit) -> None:
        """A failed map goes on for its readers: those that take its items do without the missing ones."""
        if isinstance(failed.inner, Items):
            for consumer in self._consumers(failed):
                self._skip_lost_items(failed.inner, consumer)

    def _consumers(self, feeder: Visit) -> list[Items]:
        """The maps under way that take the items of a map one by one."""
        members = (feeder.group.members[index] for index in feeder.node.feeds)
        return [v.inner for v in members if v is not None and isinstance(v.inner, Items) and v.state in UNDER_WAY]

    def _item_settled(self, group: Items, item: Visit) -> None:
        assert group.owner is not None
        if item.state is NodeState.FAILED and not group.stop and not group.collects:
            self.stop(group, "failed", reasons.because(item))
        elif is_lost(group, item):
            for consumer in self._consumers(group.owner):
                self._skip_item(consumer, item)

    def _skip_lost_items(self, source: Items, consumer: Items) -> None:
        for item in source.members:
            assert item is not None
            if is_lost(source, item):
                self._skip_item(consumer, item)

    def _skip_item(self, consumer: Items, lost: Visit) -> None:
        """The item that was to be made from a lost one is not made."""
        member = consumer.members[lost.index]
        assert member is not None
        if member.state is NodeState.PENDING:
            self.emit(e.NodeSkipped(at=self.now, path=member.path, cause=lost.path))
            self.settled(member)

    def stop(self, group: Group, reason: str, error: ErrorInfo, cause: str = "") -> None:
        """End a group early: what has not started never will, what is under way is told to stop."""
        # Suspended bodies hold no slot and are cancelled at once, but may still be in memory.
        suspended = [v for v in group.members if v is not None and v.suspended_at is not None]
        has_ended = group.finished  # and what it returned is being read
        self.emit(e.GroupStopping(at=self.now, path=group.path, reason=reason, error=error, cause=cause))
        for visit in suspended:
            self.commands.append(c.StopAttempt(path=visit.path, attempt=visit.attempt, reason=reason))
        for visit in group.members:
            if visit is None or visit.state is not NodeState.RUNNING:
                continue
            if visit.inner is None:
                self.stop_attempt(visit, reason)
            else:
                self.stop(visit.inner, reason, error)
        if group.finished and not has_ended and not self._is_closed(group):
            self.close(group)

    def stop_attempt(self, visit: Visit, reason: str) -> None:
        """Tell the worker of an attempt to stop it; the visit settles when it has."""
        self.emit(e.AttemptStopping(at=self.now, path=visit.path, attempt=visit.attempt, reason=reason))
        self.commands.append(c.StopAttempt(path=visit.path, attempt=visit.attempt, reason=reason))

    def close(self, group: Group) -> None:
        """A group has ended: settle the visit that owns it, or end the run."""
        if self._is_closed(group):
            return
        error = self._outcome(group)
        if group.owner is None:
            self._end_run(error)
            return
        owner = group.owner
        at, path, attempt, above = self.now, owner.path, owner.attempt, owner.group.stop
        if error is None and owner.group.walk is not None:
            routes.group_ended(self, group)
            return
        if error is None:
            self.emit(e.NodeCompleted(at=at, path=path, attempt=attempt, output=GATHERED))
        elif above:
            self.emit(e.NodeCancelled(at=at, path=path, attempt=attempt, reason=above))
        elif group.stop == "upstream":
            self.emit(e.NodeSkipped(at=at, path=path, cause=owner.cause))
        else:
            self.emit(e.NodeFailed(at=at, path=path, attempt=attempt, error=error))
        self.settled(owner)

    def _is_closed(self, group: Group) -> bool:
        if group.owner is None:
            return self.run.ended or self.run.undoing is not None
        return group.owner.state in SETTLED

    def _outcome(self, group: Group) -> ErrorInfo | None:
        """Why the group failed; None if it did not.

        A group that was to end early and whose members have all come in nevertheless is as good as any other.
        """
        bad = failures(group)
        if group.stop and is_cut_short(group) and not (bad and group.stop == "failed"):
            return group.error
        return reasons.because(bad[0], len(bad) - 1) if bad else None

    def _end_run(self, error: ErrorInfo | None) -> None:
        run = self.run
        assert run.root is not None
        counts: dict[str, int] = {"settled": run.settled, "failed": run.failed}
        if run.root.stop in ("cancel", rollback.ROLLBACK):
            assert run.root.error is not None
            self.emit(e.RunCancelled(at=self.now, reason=run.root.error.message, **counts))
        elif error is None:
            self.emit(e.RunCompleted(at=self.now, **counts))
        else:
            self.emit(e.RunFailed(at=self.now, error=error, **counts))
        if run.root.stop == rollback.ROLLBACK:
            rollback.begin(self, "asked")
        elif run.state is RunState.FAILED and run.topology.spec.rollback:
            rollback.begin(self, "failed")

    def advance(self) -> None:
        """Open the groups whose turn has come, then start what is ready and admitted."""
        while self.run.state in RUN_GOES_ON:
            self._open_groups()
            if not self._start_ready():
                return

    def _open_groups(self) -> None:
        run = self.run
        while run.openable:
            visits, run.openable = run.openable, []
            for visit in visits:
                if visit.state is NodeState.READY:  # it may have been cancelled while the run was paused
                    self._open(visit)

    def _open(self, visit: Visit) -> None:
        if visit.is_barrier:
            barriers.stand_at(self, visit)
        elif not visit.is_map:
            anew = visit.inner is not None
            self.emit(e.ScopeOpened(at=self.now, path=visit.path))
            if anew:  # messages that its members had received may lie in the mailboxes again
                for name in list(self.run.mail):
                    self.hand_out(name)
            assert visit.inner is not None
            routes.go_on_within(self, visit.inner)
        elif (source := feeding_items(visit)) is not None:
            self.open_map(visit, len(source.members), source.keys, None)
            assert isinstance(visit.inner, Items)
            self._skip_lost_items(source, visit.inner)
        else:
            self.commands.append(expand(self.run, visit))

    def _start_ready(self) -> bool:
        """Start what may start, the best of all lanes first.

        Returns:
            Whether groups were opened, whose members may start now.
        """
        run = self.run
        limit = run.topology.spec.max_concurrency
        heads: list[tuple[int, int, Visit]] = []
        if run.running < limit:
            heads = [
                (-v.node.spec.priority, v.order, v) for lane in list(run.ready) if (v := run.next_ready(lane))
            ]
            heapify(heads)
        opened = False
        while heads and run.running < limit:
            visit = heappop(heads)[2]
            if not has_room(visit) or not self.set_going(visit):
                continue
            opened = opened or visit.is_group or visit.is_barrier
            if (after := run.next_ready(run.lane(visit))) is not None:
                heappush(heads, (-after.node.spec.priority, after.order, after))
        return opened

    def set_going(self, visit: Visit) -> bool:
        """Open or start a visit that is ready, or ask what has to be asked first; False if the gate refuses it."""
        if visit.is_group or visit.is_barrier:
            self._open(visit)
        elif visit.in_doubt and visit.node.spec.on_interrupt is OnInterrupt.ASK:
            self._ask_about(visit)
        elif visit.node.spec.irreversible and not self._is_agreed(visit):
            self._ask_to_confirm(visit)
        elif self.gate(visit.path, visit.node):
            self._begin(visit)
        else:
            return False
        return True

    def open_map(self, visit: Visit, count: int, keys: tuple[str, ...], items: Value | None) -> None:
        """The items of a map are known: make a visit for each."""
        self.emit(e.MapOpened(at=self.now, path=visit.path, count=count, keys=keys, items=items))
        self._close_if_finished(visit)

    def _close_if_finished(self, visit: Visit) -> None:
        assert visit.inner is not None
        if visit.inner.finished:
            self.close(visit.inner)

    def _ask_about(self, visit: Visit) -> None:
        """Whether a lost attempt took effect is put to a person."""
        question, digest = question_of_doubt(visit.path, visit.attempt)
        self._ask(visit, IN_DOUBT, question, digest)

    def _ask(self, visit: Visit, key: str, question: Value, digest: str) -> None:
        self.emit(
            e.WaitOpened(
                at=self.now,
                path=visit.path,
                attempt=visit.attempt,
                key=key,
                kind="answer",
                question=question,
                digest=digest,
            )
        )

    def _is_agreed(self, visit: Visit) -> bool:
        """Whether somebody has agreed to what cannot be undone."""
        said = (visit.waits or {}).get(CONFIRM)
        return self.run.confirmed or (
            said is not None and said.value is not None and is_confirmed(said.value) is True
        )

    def _ask_to_confirm(self, visit: Visit) -> None:
        question, digest = question_of_confirmation(visit.path)
        self._ask(visit, CONFIRM, question, digest)

    def hand_out(self, name: str) -> None:
        """Give the messages of a name to those who wait for them, who has waited longest first."""
        while (messages := self.run.mail.get(name)) and (found := receiver(self.run, name)) is not None:
            (visit, key), message = found, messages[0]
            self.emit(
                e.WaitResolved(
                    at=self.now, path=visit.path, key=key, outcome="received", value=message.value, by=message.by
                )
            )

    def _begin(self, visit: Visit) -> None:
        resumed = visit.resumes
        if resumed:
            self.emit(e.AttemptResumed(at=self.now, path=visit.path, attempt=visit.attempt))
        else:
            attempt = visit.attempt + 1
            self.emit(e.AttemptStarted(at=self.now, path=visit.path, attempt=attempt, probe=visit.in_doubt))
        self.commands.append(start(self.run, visit, resumed=resumed))
