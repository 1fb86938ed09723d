"""``clew memory``: what agents remember, by namespace; listed, searched, stored and deleted by people."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clew.cli import exits
from clew.cli.options import by_option, db_option, existing, find_run, json_option, run_argument, who

if TYPE_CHECKING:
    from clew.bodies.memory import MemoryEdit, MemoryEntry
    from clew.engine.engine import Engine

T = TypeVar("T")

#: Characters of a value in a line.
_SHORT = 100
#: Entries that are listed if not told otherwise.
_LIMIT = 20

namespace_argument = click.argument("namespace", metavar="NAMESPACE")
key_argument = click.argument("key", metavar="KEY")


@click.group(name="memory", short_help="List, search, store and delete what is remembered.")
def command() -> None:
    """List, search, store and delete what nodes and people have stored in the memory."""


@command.command(name="ls", short_help="List namespaces, or the entries of one.")
@click.argument("namespace", metavar="[NAMESPACE]", required=False)
@click.option("--prefix", default="", metavar="TEXT", help="Only keys that begin like this.")
@click.option("-n", "--limit", default=_LIMIT, show_default=True, help="So many entries at most.")
@json_option
@db_option
def ls(namespace: str | None, prefix: str, limit: int, as_json: bool, db: str | None) -> None:
    """List the namespaces and how full they are; or the entries of one, those that were changed last first."""
    if namespace is not None:
        _list(existing(db), namespace, as_json=as_json, prefix=prefix, limit=limit)
        return
    from clew.cli.columns import console, in_columns, print_lines
    from clew.cli.telling import print_json, say
    from clew.cli.words import amount, count, plain

    spaces = _ask(existing(db), lambda engine: engine.memory.spaces())
    if as_json:
        print_json(
            [{"namespace": each.namespace, "entries": each.entries, "bytes": each.bytes} for each in spaces]
        )
    elif not spaces:
        say("nothing is remembered")
    else:
        rows = [
            [plain(each.namespace), count(each.entries, "entry", "entries"), amount(each.bytes)] for each in spaces
        ]
        print_lines(console(), in_columns(rows, right=frozenset({1, 2})))


@command.command(name="get", short_help="Print the value of an entry.")
@namespace_argument
@key_argument
@json_option
@db_option
def get(namespace: str, key: str, as_json: bool, db: str | None) -> None:
    """Print the value of an entry: text as it is, everything else as JSON."""
    from clew.cli.telling import print_json
    from clew.errors import UnknownEntryError

    entry = _ask(existing(db), lambda engine: engine.memory(namespace).entry(key))
    if entry is None:
        raise UnknownEntryError(f"there is no entry {key!r} in the memory {namespace!r}")
    if as_json:
        print_json(_document(entry))
    elif isinstance(entry.value, str):
        click.echo(entry.value)
    else:
        print_json(entry.value)


@command.command(name="search", short_help="Find entries by words and fields.")
@namespace_argument
@click.argument("words", nargs=-1)
@click.option("--where", multiple=True, metavar="FIELD=VALUE", help="The value is an object with this field.")
@click.option("--prefix", default="", metavar="TEXT", help="Only keys that begin like this.")
@click.option("-n", "--limit", default=_LIMIT, show_default=True, help="So many entries at most.")
@json_option
@db_option
def search(
    namespace: str,
    words: Sequence[str],
    where: Sequence[str],
    prefix: str,
    limit: int,
    as_json: bool,
    db: str | None,
) -> None:
    """Find entries, those that were changed last first.

    Each of the WORDS occurs in the key, or in the texts, numbers and names of fields of the value. A VALUE is JSON
    if it can be read as that, else text.
    """
    from clew.cli.inputs import read_value
    from clew.cli.options import pairs

    fields = {name: read_value(text) for name, text in pairs(where, "--where").items()}
    wanted = {"text": " ".join(words), "where": fields, "prefix": prefix, "limit": limit}
    _list(existing(db), namespace, as_json=as_json, **wanted)


@command.command(name="store", short_help="Store a value, whatever was there.")
@namespace_argument
@key_argument
@click.argument("value", metavar="VALUE")
@by_option
@json_option
@db_option
def store(namespace: str, key: str, value: str, by: str | None, as_json: bool, db: str | None) -> None:
    """Store a value, whatever was there. VALUE is JSON if it can be read as that, else text."""
    from clew.cli.inputs import read_value
    from clew.cli.telling import print_json, say

    content = read_value(value)
    existed = _ask(existing(db), lambda engine: engine.memory(namespace).store(key, content, by=who(by)))
    if as_json:
        print_json({"namespace": namespace, "key": key, "existed": existed})
    else:
        before = " in the place of what was there" if existed else ""
        say(f"{key} was stored in the memory {namespace}{before}")


@command.command(name="delete", short_help="Delete entries.")
@namespace_argument
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@by_option
@json_option
@db_option
def delete(namespace: str, keys: Sequence[str], by: str | None, as_json: bool, db: str | None) -> int:
    """Delete entries. A key that is not there is told, and the exit code is then 4."""
    url = existing(db)
    from clew.cli.telling import print_json, say

    async def work(engine: Engine) -> list[tuple[str, bool]]:
        return [(key, await engine.memory(namespace).delete(key, by=who(by))) for key in keys]

    found = _ask(url, work)
    if as_json:
        print_json([{"namespace": namespace, "key": key, "existed": was} for key, was in found])
    else:
        for key, was in found:
            say(f"{key} of the memory {namespace} {'was deleted' if was else 'is not there'}")
    return exits.COMPLETED if all(was for _, was in found) else exits.NOT_FOUND


@command.command(name="changes", short_help="List what a run has changed, and what was there before.")
@run_argument
@json_option
@db_option
def changes(run: str, as_json: bool, db: str | None) -> None:
    """List what a run has changed in the memory, in order, and what was there before.

    What was undone has no value before any more.
    """
    url = existing(db)
    import msgspec

    from clew.cli.telling import print_json, say

    async def work(engine: Engine) -> tuple[str, list[MemoryEdit]]:
        row = await find_run(engine, run)
        return row.run, await engine.memory.edits(row.run)

    name, found = _ask(url, work)
    if as_json:
        print_json([msgspec.structs.asdict(each) for each in found])
        return
    if not found:
        say(f"run {name} has changed nothing in the memory")
        return
    from clew.cli.words import moment, plain

    head = ["WHAT", "NAMESPACE", "KEY", "AT", "BY", "BEFORE"]
    _print_table(
        head,
        [
            [
                f"{each.operation}, undone" if each.undone else each.operation,
                *(plain(each.namespace), plain(each.key), moment(each.at)),
                plain(f"{each.path}, step {each.step}" if each.step else each.path),
                _short(each.before) if each.existed and not each.undone else "",
            ]
            for each in found
        ],
    )


def _list(url: str, namespace: str, *, as_json: bool, **wanted: Any) -> None:
    from clew.cli.telling import print_json, say

    found = _ask(url, lambda engine: engine.memory(namespace).search(**wanted))
    if as_json:
        print_json([_document(each) for each in found])
        return
    if not found:
        say(f"nothing is found in the memory {namespace}")
        return
    from clew.cli.words import moment, plain

    head = ["KEY", "CHANGED", "BY", "VALUE"]
    rows = [[plain(each.key), moment(each.updated_at), plain(each.by), _short(each.value)] for each in found]
    _print_table(head, rows)
    if len(found) == wanted["limit"]:
        say("there may be more; say --limit")


def _short(value: object) -> str:
    from clew import codec
    from clew.cli.words import plain, shortened

    return shortened(plain(codec.encode(value).decode()), _SHORT)


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.text import Text

    from clew.cli.columns import console, in_columns, print_lines

    lines: list[list[str | Text]] = [[Text(row[0], "bold"), *row[1:]] for row in rows]
    print_lines(console(), in_columns([[Text(cell, "bright_black") for cell in head], *lines]))


def _document(entry: MemoryEntry) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(entry)


def _ask(url: str, work: Callable[[Engine], Awaitable[T]]) -> T:
    from clew.engine.engine import Engine

    async def asking() -> T:
        async with Engine(url, drives=False) as engine:
            return await work(engine)

    return asyncio.run(asking())
