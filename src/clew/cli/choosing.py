"""Which nodes of a board are worth a line when there are more nodes than lines.

If all fit they stand in the order of the graph and never move. Otherwise: who is under way, then what failed,
who is tried again or waits, and what ended last; all others are only counted. The work is in proportion to the
lines, not to the graph. Of a state graph the last steps are shown, and what is under way in the last one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from clew.cli.board import Board, shown_as
from clew.cli.undoing import undone_by
from clew.kernel.states import UNDER_WAY, NodeState
from clew.kernel.topology import Node
from clew.kernel.visits import Group, Scope, Visit, Walk

#: Members under way that are looked at per frame.
_LOOKED_AT = 500
#: Members of one map or sub-graph that are shown besides each other.
_PER_GROUP = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One node to show; `visit` is None before its turn has come, `depth` 1 is a member of the line above."""

    name: str
    node: Node
    visit: Visit | None
    state: NodeState
    depth: int = 0


def choose(board: Board, limit: int) -> tuple[list[Line], Counter[NodeState]]:
    """The lines to show, at most `limit`, and how many nodes of each state are not among them."""
    nodes = board.run.topology.nodes
    if len(nodes) <= limit:
        lines = [_row(board, node) for node in nodes]
        return _with_members(board, lines, limit - len(lines)), Counter()
    rows = [*_most_telling(board, limit - 1)]
    lines = [_row(board, visit.node) for visit in rows]
    hidden = Counter(board.counts)
    hidden.subtract(shown_as(line.state) for line in lines)
    return _with_members(board, lines, limit - 1 - len(lines)), +hidden


def choose_steps(board: Board, limit: int) -> tuple[list[Line], int]:
    """The last steps of a state graph, at most `limit` lines, and how many earlier ones are not shown."""
    root = board.run.root
    if root is None or not root.members:
        return [], 0
    last = root.members[-1]
    assert last is not None
    inside = [*islice(_inside(board, last), limit // 2)]
    room = limit - len(inside)
    first = 0
    if len(root.members) > room:
        first = len(root.members) - max(1, room - 1)
    earlier = first if room > 1 else 0  # there is no line to say it in
    return [*map(_step, filter(None, root.members[first:])), *inside], earlier


def choose_undoing(board: Board, limit: int) -> tuple[list[Line], Counter[NodeState]]:
    """The compensations to show, at most `limit`, and how many of each state are not among them."""
    undoing, visits = board.run.undoing, board.compensations
    assert undoing is not None
    if len(visits) <= limit:
        return [*map(_compensation, visits)], Counter()
    live = [visit for visit in islice(board.live.values(), _LOOKED_AT) if visit.undoes is not None]
    failed = [visit for index in undoing.failed if (visit := undoing.members[index]) is not None]
    shares = _shares(limit - 1, [len(live), len(failed)])
    shown = [*live[: shares[0]], *failed[::-1][: shares[1]]]
    settled = undoing.settled - len(failed)
    hidden = Counter(
        {
            NodeState.COMPLETED: settled,
            NodeState.FAILED: len(failed),
            NodeState.RUNNING: len(live),
            NodeState.PENDING: len(visits) - undoing.settled - len(live),
        }
    )
    hidden.subtract(shown_as(visit.state) for visit in shown)
    return [*map(_compensation, shown)], +hidden


def _compensation(visit: Visit) -> Line:
    return Line(undone_by(visit), visit.node, visit, visit.state)


def _step(visit: Visit, depth: int = 0, above: str = "") -> Line:
    return Line(visit.path.removeprefix(above).lstrip("/"), visit.node, visit, visit.state, depth)


def _inside(board: Board, visit: Visit) -> Iterator[Line]:
    """What is in a step that is under way: the branches, the last steps, or the items that are."""
    group = visit.inner
    if visit.state not in UNDER_WAY or group is None:
        return
    if isinstance(group, Walk):
        yield from (_step(each, 1, visit.path) for each in group.members[-_PER_GROUP:] if each is not None)
    elif isinstance(group, Scope) and len(group.members) <= _PER_GROUP:
        yield from (_member(group, node) for node in group.topology.nodes)
    else:
        live = islice(board.live.values(), _LOOKED_AT)
        yield from (_step(each, 1, visit.path) for each in live if board.row_of(each) is visit)


def _member(group: Scope, node: Node) -> Line:
    return Line(node.spec.id, node, group.members[node.index], group.member_state(node.index), 1)


def _row(board: Board, node: Node) -> Line:
    root: Group | None = board.run.root
    visit = root.members[node.index] if root is not None else None
    state = root.member_state(node.index) if root is not None else NodeState.PENDING
    return Line(node.spec.id, node, visit, state)


def _most_telling(board: Board, limit: int) -> Iterator[Visit]:
    running, failed, retrying, waiting = (
        board.rows[state] for state in (NodeState.RUNNING, NodeState.FAILED, NodeState.RETRYING, NodeState.WAITING)
    )
    shares = _shares(limit, [len(running), len(failed), len(retrying), len(waiting)])
    yield from islice(running.values(), shares[0])
    yield from islice(reversed(failed.values()), shares[1])
    yield from islice(retrying.values(), shares[2])
    yield from islice(waiting.values(), shares[3])
    yield from islice(reversed(board.recent), max(0, limit - sum(shares)))


def _shares(limit: int, wanted: list[int]) -> list[int]:
    """How many lines each sort gets: half of what is left, more if those after it need less."""
    shares: list[int] = []
    for place, want in enumerate(wanted):
        left = limit - sum(shares)
        others = sum(wanted[place + 1 :])
        shares.append(min(want, max(left - others, (left + 1) // 2)))
    return shares


def _with_members(board: Board, lines: list[Line], spare: int) -> list[Line]:
    """Put members of groups that are under way below their groups, as long as there is room."""
    groups = {line.visit.path: line for line in lines if line.visit is not None and line.visit.inner is not None}
    open_groups = sum(line.state is NodeState.RUNNING for line in groups.values())
    if spare <= 0 or not open_groups:
        return lines
    each = max(1, min(_PER_GROUP, spare // open_groups))
    members: dict[str, list[Line]] = {}
    for path, line in _members(board, islice(board.live.values(), _LOOKED_AT)):
        if spare and path in groups and len(members.setdefault(path, [])) < each:
            members[path].append(line)
            spare -= 1
    return [each for line in lines for each in (line, *(members.get(line.visit.path, ()) if line.visit else ()))]


def _members(board: Board, visits: Iterable[Visit]) -> Iterator[tuple[str, Line]]:
    for visit in visits:
        row = board.row_of(visit)
        if row is not visit:
            yield row.path, Line(visit.path.removeprefix(row.path).lstrip("/"), visit.node, visit, visit.state, 1)
