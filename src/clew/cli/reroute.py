"""``clew reroute``: let a run go on from a barrier with another node."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import Any

import click

from clew.cli.changes import set_option
from clew.cli.options import deciding_options, run_argument, standing_option


@click.command(name="reroute", short_help="Let a run go on from a barrier with another node.")
@run_argument
@click.argument("node")
@click.option("--barrier", default="", metavar="BARRIER", help="From which one, if the run waits at several.")
@set_option
@standing_option
@deciding_options
def command(run: str, node: str, barrier: str, changes: tuple[str, ...], **given: Any) -> int:
    """Let a run go on from a barrier with NODE, whether or not an edge leads there; END ends it.

    The barrier is neither approved nor rejected.
    """
    from clew.cli.deciding import Wish, decide

    return decide(Wish(kind="reroute", run=run, target=node, barrier=barrier, changes=changes, **given))
