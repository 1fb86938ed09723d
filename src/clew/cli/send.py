"""``clew send``: a message to a run."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clew.cli.options import by_option, db_option, existing, json_option, run_argument, told_db, who

if TYPE_CHECKING:
    from clew.engine.engine import Engine
    from clew.engine.run import Run
    from clew.journal.records import RunRow


@click.command(name="send", short_help="Send a run a message.")
@run_argument
@click.argument("name")
@click.argument("value", required=False)
@by_option
@json_option
@db_option
def command(run: str, name: str, value: str | None, by: str | None, as_json: bool, db: str | None) -> None:
    """Send a run a message called NAME, for whichever node receives it by this name, now or later.

    VALUE is JSON if it can be read as that, else text; without it, the message is null.
    """
    url = existing(db)
    from clew.cli.reaching import named, tell
    from clew.cli.telling import print_json, say
    from clew.cli.waits import read_json
    from clew.cli.words import plain

    content = None if value is None else next(read_json(value))

    async def work(_: Engine, handle: Run, __: RunRow) -> None:
        await handle.send(name, content, by=who(by))

    told = tell(url, run, work)
    if as_json:
        print_json({"run": told.row.run, "name": name, "state": told.row.state, "driven": told.is_driven})
    else:
        say(f"{named(told.row.run)} was sent {plain(name)}{told.how_to_go_on(told_db(db))}")
