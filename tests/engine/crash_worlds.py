"""Random graphs whose bodies count what they really do, and lives of an engine that end at any commit.

The counts are outside of all engines: no crash takes them back, as with effects on the real world.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from clew import Context, Engine, Graph, Recorded, Retry, RunFailedError, fixed
from clew.journal.port import Journal
from clew.kernel import events as e
from clew.testing import CrashPlan, Faults, FaultyJournal, VirtualClock, VirtualLoop, run_virtual

KINDS = ("plain", "flaky", "steps", "sleeper", "fails", "map", "picky", "flow", "sub", "subs", "large")


@dataclass(frozen=True)
class Sketch:
    """A node: what kind, which earlier nodes it reads, how many turns of the loop it takes."""

    kind: str
    reads: tuple[int, ...]
    turns: int


@dataclass(frozen=True)
class Plan:
    """A graph and the crashes of its run: at which commit of each life, and whether that was durable."""

    nodes: tuple[Sketch, ...]
    on_error: str
    concurrency: int
    crashes: tuple[tuple[int, bool], ...]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Some nodes, then some crashes."""
    nodes: list[Sketch] = []
    for number in range(draw(st.integers(1, 7))):
        reads = draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else ()
        nodes.append(Sketch(draw(st.sampled_from(KINDS)), tuple(sorted(reads)), draw(st.integers(0, 4))))
    return Plan(
        tuple(nodes),
        draw(st.sampled_from(["skip_downstream", "continue", "stop_graph"])),
        draw(st.integers(1, 4)),
        tuple(draw(st.lists(st.tuples(st.integers(1, 25), st.booleans()), max_size=4))),
    )


def summed(value: Any) -> int:
    """A number made of everything in some plain data."""
    if isinstance(value, list):
        return sum(map(summed, value)) % 997
    return value if isinstance(value, int) else 1


class World:
    """The graph of a plan, and what its bodies did.

    Attributes:
        entered: how often each body was begun, by address.
        done: how often it came to its end.
        steps: how often each step was really made, by address and key.
    """

    def __init__(self, plan: Plan) -> None:
        self.entered: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.steps: Counter[tuple[str, str]] = Counter()
        self.graph = Graph("world", on_error=plan.on_error, max_concurrency=plan.concurrency)
        for number, sketch in enumerate(plan.nodes):
            self._add(self.graph, number, sketch)

    def _add(self, g: Graph, number: int, sketch: Sketch) -> None:
        reads = [g[f"n{read}"] for read in sketch.reads]
        name, turns = f"n{number}", sketch.turns
        retry = Retry(max_attempts=4, backoff=fixed(5))
        match sketch.kind:
            case "map" | "picky":
                body = self.body("picky" if sketch.kind == "picky" else "item", turns)
                g.map(body, over=[0, 1, 2, 3], reads=reads, id=name, on_item_error="collect")
            case "flow":
                first = g.map(self.body("item", turns), over=[1, 2, 3], reads=reads, id=f"{name}a")
                g.map(self.body("item", 4 - turns), over=first, reads=[], id=name)
            case "sub":
                g.add(self._inner(name, turns), x=reads, id=name)
            case "subs":
                g.map(self._inner(name, turns), over={"x": [[1], [2]]}, id=name, depends_on=reads)
            case kind:
                g.add(self.body(kind, turns), 1, reads=reads, id=name, retry=retry)

    def _inner(self, name: str, turns: int) -> Graph:
        inner = Graph(f"inner-{name}")
        x = inner.input("x", list[Any])
        first = inner.add(self.body("steps", turns), 1, reads=x, id="first")
        inner.returns(inner.add(self.body("plain", turns), 2, reads=[first], id="second"))
        return inner

    def body(self, kind: str, turns: int) -> Any:
        """A body of some kind."""

        async def act(ctx: Context, x: Any, reads: list[Any]) -> Any:
            self.entered[ctx.path] += 1
            for _ in range(turns):
                await asyncio.sleep(0)
            value = await self._act(kind, ctx, x, reads)
            self.done[ctx.path] += 1
            return value

        return act

    async def _act(self, kind: str, ctx: Context, x: Any, reads: list[Any]) -> Any:
        number = summed(x) + summed(reads)
        match kind:
            case "flaky" if self.entered[ctx.path] <= 2:
                raise ConnectionError("try again")
            case "fails":
                raise ValueError("never")
            case "picky" if number % 2:
                raise ValueError("odd")
            case "steps":
                number += await ctx.step("paid", self.step, ctx.path, "paid", effect=True)
                await asyncio.sleep(0)
                number += await ctx.step("read", self.step, ctx.path, "read")
            case "sleeper":
                await ctx.sleep(30)
                number += await ctx.step("paid", self.step, ctx.path, "paid", effect=True)
            case "large":
                return [number] * 1_000
            case _:
                pass
        return number

    async def step(self, path: str, key: str) -> int:
        self.steps[path, key] += 1
        await asyncio.sleep(0)
        return 10


