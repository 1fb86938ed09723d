"""Random graphs and state graphs that are undone, and everything that can befall their runs meanwhile.

What `test_schedules.py` and `test_state_schedules.py` do to others: here, nodes, steps and sub-graphs have
compensations of all kinds, and every run is rolled back: when it fails, when people ask for it while it goes on,
or when it has ended. The laws of that are in `crash_undo_laws.py`.
"""

from time import perf_counter

import pytest
from crash_trials import told, try_seeds

#: Seeds of the quick search, and how many there are in each test of the long one.
QUICK, BLOCK, BLOCKS = 120, 1_000, 6
#: Seeds that found something.
FOUND = {
    101: "a map whose items cannot be undone was told to remain when nobody had agreed to any of them",
    689: "what had begun before its run was retried, and was said to be done then, was not undone",
    802: "who had not agreed to what cannot be undone was not asked again when the run was retried",
}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "clew")


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_once_in_rollbacks(seed: int) -> None:
    assert not (wrong := told(seed, "rollbacks")), wrong


@pytest.mark.parametrize("first", range(0, QUICK, 4))
def test_some_schedules_of_rollbacks(first: int) -> None:
    found = try_seeds(first, 4, "rollbacks")
    assert not found, "\n\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
def test_thousands_of_schedules_of_rollbacks(block: int, capsys: pytest.CaptureFixture[str]) -> None:
    began = perf_counter()
    found = try_seeds(QUICK + block * BLOCK, BLOCK, "rollbacks")
    with capsys.disabled():
        print(f" {BLOCK} schedules in {perf_counter() - began:.0f} s", end="", flush=True)
    assert not found, "\n\n".join(found)
