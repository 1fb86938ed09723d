"""``clew delete``: forget runs."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from clew.cli.filters import ENDED, STATES, Selection, bulk_options, filter_options
from clew.cli.options import db_option, existing, json_option

if TYPE_CHECKING:
    from clew.cli.bulk import Tally
    from clew.engine.engine import Engine
    from clew.journal.records import RunRow


@click.command(name="delete", short_help="Delete runs and all that is kept of them.")
@click.argument("runs", metavar="RUN...", nargs=-1)
@filter_options
@click.option("--force", is_flag=True, help="Also runs that have not ended, if no living process drives them.")
@bulk_options
@json_option
@db_option
def command(
    runs: tuple[str, ...], force: bool, yes: bool, dry_run: bool, as_json: bool, db: str | None, **given: Any
) -> int:
    """Delete runs: their events, values and output. This cannot be undone.

    RUNs are named by their whole ids and deleted at once. Without a RUN, all ended runs that fit the options are
    deleted, after they were counted. A run that a living process drives is never deleted: cancel it first.
    """
    selection = Selection.of(**given)
    if bool(runs) == selection.is_given:
        raise click.UsageError("name RUNs, or say which: --state, --graph, --label, --older, --abandoned")
    states = STATES if force else ENDED
    selection = selection.limited(states, STATES if force else ENDED, "cancel such runs first, or say --force")
    if selection.abandoned and not force:
        raise click.UsageError("--abandoned: such runs have not ended; cancel them first, or say --force")
    url = existing(db)
    from clew.cli.bulk import Tally, Wish, done_to_all, told

    async def work(engine: Engine, row: RunRow) -> None:
        await engine.retention.delete(row.run, unfinished=force)

    wish = Wish(done="deleted", selection=selection, url=url, yes=yes, dry_run=dry_run, as_json=as_json)
    if not runs:
        return done_to_all(wish, work)
    tally = Tally()
    asyncio.run(_named(url, runs, tally, force=force, dry_run=dry_run))
    if dry_run:
        from clew.cli import exits
        from clew.cli.telling import print_json, say
        from clew.cli.words import count

        if as_json:
            print_json({"runs": tally.done, "deleted": 0, "dry_run": True, "failures": {}})
        else:
            say(f"{count(tally.done, 'run')} would be deleted")
        return exits.COMPLETED
    return told(wish, tally)


async def _named(url: str, runs: tuple[str, ...], tally: Tally, *, force: bool, dry_run: bool) -> None:
    """Delete runs by their whole ids; if one of them cannot be, say so before any is deleted."""
    from clew.engine.engine import Engine
    from clew.errors import RefusedError

    async with Engine(url, drives=False) as engine:
        for run in runs:
            row = await engine.looking.row(run)
            if row.ended_at is None and not (force or row.imported):
                raise RefusedError(
                    f"run {run} has not ended ({row.state}); cancel it first (clew cancel {run}), or say --force "
                    "if nobody drives it. Nothing was deleted"
                )
        for run in dict.fromkeys(runs):
            if not dry_run:
                await engine.retention.delete(run, unfinished=force)
            tally.done += 1