@dataclass
class Outcome:
    """How a run ended, and its history."""

    state: str
    values: dict[str, Any]
    failures: dict[str, str]
    events: list[Recorded]


def live(world: World, journal: Journal, crash: CrashPlan, start_s: float) -> Outcome | None:
    """One life of an engine that drives the run: to the run's end, or to the crash (None)."""

    async def life() -> Outcome | None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        faulty = FaultyJournal(journal, Faults(crash=crash))
        engine = Engine(faulty, clock=VirtualClock(loop))
        await engine.open()
        driving = asyncio.ensure_future(drive(engine, world.graph))
        dying = asyncio.ensure_future(faulty.crashed.wait())
        await asyncio.wait({driving, dying}, return_when=asyncio.FIRST_COMPLETED)
        if faulty.crashed.is_set():
            await bury(engine)
            return None
        dying.cancel()
        outcome = driving.result()
        await engine.close()
        return outcome

    return run_virtual(life(), start_s=start_s)


async def drive(engine: Engine, graph: Graph) -> Outcome:
    """Start the run, or go on with it, and wait for its end."""
    run = await engine.start(graph, id="r")
    try:
        result = await run.result()
    except RunFailedError as error:
        result = error.result
    failures = {path: info.type for path, info in result.failures.items()}
    events = [recorded async for recorded in run.events(live=False)]
    return Outcome(result.state, dict(result), failures, events)


async def bury(engine: Engine) -> None:
    """What the end of a process does: everything stops without a word."""
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left)
    engine._keeper.end()
    engine._slots.close()
    await engine._workshop.close()


def play(plan: Plan, journal: Journal) -> tuple[World, Outcome, int]:
    """Run a plan to its end through all its crashes; the world, the outcome, the commits of the last life."""
    world, start_s = World(plan), 0.0
    for at_commit, durable in (*plan.crashes, (0, True)):
        crash = CrashPlan(at_commit, durable)
        outcome = live(world, journal, crash, start_s)
        if outcome is not None:
            return world, outcome, crash.commits
        start_s += 3_600.0  # the dead owner's lease is over
    raise AssertionError("the last life does not crash")


def assert_nothing_done_twice(world: World, outcome: Outcome) -> None:
    """Each effect happened once, and once more at most for each attempt that was under way at a crash."""
    found = Counter((type(r.event), getattr(r.event, "path", "")) for r in outcome.events)
    steps = Counter((r.event.path, r.event.key) for r in outcome.events if isinstance(r.event, e.StepCompleted))
    for path, times in world.done.items():
        assert (
            times
            <= found[e.NodeCompleted, path] + found[e.AttemptInterrupted, path] + found[e.NodeCancelled, path]
        ), path
    for path, times in world.entered.items():
        assert times <= found[e.AttemptStarted, path] + found[e.AttemptResumed, path], path
    for (path, key), times in world.steps.items():
        lost = found[e.AttemptInterrupted, path] + found[e.NodeCancelled, path]
        assert times <= steps[path, key] + lost, (path, key)
        assert steps[path, key] <= 1, (path, key)
    for (kind, path), times in found.items():
        if kind in {e.NodeCompleted, e.RunAdmitted, e.MapOpened, e.RunCompleted, e.RunFailed}:
            assert times == 1, (kind, path)
        if kind is e.NodeCompleted and path in world.entered:
            assert world.done[path] >= 1, path
    assert [r.seq for r in outcome.events] == list(range(1, len(outcome.events) + 1))
