"""The death of a process, simulated: at a chosen moment everything stops, and nothing says goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


class SimulatedCrash(BaseException):
    """The simulated process has died. No `Exception`, so that nothing that handles errors handles it."""


@dataclass(slots=True)
class CrashPlan:
    """When to die: at the first of these moments that comes. All are counted from 1; 0 is never.

    Attributes:
        at_commit: at which commit of the journal.
        at_call: at which call of the journal, whatever it is; commits are calls, too.
        durable: whether that commit or call takes effect before the process dies.
        at_command: at which command, when what was decided with it is durable; a `CrashingEngine` dies there.
        performed: whether that command is performed before the process dies.
        commits: how many there have been.
        commands: likewise.
    """

    at_commit: int = 0
    at_call: int = 0
    durable: bool = True
    at_command: int = 0
    performed: bool = False
    commits: int = 0
    commands: int = 0

    def dies_at_commit(self) -> bool:
        """Count a commit; whether it is the one to die at."""
        self.commits += 1
        return self.commits == self.at_commit

    def dies_at_command(self) -> bool:
        """Count a command; whether it is the one to die at."""
        self.commands += 1
        return self.commands == self.at_command


async def run_until_crash(main: Coroutine[Any, Any, T], crashed: asyncio.Event) -> T | None:
    """Run `main` until it is done, or until `crashed` is set; then its tasks are cut down.

    Cut down means cancelled, which bodies can notice; what they do then reaches no journal, because the
    journal that crashed takes nothing any more. The result is None after a crash.
    """
    _say_nothing_of_the_dead(asyncio.get_running_loop())
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(main)
    death = asyncio.ensure_future(crashed.wait())
    await asyncio.wait({task, death}, return_when=asyncio.FIRST_COMPLETED)
    if not crashed.is_set():
        death.cancel()
        await asyncio.gather(death, return_exceptions=True)
        return await task
    while left := asyncio.all_tasks() - before:  # who is told to stop may begin something yet
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    return None


def _say_nothing_of_the_dead(loop: asyncio.AbstractEventLoop) -> None:
    """Nobody asks what became of the tasks of a dead process, and the loop is not to complain of that."""
    before = loop.get_exception_handler()

    def hear(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), SimulatedCrash):
            return
        if before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(hear)
