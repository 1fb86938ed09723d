"""What is to become of the state: what nodes and branches write meets what is there, through the reducers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from clew.kernel.cells import elements_of, fields_of, size_of
from clew.kernel.definition import KeySpec, Reducer
from clew.kernel.errors import RuleError
from clew.kernel.routing import failed_key
from clew.kernel.states import NodeState
from clew.kernel.values import NOTHING, Cell, Cells, ErrorInfo
from clew.kernel.visits import Group, Items, Scope, Visit, Walk
from clew.kernel.walking import TELLING, contributions, implied
from clew.kernel.writes import Change, Update, Write

Number = int | float

_WANTED = {
    Reducer.APPEND: "a list",
    Reducer.MERGE: "an object",
    Reducer.SUM: "a number",
    Reducer.MAX: "a number or a text",
    Reducer.MIN: "a number or a text",
}


class Asked(NamedTuple):
    """What a condition gave: whether it counts as true, and as JSON text."""

    true: bool
    json: msgspec.Raw


class Rules(Protocol):
    """The functions of a state graph that deciding calls; given by the driver. They are synchronous."""

    def ask(self, when: msgspec.Raw, cells: Cells) -> Asked:
        """What the condition of an edge gives on a state.

        Raises:
            RuleError: it raised.
        """
        ...

    def reduce(self, key: KeySpec, old: msgspec.Raw, new: msgspec.Raw) -> msgspec.Raw:
        """What a custom reducer makes of a value and what is written; `old` is empty if there is none.

        Raises:
            RuleError: it raised, or returned what cannot be stored.
        """
        ...


def plan_update(rules: Rules, visit: Visit, update: Update) -> tuple[Write, ...]:
    """What a visit writes to the state; of a branch, what it is to write when all branches have ended.

    Raises:
        RuleError: it does not fit the state.
    """
    walk = visit.group.walk
    assert walk is not None
    outlook = Outlook(walk)
    writes: list[Write] = []
    for name, value in update.changes.items():
        key, write = key_of(walk, name), Write(name, value)
        _check_shape(outlook, key, write)
        if key.reducer in TELLING:
            outlook.tell(key, write)
        elif visit.group is walk:
            json = _reduced(rules, key, outlook.text(name), write)
            outlook.put(name, json)
            # What was written is told to the enclosing state, if there is one.
            told = NOTHING if walk.writes is None else value
            write = Write(name, told, becomes=difference(walk.cells.get(name), json))
        writes.append(write)
    writes += _deletions(outlook, update.delete)
    outlook.refuse_large()
    return tuple(writes)


def plan_puts(walk: Walk, changes: dict[str, msgspec.Raw], delete: Iterable[str] = ()) -> tuple[Write, ...]:
    """What somebody writes to the state past the reducers.

    Raises:
        RuleError: it does not fit the state.
    """
    outlook = Outlook(walk)
    writes = [Write(key_of(walk, name).name, value, put=True) for name, value in changes.items()]
    for write in writes:
        outlook.put(write.key, write.value)
    writes += _deletions(outlook, delete)
    outlook.refuse_large()
    return tuple(writes)


def _deletions(outlook: Outlook, names: Iterable[str]) -> list[Write]:
    writes = [Write(key_of(outlook.walk, name).name, deleted=True) for name in names]
    for write in writes:
        outlook.put(write.key, NOTHING)
    return writes


def plan_merge(rules: Rules, walk: Walk, visit: Visit) -> tuple[Write, ...]:
    """What comes of what a visit's branches have written, as far as it cannot be told from these writes.

    Raises:
        RuleError: two branches write to a key without a reducer, or what they write does not fit.
    """
    assert visit.inner is not None
    _refuse_conflicts(walk, visit.inner)
    outlook = Outlook(walk)
    computed: dict[str, msgspec.Raw] = {}
    for write in contributions(visit, walk):
        key = key_of(walk, write.key)
        _check_shape(outlook, key, write)
        if key.reducer in TELLING:
            outlook.tell(key, write)
        else:
            computed[key.name] = _reduced(rules, key, outlook.text(key.name), write)
            outlook.put(key.name, computed[key.name])
    outlook.refuse_large()
    writes = [
        Write(name, becomes=difference(walk.cells.get(name), json)) if json else Write(name, deleted=True)
        for name, json in computed.items()
    ]
    return (*writes, *_failures(walk, visit))


def _failures(walk: Walk, visit: Visit) -> Iterator[Write]:
    """The state is told which branches or items have failed, if it has a key for that."""
    assert walk.topology.routing is not None
    group = visit.inner
    if not isinstance(group, Scope | Items) or visit.state is NodeState.FAILED:
        return
    if isinstance(group, Scope) and group.reports:  # what failed in it is its own affair
        return
    name = failed_key(visit.node.spec)
    if name in walk.topology.routing.keys:
        failed = [group.member_name(index) for index in sorted(group.failed)]
        yield Write(name, msgspec.Raw(msgspec.json.encode(failed)), put=True)
    for member in filter(None, group.members):
        yield from _failures(walk, member)


class Outlook:
    """What a state is going to be after writes that are only planned, as far as the next of them depend on it.

    Attributes:
        walk: the state graph; it is not changed.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        #: What takes the place of a value; empty if that is taken out.
        self._texts: dict[str, msgspec.Raw] = {}
        #: Bytes of the values that are written to.
        self._sizes: dict[str, int] = {}
        #: Fields that are merged into an object.
        self._fields: dict[str, dict[str, msgspec.Raw]] = {}

    def text(self, name: str) -> msgspec.Raw:
        """The value of a key that is not only added to; empty if it is not there."""
        if name in self._texts:
            return self._texts[name]
        cell = self.walk.cells.get(name)
        return cell.text() if cell is not None else NOTHING

    def elements(self, name: str) -> None:
        """Find out whether a key can be appended to.

        Raises:
            msgspec.DecodeError: what is there is no list.
        """
        if name not in self._texts:
            cell = self.walk.cells.get(name)
            if cell is not None:
                cell.elements()
        elif self._texts[name]:
            elements_of(self._texts[name])

    def members(self, name: str) -> dict[str, msgspec.Raw]:
        """The fields of a key before anything was merged into it.

        Raises:
            msgspec.DecodeError: what is there is no object.
        """
        if name not in self._texts:
            cell = self.walk.cells.get(name)
            return cell.members() if cell is not None else {}
        return fields_of(self._texts[name]) if self._texts[name] else {}

    def put(self, name: str, json: msgspec.Raw) -> None:
        """A value takes the place of what is there; an empty one takes it out."""
        self._texts[name] = json
        self._sizes[name] = size_of(json)
        self._fields.pop(name, None)

    def tell(self, key: KeySpec, write: Write) -> None:
        """A write through a reducer that only puts together."""
        if write.put or write.deleted or key.reducer in (Reducer.ERROR, Reducer.REPLACE):
            self.put(key.name, write.value)
            return
        size = self._size(key.name) + size_of(write.value)
        if key.reducer is Reducer.MERGE:
            before, new = self._fields.setdefault(key.name, {}), fields_of(write.value)
            there = self.members(key.name)
            size -= sum(size_of(before.get(name) or there.get(name, NOTHING)) for name in new)
            before.update(new)
        self._sizes[key.name] = size

    def _size(self, name: str) -> int:
        cell = self.walk.cells.get(name)
        return self._sizes.get(name, cell.size if cell is not None else 0)

    def refuse_large(self) -> None:
        """Refuse what makes the state too large.

        Raises:
            RuleError: it does.
        """
        cells = self.walk.cells
        before = sum(cells[name].size for name in self._sizes if name in cells)
        refuse_large(self.walk, self.walk.size - before + sum(self._sizes.values()))


