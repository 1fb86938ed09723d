"""Random state graphs, and everything that can befall their runs: what `test_schedules.py` does to other graphs.

People decide here, too: when they are asked, before, once for all, and by mistake. The laws are in
`crash_laws.py` and `crash_route_laws.py`.
"""

from time import perf_counter

import pytest
from crash_trials import told, try_seeds

#: Seeds of the quick search, and how many there are in each test of the long one.
QUICK, BLOCK, BLOCKS = 250, 1_000, 8
#: Seeds that found something.
FOUND = {
    299: "what a graph of dependencies had returned was not asked for again when its process had died before",
    384: "an early decision for a branch could hold changes of keys that there are not",
}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "clew")


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_once_in_state_graphs(seed: int) -> None:
    assert not (wrong := told(seed, "states")), wrong


@pytest.mark.parametrize("first", range(0, QUICK, 50))
def test_some_hundred_schedules_of_state_graphs(first: int) -> None:
    found = try_seeds(first, 50, "states")
    assert not found, "\n\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
def test_thousands_of_schedules_of_state_graphs(block: int, capsys: pytest.CaptureFixture[str]) -> None:
    began = perf_counter()
    found = try_seeds(QUICK + block * BLOCK, BLOCK, "states")
    with capsys.disabled():
        print(f" {BLOCK} schedules in {perf_counter() - began:.0f} s", end="", flush=True)
    assert not found, "\n\n".join(found)
