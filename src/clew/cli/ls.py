"""``clew ls``: runs, newest first."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from clew.cli.options import db_option, existing, json_option, pairs

if TYPE_CHECKING:
    from rich.text import Text

    from clew.journal.records import RunRow

_STATES = ("queued", "running", "paused", "stopping", "completed", "failed", "cancelled")


@click.command(name="ls", short_help="List runs, newest first.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only runs in this state.")
@click.option("--graph", default="", metavar="NAME", help="Only runs of this graph.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only runs with this label.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=1), metavar="N", help="At most so many."
)
@json_option
@db_option
def command(
    states: tuple[str, ...], graph: str, labels: tuple[str, ...], limit: int, as_json: bool, db: str | None
) -> None:
    """List runs, newest first."""
    wanted = pairs(labels, "--label")
    url = existing(db)
    from clew.cli.telling import print_json, say
    from clew.engine.clock import Clock
    from clew.engine.engine import Engine

    async def read() -> list[RunRow]:
        async with Engine(url) as engine:
            return await engine.runs(states=states, graph=graph, labels=wanted, limit=limit + 1)

    rows = asyncio.run(read())
    more, rows = len(rows) > limit, rows[:limit]
    if as_json:
        print_json([_document(row) for row in rows])
        return
    if not rows:
        say("no such runs" if states or graph or labels else "no runs yet; `clew run` starts one")
        return
    from clew.cli.columns import console, in_columns, print_lines

    now = Clock().now()
    head = ["RUN", "GRAPH", "STATE", "DONE", "STARTED", "TOOK", ""]
    print_lines(console(), in_columns([_dim(head), *(_cells(row, now) for row in rows)], right=frozenset({3, 5})))
    if more:
        say(f"the newest {limit} are listed; --limit N lists more")


def _dim(cells: list[str]) -> list[Text]:
    from rich.text import Text

    return [Text(cell, "bright_black") for cell in cells]


def _cells(row: RunRow, now: float) -> list[str | Text]:
    from rich.text import Text

    from clew.cli.symbols import STYLES
    from clew.cli.words import ago, duration, first_line, plain

    failed = f", {row.failed:,} failed" if row.failed else ""
    done = f"{row.settled:,}/{row.total:,}"
    took = duration(row.ended_at - row.started_at) if row.ended_at and row.started_at else ""
    remark = "; ".join(filter(None, [first_line(row.note), first_line(row.error), _told(row.labels)]))
    return [
        Text(plain(row.run), "bold"),
        plain(row.name),
        Text(row.state, STYLES.get(row.state, "")).append(failed, "red"),
        done,
        ago(now - row.created_at),
        took,
        Text(plain(remark), "bright_black"),
    ]


def _told(labels: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in labels.items())


def _document(row: RunRow) -> dict[str, Any]:
    import msgspec

    return {name: getattr(row, name) for name in row.__struct_fields__} | msgspec.to_builtins(row)
