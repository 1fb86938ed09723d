"""One attempt in this process: a task that performs a body, can be stopped, and ends in one signal."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from clew.bodies.errors import error_info
from clew.bodies.taxonomy import classified
from clew.engine.allowance import Allowance
from clew.engine.clock import Clock
from clew.engine.context import BodyContext
from clew.engine.entries import Host, or_lose, stored
from clew.engine.feed import Output
from clew.engine.heartbeats import Heartbeat
from clew.engine.jobs import Functions, Job
from clew.engine.logbook import Page
from clew.engine.workshop import Workshop
from clew.journal.records import Blob, LogLine
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.resolve import with_output
from clew.kernel.values import GATHERED, Binding, ErrorInfo, Literal, Value
from clew.kernel.writes import Update

_LOG = logging.getLogger("clew.engine")

#: A body that was told to stop and has not after so many seconds is cut off from its run.
STOP_PATIENCE_S = 5.0


class AttemptHost(Host, Protocol):
    """The run that an attempt belongs to."""

    functions: Functions
    allowance: Allowance

    def body_ended(self, body: Attempt, signal: s.AnySignal, *blobs: Blob) -> None:
        """An attempt has ended."""
        ...

    def keep_slot(self, path: str) -> Callable[[], None]:
        """The attempt is over for its run and something of it goes on; the result gives its slot back."""
        ...


class Attempt:
    """One attempt, under way from its creation on.

    Attributes:
        path: the visit.
        number: which try.
    """

    def __init__(self, host: AttemptHost, workshop: Workshop, command: c.StartAttempt, clock: Clock) -> None:
        self.path = command.path
        self.number = command.attempt
        self._suspended = False
        self._host = host
        self._workshop = workshop
        self._command = command
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._stop_reason = ""
        self._abandoned = False
        self._told = False
        # Most bodies print nothing and ask for no context: what they do not need is not made.
        self._page: Page | None = None
        self._context: BodyContext | None = None
        self._detached = False
        limit_s = command.heartbeat_s
        self._heartbeat = Heartbeat(limit_s, self._fell_silent) if limit_s is not None else None
        self._task = self._loop.create_task(self._run())

    @property
    def suspended(self) -> bool:
        """Its run knows that it only waits, and has taken its slot back."""
        return self._suspended

    @suspended.setter
    def suspended(self, suspended: bool) -> None:
        self._suspended = suspended
        if self._heartbeat is not None:
            self._heartbeat.rest() if suspended else self._heartbeat.resume()

    def wake(self, waits: Mapping[str, c.Wait]) -> None:
        """Some of what the body waits for may have come about."""
        self.suspended = False
        self._make_context().wake(waits)

    def stop(self, reason: str) -> None:
        """Stop the body; it is cut off from its run if it does not stop."""
        self._stop_reason = reason
        if self._heartbeat is not None:
            self._heartbeat.end()
        self._task.cancel()
        self._loop.call_later(STOP_PATIENCE_S, self._cut_off)

    def abandon(self) -> None:
        """Stop the body and say nothing: the run is not driven here any more."""
        self._abandoned = True
        self._detach()
        self._task.cancel()
        self._workshop.left_over(self._task)

    async def _run(self) -> None:
        try:
            signal, blobs = await self._perform()
        finally:
            self._detach()
            if self._page is not None:
                self._page.close()
        self._tell(signal, *blobs)

    async def _perform(self) -> tuple[s.AnySignal, list[Blob]]:
        job = Job(
            self._command,
            self._host.functions,
            self._make_context,
            self._write,
            self._keep_slot,
            self._read,
            self._host.allowance.share(self.path, self.number),
            self._heartbeat,
        )
        try:
            json = await self._workshop.perform(job)
        except asyncio.CancelledError:
            self._abandoned |= self._workshop.is_ending
            if self._stop_reason or self._abandoned:
                return s.AttemptStopped(path=self.path, attempt=self.number, used=job.used), []
            error = ErrorInfo(type="CancelledError", message="the body was cancelled, and not by its run")
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as exc:  # whatever a body raises, SystemExit too, is that node's failure
            error = error_info(exc, mask=self._workshop.secrets.mask)
        else:
            if json is None:
                return s.ProbedAbsent(path=self.path, attempt=self.number), []
            if self._command.updates:
                update = msgspec.json.decode(json, type=Update)
                undo, blobs = await self._capture(msgspec.json.encode(update.changes))
                done = s.AttemptSucceeded(
                    path=self.path, attempt=self.number, output=GATHERED, update=update, undo=undo, used=job.used
                )
                return done, blobs
            value, blobs = stored(json)
            undo, more = await self._capture(json)
            done = s.AttemptSucceeded(path=self.path, attempt=self.number, output=value, undo=undo, used=job.used)
            return done, [*blobs, *more]
        if self._command.kind == "tool":
            error = classified(error)
        return s.AttemptFailed(path=self.path, attempt=self.number, error=error, used=job.used), []

    async def _capture(self, json: bytes) -> tuple[Value | None, list[Blob]]:
        """What the node's compensation is to be given: the state that tells it will have changed by then."""
        if self._command.undo is None:
            return None, []
        output = Literal(msgspec.Raw(json))
        given: dict[str, msgspec.Raw] = {}
        for name, binding in self._command.undo.items():
            given[name] = msgspec.Raw(await self._read(with_output(binding, output)))
        return stored(msgspec.json.encode(given))

    def _make_context(self) -> BodyContext:
        if self._context is None:
            secrets = self._workshop.secrets
            self._context = BodyContext(
                self._host, self._command, self._workshop.memories, secrets, self._write, self._heartbeat
            )
            if self._detached:
                self._context.detach()
        return self._context

    def _fell_silent(self) -> None:
        self._host.submit(s.HeartbeatMissed(path=self.path, attempt=self.number))

    def _detach(self) -> None:
        """The attempt is over for its run: what a thread of it still says is not heard."""
        self._detached = True
        if self._heartbeat is not None:
            self._heartbeat.end()
        if self._context is not None:
            self._context.detach()

    def _tell(self, signal: s.AnySignal, *blobs: Blob) -> None:
        if not self._told and not self._abandoned:
            self._told = True
            self._host.body_ended(self, signal, *blobs)

    def _cut_off(self) -> None:
        """The body ignores that it was stopped: the run goes on without it."""
        if not self._task.done():
            _LOG.warning("run %s: %s does not stop; it is cut off", self._command.run, self.path)
            self._detach()
            release = self._keep_slot()
            self._task.add_done_callback(lambda _: release())
            self._workshop.left_over(self._task)
            self._tell(s.AttemptStopped(path=self.path, attempt=self.number))

    async def _read(self, binding: Binding) -> bytes:
        secrets = self._workshop.secrets
        return await or_lose(self._host, self._workshop.reader.read(binding, secrets))

    def _keep_slot(self) -> Callable[[], None]:
        return self._host.keep_slot(self.path)

    def _write(self, stream: str, text: str) -> None:
        """Take output, from whatever thread; in order, because the loop calls in order."""
        if self._heartbeat is not None:
            self._heartbeat.beat()
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self._add, stream, text)
        else:
            self._add(stream, text)

    def _add(self, stream: str, text: str) -> None:
        if self._page is None:
            self._page = Page(self._write_line, self._workshop.secrets.mask)
        self._page.add(stream, text)

    def _write_line(self, stream: str, text: str) -> None:
        line = LogLine(self.path, self.number, self._clock.now(), stream, text)
        self._workshop.logbook.add(self._command.run, line)
        self._host.show(Output(self.path, self.number, stream, text))

    def __repr__(self) -> str:
        return f"<attempt {self.number} of {self.path}{' (waits)' if self.suspended else ''}>"
