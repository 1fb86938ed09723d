"""Addresses of visits: paths in which every segment carries its item and visit number.

``research#2/summarise[k]`` is the item k of the map `summarise` inside the second visit of `research`. A first
visit is written without ``#1``. Item keys are free text; brackets, ``#``, ``%`` and line ends in them are escaped
as in URLs. A slash is not: inside of brackets it parts nothing, and keys are often the paths of files.
"""

from __future__ import annotations

_ESCAPES = str.maketrans({c: f"%{ord(c):02X}" for c in "%[]#\n"})


def escape(text: str) -> str:
    """Free text as a part of an address."""
    return text.translate(_ESCAPES)


def child(scope: str, node: str) -> str:
    """The address of `node` in the group at `scope` (empty for the run's own graph)."""
    return f"{scope}/{node}" if scope else node


def item(path: str, key: str) -> str:
    """The address of the item `key` of the map at `path`."""
    return f"{path}[{escape(key)}]"
