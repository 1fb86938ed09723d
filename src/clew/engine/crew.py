"""The bodies of one run that are in this process, and the slots that they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from clew.engine.attempts import Attempt, AttemptHost
from clew.engine.clock import Clock
from clew.engine.slots import Slots, Waiter
from clew.engine.workshop import Workshop
from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.topology import Node


class Crew:
    """Starts, wakes and stops bodies.

    Args:
        waiter: the run, as who waits for slots.
        slots: what may run at once.
        workshop: performs bodies.
        clock: the time.
    """

    def __init__(self, waiter: Waiter, slots: Slots, workshop: Workshop, clock: Clock) -> None:
        self._waiter = waiter
        self._slots = slots
        self._workshop = workshop
        self._clock = clock
        #: By path: under way, or waiting in here for a sleep or a question.
        self._bodies: dict[str, Attempt] = {}
        #: Slots held, by path; given back when the body has really ended.
        self._held: dict[str, Node] = {}
        #: Set whenever a body ends or comes to wait.
        self._quiet = asyncio.Event()

    def __len__(self) -> int:
        """How many bodies are in memory."""
        return len(self._bodies)

    @property
    def rests(self) -> bool:
        """Whether no body is at work; those that only wait do not count."""
        return all(body.suspended for body in self._bodies.values())

    async def wait_change(self) -> None:
        """Until a body ends or comes to wait."""
        self._quiet.clear()
        await self._quiet.wait()

    # ------------------------------------------------------------------ bodies

    def start(self, host: AttemptHost, command: c.StartAttempt) -> None:
        """Enter a body, or wake it if it is in memory."""
        body = self._bodies.get(command.path)
        if body is not None and body.number == command.attempt:
            body.wake(command.waits)
        else:
            self._bodies[command.path] = Attempt(host, self._workshop, command, self._clock)

    def stop(self, path: str, attempt: int, reason: str) -> bool:
        """Tell a body to stop; False if it is not in memory."""
        body = self._bodies.get(path)
        if body is None or body.number != attempt:
            return False
        body.stop(reason)
        return True

    def ended(self, body: Attempt) -> None:
        """A body has ended."""
        if self._bodies.get(body.path) is body:
            del self._bodies[body.path]
            self.give_slot(body.path)
        self._quiet.set()

    def tell(self, run: Run, events: Sequence[e.AnyEvent]) -> None:
        """Tell bodies in memory what became durable about them."""
        for event in events:
            if type(event) is e.AttemptSuspended:
                self._suspended(run, event.path)
            elif type(event) is e.WaitResolved:
                body = self._bodies.get(event.path)
                visit = run.visits.get(event.path)
                if body is not None and not body.suspended and visit is not None:
                    body.wake(visit.waits or {})

    def _suspended(self, run: Run, path: str) -> None:
        visit = run.visits.get(path)
        if visit is None or visit.state is not NodeState.RUNNING:
            self.give_slot(path)
        body = self._bodies.get(path)
        if body is not None:
            body.suspended = True
        self._quiet.set()

    def dismiss(self) -> None:
        """Stop all bodies without an outcome: the run is not driven here any more."""
        for body in list(self._bodies.values()):
            body.abandon()
        self._slots.forget(self._waiter)
        for path in list(self._held):
            self.give_slot(path)
        self._slots.offer_again(self._waiter)  # what was offered to this run, which does not decide any more
        self._quiet.set()

    # ------------------------------------------------------------------ slots

    def gate(self, path: str, node: Node) -> bool:
        """Whether an attempt may start now; a yes takes its slot."""
        self.give_slot(path)  # of a body that came to wait and goes on in the same decision
        if not self._slots.take(self._waiter, node.lane):
            return False
        self._held[path] = node
        return True

    def give_slot(self, path: str) -> None:
        """An attempt has ended, or only waits: what it held is free."""
        node = self._held.pop(path, None)
        if node is not None:
            self._slots.give(node.lane)

    def keep_slot(self, path: str) -> Callable[[], None]:
        """An attempt is over but its thread goes on: the slot is given back by calling the result."""
        node = self._held.pop(path, None)
        return (lambda: self._slots.give(node.lane)) if node is not None else (lambda: None)
