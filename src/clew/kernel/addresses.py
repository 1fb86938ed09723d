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


def visit(path: str, number: int) -> str:
    """The address of the n-th visit of the node at `path`, from 1."""
    return path if number == 1 else f"{path}#{number}"


def segments(path: str) -> list[str]:
    """The parts of an address between slashes; those inside of brackets part nothing."""
    parts: list[str] = []
    depth = start = 0
    for place, char in enumerate(path):
        if char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
        elif char == "/" and depth == 0:
            parts.append(path[start:place])
            start = place + 1
    return [*parts, path[start:]]


def node_of(segment: str) -> str:
    """The node that a part of an address names, without visit and item."""
    return segment.partition("[")[0].partition("#")[0]


def bare(path: str) -> str:
    """The address of a node, without visits and items."""
    return "/".join(map(node_of, segments(path)))


def first_visits(path: str) -> str:
    """The same address as it is written: a first visit is written without its number."""
    parts: list[str] = []
    for segment in segments(path):
        name, bracket, key = segment.partition("[")
        parts.append(name.removesuffix("#1") + bracket + key)
    return "/".join(parts)


def undo(path: str, step: str = "") -> str:
    """The address of what undoes a visit, or a step of it."""
    return item(f"{path}#undo", step) if step else f"{path}#undo"


def undone(path: str) -> str:
    """The address of the visit that a compensation undoes as a whole."""
    return path.removesuffix("#undo")


def all_visits(path: str) -> str:
    """Stands for all visits of the node at a bare address; no visit has this one."""
    return f"{path}#*"
