"""The memory that outlives runs, as bodies and people see it: values by namespace and key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET


class MemoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the memory.

    Attributes:
        namespace: what it belongs to.
        key: its name there.
        value: plain data.
        created_at: when there was nothing by this key before, in seconds since the epoch.
        updated_at: when it became what it is.
        by: who did that: the id of a run, or a name.
        number: of the change that did it, among all changes of all entries; later ones are higher.
    """

    namespace: str
    key: str
    value: Any
    created_at: float
    updated_at: float
    by: str = ""
    number: int = 0


class MemoryEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has done to an entry of the memory.

    Attributes:
        path: the visit that did it.
        step: key of the step that did it; empty for the visit itself.
        operation: ``store``, ``update`` or ``delete``.
        namespace: of the entry.
        key: of the entry.
        at: when, in seconds since the epoch.
        existed: the entry was there before.
        before: its value before; None if it was not there, and when it was undone.
        undone: it was undone, and can be no more.
    """

    path: str
    step: str
    operation: str
    namespace: str
    key: str
    at: float
    existed: bool
    before: Any
    undone: bool


class Remembered(ABC):
    """A namespace of the memory, to be read.

    Attributes:
        namespace: its name.
    """

    namespace: str

    @abstractmethod
    def entry(self, key: str) -> Awaitable[MemoryEntry | None]:
        """One entry; None if it is not there."""

    @abstractmethod
    def get(self, key: str, default: Any = UNSET, *, type: Any = Any) -> Awaitable[Any]:  # noqa: A002 - what it is
        """The value of an entry.

        Args:
            key: of the entry.
            default: what is returned if there is no such entry.
            type: the value is decoded as this.

        Raises:
            UnknownEntryError: there is no such entry, and no default.
            InvalidInputError: the value does not fit `type`.
        """

    @abstractmethod
    def search(
        self,
        text: str = "",
        *,
        where: Mapping[str, Any] | None = None,
        prefix: str = "",
        limit: int = 20,
        below: int = 0,
    ) -> Awaitable[Sequence[MemoryEntry]]:
        """The entries that fit all that is given, those that were changed last first.

        Args:
            text: each of its words occurs somewhere in the key, or in the texts, numbers and names of fields of
                the value, as a part of a word too; capitals or not.
            where: the value is an object that has these fields with these values.
            prefix: the key begins like this.
            limit: how many at most.
            below: only those with a lower `MemoryEntry.number`, to read on after what was found before.

        Raises:
            InvalidInputError: it is beyond the limits.
        """

    @abstractmethod
    def keys(self, prefix: str = "") -> Awaitable[list[str]]:
        """The keys of all entries that begin with `prefix`, in order."""


class MemoryOfRun(Remembered):
    """A namespace of the memory, as the body of a node sees it.

    What it changes is changed once, whatever crashes, and recorded as a step of its visit; it is undone if the run
    is rolled back. What it reads is not recorded: entered again, the body reads what is there then.
    """

    @abstractmethod
    def store(self, key: str, value: Any, *, step: str | None = None) -> Awaitable[bool]:
        """Store a value, whatever was there.

        Args:
            key: of the entry.
            value: of it.
            step: names the change in this visit; made from what is done to which entry, if not given. Needed to do
                the same to the same entry twice.

        Returns:
            Whether the entry was there before.

        Raises:
            InvalidInputError: the namespace or the key is no name.
            UnstorableError: the value cannot be stored, is too large or holds a secret, or the namespace is full.
        """

    @abstractmethod
    def update(self, key: str, value: Any, *, step: str | None = None) -> Awaitable[bool]:
        """Change what is there: fields of an object are written over its fields, else the value is replaced.

        Raises:
            UnknownEntryError: nothing is there; and what `store` raises.
        """

    @abstractmethod
    def delete(self, key: str, *, step: str | None = None) -> Awaitable[bool]:
        """Delete an entry; whether it was there."""
