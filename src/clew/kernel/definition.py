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


class Reducer(StrEnum):
    """How what a node writes to a key of the state meets what is there.

    It takes its place, and two parallel writers are an error (``error``) or the later branch counts (``replace``);
    lists are joined, objects are merged field by field, numbers are added, or the greatest or least is kept; or a
    function of the graph says so.
    """

    ERROR = "error"
    REPLACE = "replace"
    APPEND = "append"
    MERGE = "merge"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    CUSTOM = "custom"


class OnLimit(StrEnum):
    """What happens when a node or an edge was visited as often as it may be.

    The graph fails, or the fallback edge is taken, or the edge is passed over as if it were not there.
    """

    STRICT = "strict"
    FALLBACK = "fallback"
    DROP = "drop"


class Default(StrEnum):
    """What counts as the decision when nobody has decided in time."""

    APPROVE = "approve"
    REJECT = "reject"
    SKIP = "skip"


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


class KeySpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One key of the state of a state graph.

    Attributes:
        name: its name.
        reducer: what becomes of what nodes write to it.
        custom: the function of a custom reducer, described like a body.
        type: its type as people write it, for messages and previews.
        default: JSON text of its value at the start; without one it is not there until somebody writes it.
        required: a run cannot be started without it.
    """

    name: str
    reducer: Reducer = Reducer.ERROR
    custom: msgspec.Raw = NOTHING
    type: str = ""
    default: msgspec.Raw = NOTHING
    required: bool = False


class EdgeSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One edge of a state graph.

    Attributes:
        source: the node it leaves; empty for the start.
        target: the node it leads to; empty for the end.
        when: the condition, opaque here; JSON text. Without one the edge is taken if no condition holds.
        equals: what the condition has to give, as JSON text; without it, anything that counts as true.
        fallback: taken only if the node fails or asks for it, or by a limit.
        max_visits: how often it may be taken.
        on_limit: what happens then.
        label: the condition as people read it.
    """

    source: str
    target: str
    when: msgspec.Raw = NOTHING
    equals: msgspec.Raw = NOTHING
    fallback: bool = False
    max_visits: int | None = None
    on_limit: OnLimit = OnLimit.STRICT
    label: str = ""


class CheckpointSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which positions of a run are checkpoints by themselves; every position can be returned to in any case.

    Attributes:
        every_step: after each step.
        on_barrier: where a decision is waited for.
        on_decision: after a decision.
        on_completion: at the end.
        threshold: after a step, when the score of what was done since the last one reaches this; 0 is never.
            A millisecond scores 1, a unit of cost 1,000, side effects 10,000.
        keep: how many of the newest are listed; None is all.
        keep_s: for how long they are listed, in seconds; None is for ever.
    """

    every_step: bool = True
    on_barrier: bool = True
    on_decision: bool = True
    on_completion: bool = True
    threshold: float = 0
    keep: int | None = None
    keep_s: float | None = None


class RouteSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What makes a graph a state graph: its nodes are entered one after the other, along edges.

    Attributes:
        keys: of the state.
        edges: in the order in which their conditions are asked.
        max_steps: nodes that may be entered in one generation of a run.
        max_state_bytes: JSON text that the state may have.
        checkpoints: which positions are named.
    """

    keys: tuple[KeySpec, ...] = ()
    edges: tuple[EdgeSpec, ...] = ()
    max_steps: int = 50
    max_state_bytes: int = 16_000_000
    checkpoints: CheckpointSpec = CheckpointSpec()


class BarrierSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node of a state graph that waits for a person's decision.

    Attributes:
        text: what people read.
        shows: the keys of the state that are decided on; empty means all. A decision holds for what they were.
        timeout_s: how long is waited, in seconds; None is for ever.
        default: what counts as the decision then.
    """

    text: str = ""
    shows: tuple[str, ...] = ()
    timeout_s: float | None = None
    default: Default = Default.REJECT


class CompensationSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How what a node did is undone.

    Attributes:
        kind: what performs it, as of a node.
        body: the body's own description, opaque here; JSON text.
        inputs: where each parameter comes from: what a node's inputs may name, and what the node returned.
        retry: when a failed attempt is tried again.
        timeout_s: limit of one attempt, in seconds.
        on_interrupt: what becomes of an attempt that was under way when its process died.
        before: it puts back what was there before the node: that is recorded before the node's body is entered, as
            `inputs` say, and is all that it is given.
    """

    kind: str
    body: msgspec.Raw = msgspec.Raw(b"{}")
    inputs: dict[str, Binding] = {}
    retry: Retry = Retry(max_attempts=3)
    timeout_s: float | None = None
    on_interrupt: OnInterrupt = OnInterrupt.RETRY
    before: bool = False


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
        barrier: it waits for a decision (`kind` is then ``barrier``).
        sets: in a state graph, what is written to which key, told by the output of the body or of the sub-graph
            (the input `output`); without it, that is changes of the state.
        max_visits: how often it may be entered in a generation of a run of its state graph.
        on_limit: what happens then.
        compensation: how what it did is undone, if the run is rolled back.
        irreversible: what it does cannot be undone: somebody has to agree before it starts.
        expected_s: how long it is expected to take, in seconds; for progress.
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
    barrier: BarrierSpec | None = None
    sets: dict[str, Binding] = {}
    max_visits: int | None = None
    on_limit: OnLimit = OnLimit.STRICT
    compensation: CompensationSpec | None = None
    irreversible: bool = False
    expected_s: float | None = None


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
        routes: what makes it a state graph; None for a dependency graph.
        branches: its nodes are the branches of a parallel node of a state graph: they need nothing of each other,
            read the state of that graph and write to it together, when all of them have ended.
        rollback: a run of it that fails is rolled back; of the outermost graph.
        limits: what all attempts of a run may use together, by name; of the outermost graph. Whoever performs them
            sees to it, and the kernel only carries it.
        best_effort: limits that a machine cannot hold to are left out there.
        metadata: what its author says about it, opaque here; JSON text.
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
    routes: RouteSpec | None = None
    branches: bool = False
    rollback: bool = False
    limits: dict[str, float] = {}
    best_effort: bool = False
    metadata: msgspec.Raw = NOTHING
