"""Seeds to random graphs and to what befalls their runs: the same seed always tells the same story.

A *plan* is a graph; a *schedule* is what happens to a run of it: deaths, faults of the disk, people who pause and
cancel. `SCHEDULES_PER_PLAN` seeds in a row share a plan, and so the undisturbed run that they are compared with.
"""

import random
from dataclasses import dataclass

SCHEDULES_PER_PLAN = 8

#: Bodies of plain nodes, of items of maps, and of nodes of sub-graphs.
BODIES = (
    "plain", "flaky", "steps", "sleeper", "slow", "asks", "asks_in_time", "asks_too_late", "receives", "early",
    "unheard", "locked", "probed", "asked", "failing", "probed_step", "asked_step", "fail_step", "both", "large",
)  # fmt: skip
#: What holds other nodes, or fails by itself.
OTHERS = ("fails", "picky", "map", "map_one_by_one", "flow", "sub", "subs", "locked_map", "named_map", "fail_fast")
POLICIES = ("skip_downstream", "continue", "stop_graph")
CHANNELS = ("engine", "other", "inbox")


@dataclass(frozen=True)
class Sketch:
    """A node: what kind, which earlier nodes it reads, how many turns of the loop its body takes at a time."""

    kind: str
    reads: tuple[int, ...] = ()
    turns: int = 0
    body: str = "plain"
    on_error: str = ""


@dataclass(frozen=True)
class Undo:
    """How a run is undone.

    Attributes:
        seed: chooses the compensations of nodes and steps; a node is told by its name.
        automatic: a run that fails is rolled back.
    """

    seed: int = 0
    automatic: bool = True


@dataclass(frozen=True)
class Plan:
    """A graph; with `undo`, its runs are rolled back in the end."""

    nodes: tuple[Sketch, ...]
    on_error: str = "skip_downstream"
    concurrency: int = 3
    undo: Undo | None = None

    @property
    def stops(self) -> bool:
        """Whether a failure ends what is beside it: then what there is at the end depends on who was quicker."""
        policies = {sketch.on_error or self.on_error for sketch in self.nodes}
        return "stop_graph" in policies

    @property
    def kinds(self) -> set[str]:
        """Kinds of nodes and of bodies that are in it."""
        return {sketch.kind for sketch in self.nodes} | {sketch.body for sketch in self.nodes}


@dataclass(frozen=True)
class Death:
    """When a life ends: see `clew.testing.CrashPlan`; `at` counts commits, commands or calls."""

    of: str
    at: int
    done: bool


@dataclass(frozen=True)
class Meddling:
    """Somebody does something to the run, `at` seconds after its start (of time in which somebody drives it)."""

    what: str
    at: float
    for_s: float
    channel: str


@dataclass(frozen=True)
class Schedule:
    """What befalls a run.

    Attributes:
        seed: of everything that is left to chance.
        deaths: of one life each; the life after them goes on to the end.
        gaps: seconds for which nobody is there, after each death.
        fail_at: calls of the journal that fail, in each life.
        delay_s: commits take up to so long.
        meddling: what people do.
        channels: how people tell the run things: through the engine that drives it, through another one, or
            straight into the inbox.
        parks: runs that only wait leave memory soon.
        neighbour: another run wants the same exclusive keys.
        stores: in memory, or in a file.
        early: decisions that are given before they are asked for.
        standing: some are given once for all visits of a barrier.
        wrong: decisions that have to be refused.
    """

    seed: int = 0
    deaths: tuple[Death, ...] = ()
    gaps: tuple[float, ...] = ()
    fail_at: frozenset[int] = frozenset()
    delay_s: float = 0.0
    meddling: tuple[Meddling, ...] = ()
    channels: tuple[str, ...] = ("engine",)
    parks: bool = False
    neighbour: bool = False
    stores: str = "memory"
    early: int = 0
    standing: bool = False
    wrong: int = 0


def plan_of(seed: int) -> Plan:
    """The graph of a seed."""
    dice = random.Random(f"plan {seed // SCHEDULES_PER_PLAN}")
    nodes: list[Sketch] = []
    for number in range(dice.choice((1, 2, 3, 3, 4, 4, 5, 6, 7))):
        reads = tuple(sorted(dice.sample(range(number), min(number, dice.choice((0, 1, 1, 2))))))
        kind = dice.choice(BODIES) if dice.random() < 0.6 else dice.choice(OTHERS)
        on_error = dice.choice(POLICIES) if dice.random() < 0.1 else ""
        nodes.append(Sketch(kind, reads, dice.randrange(4), dice.choice(BODIES), on_error))
    return Plan(tuple(nodes), dice.choice(POLICIES), dice.randint(1, 4))


def schedule_of(seed: int) -> Schedule:
    """What befalls the run of a seed."""
    dice = random.Random(f"schedule {seed}")
    deaths = tuple(_death(dice) for _ in range(dice.choice((0, 1, 1, 2, 2, 3, 4, 6))))
    return Schedule(
        seed=seed,
        deaths=deaths,
        gaps=tuple(dice.choice((16.0, 20.0, 3_600.0)) for _ in deaths),
        fail_at=_faults(dice),
        delay_s=dice.choice((0.05, 1.0)) if dice.random() < 0.2 else 0.0,
        meddling=tuple(_meddling(dice) for _ in range(dice.choice((0, 0, 1, 1, 2, 3)))),
        channels=tuple(dice.sample(CHANNELS, dice.randint(1, 3))),
        parks=dice.random() < 0.4,
        neighbour=dice.random() < 0.15,
        stores="file" if dice.random() < 0.01 else "memory",
    )


def _faults(dice: random.Random) -> frozenset[int]:
    """Calls that fail: none, one, some in a row, or here and there for a while."""
    first = dice.choice((dice.randint(1, 20), dice.randint(1, 150)))
    kind = dice.random()
    if kind < 0.6:
        return frozenset()
    if kind < 0.9:
        return frozenset(range(first, first + dice.choice((1, 1, 2, 5))))
    share = dice.choice((0.02, 0.1, 0.3))
    return frozenset(call for call in range(1, 300) if dice.random() < share)


def _death(dice: random.Random) -> Death:
    of = dice.choice(("commit", "commit", "command", "command", "call"))
    return Death(of, dice.choice((dice.randint(1, 6), dice.randint(1, 40))), dice.random() < 0.6)


def _meddling(dice: random.Random) -> Meddling:
    what = dice.choice(("pause", "pause", "pause now", "pause now", "cancel"))
    at = dice.choice((0.0, round(dice.uniform(0, 3), 2), round(dice.uniform(0, 30), 2)))
    return Meddling(what, at, dice.choice((0.0, 2.0, 15.0)), dice.choice(CHANNELS))
