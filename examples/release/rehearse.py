"""Rehearse a release: one is refused, one is killed, one is lost, and one goes through.

    python examples/release/rehearse.py out/release

In the folder, a git repository with a small package is made, a package index of files, and a service that announces
releases. `clew` runs `release.yaml` there, as anybody would, and what comes of it is compared with what was there
before. Look around afterwards: `clew ls --db out/release/clew.db`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from release_stage import Stage

PLAN = Path(__file__).with_name("release.yaml")
TOLD = "announced sundial 1.3.0"


def main(folder: str) -> None:
    """Rehearse, and stop with what is wrong if anything is not what it should be.

    Args:
        folder: is made anew.
    """
    with Stage(Path(folder)) as stage:
        before = stage.seen()
        tell("The announcement is refused, after it was written down: the release takes everything back.")
        once = refused(stage)
        compare("what is there", before, stage.seen())

        tell("The same, but the process is killed while git deletes the tag. Another one goes on with that.")
        again = killed(stage)
        compare("what is there", before, stage.seen())
        compare("how often each thing was done", once, again)

        tell("The process is killed while it announces. The next one does not guess: it asks the service.")
        compare("how often it was announced", {TOLD: 1}, {TOLD: lost(stage)[TOLD]})

        tell("So that release went through. It can be taken back all the same.")
        clew(stage, "rollback", "lost", "--dry-run")
        clew(stage, "rollback", "lost", "--yes")
        compare("what is there", before, stage.seen())

        tell("A release that goes through.")
        stage.let_service_be("fine")
        clew(stage, *release(stage, "good"))
        new = {*stage.seen()} - {*before}
        compare("what is new", {"tag v1.3.0", f"dist {WHEEL}", f"index {WHEEL}"}, new)


def refused(stage: Stage) -> Counter[str]:
    """A release that is refused at its last step; what was done to the world, and how often."""
    known = stage.effects()
    stage.let_service_be("angry")
    clew(stage, *release(stage, "refused"), ends_with=1)
    return stage.effects() - known


def killed(stage: Stage) -> Counter[str]:
    """The same, killed while git deletes the tag."""
    known = stage.effects()
    stage.let_service_be("angry")
    with stage.gate() as gate, clew_to_be_killed(stage, *release(stage, "killed"), at="tag is being undone"):
        gate.open("w").close()
    ...
