"""A run told in lines of text, for pipes and files: one line per event that a person would tell.

The items of a map are not told one by one: a line says how many are done, at every twentieth part and every few
seconds. The narrator writes nothing and has no clock of its own; its lines hold no control characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, ClassVar

from clew.cli import narrating_steps as steps
from clew.cli import narrating_undo
from clew.cli.board import Board
from clew.cli.screen import error_line
from clew.cli.waits import asked, standing, to_do
from clew.cli.words import clock, command, count, duration, percent, plain, rate, roughly
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.commands import Wait
from clew.kernel.questions import DECISION
from clew.kernel.states import NodeState, RunState
from clew.kernel.visits import Scope, Visit

#: A map tells how far it is at every such part of its items,
PARTS = 20
#: and when so many seconds have passed (more when it has been going on for long).
EVERY_S = 5.0
#: Failures and retries of one map that are told one by one.
TOLD_PER_MAP = 20
#: Seconds of silence after which a line says that the run is alive.
SILENCE_S = 30.0


class Narrator:
    """Tells what a board takes. Call `tell` with each recorded event after the board has taken it.

    Args:
        board: the run.
        db: added as ``--db`` to commands that are suggested.
    """

    def __init__(self, board: Board, db: str = "") -> None:
        self._board = board
        self._db = db
        #: Whether it was told what an earlier process or watcher had left the run waiting for.
        self._caught_up = board.caught_up == 0
        self._told_at = 0.0
        #: Of each map: when it was last told of, and at which part.
        self._maps: dict[str, tuple[float, int]] = {}
        self._troubles: Counter[str] = Counter()
        self._questions: Counter[str] = Counter()
        #: Visits whose attempts are being stopped for a pause.
        self._paused: set[str] = set()

    def tell(self, recorded: Recorded) -> Iterator[str]:
        """The lines for an event; mostly one, often none."""
        event = recorded.event
        if recorded.seq <= self._board.caught_up:
            return
        for text in self._lines(event):
            self._told_at = event.at
            yield f"{clock(event.at)} {text}"

    def _lines(self, event: e.AnyEvent) -> Iterator[str]:
        visit = self._board.run.visits.get(getattr(event, "path", ""))
        if visit is not None and visit.undoes is not None and not isinstance(event, e.WaitOpened | e.WaitResolved):
            yield from narrating_undo.of_compensation(self._board, visit, event)
        elif (teller := self._TELLERS.get(type(event))) is not None:
            yield from teller(self, event)

    def tick(self, now: float) -> Iterator[str]:
        """What keeps the run waiting, once; a sign of life, if there was none for a while."""
        board = self._board
        if not self._caught_up and board.run.seq >= board.caught_up:
            self._caught_up = True
            yield from (f"{clock(now)} {line}" for line in standing(board, self._db))
        if not self._told_at:
            self._told_at = now
        if now - self._told_at < SILENCE_S or board.run.ended or board.run.root is None:
            return
        if not board.run.running and (board.run.waiting or board.run.state is RunState.PAUSED):
            return  # what it waits for has been told
        self._told_at = now
        under_way = ", ".join(
            f"{plain(visit.path)} ({duration(now - visit.started_at)})"
            for visit in islice(board.live.values(), 3)
            if visit.started_at is not None
        )
        more = len(board.live) - 3
        also = f" and {more} more" if more > 0 else ""
        waiting = f", {board.run.waiting} waiting" if board.run.waiting else ""
        yield (
            f"{clock(now)} {steps.nodes_done(board)} done{waiting}; "
            f"under way: {under_way or 'nothing'}{also}{self._left(now)}"
        )

    # ------------------------------------------------------------------ runs

    def _run_started(self, _: e.RunStarted) -> Iterator[str]:
        yield f"run {plain(self._board.run.id)} of {steps.described(self._board)}"

    def _run_paused(self, event: e.RunPaused) -> Iterator[str]:
        run = self._board.run
        under_way = f"; {count(run.running, 'attempt')} under way may finish" if run.running else ""
        how = command("resume", run.id, db=self._db)
        yield f"run {plain(run.id)} is paused{_by(event.by)}{under_way}; to go on: {how}"

    def _run_resumed(self, event: e.RunResumed) -> Iterator[str]:
        yield f"run {plain(self._board.run.id)} goes on after its pause{_by(event.by)}"

    def _rollback_started(self, event: e.RollbackStarted) -> Iterator[str]:
        yield from narrating_undo.begun(self._board, event)

    def _run_retried(self, event: e.RunRetried) -> Iterator[str]:
        run = self._board.run
        yield (
            f"run {plain(run.id)} is taken up again{_by(event.by)}: {steps.is_kept(self._board, 'had completed')}"
        )

    def _group_stopping(self, event: e.GroupStopping) -> Iterator[str]:
        if event.path or (event.reason == "failed" and not self._board.live):
            return
        why = "is cancelled" if event.reason == "cancel" else "stops what is under way"
        yield f"run {plain(self._board.run.id)} {why}: {error_line(event.error).removeprefix('cancelled: ')}"

    # ------------------------------------------------------------------ nodes

    def _map_opened(self, event: e.MapOpened) -> Iterator[str]:
        visit = self._visit(event.path)
        if self._board.map_of(visit) is None:
            self._maps[visit.path] = event.at, 0
            yield f"{plain(event.path)} started: {count(event.count, 'item')}"

    def _attempt_started(self, event: e.AttemptStarted) -> Iterator[str]:
        if self._board.map_of(self._visit(event.path)) is None:
            path, attempt = plain(event.path), f" (attempt {event.attempt})" if event.attempt > 1 else ""
            if event.probe:
                yield f"{path}: whether its lost attempt took effect is being found out"
            else:
                yield f"{path} started{attempt}"

    def _doubt_cleared(self, event: e.DoubtCleared) -> Iterator[str]:
        if self._board.map_of(self._visit(event.path)) is None:
            yield f"{plain(event.path)}: its lost attempt took no effect"

    def _attempt_stopping(self, event: e.AttemptStopping) -> Iterator[str]:
        if event.reason == "pause":
            self._paused.add(event.path)
            if self._board.map_of(self._visit(event.path)) is None:
                yield f"{plain(event.path)} is stopped for the pause, and is made again"

    def _attempt_interrupted(self, event: e.AttemptInterrupted) -> Iterator[str]:
        if event.left:
            return  # it goes on in the run that this one was forked from
        if event.path in self._paused:
            self._paused.discard(event.path)
        elif self._board.map_of(self._visit(event.path)) is None:
            path = plain(event.path)
            yield f"{path} was interrupted: attempt {event.attempt} was under way when its process ended"

    def _retry_scheduled(self, event: e.RetryScheduled) -> Iterator[str]:
        visit = self._visit(event.path)
        wait = duration(max(0.0, event.due - event.at))
        yield from self._trouble(
            visit,
            f"{plain(event.path)} failed (attempt {event.attempt}), attempt {event.attempt + 1} in {wait}: "
            f"{error_line(event.error)}",
        )

    def _wait_opened(self, event: e.WaitOpened) -> Iterator[str]:
        visit = self._visit(event.path)
        wait = visit.open_wait(event.key)
        if wait is None:
            return  # a message that lay there already
        if event.kind == "answer":
            yield from self._asks(visit, event.key, wait)
        elif self._board.map_of(visit) is None:
            path, limit = plain(event.path), f", until {clock(event.due)}" if event.due is not None else ""
            if event.kind == "timer" and event.due is not None:
                yield f"{path} sleeps for {duration(event.due - event.at)}{limit}"
            elif event.kind == "message":
                how = command("send", self._board.run.id, event.name, "VALUE", db=self._db)
                yield f"{path} waits for message {plain(event.name)}{limit}; to send it: {how}"
            elif event.kind == "key":
                yield f"{path} waits for key {plain(event.name)}"

    def _asks(self, visit: Visit, key: str, wait: Wait) -> Iterator[str]:
        """Questions of single nodes are always told, those of a map's items up to a number."""
        if visit.is_barrier and steps.is_decided_before(self._board, visit):
            return  # it does not wait
        owner = self._board.map_of(visit)
        told = self._questions[owner.path] if owner is not None else 0
        if owner is not None:
            self._questions[owner.path] += 1
        if told < TOLD_PER_MAP:
            limit = f", until {clock(wait.due)}" if visit.is_barrier and wait.due is not None else ""
            how = to_do(self._board.run.id, visit, key, wait, self._db)
            yield f"{asked(visit, wait)}{limit}; {how}"
        elif told == TOLD_PER_MAP:
            how = command("show" if visit.is_barrier else "answer", self._board.run.id, db=self._db)
            yield f"{plain(owner.path if owner else '')}: more is asked by its items; all of it: {how}"

    def _wait_resolved(self, event: e.WaitResolved) -> Iterator[str]:
        if self._board.map_of(self._visit(event.path)) is not None:
            return
        path = plain(event.path)
        if event.key == DECISION:
            yield from steps.decided(self._board, event)
            return
        match event.outcome:
            case "answered":
                yield f"{path} was answered{_by(event.by)}"
            case "expired":
                default = "" if event.value is None else "; the default counts"
                yield f"{path} was not given in time what it waited for{default}"
            case "received":
                yield f"{path} received a message{_by(event.by)}"
            case _:
                return

    def _node_completed(self, event: e.NodeCompleted) -> Iterator[str]:
        visit = self._visit(event.path)
        if self._board.map_of(visit) is not None:
            yield from self._item_settled(visit, event.at)
            return
        if visit.is_barrier:
            return  # the decision was told
        attempts = f", in {count(event.attempt, 'attempt')}" if event.attempt > 1 else ""
        note = self._board.journey.notes.get(visit.path, "")
        wrote = f": {note}" if note else ""
        yield f"{plain(event.path)} completed in {_spent(visit, event.at)}{self._of_items(visit)}{attempts}{wrote}"

    def _node_failed(self, event: e.NodeFailed) -> Iterator[str]:
        visit = self._visit(event.path)
        attempts = f" after {count(event.attempt, 'attempt')}" if event.attempt > 1 else ""
        text = f"{plain(event.path)} failed{attempts}{self._of_items(visit)}: {error_line(event.error)}"
        yield from self._trouble(visit, text)
        if self._board.map_of(visit) is not None:
            yield from self._item_settled(visit, event.at)

    def _node_skipped(self, event: e.NodeSkipped) -> Iterator[str]:
        visit = self._visit(event.path)
        if self._board.map_of(visit) is None:
            yield f"{plain(event.path)} skipped because {plain(event.cause)} failed"
        else:
            yield from self._item_settled(visit, event.at)

    def _node_cancelled(self, event: e.NodeCancelled) -> Iterator[str]:
        if self._board.map_of(self._visit(event.path)) is None:
            yield f"{plain(event.path)} cancelled"

    # ------------------------------------------------------------------ state graphs

    def _scope_opened(self, event: e.ScopeOpened) -> Iterator[str]:
        visit = self._visit(event.path)
        if self._board.map_of(visit) is None:
            yield from steps.scope_opened(visit)

    def _routed(self, event: e.Routed) -> Iterator[str]:
        if not event.path or self._board.map_of(self._visit(event.path)) is None:
            yield from steps.routed(self._board, event)

    def _decision_kept(self, event: e.DecisionKept) -> Iterator[str]:
        yield from steps.decision_kept(event)

    def _state_changed(self, event: e.StateChanged) -> Iterator[str]:
        yield from steps.state_changed(self._board, event)

    def _definition_changed(self, event: e.DefinitionChanged) -> Iterator[str]:
        how = ", although what had run was changed, too" if event.forced else ""
        yield f"run {plain(self._board.run.id)} goes on with a changed graph{_by(event.by)}{how}"

    def _checkpoint_taken(self, event: e.CheckpointTaken) -> Iterator[str]:
        yield from steps.checkpoint_taken(event, self._board.run.seq)

    # ------------------------------------------------------------------ maps

    def _item_settled(self, visit: Visit, at: float) -> Iterator[str]:
        owner = self._board.map_of(visit)
        assert owner is not None
        assert owner.inner is not None
        settled, size = owner.inner.settled, len(owner.inner.members)
        told_at, told_part = self._maps.setdefault(owner.path, (at, 0))
        part = settled * PARTS // size
        going_on = at - (owner.started_at or at)
        silence = at - told_at
        if settled == size or silence < (EVERY_S if part == told_part else 1.0):
            return
        if part == told_part and silence < going_on / PARTS:
            return
        self._maps[owner.path] = at, part
        failed = f", {len(owner.inner.failed):,} failed" if owner.inner.failed else ""
        pace = self._board.pace.rate(at, self._board.run.settled)
        told = f", {rate(pace)}" if pace else ""
        yield (
            f"{plain(owner.path)}: {settled:,} of {count(size, 'item')} ({percent(settled, size)}){failed}{told}"
            f"{self._left(at)}"
        )

    def _trouble(self, visit: Visit, text: str) -> Iterator[str]:
        """Trouble of single nodes is always told, that of a map's items up to a number."""
        owner = self._board.map_of(visit)
        if owner is None:
            yield text
            return
        self._troubles[owner.path] += 1
        if self._troubles[owner.path] <= TOLD_PER_MAP:
            yield text
        if self._troubles[owner.path] == TOLD_PER_MAP:
            yield f"{plain(owner.path)}: further failures of its items are only counted"

    # ------------------------------------------------------------------ words

    def _visit(self, path: str) -> Visit:
        return self._board.run.visits[path]

    def _left(self, now: float) -> str:
        left = self._board.left_s(now)
        return "" if left is None else f", {roughly(left)} left"

    @staticmethod
    def _of_items(visit: Visit) -> str:
        branches = isinstance(visit.inner, Scope) and visit.inner.topology.spec.branches
        if visit.inner is None or not (visit.is_map or branches):
            return ""
        states = Counter(member.state for member in visit.inner.members if member is not None)
        bad = [
            f"{states[s]:,} {s}" for s in (NodeState.FAILED, NodeState.SKIPPED, NodeState.CANCELLED) if states[s]
        ]
        size = count(len(visit.inner.members), *(("branch", "branches") if branches else ("item", "items")))
        return f" ({', '.join([size, *bad])})"

    _TELLERS: ClassVar[dict[type, Callable[[Narrator, Any], Iterator[str]]]] = {
        e.RunStarted: _run_started,
        e.RunPaused: _run_paused,
        e.RunResumed: _run_resumed,
        e.RunRetried: _run_retried,
        e.RollbackStarted: _rollback_started,
        e.GroupStopping: _group_stopping,
        e.MapOpened: _map_opened,
        e.ScopeOpened: _scope_opened,
        e.Routed: _routed,
        e.DecisionKept: _decision_kept,
        e.StateChanged: _state_changed,
        e.CheckpointTaken: _checkpoint_taken,
        e.DefinitionChanged: _definition_changed,
        e.AttemptStarted: _attempt_started,
        e.AttemptInterrupted: _attempt_interrupted,
        e.AttemptStopping: _attempt_stopping,
        e.DoubtCleared: _doubt_cleared,
        e.RetryScheduled: _retry_scheduled,
        e.WaitOpened: _wait_opened,
        e.WaitResolved: _wait_resolved,
        e.NodeCompleted: _node_completed,
        e.NodeFailed: _node_failed,
        e.NodeSkipped: _node_skipped,
        e.NodeCancelled: _node_cancelled,
    }


def _by(who: str) -> str:
    return f" by {plain(who)}" if who else ""


def _spent(visit: Visit, at: float) -> str:
    return duration(at - (visit.started_at if visit.started_at is not None else at))
