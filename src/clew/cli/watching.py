"""Watching a run to its end, or until the person has had enough."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable
from contextlib import aclosing

import msgspec

from clew.cli.board import Board
from clew.cli.interrupts import Interrupts
from clew.cli.views import View
from clew.cli.words import count, plain
from clew.engine.clock import Clock
from clew.engine.engine import Engine
from clew.engine.feed import stored
from clew.engine.run import Run
from clew.journal.records import RunRow
from clew.kernel import events as e
from clew.kernel.definition import GraphSpec
from clew.kernel.questions import IN_DOUBT
from clew.kernel.states import RunState

#: How often a view is told the time, in seconds.
TICK_S = 0.1


async def board_of(
    engine: Engine, row: RunRow, *, caught_up: int = 0, since: float | None = None, keeps_values: bool = False
) -> Board:
    """An empty board for a run.

    Args:
        engine: where the run's definition is.
        row: the run.
        caught_up: sequence number up to which events are history.
        since: when this watcher came, if that was not at the start of the run.
        keeps_values: see `Board`.
    """
    board = Board(await first_definition(engine, row), keeps_values=keeps_values)
    board.durations = await engine.durations.expected(row.name)
    board.caught_up = caught_up
    board.since = since
    return board


async def first_definition(engine: Engine, row: RunRow) -> GraphSpec:
    """The definition that a run began with; of a later one, the event tells by which the run went over to it."""
    definition = row.definition
    for recorded in await engine.journal.read(row.run, 0, 1):
        if isinstance(recorded.event, e.RunAdmitted):
            definition = recorded.event.definition
    return msgspec.json.decode(await engine.journal.blob(definition), type=GraphSpec)


async def history_of(
    engine: Engine, row: RunRow, *, up_to: int | None = None, keeps_values: bool = False
) -> Board:
    """A board of what is on disk of a run.

    Args:
        engine: where it is.
        row: the run.
        up_to: sequence number of the last event that is taken; all are if None.
        keeps_values: see `Board`.
    """
    board = await board_of(engine, row, caught_up=row.seq, keeps_values=keeps_values)
    async with aclosing(stored(engine.journal, row.run, 0)) as events:
        async for recorded in events:
            if up_to is not None and recorded.seq > up_to:
                break
            board.take(recorded)
    return board


class Watched:
    """A run and all that comes of it from now on; made as soon as the run goes on, so that nothing is missed."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self.run = run
        self.id = run.id
        self.driver = engine.driver_of(run.id)
        self.items = run.feed()


async def watch(engine: Engine, run: Watched, view: View, interrupts: Interrupts, clock: Clock) -> bool:
    """Show a run until it has ended; False if the person interrupted before.

    Raises:
        ClewError: this process lost the run (another took it over, the disk is full).
    """
    driver = run.driver
    reading = asyncio.create_task(_read(run, view), name=f"watch {run.id}")
    ticking = asyncio.create_task(_tick(view, clock), name=f"clock of {run.id}")
    asked = asyncio.create_task(interrupts.asked.wait())
    try:
        await _first_of(reading, asked)
        if not reading.done() and driver is not None:
            await _stop(engine, view, reading)
            await _catch_up(view, driver.durable, reading)
        if reading.done():
            reading.result()
        if driver is not None and driver.ended.done() and (lost := driver.ended.result()) is not None:
            raise lost
        return view.board.run.ended
    finally:
        for task in (reading, ticking, asked):
            task.cancel()
        await asyncio.gather(reading, ticking, asked, return_exceptions=True)
        view.close(clock.now())


async def _stop(engine: Engine, view: View, reading: asyncio.Task[None]) -> None:
    """Start nothing new, and let what is under way finish."""
    under_way = view.board.run.running
    view.state = "stopping"
    if under_way:
        them = "it" if under_way == 1 else "them"
        attempts = count(under_way, "attempt")
        view.notice = f"stopping; Ctrl-C again ends {them} now"
        view.say(f"stopping: nothing new starts, {attempts} under way may finish; Ctrl-C again ends {them} now")
    await _first_of(reading, asyncio.ensure_future(engine.drain()))
    view.state = "stopped"


async def _catch_up(view: View, seq: int, reading: asyncio.Task[None]) -> None:
    """What was finished last is on disk, and is on its way to the view."""
    while view.board.run.seq < seq and not reading.done():  # noqa: ASYNC110 - a view has no events to wait for
        await asyncio.sleep(TICK_S / 10)


async def _read(run: Watched, view: View) -> None:
    turns = 0
    async for item in run.items:
        view.take(item)
        turns += 1
        if turns % 500 == 0:  # a long history must not keep the loop from everything else
            await asyncio.sleep(0)


async def _tick(view: View, clock: Clock) -> None:
    while True:
        view.tick(clock.now())
        await asyncio.sleep(TICK_S)


async def _first_of(*awaited: Awaitable[object]) -> None:
    await asyncio.wait([asyncio.ensure_future(each) for each in awaited], return_when=asyncio.FIRST_COMPLETED)


class WarningsTo(logging.Handler):
    """Sends what Clew logs as warnings to a view, so that it does not break the picture."""

    def __init__(self, view: View) -> None:
        super().__init__(logging.WARNING)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        """Say it in one line."""
        self._view.say(f"{record.levelname.lower()}: {record.getMessage()}")


async def goes_on(engine: Engine, before: RunRow) -> str:
    """The first line about a run that was taken up: what is kept, and what becomes of what was under way.

    Args:
        engine: has taken the run up.
        before: the run's row as it was until then.
    """
    found = Counter[str]()
    decided_at: float | None = None
    for recorded in await engine.journal.read(before.run, before.seq, 10_000):
        event = recorded.event
        decided_at = event.at if decided_at is None else decided_at
        if event.at != decided_at:
            break  # what was decided when the run was taken over has one time
        match event:
            case e.AttemptInterrupted():
                found["again"] += 1
            case e.NodeFailed(error=error) if error.type == "interrupted":
                found["lost"] += 1
            case e.WaitOpened(key=key) if key == IN_DOUBT:
                found["asked"] += 1
            case e.AttemptStarted(probe=True):
                found["probed"] += 1
            case _:
                pass
    found["again"] -= found["lost"] + found["asked"] + found["probed"]
    done = f"{before.settled:,} of {count(before.total, 'node')} were done already and are kept"
    if (await first_definition(engine, before)).routes is not None:  # nobody knows how many there will be
        were, are = ("was", "is") if before.settled == 1 else ("were", "are")
        done = f"{count(before.settled, 'node')} {were} done already and {are} kept"
    told = [f"run {plain(before.run)} goes on: {done}"]
    if before.state == RunState.ROLLING_BACK:
        told = [f"the rollback of run {plain(before.run)} goes on; what is undone stays so"]
    for kind, one, more in (
        ("again", "is made again", "are made again"),
        ("probed", "is probed for whether it took effect", "are probed for whether they took effect"),
        ("asked", "it is asked whether it took effect", "it is asked whether they took effect"),
        ("lost", "may have taken effect", "may have taken effect"),
    ):
        number = found[kind]
        if number > 0:
            were = "was" if number == 1 else "were"
            told.append(f"{count(number, 'attempt')} {were} under way and {one if number == 1 else more}")
    return "; ".join(told)
