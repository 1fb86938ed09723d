"""An engine that dies as its journal's plan says: at a commit, at any call, or between two commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from clew.engine.driver import Driver
from clew.engine.engine import Engine
from clew.engine.parts import Parts
from clew.kernel import commands as c
from clew.testing.faults import FaultyJournal


class CrashingEngine(Engine):
    """An engine on a `FaultyJournal` that shares its fate.

    Use it as any engine, inside of `run_until_crash`. An ordinary `Engine` dies by a `FaultyJournal`, too, but
    not at a command (`CrashPlan.at_command`), and it would wait for ever for a dead journal when it is closed.

    Args:
        journal: says when to die.
        **options: as for `Engine`.
    """

    def __init__(self, journal: FaultyJournal, **options: Any) -> None:
        super().__init__(journal, **options)
        self._faulty = journal

    def _parts(self) -> Parts:
        parts = super()._parts()
        return parts._replace(driver=partial(_CrashingDriver, perform=self._faulty.perform))

    async def close(self) -> None:
        """Close the engine, or give its threads back if it has died: a dead process lets go of nothing else."""
        if not self._faulty.crashed.is_set():
            await super().close()
        elif self._opened and not self._closed:
            self._closed = True
            self._keeper.end()
            self._slots.close()
            await self._workshop.close()


class _CrashingDriver(Driver):
    """Performs each command by way of the journal that knows when to die."""

    def __init__(self, *args: Any, perform: Callable[[Callable[[], None]], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._perform_unless_dead = perform

    def _perform(self, command: c.Command) -> None:
        self._perform_unless_dead(partial(super()._perform, command))
