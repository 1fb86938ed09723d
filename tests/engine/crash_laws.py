"""What must hold of every run, whatever befell it: promise 3 and 4 of the design, counted."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from crash_bodies import number_of
from crash_lives import Outcome
from crash_route_laws import has_stopped, is_determined, route_problems
from crash_undo_laws import undo_problems
from crash_worlds import FATES, SETTLING, World

from clew.kernel import events as e
from clew.kernel.questions import CONFIRM, DECISION

#: Keys of questions that are not a body's own.
DOUBT = "#"


#: Events after which a run is over, for the time being.
_ENDS = e.RunCompleted | e.RunFailed | e.RunCancelled | e.RunRolledBack | e.RollbackFailed


def problems(world: World, outcome: Outcome, plain_world: World, plain: Outcome) -> list[str]:
    """The laws that a run broke, beside the undisturbed run of the same plan."""
    return [
        *world.ledger.broken,
        *_same_end(world, outcome, plain),
        *_history(outcome),
        *_attempts(world, outcome),
        *_effects(world, plain_world, outcome, plain),
        *_steps(world, outcome),
        *_doubts(world, outcome),
        *_mail(world, outcome),
        *route_problems(world, outcome, plain),
        *undo_problems(world, outcome, plain),
    ]


def _same_end(world: World, outcome: Outcome, plain: Outcome) -> Iterator[str]:
    if outcome.left:
        yield f"left behind: {outcome.left}"
    if not is_determined(world, outcome):
        return
    by_chance = world.plan.undo is not None and (has_stopped(outcome) or has_stopped(plain))
    if outcome.state != plain.state and not by_chance:
        yield f"it ended {outcome.state}, not {plain.state}: {outcome.failures}"
    both = outcome.values.keys() & plain.values.keys() if world.plan.stops else outcome.values | plain.values
    for name in both:
        if outcome.values.get(name) != plain.values.get(name):
            yield f"{name} is {outcome.values.get(name)!r:.80}, not {plain.values.get(name)!r:.80}"
    if not world.plan.stops and outcome.failures != plain.failures:
        yield f"failed: {outcome.failures}, not {plain.failures}"


def _history(outcome: Outcome) -> Iterator[str]:
    if [r.seq for r in outcome.events] != list(range(1, len(outcome.events) + 1)):
        yield "sequence numbers have gaps"
    once: set[tuple[object, ...]] = set()
    generation, ended = 1, False
    for recorded in outcome.events:
        event = recorded.event
        goes_on = e.RunRetried | e.RollbackStarted
        if ended and not isinstance(event, goes_on | e.OwnershipTaken | e.RunPaused):
            yield f"{recorded.seq}: {type(event).__name__} after the end"
        if isinstance(event, e.RunRetried):
            generation, ended = event.generation, False
        elif isinstance(event, e.RollbackStarted):
            generation, ended = generation + 1, False
        ended |= isinstance(event, _ENDS)
        if isinstance(event, e.RunAdmitted | e.MapOpened | e.AttemptStarted | e.NodeCompleted | e.NodeFailed):
            path = getattr(event, "path", "")
            number = event.attempt if isinstance(event, e.AttemptStarted) else generation
            mark = (type(event), path, number)
            if mark in once:
                yield f"{recorded.seq}: {type(event).__name__} of {path} happened twice ({number})"
            once.add(mark)
    if not ended:
        yield "it has no end"


def _attempts(world: World, outcome: Outcome) -> Iterator[str]:
    """Every attempt begins on disk, is entered once and once more for each resumption, and has one fate."""
    started: dict[str, int] = {}
    open_: dict[str, int] = {}
    resumed: Counter[tuple[str, int]] = Counter()
    fates: dict[tuple[str, int], list[type]] = defaultdict(list)
    for recorded in outcome.events:
        event = recorded.event
        if isinstance(event, e.AttemptStarted):
            if event.path in open_:
                yield f"{recorded.seq}: attempt {open_[event.path]} of {event.path} has no fate before the next"
            if event.attempt <= started.get(event.path, 0):
                yield f"{recorded.seq}: attempt numbers of {event.path} do not grow"
            started[event.path] = open_[event.path] = event.attempt
            fates[event.path, event.attempt] = []
        elif isinstance(event, e.AttemptResumed):
            resumed[event.path, event.attempt] += 1
        elif isinstance(event, FATES):
            open_.pop(event.path, None)
            fates[event.path, getattr(event, "attempt", 0)].append(type(event))
        elif isinstance(event, e.GroupStopping):  # who only waited ends with its group, without a word
            inside = f"{event.path}/", f"{event.path}["
            for path in [path for path in open_ if not event.path or path.startswith(inside)]:
                if _is_waiting(outcome, path, recorded.seq):
                    fates[path, open_.pop(path)].append(type(event))
    if open_:
        yield f"attempts without a fate: {open_}"
    for (path, attempt), times in world.ledger.entered.items():
        if path.startswith("near"):
            continue
        if (path, attempt) not in fates:
            yield f"attempt {attempt} of {path} was made and is not recorded"
        if times > 1 + resumed[path, attempt]:
            yield f"attempt {attempt} of {path} was entered {times} times"
    lost = {e.NodeCompleted, e.AttemptInterrupted, e.NodeCancelled, e.GroupStopping}
    for (path, attempt), times in world.ledger.done.items():
        known = fates.get((path, attempt), [])
        if times > 1:
            yield f"attempt {attempt} of {path} came to its end {times} times"
        if not path.startswith("near") and not lost & set(known):
            yield f"attempt {attempt} of {path} came to its end, and the journal says {known}"


def _is_waiting(outcome: Outcome, path: str, before: int) -> bool:
    for recorded in reversed(outcome.events[: before - 1]):
        event = recorded.event
        if getattr(event, "path", None) != path:
            continue
        if isinstance(event, e.AttemptSuspended):
            return True
        if isinstance(event, e.AttemptStarted | e.AttemptResumed):
            return False
    return False


def _effects(world: World, plain_world: World, outcome: Outcome, plain: Outcome) -> Iterator[str]:
    """Work equals that of the undisturbed run, plus at most what was lost, each recorded."""
    done, before = _done(world), _done(plain_world)
    lost = Counter(
        r.event.path
        for r in outcome.events
        if isinstance(r.event, e.AttemptInterrupted | e.NodeCancelled | e.GroupStopping)
    )
    completed = Counter(r.event.path for r in outcome.events if isinstance(r.event, e.NodeCompleted))
    completed_before = Counter(r.event.path for r in plain.events if isinstance(r.event, e.NodeCompleted))
    stopped = any(isinstance(r.event, e.GroupStopping) for r in outcome.events)
    for path, times in done.items():
        more = completed[path] - completed_before[path]
        allowed = before[path] + lost[path] + max(0, more)
        if times > allowed and not (stopped and times <= allowed + outcome_stops(outcome)):
            yield f"{path} was done {times} times, undisturbed {before[path]}, lost {lost[path]}, again {more}"
    for path in completed:
        if path in before and path not in done and path not in world.ledger.acts:
            yield f"{path} completed, and was never done"


def outcome_stops(outcome: Outcome) -> int:
    """How often something was made to end early."""
    return sum(isinstance(r.event, e.GroupStopping) for r in outcome.events)


def _done(world: World) -> Counter[str]:
    done: Counter[str] = Counter()
    for (path, _), times in world.ledger.done.items():
        if not path.startswith("near"):
            done[path] += times
    return done


def _steps(world: World, outcome: Outcome) -> Iterator[str]:
    """A recorded step is not made again; one that is not recorded belongs to an attempt that was lost."""
    recorded: dict[tuple[str, str], list[int]] = defaultdict(list)
    again = 0
    failures: Counter[str] = Counter()
    ends: dict[str, set[int]] = defaultdict(set)
    for event in (r.event for r in outcome.events):
        if isinstance(event, e.StepCompleted | e.StepFailed):
            recorded[event.path, event.key].append(event.attempt)
        again += isinstance(event, e.RunRetried)
        if isinstance(event, e.RetryScheduled | e.NodeFailed):
            failures[event.path] += 1
        if isinstance(event, FATES) and not isinstance(event, e.NodeCompleted):
            ends[event.path].add(getattr(event, "attempt", 0))
    stops = outcome_stops(outcome)
    for (path, key), attempts in world.ledger.steps.items():
        known = recorded[path, key]
        twice = [attempt for attempt, times in Counter(attempts).items() if times > 1]
        if twice:
            yield f"step {key} of {path} was made twice in attempts {twice}"
        for attempt in attempts:
            if attempt not in known and attempt not in ends[path] and not stops:
                yield f"step {key} of {path} was made in attempt {attempt}, which is neither recorded nor lost"
        effect = key != "read"
        if len(known) > 1 + again + (0 if effect else failures[path]):
            yield f"step {key} of {path} is recorded {len(known)} times"
        if key in {"probed", "asked"} and len(attempts) > len(known) + again + stops:
            yield f"step {key} of {path} took effect in {attempts}, recorded are {known}"


def _doubts(world: World, outcome: Outcome) -> Iterator[str]:
    """Probes and people are asked after an interruption only, and then what had effect is not done again."""
    lost: dict[str, list[int]] = defaultdict(list)
    settled: dict[str, list[int]] = defaultdict(list)
    for recorded in outcome.events:
        event = recorded.event
        if isinstance(event, e.AttemptInterrupted | e.RetryScheduled | e.NodeCancelled | e.GroupStopping):
            lost[event.path].append(recorded.seq)
        if isinstance(event, SETTLING):
            settled[event.path].append(getattr(event, "attempt", 0))
        asks = isinstance(event, e.WaitOpened) and event.key.startswith(DOUBT) and event.kind == "answer"
        asks = asks and event.key not in {CONFIRM, DECISION}
        probes = isinstance(event, e.AttemptStarted) and event.probe
        if (asks or probes) and not lost[event.path] and not lost[""]:
            yield f"{recorded.seq}: it was asked about {event.path}, of which nothing had been lost"
    for path, key, attempt in world.ledger.probes:
        if not lost[path] and not any(group == "" or path.startswith(group) for group in lost):
            yield f"attempt {attempt} of {path} was probed ({key}), and nothing had been lost"
    if "failing" in world.plan.kinds:
        return
    for path, acts in world.ledger.acts.items():
        ends = sorted(settled[path])
        for first, second in pairwise(acts):
            if not any(first <= end < second for end in ends) and not outcome_stops(outcome):
                yield f"{path} took effect in attempts {first} and {second}, and nobody had settled the first"


def _mail(world: World, outcome: Outcome) -> Iterator[str]:
    """Messages arrive once; answers are what was said, and too late ones do not count."""
    arrived: Counter[tuple[str, int]] = Counter()
    for recorded in outcome.events:
        event = recorded.event
        if isinstance(event, e.MessageArrived):
            arrived[event.name, int(event.value.json)] += 1
        if isinstance(event, e.WaitResolved) and event.outcome == "answered" and not event.key.startswith(DOUBT):
            assert event.value is not None
            if event.key == "late":
                yield f"{recorded.seq}: {event.path} took an answer that came too late"
            elif int(event.value.json) != number_of(f"{event.path} {event.key}"):
                yield f"{recorded.seq}: {event.path} took another answer than was given"
        if isinstance(event, e.WaitResolved) and event.outcome == "expired" and event.key == "timely":
            yield f"{recorded.seq}: the answer to {event.path} was given in time, and did not count"
    done = Counter(r.event.path for r in outcome.events if isinstance(r.event, e.NodeCompleted))
    for (name, value), times in arrived.items():
        if times > max(1, done[name.partition(" ")[2]]):
            yield f"message {name}={value} arrived {times} times"
