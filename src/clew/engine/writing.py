"""Appends of runs that are not driven here: imported ones, forks."""

from __future__ import annotations

import asyncio

from clew.engine.committer import Committer
from clew.journal.records import Append


class Writing:
    """Appends of one run, one after the other, among those that the engine commits."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._append: Append | None = None
        self._done: asyncio.Future[Exception | None] | None = None
        #: Something is stored, or may be.
        self.begun = False

    async def append(self, append: Append) -> None:
        """Store an append; when this returns, it is durable."""
        done = self._done = asyncio.get_running_loop().create_future()
        self._append = append
        self._committer.wants_commit(self)
        try:
            error = await done
        except asyncio.CancelledError:
            # What is under way is stored, or refused, before anything that comes after it.
            self.begun |= self.decide() is None
            raise
        if error is not None:
            raise error
        self.begun = True

    def decide(self) -> Append | None:
        """See `committer.Committing`."""
        append, self._append = self._append, None
        return append

    def committed(self, error: Exception | None) -> None:
        """See `committer.Committing`."""
        if self._done is not None and not self._done.done():
            self._done.set_result(error)
