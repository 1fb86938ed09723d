"""``clew reject``: do not let a run pass a barrier."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import Any

import click

from clew.cli.changes import set_option
from clew.cli.options import deciding_options, run_argument, standing_option


@click.command(name="reject", short_help="Do not let a run pass a barrier, and say why.")
@run_argument
@click.argument("barrier", required=False, default="")
@click.option("--reason", metavar="TEXT", help="Why; the graph reads it as BARRIER.reject_reason.")
@set_option
@standing_option
@deciding_options
def command(run: str, barrier: str, reason: str | None, changes: tuple[str, ...], **given: Any) -> int:
    """Do not let a run pass a barrier, and say why. Where it goes then, its graph says.

    BARRIER is its address as `clew show` prints it (review, review#2); it can be left out if the run waits at one
    only. One that is not reached yet can be decided on, too. At a terminal, what is decided on is shown first.
    """
    from clew.cli.deciding import Wish, decide

    return decide(Wish(kind="reject", run=run, barrier=barrier, reason=reason, changes=changes, **given))
