"""Calls of tools: their arguments looked at, the call counted, and the function run where the tool says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from clew import codec
from clew.bodies.errors import BodyError
from clew.bodies.functions import Signature, find
from clew.engine.allowance import INVOCATIONS
from clew.engine.confining import confinement
from clew.engine.jobs import Input, Job
from clew.engine.performers import FunctionPerformer
from clew.engine.preconditions import Preconditions
from clew.engine.serving import RemoteCalls
from clew.errors import InvalidInputError, UnresolvedBodyError
from clew.graphs.arguments import misfits
from clew.graphs.body_data import ToolBody
from clew.graphs.tool_schema import parameters_of
from clew.kernel.values import Absent, ErrorInfo
from clew.workers.isolation.confinement import Confinement


class ToolPerformer:
    """Performs calls of tools.

    Args:
        functions: runs those that are here.
        remote: calls those of servers.
    """

    def __init__(self, functions: FunctionPerformer, remote: RemoteCalls) -> None:
        self._functions = functions
        self._remote = remote
        self._preconditions = Preconditions(functions)

    async def __call__(self, job: Job) -> bytes:
        """Perform a call, with arguments that fit."""
        call = tool_body(job.command.body)
        function = find(call.function, job.functions) if call.function is not None else None
        inputs = await job.inputs()
        if call.checks:
            inputs = await self._preconditions.hold(job, call, inputs)
        given = arguments_of(call, function, inputs)
        job.share.call(call.limits.tool_invocations)
        job.used[INVOCATIONS] = 1.0
        if call.function is None:
            return await self._remote(job, call, given)
        return await self._functions.run(
            job, call.function, given, in_loop=call.isolation == "loop", held=_confinement_of(call)
        )


def _confinement_of(call: ToolBody) -> Confinement | None:
    """What a call is held to; None if it is made in a process of others."""
    if call.isolation != "process":
        return None
    may = call.permissions
    return confinement(may, call.limits, call.folder, best_effort=call.best_effort, programs=may.shell)


def arguments_of(
    body: ToolBody, function: Callable[..., Any] | None, inputs: Mapping[str, Input]
) -> dict[str, Input]:
    """The arguments of a call, held against what the tool takes.

    Args:
        body: the call.
        function: of the tool; None for one of a server.
        inputs: of the node; what only its probe takes is left out.

    Raises:
        InvalidInputError: everything that does not fit, with its path.
        BodyError: ``dependency failed``: a required argument comes from a node that failed.
    """
    names, required, takes_any = _taken(body, function)
    given = {name: value for name, value in inputs.items() if takes_any or name in names}
    for name, value in given.items():
        if isinstance(value, Absent) and name in required:
            raise BodyError(_without(body.name, name, value.node))
    schema = body.parameters
    if schema or (function is not None and not _fits(function, given)):
        values = {name: codec.decode(value) for name, value in given.items() if isinstance(value, bytes)}
        if found := misfits(schema or (parameters_of(function) if function is not None else {}), values):
            told = "; ".join(f"{path}: {why}" if path else why for path, why in found)
            raise InvalidInputError(f"arguments of {body.name}: {told}")
    return given


def _taken(body: ToolBody, function: Callable[..., Any] | None) -> tuple[Collection[str], Collection[str], bool]:
    """The arguments that there are, those of them that have to be given, and whether there may be others."""
    schema = body.parameters
    if schema or function is None:
        takes_any = schema.get("additionalProperties", True) is not False
        return schema.get("properties") or (), schema.get("required") or (), takes_any
    declared = Signature.of(function).declared
    required = {name for name, parameter in declared.parameters.items() if parameter.required}
    return declared.parameters, required, declared.takes_any


def tool_body(raw: msgspec.Raw) -> ToolBody:
    """The call that is stored with a node.

    Raises:
        UnresolvedBodyError: this process cannot call it.
    """
    body = msgspec.json.decode(raw, type=ToolBody)
    if body.function is None and body.server is None:
        raise UnresolvedBodyError(f"the tool {body.name} has no function that could be called here")
    return body


def _fits(function: Callable[..., Any], given: Mapping[str, Input]) -> bool:
    """Whether a function takes these arguments; quicker than its schema, but not as clear when it does not."""
    try:
        Signature.of(function).bind(given)
    except InvalidInputError:
        return False
    return True


def _without(tool: str, name: str, node: str) -> ErrorInfo:
    return ErrorInfo(
        type="dependency failed",
        message=f"the argument {name!r} of {tool} comes from the node {node}, which has failed",
        classes=("Exception",),
        retryable=False,
    )
