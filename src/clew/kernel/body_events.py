"""The facts that bodies record, and what they wait for; the others, and all of them together, are in `events`."""

from __future__ import annotations

from clew.kernel.event_base import Event
from clew.kernel.values import ErrorInfo, Undo, Value


class StepStarted(Event, frozen=True, kw_only=True):
    """A step that acts on the outside world began; without its end, whether it took effect is not known.

    Attributes:
        path: the visit.
        attempt: the attempt that makes the step.
        key: names the step within the visit.
        digest: of the step's arguments.
        undo: how it is undone.
    """

    path: str
    attempt: int = 1
    key: str
    digest: str
    undo: Undo | None = None


class StepCompleted(Event, frozen=True, kw_only=True):
    """A step of a body returned; entering the body again returns what is recorded here.

    Attributes:
        path: the visit.
        attempt: the attempt that made the step.
        key: names the step within the visit.
        digest: of the step's arguments; the same key with other arguments is an error.
        value: what it returned.
        effect: the step acts on the outside world and is kept when the attempt fails.
        undo: how it is undone.
    """

    path: str
    attempt: int = 1
    key: str
    digest: str
    value: Value
    effect: bool = False
    undo: Undo | None = None


class StepFailed(Event, frozen=True, kw_only=True):
    """A step of a body raised; entering the same attempt again raises the same error."""

    path: str
    attempt: int = 1
    key: str
    digest: str
    error: ErrorInfo


class WaitOpened(Event, frozen=True, kw_only=True):
    """A visit waits: for a moment (``timer``), an answer, a ``message``, or an exclusive ``key``.

    Attributes:
        path: the visit.
        attempt: the attempt that waits.
        key: names the wait within the visit.
        kind: ``timer``, ``answer``, ``message`` or ``key``.
        due: when it ends by itself, in seconds since the epoch; None waits for ever.
        name: of the message, or of the exclusive key.
        question: what is asked: a `questions.Question` as stored JSON.
        digest: of the question; an answer to what was shown before it changed is refused.
        default: what counts as the answer when nobody has given one in time.
    """

    path: str
    attempt: int = 1
    key: str
    kind: str
    due: float | None = None
    name: str = ""
    question: Value | None = None
    digest: str = ""
    default: Value | None = None


class WaitResolved(Event, frozen=True, kw_only=True):
    """What a visit waited for came about: ``fired``, ``answered``, ``expired``, ``received`` or ``taken``.

    Attributes:
        path: the visit.
        key: names the wait within the visit.
        outcome: what came about.
        value: the answer, the default that counts as one, or the message.
        by: who gave the answer or sent the message.
        shown: digest of the question as it was shown to that person, if the answer says so.
        kept: it was given before it was asked for; with `standing`, for all visits of the node.
    """

    path: str
    key: str
    outcome: str
    value: Value | None = None
    by: str = ""
    shown: str = ""
    kept: bool = False
    standing: bool = False


class MessageArrived(Event, frozen=True, kw_only=True):
    """A message from outside lies in the run's mailbox of that name until a body receives it."""

    name: str
    value: Value
    by: str = ""
