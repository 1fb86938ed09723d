"""Lives of an engine that drives the run of a plan, through all that its schedule says, to the run's end."""

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crash_people import People, Ways
from crash_plans import Death, Plan, Schedule
from crash_worlds import World
from engine_kit import pass_time

from clew import ClewError, Engine, Recorded, Run, RunFailedError, StateGraph
from clew.engine import drivers, parking
from clew.errors import InternalError
from clew.journal.memory import MemoryJournal
from clew.journal.port import Journal
from clew.journal.sqlite import SqliteJournal
from clew.kernel import events as e
from clew.kernel import machine
from clew.testing import (
    CrashingEngine,
    CrashPlan,
    Faults,
    FaultyJournal,
    VirtualClock,
    VirtualLoop,
    run_until_crash,
    run_virtual,
)

#: A life that takes longer hangs, in virtual seconds.
LIMIT_S = 3_000.0
#: How often people retry a run: a loss that a way led on from is no reason to go on for ever.
RETRIES = 20
#: Failures that say that something was lost: whoever looks after the run retries it.
LOST = {"interrupted", "StepInterruptedError"}


class SharedMemory(MemoryJournal):
    """A journal in memory that engines share as they would share a file: each post is noticed by the others."""

    def __init__(self) -> None:
        super().__init__()
        self.posts = 0

    async def post(self, run: str, data: bytes, at: float, by: str) -> int:
        self.posts += 1
        return await super().post(run, data, at, by)

    def version(self) -> int:
        return self.posts


@dataclass
class Outcome:
    """How a run ended, and its history.

    Attributes:
        state: of the run.
        values: outputs of its nodes.
        failures: types of the errors of the nodes at the top, by address.
        events: all of them.
        counts: what the last life had counted: commits, commands, calls.
        left: keys that are held and signals that wait after the end.
    """

    state: str
    values: dict[str, Any]
    failures: dict[str, str]
    events: list[Recorded]
    counts: dict[str, int]
    left: list[Any]


@contextmanager
def tuned(schedule: Schedule) -> Generator[None]:
    """Snapshots are frequent, waiting runs are parked soon, lost ones are taken up again soon."""
    kept = machine.SNAPSHOT_EVENTS, drivers.IDLE_S, parking.LAST_RETRY_S
    machine.SNAPSHOT_EVENTS = 12
    parking.LAST_RETRY_S = 4.0
    if schedule.parks:
        drivers.IDLE_S = 1.0
    try:
        yield
    finally:
        machine.SNAPSHOT_EVENTS, drivers.IDLE_S, parking.LAST_RETRY_S = kept


def play(plan: Plan, schedule: Schedule, folder: Path | None = None) -> tuple[World, Outcome]:
    """Run a plan to its end, through everything that befalls it."""
    world = World(plan)
    file = folder if schedule.stores == "file" else None
    memory = SharedMemory()
    people = People(world, schedule, memory)
    start_s = 0.0
    with tuned(schedule):
        for number in range(len(schedule.deaths) + 1):
            death = schedule.deaths[number] if number < len(schedule.deaths) else None
            story = Life(world, people, schedule, death)
            journal: Journal = memory if file is None else SqliteJournal(file / "clew.db", "process")
            spare: Journal = memory if file is None else SqliteJournal(file / "clew.db", "process")
            outcome, now_s = run_virtual(story.whole(journal, spare, number), start_s=start_s)
            if outcome is not None:
                return world, outcome
            start_s = now_s + schedule.gaps[number]
    raise AssertionError("the last life does not end by a crash")


