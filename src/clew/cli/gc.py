"""``clew gc``: what is old goes, and what it left behind."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from clew.cli.filters import ENDED, Age
from clew.cli.options import db_option, existing, json_option, pairs

if TYPE_CHECKING:
    from clew.engine.retention import Collected


@click.command(name="gc", short_help="Delete old runs, and what nothing needs any more.")
@click.option(
    "--older", type=Age(), metavar="AGE", help="Delete runs that ended longer ago than this: 12h, 30d, 2w."
)
@click.option(
    "--keep", default=0, type=click.IntRange(min=0), metavar="N", help="Keep the N newest of each graph."
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(ENDED),
    help="Delete only runs that ended so. [default: all]",
)
@click.option("--graph", default="", metavar="NAME", help="Delete only runs of this graph.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Delete only runs with this label.")
@click.option("--pack", is_flag=True, help="Store the events of the ended runs that stay compressed.")
@click.option(
    "--grace", type=Age(), default="1h", show_default=True, metavar="AGE",
    help="Keep values that no run refers to for so long.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Change nothing; tell what would go.")
@json_option
@db_option
def command(labels: tuple[str, ...], dry_run: bool, as_json: bool, db: str | None, **given: Any) -> int:
    """Delete old runs, then the values that no run refers to, and give the space back to the system.

    Without --older and --keep, no run is deleted. Unfinished runs and imported copies always stay.
    """
    wanted = pairs(labels, "--label")
    url = existing(db)
    from clew.cli import exits
    from clew.cli.progress import Progress
    from clew.cli.telling import print_json, say
    from clew.engine.engine import Engine

    progress = Progress()

    async def collect() -> Collected:
        async with Engine(url, drives=False) as engine:
            return await engine.retention.collect(
                older_s=given["older"],
                keep=given["keep"],
                states=given["states"] or ENDED,
                graph=given["graph"],
                labels=wanted,
                pack=given["pack"],
                grace_s=given["grace"],
                dry_run=dry_run,
                progress=progress.tell,
            )

    try:
        done = asyncio.run(collect())
    finally:
        progress.close()
    if as_json:
        import msgspec

        print_json({**msgspec.to_builtins(done), "dry_run": dry_run})
    else:
        click.echo("\n".join(_lines(done, dry_run=dry_run)))
        for run, why in done.failures.items():
            say(f"run {run} could not be packed: {why}")
    return exits.FAILED if done.failures else exits.COMPLETED


def _lines(done: Collected, *, dry_run: bool) -> list[str]:
    from clew.cli.words import amount, count

    would = "would be " if dry_run else ""
    deleted = sum(done.runs.values())
    states = ", ".join(f"{number:,} {state}" for state, number in done.runs.items())
    lines = [f"runs:    {deleted:,} {would}deleted{f' ({states})' if states else ''}"]
    if dry_run and deleted:
        lines[0] += f", up to {amount(done.run_bytes)} of events, values and output"
    if done.left_over:
        lines.append(f"imports: {count(done.left_over, 'unfinished one')} {would}deleted")
    if done.packed and dry_run:
        lines.append(f"events:  {count(done.packed, 'run')} would be packed")
    elif done.packed:
        lines.append(f"events:  {count(done.packed, 'run')} packed, {amount(done.packed_bytes)} less")
    lines.append(f"values:  {done.values:,} {would}swept, {amount(done.value_bytes)}")
    if done.is_in_use:
        lines.append("space:   is used again; the file gets smaller when no process drives runs")
    elif not dry_run:
        lines.append(f"space:   {amount(done.reclaimed)} given back to the system")
    return lines
