"""SG7: whatever befalls a run (deaths, retries, interference, rollbacks), what is told of it fits together."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crash_lives import play
from crash_trials import story_of
from stream_laws import broken, told

from clew import Recorded
from clew.engine import stream_items as i
from clew.engine.rules import GraphRules
from clew.engine.state_changes import Delta
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import (
    CompensationSpec,
    EdgeSpec,
    GraphSpec,
    KeySpec,
    NodeSpec,
    Reducer,
    Retry,
    RouteSpec,
)
from clew.kernel.machine import Machine
from clew.kernel.topology import Topology, compile_graph
from clew.kernel.values import ErrorInfo, FromState, Value
from clew.kernel.writes import Update

#: Seeds of the quick search, and how many there are in each test of the long one.
QUICK, BLOCK, BLOCKS = 6, 500, 2


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "clew")


def wrong_stories(first: int, count: int, *, states: bool) -> list[str]:
    """The seeds whose stories are told wrongly, and what is wrong with them."""
    found: list[str] = []
    for seed in range(first, first + count):
        plan, schedule = story_of(seed, "states" if states else "")
        with tempfile.TemporaryDirectory() as folder:
            world, outcome = play(plan, schedule, Path(folder))
        if wrong := broken("r", compile_graph(world.graph.spec()), outcome.events):
            found.append(f"seed {seed}{' of states' if states else ''}: {wrong}")
    return found


@pytest.mark.parametrize("states", [False, True])
def test_some_stories_are_told_as_they_were(states: bool) -> None:
    assert not (found := wrong_stories(0, QUICK, states=states)), "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("states", [False, True])
def test_a_thousand_stories_are_told_as_they_were(states: bool, block: int) -> None:
    found = wrong_stories(QUICK + block * BLOCK, BLOCK, states=states)
    assert not found, "\n".join(found)


# Rollbacks --------------------------------------------------------------------------------------------------


class Stage:
    """A machine that is driven by hand, and the events that it has decided."""

    def __init__(self, spec: GraphSpec) -> None:
        self.topology: Topology = compile_graph(spec)
        self.machine = Machine(self.topology, rules=GraphRules({}, str))
        self.events: list[Recorded] = []
        self.now = 100.0
        self.hand(s.Admit(run="r", graph="hash", definition="digest"))

    def hand(self, signal: s.AnySignal) -> None:
        self.now += 1
        for event in self.machine.handle([signal], self.now).events:
            self.events.append(Recorded(len(self.events) + 1, event))

    def succeed(self, path: str, **update: Any) -> None:
        attempt, output = self.machine.run.visits[path].attempt, Value(json=msgspec.Raw(b"1"))
        returned = Update(**update) if update else None
        self.hand(s.AttemptSucceeded(path=path, attempt=attempt, output=output, update=returned))

    def fail(self, path: str) -> None:
        attempt = self.machine.run.visits[path].attempt
        error = ErrorInfo(type="ValueError", message="boom", classes=("ValueError", "Exception"))
        self.hand(s.AttemptFailed(path=path, attempt=attempt, error=error))

    def told(self) -> list[Any]:
        """Everything that is told; it has to fit together."""
        assert not (wrong := broken("r", self.topology, self.events)), wrong
        return [item for _, items in told("r", self.topology, self.events) for item in items]


def shop(**options: Any) -> GraphSpec:
    undo = CompensationSpec(kind="function", retry=Retry(max_attempts=1))
    return GraphSpec(
        name="shop",
        nodes=(
            NodeSpec(id="pay", kind="function", compensation=undo),
            NodeSpec(id="pack", kind="function", after=("pay",), compensation=undo),
            NodeSpec(id="ship", kind="function", after=("pack",)),
        ),
        **options,
    )


def test_a_rollback_is_told_after_the_failure() -> None:
    stage = Stage(shop(rollback=True))
    stage.succeed("pay")
    stage.succeed("pack")
    stage.fail("ship")
    stage.succeed("pack#undo")
    stage.succeed("pay#undo")
    items = stage.told()
    kinds = [type(item) for item in items]
    assert kinds.index(i.Error) < kinds.index(i.RollbackStarted) < kinds.index(i.RolledBack) == len(kinds) - 1
    undone = [(x.path, x.undoes) for x in items if isinstance(x, i.NodeStarted) and x.undoes]
    assert undone == [("pack#undo", "pack"), ("pay#undo", "pay")]
    last = items[-1]
    assert last.undone == 2
    assert [entry.path for entry in last.log] == ["pay", "pack", "ship", "pack#undo", "pay#undo"]
    assert next(x for x in items if isinstance(x, i.RollbackStarted)).why == "failed"


def test_what_remains_of_a_rollback_is_told_and_it_can_be_asked_for_again() -> None:
    stage = Stage(shop())
    stage.succeed("pay")
    stage.succeed("pack")
    stage.succeed("ship")
    stage.hand(s.Rollback(by="eva"))
    stage.succeed("pack#undo")
    stage.fail("pay#undo")
    failed = next(item for item in stage.told() if isinstance(item, i.RollbackFailed))
    assert failed.undone == 1
    assert [(each.path, each.why) for each in failed.remaining] == [("pay", "boom")]
    stage.hand(s.Rollback(by="ada"))
    stage.succeed("pay#undo")
    items = stage.told()
    begun = [(x.why, x.by) for x in items if isinstance(x, i.RollbackStarted)]
    assert begun == [("asked", "eva"), ("asked", "ada")]
    assert isinstance(items[-1], i.RolledBack)
    assert items[-1].trace_id == failed.trace_id


# What is measured -------------------------------------------------------------------------------------------


def test_what_attempts_have_used_is_told() -> None:
    stage = Stage(shop())
    at = stage.now
    stage.events.append(Recorded(len(stage.events) + 1, e.UsageRecorded(at=at, path="pay", used={"tokens": 12.0})))
    used = stage.told()[-1]
    assert isinstance(used, i.NodeUsage)
    assert (used.path, used.attempt, used.used) == ("pay", 1, {"tokens": 12.0})


# Another definition -----------------------------------------------------------------------------------------


def trip(*keys: KeySpec, label: str = "") -> GraphSpec:
    edges = (EdgeSpec(source="", target="a"), EdgeSpec(source="a", target="b"), EdgeSpec(source="b", target=""))
    nodes = tuple(NodeSpec(id=name, kind="function", inputs={"state": FromState()}) for name in "ab")
    return GraphSpec(name="trip", nodes=nodes, routes=RouteSpec(keys=keys, edges=edges), description=label)


def key(name: str, default: bytes = b"1") -> KeySpec:
    return KeySpec(name=name, reducer=Reducer.REPLACE, default=msgspec.Raw(default))


def test_what_another_definition_makes_of_the_state_is_told() -> None:
    stage = Stage(trip(key("old"), key("both")))
    stage.succeed("a", changes={"both": msgspec.Raw(b"2")})
    other = trip(key("both"), key("new", b'"x"'))
    stage.hand(s.Redefine(graph="hash 2", definition="digest 2", spec=other, by="eva"))
    stage.succeed("b", changes={"new": msgspec.Raw(b'"y"')})
    items = stage.told()
    changed = next(x for x in items if isinstance(x, i.DefinitionChanged))
    assert (changed.graph, changed.by, changed.forced) == ("hash 2", "eva", False)
    following = next(x for x in items if isinstance(x, i.StateChanged) and x.seq == changed.seq)
    assert following.changes == {"old": Delta(deleted=True), "new": Delta(value="x")}
    assert following.by == "eva"
    assert items[-1].state == {"both": 2, "new": "y"}
    assert [entry.path for entry in items[-1].log] == ["a", "b"]


def test_what_a_retry_takes_up_again_without_saying_so_is_told() -> None:
    """A branch that waits for its turn is opened again with all that is in it."""
    leaf = GraphSpec(name="leaf", nodes=(NodeSpec(id="leaf", kind="function"),))
    inner = GraphSpec(name="inner", nodes=(NodeSpec(id="part", kind="graph", graph=leaf),))
    branches = (NodeSpec(id="x", kind="graph", graph=inner), NodeSpec(id="y", kind="function"))
    both = GraphSpec(name="both", nodes=branches, branches=True, max_concurrency=1)
    edges = (EdgeSpec(source="", target="both"), EdgeSpec(source="both", target=""))
    node = NodeSpec(id="both", kind="graph", graph=both)
    stage = Stage(GraphSpec(name="trip", nodes=(node,), routes=RouteSpec(edges=edges)))
    stage.hand(s.Cancel())
    stage.hand(s.AttemptStopped(path="both/x/part/leaf", attempt=1))
    stage.hand(s.RetryRun())
    stage.succeed("both/x/part/leaf")
    stage.hand(s.Gathered(path="both/x", json=msgspec.Raw(b"{}")))
    stage.succeed("both/y", changes={})
    items = stage.told()
    again = [x.path for x in items if isinstance(x, i.NodeStarted) and x.attempt == 2]
    assert again == ["both", "both/x", "both/x/part", "both/x/part/leaf"]
    assert isinstance(items[-1], i.Complete)
