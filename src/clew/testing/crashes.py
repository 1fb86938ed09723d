"""The death of a process, simulated: at a chosen commit everything stops, and nothing says goodbye."""

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
    """When to die.

    Attributes:
        at_commit: at which commit of the journal, counted from 1; 0 is never.
        durable: whether that commit reaches the disk before the process dies.
        commits: how many there have been.
    """

    at_commit: int = 0
    durable: bool = True
    commits: int = 0

    def dies_now(self) -> bool:
        """Count a commit; whether it is the one to die at."""
        self.commits += 1
        return self.commits == self.at_commit


async def run_until_crash(main: Coroutine[Any, Any, T], crashed: asyncio.Event) -> T | None:
    """Run `main` until it is done, or until `crashed` is set; then its tasks are cut down.

    Cut down means cancelled, which bodies can notice; what they do then reaches no journal, because the
    journal that crashed takes nothing any more. The result is None after a crash.
    """
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(main)
    death = asyncio.ensure_future(crashed.wait())
    await asyncio.wait({task, death}, return_when=asyncio.FIRST_COMPLETED)
    if not crashed.is_set():
        death.cancel()
        return await task
    left = asyncio.all_tasks() - before
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    return None
