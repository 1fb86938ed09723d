"""``clew step``: execute one step of a paused run."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clew.cli import exits
from clew.cli.options import by_option, existing, find_run, from_options, watching_options, who

if TYPE_CHECKING:
    from clew.cli.driving import Session
    from clew.engine.run import Run


@click.command(name="step", short_help="Execute one step of a paused run, which stays paused.")
@click.argument("run", metavar="RUN")
@click.argument("path", metavar="STEP")
@by_option
@from_options
@watching_options
def command(run: str, path: str, by: str | None, **settings: Any) -> int:
    """Execute one step of a paused run, and wait until it has ended; the run stays paused.

    What can be executed now is told if STEP is not. A sub-graph, a map, a loop is opened, so that its steps can be
    executed. `clew run --paused` starts a run in this way, `clew resume` goes on with all that is left.
    """
    url = existing(settings["db"])
    from clew.cli.driving import Settings, drive

    async def work(session: Session) -> int:
        row = await find_run(session.engine, run)
        handle = await session.engine.open_run(row.run)
        await handle.execute_step(path, by=who(by))
        return await _told(handle, path, row.seq)

    return drive(Settings(**settings), url, work)


async def _told(handle: Run, path: str, after: int) -> int:
    """Wait for the end of the step, and say how it was."""
    from clew.cli.telling import say
    from clew.cli.words import plain
    from clew.kernel import events as e

    async for item in handle.events(after):
        event = item.event
        if getattr(event, "path", None) != path:
            continue
        named = f"step {plain(path)} of run {plain(handle.id)}"
        match event:
            case e.NodeCompleted():
                say(f"{named} is completed")
                return exits.COMPLETED
            case e.NodeFailed(error=error):
                say(f"{named} has failed: {plain(error.message)}")
                return exits.FAILED
            case e.RetryScheduled(error=error):
                say(f"{named} has failed, and will be tried again when the run is resumed: {plain(error.message)}")
                return exits.FAILED
            case e.ScopeOpened() | e.MapOpened():
                parts = [visit.path for visit in (await handle.status()).nodes if visit.path.startswith(f"{path}")]
                say(f"{named} is open; its steps: {', '.join(map(plain, parts[1:9]))}")
                return exits.COMPLETED
            case e.WaitOpened():
                say(f"{named} waits for an answer: clew answer {plain(handle.id)}")
                return exits.COMPLETED
            case _:
                continue
    return exits.COMPLETED
