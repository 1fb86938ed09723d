"""Bodies of nodes that are no plain functions, and how a function is told, so that it is found again."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any, Literal, TypedDict, cast

import msgspec

from clew.graphs.body_data import (
    AskBody,
    FunctionBody,
    HttpBody,
    MemoryBody,
    RestoreBody,
    ShellBody,
    ToolBody,
    WaitBody,
)
from clew.graphs.limits import Limits, limits_of
from clew.graphs.permissions import Permissions
from clew.graphs.signatures import Signature
from clew.kernel.definition import OnInterrupt

#: Seconds that an HTTP node may take when it does not say.
HTTP_TIMEOUT_S = 60.0


class ShellOutput(TypedDict):
    """What a shell node returns."""

    exit_code: int
    stdout: str
    stderr: str


class ShellJson(TypedDict):
    """What a shell node returns that prints JSON."""

    exit_code: int
    stdout: Any
    stderr: str


class ExitCode(TypedDict):
    """What a shell node returns of which nothing is captured."""

    exit_code: int


class HttpOutput(TypedDict):
    """What an HTTP node returns."""

    status: int
    headers: dict[str, str]
    body: Any


class HttpText(TypedDict):
    """What an HTTP node returns whose answer is text."""

    status: int
    headers: dict[str, str]
    body: str


#: What the body of each kind reads by itself, so that no name in its texts is given to a probe as one of these.
_OWN_INPUTS = {
    "shell": frozenset(("command", "stdin", "cwd", "env")),
    "http": frozenset(("url", "params", "json", "data", "headers")),
    "memory": frozenset(("namespace", "key", "value", "default", "text", "where", "prefix", "limit")),
    "restore": frozenset(("paths",)),
    "ask": frozenset(("text", "choices", "default")),
    "wait": frozenset(("seconds", "until", "default")),
}
_RETURNS = {"text": ShellOutput, "json": ShellJson, "none": ExitCode}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A body that is no plain function: made by `shell`, `http`, `call`, `memory`; given to `Graph.add`.

    Attributes:
        kind: what performs it.
        body: what is stored with the definition.
        inputs: its inputs; text in them may hold expressions, whose names are given to `Graph.add`.
        timeout_s: limit of one attempt when the node does not say.
        on_interrupt: what an interrupted attempt means when the node does not say.
        function: of a tool, what is called.
        signature: of a tool, what its function takes and returns; of an operation on the memory, what it returns.
        schema: of a tool, the JSON Schema of its arguments.
        problems: why it cannot be the body of a node.
    """

    kind: Literal["shell", "http", "tool", "memory", "restore", "ask", "wait"]
    body: ShellBody | HttpBody | ToolBody | MemoryBody | RestoreBody | AskBody | WaitBody
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    timeout_s: float | None = None
    on_interrupt: OnInterrupt = OnInterrupt.RETRY
    function: Callable[..., Any] | None = None
    signature: Signature | None = None
    schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    problems: tuple[str, ...] = ()

    @property
    def own_inputs(self) -> frozenset[str]:
        """The names of all inputs that the body reads."""
        return frozenset(self.inputs) if self.kind == "tool" else _OWN_INPUTS[self.kind]

    @property
    def takes_handles(self) -> bool:
        """Whether handles may stand in its inputs; what shell and http are given is text."""
        return self.kind in ("tool", "memory", "ask", "wait")

    def is_line(self, name: str) -> bool:
        """Whether one of its inputs is a line for the shell, in which values are quoted."""
        return name == "command" and isinstance(self.body, ShellBody) and self.body.shell

    @property
    def returns(self) -> Any:
        """The type of the output."""
        match self.body:
            case ShellBody(capture=capture):
                return _RETURNS[capture]
            case HttpBody(parse=parse):
                return HttpText if parse == "text" else HttpOutput
            case _:
                return self.signature.returns if self.signature is not None else Any


def shell(
    command: str | Sequence[str],
    *,
    cwd: str = "",
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    ok_codes: Sequence[int] = (0,),
    capture: Literal["text", "json", "none"] = "text",
    max_output: int = 10_000_000,
    limits: Limits | Mapping[str, Any] | None = None,
    read: Sequence[str] | None = None,
    write: Sequence[str] | None = None,
    network: Sequence[str] | None = None,
    best_effort: bool = False,
) -> Description:
    """Describe a program to run. Its output is a mapping with `exit_code`, `stdout` and `stderr`.

    Args:
        command: a line for the shell, in which the values of ``{{ … }}`` are quoted; or a list of arguments,
            which no shell reads.
        cwd: the folder it runs in; may hold expressions.
        env: added to the environment; values may hold expressions or be ``secret://NAME``.
        stdin: text it reads; may hold expressions.
        ok_codes: exit codes that mean success.
        capture: `stdout` of the output is text, or parsed as JSON, or not there (``none``).
        max_output: bytes of standard output that are kept; more fails the node.
        limits: what it may use, by name, see `Limits`.
        read: folders and files that it may read; everything if not given.
        write: folders and files that it may change; everything if not given.
        network: where it may connect to; everywhere if not given.
        best_effort: what a machine cannot hold it to is left out there, instead of refused.

    Raises:
        InvalidInputError: a limit is none.
    """
    roots = [read, write, network]
    permissions = Permissions(read=_tuple(read), write=_tuple(write), network=_tuple(network))
    variables = dict(env or {})
    inputs: dict[str, Any] = {"command": command if isinstance(command, str) else list(command)}
    if stdin is not None:
        inputs["stdin"] = stdin
    if holds_expression(cwd):
        inputs["cwd"], cwd = cwd, ""
    if holds_expression(variables):
        inputs["env"], variables = variables, {}
    body = ShellBody(
        cwd=cwd,
        env=variables,
        shell=isinstance(command, str),
        ok_codes=tuple(ok_codes),
        capture=capture,
        max_output=max_output,
        permissions=permissions if any(each is not None for each in roots) else None,
        limits=limits_of(limits),
        best_effort=best_effort,
    )
    return Description(kind="shell", body=body, inputs=inputs, on_interrupt=OnInterrupt.FAIL)


