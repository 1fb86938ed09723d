"""``clew rollback``: undo what a run did."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from clew.cli.options import by_option, existing, find_run, from_options, watching_options, who

if TYPE_CHECKING:
    from clew.cli.driving import Session
    from clew.engine.undoables import Undoable
    from clew.journal.records import RunRow

#: How often it is tried to take the run over, should the process that drives it die, in seconds.
STAND_BY_S = 1.0


@click.command(name="rollback", short_help="Undo what a run did, by the compensations that were declared.")
@click.argument("run", metavar="RUN")
@click.option("--dry-run", is_flag=True, help="Only tell what would be undone, in order, and what cannot be.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@by_option
@from_options
@watching_options
def command(run: str, dry_run: bool, yes: bool, by: str | None, **settings: Any) -> int:
    """Undo what a run did, by the compensations that its nodes and steps declare; the last that it did first.

    A run that has not ended is cancelled first. One that another process drives is rolled back there. What could
    not be undone does not keep the others from it; the command can be given again for the rest.
    """
    url = existing(settings["db"])
    from clew.cli import exits
    from clew.cli.driving import Settings, drive

    options = Settings(**settings)
    row, plan = asyncio.run(_look(url, run))
    if dry_run:
        _tell_plan(row, plan, options)
        return exits.COMPLETED
    if row.state == "rolled_back":
        return _tell_done(row, plan, options)
    if row.state != "rolling_back" and not _is_agreed(row, plan, yes=yes):
        return exits.COMPLETED

    async def work(session: Session) -> int:
        return await _roll_back(session, await find_run(session.engine, row.run), who(by))

    return drive(options, url, work)


async def _look(url: str, run: str) -> tuple[RunRow, list[Undoable]]:
    from clew.engine.engine import Engine

    async with Engine(url, drives=False) as engine:
        row = await find_run(engine, run)
        return row, await (await engine.open_run(row.run)).rollback_plan()


async def _roll_back(session: Session, row: RunRow, by: str) -> int:
    """Let the rollback begin, or go on, and watch it to its end."""
    from contextlib import suppress

    from clew.cli.driving import Watched, goes_on
    from clew.errors import RunBusyError
    from clew.kernel.states import RunState

    engine, graph = session.engine, session.settings.graph
    handle = await engine.open_run(row.run)
    if row.state == "rolling_back":
        with suppress(RunBusyError):  # it goes on there
            await (session.resume(row.run) if graph is not None else engine.resume(row.run))
    else:
        if (
            graph is not None and row.ended_at is not None
        ):  # one that has not must start nothing before it is stopped
            await session.resume(row.run)
        await handle.rollback(by=by)
    watched = Watched(engine, handle)
    first = ""
    if watched.driver is None:
        first = f"run {row.run} is driven by another process, which undoes it; this one only shows it"
    elif row.state == "rolling_back":
        first = await goes_on(engine, row)
    standing_by = asyncio.create_task(_stand_by(session, row.run))
    try:
        return await session.follow(watched, before=row, first=first, wanted=RunState.ROLLED_BACK)
    finally:
        standing_by.cancel()


async def _stand_by(session: Session, run: str) -> None:
    """Take the run over if the process that undoes it dies."""
    from clew.errors import RunBusyError

    while True:
        await asyncio.sleep(STAND_BY_S)
        try:
            await session.engine.resume(run)
        except RunBusyError:
            continue
        return


def _is_agreed(row: RunRow, plan: list[Undoable], *, yes: bool) -> bool:
    """Show what would be undone and ask, at a terminal; whether it is to be done.

    Raises:
        click.UsageError: nobody is there to be asked.
    """
    import sys

    from clew.cli.telling import say

    if yes:
        return True
    todo = sum(bool(each.how) and not each.undone for each in plan)
    if not sys.stdin.isatty():
        what = f"{todo:,} {'thing' if todo == 1 else 'things'} that run {row.run} did would be undone"
        raise click.UsageError(f"{what}; nothing was done. Say --yes to do it, --dry-run to see them")
    for line in _lines(row, plan):
        say(line)
    if click.confirm("Go on?", err=True):
        return True
    say("nothing was done")
    return False


def _lines(row: RunRow, plan: list[Undoable]) -> list[str]:
    from clew.cli.rollback_lines import plan_lines
    from clew.cli.words import plain

    first = "is cancelled first; then " if row.ended_at is None else ""
    head = f"a rollback of run {plain(row.run)} ({row.state}):"
    lines = [line.plain.rstrip() for line in plan_lines(plan)]
    if first:
        lines[0] = f"it {first}{lines[0]}"
    return [head, *lines]


def _tell_plan(row: RunRow, plan: list[Undoable], settings: Any) -> None:
    import msgspec

    from clew.cli.telling import print_json

    if settings.as_json:
        print_json({"run": row.run, "state": row.state, "dry_run": True, "plan": msgspec.to_builtins(plan)})
    else:
        click.echo("\n".join(_lines(row, plan)))


def _tell_done(row: RunRow, plan: list[Undoable], settings: Any) -> int:
    """The run was rolled back before."""
    from clew.cli import exits
    from clew.cli.telling import print_json, say
    from clew.cli.words import count, plain

    undone = sum(each.undone for each in plan)
    if settings.as_json:
        print_json({"run": row.run, "state": row.state, "undone": undone, "remaining": []})
    else:
        how = f"{count(undone, 'thing')} undone; there is nothing left to undo"
        say(f"run {plain(row.run)} was rolled back before: {how}")
    return exits.COMPLETED
