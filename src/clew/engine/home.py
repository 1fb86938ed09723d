"""What the handle on a run needs of its engine."""

from __future__ import annotations

import asyncio
from typing import Protocol

from clew.engine.clock import Clock
from clew.engine.driver import Driver
from clew.engine.logbook import LogBook
from clew.engine.looking import Looking
from clew.engine.mailroom import Letter
from clew.engine.travel import Travel
from clew.journal.port import Journal


class Home(Protocol):
    """What a handle needs of its engine."""

    journal: Journal
    logbook: LogBook
    looking: Looking
    travel: Travel
    clock: Clock

    def arrival(self, run: str) -> asyncio.Event:
        """Is set when the run is driven here from some moment on."""
        ...

    def encode(self, value: object) -> bytes:
        """A value that goes into a run, as JSON text."""
        ...

    def driver_of(self, run: str) -> Driver | None:
        """Who drives a run here, if anybody does."""
        ...

    async def tell(self, run: str, signal: Letter, *, ended: bool = False) -> None:
        """Give a run a signal; done when what follows is durable."""
        ...
