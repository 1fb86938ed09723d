"""``clew checkpoint``: name the position that a run has now."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clew.cli.options import by_option, db_option, existing, json_option, run_argument, told_db, who

if TYPE_CHECKING:
    from clew.engine.engine import Engine
    from clew.engine.run import Run
    from clew.journal.records import RunRow


@click.command(name="checkpoint", short_help="Name the position that a run has now.")
@run_argument
@click.argument("name")
@by_option
@json_option
@db_option
def command(run: str, name: str, by: str | None, as_json: bool, db: str | None) -> None:
    """Name the position that a run has now, to see it again or to fork the run from there."""
    if name.isdecimal():
        raise click.UsageError(f"{name} is the number of an event; a name has other characters, too")
    url = existing(db)
    from clew.cli.reaching import named, tell
    from clew.cli.telling import print_json, say
    from clew.cli.words import plain

    taken: list[int] = []

    async def work(_: Engine, handle: Run, __: RunRow) -> None:
        await handle.checkpoint(name, by=who(by))
        taken.extend(each.seq for each in await handle.checkpoints() if each.name == name)

    told = tell(url, run, work)
    if as_json:
        state = {"state": told.row.state, "driven": told.is_driven}
        print_json({"run": told.row.run, "name": name, "seq": taken[-1], **state})
    else:
        going = told.how_to_go_on(told_db(db))
        say(f"{named(told.row.run)}: its event {taken[-1]} is checkpoint {plain(name)}{going}")