def http(
    method: str,
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    data: Any = None,
    headers: Mapping[str, str] | None = None,
    parse: Literal["auto", "json", "text"] = "auto",
    ok_statuses: Sequence[int] = (),
) -> Description:
    """Describe an HTTP request. Its output is a mapping with `status`, `headers` and `body`.

    All text may hold expressions; header values may be ``secret://NAME``.

    Args:
        method: the verb.
        url: where to.
        params: of the query.
        json: sent as the body, as JSON.
        data: sent as the body, as a form (a mapping) or as it is (text).
        headers: of the request.
        parse: what becomes of the answer's body: by its content type, as JSON, as text.
        ok_statuses: statuses that mean success; empty means 200 to 299.
    """
    given = {"params": params and dict(params), "json": json, "data": data}
    inputs = {"url": url, **{name: value for name, value in given.items() if value is not None}}
    fixed = dict(headers or {})
    if holds_expression(fixed):
        inputs["headers"], fixed = fixed, {}
    method = method.upper()
    return Description(
        kind="http",
        body=HttpBody(method=method, headers=fixed, parse=parse, ok_statuses=tuple(ok_statuses)),
        inputs=inputs,
        timeout_s=HTTP_TIMEOUT_S,
        on_interrupt=OnInterrupt.RETRY if method in {"GET", "HEAD"} else OnInterrupt.FAIL,
    )


def _tuple(places: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if places is None else tuple(places)


def holds_expression(value: Any) -> bool:
    """Whether text anywhere in plain data has a ``{{``."""
    match value:
        case str():
            return "{{" in value
        case dict():
            return any(map(holds_expression, value.values()))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        case list() | tuple():
            return any(map(holds_expression, value))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return False


def describe_function(function: Callable[..., Any], owner: str, *, is_async: bool) -> FunctionBody:
    """Describe how a function is found again.

    Args:
        function: any callable.
        owner: ``graph/node``, to tell functions apart that cannot be imported.
        is_async: it is a coroutine function.
    """
    module, qualname = name_of(function)
    if not _is_importable(function, module, qualname):
        return FunctionBody(f"{module}:{qualname}@{owner}", is_async=is_async)
    if module != "__main__":
        return FunctionBody(f"{module}:{qualname}", is_async=is_async, folder=_folder_of(sys.modules[module]))
    main = sys.modules["__main__"]
    if main.__spec__ is not None:  # started as `python -m NAME`: importable by that name
        name = main.__spec__.name
        return FunctionBody(f"{name}:{qualname}", is_async=is_async, folder=_folder_of(main, name))
    script = getattr(main, "__file__", None)
    return FunctionBody(
        f"__main__:{qualname}",
        is_async=is_async,
        script=os.path.abspath(script) if script else "",  # noqa: PTH100
    )


def body_for(described: Description, owner: str) -> msgspec.Struct:
    """What is stored of a description, with the function of a tool told apart from those of others.

    Args:
        described: the body of a node, or a compensation.
        owner: as for `describe_function`.
    """
    body = described.body
    if not isinstance(body, ToolBody) or described.function is None or body.function is None:
        return body
    function = describe_function(described.function, owner, is_async=body.function.is_async)
    return msgspec.structs.replace(body, function=function)


def name_of(function: Callable[..., Any]) -> tuple[str, str]:
    """The module and the qualified name of a callable; those of its class, if it has none of its own."""
    inner: Any = getattr(function, "func", function)  # functools.partial
    named: Any = inner if hasattr(inner, "__qualname__") else cast("Any", type(inner))
    return str(getattr(named, "__module__", None) or "builtins"), str(named.__qualname__)


def node_id(body: Any) -> str:
    """The id that a node gets when none is given, made from its body (or from a name)."""
    match body:
        case str():
            name = body
        case Description(body=ToolBody(name=name)):
            pass
        case Description():
            name = body.kind
        case _:
            name = name_of(body)[1].rpartition(".")[2]
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-") or "node"
    return cleaned if cleaned[0].isalpha() else f"_{cleaned}"


def is_importable(body: FunctionBody) -> bool:
    """Whether another process can find it."""
    module, _, qualname = body.ref.partition(":")
    return "@" not in qualname and (module != "__main__" or body.script != "")


def _is_importable(function: Callable[..., Any], module: str, qualname: str) -> bool:
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found is function or (isinstance(function, MethodType) and found == function)


def _folder_of(module: ModuleType, name: str = "") -> str:
    file = getattr(module, "__file__", None)
    return _folder(name or module.__name__, file) if file else ""


@lru_cache(maxsize=1024)
def _folder(name: str, file: str) -> str:
    """The entry of `sys.path` that makes `file` importable as `name`; empty if it is an installed module's."""
    path = Path(os.path.abspath(file))  # noqa: PTH100 -- resolve() would follow links out of the folder
    inside = path.parent if path.stem == "__init__" else path.with_suffix("")
    parts = name.split(".")
    if list(inside.parts[-len(parts) :]) != parts:
        return ""
    folder = str(inside.parents[len(parts) - 1])
    installed = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return "" if folder in installed else folder
