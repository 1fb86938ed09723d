"""What a node's body is, as data: how a function is found again, what a shell command or HTTP call needs.

These structs are stored in the definition (`NodeSpec.body`), so that a process that knows nothing but the
journal can perform the node. What varies from run to run (the command line, the URL) is not here: it is an
input of the node like any other, so that expressions in it are resolved like all others.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from clew.graphs.limits import NO_LIMITS, Limits
from clew.graphs.permissions import Permissions
from clew.graphs.tools import Effects, Isolation, Server
from clew.kernel.definition import NodeSpec

AskKind = Literal["confirm", "input", "choice", "information"]


class FunctionBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Python function.

    `script` and `folder` depend on where the code lies, so they are left out of the graph's hash.

    Attributes:
        ref: ``module:qualname``. A function that cannot be imported by that name (a lambda, a closure, a
            method of an object) has ``@graph/node`` after it and is found in the graph object only.
        script: for functions of ``__main__``, the path of the program; run it under another name to find them.
        is_async: it is a coroutine function; others run in a thread, or in a process when time-limited.
        folder: what has to be on ``sys.path`` for the module to be importable; empty for installed ones.
    """

    ref: str
    script: str = ""
    is_async: bool = True
    folder: str = ""


class ShellBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A program. Its inputs: ``command`` (a line for the shell, or a list of arguments), ``stdin``; also
    ``cwd`` and ``env``, when they hold expressions.

    Attributes:
        cwd: the folder it runs in; that of the engine if empty.
        env: added to the environment.
        shell: the command is a line for ``sh``; otherwise a list of arguments.
        ok_codes: exit codes that mean success.
        capture: `stdout` of the output is text, or parsed as JSON, or not there.
        max_output: bytes of standard output that are kept; more fails the node.
        permissions: what it is held to; None is nothing.
        limits: what it may use.
        best_effort: what a machine cannot hold it to is left out.
    """  # noqa: D205 -- the inputs belong to the one line

    cwd: str = ""
    env: dict[str, str] = {}
    shell: bool = True
    ok_codes: tuple[int, ...] = (0,)
    capture: Literal["text", "json", "none"] = "text"
    max_output: int = 10_000_000
    permissions: Permissions | None = None
    limits: Limits = NO_LIMITS
    best_effort: bool = False


class HttpBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An HTTP request. Its inputs: ``url``, ``params``, ``json``, ``data``, and ``headers`` with expressions.

    Attributes:
        method: the verb, in capitals.
        headers: those without expressions.
        parse: what becomes of the answer's body: by its content type, as JSON, as text.
        ok_statuses: statuses that mean success; empty means 200 to 299.
        network: where it may go, redirections included; None is everywhere.
    """

    method: str = "GET"
    headers: dict[str, str] = {}
    parse: Literal["auto", "json", "text"] = "auto"
    ok_statuses: tuple[int, ...] = ()
    network: tuple[str, ...] | None = None


CheckKind = Literal["file", "program", "tool", "permission", "resource", "run"]


class CheckBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What has to hold right before a tool is called; made by `check`.

    Attributes:
        kind: there is a ``file``, ``program``, ``tool``, ``permission`` or ``resource``; or a function
            says so (``run``).
        name: of the file, program or tool. What depends on the run is an input of the node, see `input_name`.
        permissions: what has to be possible.
        limits: what has to be free.
        function: that says so; of a tool, what is to be found.
        required: the call fails if it does not hold; otherwise that is only told.
        message: what is said if it does not hold.
    """

    kind: CheckKind
    name: str = ""
    permissions: Permissions | None = None
    limits: Limits = NO_LIMITS
    function: FunctionBody | None = None
    required: bool = True
    message: str = ""

    @property
    def told(self) -> str:
        """What is checked, in a few words."""
        return f"{self.kind} {self.name}".strip() if self.kind != "run" else f"check {self.name}"


def input_name(check: int, what: str = "") -> str:
    """The input of a node that has what one of its checks is given; the name is no argument of any tool."""
    return f"#check {check} {what}".rstrip()


class ToolBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a tool; made by `call`. Its inputs are the arguments, by name.

    Attributes:
        name: of the tool.
        function: what is called; None for a tool of a server.
        server: where it is called, if not here.
        remote: what the server calls the tool.
        ask_first: its server is asked when a run starts whether it is there, and whether arguments fit.
        parameters: JSON Schema of the arguments, if it cannot be read off the function.
        permissions: what the tool may do.
        effects: whether a call that was lost may be made again.
        isolation: where it runs; in a process of its own it is held to `permissions` and `limits`.
        limits: what a call may use.
        best_effort: what a machine cannot hold it to is left out.
        folder: where it runs, if not where the engine does.
        dry_run: `function` is the tool's dry run, which only tells what would happen.
        checks: what has to hold right before each call.
    """

    name: str
    function: FunctionBody | None = None
    server: Server | None = None
    remote: str = ""
    ask_first: bool = False
    parameters: dict[str, Any] = {}
    permissions: Permissions = Permissions()
    effects: Effects = "unknown"
    isolation: Isolation = "thread"
    limits: Limits = NO_LIMITS
    best_effort: bool = False
    folder: str = ""
    dry_run: bool = False
    checks: tuple[CheckBody, ...] = ()


class MemoryBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An operation on the memory; made by `memory`. Its inputs are what the operation takes, by name.

    Attributes:
        operation: what is done; ``undo`` takes back what the undone visit, or a step of it, has changed.
        step: key of that step.
        path: the visit of that step.
        effects: what it does to the world, as of a tool.
    """

    operation: Literal["store", "update", "delete", "get", "search", "undo"]
    step: str = ""
    path: str = ""
    effects: Effects = "idempotent"


class RestoreBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Puts files back; made by `restore`. Its input: ``before``, a list of what was recorded of them each time."""


#: What a sub-graph is for people that a plan has made of a step.
CHOICE, LOOP = "choice", "loop"


class GroupBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sub-graph that a plan has made of a step.

    Attributes:
        role: what it is for people: ``choice`` or ``loop``; empty for all other sub-graphs.
        label: its condition as people read it.
    """

    role: str = ""
    label: str = ""


#: A sub-graph that is nothing but that.
_PLAIN = GroupBody()


def group_of(node: NodeSpec) -> GroupBody:
    """What a plan has made of a sub-graph; for all other nodes, nothing."""
    if node.kind != "graph" or len(node.body) <= len(b"{}"):
        return _PLAIN
    return msgspec.json.decode(node.body, type=GroupBody)


def kind_of(node: NodeSpec) -> str:
    """What a node is for people: its kind, or what a plan has made of it."""
    return group_of(node).role or node.kind


class AskBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question to a person; made by `ask`. Its inputs: ``text``, ``choices``, ``default``.

    Attributes:
        how: ``confirm`` wants a yes, ``input`` a value, ``choice`` one of several; ``information`` only tells.
        type: of the value, as files write types.
        required: a no is an error.
        deadline_s: how long an answer is waited for, in seconds; None is for ever.
    """

    how: AskKind
    type: str = ""
    required: bool = True
    deadline_s: float | None = None


class WaitBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A wait; made by `wait`. Its inputs: ``seconds``, ``until`` (a time), ``default`` (if no message comes).

    Attributes:
        message: name of the message that is waited for; empty if none is.
        timeout_s: how long the message is waited for, in seconds; None is for ever.
    """

    message: str = ""
    timeout_s: float | None = None
