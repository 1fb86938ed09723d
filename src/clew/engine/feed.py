"""Streams of what happens in a run: the journal being read, then live; and things that are no facts.

Consumers are guests. Each has a bounded queue of its own; one that is too slow loses its place in memory, not
its place in the run: it reads on from the journal. Ephemeral items (progress, tokens, output) have no sequence
number and are dropped for whoever is too slow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from clew.engine.clock import Clock
from clew.journal.port import Journal
from clew.journal.records import Recorded
from clew.kernel import events as e

#: Items that a consumer may have waiting in memory.
QUEUE = 1_000
#: How often a run that another process drives is looked at, in seconds.
POLL_S = 0.1
#: Likewise for one that only waits.
IDLE_POLL_S = 1.0

ENDINGS = (e.RunCompleted, e.RunFailed, e.RunCancelled)


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """A body told how far it is; `fraction` from 0 to 1."""

    path: str
    attempt: int
    fraction: float
    message: str = ""


class Emitted(msgspec.Struct, frozen=True, tag="emitted"):
    """A body emitted an item (a token, say); `index` counts those of the attempt from 0."""

    path: str
    attempt: int
    index: int
    item: Any


class Output(msgspec.Struct, frozen=True, tag="output"):
    """A body printed or logged something."""

    path: str
    attempt: int
    stream: str
    text: str


Ephemeral = Progress | Emitted | Output


class Feed:
    """Everything that is to be seen of one run, as it becomes durable."""

    def __init__(self) -> None:
        self._guests: set[_Guest] = set()
        self.closed = False

    def publish(self, first: int, events: Sequence[e.AnyEvent]) -> None:
        """Events became durable; `first` is the sequence number of the first of them."""
        if self._guests:
            items = [Recorded(first + i, event) for i, event in enumerate(events)]
            for guest in self._guests:
                guest.put(items)

    def publish_ephemeral(self, item: Ephemeral) -> None:
        """Something that is no fact happened."""
        for guest in self._guests:
            guest.put_ephemeral(item)

    def close(self) -> None:
        """The run is not driven here any more; what was published is still delivered."""
        self.closed = True
        for guest in self._guests:
            guest.arrived.set()

    def stream(
        self, journal: Journal, run: str, after: int, *, ephemeral: bool
    ) -> AsyncGenerator[Recorded | Ephemeral, None]:
        """Events above sequence number `after`: from the journal, then as they happen, to the end of the run.

        What happens from this call on is kept for the stream, not only from its first item on.
        """
        guest = _Guest(ephemeral=ephemeral)
        self._guests.add(guest)
        return self._serve(guest, journal, run, after)

    async def _serve(
        self, guest: _Guest, journal: Journal, run: str, after: int
    ) -> AsyncGenerator[Recorded | Ephemeral, None]:
        try:
            while True:
                guest.behind = False
                async with aclosing(stored(journal, run, after)) as past:
                    async for recorded in past:
                        if guest.has(recorded.seq):
                            break  # what is in the queue comes in order, with what is no fact in between
                        yield recorded
                        after = recorded.seq
                while not guest.behind:
                    item = guest.take()
                    if item is None:
                        if self.closed:
                            return
                        guest.arrived.clear()
                        await guest.arrived.wait()
                    elif isinstance(item, Recorded):
                        if item.seq > after:
                            after = item.seq
                            yield item
                    else:
                        yield item
        finally:
            self._guests.discard(guest)


async def stored(journal: Journal, run: str, after: int) -> AsyncGenerator[Recorded, None]:
    """The events above `after` that are in the journal now."""
    while page := await journal.read(run, after):
        for recorded in page:
            yield recorded
        after = page[-1].seq


async def follow(
    journal: Journal, run: str, after: int, arrival: Callable[[], asyncio.Event], clock: Clock
) -> AsyncGenerator[Recorded, None]:
    """Events of a run that another process drives, or nobody, until it has ended or `arrival` is set."""
    while not (arrives := arrival()).is_set():
        row = await journal.row(run)
        if row is None:
            return
        if row.seq > after:
            async for recorded in stored(journal, run, after):
                yield recorded
                after = recorded.seq
        elif row.ended_at is not None or row.imported:
            return
        else:
            # What only waits is moved on from here most of the time, and is looked at less often.
            glance = clock.glance_after(IDLE_POLL_S if row.idle else POLL_S)
            await first_of(arrives.wait(), glance)


async def first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Until one of these is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class _Guest:
    """One consumer's place."""

    def __init__(self, *, ephemeral: bool) -> None:
        self._items: deque[Recorded | Ephemeral] = deque()
        self._ephemeral = ephemeral
        self.arrived = asyncio.Event()
        #: Events were dropped: the consumer must read on from the journal.
        self.behind = False
        #: Sequence number of the first event that came since the queue was last dropped; 0 before there is one.
        self._first = 0

    def has(self, seq: int) -> bool:
        """Whether an event is in the queue, or has been taken from it."""
        return not self.behind and 0 < self._first <= seq

    def put(self, items: list[Recorded]) -> None:
        """Queue events, or drop the queue and fall behind."""
        if len(self._items) + len(items) > QUEUE:
            self._items.clear()
            self._first = 0
            self.behind = True
        elif not self.behind:
            self._first = self._first or items[0].seq
            self._items += items
        self.arrived.set()

    def put_ephemeral(self, item: Ephemeral) -> None:
        """Queue something that may be lost."""
        if self._ephemeral and len(self._items) < QUEUE:
            self._items.append(item)
            self.arrived.set()

    def take(self) -> Recorded | Ephemeral | None:
        """The next item, if one has arrived."""
        return self._items.popleft() if self._items else None
