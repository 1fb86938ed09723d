"""``clew answer``: what a run asks people, and their answers."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from clew.cli.options import by_option, db_option, existing, find_run, json_option, run_argument, told_db, who

if TYPE_CHECKING:
    from clew.cli.asking import Asked
    from clew.engine.engine import Engine
    from clew.engine.run import Run
    from clew.journal.records import RunRow


@click.command(name="answer", short_help="Answer what a run asks, or show what it asks.")
@run_argument
@click.argument("words", metavar="[NODE] [VALUE]", nargs=-1)
@click.option("--key", default="", metavar="KEY", help="Which question, if the node asks several.")
@click.option("--shown", default="", metavar="DIGEST", help="Only if it is still this question (see --json).")
@by_option
@json_option
@db_option
def command(
    run: str, words: tuple[str, ...], key: str, shown: str, by: str | None, as_json: bool, db: str | None
) -> int:
    """Answer what a run asks.

    NODE is the node that asks; it can be left out if only one question is open. VALUE is JSON if it can be read as
    that and fits the question, else text. Without a VALUE, the open questions are shown, and on a terminal one of
    them can be answered.
    """
    if len(words) > 2:
        raise click.UsageError("write RUN [NODE] VALUE; a VALUE of several words goes in quotes")
    url = existing(db)
    from clew.cli import exits
    from clew.cli.asking import document, fitting, lines
    from clew.cli.telling import print_json, say

    row, questions, barriers = asyncio.run(_look(url, run))
    nothing = _nothing(row, barriers, told_db(db))
    node, text = (words[0], words[1]) if len(words) == 2 else ("", words[0] if words else None)
    if text is None:
        wanted = [each for each in questions if key in ("", each.key)]
        return _show(url, row, wanted, nothing, who(by), as_json, db)
    found = fitting(questions, node, key)
    if len(found) == 1:
        return _give(url, row, found[0], found[0].read(text), shown, who(by), as_json, db)
    if as_json:
        print_json([document(each) for each in found or questions])
    elif not questions:
        say(nothing)
    else:
        say(f"run {row.run} asks {'several things; say which one is answered' if found else 'no such thing'}:")
        for line in lines(row.run, found or questions, told_db(db)):
            say(line)
    return exits.USAGE


async def _look(url: str, run: str) -> tuple[RunRow, list[Asked], list[str]]:
    """The run, its questions, and the barriers at which it waits."""
    from clew.cli.asking import asked_by
    from clew.engine.clock import Clock
    from clew.engine.engine import Engine

    async with Engine(url, drives=False) as engine:
        row = await find_run(engine, run)
        if row.ended_at is not None:
            return row, [], []
        barriers = [each.path for each in await engine.looking.barriers(row.run)]
        return row, await asked_by(engine, row.run, Clock().now()), barriers


def _nothing(row: RunRow, barriers: list[str], db: str) -> str:
    from clew.cli.words import command as command_line

    if row.ended_at is not None:
        return f"run {row.run} asks nothing: it has ended ({row.state})"
    if not barriers:
        return f"run {row.run} asks nothing now"
    how = f"{command_line('approve', row.run, barriers[0], db=db)} (or reject, modify, reroute)"
    return f"run {row.run} asks nothing now, but {barriers[0]} waits for a decision: {how}"


def _show(
    url: str, row: RunRow, questions: list[Asked], nothing: str, by: str, as_json: bool, db: str | None
) -> int:
    """Show the open questions; on a terminal, ask for an answer."""
    from clew.cli import exits
    from clew.cli.asking import document, lines
    from clew.cli.telling import print_json, say

    if as_json:
        print_json([document(each) for each in questions])
        return exits.COMPLETED
    if not questions:
        say(nothing)
        return exits.COMPLETED
    asks = sys.stdin.isatty() and sys.stdout.isatty() and not row.imported
    number = asks and len(questions) > 1
    click.echo(
        "\n".join(lines(row.run, questions, "" if asks else told_db(db), numbered=number, commands=not asks))
    )
    if not asks:
        return exits.COMPLETED
    chosen = questions[0]
    if number:
        chosen = questions[click.prompt("which one", type=click.IntRange(1, len(questions))) - 1]
    answer = click.prompt(f"answer of {chosen.node}", value_proc=chosen.read_typed)
    return _give(url, row, chosen, answer, chosen.digest, by, as_json=False, db=db)


def _give(
    url: str, row: RunRow, question: Asked, answer: object, shown: str, by: str, as_json: bool, db: str | None
) -> int:
    from clew.cli import exits
    from clew.cli.reaching import named, tell
    from clew.cli.telling import print_json, say
    from clew.cli.words import plain

    async def work(_: Engine, handle: Run, __: RunRow) -> None:
        await handle.answer(answer, question.node, question.key, by=by, shown=shown or question.digest)

    told = tell(url, row.run, work)
    if as_json:
        state = {"state": told.row.state, "driven": told.is_driven}
        print_json({"run": row.run, "node": question.node, "key": question.key, "answer": answer, **state})
    else:
        say(f"{named(row.run)}: {plain(question.node)} was answered{told.how_to_go_on(told_db(db))}")
    return exits.COMPLETED
