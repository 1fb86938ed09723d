"""The memory that outlives runs: as people, programs and the bodies of nodes see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from clew import codec
from clew.bodies.memory import MemoryEdit, MemoryEntry, MemoryOfRun, Remembered
from clew.engine.clock import Clock
from clew.engine.entries import Entry as Entered
from clew.engine.entries import or_lose
from clew.engine.secrets import Secrets
from clew.engine.steps import Call, Steps
from clew.errors import InvalidInputError, RunFencedError, UnfitError, UnknownEntryError, UnstorableError
from clew.graphs.body_data import MemoryBody
from clew.journal.entries import (
    MAX_ENTRY_KEY,
    MAX_FOUND,
    MAX_NAMESPACE,
    Act,
    Cause,
    Change,
    Entry,
    Operation,
    Query,
    Space,
    check_name,
)
from clew.journal.port import Journal
from clew.kernel.definition import OnInterrupt
from clew.kernel.values import Undo

T = TypeVar("T")

#: Characters of the key of a step that is made from what is done; longer ones are shortened.
_MAX_STEP = 400


class Memories:
    """The memory of one engine's journal.

    Args:
        journal: keeps it.
        clock: the time.
        secrets: must not be stored.

    Called with the name of a namespace, it gives that, for people and programs outside of runs.
    """

    def __init__(self, journal: Journal, clock: Clock, secrets: Secrets) -> None:
        self.journal = journal
        self._clock = clock
        self._secrets = secrets

    def __call__(self, namespace: str) -> Memory:
        """A namespace, for people and programs outside of runs."""
        return Memory(self, namespace, _as_it_is)

    async def spaces(self) -> list[Space]:
        """The namespaces that have entries, in order, and how full they are."""
        return await self.journal.spaces()

    async def edits(self, run: str) -> list[MemoryEdit]:
        """What a run has changed, in order, with what was there before; kept as long as the run."""
        return [_told(change) for change in await self.journal.changes(run)]

    def encoded(self, namespace: str, key: str, value: Any) -> bytes:
        """A value as JSON text.

        Raises:
            InvalidInputError: the namespace or the key is no name.
            UnstorableError: it cannot be stored; or it, or its name, holds a secret.
        """
        for what, name, limit in (("the namespace", namespace, MAX_NAMESPACE), ("the key", key, MAX_ENTRY_KEY)):
            if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidInputError(f"memory: {what} is text, not {name!r:.80}")
            check_name(what, name, limit)
        json = codec.encode(value)
        for each in (json, codec.encode([namespace, key])):
            self._secrets.refuse(each)
        return json

    async def change(
        self,
        operation: Operation,
        namespace: str,
        key: str,
        json: bytes,
        *,
        by: str = "",
        cause: Cause | None = None,
    ) -> bool:
        """Change an entry; see `journal.port.Journal.remember`."""
        return await self.journal.remember(
            Act(
                operation=operation,
                namespace=namespace,
                key=key,
                data=json,
                at=self._clock.now(),
                by=by,
                cause=cause,
            )
        )

    async def entry(self, namespace: str, key: str) -> MemoryEntry | None:
        """One entry."""
        found = await self.journal.entry(namespace, key)
        return _shown(found) if found is not None else None

    async def search(self, query: Query) -> list[MemoryEntry]:
        """The entries that fit."""
        return [_shown(found) for found in await self.journal.entries(query)]


class _Reading(Remembered):
    """A namespace, to be read.

    Args:
        memories: of the engine.
        namespace: its name.
        read: reads it, in the way of whoever reads.
    """

    def __init__(
        self, memories: Memories, namespace: str, read: Callable[[Awaitable[Any]], Awaitable[Any]]
    ) -> None:
        self._memories = memories
        self._read = read
        self.namespace = namespace

    async def entry(self, key: str) -> MemoryEntry | None:
        """See `bodies.memory.Remembered.entry`."""
        return await self._read(self._memories.entry(self.namespace, key))

    async def get(self, key: str, default: Any = UNSET, *, type: Any = Any) -> Any:  # noqa: A002 - what it is
        """See `bodies.memory.Remembered.get`."""
        found = await self._read(self._memories.journal.entry(self.namespace, key))
        if found is not None and found.data is not None:
            return codec.decode(found.data.encode(), type)
        if default is UNSET:
            raise UnknownEntryError(
                f"the entry {key!r} of the memory {self.namespace!r} is not there; store it, or give a default"
            )
        return default

    async def search(
        self,
        text: str = "",
        *,
        where: Mapping[str, Any] | None = None,
        prefix: str = "",
        limit: int = 20,
        below: int = 0,
    ) -> Sequence[MemoryEntry]:
        """See `bodies.memory.Remembered.search`."""
        query = query_of(self.namespace, text=text, where=where or {}, prefix=prefix, limit=limit, below=below)
        return await self._read(self._memories.search(query))

    async def keys(self, prefix: str = "") -> list[str]:
        """See `bodies.memory.Remembered.keys`."""
        found: list[str] = []
        query = Query(namespace=self.namespace, prefix=prefix, limit=MAX_FOUND)
        while page := await self._read(self._memories.journal.entries(query)):
            found += [entry.key for entry in page]
            query = msgspec.structs.replace(query, below=page[-1].number)
        return sorted(found)


class Memory(_Reading):
    """A namespace of the memory, for people and programs outside of runs; made by ``engine.memory(NAMESPACE)``."""

    async def store(self, key: str, value: Any, *, by: str = "") -> bool:
        """Store a value, whatever was there; whether the entry was there before.

        Args:
            key: of the entry.
            value: of it.
            by: who stores it.

        Raises:
            InvalidInputError: the namespace or the key is no name.
            UnstorableError: the value cannot be stored, is too large or holds a secret, or the namespace is full.
        """
        return await self._change("store", key, value, by)

    async def update(self, key: str, value: Any, *, by: str = "") -> bool:
        """Change what is there: fields of an object are written over its fields, else the value is replaced.

        Raises:
            UnknownEntryError: nothing is there; and what `store` raises.
        """
        return await self._change("update", key, value, by)

    async def delete(self, key: str, *, by: str = "") -> bool:
        """Delete an entry; whether it was there."""
        return await self._change("delete", key, None, by)

    async def _change(self, operation: Operation, key: str, value: Any, by: str) -> bool:
        json = self._memories.encoded(self.namespace, key, value)
        return await self._memories.change(operation, self.namespace, key, json, by=by)


class MemoryOfVisit:
    """What a visit does to the memory, by itself and in steps; no fault of the journal is a failure of its body.

    Args:
        memories: of the engine.
        entry: the body.
        run: the run's id.
    """

    def __init__(self, memories: Memories, entry: Entered, run: str) -> None:
        self.memories = memories
        self._entry = entry
        self._run = run

    async def change(self, operation: Operation, namespace: str, key: str, json: str, step: str = "") -> bool:
        """Change an entry, once for the visit or the step."""
        cause = self._cause(self._entry.path, step)
        return await self.ask(self.memories.change(operation, namespace, key, json.encode(), cause=cause))

    async def take_back(self, path: str, step: str) -> int:
        """Undo what a visit or a step of it has changed; how many changes were undone."""
        return await self.ask(self.memories.journal.take_back(self._cause(path, step)))

    async def ask(self, asking: Awaitable[T]) -> T:
        """What the journal says; if it fails, or if the run belongs to another process, the run is lost here."""
        self._entry.alive()
        try:
            return await or_lose(self._entry.host, _unfit(asking))
        except RunFencedError as error:
            self._entry.host.lose(error)
            raise asyncio.CancelledError from error

    def _cause(self, path: str, step: str) -> Cause:
        self._entry.check_attached()
        return Cause(run=self._run, epoch=self._entry.host.row.epoch, path=path, step=step)


class BodyMemory(_Reading, MemoryOfRun):
    """A namespace, as the body of a node sees it; made by `Context.memory`.

    Args:
        visit: does it.
        namespace: its name.
        entry: the body.
        steps: of the body.
    """

    def __init__(self, visit: MemoryOfVisit, namespace: str, entry: Entered, steps: Steps) -> None:
        super().__init__(visit.memories, namespace, visit.ask)
        self._visit = visit
        self._entry = entry
        self._steps = steps

    def store(self, key: str, value: Any, *, step: str | None = None) -> Awaitable[bool]:
        """See `bodies.memory.MemoryOfRun.store`."""
        return self._step("store", key, value, step)

    def update(self, key: str, value: Any, *, step: str | None = None) -> Awaitable[bool]:
        """See `bodies.memory.MemoryOfRun.update`."""
        return self._step("update", key, value, step)

    def delete(self, key: str, *, step: str | None = None) -> Awaitable[bool]:
        """See `bodies.memory.MemoryOfRun.delete`."""
        return self._step("delete", key, None, step)

    def _step(self, operation: Operation, key: str, value: Any, step: str | None) -> Awaitable[bool]:
        json = self._memories.encoded(self.namespace, key, value).decode()
        name = step if step is not None else _step_name(f"memory {operation} {self.namespace}/{key}")
        self._entry.check(name, "the change of the memory")
        undo = MemoryBody(operation="undo", path=self._entry.path, step=name)
        call = Call(
            key=name,
            function=self._visit.change,
            args=(operation, self.namespace, key, json, name),
            kwargs={},
            effect=True,
            on_interrupt=OnInterrupt.RETRY,
            probe=None,
            undo=Undo(kind="memory", body=msgspec.Raw(msgspec.json.encode(undo))),
        )
        return self._steps.make(call)


def query_of(namespace: str, *, where: Mapping[str, Any], **given: Any) -> Query:
    """A query of values as they are.

    Raises:
        InvalidInputError: it is none.
    """
    try:
        fields = {name: msgspec.Raw(codec.encode(value)) for name, value in where.items()}
        return msgspec.convert({"namespace": namespace, "where": fields, **given}, Query)
    except (msgspec.ValidationError, UnstorableError, AttributeError) as error:
        raise InvalidInputError(f"a search of the memory {namespace!r:.80}: {error}") from None


async def _as_it_is(reading: Awaitable[Any]) -> Any:
    return await reading


async def _unfit(asking: Awaitable[T]) -> T:
    """What the journal does not take although it is well is a fault of whoever asks."""
    try:
        return await asking
    except UnfitError as error:
        raise UnstorableError("$", str(error)) from error


def _shown(entry: Entry) -> MemoryEntry:
    assert entry.data is not None
    return MemoryEntry(
        namespace=entry.namespace,
        key=entry.key,
        value=codec.decode(entry.data.encode()),
        created_at=entry.created_at,
        updated_at=entry.updated_at,
        by=entry.by,
        number=entry.number,
    )


def _told(change: Change) -> MemoryEdit:
    before = change.before.data if change.before is not None else None
    return MemoryEdit(
        path=change.cause.path,
        step=change.cause.step,
        operation=change.operation,
        namespace=change.namespace,
        key=change.key,
        at=change.at,
        existed=change.existed,
        before=codec.decode(before.encode()) if before is not None else None,
        undone=change.undone,
    )


def _step_name(text: str) -> str:
    return text if len(text) <= _MAX_STEP else f"{text[:_MAX_STEP]}… {codec.digest(text.encode())[:16]}"
