"""The graph of a plan, whose bodies count what they really do, and what of it is on disk."""

from typing import Any

from crash_bodies import LIMIT_S, number_of
from crash_plans import Plan, Sketch
from crash_routes import StatePlan, Walk
from crash_states import INPUTS, States
from crash_undos import WORLD, Undos

from clew import Graph, Recorded, Retry, StateGraph, fixed
from clew.kernel import events as e

#: Events that say what became of an attempt.
FATES = (
    e.NodeCompleted, e.NodeFailed, e.NodeCancelled, e.NodeSkipped, e.AttemptInterrupted, e.RetryScheduled,
    e.DoubtCleared,
)  # fmt: skip
#: Those after which the visit is over, until the run is retried.
SETTLING = (e.NodeCompleted, e.NodeFailed, e.NodeCancelled, e.NodeSkipped)


class World(Undos):
    """The graph of a plan, what its bodies did, and the history of its run as far as it has been read."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.undo)
        WORLD["now"] = self
        self.plan = plan
        self.events: list[Recorded] = []
        #: What the engine told whoever started the run, for people who look into a failure.
        self.troubles: list[str] = []
        self.has_acted, self.has_made = self._has_acted, self._has_made
        self.states = States(self, self.options)
        self.inputs: dict[str, Any] = {}
        self.graph: Graph | StateGraph = self._built(plan)
        self.neighbour = Graph("neighbour", max_interruptions=10_000)
        self.neighbour.map(self.body("locked", 1), over=[1, 2], reads=[], id="near", exclusive="key")

    # ------------------------------------------------------------------ the graph

    def _built(self, plan: Plan) -> Graph | StateGraph:
        if isinstance(plan, StatePlan) and plan.walk.stops:
            self.inputs = INPUTS
            more = {"concurrency": plan.concurrency, "rollback": self.rolls_back}
            return self.states.graph(plan.walk, "world", **more)
        limits = {"max_concurrency": plan.concurrency, "max_interruptions": 10_000}
        g = Graph("world", on_error=plan.on_error, rollback=self.rolls_back, **limits)
        for number, sketch in enumerate(plan.nodes):
            self._add(g, number, sketch)
        return g

    def _add(self, g: Graph, number: int, sketch: Sketch) -> None:
        name, turns = f"n{number}", sketch.turns
        reads = [g[f"n{read}"] for read in sketch.reads]
        more = {"on_error": sketch.on_error} if sketch.on_error else {}
        given = {"reads": reads, "id": name, **more}
        item, how = self.body(sketch.body, turns), {**self.options(sketch.body), **self.undone(name)}
        whole = {**more, **self.undone_whole(name)}
        match sketch.kind:
            case "map":
                g.map(item, over=[0, 1, 2, 3], on_item_error="collect", **given, **how)
            case "map_one_by_one":
                g.map(item, over=[0, 1, 2], max_concurrency=1, on_item_error="collect", **given, **how)
            case "named_map":
                over = [{"name": "a"}, {"name": "b"}]
                g.map(item, over=over, key="name", on_item_error="collect", **given, **how)
            case "locked_map":
                g.map(self.body("locked", turns), over=[1, 2, 3], exclusive="key", **given, **self.undone(name))
            case "picky":
                over = [0, 1, 2, 3]
                g.map(self.body("picky", turns), over=over, on_item_error="collect", **given, **self.undone(name))
            case "fail_fast":
                g.map(self.body("picky", turns), over=[0, 1, 2, 3], **given, **self.undone(name))
            case "flow":
                how = {**self.options(sketch.body), **self.undone(f"{name}a")}
                first = g.map(item, over=[1, 2, 3], reads=reads, id=f"{name}a", on_item_error="collect", **how)
                g.map(self.body("steps", 3 - turns), over=first, **{**given, "reads": []}, **self.undone(name))
            case "sub":
                g.add(self._inner(name, sketch), x=reads, id=name, **whole)
            case "subs":
                g.map(self._inner(name, sketch), over={"x": [[1], [2]]}, id=name, depends_on=reads, **whole)
            case "walk":
                walk = self.states.graph(self._walk(number), name, above=name)
                g.add(walk, id=name, depends_on=reads, **INPUTS, **whole)
            case "walks":
                walk = self.states.graph(self._walk(number), name, above=name)
                g.map(walk, over={"total": [0, 1]}, id=name, depends_on=reads, picks=[1], **whole)
            case kind:
                g.add(self.body(kind, turns), 1, **given, **self.options(kind), **self.undone(name))

    @property
    def rolls_back(self) -> bool:
        """Whether a run that fails is rolled back by itself."""
        return self.undo is not None and self.undo.automatic

    def _walk(self, number: int) -> Walk:
        assert isinstance(self.plan, StatePlan)
        return dict(self.plan.walks)[number]

    def told(self, path: str) -> Any:
        """What a visit gives whose output others tell."""
        changes = self.states.told(path)
        return number_of(path) if changes is None else changes

    def _inner(self, name: str, sketch: Sketch) -> Graph:
        inner = Graph(f"inner-{name}", on_error="skip_downstream", max_interruptions=10_000)
        x = inner.input("x", list[Any])
        how = [self.undone(f"{name}/{node}") for node in ("first", "items", "second")]
        body, more = self.body(sketch.body, sketch.turns), {**self.options(sketch.body), **how[0]}
        first = inner.add(body, 1, reads=x, id="first", **more)
        items = inner.map(self.body("steps", sketch.turns), over=[5, 6], reads=[first], id="items", **how[1])
        inner.returns(inner.add(self.body("plain", sketch.turns), 2, reads=[items], id="second", **how[2]))
        return inner

    def options(self, kind: str) -> dict[str, Any]:
        """The policies that a body of some kind needs."""
        match kind:
            case "probed":
                return {"probe": self.probe}
            case "asked" | "failing":
                return {"on_interrupt": "ask" if kind == "asked" else "fail"}
            case "slow":
                return {"retry": Retry(max_attempts=4, backoff=fixed(1)), "timeout": LIMIT_S}
            case "locked":
                return {"exclusive": "key"}
            case "flaky":
                return {"retry": Retry(max_attempts=4, backoff=fixed(1.5))}
            case _:
                return {}

    # ------------------------------------------------------------------ the truth

    def _has_acted(self, path: str) -> bool:
        """Whether an attempt that was lost had its effect, and nobody has settled what that means."""
        settled = max((r.event.attempt for r in self.of(path) if isinstance(r.event, _ENDED)), default=0)
        return any(attempt > settled for attempt in self.ledger.acts.get(path, ()))

    def _has_made(self, path: str, key: str) -> bool:
        ended = [r.event for r in self.of(path) if isinstance(r.event, e.StepCompleted) and r.event.key == key]
        last = max((event.attempt for event in ended), default=0)
        return any(attempt > last for attempt in self.ledger.steps.get((path, key), ()))

    def of(self, path: str) -> list[Recorded]:
        """The events of a visit."""
        return [recorded for recorded in self.events if getattr(recorded.event, "path", None) == path]


_ENDED = (e.NodeCompleted, e.NodeFailed, e.NodeCancelled)
