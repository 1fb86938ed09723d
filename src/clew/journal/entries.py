"""The memory that outlives runs: its entries, what may be done to them, and which of them a search finds.

An entry is a value by namespace and key. The rules in here are those of every journal; `shelf` says what becomes
of an entry, and what is recorded of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, cast

import msgspec

from clew import codec
from clew.errors import InvalidInputError, UnknownEntryError, UnstorableError

#: Characters of the name of a namespace, and of the key of an entry.
MAX_NAMESPACE, MAX_ENTRY_KEY = 200, 500
#: JSON text that the value of an entry may have, in bytes.
MAX_ENTRY_BYTES = 1_000_000
#: Entries of one namespace, and bytes of their keys and values; what a search may have to read.
MAX_ENTRIES, MAX_SPACE_BYTES = 100_000, 256_000_000
#: Entries that one search returns.
MAX_FOUND = 1_000
#: Characters of the text of a search.
MAX_TEXT = 1_000

Operation = Literal["store", "update", "delete"]


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of the memory.

    Attributes:
        namespace: what it belongs to.
        key: its name there.
        data: its value as JSON text; None if it was deleted, and is kept because a run may put it back.
        number: of the change that made it what it is, among all changes of the journal; later ones are higher.
        created_at: when there was nothing by this key before, in seconds since the epoch.
        updated_at: when it became what it is.
        by: who did that: the id of a run, or a name.
    """

    namespace: str
    key: str
    data: str | None
    number: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0
    by: str = ""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The visit, or the step of it, by which a run changes the memory: it does so once.

    Attributes:
        run: the run's id.
        epoch: of the owner that makes the change.
        path: the visit.
        step: key of the step; empty for the visit itself.
    """

    run: str
    epoch: int
    path: str
    step: str = ""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is to be done to an entry.

    Attributes:
        operation: ``store`` a value, whatever was there; ``update`` what is there: fields of an object are written
            over those of the object, any other value takes the place of the value; ``delete``.
        namespace: of the entry.
        key: of the entry.
        data: JSON text of the value; of nothing for ``delete``.
        at: now, in seconds since the epoch.
        by: who does it, if no run does.
        cause: what of a run does it.
    """

    operation: Operation
    namespace: str
    key: str
    data: bytes = b"null"
    at: float = 0.0
    by: str = ""
    cause: Cause | None = None

    def check(self) -> None:
        """Refuse what is beyond the limits.

        Raises:
            InvalidInputError: the namespace or the key is no name.
            UnstorableError: the value is too large.
        """
        check_name("the namespace", self.namespace, MAX_NAMESPACE)
        check_name("the key", self.key, MAX_ENTRY_KEY)
        if self.by:
            check_name("the name of who does it", self.by, MAX_NAMESPACE)
        _check_size(self, self.data)

    def digest(self) -> str:
        """Tells it from other things that the same visit might do."""
        return codec.digest(msgspec.json.encode([self.operation, self.namespace, self.key, self.data.decode()]))

    def outcome(self, before: Entry | None) -> bytes | None:
        """The JSON text of the entry afterwards; None if it is not there then.

        Raises:
            UnknownEntryError: there is nothing to update.
            UnstorableError: it would be too large.
        """
        if self.operation != "update":
            return self.data if self.operation == "store" else None
        if before is None or before.data is None:
            raise UnknownEntryError(f"{told(self)} is not there, and cannot be updated; store it")
        data = _merged(before.data.encode(), self.data)
        _check_size(self, data)
        return data


class Change(msgspec.Struct, kw_only=True):
    """What a run has done to an entry, and what that was before.

    Attributes:
        cause: what of the run did it; its `epoch` is not kept.
        digest: of what was done, see `Act.digest`.
        operation: what was done; empty if nothing was, and nothing may be any more.
        namespace: of the entry.
        key: of the entry.
        at: when.
        number: that the entry got by it.
        existed: the entry was there before.
        undone: it was undone.
        before: the entry before; None if there was nothing, and when it was undone.
        id: its place among the changes of the journal.
    """

    cause: Cause
    digest: str
    operation: str
    namespace: str = ""
    key: str = ""
    at: float = 0.0
    number: int = 0
    existed: bool = False
    undone: bool = False
    before: Entry | None = None
    id: int = 0


