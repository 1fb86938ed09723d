"""What `clew show` tells of state graphs: what steps wrote, where the run went on, the state, early decisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.text import Text

from clew import codec
from clew.cli.board import Board
from clew.cli.columns import in_columns
from clew.cli.journey import Journey
from clew.cli.judgements import judgement_of, told_judgement
from clew.cli.words import count, plain, shortened
from clew.engine.state_changes import Delta
from clew.kernel.cells import plain as plain_state
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.values import Cells
from clew.kernel.visits import Scope, Visit, Walk
from clew.kernel.walking import contributions

#: Characters of a value in one line, and keys of a state that are listed, unless everything is asked for.
SHORT, KEYS = 80, 40

_DIM = "bright_black"


def kind_of(visit: Visit, kind: str) -> str:
    """What a step is, for people; `kind` is what `status.NodeStatus` says."""
    graph = visit.node.spec.graph
    if graph is None or not (graph.branches or graph.routes is not None):
        return kind
    return kind.replace("graph", "parallel" if graph.branches else "state graph")


def told_steps(board: Board) -> str:
    """How many steps a state graph has made."""
    walk, routing = board.run.root, board.run.topology.routing
    if not isinstance(walk, Walk) or routing is None:
        return ""
    return f"{count(len(walk.members), 'step')} of at most {walk.steps_before + routing.spec.max_steps:,}; "


def told_step(journey: Journey, visit: Visit) -> str:
    """What a step did: what was decided at it, or what it wrote."""
    return journey.decisions.get(visit.path) or journey.notes.get(visit.path, "")


def under_step(board: Board, path: str, *, always: bool = False) -> Iterator[Text]:
    """What stands below a step: what people did there, and where the run went on, if that was not its only way."""
    visit = board.run.visits.get(path)
    indent = "     " + "  " * path.count("/")
    for remark in board.journey.remarks.get(path, ()):
        yield Text(f"{indent}{remark}", "blue")
    route = board.journey.route_from(visit) if visit is not None else None
    if route is not None and (always or route.why != "edge"):
        style = "yellow" if route.why == "fallback" else _DIM
        yield Text(f"{indent}→ {route.told()}", style)


def state_lines(cells: Cells, *, full: bool) -> list[Text]:
    """A state, one line for each key."""
    if not cells:
        return [Text(), Text("state: empty")]
    rows = [[Text(f"  {plain(key)}", "bold"), Text(told_value(bytes(c.text()), full))] for key, c in cells.items()]
    shown = rows if full else rows[:KEYS]
    lines = [Text(), Text("state:"), *in_columns(shown)]
    if len(rows) > len(shown):
        lines.append(Text(f"  … and {count(len(rows) - len(shown), 'more key')}; --full shows all", _DIM))
    return lines


def told_value(json: bytes, full: bool) -> str:
    """A value in one line; of a list that does not fit, how long it is."""
    text = plain(json.decode())
    if full or len(text) <= SHORT:
        return text
    size = f"{count(len(codec.decode(json)), 'item')}: " if text.startswith("[") else ""
    return f"{size}{shortened(text, SHORT - len(size))}"


def early_lines(run: Run) -> list[Text]:
    """Decisions that were given before they are asked for, and those that hold each time."""
    if not run.kept or run.ended:
        return []
    lines = [Text(), Text("decided before it is asked for:")]
    for address, kept in run.kept.items():
        when = "each time" if kept.standing else "when it is reached"
        path = plain(address.removesuffix("#*"))
        told = told_judgement(judgement_of(kept.value), kept.by)
        lines.append(Text.assemble("  ", (path, "bold"), f" {told}, {when}"))
    return lines


def early_document(run: Run) -> list[dict[str, Any]]:
    """The same as data."""
    return [
        {
            "barrier": address.removesuffix("#*"),
            "standing": kept.standing,
            "by": kept.by,
            **msgspec.json.decode(kept.value.json),
        }
        for address, kept in run.kept.items()
    ]


def state_of(visit: Visit | None, run: Run) -> dict[str, Any] | None:
    """The state of a run's state graph, or of a step that is one, as plain data; None if it has none."""
    walk = run.root if visit is None else visit.inner
    return plain_state(walk.cells) if isinstance(walk, Walk) else None


def wrote_lines(journey: Journey, visit: Visit, *, full: bool) -> list[Text]:
    """What a step wrote to the state, key by key; of a branch, what it wrote for when all have ended."""
    told = [f"{plain(key)}{_told_delta(delta, full)}" for key, delta in journey.wrote.get(visit.path, {}).items()]
    later = ""
    if visit.group.walk is not None and visit.group is not visit.group.walk:
        later = " (put together with what the other branches wrote)"
        told = [
            f"{plain(write.key)}{' deleted' if write.deleted else f': {told_value(bytes(write.value), full)}'}"
            for write in contributions(visit, visit.group.walk)
        ]
    return [Text(), Text(f"wrote{later}:"), *(Text(f"  {line}") for line in told)] if told else []


def _told_delta(delta: Delta, full: bool) -> str:
    if delta.deleted:
        return " deleted"
    if delta.items is not msgspec.UNSET:
        cut = f" (in place of {count(delta.cut, 'item')} from {delta.at} on)" if delta.cut else ""
        return f" + {told_value(codec.encode(delta.items), full)}{cut}"
    if delta.fields is not msgspec.UNSET:
        gone = f", without {plain(', '.join(delta.removed))}" if delta.removed else ""
        return f": {told_value(codec.encode(delta.fields), full)}{gone}"
    return f" = {told_value(codec.encode(delta.value), full)}"


def step_document(journey: Journey, visit: Visit) -> dict[str, Any]:
    """What a step wrote and where the run went on from it, as data; of what is no step, nothing."""
    if not isinstance(visit.group, Walk):
        return {}
    told: dict[str, Any] = {"wrote": msgspec.to_builtins(journey.wrote.get(visit.path, {}))}
    route = journey.route_from(visit)
    if route is not None:
        told["route"] = {"target": route.target, "why": route.why, "label": route.label}
        if route.error is not None:
            told["route"]["error"] = msgspec.to_builtins(route.error)
    return told


def told_members(visit: Visit | None, members: dict[str, int]) -> str:
    """How the members of a group stand; of a state graph, how many steps it has made."""
    if visit is not None and isinstance(visit.inner, Walk) and visit.state is NodeState.COMPLETED:
        return count(len(visit.inner.members), "step")
    told = ", ".join(f"{number:,} {state}" for state, number in members.items())
    if visit is not None and isinstance(visit.inner, Scope) and visit.inner.topology.spec.branches:
        return f"branches: {told}"
    return told
