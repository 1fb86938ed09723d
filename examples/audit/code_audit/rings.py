"""Parts of the import graph as drawings: the files on a ring, each import a curve through its inside."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin, sqrt

import msgspec

from code_audit.model import Cycle, ImportGraph

SIZE = 620
_CORE_FILES = 40
#: A smaller cycle is understood from its list, a larger one is a hairball.
_DRAWN_CYCLES = range(6, 61)
_LABEL_GAP = 12
_LETTER = 5.6  #: width of a label's letter, about
_LEAST_RADIUS, _MOST_RADIUS = 120, 230


class RingNode(msgspec.Struct, frozen=True, kw_only=True):
    """A file on the ring; its label is turned outwards, and over on the left half, so that it can be read."""

    file: str
    label: str
    x: float
    y: float
    size: float
    label_x: float
    label_y: float
    turn: float
    anchor: str


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """One drawing: nodes, and the SVG paths of the imports."""

    title: str
    nodes: list[RingNode]
    paths: list[str]


def draw_rings(graph: ImportGraph) -> list[Ring]:
    """Draw the core of the import graph and its largest cycle, as far as there is something to see."""
    rings = [_draw_core(graph), *(_draw_cycle(cycle, graph) for cycle in graph.cycles[:1])]
    return [ring for ring in rings if ring is not None]


def _draw_core(graph: ImportGraph) -> Ring | None:
    by_importers = sorted(graph.modules, key=lambda file: (-graph.modules[file].fan_in, file))
    core = sorted(file for file in by_importers[:_CORE_FILES] if graph.modules[file].fan_in)
    inside = set(core)
    links = [[file, other] for file in core for other in graph.modules[file].imports if other in inside]
    if len(core) < 3 or not links:
        return None
    return _draw(f"The {len(core)} most imported files, and their imports of each other", core, links, graph)


def _draw_cycle(cycle: Cycle, graph: ImportGraph) -> Ring | None:
    if len(cycle.files) not in _DRAWN_CYCLES:
        return None
    return _draw(f"The largest cycle: {len(cycle.files)} files", cycle.files, cycle.links, graph)


def _draw(title: str, files: Sequence[str], links: Sequence[Sequence[str]], graph: ImportGraph) -> Ring:
    """Lay out files in the order given; alphabetical order keeps folders together."""
    angles = {file: 2 * pi * place / len(files) for place, file in enumerate(files)}
    room = SIZE / 2 - _LABEL_GAP - _LETTER * max(len(_label(file)) for file in files)
    radius = min(max(room, _LEAST_RADIUS), _MOST_RADIUS)
    most = max(graph.modules[file].fan_in for file in files) or 1
    sizes = {file: round(2.5 + 5 * sqrt(graph.modules[file].fan_in / most), 1) for file in files}
    return Ring(
        title=title,
        nodes=[_place(file, angles[file], radius, sizes[file]) for file in files],
        paths=[_curve(angles[importer], angles[imported], radius) for importer, imported in links],
    )


def _label(file: str) -> str:
    """Name a file briefly: by its last two parts, a package by its folder."""
    path = file.removesuffix(".py").removesuffix("/__init__")
    return "/".join(path.split("/")[-2:])


def _place(file: str, angle: float, radius: float, size: float) -> RingNode:
    degrees = angle * 180 / pi
    is_left = 90 < degrees < 270
    x, y = _point(angle, radius)
    label_x, label_y = _point(angle, radius + _LABEL_GAP)
    return RingNode(
        file=file,
        label=_label(file),
        x=x,
        y=y,
        size=size,
        label_x=label_x,
        label_y=label_y,
        turn=round(degrees - 180 if is_left else degrees, 2),
        anchor="end" if is_left else "start",
    )


def _curve(start: float, end: float, radius: float) -> str:
    """Bend an import towards the middle; the two directions between two files bend differently."""
    x1, y1 = _point(start, radius)
    x2, y2 = _point(end, radius)
    bend_x, bend_y = _point(start + 0.25, radius * 0.2)
    return f"M{x1} {y1}Q{bend_x} {bend_y} {x2} {y2}"


def _point(angle: float, radius: float) -> tuple[float, float]:
    return round(SIZE / 2 + radius * cos(angle), 1), round(SIZE / 2 + radius * sin(angle), 1)
