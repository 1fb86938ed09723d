"""Who performs operations on the memory, and who undoes them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from clew import codec
from clew.engine.jobs import Job, plain_texts
from clew.engine.memories import MemoryOfVisit, query_of
from clew.errors import InvalidInputError, UnknownEntryError
from clew.graphs.body_data import MemoryBody
from clew.graphs.memories import CHANGING
from clew.journal.entries import Operation
from clew.kernel import addresses


class MemoryPerformer:
    """Performs operations on the memory."""

    async def __call__(self, job: Job) -> bytes:
        """Perform a node whose body is an operation on the memory, or a compensation that undoes one."""
        body = msgspec.json.decode(job.command.body, type=MemoryBody)
        visit = job.context().remembering
        if body.operation == "undo":
            path = body.path or addresses.undone(job.command.path)
            return codec.encode({"undone": await visit.take_back(path, body.step)})
        given = plain_texts(await job.inputs())
        if body.operation in CHANGING:
            return await self._change(visit, body.operation, given)
        if body.operation == "get":
            return await self._get(visit, given)
        return await self._search(visit, given)

    async def _change(self, visit: MemoryOfVisit, operation: Operation, given: dict[str, bytes]) -> bytes:
        namespace, key = _text(given, "namespace"), _text(given, "key")
        value = codec.decode(_needed(given, "value")) if operation != "delete" else None
        json = visit.memories.encoded(namespace, key, value)
        existed = await visit.change(operation, namespace, key, json.decode())
        return codec.encode({"namespace": namespace, "key": key, "existed": existed})

    async def _get(self, visit: MemoryOfVisit, given: dict[str, bytes]) -> bytes:
        namespace, key = _text(given, "namespace"), _text(given, "key")
        found = await visit.ask(visit.memories.journal.entry(namespace, key))
        if found is not None and found.data is not None:
            return found.data.encode()
        if "default" not in given:
            raise UnknownEntryError(
                f"the entry {key!r} of the memory {namespace!r} is not there; store it, or give a default"
            )
        return given["default"]

    async def _search(self, visit: MemoryOfVisit, given: dict[str, bytes]) -> bytes:
        wanted = {name: codec.decode(json) for name, json in given.items() if name != "namespace"}
        where: Any = wanted.pop("where", {})
        query = query_of(_text(given, "namespace"), where=where, **wanted)
        found = await visit.ask(visit.memories.search(query))
        shown = ("key", "value", "updated_at", "by")
        return codec.encode([{name: getattr(entry, name) for name in shown} for entry in found])


def _text(given: dict[str, bytes], name: str) -> str:
    """A name that is given; numbers are taken for text, so that an id may be a key."""
    value = codec.decode(_needed(given, name))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InvalidInputError(f"memory: {name} is text, not {value!r:.80}")
    return value


def _needed(given: dict[str, bytes], name: str) -> bytes:
    value = given.get(name, UNSET)
    if value is UNSET:
        raise InvalidInputError(
            f"memory: {name} comes from a node that has failed, or from a key that is not there"
        )
    return value
