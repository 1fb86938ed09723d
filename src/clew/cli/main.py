"""The program `clew`: its commands by name, each loaded when it is called, and what becomes of errors.

``clew --help`` must be quick, so nothing but click is imported before a command is known: the table below
holds each command's module and the one line that the help shows for it.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from clew import __version__
from clew.cli import exits

COMMANDS = {
    "run": "Run a graph, or go on with a run of it.",
    "ls": "List runs, newest first.",
    "show": "Show a run: its nodes, errors and outputs.",
    "logs": "Print what the nodes of a run printed and logged.",
    "pause": "Pause a run: nothing new of it starts.",
    "step": "Execute one step of a paused run, which stays paused.",
    "resume": "Go on with runs that were paused, or whose process ended.",
    "answer": "Answer what a run asks, or show what it asks.",
    "approve": "Let a run pass a barrier.",
    "reject": "Do not let a run pass a barrier, and say why.",
    "modify": "Change the state that a barrier decides on.",
    "reroute": "Let a run go on from a barrier with another node.",
    "send": "Send a run a message.",
    "cancel": "Cancel runs.",
    "retry": "Take failed or cancelled runs up again; completed work is kept.",
    "rollback": "Undo what a run did, by the compensations that were declared.",
    "checkpoints": "List the positions of a run to return to.",
    "checkpoint": "Name the position that a run has now.",
    "diff": "Show how the state of a run changed between two positions.",
    "fork": "Go on as another run from where a run was.",
    "delete": "Delete runs and all that is kept of them.",
    "gc": "Delete old runs, and what nothing needs any more.",
    "export": "Write a run to a file, to be looked at elsewhere.",
    "import": "Read a run from a file, to look at it.",
    "memory": "List, search, store and delete what is remembered.",
    "graph": "Check a graph and draw it.",
    "tools": "List, show and call tools.",
    "schema": "Print the JSON Schema of graph files, for editors.",
    "doctor": "Check that everything that Clew needs works here.",
}

#: Modules that cannot be called like their command.
_MODULES = {"import": "import_"}

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in exits.MEANINGS.items())


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's form
        """The names, in the order of the table."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"clew.cli.{_MODULES.get(cmd_name, cmd_name)}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415 - only needed for a mistake

            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(COMMANDS)}."
            if args[0].endswith((".py", ".yaml", ".yml", ".toml")):
                hint = f" To run a graph: clew run {args[0]}"
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"clew {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def cli() -> None:
    """Run graphs of work that never lose their place: journaled, resumable, in one SQLite file.

    \b
      clew run graph.py --input path=src     run it; Ctrl-C stops, `clew resume` goes on
      clew ls                                 what ran
      clew show RUN                           how it went
    """  # noqa: D301 - \b is click's mark for a block that is not to be wrapped


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit with its code."""
    leave(call(arguments))


def call(arguments: list[str] | None = None) -> int:
    """Run the program; its exit code. Errors are told, not raised."""
    from clew.errors import ClewError  # noqa: PLC0415 - small, but not needed by --help

    try:
        code: Any = cli.main(arguments, prog_name="clew", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        return exits.INTERRUPTED
    except BrokenPipeError:
        return exits.COMPLETED  # whoever read our output has seen enough
    except ClewError as error:
        from clew.cli.telling import tell_error  # noqa: PLC0415

        return tell_error(error)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else exits.FAILED  # of click and rich, for a broken pipe
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        return exits.INTERRUPTED
    except BaseException:
        from clew.cli.telling import tell_bug  # noqa: PLC0415

        return tell_bug()
    return code if isinstance(code, int) else exits.COMPLETED


def leave(code: int) -> None:
    """Exit without waiting for threads of bodies that do not end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # closed by the reader
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os._exit(code)
