"""Run synchronous bodies in processes, which can be killed: for those with a time limit, or a heartbeat.

The processes stay and take one job after the other, so that imports are paid for once. Each leads a process
group of its own (`clew.bodies.groups`); when an attempt is cancelled, all of it is killed and reaped before
the cancellation goes on, so that nothing of a timed-out body works on.

A process that has been used keeps what its bodies did to its modules, as a thread would; its folder, its
environment and its standard streams are put back between jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups
from clew.bodies.output import MAX_KEPT, Bounded, Sink
from clew.errors import ClewError
from clew.workers.attempt import Attempt, ProcessGone
from clew.workers.protocol import Job
from clew.workers.warm import WarmProcess


class PoolClosed(ClewError):
    """The pool was closed before the attempt had ended."""


class ProcessPool:
    """Runs jobs in at most `size` processes, which are started when they are needed.

    Args:
        size: how many bodies run at once; more wait.
        groups: starts and ends the processes.
        max_output: characters kept at either end of each output stream of an attempt.
    """

    def __init__(self, size: int, groups: ProcessGroups, *, max_output: int = MAX_KEPT) -> None:
        self._groups = groups
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
            on_progress: told of `ctx.progress`.
            on_emit: given what `ctx.emit` shows, encoded.
            secret: answers `ctx.secret`; raises LookupError for those there are not.
            on_begin: told when a process is there for the job.
            on_beat: told of every sign of life: what is said here, output of any kind, and `ctx.heartbeat`.

        Raises:
            BodyError: the body failed; with type ``process died`` if it took its process with it.
            PoolClosed: the pool was closed meanwhile.
        """
        async with self._slots:
            child = await self._take()
            bounded = Bounded(sink, self._max_output)
            try:
                if on_begin is not None:
                    on_begin()
                return await child.run(Attempt(job, bounded, on_progress, on_emit, secret, on_beat))
            except ProcessGone:
                if self._closed:
                    raise PoolClosed(f"the pool was closed while {job.path or job.ref} was running") from None
                raise BodyError(child.obituary()) from None
            finally:
                bounded.close()
                self._busy.discard(child)
                if child.alive and not self._closed:
                    self._idle.append(child)

    async def close(self) -> None:
        """Kill all processes, also those with a job, and reap them."""
        self._closed = True
        children = [*self._busy, *self._idle]
        self._idle.clear()
        await asyncio.gather(*(child.end() for child in children))

    async def _take(self) -> WarmProcess:
        if self._closed:
            raise PoolClosed("the pool is closed")
        child = self._idle.pop() if self._idle else WarmProcess(self._groups, self._forget)
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

    def _forget(self, child: WarmProcess) -> None:
        """A process ended without a job; the next job gets another."""
        if child in self._idle:
            self._idle.remove(child)
