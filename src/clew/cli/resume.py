"""``clew resume``: go on with a run whose process ended, or with all of them."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clew.cli.options import existing, find_run, from_options, watching_options, who

if TYPE_CHECKING:
    from clew.cli.driving import Session


@click.command(name="resume", short_help="Go on with runs that were paused, or whose process ended.")
@click.argument("run", required=False)
@click.option("--all", "every", is_flag=True, help="Every unfinished run that nobody drives.")
@from_options
@watching_options
def command(run: str | None, every: bool, **settings: Any) -> int:
    """Go on with a run that was paused or stopped, or whose process ended.

    What was completed is kept; what was under way is made again, probed, asked about or fails, as its node
    declares. A paused run that another process drives goes on there.
    """
    if (run is None) != every:
        raise click.UsageError("name a RUN (see `clew ls`), or say --all")
    url = existing(settings["db"])
    from clew.cli.driving import Settings, Watched, drive, goes_on

    async def one(session: Session) -> int:
        assert run is not None
        engine = session.engine
        row = await find_run(engine, run)
        if session.settings.graph is not None and row.ended_at is None:
            await session.resume(row.run)
        if row.state == "paused" and not row.imported:
            handle = await engine.open_run(row.run)
            await handle.resume(by=who(None))
            if engine.driver_of(row.run) is None and (after := await engine.looking.row(row.run)).owner:
                return session.left_to(after)
        else:
            handle = await engine.resume(row.run)
        watched = Watched(engine, handle)
        if row.ended_at is not None:
            return await session.show_ended(handle, row, f"run {row.run} had ended before")
        return await session.follow(watched, before=row, first=await goes_on(engine, row))

    async def all_of_them(session: Session) -> int:
        return await session.follow_all()

    return drive(Settings(**settings), url, all_of_them if every else one)
