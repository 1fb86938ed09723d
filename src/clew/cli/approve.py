"""``clew approve``: let a run pass a barrier."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import Any

import click

from clew.cli.changes import set_option
from clew.cli.options import deciding_options, run_argument, standing_option


@click.command(name="approve", short_help="Let a run pass a barrier.")
@run_argument
@click.argument("barrier", required=False, default="")
@set_option
@standing_option
@deciding_options
def command(run: str, barrier: str, changes: tuple[str, ...], **given: Any) -> int:
    """Let a run pass a barrier.

    BARRIER is its address as `clew show` prints it (review, review#2); it can be left out if the run waits at one
    only. One that is not reached yet can be decided on, too. At a terminal, what is decided on is shown first.
    """
    from clew.cli.deciding import Wish, decide

    return decide(Wish(kind="approve", run=run, barrier=barrier, changes=changes, **given))
