"""What every test shares: how Hypothesis searches, and an environment without anybody's own settings."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from clew.workers import capture

# The quick tests are a gate: the same examples each time. `make test-slow` looks for new ones, and prints how
# to get a failure again.
settings.register_profile("quick", derandomize=True, max_examples=100, deadline=None)
settings.register_profile("thorough", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide settings of Clew and of terminals, so that tests say the same everywhere."""
    for name in [*os.environ]:
        if name.startswith("CLEW_") or name in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def streams_of_its_own() -> Iterator[None]:
    """An engine that a test leaves open, as a dead process does, must not take the output of the next one."""
    yield
    while capture._installed_handler() is not None:
        capture.uninstall()
