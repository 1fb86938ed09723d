"""Whatever commit a process dies at, and however often: same outcome, and nothing completed is done again."""

from dataclasses import replace
from pathlib import Path

import pytest
from crash_worlds import KINDS, Plan, Sketch, assert_nothing_done_twice, plans, play
from hypothesis import given, settings

from clew.journal.memory import MemoryJournal
from clew.journal.sqlite import SqliteJournal
from clew.kernel import machine

#: One node of each kind, most of which read others.
EVERYTHING = Plan(
    tuple(Sketch(kind, (number - 1,) if number % 3 else (), number % 4) for number, kind in enumerate(KINDS)),
    "continue",
    3,
    (),
)


@pytest.fixture(autouse=True)
def _many_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SNAPSHOT_EVENTS", 12)


def compare(plan: Plan) -> None:
    _, undisturbed, _ = play(replace(plan, crashes=()), MemoryJournal())
    world, outcome, _ = play(plan, MemoryJournal())
    assert_nothing_done_twice(world, outcome)
    assert outcome.state == undisturbed.state
    if plan.on_error != "stop_graph":  # what a failure stops depends on how far the others are
        assert outcome.values == undisturbed.values
        assert outcome.failures == undisturbed.failures


@settings(max_examples=150, print_blob=True)
@given(plan=plans())
def test_any_graph_any_crashes(plan: Plan) -> None:
    compare(plan)


@pytest.mark.slow
@settings(max_examples=3_000, print_blob=True, derandomize=False)
@given(plan=plans())
def test_any_graph_any_crashes_for_long(plan: Plan) -> None:
    compare(plan)


@pytest.mark.parametrize("durable", [True, False])
def test_a_crash_at_each_commit(durable: bool) -> None:
    _, undisturbed, commits = play(EVERYTHING, MemoryJournal())
    assert undisturbed.state == "completed"
    assert commits > 20
    for at_commit in range(1, commits + 1):
        # The second life ends soon after it has taken the run over.
        crashes = ((at_commit, durable), (at_commit % 3 + 1, not durable))
        world, outcome, _ = play(replace(EVERYTHING, crashes=crashes), MemoryJournal())
        assert_nothing_done_twice(world, outcome)
        assert (outcome.state, outcome.values, outcome.failures) == (
            undisturbed.state,
            undisturbed.values,
            undisturbed.failures,
        ), crashes


def test_crashes_on_a_real_file(tmp_path: Path) -> None:
    _, undisturbed, commits = play(EVERYTHING, MemoryJournal())
    for at_commit in range(2, commits, 7):
        journal = SqliteJournal(tmp_path / f"{at_commit}.db", "process")
        plan = replace(EVERYTHING, crashes=((at_commit, True), (3, False), (5, True)))
        world, outcome, _ = play(plan, journal)
        assert_nothing_done_twice(world, outcome)
        assert (outcome.values, outcome.failures) == (undisturbed.values, undisturbed.failures)
