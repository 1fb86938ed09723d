"""Where bodies are performed: in the loop, in a thread, in a killable process, as a program, over HTTP.

A performer takes a started attempt and returns its output as JSON text, or raises what went wrong. What they
have in common (inputs, secrets, limits of size) is done once, here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from clew import codec
from clew.bodies import servers
from clew.bodies.errors import error_info
from clew.bodies.functions import find
from clew.bodies.groups import ProcessGroups
from clew.bodies.http import HttpClient
from clew.bodies.probes import output_of_probe
from clew.engine.definitions import Known
from clew.engine.expanding import expand
from clew.engine.inputs import InputReader, refuse_large, store
from clew.engine.jobs import Functions, Job, Performer
from clew.engine.logbook import LogBook
from clew.engine.memories import Memories
from clew.engine.pausing import AskPerformer, WaitPerformer
from clew.engine.performers import FunctionPerformer, HttpPerformer, ShellPerformer
from clew.engine.remembering import MemoryPerformer
from clew.engine.restoring import RestorePerformer, record_before
from clew.engine.secrets import Secrets
from clew.engine.serving import RemoteCalls
from clew.engine.tooling import ToolPerformer
from clew.errors import InvalidInputError, LostValueError, StorageError, UnresolvedBodyError
from clew.graphs.functions_of import functions_of, servers_of, unasked_calls
from clew.journal.records import Blob
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.resolve import with_output
from clew.kernel.values import Binding, Literal, Value
from clew.kernel.writes import Update
from clew.workers.isolation.warden import Warden
from clew.workers.processes import ProcessPool

#: Characters of an exclusive key.
MAX_EXCLUSIVE = 1_000


class Workshop:
    """Performs the bodies of one engine."""

    def __init__(
        self, memories: Memories, logbook: LogBook, secrets: Secrets, *, processes: int, tee: bool
    ) -> None:
        self.memories = memories
        self.reader = InputReader(memories.journal)
        self.logbook = logbook
        self.secrets = secrets
        self._groups = ProcessGroups()
        self._warden = Warden()
        self._pool = ProcessPool(processes, self._groups, warden=self._warden)
        self._http = HttpClient()
        self._functions = FunctionPerformer(self._pool, tee=tee)
        self._remote = RemoteCalls(self._groups, secrets)
        self._performers: dict[str, Performer] = {
            "function": self._functions,
            "shell": ShellPerformer(self._groups, self._warden, secrets),
            "http": HttpPerformer(self._http, secrets),
            "tool": ToolPerformer(self._functions, self._remote),
            "ask": AskPerformer(),
            "wait": WaitPerformer(),
            "memory": MemoryPerformer(),
            "restore": RestorePerformer(),
        }
        #: Bodies that were told to stop and belong to no run any more.
        self._left: set[asyncio.Task[None]] = set()
        #: Is cancelled by whoever cancels all tasks of the loop, as the end of a program does.
        self._canary = asyncio.create_task(asyncio.Event().wait(), name="the loop goes on")

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
        self._canary.cancel()
        await asyncio.gather(self._canary, return_exceptions=True)
        await self._functions.close()
        await self._remote.close()
        await self._pool.close()
        await self._warden.close()
        await self._http.aclose()
        self._groups.close()

    async def perform(self, job: Job) -> bytes | None:
        """The output of an attempt, as JSON text; None if a probe has found that there is none."""
        command = job.command
        if command.exclusive is not None:
            await self._take_key(job, command.exclusive)
        await record_before(job, self.secrets)
        json: bytes | None = await self._performers[command.kind](job)
        if command.probe:
            json = output_of_probe(json)
        if json is not None and command.updates and not job.returns_changes:
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
                return await expand(command, functions, self.reader)
            json = await self.reader.read(command.of)
            refuse_large(json)
            return s.Gathered(path=command.path, json=msgspec.Raw(json)), []
        except Exception as error:
            if isinstance(error, StorageError) and not isinstance(error, LostValueError):
                raise
            info = error_info(error, mask=self.secrets.mask)
            kind = s.MapExpanded if isinstance(command, c.ExpandMap) else s.Gathered
            return kind(path=command.path, error=info), []

    def missing(self, known: Known) -> list[str]:
        """What of a graph's functions cannot be found here, each with what to do."""
        problems: list[str] = []
        for body in functions_of(known.topology.spec):
            try:
                find(body, known.functions)
            except UnresolvedBodyError as error:
                problems.append(str(error))
        asked = {server.name for server in servers_of(known.topology.spec)}
        return problems + [problem for name in sorted(asked) if (problem := servers.missing(name))]

    async def problems_at_servers(self, known: Known) -> list[str]:
        """What servers say is wrong with the calls of their tools in a graph; see `RemoteCalls.problems`."""
        spec = known.topology.spec
        if known.asks is None:
            known.asks = any(True for _ in unasked_calls(spec))
        return await self._remote.problems(spec) if known.asks else []

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


def _key_text(json: bytes) -> str:
    key = codec.decode(json)
    text = "" if isinstance(key, bool) or not isinstance(key, str | int | float) else str(key)
    if not 0 < len(text) <= MAX_EXCLUSIVE:
        shown = json[:60].decode(errors="replace")
        raise InvalidInputError(
            f"exclusive: a key is a number, or text of 1 to {MAX_EXCLUSIVE} characters, but not {shown}"
        )
    return text
