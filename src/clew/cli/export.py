"""``clew export``: a run goes into a file."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from clew.cli.options import db_option, existing, find_run, json_option, run_argument

if TYPE_CHECKING:
    from clew.engine.archive import Exported

#: Ends the name of an exported run.
SUFFIX = ".clew.gz"


@click.command(name="export", short_help="Write a run to a file, to be looked at elsewhere.")
@run_argument
@click.option("-o", "--output", metavar="FILE", help=f"The file; - is standard output. [default: RUN{SUFFIX}]")
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@json_option
@db_option
def command(run: str, output: str | None, force: bool, as_json: bool, db: str | None) -> None:
    """Write a run with its graph, events, values and output to one file, as it is now.

    `clew import` reads it elsewhere. No secrets are in it: they are not in the database either.
    """
    url = existing(db)
    from clew.cli.telling import print_json, say
    from clew.cli.words import amount, count
    from clew.engine.engine import Engine

    async def write() -> tuple[Exported, str, int]:
        async with Engine(url, drives=False) as engine:
            row = await find_run(engine, run)
            if output == "-":
                return await engine.archive.export_run(row.run, _standard_output()), "-", 0
            name = output or re.sub(r"[^\w.-]", "_", row.run) + SUFFIX
            with _Whole(Path(name), force=force) as file:
                done = await engine.archive.export_run(row.run, file)
                return done, name, file.tell()

    try:
        done, name, size = asyncio.run(write())
    except OSError as error:
        from clew.errors import StorageError

        raise StorageError(f"the file cannot be written: {error}") from error
    if name == "-":
        return
    if as_json:
        print_json({"run": done.run, "file": name, "bytes": size, "events": done.events, "values": done.values})
        return
    held = ", ".join(
        [count(done.events, "event"), count(done.values, "value"), count(done.logs, "line") + " of output"]
    )
    say(f"run {done.run} was written to {name}: {held}, {amount(size)}")


def _standard_output() -> IO[bytes]:
    if sys.stdout.isatty():
        raise click.UsageError("a terminal cannot show the file; give -o FILE, or a pipe")
    return sys.stdout.buffer


class _Whole:
    """A file that appears when it has been written as a whole, and not before."""

    def __init__(self, path: Path, *, force: bool) -> None:
        if path.exists() and not force:
            raise click.UsageError(f"{path} exists; --force writes over it")
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> IO[bytes]:
        self._file = self._part.open("wb")
        return self._file

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()
            if kind is not None:
                self._part.unlink()
        if kind is None:
            self._part.replace(self._path)
