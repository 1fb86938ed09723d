"""What a node's body is, as data: how a function is found again, what a shell command or HTTP call needs.

These structs are stored in the definition (`NodeSpec.body`), so that a process that knows nothing but the
journal can perform the node. What varies from run to run (the command line, the URL) is not here: it is an
input of the node like any other, so that expressions in it are resolved like all others.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from clew.graphs.tools import Effects, Isolation, Permissions, Server


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
    """  # noqa: D205 -- the inputs belong to the one line

    cwd: str = ""
    env: dict[str, str] = {}
    shell: bool = True
    ok_codes: tuple[int, ...] = (0,)
    capture: Literal["text", "json", "none"] = "text"
    max_output: int = 10_000_000


class HttpBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An HTTP request. Its inputs: ``url``, ``params``, ``json``, ``data``, and ``headers`` with expressions.

    Attributes:
        method: the verb, in capitals.
        headers: those without expressions.
        parse: what becomes of the answer's body: by its content type, as JSON, as text.
        ok_statuses: statuses that mean success; empty means 200 to 299.
    """

    method: str = "GET"
    headers: dict[str, str] = {}
    parse: Literal["auto", "json", "text"] = "auto"
    ok_statuses: tuple[int, ...] = ()


class ToolBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a tool; made by `call`. Its inputs are the arguments, by name.

    Attributes:
        name: of the tool.
        function: what is called; None for a tool of a server.
        server: where it is called, if not here.
        parameters: JSON Schema of the arguments, if it cannot be read off the function.
        permissions: what the tool may do.
        effects: whether a call that was lost may be made again.
        isolation: where it runs.
        dry_run: `function` is the tool's dry run, which only tells what would happen.
    """

    name: str
    function: FunctionBody | None = None
    server: Server | None = None
    parameters: dict[str, Any] = {}
    permissions: Permissions = Permissions()
    effects: Effects = "unknown"
    isolation: Isolation = "thread"
    dry_run: bool = False
