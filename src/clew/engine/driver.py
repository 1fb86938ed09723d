"""Drives one run: signals go into the machine, events to the journal, and only then are commands performed.

The loop of every run, in the order in which it happens:

1. `signal`: something happened (a body returned, a person cancelled). It is queued, nothing else.
2. `decide`: the committer asks; the machine turns all queued signals into events and commands.
3. `committed`: the events are durable. They are shown, whoever waits for them is told, the commands are
   performed.

Between 2 and 3 the machine is ahead of the disk by one append. If that append is refused (another owner, a full
disk) the machine is thrown away with everything it had under way, and `lost` says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import assert_never

import msgspec

from clew.engine.acks import Ack, Acks, acknowledge, reject
from clew.engine.attempts import Attempt
from clew.engine.clock import Clock
from clew.engine.committer import Committer
from clew.engine.feed import Ephemeral, Feed
from clew.engine.keeper import Keeper
from clew.engine.observers import Bus, Observed
from clew.engine.slots import Slots
from clew.engine.status import row_of
from clew.engine.workshop import Functions, Workshop
from clew.errors import InternalError, RunFencedError
from clew.journal.records import Append, Blob, InboxOutcome, Recorded, RunRow, Snapshot
from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.machine import Decision, Machine
from clew.kernel.snapshot import image
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.topology import Node, Topology
from clew.kernel.values import Value

_LOG = logging.getLogger("clew.engine")


class Driver:
    """One run, owned and driven by this process.

    Args:
        row: the run's row as it is on disk (or will be, for a new run); says who owns it.
        topology: its compiled definition.
        run: its folded state; None for a new run.
        committer: takes the appends.
        slots: what may run at once.
        functions: those of the graph object, by reference.
        workshop: performs bodies.
        bus: the engine's observers.
        keeper: knows whether this process may still own the run.
        clock: the time.
        on_end: called once, when the run has ended or was lost.
    """

    def __init__(
        self,
        row: RunRow,
        topology: Topology,
        run: Run | None,
        *,
        committer: Committer,
        slots: Slots,
        functions: Functions,
        workshop: Workshop,
        bus: Bus,
        keeper: Keeper,
        clock: Clock,
        on_end: Callable[[Driver], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.id = row.run
        self.machine = Machine(topology, run, self._gate)
        self.feed = Feed()
        #: Set when the run has ended (None) or this process has lost it (why).
        self.ended: asyncio.Future[Exception | None] = self._loop.create_future()
        self._row = row
        self._committer = committer
        self._slots = slots
        self.functions = functions
        self._workshop = workshop
        self._bus = bus
        self._keeper = keeper
        self._clock = clock
        self._on_end = on_end
        self._signals: list[s.AnySignal] = []
        #: Who waits for what follows from a signal, by the signal's place in `_signals`.
        self._acks: list[tuple[int, Ack]] = []
        #: Signals from the inbox: likewise, with their ids. `_received` are those that have no outcome on disk.
        self._letters: list[tuple[int, int]] = []
        self._received: set[int] = set()
        self._blobs: list[Blob] = []
        self._snapshot: Snapshot | None = None
        #: Decided and not yet durable: at most one decision at a time.
        self._pending: tuple[Decision, Acks, RunRow] | None = None
        #: Bodies in memory, by path: under way, or waiting in here for a sleep or a question.
        self._bodies: dict[str, Attempt] = {}
        self._expansions: set[asyncio.Task[None]] = set()
        #: Slots held, by path; given back when the body has really ended.
        self._held: dict[str, Node] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._closed = False
        #: Set while nothing is decided that is not durable.
        self._durable = asyncio.Event()
        self._durable.set()
        #: Set whenever a body ends or comes to wait.
        self._quiet = asyncio.Event()

    @property
    def durable(self) -> int:
        """Sequence number of the last event that is on disk."""
        return self._row.seq

    async def wait_durable(self) -> None:
        """Until `run` is no further than the disk, or is not driven here any more."""
        await self._durable.wait()

    @property
    def run(self) -> Run:
        """The folded state; at most one append ahead of the disk."""
        return self.machine.run

    # ------------------------------------------------------------------ signals

    def signal(self, signal: s.AnySignal, *blobs: Blob) -> None:
        """Something happened; `blobs` hold the values that it refers to."""
        if self._closed:
            return
        self._signals.append(signal)
        self._blobs += blobs
        if self._pending is None:
            self._committer.wants_commit(self)

    def submit(self, signal: s.AnySignal, *blobs: Blob) -> Ack:
        """Something happened; the future is done when what follows from it is durable."""
        ack: Ack = self._loop.create_future()
        if self._closed:
            reject([ack], self._loss())
            return ack
        self._acks.append((len(self._signals), ack))
        self.signal(signal, *blobs)
        return ack

    def receive(self, item: int, signal: s.AnySignal | None) -> None:
        """A signal came by the inbox (None: not understood); its outcome goes on disk with its effect."""
        if item not in self._received and not self._closed:
            self._received.add(item)
            self._letters.append((len(self._signals) if signal is not None else -1, item))
            self.signal(signal if signal is not None else s.SlotsFreed())

    def slots_freed(self) -> None:
        """The gate may say yes where it said no."""
        self.signal(s.SlotsFreed())

    # ------------------------------------------------------------------ decide, commit, perform

    def decide(self) -> Append | None:
        """Let the machine handle what is queued; what is to be appended, if anything."""
        if self._closed or self._pending is not None:
            return None
        signals, self._signals = self._signals, []
        waiting, self._acks = self._acks, []
        letters, self._letters = self._letters, []
        try:
            decision = self.machine.handle(signals, self._clock.now())
        except Exception as error:  # a fault of the kernel must not take the other runs along
            _LOG.exception("run %s: the machine failed on %r", self.id, signals)
            self.lose(InternalError(f"run {self.id}: the machine failed: {error!r}"))
            reject([ack for _, ack in waiting], self._loss())
            return None
        refusals = decision.refusals
        acks = [(ack, refusals.get(place, "")) for place, ack in waiting]
        outcomes = [
            InboxOutcome(item, refusals.get(place, "") if place >= 0 else "it is not understood by this version")
            for place, item in letters
        ]
        self._slots.offer_again()
        if not decision.events and not outcomes:
            self._conclude(decision, acks)
            return None
        row = row_of(self.run, self._row, self.machine.wake_at)
        self._pending = decision, acks, row
        self._durable.clear()
        blobs, self._blobs = self._blobs, []
        snapshot, self._snapshot = self._snapshot, None
        return Append(
            row=row, after=self._row.seq, events=decision.events, blobs=blobs, snapshot=snapshot, inbox=outcomes
        )

    def committed(self, error: Exception | None) -> None:
        """The append is durable, or was refused."""
        assert self._pending is not None
        (decision, acks, row), self._pending = self._pending, None
        self._durable.set()
        if error is not None:
            self.lose(error)
            reject([ack for ack, _ in acks], error)
            return
        first = self._row.seq + 1
        self._row = row
        if self._closed:
            acknowledge(acks)
            return
        self.feed.publish(first, decision.events)
        if self._bus:
            self._observe(first, decision.events)
        self._wake_bodies(decision.events)
        self._conclude(decision, acks)

    def _conclude(self, decision: Decision, acks: Acks) -> None:
        acknowledge(acks)
        for command in decision.commands:
            self._perform(command)
        if self._signals:
            self._committer.wants_commit(self)
        elif self.run.ended:
            self._end(None)
            return
        self._set_alarm()

    def _perform(self, command: c.Command) -> None:
        match command:
            case c.StartAttempt():
                self._start(command)
            case c.StopAttempt(path=path, attempt=attempt, reason=reason):
                body = self._bodies.get(path)
                if body is not None and body.number == attempt:
                    body.stop(reason)
                else:
                    self.signal(s.AttemptStopped(path=path, attempt=attempt))
            case c.ExpandMap():
                task = asyncio.create_task(self._expand(command))
                self._expansions.add(task)
                task.add_done_callback(self._expansions.discard)
            case c.TakeSnapshot():
                data = msgspec.json.encode(image(self.run))
                self._snapshot = Snapshot(self.run.seq, data)
            case _:
                assert_never(command)

    def _start(self, command: c.StartAttempt) -> None:
        body = self._bodies.get(command.path)
        if body is not None and body.number == command.attempt:
            body.wake(command.waits)
        else:
            self._bodies[command.path] = Attempt(self, self._workshop, command, self._clock)

    async def _expand(self, command: c.ExpandMap) -> None:
        signal, blobs = await self._workshop.expand(command, self.functions)
        self.signal(signal, *blobs)

    def show(self, item: Ephemeral) -> None:
        """Something that is no fact happened in a body."""
        self.feed.publish_ephemeral(item)
        if self._bus:
            self._bus.publish(Observed(self.id, item, self.run.settled, self.run.total))

    def _observe(self, first: int, events: Sequence[e.AnyEvent]) -> None:
        for number, event in enumerate(events, first):
            self._bus.publish(Observed(self.id, Recorded(number, event), self.run.settled, self.run.total))

    def _wake_bodies(self, events: Sequence[e.AnyEvent]) -> None:
        """Tell bodies in memory what became durable about them."""
        for event in events:
            if type(event) is e.AttemptSuspended:
                visit = self.run.visits.get(event.path)
                if visit is None or visit.state is not NodeState.RUNNING:
                    self.give_slot(event.path)
                body = self._bodies.get(event.path)
                if body is not None:
                    body.suspended = True
                self._tell_quiet()
            elif type(event) is e.WaitResolved:
                body = self._bodies.get(event.path)
                visit = self.run.visits.get(event.path)
                if body is not None and not body.suspended and visit is not None:
                    body.wake(visit.waits or {})

    # ------------------------------------------------------------------ slots and time

    def _gate(self, path: str, node: Node) -> bool:
        self.give_slot(path)  # of a body that came to wait and goes on in the same decision
        if not self._slots.take(self, node.lane):
            return False
        self._held[path] = node
        return True

    def give_slot(self, path: str) -> None:
        """An attempt has ended, or only waits: what it held is free."""
        node = self._held.pop(path, None)
        if node is not None:
            self._slots.give(node.lane)

    def keep_slot(self, path: str) -> Callable[[], None]:
        """An attempt is over but its thread goes on: the slot is given back by calling the result."""
        node = self._held.pop(path, None)
        return (lambda: self._slots.give(node.lane)) if node is not None else (lambda: None)

    def body_ended(self, body: Attempt, signal: s.AnySignal, *blobs: Blob) -> None:
        """A body has ended with `signal`."""
        if self._bodies.get(body.path) is body:
            del self._bodies[body.path]
            self.give_slot(body.path)
        self.signal(signal, *blobs)
        self._tell_quiet()

    def _set_alarm(self) -> None:
        wake_at = None if self._closed else self.machine.wake_at
        if wake_at == self._alarm_at and (self._alarm is None or self._alarm.when() > self._loop.time()):
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = wake_at
        if wake_at is not None:
            delay = max(0.0, wake_at - self._clock.now())
            # A day at a time: the loop's clock and the wall's may drift apart, and people set clocks.
            self._alarm = self._loop.call_later(min(delay, 86_400.0), self.signal, s.Tick())

    # ------------------------------------------------------------------ what bodies ask for

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return self._clock.now()

    async def read_value(self, value: Value) -> bytes:
        """The JSON text of a stored value."""
        return await self._workshop.reader.value(value)

    async def check_lease(self) -> None:
        """Before work that no append comes before: whether a process that slept has lost the run."""
        if not await self._keeper.holds(self._row):
            self.lose(RunFencedError(f"run {self.id} was taken over by another process while this one slept"))

    # ------------------------------------------------------------------ the end

    async def wait_quiet(self) -> None:
        """Until no body is at work here and what they did is durable; those that only wait do not count."""
        await self.settle()  # what is decided by now may start bodies yet
        while not self._closed and any(not body.suspended for body in self._bodies.values()):
            self._quiet.clear()
            await self._quiet.wait()
        await self.settle()

    async def settle(self) -> None:
        """Until all that has happened so far is durable, or refused."""
        await asyncio.wait([self.submit(s.SlotsFreed())])

    def _tell_quiet(self) -> None:
        self._quiet.set()

    def lose(self, error: Exception) -> None:
        """This process does not drive the run any more; bodies under way are stopped."""
        if not self._closed:
            _LOG.warning("run %s is not driven here any more: %s", self.id, error)
            self._end(error)

    def close(self) -> None:
        """Let go of the run in good order: stop bodies without an outcome; they count as interrupted."""
        if not self._closed:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        self._closed = True
        self._tell_quiet()
        if self._alarm is not None:
            self._alarm.cancel()
        for task in self._expansions:
            task.cancel()
        for body in list(self._bodies.values()):
            body.abandon()
        self._slots.forget(self)
        for path in list(self._held):
            self.give_slot(path)
        self._slots.offer_again()  # what was offered to this run, which does not decide any more
        reject([ack for _, ack in self._acks], error)
        self._acks.clear()
        self._signals.clear()
        if not self.ended.done():
            self.ended.set_result(error)
        self._on_end(self)
        self.feed.close()

    def _loss(self) -> Exception | None:
        return self.ended.result() if self.ended.done() else None

    def __repr__(self) -> str:
        return f"<driver of {self.id}: {self.run.state}, {self.durable} durable, {len(self._bodies)} bodies>"
