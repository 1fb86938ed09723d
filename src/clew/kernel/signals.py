"""What the outside tells the machine: outcomes of commands, people's wishes, the passing of time.

Signals are not facts. One that comes too late (of an attempt that was superseded, for a run that has ended)
is dropped; what the machine decides because of the others is recorded as events.
"""

from __future__ import annotations

import msgspec

from clew.kernel.definition import GraphSpec
from clew.kernel.values import NOTHING, ErrorInfo, Undo, Value
from clew.kernel.writes import Judgement, Update


class Signal(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """What all signals have in common."""


class Admit(Signal, frozen=True, kw_only=True):
    """Create the run; the first signal of every run. `paused`: nothing of it starts yet."""

    run: str
    graph: str
    definition: str
    inputs: dict[str, Value] = {}
    labels: dict[str, str] = {}
    timeout_s: float | None = None
    confirmed: bool = False
    paused: bool = False


class Tick(Signal, frozen=True, kw_only=True):
    """Time has passed; whatever is due happens."""


class SlotsFreed(Signal, frozen=True, kw_only=True):
    """The gate may say yes where it said no before."""


class TakeOver(Signal, frozen=True, kw_only=True):
    """A new owner writes the run: what the former one had under way is interrupted."""

    epoch: int
    owner: str


class Fork(Signal, frozen=True, kw_only=True):
    """Go on as another run from where this one was; what is under way is left to the first one.

    Attributes:
        run: id of the new run.
        since: when the last event before it happened, in seconds since the epoch.
        labels: of the new run.
        changes: of the state of a state graph, past its reducers, by key.
        delete: keys that are taken out of it.
        by: who forks.
    """

    run: str
    since: float
    labels: dict[str, str] = {}
    changes: dict[str, msgspec.Raw] = {}
    delete: tuple[str, ...] = ()
    by: str = ""


class MapExpanded(Signal, frozen=True, kw_only=True):
    """Outcome of `commands.ExpandMap`: the items, or why there are none."""

    path: str
    count: int = 0
    keys: tuple[str, ...] = ()
    items: Value | None = None
    error: ErrorInfo | None = None


class Gathered(Signal, frozen=True, kw_only=True):
    """Outcome of `commands.Gather`: a JSON object, or why there is none."""

    path: str
    json: msgspec.Raw = NOTHING
    error: ErrorInfo | None = None


class AttemptSucceeded(Signal, frozen=True, kw_only=True):
    """A body returned `output`; in a state graph, an `update` of its state.

    `undo` is what its compensation is to be given, if that cannot be told later; `used` is what was measured.
    """

    path: str
    attempt: int
    output: Value
    update: Update | None = None
    undo: Value | None = None
    used: dict[str, float] = {}


class AttemptFailed(Signal, frozen=True, kw_only=True):
    """A body raised, or returned what cannot be stored."""

    path: str
    attempt: int
    error: ErrorInfo
    used: dict[str, float] = {}


class ProbedAbsent(Signal, frozen=True, kw_only=True):
    """A probe found that the lost attempt took no effect; that it did is `AttemptSucceeded`."""

    path: str
    attempt: int


class HeartbeatMissed(Signal, frozen=True, kw_only=True):
    """A body was silent for longer than its node allows."""

    path: str
    attempt: int


class AttemptStopped(Signal, frozen=True, kw_only=True):
    """A body that was told to stop has stopped."""

    path: str
    attempt: int
    used: dict[str, float] = {}


class AttemptIdle(Signal, frozen=True, kw_only=True):
    """All that a body still does is wait, for `keys`; its slot can be given back."""

    path: str
    attempt: int
    keys: tuple[str, ...]


class StepBegun(Signal, frozen=True, kw_only=True):
    """A step that acts on the outside world is about to be made."""

    path: str
    attempt: int
    key: str
    digest: str
    undo: Undo | None = None


class StepEnded(Signal, frozen=True, kw_only=True):
    """A step of a body returned (`value`) or raised (`error`)."""

    path: str
    attempt: int
    key: str
    digest: str
    value: Value | None = None
    error: ErrorInfo | None = None
    effect: bool = False
    undo: Undo | None = None


class OpenWait(Signal, frozen=True, kw_only=True):
    """A body asks to be woken: at `due`, by an answer, by a message, or when an exclusive key is its own."""

    path: str
    attempt: int
    key: str
    kind: str
    due: float | None = None
    name: str = ""
    question: Value | None = None
    digest: str = ""
    default: Value | None = None


class KeyTaken(Signal, frozen=True, kw_only=True):
    """The exclusive key that a body waits for is its own."""

    path: str
    key: str


class Answer(Signal, frozen=True, kw_only=True):
    """Somebody outside answers a question.

    Attributes:
        path: the visit that asks.
        key: names the question within it.
        value: the answer.
        by: who gives it.
        shown: digest of the question that this person saw; empty if that is not known.
        at: when it was recorded, in seconds since the epoch; None is now.
    """

    path: str
    key: str
    value: Value
    by: str = ""
    shown: str = ""
    at: float | None = None


class Decide(Signal, frozen=True, kw_only=True):
    """Somebody decides at a barrier, or before it is reached.

    Attributes:
        barrier: address of its visit (``review`` and ``review#1`` are the first); of a standing decision, of the
            node, without visits and items.
        judgement: what is decided.
        by: who decides.
        shown: digest of what this person saw; empty if that is not known.
        at: when it was recorded, in seconds since the epoch; None is now.
        standing: it holds for all visits of the barrier from now on.
    """

    barrier: str
    judgement: Judgement
    by: str = ""
    shown: str = ""
    at: float | None = None
    standing: bool = False


class Checkpoint(Signal, frozen=True, kw_only=True):
    """Name the position that the run has now; `path` is the visit whose body does."""

    name: str
    path: str = ""
    by: str = ""


class Send(Signal, frozen=True, kw_only=True):
    """A message for whichever body receives it by this name."""

    name: str
    value: Value
    by: str = ""


class Pause(Signal, frozen=True, kw_only=True):
    """Start nothing new; with `stop_attempts`, also stop attempts that can be made again without harm."""

    by: str = ""
    stop_attempts: bool = False


class Execute(Signal, frozen=True, kw_only=True):
    """Execute one step of a paused run, which stays paused: enter a visit that is ready, or open it (groups)."""

    path: str
    by: str = ""


class Resume(Signal, frozen=True, kw_only=True):
    """Go on after a pause."""

    by: str = ""


class Cancel(Signal, frozen=True, kw_only=True):
    """End the run: stop what is under way, start nothing new."""

    reason: str = "cancelled"
    by: str = ""


class Rollback(Signal, frozen=True, kw_only=True):
    """Undo what the run did. One that has not ended is cancelled first."""

    by: str = ""
    reason: str = "rolled back"


class Redefine(Signal, frozen=True, kw_only=True):
    """Go on with another definition, see `events.DefinitionChanged`; before `TakeOver`, if that comes, too.

    Attributes:
        graph: its hash.
        definition: digest of the blob that holds it.
        spec: the definition.
        by: who changes it.
        forced: whether what has run was changed, too, was not asked.
    """

    graph: str
    definition: str
    spec: GraphSpec
    by: str = ""
    forced: bool = False


class RetryRun(Signal, frozen=True, kw_only=True):
    """Take an ended run up again, keeping what was completed."""

    by: str = ""


AnySignal = (
    Admit
    | Tick
    | SlotsFreed
    | TakeOver
    | Fork
    | MapExpanded
    | Gathered
    | AttemptSucceeded
    | AttemptFailed
    | ProbedAbsent
    | HeartbeatMissed
    | AttemptStopped
    | AttemptIdle
    | StepBegun
    | StepEnded
    | OpenWait
    | KeyTaken
    | Answer
    | Decide
    | Checkpoint
    | Send
    | Pause
    | Execute
    | Resume
    | Cancel
    | Redefine
    | RetryRun
    | Rollback
)
