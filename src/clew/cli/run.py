"""``clew run``: start a run and watch it, or go on with the one that has this id."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clew.cli import exits
from clew.cli.options import pairs, told_db, watching_options, who
from clew.cli.words import command as command_line

if TYPE_CHECKING:
    from clew.cli.driving import Session
    from clew.cli.watching import Watched
    from clew.engine.run import Run
    from clew.journal.records import RunRow

_HELP = """Run a graph, or go on with a run of it.

    TARGET is a graph: a .py, .yaml or .toml file, FILE.py:NAME, or module:NAME.

    A run with an id is the same run when the command is given again: an unfinished one goes on where it was, of an
    ended one the result is shown, a paused one stays paused. Ctrl-C stops it when what is under way has finished,
    a second Ctrl-C at once; either way `clew resume` goes on.
    """


@click.command(name="run", help=_HELP, short_help="Run a graph, or go on with a run of it.")
@click.argument("target")
@click.option(
    "-i", "--input", "typed", multiple=True, metavar="NAME=VALUE",
    help="An input. The value is read as the graph declares it; without that as JSON, else as text.",
)  # fmt: skip
@click.option(
    "--inputs", "inputs_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Inputs from a .json, .yaml or .toml file.",
)  # fmt: skip
@click.option("--id", "run_id", metavar="ID", help="The run's id; made up if not given.")
@click.option("--anew", is_flag=True, help="If the run with this id has ended, start another one: ID-2, ID-3, …")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label, to find the run by.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit of the whole run."
)
@click.option("--paused", is_flag=True, help="Start nothing yet; `clew step` and `clew resume` go on.")
@click.option(
    "--on-change", type=click.Choice(["strict", "compatible", "force"]), default="strict", show_default=True,
    help="With --id, if the graph was changed since: say what has changed, go on if what has run is unchanged, "
    "go on in any case.",
)  # fmt: skip
@watching_options
def command(
    target: str,
    typed: tuple[str, ...],
    inputs_file: Path | None,
    run_id: str | None,
    anew: bool,
    labels: tuple[str, ...],
    timeout: float | None,
    paused: bool,
    on_change: str,
    **settings: Any,
) -> int:
    """Run a graph."""
    if anew and run_id is None:
        raise click.UsageError("--anew needs --id: without an id every run is another one")
    label_map = pairs(labels, "--label")
    db = told_db(settings["db"])

    from clew.cli.driving import Settings, Watched, drive
    from clew.cli.inputs import read_inputs
    from clew.cli.telling import say
    from clew.graphs.loading import load

    graph = load(target)
    inputs = read_inputs(graph, typed, inputs_file)

    async def work(session: Session) -> int:
        engine = session.engine
        run = run_id or f"{graph.name}-{secrets.token_hex(3)}"
        row = await engine.journal.row(run)
        if anew:
            number = 2
            while row is not None and row.ended_at is not None:
                run = f"{run_id}-{number}"
                row = await engine.journal.row(run)
                number += 1
        handle = await engine.start(
            graph,
            inputs,
            id=run,
            labels=label_map,
            timeout=timeout,
            paused=paused,
            on_change=on_change,
            by=who(None),
        )
        watched = Watched(engine, handle)
        if row is None:
            if paused:
                say(f"run {run} is paused: {command_line('step', run, 'STEP', db=db)} executes one step")
                return exits.COMPLETED
            return await session.follow(watched, before=None)
        again = "; --anew starts another one" if run_id and not anew else ""
        return await _go_on(session, watched, handle, row, again)

    return drive(Settings(**settings), None, work)


async def _go_on(session: Session, watched: Watched, handle: Run, row: RunRow, again: str) -> int:
    """Go on with a run that there is, or show it."""
    from clew.cli.driving import goes_on

    db = session.settings.told_db
    engine, run = session.engine, handle.id
    if row.ended_at is not None:
        if (await engine.looking.row(run)).graph != row.graph:
            again = f", and has the changed graph now; to go on: {command_line('retry', run, db=db)}"
        return await session.show_ended(handle, row, f"run {run} has ended before{again}")
    if watched.driver is None:
        first = f"run {run} is driven by another process ({row.owner}); this one only shows it"
        return await session.follow(watched, before=row, first=first)
    first = await goes_on(engine, row)
    if row.state == "paused":
        first = f"run {run} is paused, and stays so until it is resumed: {command_line('resume', run, db=db)}"
    return await session.follow(watched, before=row, first=first)
