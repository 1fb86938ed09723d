"""Barriers: a node of a state graph that waits for a person's decision, or for the end of its time.

A decision holds for what was shown: the wait carries a digest of the part of the state that is decided on. One
that is given before it is asked for is kept; a standing one is used each time, and each use is a fact.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import msgspec

from clew.kernel import addresses, routes, ways
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import BarrierSpec
from clew.kernel.errors import RuleError
from clew.kernel.moving import Mover
from clew.kernel.questions import DECISION, Question
from clew.kernel.reducing import plan_puts
from clew.kernel.routing import approved_key, reason_key
from clew.kernel.state import Run
from clew.kernel.topology import Node, Topology
from clew.kernel.values import GATHERED, Value
from clew.kernel.visits import Visit, Walk
from clew.kernel.writes import JUDGEMENTS, Judgement, Kept, Write

_SCHEMA = msgspec.Raw(b'{"enum":["approve","reject","modify","reroute"]}')
_TRUE, _FALSE = msgspec.Raw(b"true"), msgspec.Raw(b"false")


def spec_of(visit: Visit) -> BarrierSpec:
    """What a barrier is declared as."""
    assert visit.node.spec.barrier is not None
    return visit.node.spec.barrier


def digest_of(visit: Visit) -> str:
    """Names what is decided on at a barrier, as it is now."""
    walk, spec = visit.group.walk, spec_of(visit)
    assert walk is not None
    found = sha256(spec.text.encode())
    for name in spec.shows or sorted(walk.cells):
        cell = walk.cells.get(name)
        found.update(f"\0{name}\0".encode())
        found.update(bytes(cell.text()) if cell is not None else b"")
    return found.hexdigest()


def stand_at(flow: Mover, visit: Visit) -> None:
    """The token has come to a barrier: ask, unless the decision was given before."""
    spec = spec_of(visit)
    _ask(flow, visit, flow.now + spec.timeout_s if spec.timeout_s is not None else None)
    kept = flow.run.kept.get(visit.path) or _standing_for(flow, visit)
    if kept is not None:
        _use(flow, visit, kept)


def decide(flow: Mover, signal: s.Decide) -> str | None:
    """Somebody decides; why it is refused, if it is."""
    run, judgement = flow.run, signal.judgement
    if run.ended:
        return f"it has ended ({run.state})"
    if judgement.kind not in JUDGEMENTS:
        return f"{judgement.kind!r} is no decision; there are approve, reject, modify and reroute"
    address = addresses.bare(signal.barrier) if signal.standing else signal.barrier
    found = _find(run.topology, address, bare=signal.standing)
    if found is None:
        known = ", ".join(sorted(_barriers(run.topology))) or "none"
        return f"it has no barrier {signal.barrier!r}; its barriers: {known}"
    if signal.standing:
        return _stand(flow, signal, address, found)
    path = addresses.first_visits(signal.barrier)
    visit = run.visits.get(path)
    if visit is not None and visit.open_wait(DECISION) is not None:
        return _answer(flow, visit, signal)
    if visit is not None and visit.ended_at is not None:
        return f"{path} does not wait for a decision any more: {_told(visit)}"
    if (missing := _missing_item(run, path)) is not None:
        return f"it has no barrier {path!r}: there is no item {missing}"
    if path in run.kept:
        return f"{path} has a decision already, by {run.kept[path].by or 'somebody'}, for when it is reached"
    if signal.shown:
        return f"{path} does not wait for a decision now, so it is not what was shown; look at it again"
    refusal = _unfit(found, judgement)
    if refusal is None:
        value = Value(json=msgspec.Raw(msgspec.json.encode(judgement)))
        flow.emit(e.DecisionKept(at=flow.now, barrier=path, value=value, by=signal.by))
    return refusal


def expire(flow: Mover, visit: Visit) -> None:
    """Nobody has decided in time."""
    _judge(flow, visit, Judgement(kind=spec_of(visit).default), "expired")


def ask_again(flow: Mover, visit: Visit) -> None:
    """The state has changed: if a decision on it is waited for, it is one on another state now."""
    wait = visit.open_wait(DECISION)
    if wait is not None:
        _ask(flow, visit, wait.due)


def _ask(flow: Mover, visit: Visit, due: float | None) -> None:
    spec = spec_of(visit)
    question = Question(text=spec.text or f"{visit.node.spec.id}?", schema=_SCHEMA)
    flow.emit(
        e.WaitOpened(
            at=flow.now,
            path=visit.path,
            attempt=visit.attempt,
            key=DECISION,
            kind="answer",
            due=due,
            question=Value(json=msgspec.Raw(msgspec.json.encode(question))),
            digest=digest_of(visit),
        )
    )


def _stand(flow: Mover, signal: s.Decide, barrier: str, found: _Named) -> str | None:
    """A decision for all visits of a barrier: it is used at once where somebody waits for it."""
    if signal.judgement.kind == "modify":
        return "a standing decision approves, rejects or reroutes; a change of the state is made once"
    if (refusal := _unfit(found, signal.judgement)) is not None:
        return refusal
    value = Value(json=msgspec.Raw(msgspec.json.encode(signal.judgement)))
    flow.emit(e.DecisionKept(at=flow.now, barrier=barrier, value=value, by=signal.by, standing=True))
    kept = flow.run.kept[addresses.all_visits(barrier)]
    for visit in flow.run.in_turn():
        waits = visit.is_barrier and visit.open_wait(DECISION) is not None
        if waits and addresses.bare(visit.path) == barrier:
            _use(flow, visit, kept)
    return None


def _standing_for(flow: Mover, visit: Visit) -> Kept | None:
    return flow.run.kept.get(addresses.all_visits(addresses.bare(visit.path)))


def _use(flow: Mover, visit: Visit, kept: Kept) -> None:
    judgement = msgspec.json.decode(kept.value.json, type=Judgement)
    _judge(flow, visit, judgement, "answered", kept.by, kept=kept)


def _answer(flow: Mover, visit: Visit, signal: s.Decide) -> str | None:
    assert visit.waits is not None
    wait = visit.waits[DECISION]
    at = flow.now if signal.at is None else signal.at
    if wait.due is not None and at >= wait.due:
        expire(flow, visit)
        return f"{visit.path} does not wait for a decision any more: its time was over"
    if signal.shown and signal.shown != wait.digest:
        return f"what is decided on at {visit.path} is not what was shown; look at it again"
    return _judge(flow, visit, signal.judgement, "answered", signal.by, signal.shown)


def _judge(
    flow: Mover,
    visit: Visit,
    judgement: Judgement,
    outcome: str,
    by: str = "",
    shown: str = "",
    kept: Kept | None = None,
) -> str | None:
    """A barrier's wait has ended; why the decision is refused, if it is."""
    walk = visit.group.walk
    assert walk is not None
    assert visit.waits is not None
    due = visit.waits[DECISION].due
    resolved = e.WaitResolved(
        at=flow.now,
        path=visit.path,
        key=DECISION,
        outcome=outcome,
        value=Value(json=msgspec.Raw(msgspec.json.encode(judgement))),
        by=by,
        shown=shown,
        kept=kept is not None,
        standing=kept is not None and kept.standing,
    )
    try:
        way = _way(walk, visit, judgement)
        puts = plan_puts(walk, judgement.changes, judgement.delete)
    except RuleError as error:
        if outcome == "answered" and kept is None:
            return error.info.message
        flow.emit(resolved)  # nobody is there to decide otherwise: it is used up
        flow.fail(visit, error.info)
        return None
    flow.emit(resolved)
    if judgement.kind == "modify":
        flow.emit(e.StateChanged(at=flow.now, path=walk.path, writes=puts, by=by))
        _ask(flow, visit, due)
        standing = _standing_for(flow, visit)
        if standing is not None:
            _use(flow, visit, standing)
        return None
    writes = (*puts, *_told_to_state(visit, judgement))
    flow.emit(e.NodeCompleted(at=flow.now, path=visit.path, attempt=visit.attempt, output=GATHERED, writes=writes))
    if way is not None:
        routes.take(flow, walk, way)
    flow.settled(visit)
    return None


