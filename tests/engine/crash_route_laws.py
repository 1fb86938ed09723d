"""What must hold of state graphs, whatever befell their run: one token, one way, single decisions."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
from crash_deciders import MALLORY
from crash_lives import LOST, Outcome
from crash_routes import StatePlan
from crash_states import States
from crash_worlds import World

from clew.kernel import events as e
from clew.kernel.addresses import bare
from clew.kernel.cells import plain
from clew.kernel.fold import fold
from clew.kernel.invariants import check
from clew.kernel.questions import DECISION
from clew.kernel.state import Run
from clew.kernel.topology import compile_graph
from clew.kernel.visits import Walk
from clew.kernel.writes import Judgement


def is_determined(world: World, outcome: Outcome) -> bool:
    """Whether a run has to end as the undisturbed one.

    Limits of visits count anew after each retry of a run; and from a failure that is a loss, a way may lead on.
    """
    plan = world.plan
    events = [recorded.event for recorded in outcome.events]
    if plan.undo is not None and not has_come_to_its_end(outcome):
        return False
    if not isinstance(plan, StatePlan):
        return True
    again = any(isinstance(event, e.RunRetried) for event in events)
    lost = any(isinstance(event, e.NodeFailed) and event.error.type in LOST for event in events)
    return not ((plan.has_limits and again) or (lost and plan.leads_on))


def has_come_to_its_end(outcome: Outcome) -> bool:
    """Whether a run had done all that it does before it was rolled back."""
    lost: set[str] = set()
    for event in (recorded.event for recorded in outcome.events):
        match event:
            case e.RunRetried():
                lost.clear()
            case e.NodeFailed(path=path, error=error) if error.type in LOST:
                lost.add(path)
            case e.RunCancelled():
                lost.add("")
            case e.RollbackStarted():
                return not lost
            case _:
                pass
    return True


def has_stopped(outcome: Outcome) -> bool:
    """Whether a failure ended what was beside it: then what there is to undo depends on who was quicker."""
    return any(isinstance(recorded.event, e.GroupStopping) for recorded in outcome.events)


def route_problems(world: World, outcome: Outcome, plain_: Outcome) -> Iterator[str]:
    """The laws of state graphs that a run broke."""
    if not isinstance(world.plan, StatePlan):
        return
    yield from _one_token(outcome)
    yield from _decisions(world.states, outcome)
    yield from _state(world, outcome)
    if is_determined(world, outcome):
        yield from _same_way(outcome, plain_)


def _one_token(outcome: Outcome) -> Iterator[str]:
    """A token leaves each visit once, and comes to the next before it leaves that."""
    left: set[tuple[str, str]] = set()
    generation = 1
    completed: Counter[tuple[str, int]] = Counter()
    for recorded in outcome.events:
        event = recorded.event
        if isinstance(event, e.RunRetried):
            generation, left = event.generation, set()
        elif isinstance(event, e.NodeCompleted):
            completed[event.path, generation] += 1
        elif isinstance(event, e.Routed):
            if (event.path, event.source) in left:
                yield f"{recorded.seq}: the token of {event.path or 'the run'} left {event.source} twice"
            left.add((event.path, event.source))
        if getattr(event, "by", "") == MALLORY:
            yield f"{recorded.seq}: what was to be refused was taken: {event}"
    root = [path for path, _ in completed if "/" not in path and "[" not in path and path.startswith("s")]
    for path, times in Counter(root).items():
        if times > 1:
            yield f"{path} completed {times} times"


def _decisions(states: States, outcome: Outcome) -> Iterator[str]:
    """Decisions are single use and as they were said; those in time count, and those too late do not."""
    #: Barriers that wait, and whether a decision on them was given before.
    open_: dict[str, bool] = {}
    kept: Counter[str] = Counter()
    standing: set[str] = set()
    for recorded in outcome.events:
        event = recorded.event
        if isinstance(event, e.DecisionKept):
            kept[event.barrier] += not event.standing
            standing |= {event.barrier} if event.standing else set()
        elif isinstance(event, e.WaitOpened) and event.key == DECISION:
            open_[event.path] = kept[event.path] > 0 or bare(event.path) in standing
        elif isinstance(event, e.WaitResolved) and event.key == DECISION:
            if event.path not in open_:
                yield f"{recorded.seq}: {event.path} was decided on without having been asked about"
            if open_.pop(event.path, False) and not event.kept:
                yield f"{recorded.seq}: what had been decided about {event.path} before was forgotten"
            yield from (f"{recorded.seq}: {each}" for each in _decided(states, event))
            kept[event.path] -= event.kept and not event.standing
            if kept[event.path] < 0:
                yield f"{recorded.seq}: a decision for {event.path} was used twice"


def _decided(states: States, event: e.WaitResolved) -> Iterator[str]:
    asking = states.asking(event.path)
    assert asking is not None
    assert event.value is not None
    judged = msgspec.json.decode(event.value.json, type=Judgement)
    if (event.outcome == "expired") is not (asking.when == "late"):
        yield f"{event.path} ({asking.when}) was {event.outcome}"
    if event.outcome == "expired":
        if event.by or judged.kind != asking.default:
            yield f"nobody decided at {event.path} in time, and it says {event}"
    elif judged.kind not in {"modify", states.said(event.path, changed=True).kind}:
        yield f"{event.path} took another decision than was made: {judged.kind}"


def _state(world: World, outcome: Outcome) -> Iterator[str]:
    """The state at the end is what its events say, and nothing was written to it twice."""
    run = Run("", compile_graph(world.graph.spec()))
    for recorded in outcome.events:
        fold(run, recorded.event)
    yield from check(run)
    if isinstance(run.root, Walk):
        if plain(run.root.cells) != outcome.values:
            yield f"the state is {outcome.values}, and its events say {plain(run.root.cells)}"
        twice = [line for line, times in Counter(outcome.values.get("log", ())).items() if times > 1]
        if twice:
            yield f"written twice: {twice}"


def _same_way(outcome: Outcome, plain_: Outcome) -> Iterator[str]:
    """The token took the same way as in the undisturbed run, and the same was decided."""
    done, done_before = _ways(outcome), _ways(plain_)
    for path in done.keys() & done_before.keys():
        if done[path] != done_before[path]:
            yield f"the way of {path or 'the run'} was {done[path]}, not {done_before[path]}"
    decided, decided_before = _judged(outcome), _judged(plain_)
    for path in decided.keys() & decided_before.keys():
        if decided[path] != decided_before[path]:
            yield f"at {path} it was {decided[path]}, not {decided_before[path]}"


def _ways(outcome: Outcome) -> dict[str, list[tuple[str, str, str]]]:
    """The ways of the state graphs that came to their end, and of the whole run."""
    ways: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    begun: dict[str, list[tuple[str, str, str]]] = {}
    for event in (r.event for r in outcome.events):
        if isinstance(event, e.Routed):
            if not event.source:
                ways[event.path] = []
            ways[event.path].append((event.source, event.target, event.why))
        elif isinstance(event, e.NodeCompleted) and event.path in ways:
            begun[event.path] = ways[event.path]
    return {**begun, **({"": ways[""]} if "" in ways else {})}


def _judged(outcome: Outcome) -> dict[str, tuple[str, str, Any]]:
    judged: dict[str, tuple[str, str, Any]] = {}
    for event in (r.event for r in outcome.events):
        if isinstance(event, e.WaitResolved) and event.key == DECISION:
            assert event.value is not None
            judged[event.path] = bare(event.path), event.outcome, msgspec.json.decode(event.value.json)
    return judged
