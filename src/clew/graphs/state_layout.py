"""Where the boxes and edges of a state graph are: columns by the longest way from the start, loops led below.

An edge that leads on goes through the columns between as in other graphs. One that leads back (found by a search
in depth from the start) leaves its box to the right, goes down beside it, back below everything in between, up,
and into its target from the left; so every arrow enters from the left. Those that lead back are nested, the
shortest innermost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clew.graphs.layout import Layout, arrange

_LABELLED, _BARE = 17.0, 10.0
_LANE = 13.0


@dataclass(slots=True)
class Line:
    """One or several edges from one box to another, drawn as one.

    Attributes:
        source: number of the box that it leaves.
        target: number of the box that it leads to.
        fallback: it is taken only when something went wrong.
        labels: what is written at it.
        way: its vertices from source to target; empty if it leads back.
        lane: of one that leads back, the height below the boxes at which it does, in pixels.
        leaves: where it leaves its box, in pixels from the middle of that.
        enters: where it enters its box.
    """

    source: int
    target: int
    fallback: bool
    labels: list[str] = field(default_factory=list[str])
    way: list[int] = field(default_factory=list[int])
    lane: float = 0.0
    leaves: float = 0.0
    enters: float = 0.0

    @property
    def leads_back(self) -> bool:
        """Whether it leads to a column that is not after its own."""
        return not self.way


@dataclass(slots=True)
class Placed:
    """Where everything is, from top to bottom; where columns are from left to right is up to who draws."""

    layout: Layout
    lines: list[Line]
    height: float


def place(count: int, lines: Sequence[Line], heights: Sequence[float], *, gap: float) -> Placed:
    """Place the boxes of a state graph.

    Args:
        count: how many boxes there are; the first is the start, the last is the end.
        lines: between them; their places are filled in.
        heights: what each box needs for itself, in pixels; more, if many lines touch it.
        gap: least distance between two in a column, in pixels.
    """
    back = _leading_back(count, lines)
    layers = _layers(count, [line for line in lines if id(line) not in back])
    heights = [max(height, _touched(i, lines)) for i, height in enumerate(heights)]
    onward = [line for line in lines if id(line) not in back]
    pairs = list(dict.fromkeys((line.source, line.target) for line in onward))
    layout = arrange(layers, heights, pairs, gap=gap)
    ways = dict(zip(pairs, layout.edges, strict=True))
    for line in onward:
        line.way = ways[line.source, line.target]
    bottom = _lead_below(layout, [line for line in lines if line.leads_back])
    for i in range(count):
        _give_ports(layout, i, lines)
    return Placed(layout, list(lines), bottom)


def _leading_back(count: int, lines: Sequence[Line]) -> set[int]:
    """Which lines lead back, by a search in depth from the start (and from what that does not reach)."""
    leaving: dict[int, list[Line]] = {}
    for line in lines:
        leaving.setdefault(line.source, []).append(line)
    back: set[int] = set()
    done: set[int] = set()
    for root in range(count):
        open_: dict[int, int] = {root: 0} if root not in done else {}
        while open_:
            at = next(reversed(open_))
            out = leaving.get(at, [])
            if open_[at] == len(out):
                done.add(at)
                del open_[at]
                continue
            line = out[open_[at]]
            open_[at] += 1
            if line.target in open_:
                back.add(id(line))
            elif line.target not in done:
                open_[line.target] = 0
    return back


def _layers(count: int, onward: list[Line]) -> list[int]:
    """The column of each box: the longest way from the start; the end is last."""
    waits = [0] * count
    leaving: dict[int, list[int]] = {}
    for line in onward:
        waits[line.target] += 1
        leaving.setdefault(line.source, []).append(line.target)
    layers = [0 if i == 0 else 1 for i in range(count)]
    ready = [i for i in range(count) if waits[i] == 0]
    for at in ready:
        for target in leaving.get(at, ()):
            layers[target] = max(layers[target], layers[at] + 1)
            waits[target] -= 1
            if waits[target] == 0:
                ready.append(target)
    layers[-1] = max(layers[-1], *(layer + 1 for layer in layers[:-1]))
    return layers


def _touched(box: int, lines: Sequence[Line]) -> float:
    """The height that the lines at a box need."""
    leaving = [line for line in lines if line.source == box]
    entering = sum(line.target == box for line in lines)
    return max((len(leaving) - 1) * _apart(leaving), (entering - 1) * _BARE) + 26.0


def _apart(leaving: Sequence[Line]) -> float:
    return _LABELLED if any(line.labels for line in leaving) else _BARE


def _lead_below(layout: Layout, back: list[Line]) -> float:
    """Give each line that leads back a lane below all that it passes; returns the lower end of everything."""
    bottoms = [
        max((layout.vertices[v].y + layout.vertices[v].height / 2 for v in column), default=0.0)
        for column in layout.columns
    ]
    lanes: list[tuple[int, int, float]] = []
    for line in sorted(back, key=lambda line: _span(layout, line)):
        first, last = layout.vertices[line.target].layer, layout.vertices[line.source].layer
        above = [y for low, high, y in lanes if low <= last + 1 and high >= first - 1]
        line.lane = max([*(b + _LANE for b in bottoms[first : last + 1]), *(y + _LANE for y in above)])
        lanes.append((first, last, line.lane))
    return max([*bottoms, *(y for _, _, y in lanes)], default=0.0)


def _span(layout: Layout, line: Line) -> int:
    return layout.vertices[line.source].layer - layout.vertices[line.target].layer


def _give_ports(layout: Layout, box: int, lines: Sequence[Line]) -> None:
    """Spread the lines at a box over its sides, in the order in which they do not cross."""

    def next_to(line: Line, *, leaving: bool) -> tuple[bool, float]:
        if line.leads_back:
            return True, -line.lane
        return False, layout.vertices[line.way[1 if leaving else -2]].y

    leaving = sorted((x for x in lines if x.source == box), key=lambda x: next_to(x, leaving=True))
    entering = sorted((x for x in lines if x.target == box), key=lambda x: next_to(x, leaving=False))
    for i, line in enumerate(leaving):
        line.leaves = (i - (len(leaving) - 1) / 2) * _apart(leaving)
    for i, line in enumerate(entering):
        line.enters = (i - (len(entering) - 1) / 2) * _BARE
