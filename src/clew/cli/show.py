"""``clew show``: how a run stands or went, and one of its nodes in detail."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio

import click

from clew.cli.options import db_option, existing, find_run, json_option, run_argument


@click.command(name="show", short_help="Show a run: its nodes, errors and outputs.")
@run_argument
@click.option(
    "--node", default="", metavar="PATH", help="One node or item: its inputs, attempts, steps, waits, output."
)
@click.option("--at", metavar="SEQ", help="As it was after this event, or checkpoint by its name.")
@click.option("--state", is_flag=True, help="The state of a state graph and nothing else, as JSON.")
@click.option("--full", is_flag=True, help="Nothing shortened: every node, whole outputs, tracebacks.")
@json_option
@db_option
def command(run: str, node: str, at: str | None, state: bool, full: bool, as_json: bool, db: str | None) -> None:
    """Show a run: its nodes, errors and outputs; of a state graph, its steps and its state."""
    url = existing(db)
    import msgspec

    from clew.cli.columns import console, print_lines
    from clew.cli.portrait import Portrait
    from clew.cli.positions import position
    from clew.cli.telling import print_json
    from clew.engine.clock import Clock
    from clew.engine.engine import Engine
    from clew.kernel import addresses

    async def look() -> None:
        async with Engine(url, drives=False) as engine:
            row = await find_run(engine, run)
            seq = None if at is None else await position(engine, row, at)
            portrait = await Portrait.of(engine, row, now=Clock().now(), full=full, told_db=db or "", at=seq)
            path = addresses.first_visits(node)
            if state:
                print_json(portrait.state(path))
                return
            if as_json and seq is not None and not path:
                moment = await (await engine.open_run(row.run)).at(seq)
                print_json({"run": row.run, **msgspec.to_builtins(moment)})
                return
            if as_json:
                print_json(await (portrait.node_document(path) if path else portrait.document()))
                return
            out = console()
            lines = await (portrait.node_lines(path) if path else portrait.lines())
            if full or node:
                for line in lines:
                    out.print(line, soft_wrap=True)
            else:
                print_lines(out, lines)

    asyncio.run(look())
