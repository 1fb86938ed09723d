"""Changes of a state as they are typed: ``key=value``, and keys that are taken out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from clew.errors import InvalidInputError

F = TypeVar("F", bound=Callable[..., Any])

set_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Write this to the state, past the reducers. VALUE is JSON if it can be read as that, else text.",
)
delete_option = click.option(
    "--delete", multiple=True, metavar="KEY", help="Take this key out of the state; several times for several."
)


def is_change(word: str) -> bool:
    """Whether a word is ``key=value``, and not an address (in the brackets of which there may be anything)."""
    return "=" in word.partition("[")[0]


def read_changes(texts: Iterable[str], types: Mapping[str, str]) -> dict[str, Any]:
    """What is to be written to a state, by key.

    Args:
        texts: as typed.
        types: of the keys of the state, as people write them; a value for text is text, whatever it looks like.

    Raises:
        InvalidInputError: the state has no such key.
        click.UsageError: it is not ``key=value``.
    """
    from clew.cli.inputs import read_value  # noqa: PLC0415 - only needed when something is changed

    changes: dict[str, Any] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not (key and separator):
            raise click.UsageError(f"{text}: write KEY=VALUE")
        known_key(key, types)
        changes[key] = read_value(value, str if types[key] == "str" else Any)
    return changes


def known_key(key: str, types: Mapping[str, str]) -> str:
    """A key that the state has.

    Raises:
        InvalidInputError: it has none of this name.
    """
    if key not in types:
        from clew.graphs.names import did_you_mean, listed  # noqa: PLC0415 - only needed for a mistake

        near = did_you_mean(key, types) or f"; it has {listed(sorted(types), limit=20, last='and')}"
        raise InvalidInputError(f"the state has no key {key!r}{near}")
    return key
