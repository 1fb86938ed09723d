"""``clew cancel``: end runs."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clew.cli.filters import CANCELLABLE, Selection, bulk_options, filter_options
from clew.cli.options import by_option, db_option, existing, json_option, who

if TYPE_CHECKING:
    from clew.engine.engine import Engine
    from clew.engine.run import Run
    from clew.journal.records import RunRow

#: Runs that are told at the same time.
AT_ONCE = 20


@click.command(name="cancel", short_help="Cancel runs.")
@click.argument("run", required=False)
@filter_options
@click.option("--reason", default="", metavar="TEXT", help="Kept with the run.")
@bulk_options
@by_option
@json_option
@db_option
def command(
    run: str | None,
    reason: str,
    yes: bool,
    dry_run: bool,
    by: str | None,
    as_json: bool,
    db: str | None,
    **given: Any,
) -> int:
    """Cancel a run: nothing of it starts any more, and what is under way is stopped.

    What completed is kept, and `clew retry` takes the run up again. Without a RUN, all unfinished runs that fit
    the options are cancelled, after they were counted.
    """
    selection = Selection.of(**given)
    if (run is None) == (not selection.is_given):
        raise click.UsageError("name a RUN, or say which runs: --state, --graph, --label, --older, --abandoned")
    rolling_back = "such runs are being rolled back, which is not cancelled"
    selection = selection.limited(CANCELLABLE, CANCELLABLE, "such runs have ended", rolling_back=rolling_back)
    url = existing(db)
    by = who(by)
    why = f"{reason} ({by})" if reason and by else reason or "cancelled"
    whose = "" if reason else by

    if run is not None:
        return _one(url, run, why, whose, as_json=as_json)
    from dataclasses import replace

    from clew.cli.bulk import Wish, done_to_all

    async def work(engine: Engine, row: RunRow) -> None:
        await (await engine.open_run(row.run)).cancel(why, by=whose)

    wish = Wish(
        done="cancelled",
        selection=replace(selection, copies=False),
        url=url,
        yes=yes,
        dry_run=dry_run,
        as_json=as_json,
    )
    return done_to_all(wish, work, AT_ONCE)


def _one(url: str, run: str, why: str, by: str, *, as_json: bool) -> int:
    from clew.cli import exits
    from clew.cli.reaching import named, tell
    from clew.cli.telling import print_json, say

    async def work(_: Engine, handle: Run, before: RunRow) -> None:
        if before.ended_at is None:
            await handle.cancel(why, by=by)
            await handle.wait_ended()

    told = tell(url, run, work)
    before, row = told.before, told.row
    if as_json:
        print_json({"run": row.run, "state": row.state, "cancelled": before.ended_at is None})
    elif before.ended_at is None:
        say(f"{named(row.run)} is {row.state}")
    else:
        say(f"{named(row.run)} had ended before: {row.state}; there is nothing to cancel")
    return exits.COMPLETED
