"""Addresses of visits: paths in which every segment carries its item and visit number.

``research#2/summarise[k]`` is the item k of the map `summarise` inside the second visit of `research`. A first
visit is written without ``#1``. Item keys are free text; the characters that have a meaning here are escaped
with a percent sign, as in URLs.
"""

from __future__ import annotations

_ESCAPES = str.maketrans({c: f"%{ord(c):02X}" for c in "%/[]#\n"})


def escape(text: str) -> str:
    """Free text as a part of an address."""
    return text.translate(_ESCAPES)


def child(scope: str, node: str) -> str:
    """The address of `node` in the group at `scope` (empty for the run's own graph)."""
    return f"{scope}/{node}" if scope else node


def item(path: str, key: str) -> str:
    """The address of the item `key` of the map at `path`."""
    return f"{path}[{escape(key)}]"
