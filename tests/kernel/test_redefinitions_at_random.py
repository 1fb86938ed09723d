"""Random state graphs that are changed at random moments: all ways to a state agree, whatever happens (SG9)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from play import BOOM, Play, value
from trip import END, START, barrier, decided, each, edge, fallback, key, parallel, part, routed, step
from trip_rules import TripRules, raw

from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.definition import EdgeSpec, GraphSpec, NodeSpec, OnInterrupt, Retry
from clew.kernel.errors import DefinitionError
from clew.kernel.questions import DECISION, IN_DOUBT
from clew.kernel.states import RUN_ENDED, UNDER_WAY, NodeState, RunState
from clew.kernel.topology import compile_graph
from clew.kernel.values import FromState
from clew.kernel.visits import is_gathering
from clew.kernel.writes import Judgement, Update

IDS = "abc"
KEYS = ("n", "log", "m")
BARRIERS = decided(*IDS)
SEED = st.integers(0, 2**16)


@st.composite
def _node(draw: st.DrawFn, id: str, depth: int) -> NodeSpec:
    forms = ["step", "step", "barrier", *(["sub", "parallel", "map", "maps", "dag"] * (depth < 1))]
    match draw(st.sampled_from(forms)):
        case "step":
            return step(
                id,
                priority=draw(st.integers(0, 1)),
                timeout_s=draw(st.sampled_from([None, None, 5.0])),
                total_timeout_s=draw(st.sampled_from([None, None, 9.0])),
                retry=draw(st.sampled_from([Retry(), Retry(max_attempts=2, delay_s=1.0, jitter=0.0)])),
                on_interrupt=draw(st.sampled_from([*[OnInterrupt.RETRY] * 3, OnInterrupt.ASK, OnInterrupt.FAIL])),
                max_visits=draw(st.sampled_from([None, None, 2])),
            )
        case "barrier":
            return barrier(id, text=draw(st.sampled_from("xy")), timeout_s=draw(st.sampled_from([None, 50.0])))
        case "sub":
            inputs = {"n": FromState("n")} if draw(st.booleans()) else {}
            return part(id, draw(_graphs(depth + 1)), inputs=inputs)
        case "parallel":
            branches = [draw(_node(each_, depth + 1)) for each_ in "xyz"[: draw(st.integers(1, 3))]]
            return parallel(id, *branches, collect=draw(st.booleans()), at_once=draw(st.sampled_from([1, 100])))
        case "map":
            return each(id, FromState("log"), collect=draw(st.booleans()), priority=draw(st.integers(0, 1)))
        case "maps":
            return each(id, FromState("log"), draw(_graphs(depth + 1)), collect=draw(st.booleans()))
        case _:
            first = NodeSpec(id="x", kind="function", priority=draw(st.integers(0, 1)))
            second = NodeSpec(id="y", kind="function", after=("x",) if draw(st.booleans()) else ())
            return part(id, GraphSpec(name="dag", nodes=(first, second)))


@st.composite
def _graphs(draw: st.DrawFn, depth: int = 0) -> GraphSpec:
    """A state graph of some of three nodes; edges lead anywhere."""
    some = st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True)
    ids = list(draw(st.permutations(IDS) if draw(st.integers(0, 3)) else some))
    nodes = [draw(_node(id, depth)) for id in ids]
    targets = st.sampled_from([*ids, *ids, END])
    edges: list[EdgeSpec] = []
    for source in (START, *ids):
        if draw(st.booleans()):
            limit = draw(st.sampled_from([None, 1]))
            edges.append(edge(source, draw(targets), ["below", "n", draw(st.integers(0, 4))], max_visits=limit))
        edges.append(edge(source, draw(targets)))
        if source and draw(st.booleans()):
            edges.append(fallback(source, draw(targets)))
    reducers = st.sampled_from(["error", "replace", "append"])
    keys = [
        key(name, "sum" if name == "n" else draw(reducers), **({"default": [name]} if draw(st.booleans()) else {}))
        if name != "n"
        else key("n", draw(st.sampled_from(["sum", "max", "custom:shift"])), default=draw(st.integers(0, 1)))
        for name in draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
    ]
    return routed(
        *nodes,
        keys=(*keys, *BARRIERS, *decided(*"xyz")),
        edges=tuple(draw(st.permutations(edges))),
        name="play",
        limits={"max_steps": draw(st.sampled_from([4, 20]))},
        timeout_s=draw(st.sampled_from([None, 100.0])),
        max_concurrency=100,
    )


class Stage(Play):
    """A run that is driven at random, and changed."""

    def __init__(self, spec: GraphSpec) -> None:
        options: dict[str, Any] = {"routes": spec.routes, "timeout_s": spec.timeout_s}
        super().__init__(*spec.nodes, rules=TripRules(), **options)

    def act(self, draw: Any) -> None:
        """Something happens that can happen now."""
        run = self.run
        acts = [self.time, self.change, self.change, self.die]
        if run.state in RUN_ENDED:
            acts = [self.change, self.retry]
        else:
            acts += [self.pause] if run.state is not RunState.PAUSED else [self.resume]
            acts += [self.work] * 5 * bool(self.at_work()) + [self.tell] * 4
        draw(st.sampled_from(acts))(draw)

    def at_work(self) -> list[Any]:
        visits = self.run.visits.values()
        return [visit for visit in visits if visit.state in UNDER_WAY and not visit.is_group]

    def work(self, draw: Any) -> None:
        visit = draw(st.sampled_from(sorted(self.at_work(), key=lambda visit: visit.path)))
        how = draw(st.sampled_from(["write", "write", "write", "fail", "sleep"]))
        if how == "fail":
            self.fail(visit.path, BOOM)
        elif how == "sleep" and visit.state is NodeState.RUNNING and not visit.probing:
            self.sleep(visit.path, draw(st.sampled_from([None, self.now + 3.0])), f"nap {self.run.seq}")
        else:
            names = draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True))
            changes = {name: raw(1 if name == "n" else ["x"]) for name in names}
            update = Update(changes=changes, fallback=draw(st.sampled_from([False, False, True])))
            self.hand(
                s.AttemptSucceeded(path=visit.path, attempt=visit.attempt, output=value(None), update=update)
            )

    def tell(self, draw: Any) -> None:
        """What was read is there, and people answer."""
        for visit in list(self.run.visits.values()):
            if visit.path in self.run.gathering and is_gathering(visit):
                self.hand(s.Gathered(path=visit.path, json=raw({"n": 1} if draw(st.booleans()) else {})))
                return
            for wait_key, wait in (visit.waits or {}).items():
                if wait.outcome or wait.kind != "answer" or not visit.open_wait(wait_key):
                    continue
                if wait_key == DECISION:
                    kind = draw(st.sampled_from(["approve", "reject"]))
                    self.hand(s.Decide(barrier=visit.path, judgement=Judgement(kind=kind)))
                else:
                    self.answer(visit.path, wait_key, "retry" if wait_key == IN_DOUBT else "yes")
                return
        for command in self.machine.outstanding():
            if isinstance(command, c.ExpandMap):
                self.expand(command.path, draw(st.integers(0, 3)))
                return

    def time(self, _: Any) -> None:
        self.at(self.now + 4.0)

    def pause(self, draw: Any) -> None:
        self.hand(s.Pause(stop_attempts=draw(st.booleans())))

    def resume(self, _: Any) -> None:
        self.hand(s.Resume())

    def retry(self, _: Any) -> None:
        self.hand(s.RetryRun())

    def die(self, _: Any) -> None:
        self.take_over()

    def change(self, draw: Any) -> None:
        """The definition is another one; what is at work was lost with its process."""
        spec = draw(_graphs())
        if draw(st.booleans()):  # one that differs in parts only
            known = {node.id: node for node in self.run.topology.spec.nodes}
            kept = draw(st.sets(st.sampled_from(IDS)))
            nodes = (known[node.id] if node.id in known and node.id in kept else node for node in spec.nodes)
            spec = msgspec.structs.replace(spec, nodes=tuple(nodes))
        try:
            compile_graph(spec)
        except DefinitionError:
            return
        signals: list[s.AnySignal] = [
            s.Redefine(graph=f"h{self.run.seq}", definition=f"d{self.run.seq}", spec=spec, forced=True)
        ]
        if self.at_work():
            signals.append(s.TakeOver(epoch=self.run.epoch + 1, owner="another"))
        visits = set(self.run.visits)
        self.hand(*signals)
        event(self.decision.refusals.get(0, "taken")[:60].partition(" has begun")[0])
        assert visits <= set(self.run.visits)


def _play(data: st.DataObject, acts: int) -> None:
    spec = data.draw(_graphs())
    try:
        compile_graph(spec)
    except DefinitionError:
        return
    stage = Stage(spec)
    for _ in range(acts):
        stage.act(data.draw)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.slow
def test_runs_change_at_any_moment(data: st.DataObject) -> None:
    _play(data, 25)
