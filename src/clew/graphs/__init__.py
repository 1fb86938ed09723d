"""Graphs: what people define, in Python or in files; checked, hashed and drawn before anything runs.

Names are loaded when they are first used: a process that only runs a function needs none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clew.graphs.bodies import http, shell
    from clew.graphs.body_data import FunctionBody, HttpBody, ShellBody
    from clew.graphs.calls import call, rehearse
    from clew.graphs.checkpoints import Checkpoints
    from clew.graphs.graph import Graph
    from clew.graphs.handles import Handle, item
    from clew.graphs.layers import execution_batches
    from clew.graphs.limits import Limits
    from clew.graphs.loading import load
    from clew.graphs.memories import memory
    from clew.graphs.permissions import Permissions
    from clew.graphs.plans import Loop, Plan
    from clew.graphs.policies import Retry, exponential, fixed, linear, node, undo
    from clew.graphs.preconditions import check
    from clew.graphs.probing import Happened
    from clew.graphs.reducers import append, greatest, least, merge, replace, total
    from clew.graphs.restoring import restore
    from clew.graphs.route_drafts import barrier
    from clew.graphs.servers import Server
    from clew.graphs.state_graph import StateGraph
    from clew.graphs.state_options import branch
    from clew.graphs.state_view import StateView
    from clew.graphs.tools import Example, Tool, Tools, tool
    from clew.graphs.updates import DELETE, END, START, Update
    from clew.graphs.written import WrittenGraph

_HOMES = {
    "bodies": ("http", "shell"),
    "body_data": ("FunctionBody", "HttpBody", "ShellBody"),
    "calls": ("call", "rehearse"),
    "checkpoints": ("Checkpoints",),
    "graph": ("Graph",),
    "handles": ("Handle", "item"),
    "layers": ("execution_batches",),
    "loading": ("load",),
    "memories": ("memory",),
    "plans": ("Loop", "Plan"),
    "policies": ("Retry", "exponential", "fixed", "linear", "node", "undo"),
    "preconditions": ("check",),
    "probing": ("Happened",),
    "reducers": ("append", "greatest", "least", "merge", "replace", "total"),
    "restoring": ("restore",),
    "route_drafts": ("barrier",),
    "servers": ("Server",),
    "state_graph": ("StateGraph",),
    "state_options": ("branch",),
    "state_view": ("StateView",),
    "limits": ("Limits",),
    "permissions": ("Permissions",),
    "tools": ("Example", "Tool", "Tools", "tool"),
    "updates": ("DELETE", "END", "START", "Update"),
    "written": ("WrittenGraph",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DELETE",
    "END",
    "START",
    "Checkpoints",
    "Example",
    "FunctionBody",
    "Graph",
    "Handle",
    "Happened",
    "HttpBody",
    "Limits",
    "Loop",
    "Permissions",
    "Plan",
    "Retry",
    "Server",
    "ShellBody",
    "StateGraph",
    "StateView",
    "Tool",
    "Tools",
    "Update",
    "WrittenGraph",
    "append",
    "barrier",
    "branch",
    "call",
    "check",
    "execution_batches",
    "exponential",
    "fixed",
    "greatest",
    "http",
    "item",
    "least",
    "linear",
    "load",
    "memory",
    "merge",
    "node",
    "rehearse",
    "replace",
    "restore",
    "shell",
    "tool",
    "total",
    "undo",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'clew.graphs' has no attribute {name!r}")
    value = getattr(import_module(f"clew.graphs.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
