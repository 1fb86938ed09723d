"""Options that several commands have, and what they mean: the database, the run, the form of the output."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clew.errors import StorageError, UnknownRunError

if TYPE_CHECKING:
    from clew.engine.engine import Engine
    from clew.journal.records import RunRow

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_DB = "clew.db"

db_option = click.option(
    "--db",
    metavar="PATH|URL",
    help=f"The database: a SQLite file, or a URL. [default: $CLEW_DB, else {DEFAULT_DB}]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
by_option = click.option("--by", metavar="NAME", help="Who says so, kept with the run. [default: the login name]")
on_change_option = click.option(
    "--on-change",
    type=click.Choice(["strict", "compatible", "force"]),
    default="strict",
    show_default=True,
    help="If that graph is another one than the run has: say what has changed, go on with it if what has run is "
    "unchanged, go on in any case.",
)
run_argument = click.argument("run", metavar="RUN")


def watching_options(command: F) -> F:
    """Options of the commands that drive runs."""
    for option in reversed(
        [
            click.option(
                "--durability",
                type=click.Choice(["full", "process", "memory"]),
                default="full",
                show_default=True,
                help="What survives: a power cut, the end of the process, nothing.",
            ),
            click.option(
                "--concurrency",
                type=click.IntRange(min=1),
                metavar="N",
                help="Attempts at once in this process. (A graph's own max_concurrency holds, too.)",
            ),
            click.option(
                "--limit",
                "limits",
                multiple=True,
                metavar="NAME=N",
                help="Units of a named resource, or starts per period: llm=8, llm=60/minute.",
            ),
            click.option("--tee", is_flag=True, help="Show what nodes print while they run."),
            click.option("-q", "--quiet", is_flag=True, help="Print only what the graph returns, as JSON."),
            json_option,
            db_option,
        ]
    ):
        command = option(command)
    return command


def from_options(command: F) -> F:
    """Options that give runs their graph, where it is not found by what they have stored of it."""
    source = click.option(
        "--from",
        "source",
        metavar="TARGET",
        help="The graph, named as for `clew run`: if it was changed, or has functions without a name (lambdas).",
    )
    return source(on_change_option(command))


def deciding_options(command: F) -> F:
    """Options of the commands that decide at barriers."""
    for option in reversed(
        [
            click.option("--shown", default="", metavar="DIGEST", help="Only if this is what is decided on."),
            click.option("-y", "--yes", is_flag=True, help="Do not show and ask first at a terminal."),
            by_option,
            json_option,
            db_option,
        ]
    ):
        command = option(command)
    return command


standing_option = click.option(
    "--standing", is_flag=True, help="For every visit of the barrier from now on, and not for one."
)


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` texts as a mapping.

    Raises:
        click.UsageError: one has no equals sign.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise click.UsageError(f"{option} {text}: write NAME=VALUE")
        found[name] = value
    return found


def who(by: str | None) -> str:
    """Who uses this command: the name that was given, else the login name, else nobody."""
    if by is not None:
        return by
    from getpass import getuser  # noqa: PLC0415 - only needed by commands that tell a run something

    try:
        return getuser()
    except (OSError, KeyError, ImportError):  # a user id without a name
        return ""


def url_of(db: str | None) -> str:
    """The journal's URL or path that was asked for."""
    return db or os.environ.get("CLEW_DB") or DEFAULT_DB


def told_db(db: str | None) -> str:
    """What to add as ``--db`` to commands that are suggested; empty if they find the database without."""
    return "" if db is None or db == (os.environ.get("CLEW_DB") or DEFAULT_DB) else db


def file_of(url: str) -> str:
    """The path of the SQLite file that a URL names; empty for other journals."""
    scheme, separator, rest = url.partition("://")
    if separator:
        return rest.removeprefix("/") if scheme == "sqlite" else ""
    return "" if url.startswith("memory:") else url


class MissingDatabaseError(UnknownRunError):
    """There is no database to look into; looking does not make one."""


def existing(db: str | None) -> str:
    """The URL of a database that is only to be looked into.

    Raises:
        MissingDatabaseError: its file does not exist.
        StorageError: nothing of it outlives a process.
    """
    url = url_of(db)
    if url.startswith("memory:"):
        raise StorageError(f"{url} keeps nothing that another process could see; name a database file with --db")
    file = Path(file_of(url)).expanduser()
    if file_of(url) and not file.exists():
        raise MissingDatabaseError(
            f"there is no database {file}; `clew run` makes one. Runs in another file: --db PATH, or set CLEW_DB"
        )
    return url


async def find_run(engine: Engine, name: str) -> RunRow:
    """The run with this id, or the only one whose id begins so.

    Raises:
        UnknownRunError: there is none, or there are several.
    """
    row = await engine.journal.row(name)
    if row is not None:
        return row
    near: list[str] = []
    known: list[str] = []
    before = ""
    while page := await engine.runs(limit=1_000, before=before):
        known += [each.run for each in page]
        near += [each.run for each in page if each.run.startswith(name)]
        before = page[-1].run
    if len(near) == 1:
        found = await engine.journal.row(near[0])
        assert found is not None
        return found
    if near:
        shown = ", ".join(near[:8]) + (f" and {len(near) - 8} more" if len(near) > 8 else "")
        raise UnknownRunError(f"{name} is the beginning of {len(near)} runs: {shown}; write more of it")
    from clew.graphs.names import did_you_mean  # noqa: PLC0415 - only needed for a mistake

    raise UnknownRunError(f"there is no run {name} in {engine.journal.url}{did_you_mean(name, known)}")
