"""A graph as data: what is journaled with each run, hashed, drawn and compiled.

The kernel reads ids, dependencies and policies. What a body is stays opaque (`kind` and `body`): the layers
above turn it into work. Everything here is plain data without defaults that depend on a machine.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from clew.kernel.values import NOTHING, Binding


class ErrorPolicy(StrEnum):
    """What a node's final failure means for the rest of its graph."""

    STOP_GRAPH = "stop_graph"
    SKIP_DOWNSTREAM = "skip_downstream"
    CONTINUE = "continue"


class ItemPolicy(StrEnum):
    """What an item's final failure means for its map."""

    FAIL_FAST = "fail_fast"
    COLLECT = "collect"


class OnInterrupt(StrEnum):
    """What happens to an attempt that was under way when its process died.

    It is made again, or a probe finds out whether it took effect, or a person says so, or its node fails.
    """

    RETRY = "retry"
    PROBE = "probe"
    ASK = "ask"
    FAIL = "fail"


class Backoff(StrEnum):
    """How the delay between attempts grows."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a failed attempt is tried again.

    Attributes:
        max_attempts: attempts in all, the first included; interrupted ones are not counted.
        backoff: how the delay grows from one attempt to the next.
        delay_s: the first delay, in seconds.
        factor: growth of an exponential backoff.
        max_delay_s: cap of the delay before jitter, in seconds.
        jitter: share of the delay that is spread, 0 to 1; the spread is derived from the run's id, so that a
            replay finds the same moment.
        on: names of error classes that are retried (bases count); empty means every error.
        not_on: names of error classes that are never retried.
    """

    max_attempts: int = 1
    backoff: Backoff = Backoff.EXPONENTIAL
    delay_s: float = 1.0
    factor: float = 2.0
    max_delay_s: float = 300.0
    jitter: float = 0.1
    on: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()


class MapSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One visit of the body per item of a list.

    Attributes:
        over: the list.
        key: a field of the item, or ``module:qualname`` of a function of it, that names the item; the index
            otherwise.
        on_item_error: stop at the first failed item, or keep the successes.
        max_concurrency: how many items may run at once, besides the run's own limit.
    """

    over: Binding
    key: str | None = None
    on_item_error: ItemPolicy = ItemPolicy.FAIL_FAST
    max_concurrency: int | None = None


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node of a graph.

    Attributes:
        id: unique in its graph.
        kind: what performs it (``function``, ``shell``, ``http``, ``graph``, ...).
        body: the body's own description, opaque here; JSON text.
        graph: the definition of a sub-graph (`kind` is then ``graph``).
        inputs: where each parameter comes from.
        after: nodes that must be settled first although no data comes from them.
        map: run once per item of a list.
        retry: when a failed attempt is tried again.
        timeout_s: limit of one attempt, in seconds.
        total_timeout_s: limit of the whole visit with its retries, in seconds; the time it waits (sleeps,
            questions) is not counted.
        on_error: overrides the graph's policy for failures of this node.
        heartbeat_s: longest silence of a running attempt, in seconds; one that is silent for longer is stopped
            and has failed.
        on_interrupt: what becomes of an attempt that was under way when its process died.
        probe: the function that tells whether a lost attempt took effect, described like a body; empty without.
        exclusive: text of a key; of all attempts on one journal that hold the same one, one runs at a time.
        uses: how many units of each named resource an attempt holds.
        priority: higher ones start first when slots are short.
    """

    id: str
    kind: str
    body: msgspec.Raw = msgspec.Raw(b"{}")
    graph: GraphSpec | None = None
    inputs: dict[str, Binding] = {}
    after: tuple[str, ...] = ()
    map: MapSpec | None = None
    retry: Retry = Retry()
    timeout_s: float | None = None
    total_timeout_s: float | None = None
    on_error: ErrorPolicy | None = None
    heartbeat_s: float | None = None
    on_interrupt: OnInterrupt = OnInterrupt.RETRY
    probe: msgspec.Raw = NOTHING
    exclusive: Binding | None = None
    uses: dict[str, int] = {}
    priority: int = 0


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input of a graph.

    Attributes:
        name: its name.
        type: its type as people write it, for messages and previews.
        required: a run cannot be started without it.
        default: JSON text of the value used when none is given.
        description: one line for people.
    """

    name: str
    type: str = ""
    required: bool = True
    default: msgspec.Raw = msgspec.Raw(b"null")
    description: str = ""


class GraphSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole graph.

    Attributes:
        name: what people call it.
        nodes: in the order in which they were added.
        inputs: what a run is started with.
        output: what the graph returns as a sub-graph; without it, the outputs of its last nodes by id.
        on_error: what a node's failure means for the others.
        timeout_s: limit of a whole run, in seconds.
        max_concurrency: attempts that may run at once in a run (of the outermost graph).
        max_interruptions: how often one visit may be interrupted before it fails.
        description: one line for people.
    """

    name: str
    nodes: tuple[NodeSpec, ...] = ()
    inputs: tuple[InputSpec, ...] = ()
    output: Binding | None = None
    on_error: ErrorPolicy = ErrorPolicy.STOP_GRAPH
    timeout_s: float | None = None
    max_concurrency: int = 4
    max_interruptions: int = 10
    description: str = ""
