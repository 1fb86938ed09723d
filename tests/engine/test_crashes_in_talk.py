"""Whatever commit a process dies at: questions are asked once, messages received once, effects happen once."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from clew import Context, Graph, Happened, Recorded, RefusedError, Run
from clew.journal.memory import MemoryJournal
from clew.journal.port import Journal
from clew.kernel import events as e
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


@dataclass
class Town:
    """What no crash takes back: a bank, a person who answers, a friend who writes.

    Attributes:
        payments: idempotency keys of what was paid.
        sent: messages whose sending was confirmed.
    """

    payments: list[str] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)

    def graph(self) -> Graph:
        g = Graph("talk")
        talked = g.add(self.talk)
        g.add(self.wire, talked, probe=self.find_wire, exclusive="account")
        return g

    async def talk(self, ctx: Context) -> list[Any]:
        amount: int = await ctx.ask("How much?", type=int)
        key = ctx.key_for("pay")
        paid: int = await ctx.step("pay", self.pay, key, amount, probe=self.find)
        notes = [await ctx.receive("note", key=f"note {n}", type=str) for n in range(2)]
        signed: str = await ctx.step("sign", self.sign, on_interrupt="ask")
        late: str = await ctx.ask("Anything else?", deadline=60, default="no")
        return [paid, notes, signed, late]

    async def pay(self, key: str, amount: int) -> int:
        await asyncio.sleep(0)
        self.payments.append(key)
        await asyncio.sleep(0)
        return amount

    async def sign(self) -> str:
        await asyncio.sleep(0)
        self.payments.append("signature")
        await asyncio.sleep(0)
        return "signed"

    def find(self, key: str, amount: int) -> Happened[int] | None:
        return Happened(amount) if key in self.payments else None

    async def wire(self, ctx: Context, said: list[Any]) -> list[Any]:
        await asyncio.sleep(0)
        self.payments.append(ctx.idempotency_key)
        await asyncio.sleep(0)
        return said

    def find_wire(self, ctx: Context, said: list[Any]) -> Happened[list[Any]] | None:
        return Happened(said) if ctx.idempotency_key in self.payments else None

    async def answers(self, run: Run) -> None:
        """Asked how much: 5; asked about a lost step: the truth. Messages are sent until that is confirmed."""
        async for recorded in run.events():
            event = recorded.event
            if isinstance(event, e.WaitOpened) and event.key.startswith(("How much?", "#step")):
                truth = {"done": "signed"} if "signature" in self.payments else "retry"
                with suppress(RefusedError):  # it was answered in another life
                    await run.answer(5 if event.key == "How much?" else truth, key=event.key)
            elif isinstance(event, e.WaitOpened) and event.kind == "message":
                name = event.key
                if name not in self.sent:
                    await run.send("note", name)
                    self.sent.add(name)


def live(town: Town, journal: Journal, crash: CrashPlan, start_s: float) -> tuple[Any, list[Recorded]] | None:
    """One life of an engine: to the end of the run, or to the crash (None)."""

    faulty = FaultyJournal(journal, Faults(crash=crash))

    async def drive() -> tuple[Any, list[Recorded]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with CrashingEngine(faulty, clock=VirtualClock(loop)) as engine:
            run = await engine.start(town.graph(), id="r")
            talking = asyncio.ensure_future(town.answers(run))
            result = await run.result()
            await talking
            return result["wire"], [recorded async for recorded in run.events(live=False)]

    async def life() -> tuple[Any, list[Recorded]] | None:
        return await run_until_crash(drive(), faulty.crashed)

    return run_virtual(life(), start_s=start_s)


def play(*crashes: tuple[int, bool]) -> int:
    """Live through some crashes to the end; the commits of the last life."""
    town, journal, start_s = Town(), MemoryJournal(), 0.0
    for at_commit, durable in (*crashes, (0, True)):
        crash = CrashPlan(at_commit=at_commit, durable=durable)
        outcome = live(town, journal, crash, start_s)
        if outcome is not None:
            check(town, *outcome)
            return crash.commits
        start_s += 3_600.0  # the dead owner's lease is over
    raise AssertionError("the last life does not crash")


def check(town: Town, said: list[Any], history: list[Recorded]) -> None:
    amount, notes, signed, late = said
    assert (amount, signed, late) == (5, "signed", "no")
    assert notes[0] == "note 0"
    assert len(town.payments) == len(set(town.payments)) == 3
    opened = Counter((r.event.path, r.event.key) for r in history if isinstance(r.event, e.WaitOpened))
    resolved = Counter((r.event.path, r.event.key) for r in history if isinstance(r.event, e.WaitResolved))
    assert set(opened.values()) == set(resolved.values()) == {1}
    assert opened == resolved
    steps = [type(r.event) for r in history if isinstance(r.event, e.StepStarted | e.StepCompleted | e.StepFailed)]
    assert steps == [e.StepStarted, e.StepCompleted] * 2


@pytest.mark.parametrize("durable", [True, False])
def test_a_crash_at_every_second_commit(durable: bool) -> None:
    commits = play()
    assert commits > 15
    for at_commit in range(1 + durable, commits + 1, 2):
        play((at_commit, durable))


@pytest.mark.slow
def test_two_crashes_at_all_commits() -> None:
    commits = play()
    for first in range(1, commits + 1):
        play((first, True))
        play((first, False))
        for second in range(1, commits + 1):
            play((first, True), (second, False))
            play((first, second % 2 == 0), (second, True))
