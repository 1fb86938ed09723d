"""The barriers of a run as people see them: which there are, and what is decided on at one that waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from clew.cli.waits import told_left
from clew.cli.words import count, duration, moment, plain
from clew.engine.status import OpenBarrier
from clew.kernel import addresses
from clew.kernel.topology import Topology

#: Characters up to which a value stands in one line.
_LINE = 100


def barriers_of(topology: Topology) -> dict[str, Topology]:
    """The barriers of a graph and all that is in it, by address, each with the state graph that it decides on."""
    return dict(_barriers(topology, topology, ""))


def _barriers(topology: Topology, walk: Topology, above: str) -> Iterator[tuple[str, Topology]]:
    walk = topology if topology.routing is not None else walk
    for node in topology.nodes:
        path = addresses.child(above, node.spec.id)
        if node.spec.barrier is not None:
            yield path, walk
        if node.inner is not None:
            yield from _barriers(node.inner, walk, path)


def key_types(walk: Topology) -> dict[str, str]:
    """The keys of a state graph, with their types as people write them."""
    return {} if walk.routing is None else {name: key.type for name, key in walk.routing.keys.items()}


def barrier_lines(barrier: OpenBarrier, now: float, limit: int) -> list[str]:
    """What a barrier waits for and shows, with its age and the end of its time.

    Args:
        barrier: it waits.
        now: seconds since the epoch.
        limit: lines of one value; of the others it is told how many they are.
    """
    lines = [*map(plain, barrier.text.splitlines())]
    if not barrier.shows:
        lines.append("(it shows nothing: what it is to show was not written yet)")
    width = max(map(len, barrier.shows), default=0)
    for key, value in barrier.shows.items():
        found = value_lines(value)
        lines.append(f"{plain(key):<{width}}  {found[0]}" if len(found) == 1 else f"{plain(key)}:")
        if len(found) > 1:
            more = len(found) - limit
            lines += [f"  {line}" for line in found[:limit]]
            lines += [f"  … and {count(more, 'more line')}"] if more > 0 else []
    return [*lines, asked_when(barrier, now)]


def asked_when(barrier: OpenBarrier, now: float) -> str:
    """Since when a barrier waits, and until when."""
    asked = f"asked {duration(max(0.0, now - barrier.since))} ago"
    if barrier.due is None:
        return asked
    return f"{asked}, until {moment(barrier.due)} ({told_left(barrier.due, now)}), then: {barrier.default}"


def value_lines(value: Any) -> list[str]:
    """A value as people read it: text as text, everything else as JSON."""
    if isinstance(value, str):
        return [plain(line) for line in value.splitlines()] or ['""']
    compact = json.dumps(value, ensure_ascii=False)
    text = compact if len(compact) <= _LINE else json.dumps(value, ensure_ascii=False, indent=2)
    return [plain(line) if not line.startswith(" ") else _indented(line) for line in text.splitlines()]


def _indented(line: str) -> str:
    stripped = line.lstrip(" ")
    return " " * (len(line) - len(stripped)) + plain(stripped)


def document(barrier: OpenBarrier) -> dict[str, Any]:
    """A barrier that waits, as data."""
    return msgspec.to_builtins(barrier)
