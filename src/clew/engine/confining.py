"""What processes of attempts are held to, and what they have used."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence

import msgspec

from clew.bodies.shell import ByteSink, Runner
from clew.engine.allowance import used_of
from clew.engine.jobs import Job
from clew.graphs.limits import Limits
from clew.graphs.permissions import Permissions
from clew.kernel.recording import add_usage
from clew.workers.isolation.confinement import Confinement
from clew.workers.isolation.jobs import exhausted
from clew.workers.isolation.limits import LaunchError, Outcome, Roots
from clew.workers.isolation.running import run_isolated
from clew.workers.isolation.warden import Warden

#: What a shell says of a program that is not there.
NO_SUCH_PROGRAM = 127


def held_to(job: Job, own: Confinement | None) -> Confinement | None:
    """What a process of an attempt is held to: by its own limits, and by those of its run; None is nothing.

    Raises:
        BodyError: ``resource exhausted``: nothing of what the run may use is left.
    """
    shared = job.share.limits
    if own is None and not shared.need_isolation:
        return None
    own = own or Confinement()
    limits = job.share.narrowed(own.limits)
    best_effort = own.best_effort or job.share.best_effort
    return msgspec.structs.replace(own, limits=limits, best_effort=best_effort)


def confined(held: Confinement, warden: Warden, job: Job) -> Runner:
    """Runs programs with what an attempt is held to."""

    async def run(
        argv: Sequence[str], env: Mapping[str, str], cwd: str, stdin: bytes | None, take: ByteSink
    ) -> int:
        there = msgspec.structs.replace(held, folder=cwd or held.folder)
        try:
            outcome = await run_isolated(
                argv, there, warden=warden, sink=take, env=env, stdin=stdin, on_sample=job.share.watch
            )
        except LaunchError as error:
            if error.errno == errno.ENOENT:
                return NO_SUCH_PROGRAM
            raise
        record(job, outcome)
        if outcome.violation is not None:
            raise exhausted(outcome.violation)
        return outcome.exit_code if outcome.exit_code is not None else -(outcome.signal or 0)

    return run


def record(job: Job, outcome: Outcome) -> None:
    """Record what a process of an attempt has used, and tell people what it was refused or not held to."""
    used = used_of(outcome.usage)
    job.share.settle(used)
    add_usage(job.used, used)
    for line in outcome.refused:
        job.write("clew", f"{line}\n")
    for name, why in outcome.unenforced.items():
        job.write("clew", f"{name} is not enforced here: {why}\n")


def confinement(
    may: Permissions, limits: Limits, folder: str, *, best_effort: bool, programs: bool = True
) -> Confinement:
    """What a process is held to that may do this; relative places are below its folder."""
    if may.network is not None and limits.network != ():
        allowed = may.network
        if limits.network is not None:  # both have to allow it
            allowed = tuple(host for host in limits.network if host in allowed)
        limits = msgspec.structs.replace(limits, network=allowed)
    return Confinement(
        limits=limits,
        roots=Roots(read=_below(folder, may.read), write=_below(folder, may.write)),
        programs=programs,
        folder=folder,
        best_effort=best_effort,
    )


def _below(folder: str, places: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Relative places, told from a folder."""
    if places is None or not folder:
        return places
    return tuple(os.path.join(folder, place) for place in places)  # noqa: PTH118 - text
