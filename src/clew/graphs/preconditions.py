"""What has to hold right before a step calls its tool: a file, a program, a right, a resource, ..."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clew.errors import InvalidInputError
from clew.graphs.bodies import describe_function, holds_expression, name_of
from clew.graphs.body_data import CheckBody, CheckKind, ToolBody, input_name
from clew.graphs.handles import Handle
from clew.graphs.limits import NO_LIMITS, Limits, limits_of
from clew.graphs.names import did_you_mean, listed
from clew.graphs.permissions import Permissions, excess, permissions_of
from clew.graphs.signatures import signature_of
from clew.graphs.tools import Tool, Tools, tool_of

#: What can be asked of a machine.
MEASURED = ("memory_bytes", "disk_bytes", "cores")
#: What a check is about, by the words of `check` and of files.
KINDS: tuple[CheckKind, ...] = ("file", "program", "tool", "permission", "resource", "run")

_NOTHING = Permissions(read=(), write=(), network=(), shell=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What has to hold right before a step; made by `check`.

    Attributes:
        kind: what it is about.
        name: the path, or the name of a program or tool.
        permissions: what has to be possible.
        limits: what has to be free.
        function: that says whether it holds.
        arguments: of the function.
        required: the step fails if it does not hold.
        message: what is said if it does not hold.
    """

    kind: CheckKind
    name: Any = ""
    permissions: Permissions | None = None
    limits: Limits = NO_LIMITS
    function: Callable[..., Any] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    required: bool = True
    message: str = ""

    def given(self, number: int) -> Iterator[tuple[str, Any]]:
        """What depends on the run: names of inputs of the node, and what they are."""
        if _is_open(self.name):
            yield input_name(number), self.name
        for name, value in self.arguments.items():
            yield input_name(number, name), value

    def body(self, owner: str) -> CheckBody:
        """What is stored of it; `owner` tells its function apart from others."""
        function, name = self.function, "" if _is_open(self.name) else str(self.name)
        return CheckBody(
            kind=self.kind,
            name=name_of(function)[1] if function is not None and self.kind == "run" else name,
            permissions=self.permissions,
            limits=self.limits,
            function=_function_body(function, owner),
            required=self.required,
            message=self.message,
        )


def check(
    function: Callable[..., Any] | None = None,
    /,
    *,
    file: str | Handle | None = None,
    program: str | Handle | None = None,
    tool: str | Tool | Callable[..., Any] | None = None,
    permission: Permissions | Mapping[str, Any] | None = None,
    resource: Limits | Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    required: bool = True,
    message: str = "",
) -> Check:
    """Say what has to hold right before each attempt of a step: just one of the first six.

    Args:
        function: says whether it does: it returns True or nothing if so, and False, or text that says why, if not.
        file: a file or folder is there; relative to where the step runs.
        program: a program can be started.
        tool: a tool can be called: its function is found.
        permission: places that can be read and written, hosts, programs: the step's tool may, and the machine
            allows it.
        resource: what is free: ``memory_bytes``, ``disk_bytes`` (where the step runs), ``cores``.
        arguments: what the function is given by name; like `file` and `program`, they may hold expressions and
            handles.
        required: the step fails if it does not hold; otherwise a line of its log says so.
        message: what is said if it does not hold.

    Raises:
        InvalidInputError: not just one is given, or it cannot be that.
    """
    values: dict[CheckKind, Any] = dict(
        zip(KINDS, (file, program, tool, permission, resource, function), strict=True)
    )
    given: list[CheckKind] = [kind for kind, value in values.items() if value is not None]
    if len(given) != 1:
        has = f"it has {listed(given, last='and')}" if given else "it has none of them"
        raise InvalidInputError(f"a check has just one of {listed(KINDS)}; {has}")
    kind = given[0]
    if arguments and kind != "run":
        raise InvalidInputError("the arguments of a check are those of its function; leave them out")
    if function is not None and not callable(function):  # pyright: ignore[reportUnnecessaryComparison]
        raise InvalidInputError(f"a check by itself is a function, not {function!r:.60}; name what it is about")
    return Check(
        kind=kind,
        name=next((value for value in (file, program, tool) if value is not None), ""),
        permissions=None if permission is None else _permissions(permission),
        limits=limits_of(resource),
        function=function,
        arguments=dict(arguments or {}),
        required=required,
        message=message,
    )


def resolved(given: Check, tools: Tools) -> Check:
    """A check whose tool is found in a registry.

    Raises:
        InvalidInputError: there is no such tool, or it is not called here.
    """
    if given.kind != "tool":
        return given
    found = tools.get(given.name) if isinstance(given.name, str) else tool_of(given.name)
    if found.function is None:
        raise InvalidInputError(f"the tool {found.name} is one of a server, which is asked when it is called")
    return Check(
        kind="tool", name=found.name, function=found.function, required=given.required, message=given.message
    )


def check_problems(given: Check, body: ToolBody) -> Iterator[str]:
    """What is wrong with a check before anything runs.

    Args:
        given: the check.
        body: the call that it is made before.
    """
    if given.kind in ("file", "program") and not given.name:
        yield f"the {given.kind} is named by text, and is empty"
    for name, _ in given.limits.given():
        if name not in MEASURED:
            yield f"{name} cannot be measured; {listed(MEASURED)} can"
    if given.kind == "resource" and given.limits == NO_LIMITS:
        yield f"it names no resource; there are {listed(MEASURED, last='and')}"
    if given.permissions is not None:
        for field_, place in excess(body.permissions, given.permissions):
            yield f"{field_}: {place} is more than the tool {body.name} may do"
    if given.kind == "run" and given.function is not None:
        yield from _argument_problems(given.function, given.arguments)


def _argument_problems(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[str]:
    signature = signature_of(function)
    yield from signature.problems
    for name in arguments:
        if name not in signature.parameters and not signature.takes_any:
            has = f"; it has {listed(signature.parameters, last='and')}" if signature.parameters else ""
            yield f"the function has no {name!r}{did_you_mean(name, signature.parameters) or has}"
    for name, parameter in signature.parameters.items():
        if parameter.required and name not in arguments:
            yield f"the function needs {name!r}; give it in the arguments"


def _permissions(given: Permissions | Mapping[str, Any]) -> Permissions:
    try:
        return given if isinstance(given, Permissions) else permissions_of(given, _NOTHING)
    except InvalidInputError as error:
        raise InvalidInputError(f"permission: {error}") from None


def _function_body(function: Callable[..., Any] | None, owner: str) -> Any:
    if function is None:
        return None
    return describe_function(function, owner, is_async=signature_of(function).is_async)


def _is_open(value: Any) -> bool:
    """Whether a value is only known in a run."""
    return isinstance(value, Handle) or holds_expression(value)
