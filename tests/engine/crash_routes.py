"""Seeds to random state graphs: loops, routers, barriers, branches, sub-graphs, ways out of failures.

A *walk* is a state graph as a list of *stops*, in which edges lead so and so many stops on or back. So a stop can
be left out and the rest is a graph yet, which is how a failing story is made smaller.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from crash_plans import BODIES, POLICIES, SCHEDULES_PER_PLAN, Plan, Schedule, Sketch, schedule_of

#: Bodies that fail by themselves.
FAILING = ("fails", "picky")
#: Bodies whose loss with a process is a failure, after which people retry the run.
LOSING = ("failing", "fail_step")
#: Bodies of which others than themselves say what they returned.
TOLD = ("probed", "asked", "failing")
#: Keys of the state that a stop can write to; `-text` takes one out.
KEYS = ("total", "top", "low", "notes", "last", "picks", "text", "-text")
#: Those that sub-graphs have, too.
SHARED = ("total", "top", "notes", "picks")
#: Those to which branches can write side by side.
MERGED = ("total", "top", "low", "notes", "last", "picks")
#: How the token goes on from a stop, and how from one whose body says so itself.
WAYS = ("on", "on", "far", "expression", "router")
WAYS_OF_BODIES = ("loop", "loop", "goto", "wants_fallback", "limited", "limited_fallback")
#: Those that need a way out of failures.
_NEED_FALLBACK = frozenset({"wants_fallback", "limited_fallback"})
SAYINGS = ("approve", "reject_once", "reject", "modify", "reroute", "changes")


@dataclass(frozen=True)
class Asking:
    """A barrier: what people say to it, whether they have a time for that, and what counts if they are too late.

    Attributes:
        says: approve, reject, or the latter at its first visit; change the state first; lead elsewhere.
        when: ``open`` (there is no limit), ``timely`` (they are always in time), ``late`` (they never are).
        default: what counts then.
    """

    says: str = "approve"
    when: str = "open"
    default: str = "reject"


@dataclass(frozen=True)
class Stop:
    """A node of a state graph, or a branch.

    Attributes:
        kind: ``body``, ``barrier``, ``parallel``, ``map``, ``sub``, ``subs`` (a map of them), ``graph`` (one of
            dependencies).
        body: what it does, or what is done in it.
        turns: of the loop that its body takes at a time.
        writes: keys that it writes to.
        way: how the token goes on.
        far: how many stops on, or back, that may be.
        fallback: there is a way out of failures.
        asking: of a barrier.
        parts: branches, or the stops of a sub-graph.
        collects: failures of branches or items are put up with.
    """

    kind: str
    body: str = "plain"
    turns: int = 0
    writes: tuple[str, ...] = ()
    way: str = "on"
    far: int = 1
    fallback: bool = False
    asking: Asking = Asking()
    parts: tuple["Stop", ...] = ()
    collects: bool = False


@dataclass(frozen=True)
class Walk:
    """A state graph."""

    stops: tuple[Stop, ...]

    @property
    def all(self) -> Iterator[Stop]:
        """All stops and branches in it, at any depth."""
        todo = [*self.stops]
        while todo:
            stop = todo.pop()
            yield stop
            todo += stop.parts

    @property
    def breaks(self) -> bool:
        """Whether a failure may end what is beside it."""
        groups = [stop for stop in self.all if stop.kind in {"parallel", "map", "subs", "graph"}]
        fragile = {*FAILING, *LOSING}
        return any(not group.collects and fragile & {stop.body for stop in Walk((group,)).all} for group in groups)

    @property
    def has_limits(self) -> bool:
        """Whether the way depends on how often something was visited in this generation of the run."""
        return any(stop.way.startswith("limited") for stop in self.all)


@dataclass(frozen=True)
class StatePlan(Plan):
    """A state graph as a whole run, or graphs of dependencies with state graphs in them.

    Attributes:
        walk: the whole run; empty if `nodes` are.
        walks: those of the nodes that are state graphs, by their place.
    """

    walk: Walk = Walk(())
    walks: tuple[tuple[int, Walk], ...] = ()

    @property
    def all_walks(self) -> tuple[Walk, ...]:
        """All that are not inside of others."""
        return (self.walk, *(walk for _, walk in self.walks))

    @property
    def stops(self) -> bool:
        """See `Plan.stops`."""
        return any(walk.breaks for walk in self.all_walks) or (bool(self.nodes) and super().stops)

    @property
    def kinds(self) -> set[str]:
        """See `Plan.kinds`."""
        return super().kinds | {stop.body for walk in self.all_walks for stop in walk.all}

    @property
    def has_limits(self) -> bool:
        """Whether the way depends on how often something was visited in this generation of the run."""
        return any(walk.has_limits for walk in self.all_walks)

    @property
    def leads_on(self) -> bool:
        """Whether there is a way on from failures somewhere."""
        return any(stop.fallback or stop.collects for walk in self.all_walks for stop in walk.all)


def state_plan_of(seed: int) -> StatePlan:
    """The state graphs of a seed."""
    dice = random.Random(f"walk {seed // SCHEDULES_PER_PLAN}")
    concurrency = dice.randint(1, 4)
    if dice.random() < 0.75:
        return StatePlan((), "skip_downstream", concurrency, walk=_walk(dice, 0, dice.choice((1, 2, 3, 4, 5))))
    nodes: list[Sketch] = []
    walks: list[tuple[int, Walk]] = []
    for number in range(dice.choice((1, 2, 3))):
        reads = tuple(sorted(dice.sample(range(number), min(number, dice.choice((0, 1))))))
        if number == 0 or dice.random() < 0.5:
            # Of a graph that completed with failures, people would ask for more than it has to give.
            walks.append((number, _walk(dice, 0, dice.choice((1, 2, 3)), loses=False)))
            nodes.append(Sketch(dice.choice(("walk", "walk", "walks")), reads))
        else:
            nodes.append(Sketch(dice.choice(BODIES), reads, dice.randrange(4)))
    return StatePlan(tuple(nodes), dice.choice(POLICIES), concurrency, walks=tuple(walks))


def state_schedule_of(seed: int) -> Schedule:
    """What befalls the run of a seed, decisions included."""
    dice = random.Random(f"decisions {seed}")
    return replace(
        schedule_of(seed),
        early=dice.choice((0, 1, 2, 4)),
        standing=dice.random() < 0.35,
        wrong=dice.choice((0, 1, 2, 4)),
    )


def early_visits(plan: StatePlan) -> list[str]:
    """The addresses of visits that receive what was sent before they began."""
    heads = [("s", plan.walk)]
    for number, walk in plan.walks:
        items = ("[0]", "[1]") if plan.nodes[number].kind == "walks" else ("",)
        heads += [(f"n{number}{item}/n{number}s", walk) for item in items]
    visits = ("", "#2", "#3", "#4")
    return [
        f"{head}{place}{visit}"
        for head, walk in heads
        for place, stop in enumerate(walk.stops)
        if stop.kind == "body" and stop.body == "early"
        for visit in visits
    ]


def without_stops(plan: StatePlan) -> Iterator[StatePlan]:
    """The same plan with one stop, branch or liberty less in each."""
    for stops in _less(plan.walk.stops):
        if stops:
            yield replace(plan, walk=Walk(stops))
    for number, (place, walk) in enumerate(plan.walks):
        for stops in _less(walk.stops):
            if stops:
                walks = (*plan.walks[:number], (place, Walk(stops)), *plan.walks[number + 1 :])
                yield replace(plan, walks=walks)


def _less(stops: tuple[Stop, ...]) -> Iterator[tuple[Stop, ...]]:
    for number, stop in enumerate(stops):
        before, after = stops[:number], stops[number + 1 :]
        yield (*before, *after)
        for name in ("body", "turns", "writes", "way", "fallback", "collects", "asking"):
            plain = getattr(Stop(stop.kind), name)
            if getattr(stop, name) != plain and not (name == "fallback" and stop.way in _NEED_FALLBACK):
                yield (*before, replace(stop, **{name: plain}), *after)
        for parts in _less(stop.parts):
            if parts:
                yield (*before, replace(stop, parts=parts), *after)


def _walk(dice: random.Random, depth: int, length: int, *, loses: bool = True) -> Walk:
    return Walk(tuple(_stop(dice, depth, loses=loses) for _ in range(length)))


def _stop(dice: random.Random, depth: int, *, loses: bool) -> Stop:
    """A node; without `loses`, the loss of an attempt is no failure in it."""
    kinds = ("body",) * 6 + ("barrier",) * 3
    if depth < 2:
        kinds += ("parallel", "parallel", "map", "map", "sub", "subs", "graph")
    kind = dice.choice(kinds)
    way = dice.choice(WAYS)
    if kind == "body" and dice.random() < 0.45:
        way = dice.choice(WAYS_OF_BODIES)
    fallback = dice.random() < 0.3 or way in _NEED_FALLBACK
    collects = kind in {"parallel", "map", "subs"} and dice.random() < 0.4
    stop = Stop(
        kind,
        _body(dice, loses=loses, early=depth == 0 and kind == "body"),
        dice.randrange(4),
        _writes(dice, KEYS if depth == 0 and kind == "body" else SHARED if depth else MERGED),
        way,
        dice.randint(1, 2),
        fallback,
        _asking(dice),
        collects=collects,
    )
    if way in {"goto", "wants_fallback"} and stop.body in TOLD:
        stop = replace(stop, body="steps")
    return replace(stop, parts=_parts(dice, kind, depth, loses=loses))


def _parts(dice: random.Random, kind: str, depth: int, *, loses: bool) -> tuple[Stop, ...]:
    if kind == "parallel":
        return tuple(_branch(dice, depth, loses=loses) for _ in range(dice.randint(2, 3)))
    if kind in {"sub", "subs"}:
        return _walk(dice, depth + 1, dice.choice((1, 2, 2, 3)), loses=loses).stops
    return ()


def _branch(dice: random.Random, depth: int, *, loses: bool) -> Stop:
    kind = dice.choice(("body", "body", "body", "barrier", "sub", "graph"))
    keys = SHARED if depth else (*MERGED, *(("text",) if dice.random() < 0.1 else ()))
    stop = Stop(
        kind,
        _body(dice, loses=loses),
        dice.randrange(4),
        _writes(dice, keys),
        asking=replace(_asking(dice), says=dice.choice(("approve", "reject", "changes"))),
    )
    if kind == "sub":
        stop = replace(stop, parts=_walk(dice, depth + 1, dice.choice((1, 2)), loses=loses).stops)
    return stop


def _body(dice: random.Random, *, loses: bool, early: bool = False) -> str:
    body = dice.choice(FAILING) if dice.random() < 0.12 else dice.choice(BODIES)
    unfit = (body in LOSING and not loses) or (body == "early" and not early)
    return "steps" if unfit else body


def _writes(dice: random.Random, keys: tuple[str, ...]) -> tuple[str, ...]:
    writes = dice.sample(keys, dice.choice((0, 1, 1, 2, 3)))
    return tuple(key for key in writes if not (key == "-text" and "text" in writes))


def _asking(dice: random.Random) -> Asking:
    when = dice.choice(("open", "open", "timely", "late"))
    says = dice.choice(SAYINGS)
    if when == "late" and says == "reject_once":
        says = "reject"  # nobody approves in the end
    return Asking(says, when, dice.choice(("approve", "reject", "skip")))
