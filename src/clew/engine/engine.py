"""The engine: opens a journal and wires everything that drives runs on it. The composition root."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Self

from clew.bodies.functions import importing_script
from clew.engine import attempts
from clew.engine.admitting import admission, first_row
from clew.engine.archive import Archive
from clew.engine.changing import Changing
from clew.engine.clock import Clock
from clew.engine.committer import Committer
from clew.engine.definitions import Definitions, Known
from clew.engine.driver import Driver
from clew.engine.drivers import Drivers
from clew.engine.durations import Durations
from clew.engine.foresight import Foresight
from clew.engine.keeper import Keeper
from clew.engine.keys import Keys
from clew.engine.logbook import LogBook
from clew.engine.looking import Looking
from clew.engine.mailroom import Letter, Mailroom, encode_letter
from clew.engine.memories import Memories
from clew.engine.observers import Bus, Observer
from clew.engine.parts import Parts
from clew.engine.redefinition import Redefinition, on_change_of
from clew.engine.retention import Retention
from clew.engine.run import Run
from clew.engine.secrets import Secrets
from clew.engine.slots import Slots
from clew.engine.snapshots import Snapshots
from clew.engine.travel import Travel
from clew.engine.workshop import Workshop
from clew.errors import ClewError, GraphError, MissingDefinitionError, RefusedError, RunConflictError
from clew.graphs.given import encode_inputs
from clew.graphs.written import WrittenGraph
from clew.journal.opening import journal_for
from clew.journal.ownership import this_process
from clew.journal.port import Journal
from clew.journal.records import Blob, RunFilter, RunRow
from clew.kernel import signals as s

_LOG = logging.getLogger("clew.engine")


class Engine:
    """Drives runs on one journal. Use it with ``async with``.

    Args:
        journal: a URL (``memory:``, ``sqlite:///clew.db``), the path of a SQLite file, or an unopened journal.
        graphs: graphs whose functions are found here when a run of an earlier process is taken up.
        durability: ``full`` (a power cut loses nothing acknowledged), ``process`` (the death of the process
            loses nothing) or ``memory`` (nothing is kept).
        max_concurrency: attempts that may run at once in this engine, over all its runs.
        limits: units of named resources, like ``{"llm": 8, "gpu": 1}``.
        rates: starts per period of named resources, like ``{"llm": "60/minute"}``.
        observers: see every event of every run; each an object with ``async emit(event)``.
        secrets: values for ``secret://NAME``, besides the environment and the folder of secrets.
        tee: what bodies print is also printed here.
        name: of this engine among the owners of runs; made up by default.
        drives: attempts are started here; without it, this engine looks at runs and tells them things, and what
            that makes ready waits for an engine that drives.
        clock: where the time comes from.

    Raises:
        GraphError: a limit is out of range.
    """

    def __init__(
        self,
        journal: str | Journal = "sqlite:///clew.db",
        *,
        graphs: Sequence[WrittenGraph] = (),
        durability: str = "full",
        max_concurrency: int = 100,
        limits: Mapping[str, int] | None = None,
        rates: Mapping[str, str] | None = None,
        observers: Sequence[Observer] = (),
        secrets: Mapping[str, str] | None = None,
        tee: bool = False,
        name: str = "",
        drives: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.journal = journal_for(journal, durability) if isinstance(journal, str) else journal
        self.clock = clock or Clock()
        self._owner = this_process(name)
        self._slots = Slots(max_concurrency, limits or {}, rates or {}, self.clock.now)
        self._keeper = Keeper(self.journal, self._owner, self.clock)
        self._definitions = Definitions(self.journal, graphs)
        self._observers = tuple(observers)
        self._secrets = Secrets(secrets)
        self._max_concurrency = max_concurrency
        self._tee, self._drives = tee, drives
        self._opened = self._closed = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Open the journal.

        Raises:
            StorageError: it cannot be opened; nothing was changed.
            ClewError: the program is only being looked through for a function.
        """
        if script := importing_script():
            raise ClewError(
                f"{script} starts an engine when it is imported, and it was imported to find a function in it; "
                'put the part that starts the engine under `if __name__ == "__main__":`'
            )
        if self._opened:
            raise ClewError("an engine is opened once; make another one for the same journal")
        await self.journal.open()
        self.logbook = LogBook(self.journal)
        self.durations = Durations(self.journal, self.clock)
        self._committer = Committer(self.journal)
        self._bus = Bus(self._observers)
        self.memory = Memories(self.journal, self.clock, self._secrets)
        self._workshop = Workshop(
            self.memory, self.logbook, self._secrets, processes=self._max_concurrency, tee=self._tee
        )
        if not self._drives:
            self._slots.shut()
        self._mailroom = Mailroom(self.journal, self.clock)
        self._keys = Keys(self.journal)
        self._drivers = Drivers(self._parts(), self._ended)
        self.looking = Looking(
            self.journal, self._definitions, self._workshop.reader, self.logbook, self._drivers.by_run,
            Foresight(self.journal, self.durations, self.clock, self._max_concurrency),
        )  # fmt: skip
        self._changing = Changing(self._definitions, self.looking, self._drivers, self.clock)
        self.archive = Archive(self.journal, self._committer, self.clock)
        self.retention = Retention(self.journal, self.clock)
        self.travel = Travel(self.journal, self._definitions, self.looking, self._committer, self.clock)
        self._opened = True

    def _parts(self) -> Parts:
        return Parts(
            journal=self.journal, committer=self._committer, bus=self._bus, definitions=self._definitions,
            workshop=self._workshop, slots=self._slots, keeper=self._keeper, keys=self._keys,
            mailroom=self._mailroom, clock=self.clock, owner=self._owner, performs=self._drives,
        )  # fmt: skip

    def _ended(self, driver: Driver) -> None:
        if driver.run.ended:
            self.looking.remember(driver)
            self.durations.learn(driver.run)

    async def close(self) -> None:
        """Let go of all runs, stop what is under way, close the journal. Runs go on when they are resumed."""
        if not self._opened or self._closed:
            return
        self._closed = True
        # From the last to the first, and each also if an earlier one failed or was cancelled.
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.journal.close)
            stack.push_async_callback(self._retire)
            stack.callback(self._keeper.end)
            stack.push_async_callback(self._keys.close)
            stack.push_async_callback(self.durations.close)
            stack.push_async_callback(self.logbook.close)
            stack.push_async_callback(self._bus.close)
            stack.push_async_callback(self._workshop.close)
            stack.callback(self._slots.close)
            stack.push_async_callback(self._committer.wait_idle)
            stack.push_async_callback(self._leave_runs)
            stack.push_async_callback(self._drivers.close)

    async def _leave_runs(self) -> None:
        """Store what bodies have returned by now, then stop the others."""
        self._slots.shut()
        await asyncio.gather(*(driver.settle() for driver in list(self._drivers.by_run.values())))
        for driver in list(self._drivers.by_run.values()):
            driver.close()
        await self._workshop.wait_left(attempts.STOP_PATIENCE_S)

    async def _retire(self) -> None:
        if self._keeper.begun:
            await self.journal.retire(self._owner)

    async def drain(self) -> None:
        """Start no more attempts, and wait for those under way; then `close` interrupts nothing."""
        self._slots.shut()
        await asyncio.gather(*(driver.wait_quiet() for driver in list(self._drivers.by_run.values())))

    # ------------------------------------------------------------------ runs

    async def start(
        self,
        graph: WrittenGraph,
        inputs: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the word that users expect
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of the run, which outlives this call
        confirmed: bool = False,
        paused: bool = False,
        on_change: str = "strict",
        by: str = "",
    ) -> Run:
        """Start a run; when this returns, the run is on disk.

        With the id of a run that exists, that run is returned; if nobody drives it, it goes on here.

        Args:
            graph: what to run.
            inputs: its inputs by name.
            id: names the run, and is its idempotency key; made up if None.
            labels: to find it by.
            timeout: limit of the whole run in seconds, instead of the graph's.
            confirmed: what cannot be undone is agreed to; nobody is asked before it.
            paused: nothing starts until it is resumed, or its steps are executed one by one.
            on_change: what happens if the run exists with another graph: it is an error (``strict``), or it goes
                on with this one if what has run is unchanged (``compatible``) or in any case (``force``).
            by: who changes its graph.

        Raises:
            GraphError: the graph or its inputs are not valid; nothing was run.
            RunConflictError: the id belongs to a run of another graph or with other inputs.
            RunBusyError: its graph is to be changed, and it is under way.
            StorageError: the journal refused.
        """
        how = on_change_of(on_change)
        known = self._known(graph)
        given = encode_inputs(graph, inputs or {})
        inline = known.topology.routing is not None  # what a state graph starts with is part of its first event
        values, blobs = self._workshop.store_inputs(given, inline=inline)
        admit = admission(known, values, id=id, labels=labels, timeout=timeout, confirmed=confirmed, paused=paused)
        attach = partial(self._changing.attach, admit.run, known, given, frozenset(inputs or {}), how, by)
        async with self._drivers.turn(admit.run):
            if id in self._drivers.by_run or (id is not None and await self.journal.row(id) is not None):
                await attach()
            else:
                await self._admit(admit, known, blobs, attach)
        return Run(self, admit.run)

    async def _admit(
        self, admit: s.Admit, known: Known, blobs: Sequence[Blob], attach: Callable[[], Awaitable[None]]
    ) -> None:
        if problems := await self._workshop.problems_at_servers(known):
            raise GraphError(problems, f"graph {known.topology.spec.name}")
        self._drivers.begin()
        row = first_row(admit, known, self._owner, self.clock.now())
        driver = self._drivers.drive(row, known, None, Snapshots())
        definition = [] if known.stored else [Blob(known.digest, known.json)]
        try:
            await driver.submit(admit, *blobs, *definition)
        except RunConflictError:  # another process was quicker
            await attach()
        except MissingDefinitionError:
            if not known.stored:
                raise
            # Nobody had a run of it any more, and it was swept away.
            known.stored = False
            await self._admit(admit, known, blobs, attach)
        known.stored = True

    async def open_run(self, run: str) -> Run:
        """A handle on any run of the journal, to look at it; nothing is driven.

        Raises:
            UnknownRunError: there is none.
        """
        await self.looking.row(run)
        return Run(self, run)

    async def resume(
        self, run: str, graph: WrittenGraph | None = None, *, on_change: str = "strict", by: str = ""
    ) -> Run:
        """Take an unfinished run over and go on where it was; no effect if it has ended or goes on here.

        With a graph, that is the one it goes on with, see `start`; one that has failed does when it is retried.

        Raises:
            UnknownRunError: there is none.
            RunBusyError: another process drives it and is alive.
            RunConflictError: it has another graph than the one that is given.
            UnresolvedBodyError: functions of its graph cannot be found here.
        """
        self._check_open()
        if graph is not None:
            async with self._drivers.turn(run):
                await self._changing.change(run, self._known(graph), on_change_of(on_change), by)
        await self._drivers.take_up(run)
        return Run(self, run)

    def _known(self, graph: WrittenGraph) -> Known:
        """A graph that can run here."""
        self._check_open()
        known = self._definitions.add(graph)
        if lacking := self._definitions.lacking(known, self._slots):
            raise GraphError(lacking, f"graph {graph.name}")
        return known

    async def resume_all(self) -> list[Run]:
        """Take up every unfinished run that nobody drives and whose functions are found here.

        Those that only wait are taken up when they are due, and whatever else comes to be due later, too.
        """
        self._check_open()
        self._drivers.attend()
        runs: list[Run] = []
        going = RunFilter(states=("queued", "running", "stopping", "rolling_back"))
        for row in await self.journal.rows(going, limit=1_000_000):
            if row.idle and not row.owner:
                continue
            try:
                runs.append(await self.resume(row.run))
            except ClewError as error:  # what keeps one run from going on says nothing about the others
                _LOG.warning("run %s is left alone: %s", row.run, error)
        return runs

    async def fork(
        self,
        run: str,
        at: int | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the word that users expect
        changes: Mapping[str, Any] | None = None,
        delete: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        by: str = "",
        graph: WrittenGraph | None = None,
        on_change: str = "strict",
    ) -> Run:
        """Go on as another run from where a run was after its event `at`; see `travel.Travel.fork`.

        With a graph, that is the one it goes on with, see `start`; else it has the one that the run had there.
        """
        self._check_open()
        how = on_change_of(on_change)
        change = Redefinition(self._known(graph), how, self.clock.now(), by) if graph is not None else None
        written = {key: self.encode(value) for key, value in (changes or {}).items()}
        forked = await self.travel.fork(
            run, at, id, changes=written, delete=delete, labels=labels, by=by, change=change
        )
        return await self.resume(forked.run)

    async def runs(
        self,
        *,
        states: Sequence[str] = (),
        graph: str = "",
        labels: Mapping[str, str] | None = None,
        limit: int = 50,
        before: str = "",
    ) -> list[RunRow]:
        """Runs, newest first; `before` is the last one of the page before."""
        wanted = RunFilter(states=tuple(states), name=graph, labels=dict(labels or {}))
        return await self.journal.rows(wanted, limit=limit, before=before)

    async def tell(self, run: str, signal: Letter, *, ended: bool = False) -> None:
        """Give a run a signal; when this returns, what follows from it is durable.

        Args:
            run: its id.
            signal: what to tell it.
            ended: the signal is meant for a run that has ended.

        Raises:
            RefusedError: the run does not take the signal in its state.
        """
        self._check_open()
        if refusal := await self._drivers.tell(run, signal, ended=ended):
            raise RefusedError(f"run {run}: {refusal}")

    # ------------------------------------------------------------------ driving

    def encode(self, value: object) -> bytes:
        """A value that goes into a run from outside, as JSON text; see `mailroom.encode_letter`."""
        return encode_letter(value, self._secrets)

    async def abandoned(self, rows: Sequence[RunRow]) -> set[str]:
        """Of these runs, those that have not ended and that no living process drives."""
        alive = await self.journal.live_owners(self.clock.wall())
        return {row.run for row in rows if not row.imported and row.ended_at is None and row.owner not in alive}

    def driver_of(self, run: str) -> Driver | None:
        """Who drives a run here, if anybody does."""
        return self._drivers.by_run.get(run)

    def arrival(self, run: str) -> asyncio.Event:
        """Is set when the run is driven here from some moment on."""
        return self._drivers.arrival(run)

    def _check_open(self) -> None:
        if not self._opened or self._closed:
            raise ClewError(f"the engine is {'closed' if self._closed else 'not open'}; use it with `async with`")
