"""A run as its user holds it: wait for it, look at it, tell it something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from clew.engine.driver import Driver
from clew.engine.feed import POLL_S, Ephemeral, follow, stored
from clew.engine.home import Home
from clew.engine.logbook import DELAY_S
from clew.engine.positions import Checkpoint
from clew.engine.status import NodeStatus, Result, RunStatus
from clew.engine.stream_items import StreamItem
from clew.engine.streaming import FACTS_ONLY, Mode, modes_of, narrated
from clew.engine.telling import Telling
from clew.engine.travel import KeyChange, Moment
from clew.errors import ClewError, RefusedError, RunFailedError
from clew.journal.records import LogLine, Recorded
from clew.kernel.states import RUN_ENDED, RunState

Stream = AsyncGenerator[Recorded | Ephemeral, None]


class Run(Telling):
    """A handle; any number of them may be held on the same run. Made by `Engine`."""

    def __init__(self, engine: Home, run: str) -> None:
        super().__init__(engine, run)
        #: Held so that the state of a run that ended here need not be folded again.
        self._memento = engine.looking.memento(run)

    # ------------------------------------------------------------------ looking

    async def result(self) -> Result:
        """Wait until the run has ended; its outputs.

        Raises:
            RunFailedError: it failed or was cancelled; `result` of the error holds what was completed.
            RunFencedError: another process has taken the run over.
            StorageError: the journal refused to store what happened.
        """
        while True:
            await self.wait_ended()
            result, error = await self._engine.looking.result(self.id)
            if result.state in RUN_ENDED:  # or somebody has taken it up again meanwhile
                break
        if result.state == RunState.COMPLETED:
            return result
        raise RunFailedError(f"run {self.id} {result.state}: {error}", result)

    async def wait_ended(self) -> None:
        """Wait until the run has ended, however and wherever it is driven.

        Raises:
            RefusedError: it is an imported copy, and had not ended.
        """
        while True:
            driver = self._engine.driver_of(self.id)
            if driver is None:
                journal, clock = self._engine.journal, self._engine.clock
                async for _ in follow(journal, self.id, await self._last_seq(), self._arrival, clock):
                    pass
                if not self._is_driven():
                    await self._refuse_copy()
                    return
                continue
            lost = await asyncio.shield(driver.ended)
            if lost is not None:
                raise lost
            if not driver.parked:
                break
        await driver.wait_durable()
        if not driver.run.ended or driver.durable < driver.run.seq:
            raise ClewError(f"the engine was closed before run {self.id} had ended; resume it to go on")

    async def _refuse_copy(self) -> None:
        row = await self._engine.looking.row(self.id)
        if row.imported and row.ended_at is None:
            raise RefusedError(f"run {self.id} is an imported copy of one that had not ended; it never will")

    async def events(self, after: int = 0, *, live: bool = True) -> AsyncIterator[Recorded]:
        """The run's events with sequence numbers above `after`; with `live`, on to the end of the run.

        A consumer that is slow or goes away changes nothing about the run; one that comes again names the last
        sequence number it has seen. When the engine is closed, what was there by then is the end.

        Raises:
            RunFencedError: another process has taken the run over; asked again, its events are followed.
            StorageError: the journal refused to store what happened.
        """
        stream = self._stream(after, ephemeral=False) if live else stored(self._engine.journal, self.id, after)
        async with aclosing(stream) as items:
            async for item in items:
                assert isinstance(item, Recorded)
                yield item

    def feed(self, after: int = 0) -> Stream:
        """Like `events`, and in between what is no fact: progress, emitted items, output.

        Ephemeral items are seen only in the process that drives the run, from this call on, and only by who
        keeps up.
        """
        driver = self._engine.driver_of(self.id)
        if driver is None:
            return self._stream(after, ephemeral=True)
        begun = driver.feed.stream(self._engine.journal, self.id, after, ephemeral=True)
        return self._stream(after, ephemeral=True, begun=(driver, begun))

    def stream(self, mode: Mode | Sequence[Mode] = "values", after: int = 0) -> AsyncIterator[StreamItem]:
        """What happens in the run, as typed items, to its end; whoever drives it, and also when it has ended.

        Args:
            mode: one or several. ``values``: the whole state of a state graph, at the beginning and after each
                change; of a dependency graph the outputs of its nodes, as they are done. ``changes``: those of
                states, by key. ``custom``: what bodies emit, as in `feed`, and the attempts that make it void.
                ``debug``: everything but ``values``.
            after: number of the last event that is not shown. Whoever comes again gives that of the last one of
                which it has seen all items (see `Item.more`).

        Raises:
            InvalidInputError: there is no such mode.
            RunFencedError, StorageError: as in `events`.
        """
        modes = modes_of(mode)
        source = self._stream(0, ephemeral=False) if modes <= FACTS_ONLY else self.feed()
        return narrated(self.id, source, self._engine.looking, modes, after)

    async def _stream(
        self, after: int, *, ephemeral: bool, begun: tuple[Driver, Stream] | None = None
    ) -> AsyncGenerator[Recorded | Ephemeral, None]:
        """All that happens, whoever drives the run and how often that changes."""
        journal = self._engine.journal
        while True:
            driver = begun[0] if begun is not None else self._engine.driver_of(self.id)
            if begun is not None:
                stream = begun[1]
            elif driver is not None:
                stream = driver.feed.stream(journal, self.id, after, ephemeral=ephemeral)
            else:
                stream = follow(journal, self.id, after, self._arrival, self._engine.clock)
            begun = None
            async with aclosing(stream) as items:
                async for item in items:
                    if isinstance(item, Recorded):
                        after = item.seq
                    yield item
            if driver is None:
                if not self._is_driven():
                    return
            elif not driver.parked:
                if driver.ended.done() and (lost := driver.ended.result()) is not None:
                    raise lost
                return

    def _is_driven(self) -> bool:
        return self._engine.driver_of(self.id) is not None

    def _arrival(self) -> asyncio.Event:
        return self._engine.arrival(self.id)

    async def status(self) -> RunStatus:
        """Where the run stands, as far as it is on disk."""
        return await self._engine.looking.status(self.id)

    async def node(self, path: str) -> tuple[NodeStatus, object]:
        """One node or item: its status, and its output as plain data (None if it has none)."""
        return await self._engine.looking.node(self.id, path)

    async def checkpoints(self) -> list[Checkpoint]:
        """The positions that there is a reason to return to, oldest first, as its graph keeps them."""
        return await self._engine.travel.checkpoints(self.id)

    async def at(self, seq: int) -> Moment:
        """The run as it was after an event.

        Raises:
            InvalidInputError: it has no event of that number.
        """
        return await self._engine.travel.at(self.id, seq)

    async def diff(self, before: int, after: int) -> list[KeyChange]:
        """How the state of a state graph differs between two events, by key.

        Raises:
            InvalidInputError: it has no event of that number.
            RefusedError: its graph is no state graph.
        """
        return await self._engine.travel.diff(self.id, before, after)

    async def logs(self, path: str = "", after: int = 0, *, follow: bool = False) -> AsyncIterator[LogLine]:
        """What the attempts of a node (of all, with an empty path) printed and logged; see `LogLine.id`."""
        journal = self._engine.journal
        ended = not follow
        while True:
            await self._engine.logbook.flush()
            while page := await journal.read_logs(self.id, path, after):
                for line in page:
                    yield line
                after = page[-1].id
            if ended:
                return
            row = await journal.row(self.id)
            ended = row is None or row.ended_at is not None
            # Another process may write its last lines a moment after the end.
            await asyncio.sleep(2 * DELAY_S if ended and not self._is_driven() else POLL_S)

    async def _last_seq(self) -> int:
        row = await self._engine.journal.row(self.id)
        return row.seq - 1 if row is not None else 0

    def __repr__(self) -> str:
        return f"<run {self.id}>"
