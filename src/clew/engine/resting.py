"""Durable waits of one body: for a moment, an answer, a message, a key. Who only waits holds no slot."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from clew.engine.entries import Entry
from clew.errors import StepConflictError
from clew.journal.records import Blob
from clew.kernel import commands as c
from clew.kernel import signals as s

#: A body that waits, and beside it has ended something, is taken to only wait after so many seconds.
_REST_S = 0.05

_WHAT = {"timer": "a sleep", "answer": "a question", "message": "a wait for a message", "key": "a wait for a key"}


class Waits:
    """What one body waits for, and whether that is all that it does.

    Args:
        entry: the body.
        known: what earlier entries waited for, by key.
    """

    def __init__(self, entry: Entry, known: Mapping[str, c.Wait]) -> None:
        self._entry = entry
        self._known = known
        self._loop = asyncio.get_running_loop()
        #: What the body is blocked on, by key.
        self._open: dict[str, asyncio.Future[c.Wait]] = {}
        #: Steps under way; while there are any, the body does not only wait.
        self._busy = 0

    def known(self, key: str) -> c.Wait | None:
        """What is recorded by a key."""
        return self._known.get(key)

    @contextmanager
    def busy(self) -> Generator[None]:
        """Inside, the body does something, also if it waits beside it."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._rest_soon()

    async def until(self, wait: s.OpenWait, *blobs: Blob) -> c.Wait:
        """Wait until something has come about; at once, if that is recorded.

        Raises:
            StepConflictError: something else was waited for by this key.
        """
        known = self._known.get(wait.key)
        if known is not None:
            self._refuse_other(known, wait)
            if known.outcome:
                return known
        self._entry.check_attached()
        future: asyncio.Future[c.Wait] = self._loop.create_future()
        self._open[wait.key] = future
        try:
            if known is None:
                await self._entry.submit(wait, *blobs)
                if not future.done():
                    self._rest()
            else:
                self._rest_soon()  # what the body does beside this wait has not begun yet when it is entered again
            return await future
        finally:
            del self._open[wait.key]
            self._rest_soon()

    def wake(self, waits: Mapping[str, c.Wait]) -> None:
        """Some of what the body waits for may have come about, or of what it will wait for."""
        self._known = dict(waits)
        for key, future in self._open.items():
            wait = waits.get(key)
            if wait is not None and wait.outcome and not future.done():
                future.set_result(wait)

    def _refuse_other(self, known: c.Wait, wait: s.OpenWait) -> None:
        path, key = self._entry.path, wait.key
        if known.kind != wait.kind:
            now, then = _WHAT[wait.kind], _WHAT[known.kind]
            raise StepConflictError(f"{path}: {key!r} is the key of {now}, and was that of {then}; give another")
        if known.name != wait.name:
            raise StepConflictError(
                f"{path}: by the key {key!r}, {wait.name!r} is waited for, and before it was {known.name!r}; "
                "give another"
            )
        if known.digest != wait.digest:
            raise StepConflictError(
                f"{path}: question {key!r} was asked with another text or other answers; a key names one "
                "question, so give the changed one another key"
            )

    def _rest(self) -> None:
        """Say so if all that the body still does is wait."""
        entry = self._entry
        if self._open and not self._busy and not entry.detached:
            entry.host.submit(s.AttemptIdle(path=entry.path, attempt=entry.attempt, keys=tuple(self._open)))

    def _rest_soon(self) -> None:
        """Something has ended beside a wait: unless the body goes on with it at once, it only waits again."""
        if self._open:
            self._loop.call_later(_REST_S, self._rest)
