"""The facts of undoing a run, and of what attempts have used; the others, and all together, are in `events`."""

from __future__ import annotations

import msgspec

from clew.kernel.event_base import Event


class Remaining(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that a rollback could not undo.

    Attributes:
        path: the visit that did it.
        why: ``irreversible``, or the error of its compensation.
        step: key of the step that did it; empty for the visit itself.
    """

    path: str
    why: str
    step: str = ""


class RollbackStarted(Event, frozen=True, kw_only=True):
    """What the run did is undone from here on, by the compensations that were declared.

    `why` is ``failed`` (the graph says that a failure is rolled back) or ``asked``.
    """

    why: str = "asked"
    by: str = ""


class RunRolledBack(Event, frozen=True, kw_only=True):
    """Everything that can be undone is; `undone` counts the compensations that were made."""

    undone: int


class RollbackFailed(Event, frozen=True, kw_only=True):
    """The rollback is over, and some of what the run did remains; it can be asked for again."""

    undone: int
    remaining: tuple[Remaining, ...]


class UsageRecorded(Event, frozen=True, kw_only=True):
    """What an attempt has used, by the name of what was measured; what was not measured is not there."""

    path: str
    attempt: int = 1
    used: dict[str, float]
