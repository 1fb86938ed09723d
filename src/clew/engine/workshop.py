"""Where bodies are performed: in the loop, in a thread, in a killable process, as a program, over HTTP.

A performer takes a started attempt and returns its output as JSON text, or raises what went wrong. What they
have in common (inputs, secrets, limits of size) is done once, here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from clew import codec
from clew.bodies.errors import error_info
from clew.bodies.functions import Signature, find
from clew.bodies.groups import ProcessGroups
from clew.bodies.http import HttpClient, run_http
from clew.bodies.probes import encode_result, output_of_probe
from clew.bodies.shell import run_shell
from clew.engine.context import BodyContext
from clew.engine.definitions import Known
from clew.engine.heartbeats import Heartbeat
from clew.engine.inputs import InputReader, refuse_large, store
from clew.engine.logbook import LogBook
from clew.engine.secrets import Secrets
from clew.engine.tooling import INVOCATIONS, arguments_of, tool_body
from clew.errors import InvalidInputError, LostValueError, StorageError, UnresolvedBodyError
from clew.graphs.bodies import FunctionBody, HttpBody, ShellBody
from clew.graphs.functions_of import functions_of
from clew.graphs.tools import Isolation
from clew.journal.port import Journal
from clew.journal.records import Blob
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.cells import text_of
from clew.kernel.resolve import with_output
from clew.kernel.values import Absent, Binding, Literal, Value, View
from clew.kernel.values import Known as KnownValue
from clew.kernel.writes import Update
from clew.workers import capture, protocol
from clew.workers.processes import ProcessPool
from clew.workers.threads import run_in_thread

Functions = Mapping[str, Callable[..., Any]]
#: An input of a body: JSON text, or what is not there, or a state.
Input = bytes | Absent | View

#: Descriptions of functions that are kept decoded.
KEPT_BODIES = 10_000
#: Items that one map may have.
MAX_ITEMS = 1_000_000
#: Characters of an exclusive key.
MAX_EXCLUSIVE = 1_000


@dataclass(slots=True)
class Job:
    """An attempt as a performer sees it.

    Attributes:
        command: what was started.
        functions: those of the graph object, by reference.
        context: makes the body's way to the engine, once.
        write: takes pieces of output, with the name of their stream.
        keep_slot: called when the attempt ends although something of it goes on; its result gives the slot back.
        read: the JSON text of an input.
        heartbeat: watches the body, once it is entered.
        used: what has been measured of it, as for `events.UsageRecorded`.
    """

    command: c.StartAttempt
    functions: Functions
    context: Callable[[], BodyContext]
    write: Callable[[str, str], None]
    keep_slot: Callable[[], Callable[[], None]]
    read: Callable[[Binding], Awaitable[bytes]]
    heartbeat: Heartbeat | None = None
    used: dict[str, float] = field(default_factory=dict[str, float])


class Workshop:
    """Performs the bodies of one engine."""

    def __init__(self, journal: Journal, logbook: LogBook, secrets: Secrets, *, processes: int, tee: bool) -> None:
        self.reader = InputReader(journal)
        self.logbook = logbook
        self.secrets = secrets
        self._tee = tee
        self._bodies: dict[bytes, FunctionBody] = {}
        self._groups = ProcessGroups()
        self._pool = ProcessPool(processes, self._groups)
        self._http = HttpClient()
        self._performers: dict[str, Callable[[Job], Awaitable[bytes]]] = {
            "function": self._function,
            "shell": self._shell,
            "http": self._request,
            "tool": self._tool,
        }
        #: Threads whose attempt is over, by the task that waits for them.
        self._threads: set[asyncio.Task[Any]] = set()
        #: Bodies that were told to stop and belong to no run any more.
        self._left: set[asyncio.Task[None]] = set()
        #: Is cancelled by whoever cancels all tasks of the loop, as the end of a program does.
        self._canary = asyncio.create_task(asyncio.Event().wait(), name="the loop goes on")
        capture.install()

    @property
    def is_ending(self) -> bool:
        """Whether the program ends with its engine open: that a body is cancelled then says nothing about it."""
        return self._canary.cancelling() > 0

    def left_over(self, body: asyncio.Task[None]) -> None:
        """A body was told to stop, and its run does not wait for it."""
        self._left.add(body)
        body.add_done_callback(self._left.discard)

    async def wait_left(self, patience_s: float) -> None:
        """Until all bodies that were told to stop have ended, or patience has."""
        if self._left:
            await asyncio.wait(self._left, timeout=patience_s)

    async def close(self) -> None:
        """End the processes and connections that were kept for the next attempt."""
        ending = {self._canary, *self._threads}
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        capture.uninstall()
        await self._pool.close()
        await self._http.aclose()
        self._groups.close()

    async def perform(self, job: Job) -> bytes | None:
        """The output of an attempt, as JSON text; None if a probe has found that there is none."""
        command = job.command
        if command.exclusive is not None:
            await self._take_key(job, command.exclusive)
        json: bytes | None = await self._performers[command.kind](job)
        if command.probe:
            json = output_of_probe(json)
        if json is not None and command.updates and not _returns_changes(command):
            json = await self._changes(command, json)
        if json is not None:
            refuse_large(json)
            self.secrets.refuse(json)
        return json

    async def _changes(self, command: c.StartAttempt, output: bytes) -> bytes:
        """What a body that does not return changes of the state writes to it, as its node says."""
        told = Literal(msgspec.Raw(output))
        sets = {key: with_output(binding, told) for key, binding in command.sets.items()}
        changes = {key: msgspec.Raw(await self.reader.read(binding)) for key, binding in sets.items()}
        return msgspec.json.encode(Update(changes=changes))

    async def find_out(
        self, command: c.ExpandMap | c.Gather, functions: Functions
    ) -> tuple[s.MapExpanded | s.Gathered, list[Blob]]:
        """The items of a map and their keys; or what a part of a state graph starts with, or returned.

        Raises:
            StorageError: the journal failed, which says nothing about the run.
        """
        try:
            if isinstance(command, c.ExpandMap):
                return await self._expand(command, functions)
            json = await self.reader.read(command.of)
            refuse_large(json)
            return s.Gathered(path=command.path, json=msgspec.Raw(json)), []
        except Exception as error:
            if isinstance(error, StorageError) and not isinstance(error, LostValueError):
                raise
            info = error_info(error, mask=self.secrets.mask)
            kind = s.MapExpanded if isinstance(command, c.ExpandMap) else s.Gathered
            return kind(path=command.path, error=info), []

    async def _expand(self, command: c.ExpandMap, functions: Functions) -> tuple[s.MapExpanded, list[Blob]]:
        json = await self.reader.read(command.over)
        items = _list(json)
        keys = await self._keys(command.map.key, items, functions) if command.map.key else ()
        # Another node's stored output is read again by reference; anything put together is stored once, here.
        value, data = (None, None) if isinstance(command.over, KnownValue) else store(json)
        blobs = [Blob(value.blob, data)] if value is not None and data is not None else []
        return s.MapExpanded(path=command.path, count=len(items), keys=keys, items=value), blobs

    def missing(self, known: Known) -> list[str]:
        """What of a graph's functions cannot be found here, each with what to do."""
        problems: list[str] = []
        for body in functions_of(known.topology.spec):
            try:
                find(body, known.functions)
            except UnresolvedBodyError as error:
                problems.append(str(error))
        return problems

    def store_inputs(
        self, given: Mapping[str, bytes], *, inline: bool = False
    ) -> tuple[dict[str, Value], list[Blob]]:
        """References to a run's inputs, and the blobs to store with them; none if they are to be `inline`."""
        if inline:
            return {name: Value(json=msgspec.Raw(json)) for name, json in given.items()}, []
        values: dict[str, Value] = {}
        blobs: list[Blob] = []
        for name, json in given.items():
            values[name], data = store(json)
            if data is not None:
                blobs.append(Blob(values[name].blob, data))
        return values, blobs

    async def _take_key(self, job: Job, exclusive: Binding) -> None:
        """Wait until the node's exclusive key is its own; the body is entered after that."""
        context = job.context()
        if not context.has_key:
            await context.take_key(_key_text(await job.read(exclusive)))

    # ------------------------------------------------------------------ performers

    async def _function(self, job: Job) -> bytes:
        """A Python function."""
        return await self._run(job, self._function_body(job.command.body), await self._inputs(job))

    async def _tool(self, job: Job) -> bytes:
        """A tool: its function, with arguments that fit."""
        call = tool_body(job.command.body)
        assert call.function is not None
        given = arguments_of(call, find(call.function, job.functions), await self._inputs(job))
        job.used[INVOCATIONS] = 1.0
        return await self._run(job, call.function, given, call.isolation)

    async def _run(
        self, job: Job, body: FunctionBody, inputs: Mapping[str, Input], isolation: Isolation = "thread"
    ) -> bytes:
        """Run a function: in the loop; if it is synchronous in a thread, or in a process that can be killed."""
        command = job.command
        is_limited = command.timeout_s is not None or command.heartbeat_s is not None
        if not body.is_async and (is_limited or isolation == "process"):
            return await self._in_process(job, body, inputs)
        function = find(body, job.functions)
        signature = Signature.of(function)
        arguments = signature.bind(signature.wanted(inputs) if command.probe else inputs)
        if signature.context:
            arguments[signature.context] = job.context()
        if job.heartbeat is not None:
            job.heartbeat.begin()
        with capture.captured(job.write, tee=self._tee):
            if body.is_async:
                value = await function(**arguments)
            elif isolation == "loop":
                value = function(**arguments)
            else:
                value = await self._in_thread(job, function, arguments)
        return encode_result(value, probe=command.probe, updates=_returns_changes(command))

    async def _in_thread(self, job: Job, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
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

    async def _in_process(self, job: Job, body: FunctionBody, inputs: Mapping[str, Input]) -> bytes:
        command, context = job.command, job.context()
        sent = protocol.Job(
            ref=body.ref,
            script=body.script,
            folder=body.folder,
            inputs={name: msgspec.Raw(json) for name, json in self._plain_texts(inputs).items()},
            absent={name: json.node for name, json in inputs.items() if isinstance(json, Absent)},
            run=command.run,
            path=command.path,
            attempt=command.attempt,
            idempotency_key=context.idempotency_key,
            failed_upstream=command.failed_upstream,
            log_level=logging.getLogger().getEffectiveLevel(),
            heartbeat_s=command.heartbeat_s,
            probe=command.probe,
            updates=_returns_changes(command),
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
        )

    async def _shell(self, job: Job) -> bytes:
        """A program."""
        body = msgspec.json.decode(job.command.body, type=ShellBody)
        filled = {name: self._filled(text) for name, text in body.env.items()}
        inputs = await self._plain_inputs(job)
        return codec.encode(await run_shell(body, inputs, job.write, filled, self._groups))

    async def _request(self, job: Job) -> bytes:
        """An HTTP request."""
        body = msgspec.json.decode(job.command.body, type=HttpBody)
        headers = {name: self._filled(text) for name, text in body.headers.items()}
        inputs = await self._plain_inputs(job)
        return codec.encode(await run_http(msgspec.structs.replace(body, headers=headers), inputs, self._http))

    # ------------------------------------------------------------------ small things

    async def _inputs(self, job: Job) -> dict[str, Input]:
        inputs: dict[str, Input] = {}
        for name, binding in job.command.inputs.items():
            if isinstance(binding, Absent | View):
                inputs[name] = binding
            else:
                inputs[name] = await job.read(binding)
        return inputs

    async def _plain_inputs(self, job: Job) -> dict[str, Any]:
        inputs = self._plain_texts(await self._inputs(job))
        return {name: codec.decode(json) for name, json in inputs.items()}

    def _plain_texts(self, inputs: Mapping[str, Input]) -> dict[str, bytes]:
        """The JSON text of inputs that are there; of a state, all of it."""
        whole = {name: bytes(text_of(v.cells)) for name, v in inputs.items() if isinstance(v, View)}
        return whole | {name: json for name, json in inputs.items() if isinstance(json, bytes)}

    def _filled(self, text: str) -> str:
        return codec.decode(self.secrets.fill(codec.encode(text)))

    async def _keys(self, key: str, items: list[msgspec.Raw], functions: Functions) -> tuple[str, ...]:
        """The names of a map's items: a field of each, or what a function says of it."""
        if ":" in key:
            function = find(FunctionBody(key), functions)
            declared = Signature.of(function).declared.parameters
            # Builtins like `str` may tell nothing of their parameters: they get plain data.
            hint = next(iter(declared.values())).hint if declared else Any
            named = [function(codec.decode(item, hint)) for item in items]
        else:
            named = [_field(item, key, number) for number, item in enumerate(items)]
        keys = tuple(str(name) for name in named)
        seen: dict[str, int] = {}
        for number, name in enumerate(keys):
            if name in seen:
                raise InvalidInputError(f"items {seen[name]} and {number} of the map have the same key {name!r}")
            seen[name] = number
        return keys

    def _function_body(self, raw: msgspec.Raw) -> FunctionBody:
        text = bytes(raw)
        body = self._bodies.get(text)
        if body is None:
            if len(self._bodies) >= KEPT_BODIES:
                self._bodies.clear()
            body = self._bodies[text] = msgspec.json.decode(text, type=FunctionBody)
        return body


def _returns_changes(command: c.StartAttempt) -> bool:
    """Whether a body says itself what changes in the state of its state graph."""
    return command.updates and not command.sets and command.kind == "function"


def _list(json: bytes) -> list[msgspec.Raw]:
    try:
        items = msgspec.json.decode(json, type=list[msgspec.Raw])
    except msgspec.DecodeError:
        shown = json[:60].decode(errors="replace")
        raise InvalidInputError(f"a map runs over a list, and this is none: {shown}") from None
    if len(items) > MAX_ITEMS:
        raise InvalidInputError(f"{len(items)} items are more than a map may have ({MAX_ITEMS}); split the list")
    return items


def _key_text(json: bytes) -> str:
    key = codec.decode(json)
    text = "" if isinstance(key, bool) or not isinstance(key, str | int | float) else str(key)
    if not 0 < len(text) <= MAX_EXCLUSIVE:
        shown = json[:60].decode(errors="replace")
        raise InvalidInputError(
            f"exclusive: a key is a number, or text of 1 to {MAX_EXCLUSIVE} characters, but not {shown}"
        )
    return text


def _field(item: msgspec.Raw, key: str, number: int) -> Any:
    value = codec.decode(item)
    if not isinstance(value, dict) or key not in value:
        raise InvalidInputError(f"item {number} of the map has no field {key!r} to be named by")
    return cast("dict[str, Any]", value)[key]
