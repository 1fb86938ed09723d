"""One graph with everything in it: a death at each of its moments, and a fault at each call of its journal."""

import pytest
from crash_plans import BODIES, OTHERS, Death, Plan, Schedule, Sketch
from crash_trials import MOMENTS, plain_run, try_each_death, try_each_fault, wrong_with

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


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "clew")


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
