"""Who performs functions (in the loop, in a thread, in a process that can be killed), programs and requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from clew import codec
from clew.bodies.functions import Signature, find
from clew.bodies.groups import ProcessGroups
from clew.bodies.http import HttpClient, run_http
from clew.bodies.metering import metered
from clew.bodies.probes import encode_result
from clew.bodies.shell import in_group, run_shell
from clew.engine.allowance import CPU, PEAK_MEMORY, REQUESTS
from clew.engine.confining import confined, confinement, held_to, record
from clew.engine.jobs import Input, Job, plain_texts
from clew.engine.secrets import Secrets
from clew.graphs.body_data import FunctionBody, HttpBody, ShellBody
from clew.graphs.permissions import Permissions
from clew.kernel.recording import add_usage
from clew.kernel.values import Absent
from clew.workers import capture, protocol
from clew.workers.isolation.confinement import Confinement
from clew.workers.isolation.warden import Warden
from clew.workers.processes import ProcessPool
from clew.workers.threads import run_in_thread

#: Descriptions of functions that are kept decoded.
KEPT_BODIES = 10_000


class FunctionPerformer:
    """Performs Python functions.

    Args:
        pool: has the processes of those that have to be killable.
        tee: what they print is shown as well.
    """

    def __init__(self, pool: ProcessPool, *, tee: bool) -> None:
        self._pool = pool
        self._tee = tee
        self._bodies: dict[bytes, FunctionBody] = {}
        #: Threads whose attempt is over, by the task that waits for them.
        self._threads: set[asyncio.Task[Any]] = set()
        capture.install()

    async def __call__(self, job: Job) -> bytes:
        """Perform a node whose body is a function."""
        return await self.run(job, self._body(job.command.body), await job.inputs())

    async def close(self) -> None:
        """Wait for no thread any more."""
        for task in self._threads:
            task.cancel()
        await asyncio.gather(*self._threads, return_exceptions=True)
        capture.uninstall()

    async def run(
        self,
        job: Job,
        body: FunctionBody,
        inputs: Mapping[str, Input],
        *,
        in_loop: bool = False,
        held: Confinement | None = None,
    ) -> bytes:
        """Run a function: in the loop; if it is synchronous in a thread, or in a process that can be killed.

        Args:
            job: the attempt.
            body: the function.
            inputs: its arguments.
            in_loop: a synchronous one runs in the loop, too.
            held: it runs in a process of its own, which is held to this.
        """
        command = job.command
        held = held_to(job, held) if held is not None or not (body.is_async or in_loop) else None
        is_limited = command.timeout_s is not None or command.heartbeat_s is not None
        if held is not None or (is_limited and not body.is_async):
            return await self._run_in_process(job, body, inputs, held)
        function = find(body, job.functions)
        signature = Signature.of(function)
        arguments = signature.bind(signature.wanted(inputs) if command.probe else inputs)
        if signature.context:
            arguments[signature.context] = job.context()
        if job.heartbeat is not None:
            job.heartbeat.begin()
        with capture.captured(job.write, tee=self._tee), metered(partial(_count, job)):
            if body.is_async:
                value = await function(**arguments)
            elif in_loop:
                value = function(**arguments)
            else:
                value = await self._run_in_thread(job, function, arguments)
        return encode_result(value, probe=command.probe, updates=job.returns_changes)

    async def _run_in_thread(self, job: Job, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        ended = asyncio.Event()
        try:
            return await run_in_thread(function, arguments, name=job.command.path, on_end=ended.set)
        except asyncio.CancelledError:
            # The thread goes on for nobody; until it returns it holds its slot.
            release = job.keep_slot()
            waiting = asyncio.create_task(ended.wait())
            self._threads.add(waiting)
            waiting.add_done_callback(lambda _: release())
            waiting.add_done_callback(self._threads.discard)
            raise

    async def _run_in_process(
        self, job: Job, body: FunctionBody, inputs: Mapping[str, Input], held: Confinement | None
    ) -> bytes:
        command, context = job.command, job.context()
        sent = protocol.Job(
            ref=body.ref,
            script=body.script,
            folder=body.folder,
            inputs={name: msgspec.Raw(json) for name, json in plain_texts(inputs).items()},
            absent={name: json.node for name, json in inputs.items() if isinstance(json, Absent)},
            run=command.run,
            path=command.path,
            attempt=command.attempt,
            idempotency_key=context.idempotency_key,
            failed_upstream=command.failed_upstream,
            log_level=logging.getLogger().getEffectiveLevel(),
            heartbeat_s=command.heartbeat_s,
            probe=command.probe,
            updates=job.returns_changes,
        )
        heartbeat = job.heartbeat
        return await self._pool.run(
            sent,
            sink=job.write,
            on_begin=heartbeat.begin if heartbeat is not None else None,
            on_beat=heartbeat.beat if heartbeat is not None else None,
            on_progress=context.progress,
            on_emit=lambda json: context.emit(codec.decode(json)),
            secret=context.secret,
            isolated=held,
            on_outcome=partial(record, job),
            on_sample=job.share.watch,
        )

    def _body(self, raw: msgspec.Raw) -> FunctionBody:
        text = bytes(raw)
        body = self._bodies.get(text)
        if body is None:
            if len(self._bodies) >= KEPT_BODIES:
                self._bodies.clear()
            body = self._bodies[text] = msgspec.json.decode(text, type=FunctionBody)
        return body


class ShellPerformer:
    """Performs programs.

    Args:
        groups: starts and ends them.
        warden: starts and ends those with limits.
        secrets: what ``secret://NAME`` in their environment stands for.
    """

    def __init__(self, groups: ProcessGroups, warden: Warden, secrets: Secrets) -> None:
        self._groups = groups
        self._warden = warden
        self._secrets = secrets

    async def __call__(self, job: Job) -> bytes:
        """Perform a node whose body is a program."""
        body = msgspec.json.decode(job.command.body, type=ShellBody)
        filled = {name: self._secrets.filled(text) for name, text in body.env.items()}
        held = held_to(job, _held(body))
        run = in_group(self._groups, partial(_spent, job)) if held is None else confined(held, self._warden, job)
        return codec.encode(await run_shell(body, await job.plain_inputs(), job.write, filled, run))


class HttpPerformer:
    """Performs requests.

    Args:
        client: keeps connections.
        secrets: what ``secret://NAME`` in headers stands for.
    """

    def __init__(self, client: HttpClient, secrets: Secrets) -> None:
        self._client = client
        self._secrets = secrets

    async def __call__(self, job: Job) -> bytes:
        """Perform a node whose body is a request."""
        body = msgspec.json.decode(job.command.body, type=HttpBody)
        headers = {name: self._secrets.filled(text) for name, text in body.headers.items()}
        filled = msgspec.structs.replace(body, headers=headers)
        with metered(partial(_count, job)):
            return codec.encode(await run_http(filled, await job.plain_inputs(), self._client))


def _count(job: Job) -> None:
    """A request is about to be made in this process."""
    job.share.request()
    add_usage(job.used, {REQUESTS: 1.0})


def _spent(job: Job, cpu_s: float, peak_memory_bytes: int | None) -> None:
    """A program has ended that is not held to anything."""
    used = {CPU: cpu_s} if peak_memory_bytes is None else {CPU: cpu_s, PEAK_MEMORY: float(peak_memory_bytes)}
    add_usage(job.used, used)


def _held(body: ShellBody) -> Confinement | None:
    """What a program is held to by its node; None is nothing."""
    if body.permissions is None and not body.limits.need_isolation:
        return None
    may = body.permissions or Permissions(network=None)
    return confinement(may, body.limits, body.cwd, best_effort=body.best_effort)
