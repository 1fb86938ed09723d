"""``clew tools``: the tools that steps can call: those that come with Clew, of a Python file, of servers."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clew.cli import exits
from clew.cli.options import json_option

if TYPE_CHECKING:
    from clew.graphs.tools import Tool, Tools
    from clew.graphs.written import WrittenGraph
    from clew.kernel.values import ErrorInfo

F = TypeVar("F", bound=Callable[..., Any])

from_option = click.option(
    "--from",
    "file",
    metavar="FILE.py",
    help="Also the tools of a Python file: its functions that are marked with @tool.",
)
server_option = click.option(
    "--server",
    "given",
    metavar="NAME=COMMAND|URL",
    multiple=True,
    help="Also the tools of a server: of a program, or of what answers at a URL.",
)
servers_option = click.option(
    "--servers",
    "listed",
    metavar="FILE",
    help="Also the tools of the servers of a file (YAML, TOML or JSON).",
)


def sources(command: F) -> F:
    """Add the options that say where tools come from; their values are those of `_tools`."""
    return from_option(server_option(servers_option(command)))


@click.group(name="tools", short_help="List, show and call tools.")
def command() -> None:
    """List, show and call tools."""


@command.command(name="ls", short_help="List the tools.")
@sources
@json_option
def ls(file: str | None, given: Sequence[str], listed: str | None, as_json: bool) -> None:
    """List the tools: their names, what they may do, and what they are for."""
    tools = _tools(file, given, listed)
    if as_json:
        _print_json([_document(each) for each in tools])
        return
    from clew.cli.columns import console, in_columns, print_lines
    from clew.cli.words import first_line, plain

    rows = [[each.name, _rights(each), plain(first_line(each.description))] for each in tools]
    print_lines(console(), in_columns(rows))


@command.command(name="show", short_help="Show a tool: what it takes, and what it may do.")
@click.argument("name", metavar="NAME")
@sources
@json_option
def show(name: str, file: str | None, given: Sequence[str], listed: str | None, as_json: bool) -> None:
    """Show a tool: what it takes, and what it may do."""
    from clew.cli.words import plain

    tool = _tools(file, given, listed).get(name)
    if as_json:
        _print_json(_document(tool))
        return
    from clew.graphs.calls import on_interrupt_of

    click.echo(f"{tool.name}\n")
    for line in tool.description.splitlines():
        click.echo(plain(f"  {line}".rstrip()))
    click.echo("\narguments:" if tool.parameters.get("properties") else "\nno arguments")
    for line in _argument_lines(tool):
        click.echo(plain(line))
    again = "made again" if on_interrupt_of(tool) == "retry" else "not made again"
    click.echo(f"\nmay:      {_rights(tool)}")
    click.echo(f"effects:  {tool.effects}; a call that was lost is {again}")
    click.echo(f"runs in:  {_where(tool)}{'; has a dry run' if tool.dry_run is not None else ''}")


@command.command(name="call", short_help="Call a tool, and print what it returns.")
@click.argument("name", metavar="NAME")
@click.argument("arguments", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only tell what would happen.")
@sources
@json_option
def call_tool(
    name: str,
    arguments: Sequence[str],
    dry_run: bool,
    file: str | None,
    given: Sequence[str],
    listed: str | None,
    as_json: bool,
) -> int:
    """Call a tool, and print what it returns.

    A VALUE is JSON if that fits what the tool takes, and text otherwise. The arguments are checked before
    anything is done.
    """
    from clew.engine.simple import run_sync
    from clew.errors import GraphError, RunFailedError
    from clew.graphs.arguments import misfits

    tool = _tools(file, given, listed).get(name)
    values = _read(tool, arguments)
    if problems := [f"{path}: {why}" if path else why for path, why in misfits(tool.parameters, values)]:
        raise GraphError(problems, f"arguments of {name}")
    try:
        output = run_sync(_graph(tool, values, dry_run=dry_run), {"arguments": values})[name]
    except RunFailedError as failed:
        return _tell_failure(name, failed.result, as_json=as_json)
    if as_json:
        _print_json({"tool": name, "output": output})
    else:
        _print_plain(output)
    return exits.COMPLETED


def _tools(file: str | None, given: Sequence[str], listed: str | None) -> Tools:
    """The tools that come with Clew, those of a file, and those of servers."""
    from clew.bodies.tools import builtin

    tools = builtin()
    if file is not None:
        from clew.graphs.loading import load_module

        if not tools.add_module(load_module(file)):
            raise click.UsageError(f"{file} has no tools; mark its functions with @tool")
    for each in _of_servers(given, listed) if given or listed is not None else ():
        tools.add(each)
    return tools


def _of_servers(given: Sequence[str], listed: str | None) -> Iterable[Tool]:
    from clew.engine.discovery import ask_servers
    from clew.errors import GraphError
    from clew.graphs.server_files import load_servers
    from clew.graphs.servers import read_servers

    servers = {server.name: server for server in load_servers(listed)} if listed is not None else {}
    for each in given:
        name, separator, how = each.partition("=")
        if not separator or not how.strip():
            raise click.UsageError(f"--server {each}: write NAME=COMMAND or NAME=URL")
        found, problems = read_servers({name: how})
        if problems:
            raise GraphError([why for _, why in problems], f"--server {each}")
        if name in servers:
            raise click.UsageError(f"--server {each}: there are two servers of this name")
        servers |= found
    return ask_servers(*servers.values())


def _where(tool: Tool) -> str:
    from clew.graphs.calls import isolation_of

    return f"the server {tool.server.name}" if tool.server is not None else isolation_of(tool)


def _graph(tool: Tool, given: Mapping[str, Any], *, dry_run: bool) -> WrittenGraph:
    """A graph that only calls a tool; the values are its input, so that no text in them is an expression."""
    from clew.graphs import Graph
    from clew.graphs.calls import call, rehearse

    graph = Graph("tools")
    handle = graph.input("arguments")
    arguments = {name: handle[name] for name in given}
    graph.add((rehearse if dry_run else call)(tool, **arguments), id=tool.name)
    return graph


def _read(tool: Tool, typed: Sequence[str]) -> dict[str, Any]:
    from clew.errors import GraphError

    properties: dict[str, Any] = tool.parameters.get("properties") or {}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for each in typed:
        name, separator, text = each.partition("=")
        if not separator or not name:
            problems.append(f"{each}: write KEY=VALUE")
        elif name in values:
            problems.append(f"{name}: is given twice")
        else:
            values[name] = _value(text, properties.get(name, {}))
    if problems:
        raise GraphError(problems, f"arguments of {tool.name}")
    return values


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    """What a text stands for: JSON if that fits, or if the text does not fit either."""
    import msgspec

    from clew.cli.inputs import read_value
    from clew.graphs.json_schemas import problem_of

    if schema.get("type") == "string":
        return text
    value, as_json = read_value(text), msgspec.json.encode(schema)
    return text if problem_of(value, as_json) and not problem_of(text, as_json) else value


def _tell_failure(name: str, result: Any, *, as_json: bool) -> int:
    error: ErrorInfo = result.failures[name]
    if as_json:
        told = {"type": error.type, "message": error.message, "retryable": error.retryable is not False}
        _print_json({"tool": name, "error": told})
        return exits.FAILED
    from clew.cli.words import plain

    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    for line in f"{error.type}: {error.message}".splitlines():
        click.echo(plain(line), err=True)
    return exits.FAILED


def _rights(tool: Tool) -> str:
    """What a tool may do, in a few words."""
    may = tool.permissions
    rights = [
        f"{word}{'' if places is None else ' ' + ' '.join(places)}"
        for word, places in (("read", may.read), ("write", may.write), ("connect", may.network))
        if places != ()
    ]
    return ", ".join([*rights, *(["start programs"] if may.shell else [])]) or "nothing"


def _argument_lines(tool: Tool) -> list[str]:
    from clew.cli.columns import in_columns

    properties: dict[str, Any] = tool.parameters.get("properties") or {}
    required = tool.parameters.get("required") or ()
    rows = [
        [
            f"  {name}",
            "required" if name in required else _default(schema),
            " ".join(str(schema.get("description", "")).split()),
        ]
        for name, schema in properties.items()
    ]
    return [str(line).rstrip() for line in in_columns(rows)]


def _default(schema: Mapping[str, Any]) -> str:
    from clew import codec

    return f"[{codec.encode(schema['default']).decode()}]" if "default" in schema else "optional"


def _document(tool: Tool) -> dict[str, Any]:
    import msgspec

    from clew.graphs.calls import isolation_of, on_interrupt_of

    may = tool.permissions
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
        "permissions": {"read": may.read, "write": may.write, "network": may.network, "shell": may.shell},
        "effects": tool.effects,
        "on_interrupt": on_interrupt_of(tool).value,
        "isolation": isolation_of(tool),
        "server": tool.server.name if tool.server is not None else None,
        "dry_run": tool.dry_run is not None,
        "examples": [msgspec.to_builtins(each) for each in tool.examples],
    }


def _print_json(document: object) -> None:
    from clew.cli.telling import print_json

    print_json(document)


def _print_plain(output: Any) -> None:
    """Text as it is, everything else as JSON."""
    import json

    from clew import codec

    if isinstance(output, str):
        click.echo(output, nl=not output.endswith("\n"))
    else:
        click.echo(json.dumps(json.loads(codec.encode(output)), indent=2, ensure_ascii=False))
