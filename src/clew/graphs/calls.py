"""Calls of tools as bodies of nodes: ``graph.add(call(read_file, path=page))``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from clew.errors import InvalidInputError
from clew.graphs.arguments import argument_problems
from clew.graphs.bodies import Description, describe_function, is_importable
from clew.graphs.body_data import FunctionBody, ToolBody
from clew.graphs.drafts import Draft
from clew.graphs.limits import NO_LIMITS
from clew.graphs.servers import Server, server_problems
from clew.graphs.signatures import Signature, signature_of
from clew.graphs.tools import Isolation, Tool, tool_of
from clew.kernel.definition import OnInterrupt
from clew.kernel.values import Binding

_ASYNC = "an asynchronous function runs in the loop or in a process of its own; leave isolation out"
_NOT_FOUND = (
    "its function runs in a process of its own, which cannot find this one (a lambda, a function inside a "
    "function, or one of an interactive session); define it at the top of a module"
)


def call(tool: Tool | Callable[..., Any], /, **arguments: Any) -> Description:
    """Describe a call of a tool, to be the body of a node or a compensation; its output is what the tool returns.

    A call whose process died is made again if its effects are ``none`` or ``idempotent``, or if it may neither
    write nor connect nor start programs; otherwise it fails, unless the node says `on_interrupt` or `probe`.

    Args:
        tool: a tool, or a function as one.
        **arguments: by name: constants, text with ``{{ … }}`` in it, and in a `Graph` also handles. Constants are
            checked before anything runs, everything else when it is known.
    """
    return _described(tool_of(tool), arguments)


def rehearse(tool: Tool | Callable[..., Any], /, **arguments: Any) -> Description:
    """Describe the dry run of a tool, like `call`: nothing happens, and the output tells what would.

    Raises:
        InvalidInputError: the tool has no dry run.
    """
    made = tool_of(tool)
    if made.dry_run is None:
        raise InvalidInputError(f"the tool {made.name} has no dry run; give it one by tool(dry_run=...)")
    return _described(made, arguments, made.dry_run)


def on_interrupt_of(tool: Tool) -> OnInterrupt:
    """What becomes of a call whose process died: effects are not guessed."""
    may = tool.permissions
    acts = may.write != () or may.network != () or may.shell
    return OnInterrupt.FAIL if acts and tool.effects == "unknown" else OnInterrupt.RETRY


def isolation_of(tool: Tool) -> Isolation:
    """Where a tool runs: as it says, or else where it does no harm to others."""
    if tool.isolation is not None:
        return tool.isolation
    if tool.limits.need_isolation or (tool.permissions.shell and tool.server is None):
        return "process"
    return "loop" if tool.function is not None and signature_of(tool.function).is_async else "thread"


def call_problems(draft: Draft) -> Iterator[tuple[str, str]]:
    """What is wrong with the call of a tool that a node makes, and with that of its compensation."""
    body, how = draft.body, draft.options.undoing
    if isinstance(body, Description):
        given = draft.inputs if draft.stored_inputs is None else draft.stored_inputs
        arguments = {name: value for name, value in given.items() if name in body.inputs}
        yield from _problems(body, arguments, "", draft.options.timeout)
        yield from _probe_problems(body, draft.options.probe)
    if how is not None and isinstance(how.body, Description) and draft.undo is not None:
        yield from _problems(how.body, draft.undo.inputs, "compensate", how.timeout)


def _probe_problems(body: Description, probe: Callable[..., Any] | None) -> Iterator[tuple[str, str]]:
    """A probe whose inputs the tool would take for arguments."""
    if body.kind != "tool" or not callable(probe) or body.schema.get("additionalProperties", True) is False:
        return
    for name in signature_of(probe).parameters:
        if name not in body.inputs:
            yield f"probe.{name}", "the tool takes arguments of any name; so its probe can take nothing but these"


def _described(tool: Tool, arguments: Mapping[str, Any], dry_run: Callable[..., Any] | None = None) -> Description:
    function = dry_run or tool.function
    signature = signature_of(function) if function is not None else None
    read_off = function is not None and dry_run is None and tool_of(function).parameters == tool.parameters
    isolation = isolation_of(tool) if dry_run is None else _dry_isolation(signature)
    return Description(
        kind="tool",
        body=ToolBody(
            name=tool.name,
            function=_function_body(function, signature, tool.name),
            server=tool.server,
            remote=tool.remote,
            ask_first=tool.ask_first,
            parameters={} if read_off else dict(tool.parameters),
            permissions=tool.permissions,
            effects=tool.effects,
            isolation=isolation,
            limits=tool.limits if dry_run is None else NO_LIMITS,
            best_effort=tool.best_effort,
            folder=tool.folder,
            dry_run=dry_run is not None,
        ),
        inputs=dict(arguments),
        timeout_s=tool.server.timeout_s if tool.server is not None else None,
        on_interrupt=OnInterrupt.RETRY if dry_run is not None else on_interrupt_of(tool),
        function=function,
        signature=signature,
        schema=tool.parameters,
        problems=(*_problems_of(tool, function, signature, isolation),),
    )


def _dry_isolation(signature: Signature | None) -> Isolation:
    return "loop" if signature is not None and signature.is_async else "thread"


def _function_body(
    function: Callable[..., Any] | None, signature: Signature | None, name: str
) -> FunctionBody | None:
    if function is None or signature is None:
        return None
    return describe_function(function, f"tool/{name}", is_async=signature.is_async)


def _problems_of(
    tool: Tool, function: Callable[..., Any] | None, signature: Signature | None, isolation: Isolation
) -> Iterator[str]:
    if tool.server is not None:
        yield from _server_problems(tool, tool.server, isolation)
        return
    if function is None or signature is None:
        yield "it has neither a function nor a server that could be called by a node"
        return
    if tool.limits.need_isolation and isolation != "process":
        names = ", ".join(name for name, _ in tool.limits.given())
        yield f"its limits ({names}) need a process of its own; leave isolation out"
    if signature.is_async and isolation == "thread":
        yield _ASYNC


def _server_problems(tool: Tool, server: Server, isolation: Isolation) -> Iterator[str]:
    for where, why in server_problems(server):
        yield ": ".join(("its server", *where, why))
    if isolation == "process":
        yield "it runs in its server, which is held to no rights and limits here; leave them out"
    if tool.function is not None:
        yield "it has a function and a server; leave one of the two out"


def _problems(
    body: Description, inputs: Mapping[str, Binding], owner: str, timeout: float | None
) -> Iterator[tuple[str, str]]:
    if not isinstance(body.body, ToolBody):
        return
    for problem in body.problems:
        yield owner, f"tool {body.body.name!r}: {problem}"
    where = body.body.function
    if where is not None and not is_importable(where):
        apart = body.body.isolation == "process" or (timeout is not None and not where.is_async)
        if apart and not body.problems:
            yield owner, f"tool {body.body.name!r}: {_NOT_FOUND}"
    for name, sentence in argument_problems(body.schema, inputs):
        yield ".".join(filter(None, (owner, name))), sentence
