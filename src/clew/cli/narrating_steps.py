"""What is told of state graphs in lines of text: where they go on and why, decisions, and what people change."""

from __future__ import annotations

from collections.abc import Iterator

from clew.cli import undoing
from clew.cli.board import Board
from clew.cli.judgements import judgement_of, told_judgement
from clew.cli.words import count, plain
from clew.kernel import addresses
from clew.kernel import events as e
from clew.kernel.fold import group_at
from clew.kernel.visits import Scope, Visit, Walk


def nodes_done(board: Board) -> str:
    """How many nodes are done: of how many, where that is known. Of a rollback, how many compensations."""
    if board.compensations:
        return f"{undoing.made(board.run):,} of {count(undoing.size(board.run), 'compensation')}"
    if board.is_walk:
        return count(board.run.settled, "node")
    more = "" if board.is_total_known else " or more"
    return f"{board.run.settled:,} of {board.expected:,}{more} nodes"


def is_kept(board: Board, done: str) -> str:
    """The same in a sentence; `done` says what became of them: ``are done``, ``had completed``."""
    one = board.is_walk and board.run.settled == 1 and not board.compensations
    return f"{nodes_done(board)} {done.replace('are', 'is') if one else done} and {'is' if one else 'are'} kept"


def described(board: Board) -> str:
    """What a run is one of, and how large that is."""
    topology = board.run.topology
    name, nodes = plain(topology.spec.name), count(len(topology.nodes), "node")
    if topology.routing is None:
        return f"graph {name} started: {nodes}"
    return f"state graph {name} started: {nodes}, at most {count(topology.routing.spec.max_steps, 'step')}"


def scope_opened(visit: Visit) -> Iterator[str]:
    """A step that is a graph, or has branches, began."""
    if not isinstance(visit.group, Walk):
        return
    inner = visit.inner
    branches = isinstance(inner, Scope) and inner.topology.spec.branches
    size = f": {count(len(inner.members), 'branch', 'branches')}" if inner is not None and branches else ""
    yield f"{plain(visit.path)} started{size}"


def routed(board: Board, event: e.Routed) -> Iterator[str]:
    """The way on is told where it was not the only one: by a condition, a fallback, a word of the node."""
    if event.why in ("edge", "reroute"):  # who rerouted it is told with the decision
        return
    route = board.journey.routes[event.path, event.source]
    source = plain(event.source) or f"START of {plain(event.path)}".removesuffix(" of ")
    yield f"{'degraded: ' if event.why == 'fallback' else ''}{source} -> {route.told()}"


def is_decided_before(board: Board, visit: Visit) -> bool:
    """Whether what a barrier has just asked for was decided before it did."""
    kept = board.run.kept
    return visit.path in kept or addresses.all_visits(addresses.bare(visit.path)) in kept


def decided(board: Board, event: e.WaitResolved) -> Iterator[str]:
    """What was decided at a barrier; of a change of the state, `state_changed` tells."""
    assert event.value is not None
    if judgement_of(event.value).kind != "modify":
        yield f"{plain(event.path)}: {board.journey.decisions[event.path]}"


def decision_kept(event: e.DecisionKept) -> Iterator[str]:
    """A decision was given before it is asked for."""
    when = "each time" if event.standing else "for when it is reached"
    yield f"{plain(event.barrier)}: {told_judgement(judgement_of(event.value), event.by)}, {when}"


def state_changed(board: Board, event: e.StateChanged) -> Iterator[str]:
    """Somebody changed the state, as a remark tells it."""
    walk = group_at(board.run, event.path)
    path = walk.last.path if isinstance(walk, Walk) and walk.last is not None else event.path
    yield board.journey.remarks[path][-1]


def checkpoint_taken(event: e.CheckpointTaken, seq: int) -> Iterator[str]:
    """A position was named."""
    who = f" by {plain(event.by)}" if event.by else ""
    where = f" in {plain(event.path)}" if event.path else ""
    yield f"checkpoint {plain(event.name)}{where}{who}, at event {seq}"
