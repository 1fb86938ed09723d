"""``clew retry``: take runs that ended badly up again."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from clew.cli.filters import RETRIABLE, Selection, bulk_options, filter_options
from clew.cli.options import existing, find_run, from_options, told_db, watching_options
from clew.cli.words import command as command_line

if TYPE_CHECKING:
    from clew.cli.driving import Session

_FILTERS = ("states", "graph", "labels", "older", "abandoned")


@click.command(name="retry", short_help="Take failed or cancelled runs up again; completed work is kept.")
@click.argument("run", required=False)
@filter_options
@bulk_options
@from_options
@watching_options
def command(run: str | None, yes: bool, dry_run: bool, **settings: Any) -> int:
    """Take a failed or cancelled run up again.

    What was completed is kept, all else is done anew with the code as it is now. Without a RUN, all failed runs
    that fit the options are taken up again, after they were counted.
    """
    selection = Selection.of(**{name: settings.pop(name) for name in _FILTERS})
    if (run is None) == (not selection.is_given):
        raise click.UsageError("name a RUN, or say which runs: --state, --graph, --label, --older")
    if selection.abandoned:
        raise click.UsageError("--abandoned: such runs have not ended; to go on with them: clew resume --all")
    undone = "such runs were rolled back; start new ones"
    whys = dict.fromkeys(("rolled_back", "rollback_failed"), undone)
    selection = selection.limited(RETRIABLE, ("failed",), "such runs have not ended", **whys)
    url = existing(settings["db"])
    from clew.cli.driving import Settings, Watched, drive

    async def work(session: Session) -> int:
        assert run is not None
        row = await find_run(session.engine, run)
        if row.ended_at is None and not row.imported:
            how = command_line("resume", row.run, db=told_db(settings["db"]))
            raise click.UsageError(f"run {row.run} has not ended; to go on with it: {how}")
        if row.state == "completed" and not row.failed:
            raise click.UsageError(f"run {row.run} completed; there is nothing to try again")
        if session.settings.graph is not None:
            await session.resume(row.run)  # it is retried with the graph that was named
        handle = await session.engine.open_run(row.run)
        await handle.retry(by="clew retry")
        return await session.follow(Watched(session.engine, handle), before=row)

    if run is not None:
        return drive(Settings(**settings), url, work)
    from clew.cli import exits
    from clew.cli.bulk import Wish, agreed
    from clew.cli.retrying import retry_all

    as_json = settings["as_json"]
    wish = Wish(
        done="retried",
        selection=replace(selection, copies=False),
        url=url,
        yes=yes,
        dry_run=dry_run,
        as_json=as_json,
    )
    number = agreed(wish)
    if number is None:
        return exits.COMPLETED
    return drive(Settings(**settings), url, lambda session: retry_all(session, wish, number))
