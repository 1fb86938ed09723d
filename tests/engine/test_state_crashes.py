"""State graphs with everything in them: a death at each moment, and a fault at each call of the journal."""

import pytest
from crash_lives import play
from crash_plans import BODIES, Death, Schedule, Sketch
from crash_routes import Asking, StatePlan, Stop, Walk
from crash_trials import MOMENTS, plain_run, try_each_death, try_each_fault, wrong_with

from clew.kernel import events as e

#: What is tried at every single moment in the quick tests.
SOME = StatePlan(
    (),
    walk=Walk(
        (
            Stop("body", "flaky", 1, ("total", "picks"), "loop"),
            Stop("barrier", asking=Asking("reject_once", "timely"), far=2),
            Stop(
                "parallel",
                turns=2,
                parts=(
                    Stop("body", "steps", 1, ("total", "top")),
                    Stop("barrier", asking=Asking("approve")),
                    Stop("graph", "sleeper", 1),
                    Stop("sub", parts=(Stop("body", "probed", 1, ("notes",), "loop"), Stop("barrier"))),
                ),
            ),
            Stop("map", "fails", fallback=True),
            Stop("barrier", asking=Asking("modify", "late", "skip")),
        )
    ),
)
#: A node of each kind, and each body in one; failures are gone on from, but for those that people retry.
EVERYTHING = StatePlan(
    (),
    concurrency=4,
    walk=Walk(
        (
            *(
                Stop("body", body, number % 4, ("total", "last"), "on" if number % 5 else "loop")
                for number, body in enumerate(BODIES)
            ),
            Stop("body", "fails", 1, fallback=True),
            Stop("body", "steps", 1, ("text",), "wants_fallback", fallback=True),
            Stop("body", "plain", 1, ("-text",), "goto"),
            Stop("map", "picky", 1, ("top", "low"), collects=True),
            Stop("barrier", asking=Asking("changes", "late", "approve")),
            Stop("subs", parts=(Stop("body", "asked", 1, ("picks",)), Stop("barrier", asking=Asking("modify")))),
            Stop(
                "parallel",
                turns=1,
                collects=True,
                parts=(
                    Stop("sub", parts=(Stop("map", "asks_in_time", 1, ("notes",)), Stop("graph", "both"))),
                    Stop("body", "fails"),
                    Stop("barrier", asking=Asking("reject", "late", "skip")),
                ),
            ),
            Stop("barrier", asking=Asking("reroute"), way="router"),
        )
    ),
)  # fmt: skip
#: State graphs in a graph of dependencies, and a map of them.
MIXED = StatePlan(
    (Sketch("walk"), Sketch("steps", (0,), 1), Sketch("walks", (0,))),
    walks=(
        (0, Walk((Stop("body", "flaky", 1, ("total",), "loop"), Stop("barrier", asking=Asking("reject_once"))))),
        (2, Walk((Stop("barrier", asking=Asking("approve", "late")), Stop("map", "steps", 1, ("notes",))))),
    ),
)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "clew")


@pytest.mark.parametrize("plan", [SOME, EVERYTHING, MIXED])
def test_everything_is_in_the_state_graph(plan: StatePlan) -> None:
    _, outcome = plain_run(plan)
    assert outcome.state == "completed"
    assert min(outcome.counts.values()) > 15
    assert len(outcome.values["log"] if plan.walk.stops else outcome.values["n0"]["log"]) >= 3


@pytest.mark.parametrize(("of", "done"), MOMENTS)
def test_a_death_at_each_moment_of_a_state_graph(of: str, done: bool) -> None:
    assert try_each_death(SOME, of, done=done, steps=3) > 20


@pytest.mark.parametrize("burst", [1, 4])
def test_a_fault_at_each_call_of_a_state_graph(burst: int) -> None:
    assert try_each_fault(SOME, burst, steps=3) > 40


def test_a_loss_that_is_a_failure_takes_the_way_out_of_failures() -> None:
    """What may not be made again is not: its node fails, and the token goes on by the fallback edge."""
    plan = StatePlan(
        (), walk=Walk((Stop("body", "failing", 3, fallback=True), Stop("body"), Stop("body", "steps")))
    )
    ways = set()
    for at in range(1, plain_run(plan)[1].counts["command"] + 1):
        for done in (False, True):
            schedule = Schedule(deaths=(Death("command", at, done),), gaps=(20.0,))
            assert not (wrong := wrong_with(plan, schedule)), (schedule, *wrong)
            world, outcome = play(plan, schedule)
            assert outcome.state == "completed"
            assert len(world.ledger.acts.get("s0", ())) <= 1
            routed = [each.event for each in outcome.events if isinstance(each.event, e.Routed)]
            ways.add((routed[1].why, routed[1].target, routed[1].error.type if routed[1].error else ""))
    assert ways == {("edge", "s1", ""), ("fallback", "s2", "interrupted")}


@pytest.mark.slow
@pytest.mark.parametrize("plan", [EVERYTHING, MIXED])
@pytest.mark.parametrize(("of", "done"), MOMENTS)
def test_a_death_at_each_moment_of_each_kind_of_node(plan: StatePlan, of: str, done: bool) -> None:
    assert try_each_death(plan, of, done=done) > 15


@pytest.mark.slow
@pytest.mark.parametrize("plan", [EVERYTHING, MIXED])
@pytest.mark.parametrize("burst", [1, 10])
def test_a_fault_at_each_call_of_each_kind_of_node(plan: StatePlan, burst: int) -> None:
    assert try_each_fault(plan, burst) > 30


@pytest.mark.slow
def test_deaths_and_faults_of_state_graphs_on_a_real_file() -> None:
    for at in range(1, 60, 3):
        deaths = (Death("commit", at, done=True), Death("command", at % 9 + 1, done=False))
        schedule = Schedule(
            seed=at,
            deaths=deaths,
            gaps=(20.0, 20.0),
            fail_at=frozenset({at + 30}),
            stores="file",
            parks=at % 2 == 0,
            early=at % 3,
            wrong=at % 4,
        )
        assert not (wrong := wrong_with(SOME, schedule)), (schedule, *wrong)
