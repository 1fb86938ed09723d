"""``clew import``: a run comes out of a file, to be looked at."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from clew.cli.options import db_option, json_option, told_db, url_of

if TYPE_CHECKING:
    from clew.journal.records import RunRow


@click.command(name="import", short_help="Read a run from a file, to look at it.")
@click.argument("file")
@click.option("--as", "name", default="", metavar="ID", help="The id of the copy. [default: as in the file]")
@json_option
@db_option
def command(file: str, name: str, as_json: bool, db: str | None) -> None:
    """Read a run from a file that `clew export` wrote; - is standard input.

    The copy can be looked at like any run (ls, show, logs, export) and deleted. It is never driven. A file that is
    not whole is refused, and nothing of it is imported.
    """
    from clew.cli.telling import print_json, say
    from clew.cli.words import command as command_line
    from clew.cli.words import count
    from clew.engine.engine import Engine
    from clew.errors import StorageError, UnknownRunError

    async def read(source: IO[bytes]) -> RunRow:
        async with Engine(url_of(db), drives=False) as engine:
            return await engine.archive.import_run(source, name, name="the file" if file == "-" else file)

    try:
        with _opened(file) as source:
            row = asyncio.run(read(source))
    except FileNotFoundError as error:
        raise UnknownRunError(f"there is no file {file}") from error
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error}") from error
    if as_json:
        print_json({"run": row.run, "state": row.state, "events": row.seq})
        return
    how = command_line("show", row.run, db=told_db(db))
    say(f"run {row.run} was imported: {count(row.seq, 'event')}, {row.state}; to look at it: {how}")


def _opened(file: str) -> IO[bytes]:
    """The file, or a copy of what is piped in, which can be read twice."""
    if file != "-":
        return Path(file).open("rb")
    if sys.stdin.isatty():
        raise click.UsageError("name a FILE; - is for a pipe")
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by who reads it
    shutil.copyfileobj(sys.stdin.buffer, copy)
    copy.seek(0)
    return copy
