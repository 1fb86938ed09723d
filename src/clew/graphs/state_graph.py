"""State graphs in Python: nodes that read a state and return what they change, and edges that are walked.

One token walks from `START` along the edges to `END`. Loops are legal and bounded; parallel and map nodes open
branches, which write together when all of them have ended; barriers wait for people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack, overload

from clew.graphs.checkpoints import Checkpoints
from clew.graphs.conditions import When
from clew.graphs.drafts import GraphDraft, MapDraft
from clew.graphs.limits import Limits
from clew.graphs.names import caller
from clew.graphs.route_drafts import RouteDraft, barrier
from clew.graphs.route_writing import ON_BRANCH_ERROR, branches_draft, inputs_of, place_edge, place_router
from clew.graphs.state_options import Branch, NodeOptions, StateBody, add_state_node, state_draft
from clew.graphs.state_schema import graph_name, read_schema
from clew.graphs.state_writing import fill_state_node, over_of
from clew.graphs.written import WrittenGraph
from clew.kernel.definition import Default, ItemPolicy, OnLimit

_OF_MAPS = ("over", "item", "key", "on_item_error", "max_concurrency")


class StateGraph(WrittenGraph):
    """A graph whose nodes are entered one after the other, along edges, and share a state.

    Args:
        schema: the keys of the state: a TypedDict, a dataclass, a `msgspec.Struct`, a pydantic model, or a mapping
            of names to types. ``Annotated[list[str], append]`` says how writes to a key meet what is there.
        name: what people call it; the schema's name in snake case, if not given.
        description: one line for people.
        max_steps: nodes that may be entered in a run.
        max_state_bytes: JSON text that the state may have.
        checkpoints: which positions are named by themselves: ``conservative`` (all), ``minimal``, ``manual``
            (none), or `Checkpoints`.
        timeout: limit of a whole run, in seconds.
        max_concurrency: attempts that may run at once in a run.
        max_interruptions: how often one visit may be interrupted before it fails.
        rollback: a run that fails is rolled back: what was done is undone by the nodes' compensations.
        limits: what all nodes of a run may use together, by name, as for `Graph`.
        best_effort: limits that a machine cannot hold to are left out there, instead of refused.
    """

    def __init__(
        self,
        schema: type | Mapping[str, Any],
        *,
        name: str | None = None,
        description: str = "",
        max_steps: int = 50,
        max_state_bytes: int = 16_000_000,
        checkpoints: Checkpoints | str = "conservative",
        timeout: float | None = None,
        max_concurrency: int = 4,
        max_interruptions: int = 10,
        rollback: bool = False,
        limits: Limits | Mapping[str, Any] | None = None,
        best_effort: bool = False,
    ) -> None:
        keys = read_schema(schema)
        place = caller()
        self.draft = GraphDraft(
            name=name if name is not None else graph_name(keys),
            place=place,
            description=description,
            timeout=timeout,
            max_concurrency=max_concurrency,
            max_interruptions=max_interruptions,
            rollback=rollback,
            limits=limits,
            best_effort=best_effort,
            inputs=inputs_of(keys, place),
            routes=RouteDraft(
                schema=keys, max_steps=max_steps, max_state_bytes=max_state_bytes, checkpoints=checkpoints
            ),
        )

    # ------------------------------------------------------------------ nodes

    @overload
    def add_node(self, body: StateBody, /, *, id: str | None = None, **options: Unpack[NodeOptions]) -> str: ...
    @overload
    def add_node(self, body: StateBody, id: str, /, **options: Unpack[NodeOptions]) -> str: ...
    @overload
    def add_node(self, id: str, body: StateBody, /, **options: Unpack[NodeOptions]) -> str: ...
    def add_node(self, first: Any, second: Any = None, /, **options: Any) -> str:
        """Add a node: ``add_node(draft)``, ``add_node(draft, "draft")`` or ``add_node("draft", draft)``.

        A function takes the state in its parameter called `state`, or in the one annotated with the schema, or in
        its first; and the `Context`, if it likes. It returns a mapping of what it changes, an `Update`, or None.
        The texts of a shell or HTTP description may hold ``{{ state.KEY }}``. A `Graph` is given the keys that its
        inputs are named like, and returns a mapping of changes. A `StateGraph` works on the keys that both have.

        Args:
            first: the body, or the id.
            second: the other of the two; without an id, the body's name is it.
            **options: those of `Graph.add`, but for `on_error`: where to go on after a failure is said by
                `add_fallback`. Besides: `sets` says what a description writes, as
                ``sets={"page": "{{ output.stdout }}"}`` (names: `output`, `state`, in a map `item`); `max_visits`
                how often the node may be entered, and `on_limit` what happens then: ``strict`` (the run fails),
                ``fallback`` (its fallback edge is taken, or that of the node before) or ``drop`` (edges to it are
                passed over).

        Returns:
            The id.
        """
        body, id_ = (second, first) if isinstance(first, str) else (first, second)
        id_ = options.pop("id", id_)
        return add_state_node(body, id_, options, caller(), self.draft).id

    def add_parallel(
        self,
        id: str,  # noqa: A002 -- the word of the design
        branches: Sequence[StateBody | Branch] | Mapping[str, StateBody | Branch],
        *,
        on_branch_error: str = "fail_fast",
        max_concurrency: int | None = None,
        max_visits: int | None = None,
        on_limit: OnLimit | str = OnLimit.STRICT,
        total_timeout: float | None = None,
    ) -> str:
        """Add a node that runs several bodies side by side; what they write is merged when all have ended.

        All of them read the state as it was before. They write in the order in which they stand here; two that
        write to one key need a reducer.

        Args:
            id: unique in the graph.
            branches: bodies, or bodies by id; `branch` gives one of them options.
            on_branch_error: ``fail_fast`` stops the others at the first failure; ``collect_all`` keeps what the
                others write, and writes the ids of those that failed to ``NAME.failed``.
            max_concurrency: how many may be under way at once; all, if not given.
            max_visits: as in `add_node`.
            on_limit: as in `add_node`.
            total_timeout: limit of the whole node, in seconds.

        Returns:
            The id.
        """
        place = caller()
        inner = branches_draft(self.draft, id, place, on_branch_error, max_concurrency, len(branches))
        options = {"max_visits": max_visits, "on_limit": on_limit, "total_timeout": total_timeout}
        draft = state_draft(inner, id, options, place, self.draft)
        if on_branch_error not in ON_BRANCH_ERROR:
            draft.report("on_branch_error", f"is one of {', '.join(ON_BRANCH_ERROR)}, not {on_branch_error!r}")
        for name, each in _by_id(branches):
            one = each if isinstance(each, Branch) else Branch(body=each)
            added = add_state_node(one.body, name if name is not None else one.id, one.options, place, inner)
            added.branch_of = draft.id
        self.draft.place_node(draft)
        return draft.id

    def add_map(
        self,
        id: str,  # noqa: A002 -- the word of the design
        body: StateBody,
        *,
        over: Any,
        item: str | None = None,
        key: str | Callable[..., Any] | None = None,
        on_item_error: ItemPolicy | str = ItemPolicy.FAIL_FAST,
        max_concurrency: int | None = None,
        **options: Unpack[NodeOptions],
    ) -> str:
        """Add a node that runs its body once per item of a list; they write in the order of the items.

        A function takes the item in its parameter `item`, or in its first required one that is not the state
        (which then has to be called `state`, or to be annotated with the schema). Texts hold it as ``{{ item }}``.

        Args:
            id: unique in the graph.
            body: as in `add_node`.
            over: the list: a key of the state, or an expression (``{{ state.plan.sections }}``).
            item: the parameter of a function that takes the item; of a graph, its input (or key) that does.
            key: a field of the item, or a function of it, that names it; the index otherwise.
            on_item_error: ``fail_fast`` stops at the first item that fails; ``collect`` keeps what the others
                write, and writes the keys of those that failed to ``NAME.failed``.
            max_concurrency: how many items may run at once, besides the run's own limit.
            **options: as in `add_node`; attempts, their limits and keys are those of each item.

        Returns:
            The id.
        """
        draft = state_draft(body, id, options, caller(), self.draft, _OF_MAPS)
        draft.item = item
        draft.map = MapDraft(
            over=over_of(draft, over), key=key, on_item_error=on_item_error, max_concurrency=max_concurrency
        )
        fill_state_node(draft, self.draft, options.get("sets"))
        self.draft.place_node(draft)
        return draft.id

    def add_barrier(
        self,
        id: str,  # noqa: A002 -- the word of the design
        text: str = "",
        *,
        shows: str | Sequence[str] = (),
        timeout: float | None = None,
        default: Default | str = Default.REJECT,
        max_visits: int | None = None,
        on_limit: OnLimit | str = OnLimit.STRICT,
    ) -> str:
        """Add a node that waits for a person's decision; `barrier` describes one as a branch.

        It writes ``NAME.approved`` (true or false) and, if it was rejected, ``NAME.reject_reason``; these keys
        need not be declared.

        Args:
            id: unique in the graph.
            text: what people read.
            shows: keys of the state that are decided on; all of them, if not given. A decision holds for what they
                were.
            timeout: how long is waited, in seconds; for ever if not given.
            default: what counts as the decision then: ``approve``, ``reject``, or ``skip``, which goes on without
                writing either key.
            max_visits: as in `add_node`.
            on_limit: as in `add_node`.

        Returns:
            The id.
        """
        body = barrier(text, shows=shows, timeout=timeout, default=default)
        return add_state_node(body, id, {"max_visits": max_visits, "on_limit": on_limit}, caller(), self.draft).id

    # ------------------------------------------------------------------ edges

    def add_edge(
        self,
        source: str,
        target: str,
        *,
        when: When | None = None,
        max_visits: int | None = None,
        on_limit: OnLimit | str = OnLimit.STRICT,
    ) -> None:
        """Add an edge. Of those that leave a node, the first whose condition holds is taken, else the one without.

        Args:
            source: a node, or `START`.
            target: a node, or `END`.
            when: a synchronous function of the state, or one expression (``{{ state.score > 0.8 }}``).
            max_visits: how often it may be taken.
            on_limit: what happens then: ``strict`` (the run fails), ``fallback`` (the fallback edge of `source` is
                taken) or ``drop`` (it is passed over).
        """
        place_edge(self.draft, source, target, caller(), when=when, max_visits=max_visits, on_limit=on_limit)

    def add_router(self, source: str, function: When, targets: Mapping[Any, str] | Sequence[str]) -> None:
        """Let one function (or expression) of the state say which edge is taken.

        If it gives none of the values, the edges that were added after it are asked.

        Args:
            source: a node, or `START`.
            function: gives one of the values.
            targets: the node, or `END`, for each value; or a list of nodes, if it gives their ids (or `END`).
        """
        by_name = not isinstance(targets, Mapping)
        several = [targets] if isinstance(targets, str) else targets
        pairs = [(each, each) for each in several] if by_name else [*targets.items()]
        place_router(self.draft, source, function, pairs, caller(), by_name=by_name)

    def add_fallback(self, source: str, target: str) -> None:
        """Say where to go on when a node has failed for good, or asks for it, or a limit of visits is reached.

        It is also taken if no other edge can be. A node asks for it by ``Update(fallback=True)``.

        Args:
            source: a node.
            target: a node, or `END`.
        """
        place_edge(self.draft, source, target, caller(), fallback=True)

    def __repr__(self) -> str:
        assert self.draft.routes is not None
        return f"<state graph {self.name}: {len(self.draft.nodes)} nodes, {len(self.draft.routes.edges)} edges>"


def _by_id(branches: Sequence[Any] | Mapping[str, Any]) -> list[tuple[str | None, Any]]:
    if isinstance(branches, Mapping):
        return [*branches.items()]
    return [(None, each) for each in branches]
