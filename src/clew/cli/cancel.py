"""``clew cancel``: end a run."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio

import click

from clew.cli.options import db_option, existing, find_run, json_option, run_argument


@click.command(name="cancel", short_help="Cancel a run.")
@run_argument
@click.option("--reason", default="cancelled by clew cancel", metavar="TEXT", help="Kept with the run.")
@json_option
@db_option
def command(run: str, reason: str, as_json: bool, db: str | None) -> None:
    """Cancel a run: nothing of it starts any more. What completed is kept, and `clew retry` takes it up again."""
    url = existing(db)
    from clew.cli.telling import print_json, say
    from clew.engine.engine import Engine

    async def work() -> tuple[str, str, bool]:
        async with Engine(url) as engine:
            row = await find_run(engine, run)
            if row.ended_at is not None:
                return row.run, row.state, False
            handle = await engine.open_run(row.run)
            await handle.cancel(reason)
            await handle.wait_ended()
            after = await engine.journal.row(row.run)
            assert after is not None
            return row.run, after.state, True

    name, state, done = asyncio.run(work())
    if as_json:
        print_json({"run": name, "state": state, "cancelled": done})
    else:
        say(
            f"run {name} is {state}"
            if done
            else f"run {name} had ended before: {state}; there is nothing to cancel"
        )
