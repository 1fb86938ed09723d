"""Calls of tools: their arguments looked at, the call counted, and the function run where the tool says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from clew import codec
from clew.bodies.errors import BodyError
from clew.bodies.functions import Signature, find
from clew.engine.jobs import Job
from clew.engine.performers import FunctionPerformer
from clew.errors import InvalidInputError, UnresolvedBodyError
from clew.graphs.arguments import misfits
from clew.graphs.body_data import ToolBody
from clew.graphs.tool_schema import parameters_of
from clew.kernel.values import Absent, ErrorInfo, View

#: What is measured of an attempt that calls a tool.
INVOCATIONS = "tool_invocations"


class ToolPerformer:
    """Performs calls of tools.

    Args:
        functions: runs them.
    """

    def __init__(self, functions: FunctionPerformer) -> None:
        self._functions = functions

    async def __call__(self, job: Job) -> bytes:
        """Perform a call, with arguments that fit."""
        call = tool_body(job.command.body)
        assert call.function is not None
        given = arguments_of(call, find(call.function, job.functions), await job.inputs())
        job.used[INVOCATIONS] = 1.0
        return await self._functions.run(job, call.function, given, call.isolation)


def arguments_of(
    body: ToolBody, function: Callable[..., Any], inputs: Mapping[str, bytes | Absent | View]
) -> dict[str, bytes | Absent | View]:
    """The arguments of a call, held against what the tool takes.

    Args:
        body: the call.
        function: of the tool.
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
    if body.parameters or not _fits(function, given):
        values = {name: codec.decode(value) for name, value in given.items() if isinstance(value, bytes)}
        if found := misfits(body.parameters or parameters_of(function), values):
            told = "; ".join(f"{path}: {why}" if path else why for path, why in found)
            raise InvalidInputError(f"arguments of {body.name}: {told}")
    return given


def _taken(body: ToolBody, function: Callable[..., Any]) -> tuple[Collection[str], Collection[str], bool]:
    """The arguments that there are, those of them that have to be given, and whether there may be others."""
    schema = body.parameters
    if schema:
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
    if body.function is None:
        raise UnresolvedBodyError(f"the tool {body.name} has no function that could be called here")
    return body


def _fits(function: Callable[..., Any], given: Mapping[str, bytes | Absent | View]) -> bool:
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
