"""Random graphs, and everything that can befall their runs: deaths, faults of the disk, people who interfere.

Each seed is a story of its own, and fails the same way each time: see `replay_schedule.py`. What has to hold
stands in `crash_laws.py`. Seeds that once failed are kept in `FOUND`, with what they found.
"""

from time import perf_counter

import pytest
from crash_trials import told, try_seeds

#: Seeds of the quick search, and how many there are in each test of the long one.
QUICK, BLOCK, BLOCKS = 300, 1_200, 10
#: Seeds that found something.
FOUND = {
    4: "a parked run whose taking up met a fault was let go of, and nobody took it up again",
    65: "an engine that drives nothing kept a run that it had told something",
    84: "an exclusive key that could not be asked for once was never asked for again",
    231: "a value that could not be read once failed the node that needed it",
    957: "a signal that was posted while its run was being taken up was not seen",
    16956: "a resume let deadlines pass before it looked at answers that had been given in time",
    1211: "who had been given an exclusive key by an owner that died waited behind those who wait for it",
}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "clew")


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_once(seed: int) -> None:
    assert not (wrong := told(seed)), wrong


@pytest.mark.parametrize("first", range(0, QUICK, 50))
def test_some_hundred_schedules(first: int) -> None:
    found = try_seeds(first, 50)
    assert not found, "\n\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
def test_ten_thousand_schedules(block: int, capsys: pytest.CaptureFixture[str]) -> None:
    began = perf_counter()
    found = try_seeds(QUICK + block * BLOCK, BLOCK)
    with capsys.disabled():
        print(f" {BLOCK} schedules in {perf_counter() - began:.0f} s", end="", flush=True)
    assert not found, "\n\n".join(found)
