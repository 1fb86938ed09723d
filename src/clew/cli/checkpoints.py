"""``clew checkpoints``: the positions of a run that there is a reason to return to."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from clew.cli.options import db_option, existing, find_run, json_option, run_argument, told_db

if TYPE_CHECKING:
    from rich.text import Text

    from clew.engine.positions import Checkpoint
    from clew.journal.records import RunRow

#: What is said of a reason, besides the step that it is about.
_WHY = {
    "start": "the start",
    "step": "after {path}",
    "barrier": "{path} waits",
    "decision": "{path} was decided on",
    "score": "after {path}, and much work",
    "named": "in {path}",
    "end": "the end",
}


@click.command(name="checkpoints", short_help="List the positions of a run to return to.")
@run_argument
@json_option
@db_option
def command(run: str, as_json: bool, db: str | None) -> None:
    """List the positions of a run that there is a reason to return to, oldest first.

    Which these are says its graph (`checkpoints`); `clew checkpoint` adds others. `clew show --at`, `clew diff`
    and `clew fork --at` take the number of any event, or the name of a checkpoint.
    """
    url = existing(db)
    import msgspec

    from clew.cli.telling import print_json, say
    from clew.cli.words import command as command_line
    from clew.engine.engine import Engine

    async def read() -> tuple[RunRow, list[Checkpoint]]:
        async with Engine(url, drives=False) as engine:
            row = await find_run(engine, run)
            return row, await (await engine.open_run(row.run)).checkpoints()

    row, found = asyncio.run(read())
    if as_json:
        print_json([msgspec.structs.asdict(each) for each in found])
        return
    if not found:
        say(f"run {row.run} has no checkpoints; clew checkpoint {row.run} NAME makes one")
        return
    _print(found)
    last = str(next((each for each in reversed(found) if each.why != "end"), found[-1]).seq)
    say(f"to see one:   {command_line('show', row.run, '--at', last, db=told_db(db))}")
    say(f"to go on there as another run:   {command_line('fork', row.run, '--at', last, db=told_db(db))}")


def _print(found: list[Checkpoint]) -> None:
    from rich.text import Text

    from clew.cli.columns import console, in_columns, print_lines
    from clew.cli.words import moment, plain

    head: list[str | Text] = [
        Text(cell, "bright_black") for cell in ("EVENT", "STEP", "AT", "WHERE", "NEXT", "NAME")
    ]
    rows: list[list[str | Text]] = [
        [
            Text(str(each.seq), "bold"),
            str(each.step),
            moment(each.at),
            plain(_WHY[each.why].format(path=each.path)) if each.path or "{path}" not in _WHY[each.why] else "",
            plain(each.next),
            plain(f"{each.name} ({each.by})" if each.by else each.name),
        ]
        for each in found
    ]
    print_lines(console(), in_columns([head, *rows], right=frozenset({0, 1})))
