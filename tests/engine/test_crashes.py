"""One graph with everything in it: a death at each of its moments, and a fault at each call of its journal."""

import pytest
from crash_plans import BODIES, OTHERS, Death, Plan, Schedule, Sketch
from crash_trials import plain_run, wrong_with

#: What is tried at every single moment in the quick tests.
SOME = Plan(
    (
        Sketch("flaky", (), 1),
        Sketch("sleeper", (0,), 1),
        Sketch("asks_in_time", (0,), 1),
        Sketch("asked", (), 2),
        Sketch("flow", (3,), 1, "probed_step"),
        Sketch("locked_map", (), 1),
        Sketch("subs", (1, 2), 1, "receives"),
    ),
    "continue",
)
#: One node of each kind.
EVERYTHING = Plan(
    tuple(
        Sketch(kind, (number - 1,) if number % 3 else (), number % 4, BODIES[-number % len(BODIES)])
        for number, kind in enumerate((*BODIES, *OTHERS))
    ),
    "continue",
    4,
)
MOMENTS = [(of, done) for of in ("commit", "command", "call") for done in (True, False)]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "clew")


def try_each_death(plan: Plan, of: str, *, done: bool, steps: int = 1) -> int:
    """Die at each moment of a kind, and once more soon after; how many stories that are."""
    count = plain_run(plan)[1].counts[of]
    for at in range(1, count + 1, steps):
        # The second life ends soon after it has taken the run over.
        second = Death(("commit", "command", "call")[at % 3], at % 7 + 1, not done)
        schedule = Schedule(seed=at, deaths=(Death(of, at, done), second), gaps=(20.0, 3_600.0), parks=at % 2 == 0)
        assert not (wrong := wrong_with(plan, schedule)), (schedule, *wrong)
    return count


def try_each_fault(plan: Plan, burst: int, steps: int = 1) -> int:
    """Let each call fail, and some after it; how many stories that are."""
    count = plain_run(plan)[1].counts["call"]
    for first in range(1, count + 1, steps):
        schedule = Schedule(seed=first, fail_at=frozenset(range(first, first + burst)), parks=first % 2 == 0)
        assert not (wrong := wrong_with(plan, schedule)), (schedule, *wrong)
    return count


def test_everything_is_in_it() -> None:
    _, outcome = plain_run(EVERYTHING)
    assert outcome.state == "completed"
    assert min(outcome.counts.values()) > 50


@pytest.mark.parametrize(("of", "done"), MOMENTS)
def test_a_death_at_each_moment(of: str, done: bool) -> None:
    assert try_each_death(SOME, of, done=done, steps=2) > 20


@pytest.mark.parametrize("burst", [1, 4])
def test_a_fault_at_each_call(burst: int) -> None:
    assert try_each_fault(SOME, burst, steps=2) > 40


@pytest.mark.slow
@pytest.mark.parametrize(("of", "done"), MOMENTS)
def test_a_death_at_each_moment_of_everything(of: str, done: bool) -> None:
    assert try_each_death(EVERYTHING, of, done=done) > 50


@pytest.mark.slow
@pytest.mark.parametrize("burst", [1, 2, 10])
def test_a_fault_at_each_call_of_everything(burst: int) -> None:
    assert try_each_fault(EVERYTHING, burst) > 100


@pytest.mark.slow
def test_deaths_and_faults_on_a_real_file() -> None:
    for at in range(1, 60, 3):
        deaths = (Death("commit", at, done=True), Death("command", at % 9 + 1, done=False))
        schedule = Schedule(
            seed=at,
            deaths=deaths,
            gaps=(20.0, 20.0),
            fail_at=frozenset({at + 30}),
            stores="file",
            parks=at % 2 == 0,
        )
        assert not (wrong := wrong_with(SOME, schedule)), (schedule, *wrong)
