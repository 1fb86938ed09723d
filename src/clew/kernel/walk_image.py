"""What a snapshot holds of a state graph besides its visits."""

from __future__ import annotations

import msgspec

from clew.kernel.cells import copied
from clew.kernel.values import Cell
from clew.kernel.visits import Walk
from clew.kernel.writes import Write


class WalkImage(msgspec.Struct, omit_defaults=True):
    """What only a state graph has; see `visits.Walk`."""

    cells: dict[str, Cell]
    entered: bool
    done: bool
    routed: bool
    visited: list[int]
    taken: dict[int, int]
    goto: str | None = None
    wants_fallback: bool = False
    steps_before: int = 0
    writes: list[Write] | None = None


def image_of_walk(walk: Walk) -> WalkImage:
    """The facts of a state graph."""
    return WalkImage(
        cells={name: copied(cell) for name, cell in walk.cells.items()},
        entered=walk.entered,
        done=walk.done,
        routed=walk.routed,
        visited=walk.visited.copy(),
        taken=walk.taken.copy(),
        goto=walk.goto,
        wants_fallback=walk.wants_fallback,
        steps_before=walk.steps_before,
        writes=walk.writes.copy() if walk.writes is not None else None,
    )


def fill_walk(walk: Walk, data: WalkImage) -> None:
    """Take over what an image tells; the visits come after it."""
    walk.cells = dict(data.cells)
    walk.size = 2 + sum(cell.size for cell in walk.cells.values())
    walk.entered, walk.done, walk.routed = data.entered, data.done, data.routed
    walk.goto, walk.wants_fallback = data.goto, data.wants_fallback
    walk.visited, walk.taken = data.visited.copy(), data.taken.copy()
    walk.steps_before = data.steps_before
    walk.writes = list(data.writes) if data.writes is not None else None
