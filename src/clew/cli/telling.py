"""Messages for people on the error channel: what is wrong, where, and what to do; tracebacks for bugs only."""

from __future__ import annotations

import json
import sys
import traceback

import click

from clew.cli import exits
from clew.cli.words import plain
from clew.errors import ClewError, GraphError, InternalError, RunBusyError, UnresolvedBodyError


def tell_error(error: ClewError) -> int:
    """Print an error of Clew without its traceback; the exit code it means."""
    if isinstance(error, InternalError):
        return tell_bug()
    if isinstance(error, GraphError) and len(error.problems) == 1:
        lines = [plain(f"{error.what}: {error.problems[0]}")]
    else:
        lines = [plain(line) for line in str(error).splitlines()] or [type(error).__name__]
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(lines[0], err=True)
    for line in lines[1:]:
        click.echo(line, err=True)
    if isinstance(error, RunBusyError):
        click.echo("stop it there first (Ctrl-C, or SIGTERM to that process), then call this again", err=True)
    if isinstance(error, UnresolvedBodyError):
        click.echo("or say here which file or module makes the graph: --from FILE.py", err=True)
    return exits.of_error(error)


def tell_bug() -> int:
    """Print the exception being handled as what it is: a fault of this program."""
    click.echo(traceback.format_exc().rstrip(), err=True)
    click.echo("error: this is a fault of Clew itself; please report it with the lines above", err=True)
    return exits.BUG


def say(text: str) -> None:
    """A remark for the person, beside what the command prints."""
    click.echo(plain(text), err=True)


def print_json(document: object) -> None:
    """One JSON document, indented on a terminal, in one line elsewhere."""
    from clew import codec  # noqa: PLC0415 - msgspec is not needed to parse a command

    text = codec.encode(document).decode()
    click.echo(json.dumps(json.loads(text), indent=2, ensure_ascii=False) if sys.stdout.isatty() else text)


def problems_of(error: ClewError) -> list[str]:
    """Every problem that an error names."""
    return error.problems if isinstance(error, GraphError) else [str(error)]
