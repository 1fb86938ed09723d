"""What must hold of rollbacks, whatever befell them: all is undone, once, in order, or is told to remain."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from crash_lives import Outcome
from crash_route_laws import has_stopped, is_determined
from crash_routes import StatePlan
from crash_undos import Undos, undoers
from crash_worlds import World

from clew.kernel import events as e
from clew.kernel.addresses import segments
from clew.kernel.addresses import undo as undo_of
from clew.kernel.questions import IN_DOUBT

#: Kinds of compensations that never come to a good end.
HOPELESS = frozenset({"fails"})


def undo_problems(world: World, outcome: Outcome, plain: Outcome) -> Iterator[str]:
    """The laws of rollbacks that a run broke."""
    if world.plan.undo is None:
        return
    if outcome.state not in {"rolled_back", "rollback_failed"}:
        yield f"it was to be rolled back, and has ended {outcome.state}"
        return
    expected, remains = _expected(world, outcome)
    yield from _once(outcome, expected)
    yield from _remaining(outcome, remains)
    yield from _given(world, outcome)
    yield from _in_order(world, outcome)
    if is_determined(world, outcome) and not (has_stopped(outcome) or has_stopped(plain)):
        done, before = _completed(outcome), _completed(plain)
        if set(done) != set(before):
            yield f"undone differently than in the undisturbed run: {set(done) ^ set(before)}"
        if remaining_of(outcome) != remaining_of(plain):
            yield f"{remaining_of(outcome)} remains, undisturbed {remaining_of(plain)}"


def remaining_of(outcome: Outcome) -> list[tuple[str, str, str]]:
    """What the last rollback could not undo: address, step, and whether nobody could."""
    for recorded in reversed(outcome.events):
        if isinstance(recorded.event, e.RollbackFailed):
            return sorted((x.path, x.step, x.why * (x.why == "irreversible")) for x in recorded.event.remaining)
        if isinstance(recorded.event, e.RunRolledBack):
            return []
    raise AssertionError("no rollback has ended")


def _expected(world: World, outcome: Outcome) -> tuple[set[str], set[tuple[str, str, str]]]:
    """Compensations that have to come to a good end, and what remains."""
    good: set[str] = set()
    remains: set[tuple[str, str, str]] = set()

    def sort(kind: str, path: str, step: str = "") -> None:
        if kind == "irreversible":
            remains.add((path, step, kind))
        elif kind in HOPELESS:
            remains.add((path, step, ""))
        elif kind:
            good.add(undo_of(path, step))

    for path in _acted(world):
        by, kind = undoers(world, path)
        sort(kind, by)
        irreversible = world.undoing_of(path) == "irreversible"
        if by != path and irreversible:
            sort("irreversible", path)
        if by == path:
            for key in _steps(world, path):
                sort(world.undoing_step(path, key), path, key)
    return good, remains


def _acted(world: World) -> set[str]:
    """Visits whose bodies were entered."""
    return {path for path, _ in world.ledger.entered if "#undo" not in path and not path.startswith("near")}


def _steps(world: Undos, path: str) -> list[str]:
    return [key for known, key in world.ledger.steps if known == path and key != "read"]


def _completed(outcome: Outcome) -> Counter[str]:
    events = [recorded.event for recorded in outcome.events]
    return Counter(x.path for x in events if isinstance(x, e.NodeCompleted) and "#undo" in x.path)


def _once(outcome: Outcome, expected: set[str]) -> Iterator[str]:
    """Each compensation completes once, and is not begun any more then; it undoes something that was begun."""
    completed = _completed(outcome)
    for path in expected - completed.keys():
        yield f"{path} was to be made, and never came to a good end"
    begun: set[str] = set()
    done: set[str] = set()
    for recorded in outcome.events:
        event = recorded.event
        if isinstance(event, e.AttemptStarted):
            undone = event.path.partition("#undo")[0]
            if event.path in done:
                yield f"{recorded.seq}: {event.path} was begun again when it was done"
            if event.path != undone and undone not in begun:
                yield f"{recorded.seq}: {event.path} undoes what was never begun"
            begun.add(event.path)
        elif isinstance(event, e.ScopeOpened | e.MapOpened):
            begun.add(event.path)
        elif isinstance(event, e.NodeCompleted) and "#undo" in event.path:
            if event.path in done:
                yield f"{recorded.seq}: {event.path} was done twice"
            done.add(event.path)


def _remaining(outcome: Outcome, expected: set[tuple[str, str, str]]) -> Iterator[str]:
    """What remains is what cannot be undone, or what failed to be; it is told."""
    told = remaining_of(outcome)
    if len(set(told)) != len(told):
        yield f"told twice to remain: {told}"
    completed = _completed(outcome)
    begun = {r.event.path for r in outcome.events if isinstance(r.event, e.AttemptStarted)}
    for path, step, why in expected - set(told):
        yield f"it is not told that {path} {step} {why} remains"
    for path, step, why in set(told) - expected:
        if path not in begun if why else undo_of(path, step) in completed:
            yield f"{path} {step} {why} does not remain"
    if (outcome.state == "rolled_back") is not (not told):
        yield f"it is {outcome.state}, and {told} remains"


def _given(world: World, outcome: Outcome) -> Iterator[str]:
    """A compensation is given what the visit or the step returned, if it has.

    What a person tells of a lost attempt of a state graph is written to the state, and not kept for this.
    """
    events = [recorded.event for recorded in outcome.events]
    completed = {event.path for event in events if isinstance(event, e.NodeCompleted)}
    steps = {undo_of(event.path, event.key) for event in events if isinstance(event, e.StepCompleted)}
    told = {event.path for event in events if isinstance(event, e.WaitResolved) and event.key == IN_DOUBT}
    for path, given in world.given.items():
        if path.removesuffix("#undo") in told and world.states.told(path.removesuffix("#undo")) is not None:
            continue
        known = path in steps if "#undo[" in path else path.removesuffix("#undo") in completed
        for output in given:
            if (output is not None) is not known:
                ended = "well" if known else "badly"
                yield f"{path} was given {output!r:.80}, and what it undoes has ended {ended}"


# Order ----------------------------------------------------------------------------------------------------


def _in_order(world: World, outcome: Outcome) -> Iterator[str]:
    """What caused something is undone after it: in graphs by who reads whom, in state graphs last first."""
    first, last = _spans(outcome)
    for scope, names in _walks(world, outcome).items():
        for earlier, later in pairwise([x for x in names if (scope, x) in first]):
            if first[scope, earlier] < last[scope, later]:
                yield f"{earlier} of {scope or 'the run'} was begun to be undone before {later} was"
    for number, sketch in enumerate(world.plan.nodes):
        for read in sketch.reads:
            earlier, later = ("", f"n{read}"), ("", f"n{number}")
            if earlier in first and later in last and first[earlier] < last[later]:
                yield f"n{read} was begun to be undone before n{number}, which depends on it, was"


def _spans(outcome: Outcome) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """When the first rollback began to undo something in each part of each group, and when it was done with it."""
    first: dict[tuple[str, str], int] = {}
    last: dict[tuple[str, str], int] = {}
    for recorded in outcome.events:
        event = recorded.event
        if isinstance(event, e.RollbackFailed):
            break
        path = getattr(event, "path", "")
        if "#undo" not in path:
            continue
        parts = segments(path.partition("#undo")[0])
        for end, part in enumerate(parts):
            place = "/".join(parts[:end]), part.partition("[")[0]
            if isinstance(event, e.AttemptStarted):
                first.setdefault(place, recorded.seq)
            if isinstance(event, e.NodeCompleted | e.NodeFailed):
                last[place] = recorded.seq
    return first, last


def _walks(world: World, outcome: Outcome) -> dict[str, list[str]]:
    """The visits of each state graph, in the order in which they began."""
    if not isinstance(world.plan, StatePlan):
        return {}
    walks: dict[str, list[str]] = defaultdict(list)
    for recorded in outcome.events:
        event = recorded.event
        if isinstance(event, e.Routed) and event.target:
            walks[event.path]
        path = getattr(event, "path", "") if isinstance(event, e.AttemptStarted | e.MapOpened) else ""
        parts = segments(path) if "#undo" not in path else []
        for end, part in enumerate(parts):
            scope, name = "/".join(parts[:end]), part.partition("[")[0]
            if scope in walks and name not in walks[scope]:
                walks[scope].append(name)
    return walks
