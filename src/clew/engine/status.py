"""Where a run stands, for people and programs: read off the folded state, never stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from clew.engine.progress import Progress
from clew.engine.usage import used_by
from clew.errors import InvalidInputError, RefusedError
from clew.graphs.body_data import CHOICE, kind_of
from clew.journal.records import RunRow
from clew.kernel import addresses
from clew.kernel.commands import Wait
from clew.kernel.questions import DECISION, Question
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.topology import Node
from clew.kernel.undoing import in_order
from clew.kernel.values import ErrorInfo
from clew.kernel.visits import Group, Items, Scope, Visit, Walk


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node, or one item of a map.

    Attributes:
        path: its address.
        id: the node's id.
        kind: ``function``, ``shell``, ``http``, ``tool``, ``graph``, in plans also ``choice``, ``loop``, ``ask``
            and others; with ``map`` before it for a mapped node.
        state: as in `kernel.states.NodeState`; the branch of a choice that is not taken is ``skipped``.
        attempt: number of the last attempt.
        started_at: of its first attempt, seconds since the epoch.
        ended_at: when it settled.
        error: why it failed, or the last error while it is retried.
        cause: whose failure made it be skipped.
        members: for maps and sub-graphs that have begun, how many members are in which state.
        used: what its attempts have used, by the name of what was measured (``cpu_s``, ``peak_memory_bytes``, …);
            of maps and sub-graphs, what all that is in them has. What was not measured is not there.
        undoes: of a compensation: address of the visit that it undoes; `undone_step` is the key of the step.
    """

    path: str
    id: str
    kind: str
    state: str
    attempt: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    error: ErrorInfo | None = None
    cause: str = ""
    members: dict[str, int] = {}
    used: dict[str, float] = {}
    undoes: str = ""
    undone_step: str = ""


class RunStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run at sequence number `seq`.

    Attributes:
        run: the run's id.
        graph: name of its graph.
        state: as in `kernel.states.RunState`.
        seq: of the last event counted.
        generation: counts the retries of the whole run, from 1.
        counts: leaf nodes and items by state, and `total`.
        started_at: seconds since the epoch.
        ended_at: likewise.
        error: why it failed.
        failed_at: address of the node, deep inside if need be, whose failure came first, if it failed.
        reason: why it was cancelled.
        used: what all its attempts have used together, see `NodeStatus.used`.
        progress: how far it is, as far as that can be said; only in what `Run.status` returns.
        nodes: of the graph and its sub-graphs, in order; items of maps are counted in `members` and listed only
            if they failed. Then the compensations, if the run is or was rolled back; they are not in `counts`.
    """

    run: str
    graph: str
    state: str
    seq: int
    generation: int
    counts: dict[str, int]
    started_at: float | None = None
    ended_at: float | None = None
    error: ErrorInfo | None = None
    failed_at: str = ""
    reason: str = ""
    used: dict[str, float] = {}
    progress: Progress | None = None
    nodes: list[NodeStatus] = []


class OpenQuestion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question that waits for an answer.

    Attributes:
        node: address of the visit that asks.
        key: names the question within the visit.
        question: what is asked, and what an answer looks like.
        due: its deadline, in seconds since the epoch.
        digest: of the question; given with the answer, it tells what the person saw.
    """

    node: str
    key: str
    question: Question
    due: float | None = None
    digest: str = ""


