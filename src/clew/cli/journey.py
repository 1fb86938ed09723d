"""What the steps of state graphs did, as it is told: what each wrote, where the run went on from it, and why.

The folded state of a run does not know it any more, so it is noted while the events go by. A note is a few words;
what was written is kept whole only for who asks for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import msgspec

from clew.cli.judgements import told_decision
from clew.cli.words import count, plain, shortened
from clew.engine.state_changes import Delta, changes_between
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.cells import elements_of
from clew.kernel.definition import Reducer
from clew.kernel.fold import group_at
from clew.kernel.questions import DECISION
from clew.kernel.state import Run
from clew.kernel.values import Cell, Cells, ErrorInfo
from clew.kernel.visits import Items, Visit, Walk
from clew.kernel.walking import contributions

#: Characters of a value in a note, and keys that a note names.
_VALUE, _KEYS = 40, 8


@dataclass(frozen=True, slots=True)
class Route:
    """Where the token of a state graph went from a step.

    Attributes:
        target: the step that it came to; empty for the end.
        why: ``edge``, ``condition``, ``goto``, ``fallback`` or ``reroute``.
        label: of a condition, as people read it.
        asked: of a fallback: the node asked for it.
        error: of a fallback: what went wrong.
    """

    target: str
    why: str
    label: str = ""
    asked: bool = False
    error: ErrorInfo | None = None

    def told(self) -> str:
        """Where and why, in a few words; the error is told elsewhere if it is that of the step."""
        where = plain(self.target) or "END"
        match self.why:
            case "condition":
                return f"{where}, because {plain(self.label) or 'its condition holds'}"
            case "goto":
                return f"{where}, as the node said"
            case "reroute":
                return f"{where}, rerouted"
            case "fallback":
                why = "which it asked for" if self.asked else "as no other edge could be taken"
                if self.error is not None:
                    why = f"because {plain(self.error.message)}" if self.error.type == "limit" else ""
                return f"{where}, the fallback{f', {why}' if why else ''}"
            case _:
                return where


class Journey:
    """Notes of one run.

    Args:
        run: folded by who calls: `before` is called before an event is folded, `take` after it.
        keeps_values: `wrote` is filled as well.

    Attributes:
        routes: by the state graph and the step that the token came from; the start has an empty name.
        notes: what a step wrote, in a line, by its address.
        decisions: what was decided at a barrier, by its address.
        remarks: what somebody did to the state of a state graph, by the step that it was at.
        wrote: what a step changed of its state, by its address.
    """

    def __init__(self, run: Run, *, keeps_values: bool = False) -> None:
        self._run = run
        self._keeps_values = keeps_values
        self.routes: dict[tuple[str, str], Route] = {}
        self.notes: dict[str, str] = {}
        self.decisions: dict[str, str] = {}
        self.remarks: dict[str, list[str]] = {}
        self.wrote: dict[str, dict[str, Delta]] = {}
        self._before: Cells = {}
        self._asked = False

    def route_from(self, visit: Visit) -> Route | None:
        """Where the run went on from a step; None if it has not, and for what is no step."""
        return self.routes.get((visit.group.path, visit.path)) if isinstance(visit.group, Walk) else None

    def before(self, event: e.AnyEvent) -> None:
        """An event is about to be folded."""
        walk = None
        match event:
            case e.NodeCompleted(path=path):
                visit = self._run.visits[path]
                walk = visit.group.walk if visit.group is visit.group.walk else None
            case e.StateChanged(path=path):
                walk = group_at(self._run, path)
            case e.Routed(path=path):
                group = group_at(self._run, path)
                self._asked = isinstance(group, Walk) and group.wants_fallback
            case _:
                return
        if isinstance(walk, Walk):
            self._before = dict(walk.cells)

    def take(self, recorded: Recorded) -> None:
        """An event was folded."""
        event = recorded.event
        match event:
            case e.NodeCompleted(path=path):
                self._completed(self._run.visits[path])
            case e.Routed():
                self._routed(event)
            case e.StateChanged():
                walk = group_at(self._run, event.path)
                assert isinstance(walk, Walk)
                who = f" by {plain(event.by)}" if event.by else ""
                self._remark(walk, f"the state was changed{who}: {brief(self._before, walk.cells)}")
            case e.WaitResolved(key=key) if key == DECISION:
                self.decisions[event.path] = told_decision(event)
            case e.CheckpointTaken() if isinstance(self._run.root, Walk):
                who = f" by {plain(event.by)}" if event.by else ""
                self._remark(self._run.root, f"checkpoint {plain(event.name)}{who}")
            case _:
                pass

    def _remark(self, walk: Walk, text: str) -> None:
        path = walk.last.path if walk.last is not None else walk.path
        self.remarks.setdefault(path, []).append(text)

    def _completed(self, visit: Visit) -> None:
        walk = visit.group.walk
        if walk is None or (isinstance(visit.group, Items) and not self._keeps_values):
            return  # nobody is told of each item
        if visit.group is not walk:
            note = brief_of_branch(visit, walk)
        else:
            note = brief(self._before, walk.cells)
            if self._keeps_values:
                self.wrote[visit.path] = changes_between(self._before, walk.cells)
        if note:
            self.notes[visit.path] = note
        else:
            self.notes.pop(visit.path, None)

    def _routed(self, event: e.Routed) -> None:
        walk = group_at(self._run, event.path)
        assert isinstance(walk, Walk)
        routing = walk.topology.routing
        label = routing.edges[event.edge].label if routing is not None and event.edge >= 0 else ""
        target = walk.last.path if event.target and walk.last is not None else ""
        self.routes[event.path, event.source] = Route(target, event.why, label, self._asked, event.error)


def brief(before: Cells, after: Cells) -> str:
    """How a state differs from the one before, in a line: ``drafts +1, score=0.6``."""
    told = [
        _told_key(key, before.get(key), cell)
        for key, cell in after.items()
        if not _is_same(before.get(key), cell) and not _says_nothing(key, cell)
    ]
    told += [f"{plain(key)} deleted" for key in before if key not in after]
    return _joined(told)


def brief_of_branch(visit: Visit, walk: Walk) -> str:
    """What a branch is to write when all branches have ended, in a line."""
    assert walk.topology.routing is not None
    grown, told = Counter[str](), list[str]()
    for write in contributions(visit, walk):
        reducer = walk.topology.routing.keys[write.key].reducer
        if write.deleted:
            told.append(f"{plain(write.key)} deleted")
        elif reducer is Reducer.APPEND and not write.put:
            grown[write.key] += len(elements_of(write.value))
        elif write.value:
            told.append(f"{plain(write.key)}={short_json(write.value)}")
    return _joined([*(f"{plain(key)} +{number}" for key, number in grown.items()), *told])


def _is_same(before: Cell | None, after: Cell) -> bool:
    """Whether a key has kept its value, also if that was written again."""
    if before is None or before is after:
        return before is after
    return before.size == after.size and bool(after.json) and bytes(before.json) == bytes(after.json)


def _says_nothing(key: str, cell: Cell) -> bool:
    """Whether it is only said that no branch has failed."""
    return key.endswith(".failed") and bytes(cell.json) == b"[]"


def _told_key(key: str, before: Cell | None, after: Cell) -> str:
    name = plain(key)
    if after.items is not None:
        more = after.count - (before.count if before is not None and before.items is not None else 0)
        return f"{name} +{more}" if more > 0 else f"{name}: {count(after.count, 'item')}"
    if after.fields is not None:
        return f"{name}: {count(len(after.fields), 'field')}"
    return f"{name}={short_json(after.json)}"


def short_json(json: msgspec.Raw) -> str:
    """The beginning of a value."""
    # A character of JSON text has four bytes at most.
    text = bytes(memoryview(json)[: 4 * _VALUE]).decode(errors="ignore")
    return shortened(plain(text), _VALUE)


def _joined(told: list[str]) -> str:
    more = [f"and {len(told) - _KEYS} more"] if len(told) > _KEYS else []
    return ", ".join([*told[:_KEYS], *more])
