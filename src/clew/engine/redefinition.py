"""Whether a run may go on with a changed graph, and what is told when it may not."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from clew.engine.definitions import Known
from clew.errors import InvalidInputError, RunConflictError
from clew.graphs.difference import differences, key_changes, node_changes, told
from clew.journal.records import Blob
from clew.kernel import addresses
from clew.kernel import signals as s
from clew.kernel.definition import GraphSpec, KeySpec, NodeSpec
from clew.kernel.redefining import obstacle
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.visits import Group, Items, Scope, Visit, Walk


class OnChange(StrEnum):
    """What happens if a run that exists is asked for with another graph than it has.

    It is refused; or the run goes on with that graph if what has run is unchanged, or in any case.
    """

    STRICT = "strict"
    COMPATIBLE = "compatible"
    FORCE = "force"


def on_change_of(word: str) -> OnChange:
    """The word as it is written.

    Raises:
        InvalidInputError: it is none of them.
    """
    try:
        return OnChange(word)
    except ValueError:
        raise InvalidInputError(f"on_change={word!r}: write {', '.join(OnChange)}") from None


class Redefinition:
    """A run is to go on with another graph.

    Args:
        known: the graph.
        how: whether what has run may have changed.
        now: the time, in seconds since the epoch.
        by: who wants it.

    Attributes:
        blob: its definition, to be stored with the run.
    """

    def __init__(self, known: Known, how: OnChange, now: float, by: str) -> None:
        self.known = known
        self.blob = Blob(known.digest, known.json)
        self._how = how
        self._now = now
        self._by = by

    def signal(self, run: Run) -> s.Redefine:
        """What the run is told.

        Raises:
            RunConflictError: it cannot go on with that graph, or is not to.
        """
        spec = self.known.topology.spec
        if self._how is OnChange.STRICT:
            raise other_graph(run.id, run.topology.spec, spec)
        if (why := obstacle(run, self.known.topology, self._now)) is not None:
            raise RunConflictError(f"run {run.id} cannot go on with the changed graph: {why}")
        changed = [] if self._how is OnChange.FORCE else changes_of_what_ran(run, spec)
        if changed:
            raise RunConflictError(
                f"run {run.id} does not go on with the changed graph, because what has run was changed: "
                f"{told(changed)}. on_change (--on-change) force goes on all the same"
            )
        return s.Redefine(
            graph=self.known.hash,
            definition=self.known.digest,
            spec=spec,
            by=self._by,
            forced=self._how is OnChange.FORCE,
        )


def other_graph(run: str, before: GraphSpec, after: GraphSpec) -> RunConflictError:
    """A run has another graph than the one it is asked for with."""
    text = f"run {run} exists with another graph: {told(differences(before, after))}. Give this one another id"
    if before.routes is not None and after.routes is not None:
        text += (
            ", or say on_change (--on-change): compatible goes on with the changed graph if what has run is "
            "unchanged, force in any case"
        )
    return RunConflictError(text)


def changes_of_what_ran(run: Run, after: GraphSpec) -> list[str]:
    """What has run of a run of a state graph and is declared otherwise now; and keys that have been written."""
    return list(dict.fromkeys(_group(run.root, after, ""))) if run.root is not None else []


def _group(group: Group, after: GraphSpec, at: str) -> Iterator[str]:
    """The same for what is in a group; `after` is the graph that it is made of now."""
    if isinstance(group, Items):
        for item in group.members:
            if item is not None and item.inner is not None:
                yield from _group(item.inner, after, at)
        return
    assert isinstance(group, Scope | Walk)
    before, nodes = group.topology, {node.id: node for node in after.nodes}
    for visit in group.members:
        id_ = visit.node.spec.id if visit is not None else ""
        if visit is None or visit.node.former >= 0 or id_ not in before.index:
            continue  # that it was changed since, was forced
        path = addresses.child(at, id_)
        if id_ in nodes:
            yield from _visit(visit, before.nodes[before.index[id_]].spec, nodes[id_], path)
        else:
            yield f"{path} is gone"
    if isinstance(group, Walk) and not group.done:
        yield from _keys(group, after, f"{at}: " if at else "")


def _visit(visit: Visit, before: NodeSpec, after: NodeSpec, path: str) -> Iterator[str]:
    fields = node_changes(before, after)
    if (before.graph is None) != (after.graph is None):
        fields.append("it is no sub-graph now" if after.graph is None else "it is a sub-graph now")
    if fields:
        yield f"{path} has changed ({', '.join(fields)})"
    if visit.inner is not None and before.graph is not None and after.graph is not None:
        yield from _group(visit.inner, after.graph, path)


def _keys(walk: Walk, after: GraphSpec, at: str) -> Iterator[str]:
    """The keys of a state that have a value other than their default, and what they are now."""
    assert walk.topology.routing is not None
    keys = {key.name: key for key in after.routes.keys} if after.routes is not None else {}
    last = walk.last
    to_write = set(_to_be_written(last.inner)) if last is not None and last.inner is not None else set[str]()
    for name, key in walk.topology.routing.keys.items():
        if not (name in to_write or _is_written(walk, key)):
            continue
        if name not in keys:
            yield f"{at}the key {name} was written and is gone"
        elif reducer := [each for each in key_changes(key, keys[name]) if each.startswith(("reducer", "custom"))]:
            yield f"{at}the key {name} was written and has changed ({', '.join(reducer)})"


def _is_written(walk: Walk, key: KeySpec) -> bool:
    cell = walk.cells.get(key.name)
    if cell is None or not key.default:
        return cell is not None
    return msgspec.json.decode(cell.text()) != msgspec.json.decode(key.default)


def _to_be_written(group: Group) -> Iterator[str]:
    """The keys that branches which have ended are to write, when all of them have."""
    for visit in group.members:
        if visit is not None and visit.state is NodeState.COMPLETED:
            yield from (write.key for write in visit.writes)
            if visit.inner is not None:
                yield from _to_be_written(visit.inner)
