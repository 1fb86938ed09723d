"""Exclusive keys: who of this engine waits for which, and when they are tried.

A key is held in the journal by a visit, across processes, until the visit has settled. Who waits for one does so
as for a sleep: without a slot, woken by a signal. Those of one engine are served in the order in which they came.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from clew.errors import ClewError
from clew.journal.port import Journal
from clew.journal.records import KeyHolder
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.state import Run
from clew.kernel.states import SETTLED

_LOG = logging.getLogger("clew.engine")

#: A key that could not be asked for is asked for again after so many seconds.
AGAIN_S = 1.0


class Wanting(Protocol):
    """A run as the keys see it."""

    id: str

    def signal(self, signal: s.AnySignal) -> None:
        """Something happened."""
        ...


class Keys:
    """The keys that visits driven here wait for.

    Args:
        journal: holds who has which.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        #: Who waits for a key, by its text: the run and the visit, with the key of the wait.
        self._waiting: dict[str, OrderedDict[tuple[Wanting, str], str]] = {}
        self._trying: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()
        self._again: set[str] = set()

    def want(self, run: Wanting, path: str, wait: str, name: str) -> None:
        """A visit waits for a key, by a wait of this key; it is told when the key is its own."""
        self._waiting.setdefault(name, OrderedDict())[run, path] = wait
        self.try_again([name])

    def forget(self, run: Wanting) -> None:
        """A run is not driven here any more."""
        for name, waiting in list(self._waiting.items()):
            for place in [place for place in waiting if place[0] is run]:
                del waiting[place]
            if not waiting:
                del self._waiting[name]

    def drop(self, run: Wanting, path: str, name: str) -> None:
        """A visit does not wait for a key any more."""
        waiting = self._waiting.get(name)
        if waiting is not None:
            waiting.pop((run, path), None)
            if not waiting:
                del self._waiting[name]

    def try_again(self, names: Iterable[str] | None = None) -> None:
        """These keys (or any) may have been given back."""
        for name in list(self._waiting) if names is None else names:
            if name in self._busy:
                self._again.add(name)
            elif name in self._waiting:
                self._busy.add(name)
                task = asyncio.create_task(self._try(name), name=f"clew key {name}")
                self._trying.add(task)
                task.add_done_callback(self._trying.discard)

    async def close(self) -> None:
        """Try no more."""
        self._waiting.clear()
        await asyncio.gather(*self._trying, return_exceptions=True)

    def _place(self, name: str, holder: KeyHolder) -> tuple[Wanting, str] | None:
        """Where who holds a key waits for it, if it does so here."""
        places = self._waiting.get(name, ())
        return next((place for place in places if (place[0].id, place[1]) == (holder.run, holder.path)), None)

    async def _try(self, name: str) -> None:
        try:
            while waiting := self._waiting.get(name):
                self._again.discard(name)
                (run, path), wait = next(iter(waiting.items()))
                holder = await self._journal.take_key(run.id, path, name)
                if holder is None:
                    # If the run has been lost meanwhile, who goes on with it finds that the key is its own.
                    self.drop(run, path, name)
                    run.signal(s.KeyTaken(path=path, key=wait))
                elif (its := self._place(name, holder)) is not None:
                    waiting.move_to_end(its, last=False)  # taken by an earlier owner, who did not live to say so
                elif name not in self._again:
                    return
        except ClewError as error:
            _LOG.warning("the exclusive key %r cannot be taken: %s; it is tried again", name, error)
            asyncio.get_running_loop().call_later(AGAIN_S, self.try_again, [name])
        finally:
            self._busy.discard(name)


class KeyRing:
    """The exclusive keys that visits of one run hold or wait for.

    Args:
        driver: drives the run.
        run: its folded state.
        keys: those of the engine.
    """

    def __init__(self, driver: Wanting, run: Run, keys: Keys) -> None:
        self._driver = driver
        self._run = run
        self._keys = keys
        #: Text of the key, by the visit's address.
        self._names = {
            visit.path: wait.name
            for visit in run.visits.values()
            for wait in (visit.waits or {}).values()
            if wait.kind == "key"
        }

    @property
    def is_waiting(self) -> bool:
        """Whether a visit waits for a key."""
        return any(True for _ in self._waits())

    def begin(self) -> None:
        """Ask for the keys that a run which was loaded waits for."""
        for path, wait, name in self._waits():
            self._keys.want(self._driver, path, wait, name)

    def freed(self) -> list[str]:
        """Visits that have settled, and hold no key any more."""
        visits = self._run.visits
        return [path for path in self._names if path not in visits or visits[path].state in SETTLED]

    def see_to(self, events: Sequence[e.AnyEvent]) -> None:
        """Events are durable: ask for the keys that are waited for by now, tell who wants those given back."""
        for event in events:
            if type(event) is e.WaitOpened and event.kind == "key":
                self._names[event.path] = event.name
                self._keys.want(self._driver, event.path, event.key, event.name)
        for path in self.freed():
            name = self._names.pop(path)
            self._keys.drop(self._driver, path, name)
            self._keys.try_again([name])

    def close(self) -> None:
        """The run is not driven here any more."""
        self._keys.forget(self._driver)

    def _waits(self) -> Iterator[tuple[str, str, str]]:
        """The visits that wait: address, key of the wait, text of the exclusive key."""
        for path in self._names:
            visit = self._run.visits.get(path)
            for wait, opened in ((visit.waits if visit is not None else None) or {}).items():
                if opened.kind == "key" and not opened.outcome:
                    yield path, wait, opened.name
