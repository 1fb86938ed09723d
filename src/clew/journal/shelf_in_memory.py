"""Entries of the memory and what runs have changed of them, in the journal that keeps nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count, islice
from typing import TypeVar

from msgspec.structs import replace

from clew.journal import shelf
from clew.journal.entries import Act, Cause, Change, Entry, Filter, Query, Space

K = TypeVar("K")
V = TypeVar("V")


class ShelfInMemory:
    """See `shelf.Shelf`.

    Args:
        epoch: of a run; None if there is no such run.
    """

    def __init__(self, epoch: Callable[[str], int | None]) -> None:
        self._epoch = epoch
        self._entries: dict[tuple[str, str], Entry] = {}
        self._spaces: dict[str, Space] = {}
        self._changes: dict[int, Change] = {}
        #: Their ids, by what made them and by what they changed.
        self._of_cause: dict[tuple[str, str, str], tuple[int, ...]] = {}
        self._of_entry: dict[tuple[str, str], tuple[int, ...]] = {}
        self._numbers = count(1)
        self._ids = count(1)
        #: What undoes the changes of the transaction that is open, the last first.
        self._back: list[Callable[[], object]] = []

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All that is done in here, or nothing of it."""
        self._back = []
        try:
            yield
        except BaseException:
            for step in reversed(self._back):
                step()
            raise

    def _set(self, into: dict[K, V], key: K, value: V | None) -> None:
        before = into.get(key)
        if before is None:
            self._back.append(lambda: into.pop(key, None))
        else:
            self._back.append(lambda: into.__setitem__(key, before))
        if value is None:
            into.pop(key, None)
        else:
            into[key] = value

    def epoch(self, run: str) -> int | None:
        """See `shelf.Shelf.epoch`."""
        return self._epoch(run)

    def find(self, namespace: str, key: str) -> Entry | None:
        """See `shelf.Shelf.find`."""
        return self._entries.get((namespace, key))

    def put(self, entry: Entry) -> int:
        """See `shelf.Shelf.put`."""
        numbered = entry if entry.number else replace(entry, number=next(self._numbers))
        self._set(self._entries, (entry.namespace, entry.key), numbered)
        return numbered.number

    def remove(self, entry: Entry) -> None:
        """See `shelf.Shelf.remove`."""
        self._set(self._entries, (entry.namespace, entry.key), None)

    def space(self, namespace: str) -> Space:
        """See `shelf.Shelf.space`."""
        return self._spaces.get(namespace, Space(namespace, 0, 0))

    def weigh(self, space: Space) -> None:
        """See `shelf.Shelf.weigh`."""
        self._set(self._spaces, space.namespace, space if space.entries else None)

    def changes(self, cause: Cause) -> list[Change]:
        """See `shelf.Shelf.changes`."""
        return [replace(self._changes[id_]) for id_ in self._of_cause.get(_names(cause), ())]

    def change_after(self, run: str, entry: Entry) -> Change | None:
        """See `shelf.Shelf.change_after`."""
        for change in self._open_changes(entry.namespace, entry.key):
            before = change.before.number if change.before is not None else 0
            if change.cause.run == run and before == entry.number:
                return replace(change)
        return None

    def is_referred(self, namespace: str, key: str) -> bool:
        """See `shelf.Shelf.is_referred`."""
        return bool(self._open_changes(namespace, key))

    def _open_changes(self, namespace: str, key: str) -> list[Change]:
        found = (self._changes[id_] for id_ in self._of_entry.get((namespace, key), ()))
        return [change for change in found if not change.undone]

    def add(self, change: Change) -> None:
        """See `shelf.Shelf.add`."""
        cause, named = replace(change.cause, epoch=0), (change.namespace, change.key)
        id_ = next(self._ids)
        self._set(self._changes, id_, replace(change, cause=cause, id=id_))
        self._set(self._of_cause, _names(cause), (*self._of_cause.get(_names(cause), ()), id_))
        self._set(self._of_entry, named, (*self._of_entry.get(named, ()), id_))

    def rewrite(self, change: Change) -> None:
        """See `shelf.Shelf.rewrite`."""
        self._set(self._changes, change.id, replace(change))

    # ------------------------------------------------------------------ looking and housekeeping

    def entries(self, query: Query) -> list[Entry]:
        """See `port.Journal.entries`."""
        query.check()
        fitting = Filter(query)
        below = query.below or float("inf")
        mine = [e for e in self._entries.values() if e.namespace == query.namespace and e.number < below]
        newest_first = sorted(mine, key=lambda each: -each.number)
        return list(islice((each for each in newest_first if fitting.fits(each)), query.limit))

    def spaces(self) -> list[Space]:
        """See `port.Journal.spaces`."""
        return sorted(self._spaces.values(), key=lambda space: space.namespace)

    def changes_of(self, run: str) -> list[Change]:
        """See `port.Journal.changes`."""
        return [replace(c) for c in self._changes.values() if c.cause.run == run and c.operation]

    def forget(self, run: str) -> None:
        """A run is deleted: what it has changed cannot be undone any more."""
        for id_, change in list(self._changes.items()):
            if change.cause.run == run:
                del self._changes[id_]
                self._of_cause.pop(_names(change.cause), None)
                named = (change.namespace, change.key)
                self._of_entry[named] = tuple(other for other in self._of_entry[named] if other != id_)

    def sweep(self) -> None:
        """Let go of what was deleted and can be put back by nobody any more."""
        for key, entry in list(self._entries.items()):
            if entry.data is None and not self.is_referred(*key):
                del self._entries[key]


class Remembers(ABC):
    """The part of a journal in memory that is the memory of agents; see `port.Journal`.

    Attributes:
        shelf: its entries.
    """

    def __init__(self) -> None:
        self.shelf = ShelfInMemory(self.epoch_of)

    @abstractmethod
    def epoch_of(self, run: str) -> int | None:
        """The epoch of a run, if there is one; raises if the journal is closed."""

    async def remember(self, act: Act) -> bool:
        """See `port.Journal.remember`."""
        self.epoch_of("")
        with self.shelf.transaction():
            return shelf.remember(self.shelf, act)

    async def take_back(self, cause: Cause) -> int:
        """See `port.Journal.take_back`."""
        with self.shelf.transaction():
            return shelf.take_back(self.shelf, cause)

    async def entry(self, namespace: str, key: str) -> Entry | None:
        """See `port.Journal.entry`."""
        self.epoch_of("")
        found = self.shelf.find(namespace, key)
        return found if found is not None and found.data is not None else None

    async def entries(self, query: Query) -> list[Entry]:
        """See `port.Journal.entries`."""
        self.epoch_of("")
        return self.shelf.entries(query)

    async def spaces(self) -> list[Space]:
        """See `port.Journal.spaces`."""
        self.epoch_of("")
        return self.shelf.spaces()

    async def changes(self, run: str) -> list[Change]:
        """See `port.Journal.changes`."""
        self.epoch_of("")
        return self.shelf.changes_of(run)


def _names(cause: Cause) -> tuple[str, str, str]:
    return cause.run, cause.path, cause.step
