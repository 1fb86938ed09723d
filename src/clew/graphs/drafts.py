"""A graph while it is being written: what was said, where, and what was wrong with it at once.

Both forms, Python and files, fill these in; `checks` reads them, and `building` makes the definition of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clew.graphs.bodies import Description, describe_function
from clew.graphs.body_data import CheckBody, FunctionBody
from clew.graphs.captures import inputs_in
from clew.graphs.limits import Limits
from clew.graphs.names import NOWHERE, Place
from clew.graphs.plan_drafts import PlanDraft, Role
from clew.graphs.policies import NOT_GIVEN, Options
from clew.graphs.preconditions import Check
from clew.graphs.route_drafts import Barrier, RouteDraft
from clew.graphs.signatures import Parameter, Signature, is_async
from clew.graphs.state_schema import KeyDraft, written_key
from clew.kernel.definition import ErrorPolicy, GraphSpec, ItemPolicy, OnLimit
from clew.kernel.values import Binding, FromInput, Pick, references


@dataclass(slots=True, kw_only=True)
class MapDraft:
    """The map of a node: the list, and how it is gone through."""

    over: Binding
    key: str | Callable[..., Any] | None = None
    on_item_error: ItemPolicy | str = ItemPolicy.FAIL_FAST
    max_concurrency: int | None = None


@dataclass(slots=True, kw_only=True)
class UndoDraft:
    """What the compensation of a node takes and is given."""

    signature: Signature
    inputs: dict[str, Binding]


@dataclass(slots=True, kw_only=True)
class InputDraft:
    """One input of a graph as it was declared; without a default, one that is not given is not there at all."""

    name: str
    place: Place = NOWHERE
    hint: Any = Any
    type: str = ""
    required: bool = True
    default: bytes | None = b"null"
    description: str = ""


@dataclass(slots=True, kw_only=True)
class Draft:
    """One node as it was written.

    Attributes:
        id: as given, or made from the body's name.
        place: where it was added.
        body: a function, a description of a shell command or an HTTP request, a wait for a decision, or a graph;
            None if it could not be found (`problems` says why), so that nothing more is said about it.
        own_signature: what the body takes and returns; a graph's is read from the graph when it is asked for.
        options: its policies, those of `@node` included.
        inputs: where each parameter comes from.
        stored_inputs: what the definition holds, if that is not `inputs` (templates with these names in them).
        after: nodes to be settled first.
        map: run once per item.
        exclusive: text of the key that an attempt holds.
        undo: its compensation with its inputs; None without one, and of one that cannot be.
        sets: in a state graph, what is written to which key of what a description returns.
        item: in a state graph, the parameter that was named for the item of a map.
        called: what errors at run time call it; its id, if that is empty.
        branch_of: the parallel node of a state graph that it is a branch of; empty for all others.
        checks: what has to hold right before each attempt.
        role: what it is for people, if it is a sub-graph that a plan has made of a step.
        label: its condition as people read it, in that case.
        words: what fields are called in problems, where that is not how they are called here.
        max_visits: in a state graph, how often it may be entered.
        on_limit: what happens then.
        problems: what was wrong when it was written, as (field, sentence).
        places: where single fields were written, if not at `place`.
    """

    id: str
    place: Place
    body: Callable[..., Any] | Description | Barrier | GraphDraft | None
    own_signature: Signature | None = None
    options: Options = NOT_GIVEN
    inputs: dict[str, Binding] = field(default_factory=dict[str, Binding])
    stored_inputs: dict[str, Binding] | None = None
    after: tuple[str, ...] = ()
    map: MapDraft | None = None
    exclusive: Binding | None = None
    undo: UndoDraft | None = None
    sets: dict[str, Binding] = field(default_factory=dict[str, Binding])
    item: str | None = None
    called: str = ""
    branch_of: str = ""
    checks: tuple[Check, ...] = ()
    role: Role = ""
    label: str = ""
    words: dict[str, str] = field(default_factory=dict[str, str])
    max_visits: int | None = None
    on_limit: OnLimit | str = OnLimit.STRICT
    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    places: dict[str, Place] = field(default_factory=dict[str, Place])

    @property
    def signature(self) -> Signature:
        """What the body takes; what a graph returns is not told here (see `checks`)."""
        if isinstance(self.body, GraphDraft):
            return self.body.signature
        return self.own_signature or Signature(parameters={}, takes_any=True)

    @property
    def needs(self) -> frozenset[str]:
        """The nodes that it waits for, by data or by order."""
        inputs = self.inputs if self.stored_inputs is None else self.stored_inputs
        names = frozenset(self.after).union(*map(references, inputs.values()))
        names |= references(self.exclusive) if self.exclusive is not None else frozenset()
        return names | references(self.map.over) if self.map else names

    @property
    def named_inputs(self) -> dict[str, Binding]:
        """What a probe or a compensation can take: what the body is given, and the names in texts."""
        if not isinstance(self.body, Description) or self.stored_inputs is None:
            return self.inputs
        named = {name: value for name, value in self.inputs.items() if name not in self.body.own_inputs}
        return {**self.stored_inputs, **named}

    def own_keys(self) -> Iterator[KeyDraft]:
        """The keys of the state that it writes by itself: a decision, or which of its branches have failed."""
        if isinstance(self.body, Barrier):
            yield written_key(f"{self.id}.approved", bool)
            yield written_key(f"{self.id}.reject_reason", str)
        if isinstance(self.body, GraphDraft) and self.body.branches_of is not None:
            for branch in self.body.nodes:
                yield from branch.own_keys()
            if self.body.on_error == ErrorPolicy.CONTINUE:
                yield written_key(f"{self.id}.failed", list[str])
        if self.map is not None and self.map.on_item_error == ItemPolicy.COLLECT:
            yield written_key(f"{self.id}.failed", list[str])

    def report(self, about: str, sentence: str) -> None:
        """Note a problem."""
        self.problems.append((about, sentence))

    def tell(self, about: str, sentence: str) -> str:
        """A problem as it is shown: where, which node, which field, what."""
        about = self.words.get(about, about)
        subject = f"branch {self.id!r} of {self.branch_of!r}" if self.branch_of else f"node {self.id!r}"
        subject += f", {about}" if about else ""
        return self.place_of(about).before(f"{subject}: {sentence}")

    def place_of(self, about: str) -> Place:
        """Where a field was written, as exactly as is known."""
        while about and about not in self.places:
            about = about[: max(about.rfind("."), about.rfind("["), 0)]
        return self.places.get(about, self.place)

    def function_body(self, graph: str) -> FunctionBody:
        """How the node's function is found again."""
        assert callable(self.body)
        return describe_function(self.body, f"{graph}/{self.id}", is_async=self.signature.is_async)

    def probe_body(self, graph: str) -> FunctionBody:
        """How the node's probe is found again."""
        assert self.options.probe is not None
        probe = self.options.probe
        return describe_function(probe, f"{graph}/{self.id}:probe", is_async=is_async(probe))

    def check_bodies(self, graph: str) -> list[CheckBody]:
        """How what is checked before the node is stored."""
        return [each.body(f"{graph}/{self.id}:check{i}") for i, each in enumerate(self.checks)]

    def undo_body(self, graph: str) -> FunctionBody:
        """How the function that undoes the node is found again."""
        how = self.options.undoing
        assert how is not None
        assert callable(how.body)
        return describe_function(how.body, f"{graph}/{self.id}:undo", is_async=is_async(how.body))


