"""Bodies that do something to the world outside, and the ledger of what really happened there.

The ledger is outside of all engines: no crash takes anything back, as with effects on the real world.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from engine_kit import pass_time

from clew import Context, Happened
from clew.errors import MessageTimeoutError, QuestionExpiredError, StepInterruptedError

#: What a step gives back, and what a person says it gave back.
STEP_VALUE = 10
#: Time limits of bodies that hang at first, and for how long they do, in seconds.
LIMIT_S, HANG_S = 3.0, 30.0
#: How long people have for an answer, in seconds; those who come too late have less.
DEADLINE_S, SHORT_DEADLINE_S = 20.0, 4.0

Attempt = tuple[str, int]


def number_of(path: str) -> int:
    """A number that an address always gives."""
    return crc32(path.encode()) % 100


def summed(value: Any) -> int:
    """A number made of everything in some plain data."""
    if isinstance(value, list):
        return sum(map(summed, value)) % 997
    return value if isinstance(value, int) else 1


@dataclass
class Ledger:
    """What really happened.

    Attributes:
        entered: how often each attempt's body was begun.
        done: how often it came to its end.
        acts: attempts that had their effect on the world, in order, by address.
        steps: attempts that made a step, in order, by address and key.
        probes: who asked whether something lost had taken effect: address, key of the step if it was one, attempt.
        inside: bodies that hold an exclusive key now.
        broken: laws that were broken while the bodies ran.
        is_recorded: tells whether it is on disk that an attempt, or a step of it, has begun.
    """

    entered: Counter[Attempt] = field(default_factory=Counter)
    done: Counter[Attempt] = field(default_factory=Counter)
    acts: dict[str, list[int]] = field(default_factory=dict)
    steps: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    probes: list[tuple[str, str, int]] = field(default_factory=list)
    inside: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    mended: set[str] = field(default_factory=set)
    is_recorded: Callable[[str, int, str], bool] = lambda *_: True

    def times(self, path: str) -> int:
        """How often a body was begun, over all attempts."""
        return sum(times for (known, _), times in self.entered.items() if known == path)


class Bodies:
    """Bodies of each kind."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        #: Tells, from the ledger and the journal, whether there is an effect that nobody has recorded.
        self.has_acted: Callable[[str], bool] = lambda _: False
        #: Likewise for a step.
        self.has_made: Callable[[str, str], bool] = lambda *_: False

    def body(self, kind: str, turns: int) -> Any:
        """A body of some kind."""

        async def act(ctx: Context, x: Any, reads: list[Any]) -> Any:
            return await self.attempt(ctx, kind, turns, summed(x) + summed(reads))

        return act

    async def attempt(self, ctx: Context, kind: str, turns: int, number: int) -> Any:
        """What a body does that has made a number of what it was given."""
        ledger, here = self.ledger, (ctx.path, ctx.attempt)
        if not ledger.is_recorded(*here, ""):
            ledger.broken.append(f"{here} began before that was on disk")
        ledger.entered[here] += 1
        await yield_for(turns)
        value = await getattr(self, f"_{kind}")(ctx, number, turns)
        await yield_for(turns)
        ledger.done[here] += 1
        return value

    async def probe(self, ctx: Context) -> Happened[int] | None:
        """Whether a lost attempt of this node took effect."""
        self.ledger.probes.append((ctx.path, "", ctx.attempt))
        await yield_for(1)
        return Happened(number_of(ctx.path)) if self.has_acted(ctx.path) else None

    # ------------------------------------------------------------------ kinds

    async def _plain(self, ctx: Context, number: int, turns: int) -> Any:
        return number

    async def _large(self, ctx: Context, number: int, turns: int) -> Any:
        return [number] * 1_000

    async def _fails(self, ctx: Context, number: int, turns: int) -> Any:
        raise ValueError("never")

    async def _picky(self, ctx: Context, number: int, turns: int) -> Any:
        if number % 2:
            raise ValueError("odd")
        return number

    async def _flaky(self, ctx: Context, number: int, turns: int) -> Any:
        if self.ledger.times(ctx.path) <= 2:
            raise ConnectionError("try again")
        return number

    async def _slow(self, ctx: Context, number: int, turns: int) -> Any:
        number += await self._step(ctx, "paid", turns, effect=True)
        if self.ledger.times(ctx.path) <= 1:
            await pass_time(HANG_S)
        return number

    async def _steps(self, ctx: Context, number: int, turns: int) -> Any:
        number += await self._step(ctx, "paid", turns, effect=True)
        await yield_for(turns)
        return number + await self._step(ctx, "read", turns)

    async def _sleeper(self, ctx: Context, number: int, turns: int) -> Any:
        await ctx.sleep(turns * 1.5)
        number += await self._step(ctx, "paid", turns, effect=True)
        await ctx.sleep(2, key="again")
        return number

    async def _asks(self, ctx: Context, number: int, turns: int) -> Any:
        number += await self._step(ctx, "paid", turns, effect=True)
        return number + await ctx.ask("How many?", key="free", type=int)

    async def _asks_in_time(self, ctx: Context, number: int, turns: int) -> Any:
        answer = await ctx.ask("How many soon?", key="timely", type=int, deadline=DEADLINE_S, default=-1)
        return number + answer

    async def _asks_too_late(self, ctx: Context, number: int, turns: int) -> Any:
        if turns % 2:
            return number + await ctx.ask("Now?", key="late", type=int, deadline=SHORT_DEADLINE_S, default=7)
        try:
            return await ctx.ask("At once?", key="late", type=int, deadline=SHORT_DEADLINE_S)
        except QuestionExpiredError:
            return number

    async def _receives(self, ctx: Context, number: int, turns: int) -> Any:
        """Two messages, which come when they are waited for."""
        first = await ctx.receive(f"late {ctx.path}", type=int, key="one")
        number += await self._step(ctx, "paid", turns, effect=True)
        return number + first + 3 * await ctx.receive(f"late {ctx.path}", type=int, key="two")

    async def _early(self, ctx: Context, number: int, turns: int) -> Any:
        """Two messages, which lie there before anybody waits."""
        await ctx.sleep(turns)
        first = await ctx.receive(f"early {ctx.path}", type=int, key="one", timeout=300)
        return number + first + 3 * await ctx.receive(f"early {ctx.path}", type=int, key="two", timeout=300)

    async def _unheard(self, ctx: Context, number: int, turns: int) -> Any:
        try:
            return await ctx.receive("nobody sends this", type=int, timeout=turns)
        except MessageTimeoutError:
            return number

    async def _locked(self, ctx: Context, number: int, turns: int) -> Any:
        """Holds the exclusive key of its name; see `crash_worlds`."""
        inside = self.ledger.inside
        inside["key"] += 1
        try:
            if inside["key"] > 1:
                self.ledger.broken.append(f"{ctx.path} came in while somebody held the key")
            await pass_time(turns * 0.5)
            if turns == 3:
                await ctx.sleep(1)  # who waits keeps the key
            await yield_for(turns)
        finally:
            inside["key"] -= 1
        return number

    async def _probed(self, ctx: Context, number: int, turns: int) -> Any:
        await yield_for(turns)
        self.ledger.acts.setdefault(ctx.path, []).append(ctx.attempt)
        await yield_for(turns)
        return number_of(ctx.path)

    _asked = _failing = _probed

    async def _probed_step(self, ctx: Context, number: int, turns: int) -> Any:
        async def look(key: str, turns: int) -> Happened[int] | None:
            self.ledger.probes.append((ctx.path, key, ctx.attempt))
            await yield_for(turns)
            return Happened(STEP_VALUE) if self.has_made(ctx.path, key) else None

        return number + await self._step(ctx, "probed", turns, probe=look)

    async def _asked_step(self, ctx: Context, number: int, turns: int) -> Any:
        return number + await self._step(ctx, "asked", turns, on_interrupt="ask")

    async def _fail_step(self, ctx: Context, number: int, turns: int) -> Any:
        """Not made again until somebody has looked, and has mended the code."""
        how = "retry" if ctx.path in self.ledger.mended else "fail"
        try:
            return number + await self._step(ctx, "feared", turns, on_interrupt=how)
        except StepInterruptedError:
            self.ledger.mended.add(ctx.path)
            raise

    async def _both(self, ctx: Context, number: int, turns: int) -> Any:
        """A sleep, a question and a step, all at once."""
        answer, paid, _ = await asyncio.gather(
            ctx.ask("How many beside?", key="beside", type=int),
            self._step(ctx, "paid", turns, effect=True),
            ctx.sleep(2),
        )
        return number + answer + paid

    def _step(self, ctx: Context, key: str, turns: int, **how: Any) -> Awaitable[int]:
        """A step that is counted."""

        async def make(key: str, turns: int) -> int:
            if how and not self.ledger.is_recorded(ctx.path, ctx.attempt, key):
                self.ledger.broken.append(
                    f"step {key} of {ctx.path} was made before it was on disk that it begins"
                )
            await yield_for(turns)
            self.ledger.steps.setdefault((ctx.path, key), []).append(ctx.attempt)
            await yield_for(turns)
            return STEP_VALUE

        more = self.step_undone(ctx.path, key) if how else {}
        return ctx.step(key, make, key, turns, **how, **more)

    def step_undone(self, path: str, key: str) -> dict[str, Any]:
        """The options of a step that say how it is undone."""
        return {}


async def yield_for(turns: int) -> None:
    """Let the others have so many turns."""
    for _ in range(turns):
        await asyncio.sleep(0)