class OpenBarrier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A barrier that waits for a decision.

    Attributes:
        path: address of its visit.
        text: what is to be decided.
        shows: the part of the state that is decided on, by key, as plain data.
        due: when the default counts as the decision, in seconds since the epoch; None is never.
        default: what counts then: ``approve``, ``reject`` or ``skip``.
        digest: of what is shown; given with the decision, it tells what the person saw.
        since: when it was asked, in seconds since the epoch.
    """

    path: str
    text: str
    shows: dict[str, Any]
    digest: str
    default: str
    due: float | None = None
    since: float = 0.0


class Result(Mapping[str, Any]):
    """What came of a run: the outputs of its graph's nodes by id, as plain data.

    Attributes:
        run_id: the run.
        state: how it ended.
        output: what the graph returns, if it says so; otherwise the outputs of its last nodes by id.
        failures: errors of failed nodes and items, by address.
        used: what all attempts have used together, as far as it was measured; see `NodeStatus.used`.
    """

    def __init__(
        self,
        run_id: str,
        state: str,
        values: Mapping[str, Any],
        output: Any,
        failures: Mapping[str, ErrorInfo],
        used: Mapping[str, float] | None = None,
    ) -> None:
        self.run_id = run_id
        self.state = state
        self.output = output
        self.failures = dict(failures)
        self.used = dict(used or {})
        self._values = dict(values)

    def __getitem__(self, node: str) -> Any:
        try:
            return self._values[node]
        except KeyError:
            known = ", ".join(self._values) or "none"
            raise KeyError(f"node {node!r} has no output in run {self.run_id}; nodes that have: {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<result of {self.run_id}: {self.state}, {len(self)} outputs, {len(self.failures)} failures>"


def status_of(run: Run, seq: int) -> RunStatus:
    """The status of a folded run."""
    compensations = [*in_order(run.undoing)] if run.undoing is not None else []
    counts = Counter[str](total=run.total - len(compensations))
    leaves = (visit for visit in run.visits.values() if not visit.is_group and visit.undoes is None)
    counts.update(visit.state.value for visit in leaves)
    return RunStatus(
        run=run.id,
        graph=run.topology.spec.name,
        state=run.state,
        seq=seq,
        generation=run.generation,
        counts=dict(counts),
        started_at=run.started_at,
        ended_at=run.ended_at,
        error=run.error,
        failed_at=_failed_at(run) if run.error is not None else "",
        reason=run.reason,
        used=dict(run.used),
        nodes=[*(_statuses(run.root) if run.root is not None else ()), *map(visit_status, compensations)],
    )


def row_of(run: Run, before: RunRow, wake_at: float | None, *, idle: bool) -> RunRow:
    """The row of a run in the journal; what no event changes is as it was before."""
    return RunRow(
        run=run.id,
        name=run.topology.spec.name,
        graph=run.graph,
        definition=run.definition,
        state=run.state,
        seq=run.seq,
        epoch=before.epoch,
        owner="" if run.ended else before.owner,
        generation=run.generation,
        created_at=before.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        wake_at=wake_at,
        total=run.total,
        settled=run.settled,
        failed=run.failed,
        running=run.running,
        waiting=run.waiting,
        idle=idle,
        imported=before.imported,
        labels=before.labels,
        error=run.error.message if run.error else "",
    )


def visit_status(visit: Visit) -> NodeStatus:
    """The status of one visit."""
    return NodeStatus(
        path=visit.path,
        id=visit.node.spec.id,
        kind=_kind(visit.node, mapped=visit.is_map),
        state=visit.state,
        attempt=visit.attempt,
        started_at=visit.started_at,
        ended_at=visit.ended_at,
        error=visit.error,
        cause=visit.cause,
        members=_members(visit.inner),
        used=used_by(visit),
        undoes=visit.undoes.path if visit.undoes is not None else "",
        undone_step=visit.undone_step,
    )


def open_questions(run: Run) -> list[tuple[Visit, str, Wait]]:
    """The questions that wait for an answer, in the order in which they were asked."""
    found = [
        (visit, key, wait)
        for visit in run.visits.values()
        if visit.waits is not None and visit.state is not NodeState.STOPPING
        for key, wait in visit.waits.items()
        if wait.kind == "answer" and not wait.outcome and key != DECISION
    ]
    return sorted(found, key=lambda each: each[2].opened)


def open_barriers(run: Run) -> list[OpenBarrier]:
    """The barriers that wait for a decision, in the order in which they were reached."""
    found: list[OpenBarrier] = []
    for visit in run.visits.values():
        wait = visit.open_wait(DECISION) if visit.is_barrier else None
        spec, walk = visit.node.spec.barrier, visit.group.walk
        if wait is None or spec is None or walk is None:
            continue
        names = spec.shows or walk.cells
        shown = {name: msgspec.json.decode(walk.cells[name].text()) for name in names if name in walk.cells}
        found.append(
            OpenBarrier(
                path=visit.path,
                text=spec.text,
                shows=shown,
                due=wait.due,
                default=spec.default,
                digest=wait.digest,
                since=wait.since,
            )
        )
    return sorted(found, key=lambda each: each.since)


def chosen(questions: Sequence[OpenQuestion], run: str, node: str, key: str) -> OpenQuestion:
    """The one question that a node and a key name; each may be left out if that is enough.

    Raises:
        RefusedError: none fits.
        InvalidInputError: several do.
    """
    fitting = [q for q in questions if node in ("", q.node) and key in ("", q.key)]
    if len(fitting) == 1:
        return fitting[0]
    asked = "; ".join(f"{q.node} asks {q.key!r}" for q in (fitting or questions)[:10])
    if fitting:
        raise InvalidInputError(f"run {run} asks several things, say which is answered: {asked}")
    wanted = " ".join(filter(None, (node, repr(key) if key else ""))) or "anything"
    raise RefusedError(f"run {run} does not ask {wanted} now; open questions: {asked or 'none'}")


def failures_of(run: Run) -> dict[str, ErrorInfo]:
    """The errors of failed leaves, by address."""
    failed = (v for v in run.visits.values() if v.state is NodeState.FAILED and v.error is not None)
    return {
        v.path: v.error for v in failed if v.error is not None and not (v.inner is not None and v.inner.failed)
    }


def _failed_at(run: Run) -> str:
    failed = [run.visits[path] for path in failures_of(run)]
    return min(failed, key=lambda visit: visit.ended_at or 0.0).path if failed else ""


def _statuses(scope: Group) -> Iterator[NodeStatus]:
    if isinstance(scope, Walk):
        for visit in scope.members:
            if visit is not None:
                yield visit_status(visit)
                yield from _inside(visit)
        yield from _not_taken(scope)
        return
    assert isinstance(scope, Scope)
    for index, node in enumerate(scope.topology.nodes):
        visit = scope.members[index]
        if visit is None:
            yield NodeStatus(
                path=scope.member_path(index),
                id=node.spec.id,
                kind=_kind(node, mapped=node.spec.map is not None),
                state=scope.member_state(index),
            )
            continue
        yield visit_status(visit)
        yield from _inside(visit)


def _not_taken(walk: Walk) -> Iterator[NodeStatus]:
    """The branches of a choice of a plan that were not taken."""
    if walk.owner is None or not (walk.members or walk.done) or _kind(walk.owner.node, mapped=False) != CHOICE:
        return
    entered = {visit.node.index for visit in walk.members if visit is not None}
    for node in walk.topology.nodes:
        if node.index not in entered:
            path = addresses.child(walk.path, node.spec.id)
            yield NodeStatus(path=path, id=node.spec.id, kind=_kind(node, mapped=False), state=NodeState.SKIPPED)


def _inside(visit: Visit) -> Iterator[NodeStatus]:
    """The nodes of a sub-graph; of a map, the items that failed."""
    if isinstance(visit.inner, Scope | Walk):
        yield from _statuses(visit.inner)
    elif isinstance(visit.inner, Items):
        for item in visit.inner.failed:
            failed = visit.inner.members[item]
            assert failed is not None
            yield visit_status(failed)


def _members(group: Group | None) -> dict[str, int]:
    if group is None:
        return {}
    return dict(Counter(group.member_state(index).value for index in range(len(group.members))))


def _kind(node: Node, *, mapped: bool) -> str:
    kind = kind_of(node.spec)
    return f"map {kind}" if mapped else kind
