"""What must hold of every run, told without the kernel's own words where that is possible.

`Witness` follows a machine as a journal does and asserts after each decision; `assert_settled` looks at the end.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from trip_laws import (
    assert_branches_outcome,
    assert_walk_outcome,
    completed_leaves,
    is_kept_as_a_whole,
    still_command,
    still_image,
)

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import snapshot
from clew.kernel.definition import ErrorPolicy, ItemPolicy
from clew.kernel.fold import fold
from clew.kernel.invariants import check
from clew.kernel.machine import Decision, Machine
from clew.kernel.reducing import Rules
from clew.kernel.routes import walks_of
from clew.kernel.state import Run
from clew.kernel.states import SETTLED, NodeState, RunState
from clew.kernel.visits import Group, Items, Scope, Visit, Walk

EVENTS = msgspec.json.Decoder(list[e.AnyEvent])
COMMANDS = msgspec.json.Decoder(list[c.Command])
IMAGE = msgspec.json.Decoder(snapshot.RunImage)


class Segments:
    """Keeps sealed segments as an engine does; `stored` by name."""

    def __init__(self) -> None:
        self.size = 2
        self.stored: dict[str, list[snapshot.VisitImage]] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._of = 1, "digest"

    def image(self, run: Run) -> bytes:
        if (run.generation, run.definition) != self._of:
            self._of = run.generation, run.definition
            self._names.clear()
        return msgspec.json.encode(snapshot.image(run, self))

    def named_by(self, data: snapshot.RunImage) -> dict[str, list[snapshot.VisitImage]]:
        """What has to be read to go on from an image."""
        found: dict[str, list[snapshot.VisitImage]] = {}
        todo = list(snapshot.sealed_in(data))
        while todo:
            path, number, name = todo.pop()
            assert self._names[path, number] == name
            found[name] = self.stored[name]
            todo += snapshot.sealed_in(found[name])
        return found

    def known(self, path: str, segment: int) -> str:
        return self._names.get((path, segment), "")

    def seal(self, path: str, segment: int, visits: list[snapshot.VisitImage]) -> str:
        name = self._names[path, segment] = f"{self._of} {path} {segment}"
        self.stored[name] = msgspec.json.decode(msgspec.json.encode(visits), type=list[snapshot.VisitImage])
        return name


class Witness:
    """Keeps what a journal would keep, and compares the machine with those restored from it.

    Attributes:
        machine: the live one.
        rules: of its state graphs.
        events: all events so far.
        folded: a run folded from the first event on.
        revived: a run folded from a snapshot on.
    """

    def __init__(self, machine: Machine, rules: Rules | None = None) -> None:
        self.machine = machine
        self.rules = rules
        self.events: list[e.AnyEvent] = []
        self.folded = Run("", machine.run.topology)
        self.segments = Segments()
        self.revived = self.copy()

    def copy_sealed(self) -> Run:
        """The live state, out of a snapshot that names what earlier ones have stored."""
        data = IMAGE.decode(self.segments.image(self.machine.run))
        return snapshot.revive(data, self.machine.run.topology, self.segments.named_by(data))

    def copy(self) -> Run:
        """The live state, out of its stored snapshot."""
        data = snapshot.image(self.machine.run)
        return snapshot.revive(IMAGE.decode(msgspec.json.encode(data)), self.machine.run.topology)

    def take_snapshot(self) -> None:
        """From here on, also fold onto a snapshot of now."""
        self.revived = self.copy()

    def observe(self, decision: Decision) -> None:
        """Store the events and assert that all ways to the present state agree."""
        assert_stored_unchanged(decision)
        self.events += decision.events
        for run in (self.folded, self.revived):
            for event in decision.events:
                fold(run, event)
        live = self.machine
        assert check(live.run, able=self.rules is not None or not any(walks_of(live.run))) == []
        expected = description(live)
        for run in (self.folded, self.revived, self.copy(), self.copy_sealed()):
            assert description(Machine(run.topology, run, rules=self.rules)) == expected


def assert_stored_unchanged(decision: Decision) -> None:
    """Events and commands survive being written as JSON."""
    assert EVENTS.decode(msgspec.json.encode(decision.events)) == decision.events
    assert COMMANDS.decode(msgspec.json.encode(decision.commands)) == decision.commands


def description(machine: Machine) -> dict[str, Any]:
    """Everything about a machine that must not depend on how it came to be."""
    run = machine.run
    outstanding = machine.outstanding()
    expanding = {command.path for command in outstanding if isinstance(command, c.ExpandMap)}
    return {
        "image": still_image(snapshot.image(run)),
        "outstanding": Counter(msgspec.json.encode(still_command(command)) for command in outstanding),
        "wake_at": machine.wake_at,
        "ready": {lane: entries for lane in run.ready if (entries := ready_entries(run, lane))},
        "openable": {v.path for v in run.openable if v.state is NodeState.READY} | expanding,
        "timers": {(t.due, t.kind, t.of.path if t.of else "", t.key) for t in run.timers},
        "counts": (run.total, run.settled, run.failed, run.running, run.waiting, run.unopened),
        "receivers": {name: waiting for name in run.receivers if (waiting := receivers(run, name))},
        "key_waits": {(v.path, key) for opened, v, key in run.key_waits if v.open_wait(key, opened)},
        "is_idle": machine.is_idle,
    }


def receivers(run: Run, name: str) -> list[tuple[int, str, str]]:
    """Who still waits for a message, in turn."""
    return sorted((at, v.path, key) for at, v, key in run.receivers[name] if v.open_wait(key, at))


def ready_entries(run: Run, lane: tuple[object, ...]) -> list[tuple[int, int, str]]:
    """What still counts of a queue, in the order in which it will be taken."""
    entries = [
        (priority, order, visit.path)
        for priority, order, visit in run.ready[lane]
        if visit.state is NodeState.READY and visit.order == order
    ]
    return sorted(entries)


def members(group: Group) -> list[tuple[Visit | None, Group]]:
    """All members of a group at any depth, with the group each is in."""
    found: list[tuple[Visit | None, Group]] = []
    for visit in group.members:
        found.append((visit, group))
        if visit is not None and visit.inner is not None:
            found += members(visit.inner)
    return found


def may_start(visit: Visit) -> bool:
    """Whether everything that a visit depends on has settled, in a way that lets it run."""
    if isinstance(visit.group, Walk):
        return visit is visit.group.last
    if isinstance(visit.group, Items):
        source = visit.group.source
        return source is None or source.member_state(visit.index) is NodeState.COMPLETED
    assert isinstance(visit.group, Scope)
    needs = [visit.group.members[need] for need in visit.node.needs]
    return all(need is not None and lets_dependents_run(need) for need in needs)


def lets_dependents_run(need: Visit) -> bool:
    scope = need.group
    assert isinstance(scope, Scope)
    policy = need.node.spec.on_error or scope.topology.spec.on_error
    return need.state is NodeState.COMPLETED or (need.state is NodeState.FAILED and policy is ErrorPolicy.CONTINUE)


def is_whole(visit: Visit | None) -> bool:
    """Whether nothing in a visit is left for a retry to do."""
    if visit is None or visit.state is not NodeState.COMPLETED:
        return False
    if is_kept_as_a_whole(visit) or visit.inner is None:
        return True
    return all(is_whole(member) for member in visit.inner.members)


def kept_by_retry(group: Group) -> set[str]:
    """The completed leaves that a retry of the run must not touch."""
    remade = {index for index, visit in enumerate(group.members) if visit is None}
    changed = {index for index, visit in enumerate(group.members) if not is_whole(visit)}
    for index in group.topology.order if isinstance(group, Scope) else []:
        node = group.topology.nodes[index]
        for need in changed.intersection(node.needs):
            changed.add(index)
            feeder = group.members[need]
            if need == node.fed_by and feeder is not None and feeder.inner is not None and need not in remade:
                continue  # only some of its items are made anew
            remade.add(index)
    source = group.source if isinstance(group, Items) else None
    while source is not None:  # a map over a map over a map ...
        remade |= {index for index, item in enumerate(source.members) if not is_whole(item)}
        source = source.source
    kept: set[str] = set()
    for index, visit in enumerate(group.members):
        if visit is None or index in remade:
            continue
        if is_kept_as_a_whole(visit):
            kept |= completed_leaves(visit)
        elif visit.inner is not None:
            kept |= kept_by_retry(visit.inner)
        elif visit.state is NodeState.COMPLETED:
            kept.add(visit.path)
    return kept


# The end of a run ----------------------------------------------------------------------------------


def assert_settled(run: Run) -> None:
    """A run that has ended left nothing open, and its policies mean what they say."""
    assert run.ended
    assert run.root is not None
    for visit, group in members(run.root):
        if visit is None:
            assert group.stop, f"{group!r} ended with members that never began"
            continue
        assert visit.state in SETTLED, f"{visit!r} is open in a run that has ended"
        assert visit.ended_at is not None
        if visit.state is NodeState.CANCELLED:
            assert group.stop, f"{visit!r} was cancelled for no reason"
        if visit.state is NodeState.SKIPPED:
            assert_cause(run, visit)
        if visit.started_at is None:
            continue  # its members are those of an earlier generation
        assert_outcome(visit.inner, visit.state)
    if isinstance(run.root, Walk):
        assert_walk_outcome(run.root, None)
        failed = not run.root.done
    else:
        failed = assert_graph_outcome(run.root, None)
    if run.root.stop == "cancel":
        assert run.state is RunState.CANCELLED
    elif failed:
        assert run.state is RunState.FAILED
    elif not run.root.stop:
        assert run.state is RunState.COMPLETED


def assert_outcome(group: Group | None, state: NodeState) -> None:
    """A group's owner has settled as its members say."""
    if isinstance(group, Walk):
        assert_walk_outcome(group, state)
    elif group is not None and group.walk is not None:
        assert_branches_outcome(group, state)
    elif isinstance(group, Scope):
        reported = group.reports and not group.stop and state is NodeState.FAILED  # it may not be what is wanted
        assert_graph_outcome(group, None if reported else state)
    elif isinstance(group, Items):
        assert_map_outcome(group, state)


