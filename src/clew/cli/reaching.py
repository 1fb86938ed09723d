"""Telling a run something, wherever it is driven, without starting any work here; and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from clew.cli.options import find_run
from clew.cli.words import command, plain
from clew.engine.engine import Engine
from clew.engine.run import Run
from clew.journal.records import RunRow


@dataclass(frozen=True, slots=True)
class Told:
    """A run was told something.

    Attributes:
        before: its row before.
        row: its row afterwards.
        is_driven: a living process drives it. What was told is on disk either way.
    """

    before: RunRow
    row: RunRow
    is_driven: bool

    def how_to_go_on(self, db: str) -> str:
        """What the person should know who told it: nothing while a process drives the run."""
        row = self.row
        if row.ended_at is not None:
            return f"; the run is {row.state}"
        if self.is_driven:
            return ""
        if row.idle and row.state != "paused":
            return f"; nobody drives the run, which waits: {command('show', row.run, db=db)}"
        return f"; nobody drives the run, and {command('resume', row.run, db=db)} goes on with it"


def tell(url: str, run: str, work: Callable[[Engine, Run, RunRow], Awaitable[None]]) -> Told:
    """Do something with a run that exists.

    Args:
        url: of the journal.
        run: its id, or the beginning of it.
        work: tells the run something; it is given the row from before.

    Raises:
        UnknownRunError: there is no such run.
        RefusedError: the run does not take it.
    """

    async def go() -> Told:
        async with Engine(url, drives=False) as engine:
            before = await find_run(engine, run)
            await work(engine, await engine.open_run(before.run), before)
            after = await engine.looking.row(before.run)
            here = engine.driver_of(before.run) is not None
            undriven = here or bool(await engine.abandoned([after]))
            return Told(before, after, is_driven=not undriven)

    return asyncio.run(go())


def named(run: str) -> str:
    """A run, as sentences begin with it."""
    return f"run {plain(run)}"
