"""What the outside tells the machine: outcomes of commands, people's wishes, the passing of time.

Signals are not facts. One that comes too late (of an attempt that was superseded, for a run that has ended)
is dropped; what the machine decides because of the others is recorded as events.
"""

from __future__ import annotations

import msgspec

from clew.kernel.values import ErrorInfo, Value


class Signal(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """What all signals have in common."""


class Admit(Signal, frozen=True, kw_only=True):
    """Create the run; the first signal of every run."""

    run: str
    graph: str
    definition: str
    inputs: dict[str, Value] = {}
    labels: dict[str, str] = {}
    timeout_s: float | None = None


class Tick(Signal, frozen=True, kw_only=True):
    """Time has passed; whatever is due happens."""


class SlotsFreed(Signal, frozen=True, kw_only=True):
    """The gate may say yes where it said no before."""


class TakeOver(Signal, frozen=True, kw_only=True):
    """A new owner writes the run: what the former one had under way is interrupted."""

    epoch: int
    owner: str


class MapExpanded(Signal, frozen=True, kw_only=True):
    """Outcome of `commands.ExpandMap`: the items, or why there are none."""

    path: str
    count: int = 0
    keys: tuple[str, ...] = ()
    items: Value | None = None
    error: ErrorInfo | None = None


class AttemptSucceeded(Signal, frozen=True, kw_only=True):
    """A body returned."""

    path: str
    attempt: int
    output: Value


class AttemptFailed(Signal, frozen=True, kw_only=True):
    """A body raised, or returned what cannot be stored."""

    path: str
    attempt: int
    error: ErrorInfo


class AttemptStopped(Signal, frozen=True, kw_only=True):
    """A body that was told to stop has stopped."""

    path: str
    attempt: int


class AttemptIdle(Signal, frozen=True, kw_only=True):
    """All that a body still does is wait, for `keys`; its slot can be given back."""

    path: str
    attempt: int
    keys: tuple[str, ...]


class StepEnded(Signal, frozen=True, kw_only=True):
    """A step of a body returned (`value`) or raised (`error`)."""

    path: str
    attempt: int
    key: str
    digest: str
    value: Value | None = None
    error: ErrorInfo | None = None
    effect: bool = False


class OpenWait(Signal, frozen=True, kw_only=True):
    """A body asks to be woken: at `due`, or by an answer."""

    path: str
    attempt: int
    key: str
    kind: str
    due: float | None = None
    question: Value | None = None


class Answer(Signal, frozen=True, kw_only=True):
    """Somebody outside answers what a body waits for."""

    path: str
    key: str
    value: Value
    by: str = ""


class Pause(Signal, frozen=True, kw_only=True):
    """Start nothing new."""

    by: str = ""


class Resume(Signal, frozen=True, kw_only=True):
    """Go on after a pause."""

    by: str = ""


class Cancel(Signal, frozen=True, kw_only=True):
    """End the run: stop what is under way, start nothing new."""

    reason: str = "cancelled"
    by: str = ""


class RetryRun(Signal, frozen=True, kw_only=True):
    """Take an ended run up again, keeping what was completed."""

    by: str = ""


AnySignal = (
    Admit
    | Tick
    | SlotsFreed
    | TakeOver
    | MapExpanded
    | AttemptSucceeded
    | AttemptFailed
    | AttemptStopped
    | AttemptIdle
    | StepEnded
    | OpenWait
    | Answer
    | Pause
    | Resume
    | Cancel
    | RetryRun
)
