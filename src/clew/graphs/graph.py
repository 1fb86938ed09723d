"""Graphs in Python: add bodies, pass handles on, and the dependencies are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

from clew import codec
from clew.errors import InvalidInputError, UnstorableError
from clew.graphs.bodies import Description
from clew.graphs.drafts import Draft, GraphDraft, InputDraft, MapDraft
from clew.graphs.handles import Handle, bind, item
from clew.graphs.hints import told
from clew.graphs.limits import Limits
from clew.graphs.names import caller
from clew.graphs.policies import Compensation, Exclusive, Options, Probe, Retry, Undoing, Uses
from clew.graphs.writing import draft_of, fill
from clew.graphs.written import WrittenGraph
from clew.kernel.definition import ErrorPolicy, ItemPolicy, OnInterrupt
from clew.kernel.values import Binding, FromInput, FromNode

#: The default of an input that has none.
REQUIRED: Any = msgspec.UNSET

Body = Callable[..., Any] | Description
After = str | Handle | Sequence[str | Handle]


class Graph(WrittenGraph):
    """A graph of nodes; also the body of a node of another graph.

    Args:
        name: what people call it.
        description: one line for people.
        on_error: what a node's failure means for the others: ``stop_graph``, ``skip_downstream`` or
            ``continue``; a node can say otherwise.
        timeout: limit of a whole run, in seconds.
        max_concurrency: attempts that may run at once in a run.
        max_interruptions: how often one visit may be interrupted before it fails.
        rollback: a run that fails is rolled back: what was done is undone by the nodes' compensations.
        limits: what all nodes of a run may use together, by name, see `Limits`; programs and synchronous functions
            then run in processes of their own.
        best_effort: limits that a machine cannot hold to are left out there, instead of refused.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        on_error: ErrorPolicy | str = ErrorPolicy.STOP_GRAPH,
        timeout: float | None = None,
        max_concurrency: int = 4,
        max_interruptions: int = 10,
        rollback: bool = False,
        limits: Limits | Mapping[str, Any] | None = None,
        best_effort: bool = False,
    ) -> None:
        self.draft = GraphDraft(
            name=name,
            place=caller(),
            description=description,
            on_error=on_error,
            timeout=timeout,
            max_concurrency=max_concurrency,
            max_interruptions=max_interruptions,
            rollback=rollback,
            limits=limits,
            best_effort=best_effort,
        )

    # ------------------------------------------------------------------ writing

    def input(self, name: str, type: Any = Any, default: Any = REQUIRED, description: str = "") -> Handle:  # noqa: A002 -- reads as a declaration
        """Declare what a run is started with.

        Args:
            name: its name.
            type: annotation; values are checked against it before the run.
            default: its value when none is given; without one it is required.
            description: one line for people.
        """
        draft = InputDraft(name=name, place=caller(), hint=type, type=told(type), description=description)
        problem = ""
        if default is not REQUIRED:
            draft.required = False
            try:
                draft.default = codec.encode(default)
                codec.decode(draft.default, type)
            except (UnstorableError, InvalidInputError) as error:
                problem = f"the default does not fit: {error}"
        if name in self.draft.inputs:
            problem = f"it is declared twice, first at {self.draft.inputs[name].place}"
        if problem:
            self.draft.problems.append(draft.place.before(f"input {name!r}: {problem}"))
        self.draft.inputs.setdefault(name, draft)
        self.draft.changed()
        return Handle(self.draft, FromInput(name))

    def add(
        self,
        body: Body | WrittenGraph,
        /,
        *args: Any,
        id: str | None = None,  # noqa: A002 -- the word of the design
        depends_on: After = (),
        inputs: Mapping[str, Any] | None = None,
        retry: Retry | int | None = None,
        timeout: float | None = None,
        total_timeout: float | None = None,
        heartbeat: float | None = None,
        on_error: ErrorPolicy | str | None = None,
        on_interrupt: OnInterrupt | str | None = None,
        probe: Probe | None = None,
        exclusive: Exclusive | None = None,
        uses: Uses | None = None,
        priority: int | None = None,
        compensate: Undoing | Compensation | None = None,
        irreversible: bool | None = None,
        expected: float | None = None,
        **more_inputs: Any,
    ) -> Handle:
        """Add a node.

        Args:
            body: a function, what `shell` or `http` describes, or a graph.
            *args: its inputs by position: handles, constants, or lists and mappings of them.
            id: unique in the graph; the body's name if not given (``fetch``, then ``fetch_2``).
            depends_on: nodes that have to be settled first although no data comes from them.
            inputs: inputs whose names are also names of options here.
            retry: when a failed attempt is tried again; a number means so many attempts.
            timeout: limit of one attempt, in seconds.
            total_timeout: limit of the node with its retries, in seconds.
            heartbeat: longest silence of a running function, in seconds; it calls ``ctx.heartbeat``.
            on_error: what its failure means for the others, if not what the graph says.
            on_interrupt: what becomes of an attempt whose process died: ``retry``, ``probe``, ``ask``, ``fail``.
            probe: a function of some of the inputs that tells whether it took effect: `Happened`, or None.
            exclusive: a key; of all attempts that hold the same one, one runs at a time. Text, in which names
                of the inputs may stand, or a handle.
            uses: resources of which an attempt holds units: a name, several, or units by name.
            priority: higher ones start first when slots are short.
            compensate: how what it did is undone when the run is rolled back: a function of some of the inputs
                and of `output`, ``shell(…)`` or ``http(…)``; `undo` gives it policies.
            irreversible: it cannot be undone: before it starts, somebody has to agree.
            expected: how long it is expected to take, in seconds; for progress.
            **more_inputs: its inputs by name.

        Returns:
            The handle of its output.
        """
        options = Options(
            retry=retry, timeout=timeout, total_timeout=total_timeout, heartbeat=heartbeat, on_error=on_error,
            on_interrupt=on_interrupt, probe=probe, exclusive=exclusive, uses=uses, priority=priority,
            compensate=compensate, irreversible=irreversible, expected=expected,
        )  # fmt: skip
        draft = self._draft(body, id, options, depends_on)
        fill(draft, self.draft, args, {**(inputs or {}), **more_inputs})
        return self._place(draft)

    def map(  # noqa: D417 -- what is not described is described in `add`
        self,
        body: Body | WrittenGraph,
        /,
        *args: Any,
        over: Any,
        key: str | Callable[..., Any] | None = None,
        on_item_error: ItemPolicy | str = ItemPolicy.FAIL_FAST,
        max_concurrency: int | None = None,
        id: str | None = None,  # noqa: A002 -- the word of the design
        depends_on: After = (),
        inputs: Mapping[str, Any] | None = None,
        retry: Retry | int | None = None,
        timeout: float | None = None,
        total_timeout: float | None = None,
        heartbeat: float | None = None,
        on_error: ErrorPolicy | str | None = None,
        on_interrupt: OnInterrupt | str | None = None,
        probe: Probe | None = None,
        exclusive: Exclusive | None = None,
        uses: Uses | None = None,
        priority: int | None = None,
        compensate: Undoing | Compensation | None = None,
        irreversible: bool | None = None,
        expected: float | None = None,
        **more_inputs: Any,
    ) -> Handle:
        """Add a node that runs its body once per item of a list; its output is the list of outputs.

        The item goes to the first parameter that has no other input, unless an input holds `item` (or a part
        of it, ``item["path"]``).

        Args:
            body: as in `add`.
            *args: as in `add`; the same for every item.
            over: the list, usually a handle; ``{"parameter": list}`` says where the item goes.
            key: a field of the item, or a function of it, that names it; the index otherwise.
            on_item_error: ``fail_fast`` stops at the first item that fails, ``collect`` keeps the successes.
            max_concurrency: how many items may run at once, besides the run's own limit.
            id: as in `add`; as are all that follow (attempts, their limits and keys are those of each item).
            **more_inputs: as in `add`.

        Returns:
            The handle of the list of outputs, in the order of the items.
        """
        options = Options(
            retry=retry, timeout=timeout, total_timeout=total_timeout, heartbeat=heartbeat, on_error=on_error,
            on_interrupt=on_interrupt, probe=probe, exclusive=exclusive, uses=uses, priority=priority,
            compensate=compensate, irreversible=irreversible, expected=expected,
        )  # fmt: skip
        draft = self._draft(body, id, options, depends_on)
        named = {**(inputs or {}), **more_inputs}
        bound = self._over(draft, over, named)
        draft.map = MapDraft(over=bound, key=key, on_item_error=on_item_error, max_concurrency=max_concurrency)
        fill(draft, self.draft, args, named)
        return self._place(draft)

    def returns(self, output: Any) -> None:
        """Say what the graph returns; without it, the outputs of its last nodes by id.

        Args:
            output: a handle, or lists and mappings of handles and constants.
        """
        place = caller()

        def report(sentence: str) -> None:
            self.draft.problems.append(place.before(f"returns: {sentence}"))

        self.draft.output = bind(output, self.draft, report)
        self.draft.output_place = place
        self.draft.changed()

    def _draft(self, body: Any, id_: str | None, options: Options, depends_on: After) -> Draft:
        inner = body.draft if isinstance(body, WrittenGraph) else body
        draft = draft_of(inner, id_, options, caller(), self.draft)
        draft.after = self._after(draft, depends_on)
        return draft

    def _after(self, draft: Draft, depends_on: After) -> tuple[str, ...]:
        several = [depends_on] if isinstance(depends_on, str | Handle) else depends_on
        names = [_node_named(one, draft, self.draft) for one in several]
        return tuple(name for name in names if name is not None)

    def _over(self, draft: Draft, over: Any, named: dict[str, Any]) -> Binding:
        """The list of a map; the parameter that it names is given the item."""
        if isinstance(over, dict) and len(cast("dict[str, Any]", over)) == 1:
            ((parameter, over),) = cast("dict[str, Any]", over).items()
            if parameter in named:
                draft.report(f"parameter {parameter!r}", "is given the item by `over` and another input besides")
            named[parameter] = item
        return bind(over, self.draft, lambda sentence: draft.report("over", sentence))

    def _place(self, draft: Draft) -> Handle:
        self.draft.place_node(draft)
        return Handle(self.draft, FromNode(draft.id))

    # ------------------------------------------------------------------ reading

    def __getitem__(self, node_id: str) -> Handle:
        if node_id not in self.draft.index:
            raise KeyError(node_id)
        return Handle(self.draft, FromNode(node_id))

    def __repr__(self) -> str:
        return f"<graph {self.name}: {len(self.draft.nodes)} nodes>"


def _node_named(one: str | Handle, draft: Draft, graph: GraphDraft) -> str | None:
    """The id that an entry of `depends_on` means; None if it means no node of this graph (which is told)."""
    if isinstance(one, str):
        return one
    told = len(draft.problems)
    bind(one, graph, lambda sentence: draft.report("depends_on", sentence))
    if len(draft.problems) > told:
        return None
    if one.id is None:
        draft.report("depends_on", f"{one!r} is no node")
    return one.id
