"""Group commit: what all runs have decided in one turn of the loop goes to disk in one transaction.

A run that has signals says so with `wants_commit`; at the end of the turn each such run decides, and the
appends are committed together. One commit is under way at a time: what comes meanwhile forms the next group.
The group is the unit of speed only. Each append succeeds or is refused by itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from clew.journal.port import Journal, Outcomes
from clew.journal.records import Append

_LOG = logging.getLogger("clew.engine")

#: A group is cut here, so that a commit of very many runs does not hold up the loop.
GROUP = 500


class Committing(Protocol):
    """A run as the committer sees it."""

    def decide(self) -> Append | None:
        """Handle the signals received; what is to be appended, if anything."""
        ...

    def committed(self, error: Exception | None) -> None:
        """The append is durable, or was refused."""
        ...


class Committer:
    """Collects the decisions of runs and commits them in groups.

    Args:
        journal: where they go.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        #: Runs with signals to handle; a dict, because it keeps their order.
        self._wanting: dict[Committing, None] = {}
        self._group: list[Committing] = []
        #: A flush is scheduled or a commit is under way; its end looks for what has come since.
        self._busy = False
        self._idle = asyncio.Event()
        self._idle.set()

    def wants_commit(self, run: Committing) -> None:
        """A run has signals to handle."""
        self._wanting[run] = None
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._flush)

    async def wait_idle(self) -> None:
        """Until nothing is to be committed and nothing is under way."""
        await self._idle.wait()

    def _flush(self) -> None:
        runs, self._wanting = self._wanting, {}
        appends: list[Append] = []
        for run in runs:
            if len(appends) >= GROUP:
                self._wanting[run] = None
                continue
            append = self._decided(run)
            if append is not None:
                appends.append(append)
                self._group.append(run)
        if appends:
            self._journal.commit(appends, self._committed)
        else:
            self._next()

    def _committed(self, outcomes: Outcomes) -> None:
        group, self._group = self._group, []
        for run, error in zip(group, outcomes, strict=True):
            try:
                run.committed(error)
            except Exception:  # a fault of ours in one run must not hold up the others
                _LOG.exception("%r cannot go on", run)
        self._next()

    def _decided(self, run: Committing) -> Append | None:
        try:
            return run.decide()
        except Exception:
            _LOG.exception("%r cannot go on", run)
            return None

    def _next(self) -> None:
        if self._wanting:
            self._loop.call_soon(self._flush)
        else:
            self._busy = False
            self._idle.set()
