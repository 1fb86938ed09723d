"""The people around a run: they answer, send, pause, cancel; and they outlive every engine.

What they answer depends on the graph alone; when, and by which way, on the schedule. About what was lost they
tell the truth, which the ledger knows.
"""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
from crash_bodies import STEP_VALUE, number_of
from crash_deciders import Deciders, Early, Errand
from crash_plans import BODIES, Meddling, Plan, Schedule
from crash_routes import StatePlan, early_visits
from crash_worlds import World
from engine_kit import pass_time

from clew import ClewError, Engine
from clew.engine.feed import POLL_S
from clew.journal.port import Journal
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.questions import CONFIRM, DECISION
from clew.kernel.values import Value

#: How often people look, in seconds.
LOOK_S = 0.5
#: They answer at latest so long before a deadline.
MARGIN_S = 5.0


@dataclass
class Question(Errand):
    """A question that was asked."""

    event: e.WaitOpened = None  # type: ignore[assignment]


@dataclass
class Letter(Errand):
    """A message that is to be sent, once."""

    name: str = ""
    value: int = 0
    after: tuple[str, int] | None = None


@dataclass
class Ways:
    """How people reach the run in one life of an engine; empty while nobody is there."""

    engine: Engine | None = None
    other: Engine | None = None


@dataclass
class People:
    """Everybody who has to do with one run."""

    world: World
    schedule: Schedule
    journal: Journal
    lived_s: float = 0.0
    ways: Ways = field(default_factory=Ways)
    questions: dict[tuple[str, str], Question] = field(default_factory=dict)
    letters: dict[tuple[str, int], Letter] = field(default_factory=dict)
    arrived: set[tuple[str, int]] = field(default_factory=set)
    ever_arrived: set[tuple[str, int]] = field(default_factory=set)
    meddling: list[Meddling] = field(default_factory=list)
    too_late: set[int] = field(default_factory=set)
    #: When signals were really put into the inbox, in virtual seconds, whatever time they were given in.
    posted: dict[int, float] = field(default_factory=dict)
    paused_since: float | None = None
    pause_s: float = 0.0
    busy: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.dice = random.Random(f"people {self.schedule.seed}")
        self.deciders = Deciders(self.world.states, self.schedule)
        self.meddling = sorted(self.schedule.meddling, key=lambda meddling: meddling.at)
        for path in early_paths(self.world.plan):
            for number in range(2):
                self._expect_letter(f"early {path}", number, 0.0)

    # ------------------------------------------------------------------ looking

    async def live(self, now: Any, limit_s: float) -> None:
        """Do what is to be done while an engine is there; for ever, or until the run hangs."""
        began = now()
        lived_s = self.lived_s
        while True:
            await self.look()
            self.lived_s = lived_s + now() - began
            if now() - began > limit_s:
                raise AssertionError(f"the run hangs: {await self.journal.row('r')}")
            for question in list(self.questions.values()):
                if question.at <= now() and not question.flying:
                    self._go(question, self._answer(question, now()))
            for letter in list(self.letters.values()):
                if letter.at <= now() and not letter.flying and letter.after in {None, *self.arrived}:
                    self._go(letter, self._send(letter, now()))
            for early in self.deciders.early:
                if early.at <= self.lived_s and not early.flying and not self.deciders.is_done(early):
                    self._go(early, self._decide_early(early, now()))
            for mistake in [each for each in self.deciders.mistakes if each.at <= self.lived_s]:
                self.deciders.mistakes.remove(mistake)
                self._go(mistake, self._mistake(mistake.what, now()))
            await self._meddle(now())
            await pass_time(LOOK_S)

    async def look(self) -> None:
        """Read what has happened since."""
        world = self.world
        new = await self.journal.read("r", len(world.events), 100_000)
        world.events += new
        for recorded in new:
            self._hear(recorded.event)

    def _hear(self, event: e.AnyEvent) -> None:
        self.deciders.hear(event)
        match event:
            case e.WaitOpened(kind="answer", path=path, key=key):
                self.questions[path, key] = Question(self._moment(event), event=event)
            case e.WaitOpened(kind="message", path=path, key=key, name=name) if name in _names_of(path):
                late = number_of(path) % 3 if name.startswith("late") else 0
                self._expect_letter(name, int(key == "two"), event.at + late)
            case e.WaitResolved(path=path, key=key):
                self.questions.pop((path, key), None)
            case e.NodeCompleted(path=path):  # made anew, it will want other messages
                self.arrived -= {(name, value) for name, value in self.arrived if name in _names_of(path)}
            case e.MessageArrived(name=name, value=value):
                self.arrived.add((name, int(value.json)))
                self.ever_arrived.add((name, int(value.json)))
                self.letters.pop((name, int(value.json)), None)
            case _:
                pass

    def _expect_letter(self, name: str, number: int, at: float) -> None:
        value = number_of(name) + 7 * number
        if (name, value) not in self.arrived:
            after = (name, value - 7) if number else None
            self.letters.setdefault((name, value), Letter(at, name=name, value=value, after=after))

    def _comes_late(self, event: e.WaitOpened) -> bool:
        """Whether people miss the end of its time."""
        if event.key != DECISION:
            return event.key == "late"
        asking = self.world.states.asking(event.path)
        assert asking is not None
        return asking.when == "late"

    def _moment(self, event: e.WaitOpened) -> float:
        if self._comes_late(event):
            assert event.due is not None
            return event.due + 0.5
        return event.at + (0.0, 0.5, 3.0, 8.0)[number_of(f"{event.path} {event.key}") % 4]

    # ------------------------------------------------------------------ doing

    def _go(self, errand: Errand, doing: Coroutine[Any, Any, None]) -> None:
        async def go() -> None:
            try:
                await doing
            except ClewError:
                errand.failed = True
            finally:
                errand.flying = False

        errand.flying = True
        task = asyncio.create_task(go(), name="clew test errand")
        self.busy.add(task)
        task.add_done_callback(self.busy.discard)
        task.add_done_callback(lambda _: doing.close())  # it may have died before its first turn

    async def _answer(self, question: Question, now: float) -> None:
        event = question.event
        late = self._comes_late(event)
        urgent = event.due is not None and not late and (question.failed or now > event.due - MARGIN_S)
        channel = "post" if urgent else self.dice.choice(self.schedule.channels)
        if urgent:
            assert event.due is not None
            now = min(now, event.due - 1)
        await self.look()
        if self.questions.get((event.path, event.key)) is not question:
            return  # it has been answered, or is asked anew
        if late:
            if self.world.plan.stops or any(meddling.what == "cancel" for meddling in self.schedule.meddling):
                return  # the same question may be asked anew at this very moment
            channel = "engine"  # at once, or it might be taken for the answer to the same question asked anew
        if channel in {"inbox", "post"}:
            if not await self._lies_there(*_words(event)):
                await self._post(self._answered(event), now)
            return
        engine = self._way(channel)
        if engine is None:
            return
        if event.key == DECISION:
            await engine.tell("r", self._answered(event))
        else:
            run = await engine.open_run("r")
            await run.answer(self.answer_to(event), event.path, event.key, by="ada", shown=event.digest)
        await self.look()
        if (event.path, event.key) in self.questions and self.questions[event.path, event.key] is question:
            self.world.ledger.broken.append(f"the answer to {event.key} of {event.path} was lost")

    def _answered(self, event: e.WaitOpened) -> s.Answer | s.Decide:
        """The answer to a question as a signal."""
        if event.key == DECISION:
            return self.deciders.decision(event.path, shown=event.digest)
        value = _value(self.answer_to(event))
        return s.Answer(path=event.path, key=event.key, value=value, by="ada", shown=event.digest)

    def answer_to(self, event: e.WaitOpened) -> Any:
        """What people say to a question."""
        path, key = event.path, event.key
        if key == CONFIRM:
            return "yes" if number_of(path) % 8 else "no"
        if key == "#interrupted":
            return {"done": self.world.told(path)} if self.world.has_acted(path) else "retry"
        if key.startswith("#step "):
            made = self.world.has_made(path, key.removeprefix("#step ").partition(" ")[0])
            return {"done": STEP_VALUE} if made else "retry"
        return number_of(f"{path} {key}")

    async def _decide_early(self, early: Early, now: float) -> None:
        await self.look()
        if self.deciders.is_done(early) or await self._lies_there(f'"barrier":"{early.barrier}"'):
            return
        signal = self.deciders.decision(early.barrier, standing=early.standing)
        await self._hand_in(signal, now)

    async def _mistake(self, what: str, now: float) -> None:
        signal = self.deciders.mistaken(what)
        if signal is not None and await self._hand_in(signal, now):
            self.world.ledger.broken.append(f"it was not refused: {signal}")

    async def _hand_in(self, signal: Any, now: float) -> bool:
        """Give the run a signal by any way; whether it was taken at once.

        Raises:
            ClewError: it was refused.
        """
        channel = self.dice.choice(self.schedule.channels)
        if channel == "inbox":
            await self._post(signal, now)
            return False
        engine = self._way(channel)
        if engine is not None:
            await engine.tell("r", signal)
        return engine is not None

    async def _send(self, letter: Letter, now: float) -> None:
        await self.look()
        if (letter.name, letter.value) in self.arrived or await self._lies_there(letter.name, str(letter.value)):
            return
        channel = self.dice.choice(self.schedule.channels)
        if channel == "inbox":
            await self._post(s.Send(name=letter.name, value=_value(letter.value), by="ada"), now)
            return
        engine = self._way(channel)
        if engine is not None:
            await (await engine.open_run("r")).send(letter.name, letter.value, by="ada")
            await self.look()
            if (letter.name, letter.value) not in self.ever_arrived:
                self.world.ledger.broken.append(f"message {letter.name} was taken and lost")

    async def _lies_there(self, *words: str) -> bool:
        """Whether a signal that holds these words waits in the inbox."""
        return any(all(word.encode() in item.data for word in words) for item in await self.journal.inbox("r"))

    async def _post(self, signal: Any, now: float) -> None:
        row = await self.journal.row("r")
        if row is not None:
            item = await self.journal.post("r", msgspec.json.encode(signal), now, "ada")
            self.posted[item] = asyncio.get_running_loop().time()
            # Time does not jump over the moment at which an engine looks into its inbox.
            asyncio.get_running_loop().call_later(2 * POLL_S, int)
            if row.ended_at is not None:
                self.too_late.add(item)

    def _way(self, channel: str) -> Engine | None:
        return self.ways.other if channel == "other" and self.ways.other is not None else self.ways.engine

    async def _meddle(self, now: float) -> None:
        row = await self.journal.row("r")
        if row is None:
            return
        if row.state != "paused":
            self.paused_since = None
        elif self.paused_since is None:
            self.paused_since = now
        elif now - self.paused_since >= self.pause_s:
            self._tell(s.Resume(by="ada"), self.dice.choice(self.schedule.channels), now)
        while self.meddling and self.meddling[0].at <= self.lived_s:
            meddling = self.meddling.pop(0)
            if meddling.what == "cancel":
                self._tell(s.Cancel(by="ada"), meddling.channel, now)
            elif meddling.what == "rollback":
                self._tell(s.Rollback(by="ada"), meddling.channel, now)
            else:
                self.pause_s = meddling.for_s
                self._tell(s.Pause(by="ada", stop_attempts=meddling.what == "pause now"), meddling.channel, now)

    def _tell(self, signal: Any, channel: str, now: float) -> None:
        engine = None if channel == "inbox" else self._way(channel)
        doing = self._post(signal, now) if engine is None else engine.tell("r", signal)
        self._go(Errand(now), doing)

    async def meanwhile(self, until: float) -> None:
        """Do what is to be done while nobody is there."""
        self.busy.clear()
        for errand in (*self.questions.values(), *self.letters.values(), *self.deciders.early):
            errand.flying = False
        await self.look()
        for question in self.questions.values():
            due = question.event.due
            if due is not None and not self._comes_late(question.event) and due < until + MARGIN_S:
                await self._answer_in_time(question.event, due)
        for letter in list(self.letters.values()):
            lies = await self._lies_there(letter.name, str(letter.value))
            if not lies and (letter.name.startswith("early") or (letter.after is None and letter.at <= until)):
                await self._post(s.Send(name=letter.name, value=_value(letter.value), by="ada"), until)

    async def _answer_in_time(self, event: e.WaitOpened, due: float) -> None:
        if await self._lies_there(*_words(event)):
            return
        await self._post(self._answered(event), due - 1)
        if event.key == DECISION and (more := self.deciders.after_change(event.path)) is not None:
            await self._post(more, due - 1)


def _names_of(path: str) -> tuple[str, str]:
    return f"late {path}", f"early {path}"


def _words(event: e.WaitOpened) -> tuple[str, ...]:
    """What the answer to a question holds as text."""
    return (f'"barrier":"{event.path}"',) if event.key == DECISION else (event.path, event.key)


def _value(value: Any) -> Value:
    return Value(json=msgspec.Raw(msgspec.json.encode(value)))


def early_paths(plan: Plan) -> list[str]:
    """The addresses of bodies that receive what was sent before they began."""
    paths = early_visits(plan) if isinstance(plan, StatePlan) else []
    for number, sketch in enumerate(plan.nodes):
        name = f"n{number}"
        if sketch.kind in BODIES:
            paths += [name] if sketch.kind == "early" else []
        elif sketch.body == "early":
            members = {
                "map": [f"{name}[{item}]" for item in range(4)],
                "map_one_by_one": [f"{name}[{item}]" for item in range(3)],
                "named_map": [f"{name}[a]", f"{name}[b]"],
                "flow": [f"{name}a[{item}]" for item in range(3)],
                "sub": [f"{name}/first"],
                "subs": [f"{name}[0]/first", f"{name}[1]/first"],
            }
            paths += members.get(sketch.kind, [])
    return paths
