"""A stage for examples of state graphs: graphs in a few lines, and a machine that is driven by hand.

As in `play`, every decision is held against the laws; besides, `reckoning` calculates states and ways beside the
machine and compares.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from play import Play, value
from reckoning import Reckoning
from trip_rules import TripRules, raw

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.cells import plain
from clew.kernel.definition import (
    BarrierSpec,
    EdgeSpec,
    ErrorPolicy,
    GraphSpec,
    ItemPolicy,
    KeySpec,
    MapSpec,
    NodeSpec,
    Reducer,
    RouteSpec,
)
from clew.kernel.machine import Decision, Machine
from clew.kernel.values import Binding, ErrorInfo, FromItem, FromState
from clew.kernel.visits import Walk
from clew.kernel.writes import Judgement, Update

START = END = ""
NOTHING = object()


# Definitions --------------------------------------------------------------------------------------------


def key(name: str, reducer: str = "error", *, default: Any = NOTHING, **options: Any) -> KeySpec:
    """A key of a state; ``custom:NAME`` is one of `trip_rules.reduced`."""
    kind, _, custom = reducer.partition(":")
    if custom:
        options["custom"] = raw(custom)
    if default is not NOTHING:
        options["default"] = raw(default)
    return KeySpec(name=name, reducer=Reducer(kind), **options)


def step(id: str, **options: Any) -> NodeSpec:
    """A function that reads the state and returns changes of it."""
    return NodeSpec(id=id, kind="function", inputs={"state": FromState(), **options.pop("inputs", {})}, **options)


def edge(
    source: str, target: str, when: list[Any] | None = None, *, equals: Any = NOTHING, **options: Any
) -> EdgeSpec:
    if when is not None:
        options["when"] = raw(when)
    if equals is not NOTHING:
        options["equals"] = raw(equals)
    return EdgeSpec(source=source, target=target, **options)


def fallback(source: str, target: str, **options: Any) -> EdgeSpec:
    return edge(source, target, fallback=True, **options)


def line(*ids: str) -> tuple[EdgeSpec, ...]:
    """Edges from the start through these nodes to the end."""
    stops = [START, *ids, END]
    return tuple(edge(a, b) for a, b in pairwise(stops))


def barrier(id: str, **spec: Any) -> NodeSpec:
    return NodeSpec(id=id, kind="barrier", barrier=BarrierSpec(**spec))


def decided(*ids: str) -> tuple[KeySpec, ...]:
    """The keys of the state that barriers write to."""
    return tuple(key(f"{id}.{what}", "replace") for id in ids for what in ("approved", "reject_reason"))


def parallel(id: str, *branches: NodeSpec, collect: bool = False, at_once: int = 100, **options: Any) -> NodeSpec:
    policy = ErrorPolicy.CONTINUE if collect else ErrorPolicy.STOP_GRAPH
    spec = GraphSpec(name=id, nodes=branches, branches=True, on_error=policy, max_concurrency=at_once)
    return NodeSpec(id=id, kind="graph", graph=spec, **options)


def each(
    id: str,
    over: Binding,
    graph: GraphSpec | None = None,
    *,
    collect: bool = False,
    at_once: int | None = None,
    **options: Any,
) -> NodeSpec:
    """A map in a state graph: a function of each item, or a sub-graph."""
    policy = ItemPolicy.COLLECT if collect else ItemPolicy.FAIL_FAST
    spec = MapSpec(over=over, on_item_error=policy, max_concurrency=at_once)
    inputs = options.pop("inputs", {"item": FromItem()} if graph is None else {})
    kind = "function" if graph is None else "graph"
    return NodeSpec(id=id, kind=kind, graph=graph, map=spec, inputs=inputs, **options)


def part(id: str, graph: GraphSpec, **options: Any) -> NodeSpec:
    """A sub-graph as a node."""
    return NodeSpec(id=id, kind="graph", graph=graph, **options)


def routed(
    *nodes: NodeSpec,
    keys: tuple[KeySpec, ...] = (),
    edges: tuple[EdgeSpec, ...] | None = None,
    name: str = "trip",
    limits: dict[str, int] | None = None,
    **options: Any,
) -> GraphSpec:
    """A state graph; without edges, its nodes follow each other."""
    edges = line(*(each.id for each in nodes)) if edges is None else edges
    routes = RouteSpec(keys=keys, edges=edges, **(limits or {}))
    return GraphSpec(name=name, nodes=nodes, routes=routes, **options)


# The stage ----------------------------------------------------------------------------------------------


class Trip(Play):
    """A run of a state graph on the stage; or of a dependency graph with state graphs in it."""

    def __init__(
        self,
        *nodes: NodeSpec,
        keys: tuple[KeySpec, ...] = (),
        edges: tuple[EdgeSpec, ...] | None = None,
        limits: dict[str, int] | None = None,
        **options: Any,
    ) -> None:
        if edges is not None or keys:
            edges = line(*(each.id for each in nodes)) if edges is None else edges
            options["routes"] = RouteSpec(keys=keys, edges=edges, **(limits or {}))
        self.reckoning: Reckoning | None = None
        super().__init__(*nodes, rules=TripRules(), **options)

    def hand(self, *signals: s.AnySignal) -> Decision:
        self.reckoning = self.reckoning or Reckoning(self.topology.spec)
        self.reckoning.hear(*signals)
        decision = super().hand(*signals)
        self.reckoning.heed(decision.events)
        self.reckoning.compare(self.run)
        return decision

    def lose_functions(self) -> None:
        """From here on until it is taken over, the run is driven by a machine that knows no functions."""
        run = Machine.restore(self.topology, None, self.witness.events).run
        self.witness.machine = self.machine = Machine(self.topology, run, self.gate)
        self.witness.rules = None

    # ------------------------------------------------------------------ looking

    def walk(self, path: str = "") -> Walk:
        group = self.visit(path).inner if path else self.run.root
        assert isinstance(group, Walk)
        return group

    def state_of(self, path: str = "") -> dict[str, Any]:
        """The state of the state graph at an address."""
        return plain(self.walk(path).cells)

    @property
    def ways(self) -> list[tuple[str, str]]:
        """Where the tokens went by the last decision, and why."""
        return [(event.target, event.why) for event in self.events(e.Routed)]

    @property
    def error(self) -> str:
        return self.run.error.message

    @property
    def refusal(self) -> str:
        """Why the last signal was refused; empty if it was not."""
        return self.decision.refusals.get(0, "")

    # ------------------------------------------------------------------ acting

    def write(
        self,
        path: str,
        *,
        goto: str | None = None,
        delete: tuple[str, ...] = (),
        wants_fallback: bool = False,
        **changes: Any,
    ) -> Decision:
        """The body of a visit returns an update."""
        update = Update(
            changes={name.replace("__", "."): raw(new) for name, new in changes.items()},
            delete=delete,
            goto=goto,
            fallback=wants_fallback,
        )
        return self.hand(self.returned(path, update))

    def tell(self, path: str, **update: Any) -> Decision:
        """The body of a visit returns an update that changes nothing."""
        return self.hand(self.returned(path, Update(**update)))

    def returned(self, path: str, update: Update) -> s.AttemptSucceeded:
        return s.AttemptSucceeded(path=path, attempt=self.visit(path).attempt, output=value(None), update=update)

    def gathered(self, path: str, plain: Any = None, error: ErrorInfo | None = None) -> Decision:
        json = {"json": raw(plain)} if error is None else {"error": error}
        return self.hand(s.Gathered(path=path, **json))

    def decide(self, barrier: str, kind: str, *, by: str = "ann", **how: Any) -> Decision:
        """Somebody decides; `changes` are plain values."""
        shown, at = how.pop("shown", ""), how.pop("at", None)
        standing = how.pop("standing", False)
        changes = {name: raw(new) for name, new in how.pop("changes", {}).items()}
        judgement = Judgement(kind=kind, changes=changes, **how)
        return self.hand(
            s.Decide(barrier=barrier, judgement=judgement, by=by, shown=shown, at=at, standing=standing)
        )

    def retry(self) -> Trip:
        """The run, which has ended, is taken up again."""
        assert self.run.ended
        self.hand(s.RetryRun(by="me"))
        assert self.refusal == ""
        return self
