"""Run synchronous bodies in processes, which can be killed: for those with a time limit, or a heartbeat.

The processes stay and take one job after the other, so that imports are paid for once. Each leads a process
group of its own (`clew.bodies.groups`); when an attempt is cancelled, all of it is killed and reaped before
the cancellation goes on, so that nothing of a timed-out body works on.

A process that has been used keeps what its bodies did to its modules, as a thread would; its folder, its
environment and its standard streams are put back between jobs. A job with limits gets a process of its own
(`clew.workers.isolation`), which ends with it.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups
from clew.bodies.output import MAX_KEPT, Bounded, Sink
from clew.errors import ClewError
from clew.workers.attempt import Attempt, ProcessGone
from clew.workers.protocol import Job
from clew.workers.warm import InGroup, WarmProcess

if TYPE_CHECKING:
    from clew.workers.isolation.confinement import Confinement
    from clew.workers.isolation.limits import Outcome, Violation
    from clew.workers.isolation.orders import Sample
    from clew.workers.isolation.warden import Warden


class PoolClosed(ClewError):
    """The pool was closed before the attempt had ended."""


class ProcessPool:
    """Runs jobs in at most `size` processes, which are started when they are needed.

    Args:
        size: how many bodies run at once; more wait.
        groups: starts and ends the processes.
        warden: starts those with limits; jobs with limits are refused without one.
        max_output: characters kept at either end of each output stream of an attempt.
    """

    def __init__(
        self, size: int, groups: ProcessGroups, *, warden: Warden | None = None, max_output: int = MAX_KEPT
    ) -> None:
        self._groups = groups
        self._warden = warden
        self._max_output = max_output
        self._slots = asyncio.Semaphore(size)
        self._idle: list[WarmProcess] = []  #: alive and without a job; the last used comes first
        self._busy: set[WarmProcess] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<ProcessPool {len(self._busy)} busy, {len(self._idle)} idle{', closed' * self._closed}>"

    @property
    def pids(self) -> list[int]:
        """The processes that are alive."""
        return [child.pid for child in (*self._busy, *self._idle)]

    async def run(
        self,
        job: Job,
        *,
        sink: Sink,
        isolated: Confinement | None = None,
        on_outcome: Callable[[Outcome], None] | None = None,
        on_sample: Callable[[Sample], Violation | None] | None = None,
        on_progress: Callable[[float, str], None] | None = None,
        on_emit: Callable[[msgspec.Raw], None] | None = None,
        secret: Callable[[str], str] | None = None,
        on_begin: Callable[[], None] | None = None,
        on_beat: Callable[[], None] | None = None,
    ) -> bytes:
        """Run a job; return its encoded output. All that it printed is at the sink by then.

        Args:
            job: the attempt.
            sink: takes what is printed and logged.
            isolated: what it is held to; it then gets a process of its own, and nothing of that is left.
            on_outcome: told what an isolated job has used, and how its process ended, whatever became of it.
            on_sample: told what an isolated job uses while it runs; a violation that it returns ends it.
            on_progress: told of `ctx.progress`.
            on_emit: given what `ctx.emit` shows, encoded.
            secret: answers `ctx.secret`; raises LookupError for those there are not.
            on_begin: told when a process is there for the job.
            on_beat: told of every sign of life: what is said here, output of any kind, and `ctx.heartbeat`.

        Raises:
            BodyError: the body failed; with type ``process died`` if it took its process with it, ``resource
                exhausted`` if it passed a limit.
            UnenforceableLimitError: a limit cannot be held to on this machine; nothing was started.
            PoolClosed: the pool was closed meanwhile.
        """
        bounded = Bounded(sink, self._max_output)
        attempt = Attempt(job, bounded, on_progress, on_emit, secret, on_beat)
        async with self._slots:
            try:
                if isolated is not None:
                    return await self._run_isolated(attempt, isolated, on_begin, on_outcome, on_sample)
                child = await self._take()
                try:
                    return await self._run_in(child, attempt, on_begin)
                finally:
                    self._busy.discard(child)
                    if child.alive and not self._closed:
                        self._idle.append(child)
            finally:
                bounded.close()

    async def _run_in(self, child: WarmProcess, attempt: Attempt, on_begin: Callable[[], None] | None) -> bytes:
        try:
            if on_begin is not None:
                on_begin()
            return await child.run(attempt)
        except ProcessGone:
            if self._closed:
                job = attempt.job
                raise PoolClosed(f"the pool was closed while {job.path or job.ref} was running") from None
            raise BodyError(child.obituary()) from None

    async def _run_isolated(
        self,
        attempt: Attempt,
        isolated: Confinement,
        on_begin: Callable[[], None] | None,
        on_outcome: Callable[[Outcome], None] | None,
        on_sample: Callable[[Sample], Violation | None] | None,
    ) -> bytes:
        if self._warden is None:
            raise ClewError("a job with limits needs a pool with a warden; give ProcessPool one")
        from clew.workers.isolation.confinement import order_for  # noqa: PLC0415 - few programs have limits
        from clew.workers.isolation.jobs import IsolatedWorker, exhausted  # noqa: PLC0415
        from clew.workers.isolation.orders import SAMPLE_S  # noqa: PLC0415

        tells_s = SAMPLE_S if on_sample is not None else 0.0
        modules = [*sys.path, attempt.job.folder] if attempt.job.folder else sys.path
        order = order_for(isolated, await self._warden.mechanisms(), modules=modules, tells_s=tells_s)
        worker = IsolatedWorker(self._warden, order, on_sample)
        child = await self._begin(WarmProcess(worker.spawn, self._forget))
        output, failure = b"", None
        try:
            output = await self._run_in(child, attempt, on_begin)
        except BodyError as error:
            failure = error
        finally:
            await child.end()
            self._busy.discard(child)
        outcome = worker.outcome()
        if on_outcome is not None:
            on_outcome(outcome)
        if outcome.violation is not None:
            raise exhausted(outcome.violation) from failure
        if failure is not None:
            raise failure
        return output

    async def close(self) -> None:
        """Kill all processes, also those with a job, and reap them."""
        self._closed = True
        children = [*self._busy, *self._idle]
        self._idle.clear()
        await asyncio.gather(*(child.end() for child in children))

    async def _take(self) -> WarmProcess:
        if self._closed:
            raise PoolClosed("the pool is closed")
        return await self._begin(self._idle.pop() if self._idle else WarmProcess(self._spawn, self._forget))

    async def _begin(self, child: WarmProcess) -> WarmProcess:
        """Start a process, if that has not been done."""
        self._busy.add(child)
        try:
            await child.start()
        except BaseException:
            self._busy.discard(child)
            raise
        if self._closed:  # while it was starting
            self._busy.discard(child)
            await child.end()
            raise PoolClosed("the pool is closed")
        return child

    async def _spawn(self, link: socket.socket) -> InGroup:
        return InGroup(self._groups, link)

    def _forget(self, child: WarmProcess) -> None:
        """A process ended without a job; the next job gets another."""
        if child in self._idle:
            self._idle.remove(child)
