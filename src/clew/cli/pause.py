"""``clew pause``: let a run rest."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clew.cli.options import by_option, db_option, existing, json_option, run_argument, told_db, who

if TYPE_CHECKING:
    from clew.engine.engine import Engine
    from clew.engine.run import Run
    from clew.journal.records import RunRow


@click.command(name="pause", short_help="Pause a run: nothing new of it starts.")
@run_argument
@click.option("--now", is_flag=True, help="Also stop what is under way and can be made again without harm.")
@by_option
@json_option
@db_option
def command(run: str, now: bool, by: str | None, as_json: bool, db: str | None) -> None:
    """Pause a run: nothing new of it starts until `clew resume`. What is under way may finish.

    Its timers keep their time; what comes due meanwhile happens when the run is resumed.
    """
    url = existing(db)
    from clew.cli.reaching import named, tell
    from clew.cli.telling import print_json, say
    from clew.cli.words import count

    async def work(_: Engine, handle: Run, before: RunRow) -> None:
        if before.state != "paused" or now:
            await handle.pause(now=now, by=who(by))

    told = tell(url, run, work)
    row = told.row
    if as_json:
        print_json({"run": row.run, "state": row.state, "running": row.running, "driven": told.is_driven})
        return
    already = " already" if told.before.state == "paused" else ""
    going = f"; {count(row.running, 'attempt')} under way may finish" if row.running and told.is_driven else ""
    say(f"{named(row.run)} is {row.state}{already}{going}{told.how_to_go_on(told_db(db))}")
