"""``clew diff``: how the state of a run differs between two positions."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import click

from clew.cli.options import db_option, existing, find_run, json_option, run_argument

if TYPE_CHECKING:
    from rich.text import Text

    from clew.engine.travel import KeyChange

#: Lines of one value that are shown, unless everything is asked for.
LINES = 20


@click.command(name="diff", short_help="Show how the state of a run changed between two positions.")
@run_argument
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", required=False)
@click.option("--full", is_flag=True, help="Nothing shortened.")
@json_option
@db_option
def command(run: str, before: str, after: str | None, full: bool, as_json: bool, db: str | None) -> None:
    """Show how the state of a run of a state graph differs between two positions, key by key.

    A and B are numbers of events or names of checkpoints (see `clew checkpoints`); without B, it is compared
    with what the state is now.
    """
    url = existing(db)
    import msgspec

    from clew.cli.columns import console
    from clew.cli.positions import position
    from clew.cli.telling import print_json, say
    from clew.engine.engine import Engine

    async def read() -> tuple[int, int, list[KeyChange]]:
        async with Engine(url, drives=False) as engine:
            row = await find_run(engine, run)
            one = await position(engine, row, before)
            two = row.seq if after is None else await position(engine, row, after)
            return one, two, await (await engine.open_run(row.run)).diff(one, two)

    one, two, changes = asyncio.run(read())
    if as_json:
        print_json(msgspec.to_builtins(changes))
        return
    if not changes:
        say(f"the state after event {one} is that after event {two}")
        return
    out = console()
    for change in changes:
        for line in _lines(change, full=full):
            out.print(line, soft_wrap=True)


def _lines(change: KeyChange, *, full: bool) -> Iterator[Text]:
    """One key: what was taken out, then what was put in."""
    import msgspec
    from rich.text import Text

    from clew.cli.words import count, plain

    gone, new = change.before, change.after
    more = _grown_by(gone, new)
    note = f" ({count(len(gone), 'item')} before)" if more is not None else ""
    if gone is msgspec.UNSET or new is msgspec.UNSET:
        note = " (new)" if gone is msgspec.UNSET else " (not there any more)"
    yield Text(plain(change.key), "bold").append(note, "not bold bright_black")
    if more is None:
        yield from _side("-", "red", gone, full=full)
    yield from _side("+", "green", new if more is None else more, full=full)


def _grown_by(gone: Any, new: Any) -> list[Any] | None:
    """What was put to the end of a list, if that is all the difference."""
    if not (isinstance(gone, list) and isinstance(new, list)):
        return None
    before, after = cast("list[Any]", gone), cast("list[Any]", new)
    return after[len(before) :] if after[: len(before)] == before else None


def _side(sign: str, style: str, value: Any, *, full: bool) -> Iterator[Text]:
    import msgspec
    from rich.text import Text

    from clew.cli.barriers import value_lines
    from clew.cli.words import count

    if value is msgspec.UNSET:
        return
    lines = value_lines(value)
    shown = lines if full else lines[:LINES]
    for line in shown:
        yield Text(f"  {sign} {line}", style)
    if len(lines) > len(shown):
        yield Text(f"    … and {count(len(lines) - len(shown), 'more line')}; --full shows all", "bright_black")