class Space(msgspec.Struct, frozen=True):
    """A namespace: how many entries it has, and the bytes of their keys and values."""

    namespace: str
    entries: int
    bytes: int


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are looked for: those that fit all that is given, those that were changed last first.

    Attributes:
        namespace: theirs.
        text: each of its words occurs somewhere in the key, or in the texts, numbers and names of fields of the
            value, as a part of a word too; capitals or not.
        where: the value is an object that has these fields with these values, as JSON text.
        prefix: the key begins like this.
        limit: how many at most.
        below: only those with a lower `Entry.number`; 0 is all.
    """

    namespace: str
    text: str = ""
    where: dict[str, msgspec.Raw] = {}
    prefix: str = ""
    limit: int = 20
    below: int = 0

    def check(self) -> None:
        """Refuse what is beyond the limits.

        Raises:
            InvalidInputError: says which, and what to do.
        """
        check_name("the namespace", self.namespace, MAX_NAMESPACE)
        if len(self.text) > MAX_TEXT:
            raise InvalidInputError(
                f"a search: its text has {len(self.text)} characters, and {MAX_TEXT} at most are looked for; give "
                "the words that matter"
            )
        if not 0 < self.limit <= MAX_FOUND:
            raise InvalidInputError(
                f"a search: limit is a number from 1 to {MAX_FOUND}, not {self.limit}; say more "
                "about what is wanted"
            )


class Filter:
    """A query, made ready for many entries.

    Args:
        query: what is looked for.
    """

    def __init__(self, query: Query) -> None:
        self._prefix = query.prefix
        self._words = query.text.casefold().split()
        self._where = {name: codec.decode(value) for name, value in query.where.items()}

    def fits(self, entry: Entry) -> bool:
        """Whether an entry that is there is one of those that are looked for."""
        if entry.data is None or not entry.key.startswith(self._prefix):
            return False
        if not self._words and not self._where:
            return True
        value = codec.decode(entry.data.encode())
        if self._where and not _has(value, self._where):
            return False
        if not self._words:
            return True
        text = "\n".join((entry.key, *_texts(value))).casefold()
        return all(word in text for word in self._words)


def check_name(what: str, name: str, limit: int) -> None:
    """Refuse a name that people could not read, or that is too long.

    Raises:
        InvalidInputError: says what of the memory it should name.
    """
    if not name or len(name) > limit or not name.isprintable() or name != name.strip():
        raise InvalidInputError(
            f"memory: {what} is printable text of 1 to {limit} characters without blanks at its ends, not "
            f"{name!r:.80}"
        )


def weight(entry: Entry | None) -> int:
    """What an entry counts in its namespace, in bytes."""
    return 0 if entry is None or entry.data is None else len(entry.key.encode()) + len(entry.data.encode())


def told(named: Entry | Act | Change) -> str:
    """An entry as it is named in messages."""
    return f"the entry {named.key!r} of the memory {named.namespace!r}"


def _check_size(act: Act, data: bytes) -> None:
    if len(data) > MAX_ENTRY_BYTES:
        why = f"{len(data)} bytes of JSON are more than {told(act)} may have ({MAX_ENTRY_BYTES})"
        raise UnstorableError("$", f"{why}; store where it can be found instead, or in parts")


def _merged(before: bytes, given: bytes) -> bytes:
    if not (before.startswith(b"{") and given.startswith(b"{")):
        return given
    fields = msgspec.json.decode(before, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(fields | msgspec.json.decode(given, type=dict[str, msgspec.Raw]))


def _has(value: Any, where: dict[str, Any]) -> bool:
    if not isinstance(value, dict):
        return False
    fields = cast("dict[str, Any]", value)
    return all(name in fields and is_same(fields[name], wanted) for name, wanted in where.items())


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: true is not 1, as Python has it, but 1 is 1.0."""
    if isinstance(one, list) and isinstance(other, list):
        ones, others = cast("list[Any]", one), cast("list[Any]", other)
        return len(ones) == len(others) and all(map(is_same, ones, others))
    if isinstance(one, dict) and isinstance(other, dict):
        named, others_named = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return named.keys() == others_named.keys() and all(is_same(named[k], others_named[k]) for k in named)
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _texts(value: Any) -> Iterator[str]:
    """All that can be read in a value: texts, numbers, names of fields, ``true``, ``false``; not ``null``."""
    match value:
        case str():
            yield value
        case bool():
            yield "true" if value else "false"
        case int() | float():
            yield str(value)
        case list():
            for item in cast("list[Any]", value):
                yield from _texts(item)
        case dict():
            for name, item in cast("dict[str, Any]", value).items():
                yield name
                yield from _texts(item)
        case _:
            return
