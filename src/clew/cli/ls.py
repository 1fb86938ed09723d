"""``clew ls``: runs, newest first."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from clew.cli.filters import Selection, filter_options, is_abandoned
from clew.cli.options import db_option, existing, json_option, told_db

if TYPE_CHECKING:
    from rich.text import Text

    from clew.engine.engine import Engine
    from clew.journal.records import RunRow

#: Runs of one list of which it is told what they wait for, and events that such a run may have.
LOOKED_INTO, EVENTS = 50, 5_000
#: Runs that are under way of which it is told how far they are, and events that such a run may have.
FORESEEN, FORESEEN_EVENTS = 20, 2_000


@click.command(name="ls", short_help="List runs, newest first.")
@filter_options
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=1), metavar="N", help="At most so many."
)
@click.option("--before", default="", metavar="RUN", help="Only runs that come after this one in the list.")
@json_option
@db_option
def command(limit: int, before: str, as_json: bool, db: str | None, **given: Any) -> None:
    """List runs, newest first."""
    selection = Selection.of(**given)
    url = existing(db)
    from clew.cli.telling import print_json, say
    from clew.engine.clock import Clock
    from clew.engine.engine import Engine

    now = Clock().now()

    async def read() -> tuple[list[RunRow], set[str], dict[str, str]]:
        async with Engine(url, drives=False) as engine:
            if before:
                await engine.looking.row(before)
            rows: list[RunRow] = []
            async for row in selection.rows(engine, now, before=before, at_once=min(limit + 1, 1_000)):
                rows.append(row)
                if len(rows) > limit:
                    break
            waits: dict[str, str] = {}
            if not as_json:
                waits = await _progress(engine, rows[:limit]) | await _waits(engine, rows[:limit], now)
            return rows, await engine.journal.live_owners(now), waits

    rows, alive, waits = asyncio.run(read())
    more, rows = len(rows) > limit, rows[:limit]
    abandoned = {row.run for row in rows if is_abandoned(row, alive, now)}
    if as_json:
        print_json([{**_document(row), "abandoned": row.run in abandoned} for row in rows])
        return
    if not rows:
        say("no such runs" if selection.is_given or before else "no runs yet; `clew run` starts one")
        return
    _print(rows, abandoned, waits, now)
    if more:
        say(f"the newest {limit} are listed; --limit N lists more, --before {rows[-1].run} those after them")
    if abandoned:
        _tell_abandoned(abandoned, told_db(db))


async def _waits(engine: Engine, rows: list[RunRow], now: float) -> dict[str, str]:
    """What runs wait for, as far as that can be told quickly."""
    from clew.cli.waits import open_waits, told_first
    from clew.errors import StorageError

    told: dict[str, str] = {}
    for row in [row for row in rows if row.waiting and row.seq <= EVENTS][:LOOKED_INTO]:
        try:
            found = open_waits(await engine.looking.folded(row.run))
        except StorageError:
            continue  # it is listed all the same; `clew show` says what is wrong with it
        if found:
            told[row.run] = told_first(found, now)
    return told


async def _progress(engine: Engine, rows: list[RunRow]) -> dict[str, str]:
    """How far runs that are under way are, as far as that can be told quickly."""
    from msgspec.structs import replace

    from clew.cli.usage import told_progress
    from clew.errors import StorageError

    told: dict[str, str] = {}
    for row in [row for row in rows if row.running and row.seq <= FORESEEN_EVENTS][:FORESEEN]:
        try:
            progress = (await (await engine.open_run(row.run)).status()).progress
        except StorageError:
            continue  # as above
        if progress is not None:
            told[row.run] = told_progress(replace(progress, current=()))
    return told


def _print(rows: list[RunRow], abandoned: set[str], waits: dict[str, str], now: float) -> None:
    from clew.cli.columns import console, in_columns, print_lines

    head = ["RUN", "GRAPH", "STATE", "DONE", "STARTED", "TOOK", ""]
    cells = [_cells(row, now, waits.get(row.run, ""), abandoned=row.run in abandoned) for row in rows]
    print_lines(console(), in_columns([_dim(head), *cells], right=frozenset({3, 5})))


def _tell_abandoned(abandoned: set[str], db: str) -> None:
    from clew.cli.telling import say
    from clew.cli.words import command as command_line

    one = len(abandoned) == 1
    how = command_line("resume", *(abandoned if one else ["--all"]), db=db)
    told = "1 run has" if one else f"{len(abandoned):,} runs have"
    say(f"{told} something to do, and the process is gone; to go on: {how}")


def _dim(cells: list[str]) -> list[Text]:
    from rich.text import Text

    return [Text(cell, "bright_black") for cell in cells]


def _cells(row: RunRow, now: float, waits: str, *, abandoned: bool) -> list[str | Text]:
    from rich.text import Text

    from clew.cli.symbols import STYLES
    from clew.cli.words import ago, duration, first_line, gist, plain

    state = Text(row.state, STYLES.get(row.state, ""))
    if abandoned:
        state.append(", abandoned", "yellow")
    if row.waiting:
        state.append(f", {row.waiting:,} waiting", "blue")
    if row.failed:
        state.append(f", {row.failed:,} failed", "red")
    if row.imported:
        state.append(", a copy", "bright_black")
    due = ""
    if row.ended_at is None and not row.running and row.wake_at is not None and row.wake_at > now:
        due = f"due in {duration(row.wake_at - now)}"
    done = f"{row.settled:,}/{row.total:,}"
    took = duration(row.ended_at - row.started_at) if row.ended_at and row.started_at else ""
    remark = "; ".join(filter(None, [first_line(row.note), gist(row.error), waits, due, _told(row.labels)]))
    return [
        Text(plain(row.run), "bold"),
        plain(row.name),
        state,
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
