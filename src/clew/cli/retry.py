"""``clew retry``: take a run that ended badly up again."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clew.cli.options import existing, find_run, run_argument, told_db, watching_options
from clew.cli.words import command as command_line

if TYPE_CHECKING:
    from clew.cli.driving import Session


@click.command(name="retry", short_help="Take a failed or cancelled run up again; completed work is kept.")
@run_argument
@watching_options
def command(run: str, **settings: Any) -> int:
    """Take a failed or cancelled run up again.

    What was completed is kept, all else is done anew with the code as it is now.
    """
    url = existing(settings["db"])
    from clew.cli.driving import Settings, Watched, drive

    async def work(session: Session) -> int:
        row = await find_run(session.engine, run)
        if row.ended_at is None:
            how = command_line("resume", row.run, db=told_db(settings["db"]))
            raise click.UsageError(f"run {row.run} has not ended; to go on with it: {how}")
        if row.state == "completed" and not row.failed:
            raise click.UsageError(f"run {row.run} completed; there is nothing to try again")
        handle = await session.engine.open_run(row.run)
        await handle.retry(by="clew retry")
        return await session.follow(Watched(session.engine, handle), before=row)

    return drive(Settings(**settings), url, work)
