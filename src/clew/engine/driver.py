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
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, assert_never

from clew.engine.acks import Ack, Acks, acknowledge, reject
from clew.engine.alarm import Alarm
from clew.engine.allowance import Allowance
from clew.engine.attempts import Attempt
from clew.engine.clock import Clock
from clew.engine.committer import Committer
from clew.engine.crew import Crew
from clew.engine.entries import or_lose
from clew.engine.feed import Ephemeral, Feed
from clew.engine.jobs import Functions
from clew.engine.keeper import Keeper
from clew.engine.keys import KeyRing, Keys
from clew.engine.observers import Bus, Observed
from clew.engine.rules import GraphRules
from clew.engine.slots import Slots
from clew.engine.snapshots import Snapshots
from clew.engine.status import row_of
from clew.engine.workshop import Workshop
from clew.errors import InternalError, RunFencedError
from clew.journal.records import Append, Blob, InboxOutcome, Recorded, RunRow, Snapshot
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.machine import Decision, Machine
from clew.kernel.state import Run
from clew.kernel.topology import Topology
from clew.kernel.values import Value

_LOG = logging.getLogger("clew.engine")


class Driver:
    """One run, owned and driven by this process.

    Args:
        row: the run's row as it is on disk (or will be, for a new run); says who owns it.
        topology: its compiled definition.
        run: its folded state; None for a new run.
        snapshots: takes its snapshots.
        committer: takes the appends.
        slots: what may run at once.
        functions: those of the graph object, by reference.
        workshop: performs bodies.
        bus: the engine's observers.
        keeper: knows whether this process may still own the run.
        keys: the exclusive keys.
        clock: the time.
        collect: hands the run what waits in its inbox.
        on_end: called once, when the run has ended, was lost or is left alone for a while.
        performs: starts and finds what the machine wants; without it, facts are recorded and nothing begins.

    Attributes:
        parked: the run only waits, and was let go of here until it is due.
    """

    def __init__(
        self,
        row: RunRow,
        topology: Topology,
        run: Run | None,
        snapshots: Snapshots,
        *,
        committer: Committer,
        slots: Slots,
        functions: Functions,
        workshop: Workshop,
        bus: Bus,
        keeper: Keeper,
        keys: Keys,
        clock: Clock,
        collect: Callable[[Driver], Awaitable[None]],
        on_end: Callable[[Driver], None],
        performs: bool = True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.id = row.run
        self._crew = Crew(self, slots, workshop, clock)
        rules = GraphRules(functions, workshop.secrets.mask) if performs else None
        self.machine = Machine(topology, run, self._crew.gate, rules)
        self.allowance, self.feed = Allowance(self.machine), Feed()
        #: Set when the run has ended (None) or this process has lost it (why).
        self.ended: asyncio.Future[Exception | None] = self._loop.create_future()
        self._row = row
        self._snapshots = snapshots
        self._committer = committer
        self._slots = slots
        self.functions = functions
        self._workshop = workshop
        self._bus = bus
        self._keeper = keeper
        self._clock = clock
        self._collect = collect
        self._on_end = on_end
        self._performs = performs
        self.parked = False
        self._keyring = KeyRing(self, self.run, keys)
        self._errands: set[asyncio.Task[None]] = set()
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
        self._expansions: set[asyncio.Task[None]] = set()
        self._alarm = Alarm(clock, self._ring)
        self._closed = False
        #: Set while nothing is decided that is not durable.
        self._durable = asyncio.Event()
        self._durable.set()

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
        self._slots.offer_again(self)
        if not decision.events and not outcomes:
            self._conclude(decision, acks)
            return None
        idle = self.machine.is_idle and not self._is_busy(decision)
        row = row_of(self.run, self._row, self.machine.wake_at, idle=idle)
        self._pending = decision, acks, row
        self._durable.clear()
        blobs, self._blobs = self._blobs, []
        snapshot, self._snapshot = self._snapshot, None
        return Append(
            row=row,
            after=self._row.seq,
            events=decision.events,
            blobs=blobs,
            snapshot=snapshot,
            inbox=outcomes,
            freed=self._keyring.freed(),
            redefines=row.graph != self._row.graph,
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
            for number, event in enumerate(decision.events, first):
                self._bus.publish(Observed(self.id, Recorded(number, event), self.run.settled, self.run.total))
        self._crew.tell(self.run, decision.events)
        self._keyring.see_to(decision.events)
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
        self._alarm.set(None if self._closed else self.machine.wake_at)

    def _perform(self, command: c.Command) -> None:
        match command:
            case c.StartAttempt():
                self._crew.start(self, command)
            case c.StopAttempt(path=path, attempt=attempt, reason=reason):
                if not self._crew.stop(path, attempt, reason):
                    self.signal(s.AttemptStopped(path=path, attempt=attempt))
            case c.ExpandMap() | c.Gather():
                if self._performs:  # or who goes on with the run derives again that this is outstanding
                    task = asyncio.create_task(self._find_out(command))
                    self._expansions.add(task)
                    task.add_done_callback(self._expansions.discard)
            case c.TakeSnapshot():
                self._snapshot = self._snapshots.take(self.run)
            case _:
                assert_never(command)

    async def _find_out(self, command: c.ExpandMap | c.Gather) -> None:
        signal, blobs = await or_lose(self, self._workshop.find_out(command, self.functions))
        self.signal(signal, *blobs)

    def show(self, item: Ephemeral) -> None:
        """Something that is no fact happened in a body."""
        self.feed.publish_ephemeral(item)
        if self._bus:
            self._bus.publish(Observed(self.id, item, self.run.settled, self.run.total))

    # ------------------------------------------------------------------ bodies and time

    def body_ended(self, body: Attempt, signal: s.AnySignal, *blobs: Blob) -> None:
        """A body has ended with `signal`."""
        self._crew.ended(body)
        self.signal(signal, *blobs)

    def keep_slot(self, path: str) -> Callable[[], None]:
        """An attempt is over but its thread goes on: the slot is given back by calling the result."""
        return self._crew.keep_slot(path)

    def _ring(self) -> None:
        """Something is due; an answer that was recorded before the deadline of its question goes first."""
        if self.machine.has_question_due(self._clock.now()):
            self._run_errand(self._collect_and_tick())
        else:
            self.signal(s.Tick())

    async def _collect_and_tick(self) -> None:
        await self._collect(self)
        self.signal(s.Tick())

    def _run_errand(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand, name=f"clew errand of {self.id}")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    # ------------------------------------------------------------------ waiting

    @property
    def row(self) -> RunRow:
        """The run's row as it is on disk."""
        return self._row

    @property
    def is_idle(self) -> bool:
        """Whether nothing of the run is under way, here or on its way to the disk, and only time moves it on."""
        quiet = self._pending is None and not self._signals and not self._expansions and not self._errands
        return quiet and self._row.idle and self._crew.rests

    def wake_up(self) -> None:
        """The clock has jumped: what is due is not when it seemed to be."""
        self._alarm.cancel()
        self.signal(s.Tick())

    def begin(self) -> None:
        """Ask again for the exclusive keys that a run which was loaded waits for."""
        self._keyring.begin()

    def park(self) -> None:
        """Let go of a run that is idle; it stays this engine's. What waits in memory is entered again later."""
        if not self._closed:
            self.parked = True
            self._end(None)

    def _is_busy(self, decision: Decision) -> bool:
        """Whether something is found out for the run that no state of its visits tells."""
        finds = any(isinstance(command, c.ExpandMap | c.Gather) for command in decision.commands)
        return finds or bool(self._expansions) or self._keyring.is_waiting

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
        while not self._closed and not self._crew.rests:
            await self._crew.wait_change()
        await self.settle()

    async def settle(self) -> None:
        """Until all that has happened so far is durable, or refused."""
        await asyncio.wait([self.submit(s.SlotsFreed())])

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
        self._alarm.cancel()
        for task in (*self._expansions, *self._errands):
            task.cancel()
        self._keyring.close()
        self._crew.dismiss()
        reject([ack for _, ack in self._acks], error)
        self._acks, self._signals = [], []
        if not self.ended.done():
            self.ended.set_result(error)
        self._on_end(self)
        self.feed.close()

    def _loss(self) -> Exception | None:
        return self.ended.result() if self.ended.done() else None

    def __repr__(self) -> str:
        return f"<driver of {self.id}: {self.run.state}, {self.durable} durable, {len(self._crew)} bodies>"
