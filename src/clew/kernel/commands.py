"""What the driver is to do. Never stored: a restored machine derives again what is outstanding.

A command is performed only after the events decided with it are durable. Its outcome comes back as a
signal with the same address.
"""

from __future__ import annotations

import msgspec

from clew.kernel.definition import MapSpec
from clew.kernel.values import Binding, ErrorInfo, Undo, Value


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step left behind: `value` or `error`, and the digest of its arguments.

    One that has neither began and was lost: whether it took effect is not known. `undo` is how it is undone.
    """

    digest: str
    value: Value | None = None
    error: ErrorInfo | None = None
    effect: bool = False
    undo: Undo | None = None

    @property
    def is_open(self) -> bool:
        """Whether it began and did not end."""
        return self.value is None and self.error is None


class Wait(msgspec.Struct, frozen=True, omit_defaults=True):
    """A wait of a visit; `outcome` is empty while it is open. See `events.WaitOpened`.

    Attributes:
        since: when it was opened, in seconds since the epoch.
        opened: sequence number of the event that opened it.
        message: `values.Message.number` of what was received.
    """

    kind: str
    due: float | None = None
    question: Value | None = None
    outcome: str = ""
    value: Value | None = None
    name: str = ""
    digest: str = ""
    default: Value | None = None
    by: str = ""
    since: float = 0.0
    opened: int = 0
    message: int = 0


class StartAttempt(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Run a body. Serialisable: the attempt can be made by another process.

    Attributes:
        run: the run's id.
        path: the visit.
        attempt: which try; signals about it carry the same number.
        kind: what performs it.
        body: the body's own description, JSON text.
        inputs: a value, or the recipe of one, per parameter; no leaf names a node any more.
        timeout_s: the attempt's limit in seconds, for bodies that must be run where they can be killed.
        heartbeat_s: the longest silence that is allowed, in seconds.
        exclusive: text of the key to hold while the body runs.
        probe: `body` is the node's probe: it tells whether the lost attempt took effect.
        uses: the resources whose units it holds.
        steps: what earlier entries of the body recorded, by key.
        waits: likewise for sleeps and questions.
        updates: the body returns changes of a state (`writes.Update`).
        undo: what the node's compensation is to be given, to be kept when the body has returned; its output is
            left open in it.
        before: what is to be recorded before the body is entered, as the step `questions.BEFORE`, unless it was.
        sets: how these are told by its output, if it does not return them itself.
        failed_upstream: the errors of nodes it depends on (``on_error="continue"``), by node id.
        resumed: the attempt was suspended; if its body is still in memory, it is to be woken, not entered.
    """

    run: str
    path: str
    attempt: int
    kind: str
    body: msgspec.Raw
    inputs: dict[str, Binding]
    timeout_s: float | None = None
    heartbeat_s: float | None = None
    exclusive: Binding | None = None
    probe: bool = False
    uses: dict[str, int] = {}
    steps: dict[str, Step] = {}
    waits: dict[str, Wait] = {}
    updates: bool = False
    sets: dict[str, Binding] = {}
    undo: dict[str, Binding] | None = None
    before: dict[str, Binding] | None = None
    failed_upstream: dict[str, ErrorInfo] = {}
    resumed: bool = False


class StopAttempt(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Stop a body; when it has stopped, say so with `signals.AttemptStopped`."""

    path: str
    attempt: int
    reason: str


class ExpandMap(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Find the items of a map and their keys; answer with `signals.MapExpanded`."""

    path: str
    over: Binding
    map: MapSpec


class Gather(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Read a value; answer with `signals.Gathered`.

    It is what a state graph that is a node of another graph starts with, or what a dependency graph that is a node
    of a state graph returned: an object either way.
    """

    path: str
    of: Binding


class TakeSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The tail of events has outgrown the last snapshot: store the folded state."""


Command = StartAttempt | StopAttempt | ExpandMap | Gather | TakeSnapshot