def key_of(walk: Walk, name: str) -> KeySpec:
    """A key of the state.

    Raises:
        RuleError: it has none of this name.
    """
    assert walk.topology.routing is not None
    key = walk.topology.routing.keys.get(name)
    if key is None:
        known = ", ".join(sorted(walk.topology.routing.keys))
        raise _unfit(f"{name!r} is no key of the state of {walk.topology.spec.name}; it has {known}")
    return key


def difference(cell: Cell | None, json: msgspec.Raw) -> Change:
    """How a value differs from the one before, in as little text as lists and objects allow."""
    if cell is None:
        return Change(json=json)
    kind = bytes(memoryview(json)[:1]), bytes(memoryview(cell.text())[:1])
    if kind == (b"[", b"["):
        change = _list_difference(cell.elements()[: cell.count], elements_of(json))
        size = sum(map(size_of, change.items or ()))
    elif kind == (b"{", b"{"):
        before, after = cell.members(), fields_of(json)
        fields = {name: value for name, value in after.items() if bytes(before.get(name, NOTHING)) != bytes(value)}
        change = Change(fields=fields, removed=tuple(name for name in before if name not in after))
        size = sum(size_of(value) + len(name) for name, value in fields.items())
    else:
        return Change(json=json)
    return change if size < size_of(json) else Change(json=json)


