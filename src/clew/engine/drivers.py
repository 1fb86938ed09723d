"""The runs that this engine drives: taken over, let go of while they only wait, and taken up when they are due.

A run that is idle (all that is left of it is sleeps, questions and messages) need not be in memory. It is parked:
it stays this engine's, whose lease goes on, and what comes for it (a moment, a signal) brings it back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

from clew.engine.alarm import Alarm
from clew.engine.definitions import Known
from clew.engine.driver import Driver
from clew.engine.feed import POLL_S, first_of
from clew.engine.mailroom import Letter
from clew.engine.parking import Parked, Parking, may_pass
from clew.engine.parts import Parts
from clew.engine.redefinition import Redefinition
from clew.engine.snapshots import Snapshots
from clew.errors import (
    ClewError,
    RefusedError,
    RunBusyError,
    RunConflictError,
    StorageError,
    UnknownRunError,
)
from clew.journal.records import Blob, InboxItem, RunRow
from clew.kernel import signals as s
from clew.kernel.state import Run as FoldedRun

_LOG = logging.getLogger("clew.engine")

#: Idle runs that are kept in memory; of more, those that have been idle longest are parked.
MAX_IDLE = 100
#: A run that has been idle for so many seconds is parked.
IDLE_S = 60.0
#: So many runs are taken up at once.
TOGETHER = 100
#: A clock that is ahead of, or behind, where it should be by so many seconds has jumped.
JUMP_S = 1.0
#: Idle runs are counted every so many seconds.
COUNT_S = 1.0


class Drivers:
    """All runs of one engine, in memory and parked.

    Attributes:
        by_run: those in memory.
    """

    def __init__(self, parts: Parts, on_end: Callable[[Driver], None]) -> None:
        self._parts = parts
        self._on_end = on_end
        self.by_run: dict[str, Driver] = {}
        self._parked = Parking(parts.clock)
        self._rung = asyncio.Event()
        self._alarm = Alarm(parts.clock, self._rung.set)
        #: Since when runs in memory have been idle, the longest first.
        self._idle: OrderedDict[str, float] = OrderedDict()
        #: Held while a run is started or taken over here: whoever comes meanwhile finds it driven.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        #: Set when a run is driven here, for whoever waits for it.
        self._arrivals: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        #: Runs that nobody drives are taken up when they are due; those that cannot be, by their sequence number.
        self._attends = False
        self._declined: dict[str, int] = {}
        #: Runs of other processes that were started here as well: they go on here when those let go of them.
        self._wanted: dict[str, None] = {}
        self._watch: asyncio.Task[None] | None = None
        #: The inbox is to be looked into although nobody else has written since.
        self._looks_again = False
        self._closed = False
        self._drift = parts.clock.now() - parts.clock.steady()

    # ------------------------------------------------------------------ taking up

    def turn(self, run: str) -> asyncio.Lock:
        """Held by who decides about a run that is not driven here."""
        return self._turns.setdefault(run, asyncio.Lock())

    def arrival(self, run: str) -> asyncio.Event:
        """Is set when the run is driven here from some moment on."""
        event = self._arrivals.setdefault(run, asyncio.Event())
        if run in self.by_run:
            event.set()
        else:
            event.clear()
        return event

    def drive(self, row: RunRow, known: Known, folded: FoldedRun | None, snapshots: Snapshots) -> Driver:
        """Drive a run from here on; its row says that it is this engine's."""
        parts = self._parts
        driver = parts.driver(
            row,
            known.topology,
            folded,
            snapshots,
            functions=known.functions,
            committer=parts.committer,
            slots=parts.slots,
            workshop=parts.workshop,
            bus=parts.bus,
            keeper=parts.keeper,
            keys=parts.keys,
            clock=parts.clock,
            collect=parts.mailroom.collect,
            on_end=self._forget,
            performs=parts.performs,
        )
        self._parked.remove(row.run)
        self.by_run[row.run] = driver
        if (event := self._arrivals.get(row.run)) is not None:
            event.set()
        return driver

    async def adopt(self, row: RunRow, signal: Letter | None = None, change: Redefinition | None = None) -> str:
        """Take a run up and let it go on where it was; why the signal was refused, or nothing.

        A signal is decided together with the taking over: a run that is to be cancelled starts nothing first (and
        needs no functions for it), and one that has ended and is to be retried is not let go of again. With a
        change of its definition, it goes on with that one.

        Raises:
            RunBusyError: another process drives it and is alive.
            RunConflictError: the change does not fit what has run.
            UnresolvedBodyError: functions of its graph cannot be found here.
        """
        parts = self._parts
        await parts.definitions.load(row)  # before anything is taken from anybody
        self.begin()
        parked = self._parked.get(row.run)
        owned = row.owner == parts.owner.id
        mine = parked is not None and not parked.lost and owned
        if not mine:
            row = await parts.journal.acquire(row.run, parts.owner, parts.clock.wall())
        try:
            known = await parts.definitions.load(row) if change is None else change.known
            again = isinstance(signal, s.RetryRun | s.Rollback)
            starts = not isinstance(signal, s.Cancel) if row.ended_at is None else again
            if parts.performs and starts:
                missing = parts.workshop.missing(known)
                await parts.definitions.refuse_unfit(row.run, known, missing, parts.slots)
            waiting = await parts.journal.inbox(row.run)
            folded, snapshots = await parts.definitions.recover(row)
            # The definition of before stays with the run: its events are folded with it.
            before = await parts.journal.blob(row.definition) if change is not None else b""
            redefine = change.signal(folded) if change is not None else None
            driver = self.drive(row, known, folded, snapshots)
        except BaseException as error:
            if not (mine and isinstance(error, RunConflictError)):  # one that is parked stays so
                await self._give_up(row.run, error, owned=owned)
            raise
        # What was put into the inbox after it was read here, and before the run was known to be driven here.
        self._looks_again = True
        driver.begin()
        first = s.SlotsFreed() if mine else s.TakeOver(epoch=row.epoch, owner=parts.owner.id)
        if change is None or redefine is None:
            done = driver.submit(first)
        else:  # before anything is decided by the definition that counts no more
            done = driver.submit(redefine, change.blob, Blob(row.definition, before))
            driver.signal(first)
        parts.mailroom.hand_over(driver, waiting)
        if signal is not None:
            done = driver.submit(signal)
        driver.signal(s.Tick())  # after what came before: an answer that was given in time beats the timer
        refusal = await done
        if not parts.performs:
            await self._let_go(driver)
        return refusal

    async def undriven(self, run: str) -> RunRow | None:
        """The row of a run, read when nobody drives it here (not as it was before its end); else None.

        Raises:
            UnknownRunError: there is none.
            RefusedError: it is an imported copy.
        """
        row = await self._parts.journal.row(run)
        if row is None:
            raise UnknownRunError(f"there is no run {run} in {self._parts.journal.url}")
        if row.imported:
            raise RefusedError(f"run {run} is an imported copy, to be looked at; nothing of it is ever driven")
        return None if run in self.by_run else await self._parts.journal.row(run)

    async def take_up(self, run: str) -> None:
        """Take a run up if it has not ended and is not driven here; see `adopt`."""
        async with self.turn(run):
            await self._take_up(run)

    async def _take_up(self, run: str) -> None:
        row = await self.undriven(run)
        # A signal that came when the run was just ending is answered yet.
        if row is not None and (row.ended_at is None or await self._parts.journal.inbox(run)):
            await self.adopt(row)

    async def tell(self, run: str, signal: Letter, *, ended: bool) -> str:
        """Give a run a signal, wherever it is driven; why it is refused, or nothing. See `Engine.tell`."""
        async with self.turn(run):
            row = await self.undriven(run)
            if row is None:
                return await self.by_run[run].submit(signal)
            if row.ended_at is not None and not ended:
                return "" if isinstance(signal, s.Cancel) else f"it has ended ({row.state})"
            try:
                return await self.adopt(row, signal)
            except RunBusyError as error:
                busy = error
        return await self._parts.mailroom.send(run, signal, busy, lambda: self.take_up(run))

    # ------------------------------------------------------------------ letting go

    async def _give_up(self, run: str, error: BaseException, *, owned: bool) -> None:
        """A run could not be taken up; one that was this engine's before goes on when the journal does better."""
        if owned and may_pass(error):
            self._parked.put_lost(run)
            return
        self._parked.remove(run)
        try:
            await self._parts.journal.release(run, self._parts.owner)
        except StorageError as fault:
            _LOG.warning("run %s cannot be released: %s; it is tried again", run, fault)
            self._parked.put_lost(run)

    async def _let_go(self, driver: Driver) -> None:
        """An engine that starts nothing does not keep a run from those that do."""
        await driver.settle()
        driver.park()
        self._parked.remove(driver.id)
        await self._parts.journal.release(driver.id, self._parts.owner)

    def _forget(self, driver: Driver) -> None:
        run = driver.id
        if self.by_run.get(run) is not driver:
            return
        del self.by_run[run]
        self._idle.pop(run, None)
        error = driver.ended.result()
        if driver.parked:
            self._parked.put(run, Parked(driver.row.wake_at))
        elif may_pass(error) and driver.durable and not self._closed:
            self._parked.put_lost(run)
        self._on_end(driver)

    def _park_idle(self) -> None:
        """Park runs that have been idle for long, or of which there are too many."""
        now = self._parts.clock.now()
        for run, driver in self.by_run.items():
            if not driver.is_idle:
                self._idle.pop(run, None)
            else:
                self._parked.is_well(run)
                self._idle.setdefault(run, now)
        while self._idle:
            run, since = next(iter(self._idle.items()))
            if len(self._idle) <= MAX_IDLE and now - since < IDLE_S:
                return
            self.by_run[run].park()

    # ------------------------------------------------------------------ watching

    def begin(self) -> None:
        """From now on this engine drives runs: it keeps its lease and looks for what comes for them."""
        self._parts.keeper.begin()
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_out(), name="clew watch")

    def want(self, run: str) -> None:
        """A run that another process drives is to go on here if that one lets go of it or dies."""
        _LOG.info("run %s is driven by another process; this one looks on", run)
        self._wanted[run] = None
        self.begin()

    def attend(self) -> None:
        """From now on, runs that nobody drives are taken up here when they are due."""
        self._attends = True
        self.begin()

    async def close(self) -> None:
        """Look out no more."""
        self._closed = True
        self._alarm.cancel()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _look_out(self) -> None:
        seen, counted_at = -1, 0.0
        while True:
            well = False
            try:
                self._notice_jumps()
                await self._parts.keeper.look_into_lapse(self._check_leases)
                version = self._parts.journal.version()
                if version != seen or self._looks_again:
                    self._looks_again = False
                    await self._collect(await self._parts.journal.inbox())
                    self._parts.keys.try_again()
                    seen = version
                await self._try_all(self._parked.take_due())
                if self._attends:
                    await self._attend()
                if abs((now := self._parts.clock.now()) - counted_at) >= COUNT_S:
                    counted_at = now
                    self._park_idle()
                    if self._attends:
                        await self._parts.journal.free_dead(self._parts.clock.wall())
                    await self._take_up_wanted()
                well = True
            except Exception as error:  # a fault of ours, too: what comes for the other runs must still be seen
                ours = not isinstance(error, ClewError)
                _LOG.warning("the journal cannot be looked at: %s", error, exc_info=ours)
            await self._wait(until_due=well)

    async def _wait(self, *, until_due: bool) -> None:
        """Until it is time to look again, or a parked run is due."""
        self._rung.clear()
        self._alarm.set(self._parked.next_due if until_due else None)
        await first_of(self._rung.wait(), self._parts.clock.glance_after(POLL_S))

    def _notice_jumps(self) -> None:
        """Alarms go by the loop's clock, which stands still while a machine sleeps; the wall's does not."""
        drift = self._parts.clock.now() - self._parts.clock.steady()
        if abs(drift - self._drift) > JUMP_S:
            for driver in self.by_run.values():
                driver.wake_up()
        self._drift = drift

    async def _check_leases(self) -> None:
        """Stop what has become another process's while this one slept."""
        for driver in list(self.by_run.values()):
            await driver.check_lease()

    async def _collect(self, items: list[InboxItem]) -> None:
        """Hand signals from outside to the runs that are driven here; parked ones are taken up for them."""
        parked: dict[str, None] = {}
        for item in items:
            driver = self.by_run.get(item.run)
            if driver is not None:
                self._parts.mailroom.hand_over(driver, [item])
            elif item.run in self._parked:
                parked[item.run] = None
        await self._try_all(list(parked))

    async def _attend(self) -> None:
        """Take up what nobody drives and has something to do."""
        limit = TOGETHER + len(self._declined)
        due = await self._parts.journal.due(self._parts.clock.now(), limit)
        rows = [row for row in due if row.run not in self.by_run and self._declined.get(row.run) != row.seq]
        await self._try_all([row.run for row in rows])
        for row in rows:
            if row.run not in self.by_run:
                self._declined[row.run] = row.seq

    async def _take_up_wanted(self) -> None:
        """Take up what was started here too, if who drove it has let go of it or died."""
        for run in list(self._wanted):
            try:
                await self.take_up(run)
            except RunBusyError:
                continue
            except StorageError:
                raise  # and it is tried again
            except ClewError as error:
                _LOG.warning("run %s is left alone: %s", run, error)
            del self._wanted[run]

    async def _try_all(self, runs: list[str]) -> None:
        """Take runs up, many at a time: what they decide shares commits."""
        for batch in range(0, len(runs), TOGETHER):
            await asyncio.gather(*map(self._try, runs[batch : batch + TOGETHER]))

    async def _try(self, run: str) -> None:
        """Take a run up; what keeps one from going on says nothing about the others."""
        parked = self._parked.get(run)
        try:
            await self.take_up(run)
        except StorageError as error:
            _LOG.warning("run %s cannot go on yet: %s", run, error)
            if self._parked.get(run) is parked:
                self._parked.put_lost(run)
        except RunBusyError:
            self._parked.remove(run)
        except ClewError as error:
            self._parked.remove(run)
            _LOG.warning("run %s is left alone: %s", run, error)
