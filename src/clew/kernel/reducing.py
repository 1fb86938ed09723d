"""What is to become of the state: what nodes and branches write meets what is there, through the reducers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from clew.kernel.cells import elements_of, fields_of, size_of
from clew.kernel.definition import KeySpec, Reducer
from clew.kernel.errors import RuleError
from clew.kernel.routing import failed_key
from clew.kernel.states import NodeState
from clew.kernel.values import NOTHING, Cell, Cells, ErrorInfo
from clew.kernel.visits import Group, Visit, Walk
from clew.kernel.walking import TELLING, contributions, implied
from clew.kernel.writes import Change, Update, Write

Number = int | float


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
    writes: list[Write] = []
    size = walk.size
    for name, value in update.changes.items():
        write = _plan(rules, walk, key_of(walk, name), Write(name, value), now=visit.group is walk)
        writes.append(write)
        size += _growth(walk, write, value)
    writes += [Write(key_of(walk, name).name, deleted=True) for name in update.delete]
    _refuse_large(walk, size)
    return tuple(writes)


def plan_puts(walk: Walk, changes: dict[str, msgspec.Raw], delete: Iterable[str] = ()) -> tuple[Write, ...]:
    """What somebody writes to the state past the reducers.

    Raises:
        RuleError: it does not fit the state.
    """
    writes = [Write(key_of(walk, name).name, value, put=True) for name, value in changes.items()]
    _refuse_large(walk, walk.size + sum(_growth(walk, write, write.value) for write in writes))
    return (*writes, *(Write(key_of(walk, name).name, deleted=True) for name in delete))


def plan_merge(rules: Rules, walk: Walk, visit: Visit) -> tuple[Write, ...]:
    """What comes of what a visit's branches have written, as far as it cannot be told from these writes.

    Raises:
        RuleError: two branches write to a key without a reducer, or what they write does not fit.
    """
    assert visit.inner is not None
    _refuse_conflicts(walk, visit.inner)
    after: dict[str, msgspec.Raw] = {}
    size = walk.size
    for write in contributions(visit, walk):
        key = key_of(walk, write.key)
        size += size_of(write.value)
        if key.reducer in TELLING:
            if not write.deleted:
                _check_shape(walk, key, write)
            continue
        cell = walk.cells.get(key.name)
        before = after[key.name] if key.name in after else cell.text() if cell is not None else NOTHING
        after[key.name] = _reduced(rules, key, before, write)
    _refuse_large(walk, size)
    writes = [
        Write(name, becomes=difference(walk.cells.get(name), json)) if json else Write(name, deleted=True)
        for name, json in after.items()
    ]
    return (*writes, *_failures(walk, visit))


def _failures(walk: Walk, visit: Visit) -> Iterator[Write]:
    """The state is told which branches have failed, if it has a key for that."""
    assert walk.topology.routing is not None
    name, group = failed_key(visit.node.spec), visit.inner
    if name in walk.topology.routing.keys and group is not None:
        failed = [group.member_path(index)[len(visit.path) :].strip("/[]") for index in sorted(group.failed)]
        yield Write(name, msgspec.Raw(msgspec.json.encode(failed)), put=True)


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


def _plan(rules: Rules, walk: Walk, key: KeySpec, write: Write, *, now: bool) -> Write:
    _check_shape(walk, key, write)
    if key.reducer in TELLING or not now:
        return write
    cell = walk.cells.get(key.name)
    json = _reduced(rules, key, cell.text() if cell is not None else NOTHING, write)
    becomes = difference(cell, json)
    # What was written is told to the enclosing state, if there is one.
    return msgspec.structs.replace(write, becomes=becomes, value=NOTHING if walk.writes is None else write.value)


def _reduced(rules: Rules, key: KeySpec, before: msgspec.Raw, write: Write) -> msgspec.Raw:
    """What becomes of a value through a reducer that computes; empty if it is taken out."""
    if write.put or write.deleted:
        return write.value
    if key.reducer is Reducer.CUSTOM:
        return rules.reduce(key, before, write.value)
    new: Number | str = msgspec.json.decode(write.value)
    if not before:
        return write.value
    old: Number | str = msgspec.json.decode(before)
    try:
        if key.reducer is Reducer.SUM:
            return msgspec.Raw(msgspec.json.encode(old + new))  # pyright: ignore[reportOperatorIssue]
        pick = max if key.reducer is Reducer.MAX else min
        return msgspec.Raw(msgspec.json.encode(pick(old, new)))  # pyright: ignore[reportArgumentType, reportCallIssue]
    except TypeError:
        raise _unfit(
            f"{key.name!r} is {_shown(before)}, and {key.reducer} cannot take {_shown(write.value)}"
        ) from None


def _check_shape(walk: Walk, key: KeySpec, write: Write) -> None:
    """Refuse what the reducer of a key cannot take."""
    cell = walk.cells.get(key.name)
    kind = key.reducer
    wanted = {Reducer.APPEND: "a list", Reducer.MERGE: "an object"}.get(kind, "a number")
    try:
        if kind in TELLING:
            implied(kind, write)
            if cell is not None and not write.put:
                if kind is Reducer.APPEND:
                    cell.elements()
                elif kind is Reducer.MERGE:
                    cell.members()
        elif kind is not Reducer.CUSTOM and not write.put and not write.deleted:
            allowed: object = Number if kind is Reducer.SUM else Number | str
            msgspec.json.decode(write.value, type=allowed)
    except msgspec.DecodeError:
        raise _unfit(
            f"what is written to {key.name!r} has to be {wanted}, because its reducer is {kind}, but is "
            f"{_shown(write.value)}"
        ) from None


def _refuse_conflicts(walk: Walk, group: Group) -> None:
    """Two branches that write to a key without a reducer are an error: one of them would be lost."""
    if isinstance(group, Walk):
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


def _growth(walk: Walk, write: Write, value: msgspec.Raw) -> int:
    """By how many bytes a write makes the state larger, nearly."""
    cell = walk.cells.get(write.key)
    change = write.becomes
    if change is not None and not change.json:
        return sum(map(size_of, change.items or ())) + sum(map(size_of, (change.fields or {}).values()))
    assert walk.topology.routing is not None
    grows = walk.topology.routing.keys[write.key].reducer in (Reducer.APPEND, Reducer.MERGE) and not write.put
    size = size_of(change.json if change is not None else value)
    return size if grows or cell is None else size - cell.size


def _refuse_large(walk: Walk, size: int) -> None:
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
