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
    help="Text by layers, Mermaid text, a picture, the definition as data.",
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
    from clew.cli.words import count, plain
    from clew.kernel.topology import dependencies

    spec = graph.spec()
    description = f": {spec.description}" if spec.description else ""
    lines = [plain(f"graph {spec.name}{description}")]
    if spec.inputs:
        lines.append("inputs:")
    for each in spec.inputs:
        default = "" if each.required else f" = {bytes(each.default).decode()}"
        about = f"   {each.description}" if each.description else ""
        lines.append(plain(f"  {each.name}: {each.type or 'any'}{default}{about}"))
    by_id = {node.id: node for node in spec.nodes}
    lines.append(f"{count(len(spec.nodes), 'node')} in {count(len(graph.layers()), 'layer')}:")
    for number, layer in enumerate(graph.layers(), 1):
        for name in layer:
            node = by_id[name]
            kind = f"{'map of ' if node.map else ''}{node.kind}"
            needs = f"   after {', '.join(sorted(dependencies(node)))}" if dependencies(node) else ""
            lines.append(plain(f"  {number:>2}  {name}  ({kind}){needs}"))
    return lines