def _way(walk: Walk, visit: Visit, judgement: Judgement) -> ways.Way | None:
    """Where a decision leads, if it says so.

    Raises:
        RuleError: it leads nowhere.
    """
    named = _Named(visit.node, walk.topology, is_branch=visit.group is not walk)
    if (refusal := _unfit(named, judgement)) is not None:
        raise ways.wrong(refusal)
    if judgement.kind != "reroute":
        return None
    return ways.within_steps(walk, ways.Way(-1, judgement.target, "reroute"))


def _told_to_state(visit: Visit, judgement: Judgement) -> list[Write]:
    """What the state is told of a decision; nothing of an earlier one remains."""
    approved, reason = approved_key(visit.node.spec), reason_key(visit.node.spec)
    match judgement.kind:
        case "approve":
            return [Write(approved, _TRUE, put=True), Write(reason, deleted=True)]
        case "reject":
            told = msgspec.Raw(msgspec.json.encode(judgement.reason))
            return [Write(approved, _FALSE, put=True), Write(reason, told, put=True)]
        case _:
            return [Write(approved, deleted=True), Write(reason, deleted=True)]


def _unfit(named: _Named, judgement: Judgement) -> str | None:
    """Why a decision cannot be meant for a barrier."""
    index = named.walk.index
    if named.is_branch and judgement.kind in ("modify", "reroute"):
        return (
            f"{named.node.spec.id} is a branch by itself: it can be approved or rejected; to {judgement.kind}, "
            "it has to be in a sub-graph"
        )
    if judgement.kind == "reroute" and judgement.target and judgement.target not in index:
        return f"there is no node {judgement.target!r} to go on with; there are {', '.join(index)}"
    assert named.walk.routing is not None
    keys = named.walk.routing.keys
    unknown = [name for name in (*judgement.changes, *judgement.delete) if name not in keys]
    if unknown:
        return f"the state has no key {', '.join(unknown)}; it has {', '.join(sorted(keys))}"
    return None


