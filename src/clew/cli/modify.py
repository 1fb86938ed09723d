"""``clew modify``: change what is decided on at a barrier."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import Any

import click

from clew.cli.changes import delete_option, is_change
from clew.cli.options import deciding_options, run_argument


@click.command(name="modify", short_help="Change the state that a barrier decides on.")
@run_argument
@click.argument("words", metavar="[BARRIER] KEY=VALUE...", nargs=-1)
@delete_option
@deciding_options
def command(run: str, words: tuple[str, ...], delete: tuple[str, ...], **given: Any) -> int:
    """Change the state that a barrier decides on, past the reducers. It then waits for a decision on that.

    BARRIER is its address as `clew show` prints it; it can be left out if the run waits at one only. VALUE is JSON
    if it can be read as that, else text.
    """
    barrier = words[0] if words and not is_change(words[0]) else ""
    changes = words[1:] if barrier else words
    if not changes and not delete:
        raise click.UsageError("say what is to be changed: KEY=VALUE, or --delete KEY")
    from clew.cli.deciding import Wish, decide

    return decide(Wish(kind="modify", run=run, barrier=barrier, changes=changes, delete=delete, **given))
