"""Folding a change of the definition: what has ended stays as it was, what goes on is as the new one says.

The events before the change are those of the old definition and are folded with it. The change itself is made on
the image of the run: its visits are handed over to the nodes of the new definition, and what a snapshot derives is
derived again. A visit that has ended stays with the node that it was made of, if that is not the same any more:
`Run.former` keeps these nodes. Only the visit that the token is at, and what is in it, is handed over to a changed
node.
"""

from __future__ import annotations

from typing import NamedTuple

from clew.kernel import addresses
from clew.kernel import events as e
from clew.kernel.cells import whole
from clew.kernel.definition import KeySpec, NodeSpec, OnInterrupt
from clew.kernel.errors import UnfitDefinitionError
from clew.kernel.routing import Routing
from clew.kernel.snapshot import GroupImage, RunImage, VisitImage, image, refill
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.topology import Node, Topology, compile_graph
from clew.kernel.values import Cells
from clew.kernel.visits import Walk

#: A visit in one of these has become what it is by its node.
_HAS_FORM = frozenset({NodeState.RUNNING, NodeState.WAITING, NodeState.STOPPING, NodeState.COMPLETED})
#: Declarations by which a lost attempt is not simply made again.
_DOUBTFUL = frozenset({OnInterrupt.PROBE, OnInterrupt.ASK})


class _State(NamedTuple):
    """The state of a state graph, and the keys that it has by the new definition."""

    cells: Cells
    keys: dict[str, KeySpec]


def definition_changed(run: Run, event: e.DefinitionChanged) -> None:
    """The run goes on with another definition."""
    topology = compile_graph(event.spec)
    data = rebound(run, topology, event.at)
    data.graph, data.definition = event.graph, event.definition
    refill(run, data, topology, {})
    run.snapshot_seq = 0  # of those that there are, none is of this definition


def rebound(run: Run, topology: Topology, at: float) -> RunImage:
    """What becomes of a run of a state graph with another definition, from the time `at` on; it is not changed.

    Raises:
        UnfitDefinitionError: it cannot go on with it.
    """
    data = image(run)
    if not isinstance(run.root, Walk) or topology.routing is None:
        raise UnfitDefinitionError("only a run of a state graph can go on with a changed graph, of the same kind")
    assert data.root is not None
    rebinding = _Rebinding(run.former, at)
    rebinding.walk(data.root, run.topology, topology, None)
    data.former = tuple(rebinding.former)
    data.due = _due(run, topology, at)
    return data


def _due(run: Run, topology: Topology, at: float) -> float | None:
    """The end of the run's time limit; the time that it has had counts."""
    before, after = run.topology.spec.timeout_s, topology.spec.timeout_s
    if run.timeout_s is not None or before == after:
        return run.due
    since = run.due - before if run.due is not None and before is not None else at
    return since + after if after is not None else None


