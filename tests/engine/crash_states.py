"""The state graphs of a plan: their states, the bodies of their nodes, their edges, what people say to them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict
from zlib import crc32

from crash_bodies import DEADLINE_S, SHORT_DEADLINE_S, number_of, summed
from crash_routes import TOLD, Asking, Stop, Walk
from crash_undos import Undos

from clew import (
    DELETE,
    END,
    START,
    Context,
    Graph,
    Happened,
    StateGraph,
    StateView,
    Update,
    append,
    barrier,
    branch,
    greatest,
    least,
    merge,
    replace,
    total,
)
from clew.kernel.addresses import bare

#: What a run starts with, and the items of maps of state graphs.
INPUTS: dict[str, Any] = {"picks": [1, 2], "total": 0}
#: Visits of a node by which a loop ends.
ROUNDS = 3
#: How often a limited edge may be taken.
LIMIT = 2


def counted(old: dict[str, int] | None, new: dict[str, int]) -> dict[str, int]:
    """A reducer of our own: adds up name by name."""
    old = old or {}
    return {**old, **{name: old.get(name, 0) + count for name, count in new.items()}}


def picked(old: list[int] | None, new: list[int]) -> list[int]:
    """Another one: the least three of all."""
    return sorted({*(old or []), *new})[:3]


class State(TypedDict, total=False):
    """The state of a run."""

    log: Annotated[list[str], append]
    visits: Annotated[dict[str, int], counted]
    total: Annotated[int, total]
    top: Annotated[int, greatest]
    low: Annotated[int, least]
    notes: Annotated[dict[str, int], merge]
    last: Annotated[int, replace]
    picks: Annotated[list[int], picked]
    text: str


class Part(TypedDict, total=False):
    """That of a sub-graph: some of the keys around it, and some of its own."""

    log: Annotated[list[str], append]
    visits: Annotated[dict[str, int], counted]
    total: Annotated[int, total]
    top: Annotated[int, greatest]
    notes: Annotated[dict[str, int], merge]
    picks: Annotated[list[int], picked]
    mine: int


@dataclass(frozen=True)
class Said:
    """What people say to a barrier."""

    kind: str
    reason: str = ""
    changes: tuple[tuple[str, Any], ...] = ()
    target: str = ""


@dataclass(frozen=True)
class Place:
    """A node of a state graph as it was built."""

    stop: Stop
    name: str
    #: Where it may lead to, in the order of the stops.
    targets: tuple[str, ...] = ()


def weigh(state: StateView) -> int:
    """A number made of all that is in a state."""
    return crc32(json.dumps({key: state[key] for key in sorted(state)}, sort_keys=True).encode()) % 997


def changes_of(place: Place, path: str, value: Any) -> dict[str, Any]:
    """What a visit writes."""
    number, name = summed(value), place.name
    written = {
        "total": number % 7, "top": number, "low": number, "notes": {name: number}, "last": number,
        "picks": [number % 5], "text": f"{path} {number}", "-text": DELETE,
    }  # fmt: skip
    told = place.stop.body in TOLD  # by others, who do not take keys out
    changes = {key.removeprefix("-"): written[key] for key in place.stop.writes if not (told and key == "-text")}
    return {"log": [f"{path} {number}"], "visits": {name: 1}, **changes}


class States:
    """Builds the state graphs of a plan.

    Args:
        bodies: do and count the work.
        options: the policies that a body of some kind needs.

    Attributes:
        places: nodes and branches by their address without visits and items.
    """

    def __init__(self, bodies: Undos, options: Callable[[str], dict[str, Any]]) -> None:
        self._bodies = bodies
        self._options = options
        self.places: dict[str, Place] = {}

    # ------------------------------------------------------------------ what is known of it

    def told(self, path: str) -> dict[str, Any] | None:
        """What a visit writes whose output others tell; None if it is none of a state graph."""
        place = self.places.get(bare(path))
        return None if place is None else changes_of(place, path, number_of(path))

    def asking(self, path: str) -> Asking | None:
        """The barrier at an address; None if there is none."""
        place = self.places.get(bare(path))
        return place.stop.asking if place is not None and place.stop.kind == "barrier" else None

    def said(self, path: str, changed: bool) -> Said:
        """What people say to a barrier that they come to; `changed` if they have changed the state before."""
        asking, place = self.asking(path), self.places[bare(path)]
        assert asking is not None
        number = number_of(bare(path))
        own = "total" if place.name != bare(path) else "last"
        match asking.says:
            case "modify" if not changed:
                return Said("modify", changes=((own, number),))
            case "changes":
                return Said("approve", changes=((own, number),))
            case "reject" | "reject_once" if asking.says == "reject" or _visit(path) == 1:
                return Said("reject", f"no, {number}")
            case "reroute" if place.targets:
                return Said("reroute", target=place.targets[number % len(place.targets)])
            case _:
                return Said("approve")

    # ------------------------------------------------------------------ building

    def graph(
        self,
        walk: Walk,
        name: str,
        *,
        above: str = "",
        part: bool = False,
        concurrency: int = 4,
        rollback: bool = False,
    ) -> StateGraph:
        """The state graph of a walk.

        Args:
            walk: the plan.
            name: of the graph; the names of its nodes begin with it.
            above: its address.
            part: it is a sub-graph.
            concurrency: attempts that may run at once.
            rollback: a run that fails is undone.
        """
        limits = {"max_steps": 200, "max_interruptions": 10_000, "max_concurrency": concurrency}
        graph = StateGraph(Part if part else State, name=name, rollback=rollback, **limits)
        names = [f"{name}s{number}" if above or part else f"s{number}" for number in range(len(walk.stops))]
        for number, stop in enumerate(walk.stops):
            path = f"{above}/{names[number]}" if above else names[number]
            later = (*names[number + 1 : number + 3], END)
            place = self.places[path] = Place(stop, names[number], later)
            self._node(graph, place, path)
        graph.add_edge(START, names[0])
        for number in range(len(names)):
            _edges(graph, walk.stops[number], names, number)
        return graph

    def _node(self, graph: StateGraph, place: Place, path: str) -> None:
        stop, name = place.stop, place.name
        collect = "collect" if stop.collects else "fail_fast"
        how = self._how(place)
        match stop.kind:
            case "body":
                graph.add_node(name, self._body(place), **how)
            case "barrier":
                graph.add_barrier(name, f"{name}?", **_barrier_options(stop.asking))
            case "map":
                graph.add_map(name, self._body(place), over="picks", on_item_error=collect, **how)
            case "sub":
                inner = self.graph(Walk(stop.parts), name, above=path, part=True)
                graph.add_node(name, inner, **self._bodies.undone_whole(name, tells=False))
            case "subs":
                inner = self.graph(Walk(stop.parts), name, above=path, part=True)
                how = self._bodies.undone_whole(name, tells=False)
                graph.add_map(name, inner, over="picks", item="mine", on_item_error=collect, **how)
            case "graph":
                how = self._bodies.undone_whole(name, tells=False)
                graph.add_node(name, self._dependencies(stop, name), **how)
            case "parallel":
                branches = {f"{name}{chr(97 + n)}": part for n, part in enumerate(stop.parts)}
                graph.add_parallel(
                    name,
                    {each: self._branch(part, each, f"{path}/{each}") for each, part in branches.items()},
                    on_branch_error="collect_all" if stop.collects else "fail_fast",
                    max_concurrency=1 + stop.turns,
                )

    def _branch(self, stop: Stop, name: str, path: str) -> Any:
        place = self.places[path] = Place(stop, name)
        whole = self._bodies.undone_whole(name, tells=False) if stop.kind in {"graph", "sub"} else {}
        match stop.kind:
            case "body":
                return branch(self._body(place), **self._how(place))
            case "barrier":
                return barrier(f"{name}?", **_barrier_options(stop.asking))
            case "graph":
                return branch(self._dependencies(stop, name), **whole)
            case _:
                return branch(self.graph(Walk(stop.parts), name, above=path, part=True), **whole)

    def _dependencies(self, stop: Stop, name: str) -> Graph:
        """A graph of dependencies that reads and writes the total."""
        inner = Graph(f"graph-{name}", on_error="skip_downstream", max_interruptions=10_000)
        total_ = inner.input("total", int)
        bodies = self._bodies
        how = [bodies.undone(f"{name}/{node}") for node in ("first", "items", "second")]
        body, more = bodies.body(stop.body, stop.turns), {**self._options(stop.body), **how[0]}
        first = inner.add(body, 1, reads=[total_], id="first", **more)
        items = inner.map(bodies.body("steps", stop.turns), over=[5, 6], reads=[first], id="items", **how[1])
        second = inner.add(bodies.body("plain", stop.turns), 2, reads=[items], id="second", **how[2])
        inner.returns({"total": second})
        return inner

    def _how(self, place: Place) -> dict[str, Any]:
        if place.stop.kind not in {"body", "map"}:
            return {}
        how = {**self._options(place.stop.body), **self._bodies.undone(place.name)}
        return {**how, "probe": self._probe(place)} if "probe" in how else how

    def _probe(self, place: Place) -> Any:
        async def probe(ctx: Context) -> Happened[Any] | None:
            happened = await self._bodies.probe(ctx)
            return None if happened is None else Happened(changes_of(place, ctx.path, happened.output))

        return probe

    def _body(self, place: Place) -> Any:
        stop = place.stop

        async def act(ctx: Context, state: State) -> Update:
            value = await self._bodies.attempt(ctx, stop.body, stop.turns, weigh(state))
            return self._update(place, ctx.path, value)

        async def act_on(ctx: Context, state: State, item: int) -> Update:
            value = await self._bodies.attempt(ctx, stop.body, stop.turns, weigh(state) + item)
            return self._update(place, ctx.path, value)

        return act_on if stop.kind == "map" else act

    def _update(self, place: Place, path: str, value: Any) -> Update:
        number, targets = summed(value), place.targets
        return Update(
            changes_of(place, path, value),
            goto=targets[number % len(targets)] if place.stop.way == "goto" else None,
            fallback=place.stop.way == "wants_fallback" and number % 2 == 1,
            cost=number % 3,
            effects=number % 2 == 0,
        )


def _edges(graph: StateGraph, stop: Stop, names: list[str], number: int) -> None:
    """The edges that leave a stop."""
    name = names[number]
    after = names[number + 1] if number + 1 < len(names) else END
    beyond = names[number + 1 + stop.far] if number + 1 + stop.far < len(names) else END
    back = names[max(0, number - stop.far + 1)]
    if stop.fallback:
        graph.add_fallback(name, beyond if stop.way != "limited_fallback" else after)
    match stop.way:
        case "far":
            graph.add_edge(name, beyond, when=lambda state: state["total"] % 2 == 1)
        case "expression":
            graph.add_edge(name, beyond, when="{{ state.total % 3 == 1 }}")
        case "router":
            graph.add_router(name, lambda state: weigh(state) % 3, {0: after, 1: beyond})
        case "loop":
            graph.add_edge(name, back, when=lambda state: state["visits"].get(name, 0) < ROUNDS)
        case "limited":
            graph.add_edge(name, back, when=lambda _: True, max_visits=LIMIT, on_limit="drop")
        case "limited_fallback":
            graph.add_edge(name, back, when=lambda _: True, max_visits=LIMIT, on_limit="fallback")
        case "goto":
            for target in dict.fromkeys((*names[number + 1 : number + 3], END)):
                graph.add_edge(name, target, when=lambda _: False)
    if stop.kind == "barrier" and stop.asking.says == "reject_once":
        graph.add_edge(name, back, when=lambda state: not state[f"{name}.approved"])
    graph.add_edge(name, after)


def _barrier_options(asking: Asking) -> dict[str, Any]:
    timeout = {"timely": DEADLINE_S, "late": SHORT_DEADLINE_S}.get(asking.when)
    return {"timeout": timeout, "default": asking.default}


def _visit(path: str) -> int:
    """Which visit of its node an address is."""
    number = path.rpartition("/")[2].partition("#")[2]
    return int(number.partition("[")[0]) if number else 1
