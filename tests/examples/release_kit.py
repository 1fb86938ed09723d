"""What the tests of `examples/release` share: where the example is, and a stage to rehearse on."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "release"
sys.path.insert(0, str(EXAMPLE))

from release_stage import Stage  # noqa: E402


@contextmanager
def on_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage, with this process in its repository."""
    with Stage(tmp_path / "release") as stage:
        monkeypatch.chdir(stage.repository)
        for name in os.environ.keys() - stage.environment.keys():
            monkeypatch.delenv(name)
        for name, value in stage.environment.items():
            monkeypatch.setenv(name, value)
        yield stage