@dataclass(slots=True, frozen=True)
class Built:
    """The definition of a graph, and the functions that its nodes refer to."""

    spec: GraphSpec
    bodies: dict[str, Callable[..., Any]]
    hash: str


@dataclass(slots=True, kw_only=True, eq=False)
class GraphDraft:
    """One graph as it was written.

    Attributes:
        nodes: in the order in which they were added; ids may be used twice until `checks` has been here.
        index: the first node of each id.
        problems: what was wrong when it was written, as it is shown.
        parents: the graphs that this one is a node of.
        rollback: a run of it that fails is rolled back.
        limits: what all its nodes may use together.
        best_effort: limits that a machine cannot hold to are left out there.
        unread: it could not be read, so that no more is said about it than what was wrong when it was read.
        routes: what makes it a state graph.
        branches_of: the state graph whose parallel node this is; its nodes are the branches.
        plan: what makes it a plan, or a part of a step of one.
        built: set by the first `Graph.spec`. It is None in all parents when it is None here, because
            building them builds this one.
    """

    name: str
    place: Place = NOWHERE
    description: str = ""
    on_error: ErrorPolicy | str = ErrorPolicy.STOP_GRAPH
    timeout: float | None = None
    max_concurrency: int = 4
    max_interruptions: int = 10
    rollback: bool = False
    limits: Limits | Mapping[str, Any] | None = None
    best_effort: bool = False
    unread: bool = False
    inputs: dict[str, InputDraft] = field(default_factory=dict[str, InputDraft])
    nodes: list[Draft] = field(default_factory=list[Draft])
    index: dict[str, Draft] = field(default_factory=dict[str, Draft])
    output: Binding | None = None
    output_place: Place = NOWHERE
    problems: list[str] = field(default_factory=list[str])
    parents: list[GraphDraft] = field(default_factory=list["GraphDraft"])
    built: Built | None = None
    routes: RouteDraft | None = None
    branches_of: GraphDraft | None = None
    plan: PlanDraft | None = None

    @property
    def has_state(self) -> bool:
        """Whether its nodes read and write the state of a state graph."""
        return self.routes is not None or self.branches_of is not None

    @property
    def schema_class(self) -> type | None:
        """The class that declares the keys of its state; None if none does."""
        routes = (self.branches_of or self).routes
        return routes.schema.declared if routes is not None else None

    @property
    def keys(self) -> dict[str, KeyDraft] | None:
        """The keys of the state that its nodes read and write, declared or not; None if there is no state."""
        if self.branches_of is not None:
            return self.branches_of.keys
        if self.routes is None:
            return None
        if self._keys is None:
            self._keys = dict(self.routes.schema.keys)
            for draft in self.nodes:
                self._add_keys_of(draft)
        return self._keys

    def _add_keys_of(self, draft: Draft) -> None:
        if self._keys is not None:
            for own in draft.own_keys():
                self._keys.setdefault(own.name, own)

    @property
    def signature(self) -> Signature:
        """What the graph takes as a node of another."""
        parameters = {i.name: Parameter(i.name, i.hint, i.required) for i in self.inputs.values()}
        return Signature(parameters=parameters, is_async=True, takes_any=self.unread)

    def place_node(self, draft: Draft) -> None:
        """Add a node."""
        self.nodes.append(draft)
        self.index.setdefault(draft.id, draft)
        self._add_keys_of(draft)
        if isinstance(draft.body, GraphDraft):
            draft.body.parents.append(self)
        self.changed()

    def changed(self) -> None:
        """Forget what was built of this graph and of those it is part of."""
        if self.built is not None:
            self.built = None
            for parent in self.parents:
                parent.changed()

    def children(self) -> Iterator[GraphDraft]:
        """The graphs that are nodes of this one."""
        return (draft.body for draft in self.nodes if isinstance(draft.body, GraphDraft))

    def reach(self, graph: object, binding: Binding) -> Binding | None:
        """What a binding of another graph is here; None if that is not a plan around this one.

        What is taken from there becomes an input.
        """
        if graph is self:
            return binding
        if self.plan is None or self.plan.captures is None:
            return None
        found = self.plan.captures.reach(graph, binding)
        for name in sorted(inputs_in(found)) if found is not None else ():
            self.inputs.setdefault(name, InputDraft(name=name, place=self.place))
        return found

    def as_around(self, binding: Binding) -> Binding:
        """What a binding is in the plan around, if it is taken from there; for messages."""
        captures = self.plan.captures if self.plan is not None else None
        if isinstance(binding, Pick):
            return Pick(self.as_around(binding.of), binding.path)
        if not isinstance(binding, FromInput) or captures is None or binding.name not in captures.taken:
            return binding
        taken = captures.taken[binding.name]
        return captures.outer.as_around(taken) if isinstance(captures.outer, GraphDraft) else taken

    def part_with(self, node_id: str) -> str:
        """The step of a plan of which a part has this node; empty if none has."""
        for draft in self.nodes:
            if (
                draft.role
                and isinstance(draft.body, GraphDraft)
                and any(node_id in part.index for part in draft.body.children())
            ):
                return draft.id
        return ""

    def free_id(self, wanted: str) -> str:
        """An id that no node has yet, here or around: ``fetch``, ``fetch_2``, ..."""
        if not self.has_around(wanted):
            return wanted
        number = self._numbers.get(wanted, 2)
        while self.has_around(f"{wanted}_{number}"):
            number += 1
        self._numbers[wanted] = number + 1
        return f"{wanted}_{number}"

    def has_around(self, node_id: str) -> bool:
        """Whether a node has this id, here or in a plan around."""
        if node_id in self.index:
            return True
        outer = self.plan.captures.outer if self.plan is not None and self.plan.captures is not None else None
        return isinstance(outer, GraphDraft) and outer.has_around(node_id)

    _numbers: dict[str, int] = field(default_factory=dict[str, int])
    _keys: dict[str, KeyDraft] | None = None
