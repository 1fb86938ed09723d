"""One thing done to many runs: counted first, agreed to, done with progress, and its failures told at the end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice

import click

from clew.cli import exits
from clew.cli.filters import Selection
from clew.cli.progress import Progress
from clew.cli.telling import print_json, say
from clew.cli.words import count, plain
from clew.engine.clock import Clock
from clew.engine.engine import Engine
from clew.errors import ClewError, StorageError
from clew.journal.records import RunRow

#: Runs that are told by name, of those that would be meant and of those that failed.
TOLD = 10


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be done, and to which runs.

    Attributes:
        done: as it is said when it is done: ``deleted``.
        selection: the runs.
        url: of the journal.
        yes: it is not asked.
        dry_run: nothing is done.
        as_json: told as JSON.
    """

    done: str
    selection: Selection
    url: str
    yes: bool
    dry_run: bool
    as_json: bool


@dataclass
class Tally:
    """What came of it: how many were done, and why others were not."""

    done: int = 0
    failures: dict[str, str] = field(default_factory=dict[str, str])


def agreed(wish: Wish) -> int | None:
    """Count the runs and ask; how many there are, or None if nothing is to be done.

    Raises:
        click.UsageError: nobody is there to be asked.
    """
    number, first = asyncio.run(_look(wish))
    told = f"{count(number, 'run')} would be {wish.done}"
    if wish.dry_run or not number:
        if wish.as_json:
            print_json({"runs": number, wish.done: 0, "dry_run": wish.dry_run, "failures": {}})
        elif number:
            more = [f"  … and {number - TOLD:,} more"] if number > TOLD else []
            click.echo("\n".join([told, *(f"  {plain(row.run)}  {row.state}" for row in first), *more]))
        else:
            say("no such runs")
        return None
    if wish.yes:
        return number
    if not sys.stdin.isatty():
        raise click.UsageError(f"{told}; nothing was done. Say --yes to do it, --dry-run to see them")
    if not click.confirm(f"{told}. Go on?", err=True):
        say("nothing was done")
        return None
    return number


async def _look(wish: Wish) -> tuple[int, list[RunRow]]:
    now = Clock().now()
    async with Engine(wish.url, drives=False) as engine:
        number = await wish.selection.count(engine, now)
        first: list[RunRow] = []
        if wish.dry_run:
            async for row in wish.selection.rows(engine, now, at_once=TOLD):
                first.append(row)
                if len(first) == TOLD:
                    break
        return number, first


def done_to_all(wish: Wish, work: Callable[[Engine, RunRow], Awaitable[None]], at_once: int = 1) -> int:
    """Do something to all runs that are meant, if it is agreed to; the exit code.

    Args:
        wish: what and to which.
        work: does it to one run; a `ClewError` is the run's own failure.
        at_once: to how many runs at the same time.
    """
    number = agreed(wish)
    if number is None:
        return exits.COMPLETED
    tally, progress = Tally(), Progress(number)
    try:
        asyncio.run(_do(wish, work, at_once, tally, progress))
    except KeyboardInterrupt:
        progress.close()
        say(f"stopped: {count(tally.done, 'run')} {_were(tally.done)} {wish.done}")
        return exits.INTERRUPTED
    finally:
        progress.close()
    return told(wish, tally)


async def _do(
    wish: Wish,
    work: Callable[[Engine, RunRow], Awaitable[None]],
    at_once: int,
    tally: Tally,
    progress: Progress,
) -> None:
    async with Engine(wish.url, drives=False) as engine:
        rows = wish.selection.rows(engine, Clock().now())
        reading = asyncio.Lock()

        async def hand() -> None:
            while True:
                async with reading:
                    row = await anext(rows, None)
                if row is None:
                    return
                try:
                    await work(engine, row)
                except StorageError:
                    raise  # what keeps the journal from working keeps it for all runs
                except ClewError as error:
                    tally.failures[row.run] = str(error)
                else:
                    tally.done += 1
                progress.tell(wish.done, tally.done + len(tally.failures))

        hands = [asyncio.create_task(hand()) for _ in range(at_once)]
        try:
            await asyncio.gather(*hands)
        finally:
            for each in hands:
                each.cancel()
            await asyncio.gather(*hands, return_exceptions=True)


def told(wish: Wish, tally: Tally) -> int:
    """Tell what came of it; the exit code."""
    if wish.as_json:
        document = {wish.done: tally.done, "dry_run": False, "failures": tally.failures}
        print_json({"runs": tally.done + len(tally.failures), **document})
    else:
        click.echo(f"{count(tally.done, 'run')} {_were(tally.done)} {wish.done}")
        if tally.failures:
            say(f"{count(len(tally.failures), 'run')} could not be:")
        for run, why in islice(tally.failures.items(), TOLD):
            say(f"  {run}: {why}")
        if len(tally.failures) > TOLD:
            say(f"  … and {len(tally.failures) - TOLD:,} more")
    return exits.FAILED if tally.failures else exits.COMPLETED


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
