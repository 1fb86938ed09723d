"""What becomes of an entry of the memory, the same in every journal: a change is made once, recorded, and undone.

A change by a run is recorded with what was there before, in the transaction that makes it. Whoever makes it again
(a process that died had made it, and nobody heard of that) gets what came of it then. To undo it is to put back
what was there before, if nobody has changed the entry since.
"""

from __future__ import annotations

from typing import Protocol

from msgspec.structs import replace

from clew import codec
from clew.errors import MemoryConflictError, RefusedError, RunFencedError, UnknownRunError, UnstorableError
from clew.journal.entries import (
    MAX_ENTRIES,
    MAX_SPACE_BYTES,
    Act,
    Cause,
    Change,
    Entry,
    Space,
    is_same,
    told,
    weight,
)

#: Characters of a value that are told in a message.
_TOLD = 200


class Shelf(Protocol):
    """Where a journal keeps entries and changes; all that is done to it here is done in one transaction."""

    def epoch(self, run: str) -> int | None:
        """The epoch of a run; None if there is no such run."""
        ...

    def find(self, namespace: str, key: str) -> Entry | None:
        """An entry, also one that was deleted and is kept."""
        ...

    def put(self, entry: Entry) -> int:
        """Put an entry in the place of what has its key; one without a number gets the next. Its number."""
        ...

    def remove(self, entry: Entry) -> None:
        """Keep nothing by the key of an entry."""
        ...

    def space(self, namespace: str) -> Space:
        """How full a namespace is."""
        ...

    def weigh(self, space: Space) -> None:
        """A namespace is as full as this now; one without entries is not kept."""
        ...

    def changes(self, cause: Cause) -> list[Change]:
        """What a visit or a step has changed, in order."""
        ...

    def change_after(self, run: str, entry: Entry) -> Change | None:
        """What a run has made of an entry as it was, and has not undone."""
        ...

    def is_referred(self, namespace: str, key: str) -> bool:
        """Whether there is a change of the entry that was not undone."""
        ...

    def add(self, change: Change) -> None:
        """Record a change."""
        ...

    def rewrite(self, change: Change) -> None:
        """Record what became of a change: `undone`, and `before`."""
        ...


def remember(shelf: Shelf, act: Act) -> bool:
    """Change an entry; see `port.Journal.remember`."""
    act.check()
    cause = act.cause
    if cause is not None:
        _fence(shelf, cause)
        made = shelf.changes(cause)
        if made and made[-1].undone:
            raise RefusedError(f"run {cause.run}: {cause.path} was rolled back; it changes {told(act)} no more")
        if made and made[-1].digest == act.digest():
            return made[-1].existed
    before = shelf.find(act.namespace, act.key)
    data = act.outcome(before)
    existed = before is not None and before.data is not None
    number = before.number if before is not None else 0
    if existed or data is not None:
        number = _change(shelf, act, before, data)
    if cause is not None:
        shelf.add(
            Change(
                cause=cause,
                digest=act.digest(),
                operation=act.operation,
                namespace=act.namespace,
                key=act.key,
                at=act.at,
                number=number,
                existed=existed,
                before=before,
            )
        )
    return existed


def _change(shelf: Shelf, act: Act, before: Entry | None, data: bytes | None) -> int:
    """Put an entry in the place of what was there; its number."""
    cause = act.cause
    existed = before is not None and before.data is not None
    after = Entry(
        namespace=act.namespace,
        key=act.key,
        data=data.decode() if data is not None else None,
        created_at=before.created_at if before is not None and existed else act.at,
        updated_at=act.at,
        by=cause.run if cause is not None else act.by,
    )
    _weigh(shelf, before, after, limited=True)
    if data is not None or cause is not None or shelf.is_referred(act.namespace, act.key):
        return shelf.put(after)
    shelf.remove(after)
    return 0


def take_back(shelf: Shelf, cause: Cause) -> int:
    """Undo what a visit or a step has changed; see `port.Journal.take_back`."""
    _fence(shelf, cause)
    changes = shelf.changes(cause)
    if not changes:
        # What comes too late (a body that was cut off) is not made any more.
        shelf.add(Change(cause=cause, digest="", operation="", undone=True))
    undone = 0
    for change in reversed(changes):
        if not change.undone:
            _undo(shelf, change)
            shelf.rewrite(_over(change))
            undone += 1
    return undone


def _undo(shelf: Shelf, change: Change) -> None:
    now = shelf.find(change.namespace, change.key)
    before = change.before
    if now is not None and now.number == change.number:
        _weigh(shelf, now, before, limited=False)
        if before is not None:
            shelf.put(before)
        else:
            shelf.remove(now)
        return
    made = Entry(namespace=change.namespace, key=change.key, data=None, number=change.number)
    later = shelf.change_after(change.cause.run, made)
    if later is not None:  # of the same run: undoing that puts back what was there before both
        later.before = before
        shelf.rewrite(later)
    elif not _is_as_before(now, before):
        raise MemoryConflictError(_conflict(change, now))


def _is_as_before(now: Entry | None, before: Entry | None) -> bool:
    """Whether an entry is what it was, whoever has put it back."""
    one = now.data if now is not None else None
    other = before.data if before is not None else None
    if one is None or other is None:
        return one is other
    return is_same(codec.decode(one.encode()), codec.decode(other.encode()))


def _conflict(change: Change, now: Entry | None) -> str:
    before = change.before.data if change.before is not None else None
    was = f"it was {_shown(before)}" if before is not None else "it was not there"
    is_now = f"has been changed by {now.by or 'somebody'}" if now is not None else "has been deleted by somebody"
    return (
        f"{told(change)} {is_now} since {change.cause.path} of run {change.cause.run} changed it, and is left as "
        f"it is; before that, {was}. Make it what it was (clew memory changes {change.cause.run}) and roll the "
        "run back again: an entry that is what it was counts as undone"
    )


def _shown(data: str) -> str:
    return data if len(data) <= _TOLD else f"{data[:_TOLD]}… ({len(data)} characters)"


def _over(change: Change) -> Change:
    change.undone, change.before = True, None
    return change


def _fence(shelf: Shelf, cause: Cause) -> None:
    epoch = shelf.epoch(cause.run)
    if epoch is None:
        raise UnknownRunError(f"there is no run {cause.run}")
    if epoch != cause.epoch:
        raise RunFencedError(
            f"run {cause.run} has another owner now (epoch {epoch} instead of {cause.epoch}), which goes on with "
            "it"
        )


def _weigh(shelf: Shelf, before: Entry | None, after: Entry | None, *, limited: bool) -> None:
    """Count what an entry takes; refuse what would be too much, unless it is put back."""
    named = after or before
    assert named is not None
    space = shelf.space(named.namespace)
    count = _is_there(after) - _is_there(before)
    size = weight(after) - weight(before)
    full = replace(space, entries=space.entries + count, bytes=space.bytes + size)
    if limited and ((count > 0 and full.entries > MAX_ENTRIES) or (size > 0 and full.bytes > MAX_SPACE_BYTES)):
        raise UnstorableError(
            "$",
            f"the memory {space.namespace!r} has {space.entries} entries with {space.bytes} bytes, and may have "
            f"{MAX_ENTRIES} with {MAX_SPACE_BYTES}; delete some, or store in another namespace",
        )
    if full != space:
        shelf.weigh(full)


def _is_there(entry: Entry | None) -> bool:
    return entry is not None and entry.data is not None
