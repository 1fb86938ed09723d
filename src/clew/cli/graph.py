"""``clew graph``: check a graph and draw it, without running anything of it."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clew.cli.options import json_option

if TYPE_CHECKING:
    from clew.graphs import WrittenGraph


@click.command(name="graph", short_help="Check a graph and draw it.")
@click.argument("target")
@click.option(
    "--format",
    "form",
    type=click.Choice(["layers", "mermaid", "svg", "json"]),
    default="layers",
    show_default=True,
    help="Text by layers (of a state graph, by edges), Mermaid text, a picture, the definition as data.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it to a file."
)
@json_option
def command(target: str, form: str, output: Path | None, as_json: bool) -> None:
    """Check a graph and draw it. TARGET is named as for `clew run`; nothing of it is run."""
    from clew.graphs.loading import load

    graph = load(target)
    text = _text(graph, "json" if as_json else form)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text if text.endswith("\n") else f"{text}\n", "utf-8")
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {output}", err=True)


def _text(graph: WrittenGraph, form: str) -> str:
    import json

    match form:
        case "mermaid":
            return graph.mermaid()
        case "svg":
            return graph.svg()
        case "json":
            return json.dumps(_document(graph), indent=2, ensure_ascii=False)
        case _:
            return "\n".join(_layers(graph))


def _document(graph: WrittenGraph) -> dict[str, Any]:
    import msgspec

    definition = msgspec.json.decode(msgspec.json.encode(graph.spec()))
    return {"name": graph.name, "hash": graph.hash, "layers": graph.layers(), "definition": definition}


def _layers(graph: WrittenGraph) -> list[str]:
    from clew.cli.graph_text import layer_lines, step_lines
    from clew.cli.words import plain

    spec = graph.spec()
    lines = step_lines(spec) if spec.routes is not None else layer_lines(spec, graph.layers())
    return [plain(line) for line in lines]
