"""``clew schema``: the form of graph files, for editors."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import click

from clew.cli.options import json_option


@click.command(name="schema", short_help="Print the JSON Schema of graph files, for editors.")
@json_option
def command(as_json: bool) -> None:
    """Print the JSON Schema of graph files.

    Save it, and name it in the first line of a file for completion and checks while you type:
    `# yaml-language-server: $schema=clew.schema.json`
    """
    import json

    from clew.graphs.schema import SCHEMA

    click.echo(json.dumps(SCHEMA, indent=None if as_json else 2))
