"""Runs that are undone, with everything in them: a death at each of their moments, and a fault at each call."""

import pytest
from crash_plans import BODIES, OTHERS, Death, Meddling, Plan, Schedule, Sketch, Undo
from crash_routes import StatePlan, Stop, Walk
from crash_trials import MOMENTS, plain_run, try_each_death, try_each_fault, wrong_with
from crash_undo_laws import remaining_of

from clew.kernel import events as e

#: A graph that fails in the end, and is undone.
FAILS = Plan(
    (
        Sketch("steps", (), 1),
        Sketch("map", (0,), 1, "sleeper"),
        Sketch("sub", (0,), 1, "asked"),
        Sketch("fails", (1, 2), 1),
    ),
    undo=Undo(36, automatic=True),
)
#: A state graph with a loop, branches and a sub-graph, that ends well, and is undone since somebody asks.
WALKS = StatePlan(
    (),
    undo=Undo(56, automatic=False),
    walk=Walk(
        (
            Stop("body", "steps", 1, ("total",), "loop"),
            Stop("parallel", parts=(Stop("body", "both"), Stop("graph", "probed"))),
            Stop("map", "flaky", 1, ("notes",)),
            Stop("sub", parts=(Stop("body", "asked"), Stop("body", "sleeper"))),
        )
    ),
)
#: One node of each kind, undone in one of the ways that there are.
EVERYTHING = Plan(
    tuple(
        Sketch(kind, (number - 1,) if number % 3 else (), number % 4, BODIES[-number % len(BODIES)])
        for number, kind in enumerate((*BODIES, *OTHERS))
    ),
    "continue",
    4,
    Undo(3, automatic=False),
)
EACH = {"fails": FAILS, "walks": WALKS}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "clew")


def test_everything_is_in_them() -> None:
    for plan, ended, remains in ((FAILS, "rollback_failed", 1), (WALKS, "rollback_failed", 1)):
        world, outcome = plain_run(plan)
        assert (outcome.state, len(remaining_of(outcome))) == (ended, remains)
        began = [r.event.why for r in outcome.events if isinstance(r.event, e.RollbackStarted)]
        assert began == ["failed" if plan is FAILS else "asked"]
        made = [r.event.path for r in outcome.events if isinstance(r.event, e.NodeCompleted)]
        undone = [path for path in made if "#undo" in path]
        assert len(undone) > 10
        assert any("#undo[" in path for path in undone)  # of steps
        assert any("]#undo" in path for path in undone)  # of items
        assert sum(world.ledger.times(path) > 1 for path in undone) > 1  # which were tried again
    assert any("#2" in path for path in undone)  # of loops


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize(("of", "done"), MOMENTS)
def test_a_death_at_some_moments_of_a_rollback(name: str, of: str, done: bool) -> None:
    assert try_each_death(EACH[name], of, done=done, steps=31) > 40


@pytest.mark.parametrize("name", EACH)
def test_a_fault_at_some_calls_of_a_rollback(name: str) -> None:
    assert try_each_fault(EACH[name], 2, steps=29) > 60


def asked_meanwhile(plan: Plan, at: float, death: int) -> None:
    """Somebody wants it undone while it goes on, and the process dies so many commits after its beginning."""
    schedule = Schedule(
        seed=death,
        deaths=(Death("commit", death, death % 2 == 0), Death("command", death % 9 + 1, death % 2 == 1)),
        gaps=(20.0, 20.0),
        meddling=(Meddling("rollback", at, 0.0, ("engine", "other", "inbox")[death % 3]),),
        channels=("engine", "other", "inbox"),
    )
    assert not (wrong := wrong_with(plan, schedule)), (schedule, *wrong)


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("at", [0.0, 0.6, 2.0, 5.0])
def test_it_is_to_be_undone_while_it_goes_on(name: str, at: float) -> None:
    for death in range(2, 60, 20):
        asked_meanwhile(EACH[name], at, death)


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH)
def test_it_is_to_be_undone_whenever_while_it_goes_on(name: str) -> None:
    for at in (0.0, 0.6, 1.1, 2.0, 3.5, 5.0, 9.0):
        for death in range(1, 100, 3):
            asked_meanwhile(EACH[name], at, death)


@pytest.mark.slow
@pytest.mark.parametrize("plan", [FAILS, WALKS, EVERYTHING])
@pytest.mark.parametrize(("of", "done"), MOMENTS)
def test_a_death_at_each_moment_of_a_rollback(plan: Plan, of: str, done: bool) -> None:
    assert try_each_death(plan, of, done=done, steps=4 if plan is EVERYTHING else 1) > 40


@pytest.mark.slow
@pytest.mark.parametrize("plan", [FAILS, WALKS, EVERYTHING])
@pytest.mark.parametrize("burst", [1, 4])
def test_a_fault_at_each_call_of_a_rollback(plan: Plan, burst: int) -> None:
    assert try_each_fault(plan, burst, steps=4 if plan is EVERYTHING else 1) > 60


@pytest.mark.slow
def test_rollbacks_on_a_real_file() -> None:
    for at in range(1, 90, 4):
        deaths = (Death("commit", at, done=True), Death("command", at % 9 + 1, done=False))
        schedule = Schedule(seed=at, deaths=deaths, gaps=(20.0, 20.0), fail_at=frozenset({at + 30}), stores="file")
        for plan in (FAILS, WALKS):
            assert not (wrong := wrong_with(plan, schedule)), (schedule, *wrong)
