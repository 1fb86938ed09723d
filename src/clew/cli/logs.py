"""``clew logs``: what the attempts of a run printed and logged."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from clew.cli.options import db_option, existing, find_run, json_option, run_argument

if TYPE_CHECKING:
    from clew.engine.engine import Engine
    from clew.engine.run import Run
    from clew.journal.records import LogLine, RunRow


@click.command(name="logs", short_help="Print what the nodes of a run printed and logged.")
@run_argument
@click.argument("node", required=False, default="")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@json_option
@db_option
def command(run: str, node: str, follow: bool, as_json: bool, db: str | None) -> None:
    """Print what the nodes of a run printed and logged.

    NODE is a path as `clew show` prints it; of a map or a sub-graph, all that is in it is printed.
    """
    url = existing(db)
    from clew.cli.telling import say
    from clew.cli.words import plain
    from clew.engine.engine import Engine

    async def read() -> None:
        async with Engine(url, drives=False) as engine:
            row = await find_run(engine, run)
            if node:
                await _must_exist(engine, row, node)
            handle = await engine.open_run(row.run)
            goes_on = follow and not row.imported  # nothing comes of a copy any more
            if not await _print_lines(handle, node, follow=goes_on, as_json=as_json) and not as_json:
                say(f"{plain(node) or 'no node'} printed {'nothing' if node else 'anything'}")

    try:
        asyncio.run(read())
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None


async def _print_lines(handle: Run, node: str, *, follow: bool, as_json: bool) -> int:
    import msgspec

    printed = 0
    async for line in handle.logs(follow=follow):
        if node and not _is_in(line.path, node):
            continue
        printed += 1
        click.echo(msgspec.json.encode(line) if as_json else _told(line, node))
    return printed


def _is_in(path: str, node: str) -> bool:
    return path == node or path.startswith((f"{node}[", f"{node}/"))


def _told(line: LogLine, node: str) -> str:
    from clew.cli.words import clock, plain

    attempt = f" (attempt {line.attempt})" if line.attempt > 1 else ""
    name = "" if line.path == node else f" {plain(line.path)}"
    mark = "|" if line.stream == "stdout" else "!" if line.stream == "stderr" else ":"
    return f"{clock(line.at)}{name}{attempt} {mark} {plain(line.text)}"


async def _must_exist(engine: Engine, row: RunRow, node: str) -> None:
    """Tell a node that printed nothing from one that does not exist."""
    from clew.cli.watching import history_of

    board = await history_of(engine, row)
    board.must_know(node)