class _Rebinding:
    """Hands the images of groups and visits over to another definition, all that is in them included.

    Attributes:
        former: nodes of earlier definitions that visits are made of.
    """

    def __init__(self, former: tuple[NodeSpec, ...], at: float) -> None:
        self.former = list(former)
        self._at = at

    def walk(self, part: GroupImage, old: Topology, new: Topology, around: _State | None) -> None:
        """A state graph: the visit that the token is at goes on, the others have ended."""
        assert part.walk is not None
        assert old.routing is not None
        assert new.routing is not None
        walk, steps = part.walk, part.members
        if steps and not walk.done:
            self._find_token(part, old, new)
        walk.visited, walk.taken, walk.steps_before = [0] * len(new.nodes), {}, len(steps)
        if walk.entered and not walk.done:
            walk.cells = _rekeyed(walk.cells, old.routing, new.routing, around)
        state = _State(walk.cells, new.routing.keys)
        for step in steps:
            number, spec = step.node, self._spec_of(step, old)
            index = new.index.get(spec.id)
            goes_on = step is steps[-1] and not walk.done and step.state is not NodeState.COMPLETED
            if index is None or not (goes_on or spec == new.nodes[index].spec):
                step.node = self._keep(spec)
                continue
            step.node = index
            if goes_on:
                self.visit(step, addresses.child(part.path, spec.id), old.nodes[number], new.nodes[index], state)

    def visit(
        self, part: VisitImage, path: str, was: Node, now: Node, around: _State | None, *, is_item: bool = False
    ) -> None:
        """A visit that is one of a node of the new definition from here on."""
        if around is not None:  # what it is to write as a branch
            part.writes = tuple(write for write in part.writes if write.key in around.keys)
        if was.spec != now.spec:
            self._change(part, path, was, now)
            self._limit(part, now, is_item=is_item)
        if part.inner is None:
            return
        if part.inner.count >= 0:
            for item in part.inner.members:
                self.visit(item, f"{path}[{item.index}]", was, now, around, is_item=True)
            return
        assert was.inner is not None
        assert now.inner is not None
        if was.inner.routing is not None:
            self.walk(part.inner, was.inner, now.inner, around)
        else:
            self._scope(part.inner, path, was.inner, now.inner, around if now.inner.spec.branches else None)

    def _change(self, part: VisitImage, path: str, was: Node, now: Node) -> None:
        """The node of a visit is declared otherwise."""
        has_form = part.inner is not None or part.state in _HAS_FORM or part.suspended_at is not None
        if has_form and _form(was) != _form(now):
            raise UnfitDefinitionError(
                f"{path} has begun as {_form(was)}, and is {_form(now)} in the changed graph: give that node "
                "another id, or fork the run from an earlier checkpoint"
            )
        if part.in_doubt and now.spec.on_interrupt not in _DOUBTFUL:
            raise UnfitDefinitionError(
                f"whether the lost attempt of {path} took effect is to be found out, and on_interrupt says "
                f"{now.spec.on_interrupt} in the changed graph: answer that question first"
            )

    def _scope(self, part: GroupImage, path: str, old: Topology, new: Topology, around: _State | None) -> None:
        """A dependency graph, or branches, that has begun goes on with the nodes that it has, as they are now."""
        if _outline(old) != _outline(new):
            raise UnfitDefinitionError(
                f"{path} has begun, and has other nodes, or nodes that depend on others, in the changed graph: "
                "what runs side by side goes on with the nodes that it has; let it end first"
            )
        for member in part.members:
            node = old.nodes[member.index]
            self.visit(member, addresses.child(path, node.spec.id), node, new.nodes[member.index], around)

    def _find_token(self, part: GroupImage, old: Topology, new: Topology) -> None:
        """Refuse a definition that does not know the node at which the token is."""
        spec = self._spec_of(part.members[-1], old)
        if spec.id not in new.index:
            raise UnfitDefinitionError(
                f"it is at {addresses.child(part.path, spec.id)}, which the changed graph does not have: fork it "
                "from an earlier checkpoint, or, if it waits at a barrier, reroute it first"
            )

    def _spec_of(self, step: VisitImage, topology: Topology) -> NodeSpec:
        return topology.nodes[step.node].spec if step.node >= 0 else self.former[-2 - step.node]

    def _keep(self, spec: NodeSpec) -> int:
        """The number by which visits name a node that the definition does not have any more."""
        if spec not in self.former:
            self.former.append(spec)
        return -2 - self.former.index(spec)

    def _limit(self, part: VisitImage, now: Node, *, is_item: bool) -> None:
        """A time limit that was not declared before counts from here; one that is declared no more is none."""
        since = self._at if part.suspended_at is None else part.suspended_at
        runs = part.suspended_at is not None or part.state in (NodeState.RUNNING, NodeState.STOPPING)
        if now.spec.timeout_s is None:
            part.attempt_due = None
        elif runs and part.attempt_due is None and part.inner is None and not now.is_group:
            part.attempt_due = since + now.spec.timeout_s
        if now.spec.total_timeout_s is None:
            part.total_due = None
        elif runs and part.total_due is None and not is_item:  # of items, the limit is one for all
            part.total_due = since + now.spec.total_timeout_s


def _form(node: Node) -> str:
    """What a visit of a node is, as far as it cannot become something else on its way."""
    inner, spec = node.inner, node.spec
    form = "a node with a body" if spec.barrier is None else "a barrier"
    if inner is not None:
        form = "a dependency graph" if inner.routing is None else "a state graph"
        form = "parallel branches" if inner.spec.branches else form
    return f"{form} for each item" if spec.map is not None else form


def _outline(topology: Topology) -> list[tuple[object, ...]]:
    """The nodes of a dependency graph, and what each of them waits for."""
    return [(node.spec.id, node.needs, node.fed_by) for node in topology.nodes]


def _rekeyed(cells: Cells, old: Routing, new: Routing, around: _State | None) -> Cells:
    """A state with the keys of the new definition; what is not there begins as it would at the start."""
    kept = {name: cell for name, cell in cells.items() if name in new.keys}
    for name, key in new.keys.items():
        before = old.keys.get(name)
        if name in kept or (before is not None and bytes(before.default) == bytes(key.default)):
            continue
        if around is not None and before is None and name in around.cells:
            kept[name] = around.cells[name]
        elif key.default:
            kept[name] = whole(key.default)
    return kept
