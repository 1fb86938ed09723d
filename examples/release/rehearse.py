"""Rehearse a release: it is refused, killed, taken back, and lost and found again.

    python examples/release/rehearse.py out/release

In the folder, a git repository with a small package is made, a package index of files, and a service that
announces releases. `clew` runs `release.yaml` there, as anybody would, and what comes of it is compared with what
was there before. Look around afterwards: `clew ls --db out/release/clew.db`.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from release_stage import Stage

PLAN = Path(__file__).with_name("release.yaml")
CLEW = str(Path(sys.executable).with_name("clew"))
ANNOUNCED = "announced sundial 1.3.0"


def main(folder: str) -> None:
    """Rehearse, and stop with what is wrong if anything is not what it should be.

    Args:
        folder: is made anew.
    """
    with Stage(Path(folder)) as stage:
        before = stage.seen()

        tell("1. The announcement is refused, but it was written down: the release takes everything back.")
        once = refused(stage)
        compare("everything is what it was", stage.seen(), before)

        tell("2. The same, and the process is killed while git deletes the tag. Another one goes on there.")
        compare("nothing was done, or taken back, twice", killed(stage), once)
        compare("everything is what it was", stage.seen(), before)

        tell("3. A release that goes through, and is taken back by hand.")
        stage.let_service_be("fine")
        clew(stage, *release(stage, "good"))
        clew(stage, "rollback", "good", "--dry-run")
        clew(stage, "rollback", "good", "--yes")
        compare("everything is what it was", stage.seen(), before)

        tell("4. The process is killed while it announces. Another one asks the service, instead of guessing.")
        compare("it was announced once", {ANNOUNCED: lost(stage)[ANNOUNCED]}, {ANNOUNCED: 1})
        print(f"-> new: {', '.join(name for name in stage.seen() if name not in before)}")


def refused(stage: Stage) -> Counter[str]:
    """A release that is refused at its last step; what was done, and how often."""
    known = stage.effects()
    stage.let_service_be("angry")
    clew(stage, *release(stage, "refused"), exits=1)
    return stage.effects() - known


def killed(stage: Stage) -> Counter[str]:
    """The same, killed while git deletes the tag; what was done, and how often."""
    known = stage.effects()
    stage.let_service_be("angry")
    with stage.gate() as git_waits:
        kill_clew(stage, *release(stage, "killed"), at=lambda line: "tag is being undone" in line and git_waits())
        clew(stage, "ls")
        clew(stage, "resume", "killed", exits=1)
    return stage.effects() - known


def lost(stage: Stage) -> Counter[str]:
    """A release that is killed when it has been announced, before it knows that; what was done, and how often."""
    known = stage.effects()
    stage.let_service_be("silent")

    def is_announced(line: str) -> bool:
        while "announce started" in line and not (stage.effects() - known)[ANNOUNCED]:
            time.sleep(0.01)
        return "announce started" in line

    kill_clew(stage, *release(stage, "lost"), at=is_announced)
    stage.let_service_be("fine")
    clew(stage, "resume", "lost")
    return stage.effects() - known


# Clew, as it is typed ---------------------------------------------------------------------------------


def release(stage: Stage, run: str) -> list[str]:
    """The command that starts a release."""
    return ["run", os.path.relpath(PLAN, stage.repository), "--id", run, "--input", f"service={stage.url}"]


def clew(stage: Stage, *arguments: str, exits: int = 0) -> None:
    """Run clew in the repository, to the end.

    Args:
        stage: where.
        arguments: of the command.
        exits: the code that it has to end with.
    """
    code = typed(stage, arguments, None).wait()
    if code != exits:
        sys.exit(f"clew {arguments[0]} ended with {code}, not {exits}")


def kill_clew(stage: Stage, *arguments: str, at: Callable[[str], object]) -> None:
    """Run clew in the repository, and kill it with SIGKILL.

    Args:
        stage: where.
        arguments: of the command.
        at: is told each line that it writes, and says whether that is the moment.
    """
    with typed(stage, arguments, subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if at(line):
                process.kill()
    if process.returncode != -signal.SIGKILL:
        sys.exit(f"clew {arguments[0]} was not killed, but ended with {process.returncode}")
    print("Killed", flush=True)


def typed(stage: Stage, arguments: Sequence[str], stdout: int | None) -> subprocess.Popen[str]:
    """Start a command in the repository, and show it."""
    print(f"$ clew {shlex.join(arguments)}", flush=True)
    return subprocess.Popen(
        [CLEW, *arguments],
        cwd=stage.repository,
        env=stage.environment,
        stdout=stdout,
        text=True,
    )


# What comes of it -------------------------------------------------------------------------------------


def tell(text: str) -> None:
    """A heading."""
    print(f"\n{text}\n", flush=True)


def compare(what: str, found: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    """Stop if something is not what it should be."""
    differs = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    if differs:
        told = "\n".join(f"  {name}: {found.get(name)!r}, not {wanted.get(name)!r}" for name in differs)
        sys.exit(f"it is not so that {what}:\n{told}")
    print(f"-> {what}: {', '.join(wanted)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "out/release")