def _list_difference(before: list[msgspec.Raw], after: tuple[msgspec.Raw, ...]) -> Change:
    shorter = min(len(before), len(after))
    start = 0
    while start < shorter and bytes(before[start]) == bytes(after[start]):
        start += 1
    end = 0
    while end < shorter - start and bytes(before[-1 - end]) == bytes(after[-1 - end]):
        end += 1
    return Change(items=after[start : len(after) - end], at=start, cut=len(before) - end - start)


def _reduced(rules: Rules, key: KeySpec, before: msgspec.Raw, write: Write) -> msgspec.Raw:
    """What becomes of a value through a reducer that computes; empty if it is taken out."""
    if write.put or write.deleted:
        return write.value
    if key.reducer is Reducer.CUSTOM:
        return rules.reduce(key, before, write.value)
    if not before:
        return write.value
    new: Number | str = msgspec.json.decode(write.value)
    try:
        old: Number | str = msgspec.json.decode(before, type=_allowed(key.reducer))
        if key.reducer is Reducer.SUM:
            total = cast("Number", old) + cast("Number", new)
            if isfinite(total):
                return msgspec.Raw(msgspec.json.encode(total))
            raise _cannot_take(key, before, write)
        pick = max if key.reducer is Reducer.MAX else min
        return msgspec.Raw(msgspec.json.encode(pick(old, new)))  # pyright: ignore[reportArgumentType, reportCallIssue]
    except (TypeError, msgspec.DecodeError):
        raise _cannot_take(key, before, write) from None


def _allowed(reducer: Reducer) -> Any:
    return Number if reducer is Reducer.SUM else Number | str


def _check_shape(outlook: Outlook, key: KeySpec, write: Write) -> None:
    """Refuse what the reducer of a key cannot take."""
    if write.put or write.deleted or key.reducer is Reducer.CUSTOM:
        return
    try:
        if key.reducer in TELLING:
            implied(key.reducer, write)
        else:
            msgspec.json.decode(write.value, type=_allowed(key.reducer))
    except msgspec.DecodeError:
        raise _unfit(
            f"what is written to {key.name!r} has to be {_WANTED[key.reducer]}, because its reducer is "
            f"{key.reducer}, but is {_shown(write.value)}"
        ) from None
    try:
        if key.reducer is Reducer.APPEND:
            outlook.elements(key.name)
        elif key.reducer is Reducer.MERGE:
            outlook.members(key.name)
    except msgspec.DecodeError:
        raise _cannot_take(key, outlook.text(key.name), write) from None


def _cannot_take(key: KeySpec, before: msgspec.Raw, write: Write) -> RuleError:
    return _unfit(f"{key.name!r} is {_shown(before)}, and {key.reducer} cannot take {_shown(write.value)}")


def _refuse_conflicts(walk: Walk, group: Group) -> None:
    """Two branches that write to a key without a reducer are an error: one of them would be lost."""
    if isinstance(group, Walk) or (isinstance(group, Scope) and group.reports):
        return
    writers: dict[str, str] = {}
    for member in group.members:
        if member is None or member.state is not NodeState.COMPLETED:
            continue
        for name in {write.key for write in contributions(member, walk)}:
            other = writers.setdefault(name, member.path)
            if other != member.path and key_of(walk, name).reducer is Reducer.ERROR:
                raise _unfit(
                    f"both {other} and {member.path} write to {name!r}, which has no reducer; say in the schema "
                    "what becomes of two values (Annotated[..., append], replace, ...)"
                )
        if member.inner is not None:
            _refuse_conflicts(walk, member.inner)


def refuse_large(walk: Walk, size: int) -> None:
    """Refuse a state of so many bytes, if that is more than it may have.

    Raises:
        RuleError: it is.
    """
    assert walk.topology.routing is not None
    limit = walk.topology.routing.spec.max_state_bytes
    if size > limit:
        raise _unfit(
            f"the state of {walk.topology.spec.name} would have {size:,} bytes, more than its limit of {limit:,}; "
            "raise StateGraph(max_state_bytes=...), or keep large things elsewhere and their names in the state"
        )


def _unfit(message: str) -> RuleError:
    return RuleError(
        ErrorInfo(type="state", message=message, classes=("StateError", "Exception"), retryable=False)
    )


def _shown(json: msgspec.Raw) -> str:
    text = bytes(json).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"