def assert_cause(run: Run, visit: Visit) -> None:
    """Whatever was skipped names what failed, or what was lost with a map that ended early."""
    cause = run.visits[visit.cause]
    assert cause.state in {NodeState.FAILED, NodeState.SKIPPED, NodeState.CANCELLED}, (visit, cause)


def assert_graph_outcome(scope: Scope, state: NodeState | None) -> bool:
    """DG4: what the failures of a graph mean for its other nodes and for itself; whether any counts."""
    counts = False
    for visit in scope.members:
        if visit is None or visit.state is not NodeState.FAILED:
            continue
        policy = visit.node.spec.on_error or scope.topology.spec.on_error
        counts |= policy is not ErrorPolicy.CONTINUE
        if policy is ErrorPolicy.STOP_GRAPH:
            assert scope.stop
        elif policy is ErrorPolicy.SKIP_DOWNSTREAM:
            for index in downstream(scope, visit.index):
                also = [NodeState.CANCELLED] * bool(scope.stop)
                assert scope.member_state(index) in [NodeState.SKIPPED, *also]
    if counts and state is not None:
        assert state in {NodeState.FAILED, NodeState.CANCELLED, NodeState.SKIPPED}
    if not scope.stop:
        for visit in scope.members:
            assert visit is not None
            fed = visit.node.fed_by is not None and visit.inner is not None  # its feeder may fail later
            assert visit.state is NodeState.SKIPPED or fed or may_start(visit)
            assert visit.state is not NodeState.SKIPPED or not may_start(visit)
    if not counts and not scope.stop and state is not None:
        assert state is NodeState.COMPLETED
    return counts


def assert_map_outcome(items: Items, state: NodeState) -> None:
    """What the failures of items mean for their map."""
    spec = items.node.spec.map
    assert spec is not None
    if items.failed and spec.on_item_error is ItemPolicy.FAIL_FAST:
        assert items.stop
        assert state in {NodeState.FAILED, NodeState.CANCELLED, NodeState.SKIPPED}
    elif not items.stop:
        assert state is NodeState.COMPLETED
    if state is NodeState.COMPLETED:
        assert all(visit is not None and visit.state is not NodeState.CANCELLED for visit in items.members)


def is_fed(scope: Scope, index: int) -> bool:
    return scope.topology.nodes[index].fed_by is not None


def downstream(scope: Scope, index: int) -> set[int]:
    """All nodes that depend on a node, at any distance; not through a fed map that had failed before."""
    found: set[int] = set()
    todo = [index]
    while todo:
        at = todo.pop()
        direct = {node.index for node in scope.topology.nodes if at in node.needs} - found
        direct = {i for i in direct if scope.member_state(i) is not NodeState.FAILED or not is_fed(scope, i)}
        found |= direct
        todo += direct
    return found