class Life:
    """One life of an engine: to the end of the run, or to a death."""

    def __init__(self, world: World, people: People, schedule: Schedule, death: Death | None) -> None:
        self.world = world
        self.people = people
        self.schedule = schedule
        self.crash = crash_of(death)
        self.retries = 0

    async def whole(self, journal: Journal, spare: Journal, number: int) -> tuple[Outcome | None, float]:
        """Live; the outcome, if there is one, and when it ended (virtual seconds)."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.clock = VirtualClock(loop)
        self.loop = loop
        await journal.open()
        await spare.open()
        schedule, people = self.schedule, self.people
        people.journal = spare
        faults = Faults(
            seed=schedule.seed * 100 + number,
            fail_at=schedule.fail_at,
            delay_s=schedule.delay_s,
            tear=schedule.neighbour,
            crash=self.crash,
        )
        self.watch_memory(spare)
        self.dying, self.spare = FaultyJournal(journal, faults), FaultyJournal(spare, Faults())
        ended = await run_until_crash(self._main(), self.dying.crashed)
        now_s = loop.time()
        await journal.open()
        await spare.open()
        outcome = None
        if ended is None:
            with suppress(ClewError):
                await people.meanwhile(self.clock.now() + schedule.gaps[number])
        else:
            await people.look()
            state, values, failures = ended
            counts = {"commit": self.crash.commits, "command": self.crash.commands, "call": faults.calls}
            last = self.world.events[-1].event.at - 0.5 - schedule.delay_s
            last_s = loop.time() - self.clock.now() + last
            waiting = [
                item
                for item in await spare.inbox("r")
                if item.at < last and people.posted.get(item.id, 0) < last_s and item.id not in people.too_late
            ]
            left = [*await spare.keys(), *waiting]
            outcome = Outcome(state, values, failures, self.world.events, counts, left)
        await journal.close()
        await spare.close()
        return outcome, now_s

    def watch_memory(self, journal: Journal) -> None:
        """What is in memory can be looked at by bodies, at once."""
        world = self.world
        if not isinstance(journal, MemoryJournal):
            return
        seen: set[Any] = set()
        count = 0

        def is_recorded(path: str, attempt: int, key: str) -> bool:
            nonlocal count
            stored = journal._runs.get("r")
            events = stored.events if stored is not None else []
            for event in events[count:]:
                if isinstance(event, e.AttemptStarted):
                    seen.add((event.path, event.attempt, ""))
                elif isinstance(event, e.StepStarted):
                    seen.add((event.path, event.key))
            count = len(events)
            if path.startswith("near"):
                return True
            return (path, key) in seen if key else (path, attempt, "") in seen

        world.ledger.is_recorded = is_recorded

    async def _main(self) -> tuple[str, dict[str, Any], dict[str, str]]:
        schedule, world, people, faults = self.schedule, self.world, self.people, self.dying.faults
        graphs = [world.graph, world.neighbour]
        async with AsyncExitStack() as stack:
            engine = CrashingEngine(self.dying, clock=self.clock, graphs=graphs)
            await stack.enter_async_context(engine)
            engines: list[Engine] = [engine]
            if "other" in schedule.channels:
                other = CrashingEngine(self.spare, clock=self.clock, drives=False)
                stack.push_async_callback(other.close)
                stack.callback(self.spare.crashed.set)
                await other.open()
                engines.append(other)
            people.ways = Ways(engine, engines[-1])
            beside = [
                asyncio.create_task(people.live(self.clock.now, LIMIT_S)),
                asyncio.create_task(self._renew(engines)),
            ]
            driving = asyncio.create_task(self._drive(engine))
            try:
                await asyncio.wait({driving, *beside}, return_when=asyncio.FIRST_COMPLETED)
                for task in beside:
                    if task.done():
                        task.result()
                return driving.result()
            finally:
                faults.fail_at = frozenset()  # who closes hears of faults, and nobody else does
                for task in (driving, *beside, *people.busy):
                    task.cancel()
                await asyncio.gather(driving, *beside, *people.busy, return_exceptions=True)

    async def _renew(self, engines: list[Engine]) -> None:
        """The threads that renew leases live in real time."""
        while True:
            for engine in engines:
                if engine._keeper.begun:
                    self.spare.inner.renew(engine._owner, self.clock.now())
                    engine._keeper._renewed_at = self.clock.now()
            await pass_time(4)

    async def _drive(self, engine: Engine) -> tuple[str, dict[str, Any], dict[str, str]]:
        near = asyncio.create_task(self._neighbour(engine)) if self.schedule.neighbour else None
        for _ in range(1_000):
            try:
                run = await engine.start(self.world.graph, self.world.inputs, id="r")
                try:
                    result = await run.result()
                except RunFailedError as error:
                    result = error.result
                lost = bool(LOST & {info.type for info in result.failures.values()})
                if not await self._is_over(run, result.state, lost=lost and not self._goes_on(result.state)):
                    continue
            except InternalError:
                raise
            except ClewError as error:
                self.world.troubles.append(f"{self.clock.now():.1f} {error!r}")
                await pass_time(0.7)
                continue
            if near is not None:
                await near
            failures = {path: info.type for path, info in result.failures.items() if not set("[/") & set(path)}
            return result.state, dict(result), failures
        raise AssertionError(f"the run does not come to an end: {self.world.troubles[-5:]}")

    async def _is_over(self, run: Run, state: str, *, lost: bool) -> bool:
        """Whether nobody wants anything more of a run that has ended; otherwise, they have told it what."""
        if self.world.plan.undo is None or not (state.startswith("roll") or self.schedule.seed % 4 == 0):
            if (state == "cancelled" or lost) and self.retries < RETRIES:
                self.retries += 1
                await run.retry(by="ada")
                return False
            if self.world.plan.undo is None:
                return True
        elif state == "rolled_back" or (state == "rollback_failed" and not await self._has_lost_an_undoing()):
            return True
        await run.rollback(by="ada")
        return False

    async def _has_lost_an_undoing(self) -> bool:
        """Whether the last rollback has failed because a compensation was lost with its process."""
        await self.people.look()
        for recorded in reversed(self.world.events):
            match recorded.event:
                case e.RollbackStarted():
                    break
                case e.NodeFailed(path=path, error=error) if "#undo" in path and error.type in LOST:
                    return True
                case _:
                    pass
        return False

    def _goes_on(self, state: str) -> bool:
        """Whether a run has ended well although something was lost: a way led on from there."""
        return state == "completed" and isinstance(self.world.graph, StateGraph)

    async def _neighbour(self, engine: Engine) -> None:
        while True:
            try:
                run = await engine.start(self.world.neighbour, id="q")
                assert (await run.result()).state == "completed"
            except RunFailedError:
                raise
            except ClewError:
                await pass_time(0.7)
                continue
            return


def crash_of(death: Death | None) -> CrashPlan:
    """The plan of a death."""
    if death is None:
        return CrashPlan()
    match death.of:
        case "commit":
            return CrashPlan(at_commit=death.at, durable=death.done)
        case "command":
            return CrashPlan(at_command=death.at, performed=death.done)
        case _:
            return CrashPlan(at_call=death.at, durable=death.done)
