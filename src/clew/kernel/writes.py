"""What nodes of a state graph say and what becomes of its state, as facts.

A node returns an `Update`. Each change in it is a `Write` to one key, which goes through the key's reducer. What
the reducer made of it is told by the write itself if the reducer is one of those that only put things together
(``error``, ``replace``, ``append``, ``merge``); of all others the outcome is recorded as a `Change`, so that what
was computed is not computed again, and what did not change is not stored again.
"""

from __future__ import annotations

import msgspec

from clew.kernel.values import NOTHING, Value


class Update(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node of a state graph returned.

    Attributes:
        changes: what is written, by key; it goes through the reducers.
        delete: keys that are taken out of the state.
        goto: the node to go on with, empty for the end; None follows the edges.
        fallback: the fallback edge is to be taken.
        cost: what the step has cost, in whatever unit is counted.
        effects: it did something that cannot be done again without being noticed.
    """

    changes: dict[str, msgspec.Raw] = {}
    delete: tuple[str, ...] = ()
    goto: str | None = None
    fallback: bool = False
    cost: float = 0.0
    effects: bool = False


class Change(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How a key of the state differs from before.

    Exactly one of three: `json` is the whole value; or, of a list, `cut` elements at `at` (-1: the end) were
    replaced by `items`; or, of an object, `fields` were set and `removed` taken out.
    """

    json: msgspec.Raw = NOTHING
    items: tuple[msgspec.Raw, ...] | None = None
    at: int = 0
    cut: int = 0
    fields: dict[str, msgspec.Raw] | None = None
    removed: tuple[str, ...] = ()


class Write(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One write to a key of the state.

    Attributes:
        key: the key.
        value: what was written; empty if `becomes` says all that has to be known, or the key was deleted.
        becomes: what came of it, if the reducer cannot tell again.
        put: it takes the place of what is there, whatever the reducer: a person wrote it.
        deleted: the key was taken out.
    """

    key: str
    value: msgspec.Raw = NOTHING
    becomes: Change | None = None
    put: bool = False
    deleted: bool = False


class Judgement(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What was decided at a barrier.

    Attributes:
        kind: ``approve``, ``reject``, ``modify`` (the state is changed, and what it is then is asked about again),
            ``reroute`` (go on with another node), or ``skip`` (only of a time limit: go on, and set nothing).
        reason: why it was rejected.
        changes: what is written to the state with it, whatever the reducers.
        delete: keys that are taken out of the state with it.
        target: the node to go on with, empty for the end; of ``reroute``.
    """

    kind: str
    reason: str = ""
    changes: dict[str, msgspec.Raw] = {}
    delete: tuple[str, ...] = ()
    target: str = ""


JUDGEMENTS = frozenset({"approve", "reject", "modify", "reroute"})


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """A decision that was given before it is asked for; see `events.DecisionKept`."""

    value: Value
    by: str = ""
    standing: bool = False
