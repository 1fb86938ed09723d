"""The machine: signals in, events and commands out. Start reading here.

`Machine.handle` decides what follows from some signals, records it as events and folds each at once, so that
the next decision sees it. What the driver is to do comes back as commands. The driver makes the events
durable before it performs a command or shows anybody anything; if it cannot, it throws the machine away.

Three ideas carry everything:

- a *visit* that settles (completed, failed, skipped, cancelled) is the only thing that moves a graph on;
- a *group* (the run's graph, a sub-graph, a map) ends when all its members have settled, or, once it is
  stopping, when nothing of it is under way; its end settles the visit that owns it;
- a *gate*, given by the driver, says whether an attempt may start now; what it refuses stays ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from clew.kernel import barriers, reasons, rollback, waiting
from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import OnInterrupt
from clew.kernel.due import fire_due
from clew.kernel.errors import KernelError
from clew.kernel.flow import Flow, Gate
from clew.kernel.fold import fold
from clew.kernel.forking import fork
from clew.kernel.groups import has_room
from clew.kernel.redefining import redefine
from clew.kernel.reducing import Rules
from clew.kernel.routes import awaits_rules, complete, gather, gathered, go_on, go_on_anywhere
from clew.kernel.single_steps import execute
from clew.kernel.starting import expand, start
from clew.kernel.state import Run
from clew.kernel.states import UNDER_WAY, NodeState, RunState
from clew.kernel.timers import Timer
from clew.kernel.topology import Node, Topology
from clew.kernel.values import ErrorInfo
from clew.kernel.visits import Visit, Walk, feeding_items, is_gathering
from clew.kernel.writes import Update

#: A snapshot is due when the tail has this many events, and at least one for each visit that is neither settled
#: nor untouched: so snapshots cost a constant share of the events, however large a run is.
SNAPSHOT_EVENTS = 4_000


class Decision(NamedTuple):
    """What follows from some signals: facts to store, then things to do.

    `refusals` says why a signal was not taken, by its place among the signals; those that merely come too late
    are dropped without a word.
    """

    events: list[e.AnyEvent]
    commands: list[c.Command]
    refusals: dict[int, str]


def admit_all(_path: str, _node: Node) -> bool:
    """The gate that never refuses."""
    return True


def _is_question(timer: Timer[Visit]) -> bool:
    """Whether a timer is the deadline of a question."""
    visit = timer.of
    return timer.kind == "wait" and visit is not None and (visit.waits or {})[timer.key].kind == "answer"


#: What bodies record and wait for, and what people answer, send, change and execute by hand.
_OF_BODIES: dict[type, Callable[[Flow, Any], str | None]] = {
    s.StepBegun: waiting.step_begun,
    s.StepEnded: waiting.step_ended,
    s.OpenWait: waiting.open_wait,
    s.KeyTaken: waiting.key_taken,
    s.Answer: waiting.answer,
    s.Decide: barriers.decide,
    s.Checkpoint: waiting.checkpoint,
    s.Send: waiting.send,
    s.Redefine: redefine,
    s.Execute: execute,
}


class Machine:
    """Decides for one run.

    Args:
        topology: the run's compiled definition.
        run: a folded state to go on from; a new run otherwise.
        gate: asked before each attempt, besides the run's own `max_concurrency`.
        rules: the conditions and reducers of state graphs; without them, a state graph stands still where its way
            is to be decided, until who has them takes the run over.
    """

    def __init__(
        self, topology: Topology, run: Run | None = None, gate: Gate = admit_all, rules: Rules | None = None
    ) -> None:
        self.run = run or Run("", topology)
        self._flow = Flow(self.run, gate, rules)

    @classmethod
    def restore(
        cls,
        topology: Topology,
        run: Run | None,
        tail: Iterable[e.AnyEvent],
        gate: Gate = admit_all,
        rules: Rules | None = None,
    ) -> Machine:
        """A machine in the state that `run` (a snapshot, or None) and the events after it describe."""
        machine = cls(topology, run, gate, rules)
        for event in tail:
            fold(machine.run, event)
        return machine

    # ------------------------------------------------------------------ the outside

    def handle(self, signals: Sequence[s.AnySignal], now: float) -> Decision:
        """Decide and fold what follows from `signals` at time `now` (seconds since the epoch)."""
        self._flow.begin(now)
        refusals: dict[int, str] = {}
        for place, signal in enumerate(signals):
            kind = type(signal)
            decide = _OF_BODIES.get(kind)
            refusal = decide(self._flow, signal) if decide else self._HANDLERS[kind](self, signal)
            if refusal is not None:
                refusals[place] = refusal
        self._flow.advance()
        self._consider_snapshot()
        return Decision(self._flow.events, self._flow.commands, refusals)

    def outstanding(self) -> list[c.Command]:
        """The commands whose outcome is still awaited, derived from the state alone.

        A new owner that hands in `signals.TakeOver` first gets all of them again from `handle` and needs no more.
        While a run is paused, maps are listed as soon as their items can be found.
        """
        commands: list[c.Command] = []
        for visit in self.run.visits.values():
            if visit.is_group:
                if self._awaits_items(visit):
                    commands.append(expand(self.run, visit))
                elif visit.path in self.run.gathering and is_gathering(visit):
                    commands.append(gather(self._flow, visit))
            elif visit.state in UNDER_WAY:
                commands.append(start(self.run, visit))
                if visit.state is NodeState.STOPPING:
                    commands.append(c.StopAttempt(path=visit.path, attempt=visit.attempt, reason=visit.stop))
        return commands

    @property
    def wake_at(self) -> float | None:
        """When `signals.Tick` is needed next, in seconds since the epoch; None if nothing is due."""
        run = self.run
        if run.state is RunState.PAUSED:
            return min((timer.due for timer in run.timers if timer.kind == "attempt"), default=None)
        return run.timers.earliest()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way or could start, so that only time or somebody outside moves the run on.

        One that waits for an exclusive key is not idle: somebody has to look whether it is free.
        """
        run = self.run
        if run.running or run.ended:
            return False
        if run.state is RunState.PAUSED:
            return True
        if run.unopened or self._awaits_key() or any(map(is_gathering, run.gathering.values())):
            return False
        if self._flow.rules is None and awaits_rules(run):
            return False
        heads = (run.next_ready(lane) for lane in list(run.ready))
        return not any(visit is not None and has_room(visit) for visit in heads)

    def _awaits_key(self) -> bool:
        waiting_ = self.run.key_waits
        while waiting_ and not waiting_[-1][1].open_wait(waiting_[-1][2], waiting_[-1][0]):
            waiting_.pop()
        return bool(waiting_)

    def has_question_due(self, now: float) -> bool:
        """Whether a question's deadline has come: an answer recorded before it is to be handed in first."""
        return any(timer.due <= now and _is_question(timer) for timer in self.run.timers)

    # ------------------------------------------------------------------ signals

    def _admit(self, signal: s.Admit) -> None:
        if self.run.root is not None:
            raise KernelError(f"run {self.run.id} exists already")
        self._flow.emit(
            e.RunAdmitted(
                at=self._flow.now,
                run=signal.run,
                graph=signal.graph,
                definition=signal.definition,
                inputs=signal.inputs,
                labels=signal.labels,
                timeout_s=signal.timeout_s,
                confirmed=signal.confirmed,
            )
        )
        self._flow.emit(e.RunStarted(at=self._flow.now))
        self._begin()
        if signal.paused and not self.run.ended:
            self._flow.emit(e.RunPaused(at=self._flow.now))

    def _begin(self) -> None:
        root = self.run.root
        if isinstance(root, Walk):
            go_on(self._flow, root)
        elif root is not None and root.finished:
            self._flow.close(root)

    def _tick(self, _: s.Tick) -> None:
        paused = self.run.state is RunState.PAUSED
        fire_due(self._flow, lambda timer: paused and timer.kind != "attempt")

    def _slots_freed(self, _: s.SlotsFreed) -> None:
        """Nothing to decide: `Flow.advance` asks the gate again."""

    def _take_over(self, signal: s.TakeOver) -> None:
        self._flow.emit(e.OwnershipTaken(at=self._flow.now, epoch=signal.epoch, owner=signal.owner))
        lost = [v for v in self.run.in_turn() if v.state in UNDER_WAY and not v.is_group]
        for visit in lost:
            self._interrupt(visit)
        go_on_anywhere(self._flow)

    def _interrupt(self, visit: Visit) -> None:
        self._flow.emit(e.AttemptInterrupted(at=self._flow.now, path=visit.path, attempt=visit.attempt))
        limit = self.run.topology.spec.max_interruptions
        if visit.group.stop:
            self._flow.stopped(visit, visit.stop)
        elif visit.node.spec.on_interrupt is OnInterrupt.FAIL:
            self._flow.fail(visit, reasons.interrupted(visit))
        elif visit.stop:
            self._flow.stopped(visit, visit.stop)
        elif visit.interruptions > limit:
            self._flow.fail(visit, reasons.interrupted_too_often(visit, limit))

    def _fork(self, signal: s.Fork) -> str | None:
        return fork(self._flow, signal)

    def _map_expanded(self, signal: s.MapExpanded) -> None:
        visit = self.run.visits.get(signal.path)
        if visit is None or not self._awaits_items(visit):
            return
        if signal.error is not None:
            self._flow.fail(visit, signal.error)
            return
        if signal.keys and not len(signal.keys) == len(set(signal.keys)) == signal.count:
            raise KernelError(f"{signal.path}: {signal.count} items need as many different keys, or none")
        self._flow.open_map(visit, signal.count, signal.keys, signal.items)

    def _gathered(self, signal: s.Gathered) -> None:
        visit = self.run.gathering.get(signal.path)
        if visit is not None and is_gathering(visit):
            gathered(self._flow, visit, signal.json, signal.error)

    def _attempt_succeeded(self, signal: s.AttemptSucceeded) -> None:
        visit = self._flow.current(signal.path, signal.attempt)
        if visit is None:
            return
        self._record_usage(visit, signal.used)
        # A result that arrives while the attempt is being stopped counts: the work is done and paid for.
        if visit.group.walk is not None:
            complete(self._flow, visit, signal.update or Update(), signal.undo)
            return
        self._flow.emit(
            e.NodeCompleted(
                at=self._flow.now, path=visit.path, attempt=visit.attempt, output=signal.output, undo=signal.undo
            )
        )
        self._flow.settled(visit)

    def _attempt_failed(self, signal: s.AttemptFailed) -> None:
        visit = self._flow.current(signal.path, signal.attempt)
        if visit is None:
            return
        self._record_usage(visit, signal.used)
        if visit.stop:
            self._flow.stopped(visit, visit.stop)
        else:
            self._flow.failed(visit, signal.error)

    def _attempt_stopped(self, signal: s.AttemptStopped) -> None:
        visit = self._flow.current(signal.path, signal.attempt)
        if visit is not None and visit.stop:
            self._record_usage(visit, signal.used)
            self._flow.stopped(visit, visit.stop)

    def _record_usage(self, visit: Visit, used: dict[str, float]) -> None:
        if used:
            at, attempt = self._flow.now, visit.attempt
            self._flow.emit(e.UsageRecorded(at=at, path=visit.path, attempt=attempt, used=used))

    def _probed_absent(self, signal: s.ProbedAbsent) -> None:
        visit = self._flow.current(signal.path, signal.attempt)
        if visit is None or not visit.probing:
            return
        if visit.stop:
            self._flow.stopped(visit, visit.stop)
        else:
            self._flow.emit(e.DoubtCleared(at=self._flow.now, path=visit.path, attempt=visit.attempt))

    def _heartbeat_missed(self, signal: s.HeartbeatMissed) -> None:
        visit = self._flow.current(signal.path, signal.attempt)
        if visit is not None and visit.state is NodeState.RUNNING:
            self._flow.stop_attempt(visit, "heartbeat")

    def _attempt_idle(self, signal: s.AttemptIdle) -> None:
        visit = self._flow.current(signal.path, signal.attempt)
        if visit is None or visit.state is not NodeState.RUNNING:
            return
        waits = visit.waits or {}
        if signal.keys and all(key in waits and not waits[key].outcome for key in signal.keys):
            self._flow.emit(e.AttemptSuspended(at=self._flow.now, path=visit.path, attempt=visit.attempt))

    def _pause(self, signal: s.Pause) -> str | None:
        if self.run.state is not RunState.RUNNING:
            return f"only a running one can be paused, and it is {self.run.state}"
        self._flow.emit(e.RunPaused(at=self._flow.now, by=signal.by))
        if signal.stop_attempts:
            for visit in self.run.in_turn():
                harmless = visit.node.spec.on_interrupt is OnInterrupt.RETRY and not visit.is_group
                if visit.state is NodeState.RUNNING and harmless:
                    self._flow.stop_attempt(visit, "pause")
        return None

    def _resume(self, signal: s.Resume) -> str | None:
        if self.run.state is not RunState.PAUSED:
            return f"only a paused one can be resumed, and it is {self.run.state}"
        self._flow.emit(e.RunResumed(at=self._flow.now, by=signal.by))
        # Questions whose deadline has passed wait for the next tick: answers that were given in time go first.
        fire_due(self._flow, _is_question)
        return None

    def _rollback(self, signal: s.Rollback) -> str | None:
        return rollback.ask(self._flow, signal)

    def _cancel(self, signal: s.Cancel) -> str | None:
        if self.run.state is RunState.ROLLING_BACK:
            return "it is being rolled back, which is not cancelled"
        root = self.run.root
        if root is not None and not root.stop and not self.run.ended:
            by = f" by {signal.by}" if signal.by else ""
            self._flow.stop(root, "cancel", ErrorInfo(type="cancelled", message=f"{signal.reason}{by}"))
        return None

    def _retry_run(self, signal: s.RetryRun) -> str | None:
        run = self.run
        if not run.ended:
            return f"only one that has ended can be retried, and it is {run.state}"
        if run.undoing is not None:
            return "it was rolled back; start a new run"
        if run.state is RunState.COMPLETED and (not run.failed or isinstance(run.root, Walk)):
            return "it has completed, and nothing in it failed" if not run.failed else "it has completed"
        self._flow.emit(e.RunRetried(at=self._flow.now, generation=run.generation + 1, by=signal.by))
        assert run.root is not None
        if run.root.finished:  # it was cancelled, and everything came in nevertheless
            self._flow.close(run.root)
        go_on_anywhere(self._flow)  # from steps that were done, and found no way on
        return None

    def _awaits_items(self, visit: Visit) -> bool:
        """Whether a map is to be opened by `signals.MapExpanded`."""
        return visit.is_map and visit.state is NodeState.READY and feeding_items(visit) is None

    def _consider_snapshot(self) -> None:
        tail = self.run.seq - self.run.snapshot_seq
        live = len(self.run.visits) - self.run.settled - self.run.fresh
        if self._flow.events and tail >= max(SNAPSHOT_EVENTS, live):
            self.run.snapshot_seq = self.run.seq
            self._flow.commands.append(c.TakeSnapshot())

    _HANDLERS: ClassVar[dict[type, Callable[[Machine, Any], str | None]]] = {
        s.Admit: _admit,
        s.Tick: _tick,
        s.SlotsFreed: _slots_freed,
        s.TakeOver: _take_over,
        s.Fork: _fork,
        s.MapExpanded: _map_expanded,
        s.Gathered: _gathered,
        s.AttemptSucceeded: _attempt_succeeded,
        s.AttemptFailed: _attempt_failed,
        s.ProbedAbsent: _probed_absent,
        s.HeartbeatMissed: _heartbeat_missed,
        s.AttemptStopped: _attempt_stopped,
        s.AttemptIdle: _attempt_idle,
        s.Pause: _pause,
        s.Resume: _resume,
        s.Cancel: _cancel,
        s.RetryRun: _retry_run,
        s.Rollback: _rollback,
    }