class _Named(NamedTuple):
    """A barrier in a definition.

    Attributes:
        node: the barrier.
        walk: the state graph whose state it decides on.
        is_branch: others may be open beside it in the same state graph.
    """

    node: Node
    walk: Topology
    is_branch: bool


def _find(topology: Topology, address: str, *, bare: bool) -> _Named | None:
    """The barrier that an address names; a ``bare`` one is without visits and items."""
    walk, parts = topology, addresses.segments(address)
    for part in parts[:-1]:
        node = _node_at(topology, part, bare=bare)
        if node is None or node.inner is None:
            return None
        topology = node.inner
        walk = walk if topology.spec.branches else topology
    node = _node_at(topology, parts[-1], bare=bare)
    if node is None or node.spec.barrier is None:
        return None
    return _Named(node, walk, is_branch=topology is not walk or node.spec.map is not None)


def _missing_item(run: Run, path: str) -> str | None:
    """The item of a map in an address that is not one of its items; None if they are there, or not known yet."""
    parts = addresses.segments(path)
    for number, part in enumerate(parts, 1):
        item = "/".join(parts[:number])
        opened = run.visits.get(item.rpartition("[")[0]) if part.endswith("]") else None
        if opened is not None and opened.inner is not None and item not in run.visits:
            return item
    return None


def _node_at(topology: Topology, part: str, *, bare: bool) -> Node | None:
    """The node that a part of an address names; None if no visit of it can have this address."""
    index = topology.index.get(addresses.node_of(part))
    if index is None:
        return None
    node = topology.nodes[index]
    _, sharp, number = part.partition("[")[0].partition("#")
    has_item = "[" in part
    fits = bare or (has_item == (node.spec.map is not None) and (not sharp or number.isdecimal()))
    return node if fits else None


def _barriers(topology: Topology, above: str = "") -> list[str]:
    """The addresses of all barriers, without visits; the items of maps are left open."""
    found: list[str] = []
    for node in topology.nodes:
        path = addresses.child(above, node.spec.id) + ("[KEY]" if node.spec.map is not None else "")
        if node.spec.barrier is not None:
            found.append(path)
        if node.inner is not None:
            found += _barriers(node.inner, path)
    return found


def _told(visit: Visit) -> str:
    """What became of it, in words."""
    wait = (visit.waits or {}).get(DECISION)
    if wait is None or wait.value is None:
        return f"it is {visit.state}"
    kind = msgspec.json.decode(wait.value.json, type=Judgement).kind
    if wait.outcome == "expired":
        return f"its time was over, which counts as {kind}"
    return f"it was decided ({kind}{f' by {wait.by}' if wait.by else ''})"
