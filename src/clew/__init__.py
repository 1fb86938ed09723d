"""Clew: graphs of agent work that never lose their place.

This is the face of the package. Names are loaded when they are first used, so that `import clew` is quick.
"""

from __future__ import annotations

# pyright: reportImportCycles=false
# What the face names imports the face again, for `clew.codec` and its like.
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clew.bodies.context import Context as Context
    from clew.bodies.memory import MemoryEdit as MemoryEdit
    from clew.bodies.memory import MemoryEntry as MemoryEntry
    from clew.bodies.memory import MemoryOfRun as MemoryOfRun
    from clew.engine.discovery import server_tools as server_tools
    from clew.engine.engine import Engine as Engine
    from clew.engine.feed import Emitted as Emitted
    from clew.engine.feed import Output as Output
    from clew.engine.feed import Progress as Progress
    from clew.engine.memories import Memory as Memory
    from clew.engine.observers import Observed as Observed
    from clew.engine.observers import Observer as Observer
    from clew.engine.positions import Checkpoint as Checkpoint
    from clew.engine.run import Run as Run
    from clew.engine.simple import run_graph as run_graph
    from clew.engine.simple import run_sync as run_sync
    from clew.engine.status import NodeStatus as NodeStatus
    from clew.engine.status import OpenBarrier as OpenBarrier
    from clew.engine.status import OpenQuestion as OpenQuestion
    from clew.engine.status import Result as Result
    from clew.engine.status import RunStatus as RunStatus
    from clew.engine.stream_items import Custom as Custom
    from clew.engine.stream_items import NodeOutput as NodeOutput
    from clew.engine.stream_items import NodeProgress as NodeProgress
    from clew.engine.stream_items import StateChanged as StateChanged
    from clew.engine.stream_items import StreamItem as StreamItem
    from clew.engine.stream_items import Values as Values
    from clew.engine.travel import KeyChange as KeyChange
    from clew.engine.travel import Moment as Moment
    from clew.engine.undoables import Undoable as Undoable
    from clew.errors import ClewError as ClewError
    from clew.errors import GraphError as GraphError
    from clew.errors import InvalidInputError as InvalidInputError
    from clew.errors import MemoryConflictError as MemoryConflictError
    from clew.errors import MessageTimeoutError as MessageTimeoutError
    from clew.errors import Permanent as Permanent
    from clew.errors import QuestionExpiredError as QuestionExpiredError
    from clew.errors import RefusedError as RefusedError
    from clew.errors import Retryable as Retryable
    from clew.errors import RunBusyError as RunBusyError
    from clew.errors import RunConflictError as RunConflictError
    from clew.errors import RunFailedError as RunFailedError
    from clew.errors import RunFencedError as RunFencedError
    from clew.errors import StepConflictError as StepConflictError
    from clew.errors import StepError as StepError
    from clew.errors import StepInterruptedError as StepInterruptedError
    from clew.errors import StorageError as StorageError
    from clew.errors import ToolServerError as ToolServerError
    from clew.errors import UnknownEntryError as UnknownEntryError
    from clew.errors import UnknownRunError as UnknownRunError
    from clew.errors import UnresolvedBodyError as UnresolvedBodyError
    from clew.errors import UnstorableError as UnstorableError
    from clew.graphs import DELETE as DELETE
    from clew.graphs import END as END
    from clew.graphs import START as START
    from clew.graphs import Checkpoints as Checkpoints
    from clew.graphs import Graph as Graph
    from clew.graphs import Handle as Handle
    from clew.graphs import Happened as Happened
    from clew.graphs import Limits as Limits
    from clew.graphs import Loop as Loop
    from clew.graphs import Permissions as Permissions
    from clew.graphs import Plan as Plan
    from clew.graphs import Retry as Retry
    from clew.graphs import Server as Server
    from clew.graphs import StateGraph as StateGraph
    from clew.graphs import StateView as StateView
    from clew.graphs import Tool as Tool
    from clew.graphs import Tools as Tools
    from clew.graphs import Update as Update
    from clew.graphs import append as append
    from clew.graphs import barrier as barrier
    from clew.graphs import branch as branch
    from clew.graphs import call as call
    from clew.graphs import check as check
    from clew.graphs import execution_batches as execution_batches
    from clew.graphs import exponential as exponential
    from clew.graphs import fixed as fixed
    from clew.graphs import greatest as greatest
    from clew.graphs import http as http
    from clew.graphs import item as item
    from clew.graphs import least as least
    from clew.graphs import linear as linear
    from clew.graphs import load as load
    from clew.graphs import memory as memory
    from clew.graphs import merge as merge
    from clew.graphs import node as node
    from clew.graphs import rehearse as rehearse
    from clew.graphs import replace as replace
    from clew.graphs import restore as restore
    from clew.graphs import shell as shell
    from clew.graphs import tool as tool
    from clew.graphs import total as total
    from clew.graphs import undo as undo
    from clew.journal.records import LogLine as LogLine
    from clew.journal.records import Recorded as Recorded
    from clew.journal.records import RunRow as RunRow

__version__ = "0.1.0"

_HOMES = {
    "clew.bodies.context": ("Context",),
    "clew.bodies.memory": ("MemoryEdit", "MemoryEntry", "MemoryOfRun"),
    "clew.engine.discovery": ("server_tools",),
    "clew.engine.engine": ("Engine",),
    "clew.engine.feed": ("Emitted", "Output", "Progress"),
    "clew.engine.memories": ("Memory",),
    "clew.engine.observers": ("Observed", "Observer"),
    "clew.engine.run": ("Run",),
    "clew.engine.simple": ("run_graph", "run_sync"),
    "clew.engine.status": ("NodeStatus", "OpenBarrier", "OpenQuestion", "Result", "RunStatus"),
    "clew.engine.stream_items": (
        "Custom",
        "NodeOutput",
        "NodeProgress",
        "StateChanged",
        "StreamItem",
        "Values",
    ),
    "clew.engine.positions": ("Checkpoint",),
    "clew.engine.travel": ("KeyChange", "Moment"),
    "clew.engine.undoables": ("Undoable",),
    "clew.errors": (
        "ClewError",
        "GraphError",
        "InvalidInputError",
        "MemoryConflictError",
        "MessageTimeoutError",
        "Permanent",
        "QuestionExpiredError",
        "Retryable",
        "RefusedError",
        "RunBusyError",
        "RunConflictError",
        "RunFailedError",
        "RunFencedError",
        "StepConflictError",
        "StepError",
        "StepInterruptedError",
        "StorageError",
        "ToolServerError",
        "UnknownEntryError",
        "UnknownRunError",
        "UnresolvedBodyError",
        "UnstorableError",
    ),
    "clew.graphs": (
        "Checkpoints",
        "DELETE",
        "END",
        "Graph",
        "Handle",
        "Happened",
        "Limits",
        "Loop",
        "Permissions",
        "Plan",
        "Retry",
        "START",
        "Server",
        "StateGraph",
        "StateView",
        "Tool",
        "Tools",
        "Update",
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
    ),
    "clew.journal.records": ("LogLine", "Recorded", "RunRow"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'clew' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
