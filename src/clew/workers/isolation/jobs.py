"""Run a Python function with limits: a worker process of its own, with the protocol of the others.

The worker is forked from the `zygote`, where all that it needs is loaded, so it is there in the time that a fork
takes. It runs one job and is gone with all that the job has started.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import IO

from clew.bodies.errors import BodyError
from clew.errors import ClewError
from clew.kernel.values import ErrorInfo
from clew.workers.isolation.limits import Outcome, Violation
from clew.workers.isolation.orders import Order, Sample
from clew.workers.isolation.warden import KeptStep, Warden


class IsolatedWorker:
    """Starts one worker process with limits, and knows how it ended. See `warm.Hosted`.

    Args:
        warden: starts it.
        order: what it is held to; without a program.
        on_sample: told what it uses; a violation that it returns ends it.
    """

    def __init__(
        self, warden: Warden, order: Order, on_sample: Callable[[Sample], Violation | None] | None = None
    ) -> None:
        self._warden = warden
        self._order = order
        self._on_sample = on_sample
        self._step: KeptStep | None = None

    async def spawn(self, link: socket.socket) -> IsolatedWorker:
        """Start it; it hears of jobs on the socket. Raises ClewError."""
        self._step = await self._warden.start(self._order, worker=link, on_sample=self._on_sample)
        return self

    @property
    def pid(self) -> int:
        """Its number; 0 as long as it is being started."""
        return self._step.pid if self._step is not None else 0

    @property
    def stdout(self) -> IO[bytes] | None:
        """The reading end of its standard output."""
        return self._step.stdout if self._step is not None else None

    @property
    def stderr(self) -> IO[bytes] | None:
        """The reading end of its standard error."""
        return self._step.stderr if self._step is not None else None

    async def wait(self) -> None:
        """Wait until it has ended, however that was."""
        if self._step is not None:
            await asyncio.wait({self._step.over})

    async def reap(self) -> int:
        """Kill what is left of it; return its exit code (negative: the signal), 125 if that is not known."""
        if self._step is None:
            return 125
        await self._step.stop(0.0)
        with contextlib.suppress(ClewError):
            outcome = self._step.over.result()
            return outcome.exit_code if outcome.exit_code is not None else -(outcome.signal or 0)
        return 125

    def outcome(self) -> Outcome:
        """How it ended, once it has been reaped.

        Raises:
            LaunchError: it could not be started.
            KeeperDiedError: the process that kept it was killed.
        """
        return self._step.over.result() if self._step is not None else Outcome()


def exhausted(passed: Violation) -> BodyError:
    """The error of a body that has passed a limit."""
    return BodyError(
        ErrorInfo(
            type="resource exhausted",
            message=passed.message,
            classes=("ResourceExhausted", "Exception"),
            retryable=False,
        )
    )
