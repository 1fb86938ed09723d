"""Clew: graphs of agent work that never lose their place.

This is the face of the package. Names are loaded when they are first used, so that `import clew` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clew.bodies.context import Context
    from clew.engine.engine import Engine, run_graph, run_sync
    from clew.engine.feed import Emitted, Output, Progress
    from clew.engine.observers import Observed, Observer
    from clew.engine.run import Run
    from clew.engine.status import NodeStatus, Result, RunStatus
    from clew.errors import (
        ClewError,
        GraphError,
        InvalidInputError,
        Permanent,
        Retryable,
        RunBusyError,
        RunConflictError,
        RunFailedError,
        RunFencedError,
        StepConflictError,
        StepError,
        StorageError,
        UnknownRunError,
        UnresolvedBodyError,
        UnstorableError,
    )
    from clew.graphs import Graph, Handle, Retry, execution_batches, exponential, fixed, http, item, linear, load, node, shell
    from clew.journal.records import LogLine, Recorded, RunRow

__version__ = "0.1.0"

_HOMES = {
    "clew.bodies.context": ("Context",),
    "clew.engine.engine": ("Engine", "run_graph", "run_sync"),
    "clew.engine.feed": ("Emitted", "Output", "Progress"),
    "clew.engine.observers": ("Observed", "Observer"),
    "clew.engine.run": ("Run",),
    "clew.engine.status": ("NodeStatus", "Result", "RunStatus"),
    "clew.errors": (
        "ClewError",
        "GraphError",
        "InvalidInputError",
        "Permanent",
        "Retryable",
        "RunBusyError",
        "RunConflictError",
        "RunFailedError",
        "RunFencedError",
        "StepConflictError",
        "StepError",
        "StorageError",
        "UnknownRunError",
        "UnresolvedBodyError",
        "UnstorableError",
    ),
    "clew.graphs": (
        "Graph",
        "Handle",
        "Retry",
        "execution_batches",
        "exponential",
        "fixed",
        "http",
        "item",
        "linear",
        "load",
        "node",
        "shell",
    ),
    "clew.journal.records": ("LogLine", "Recorded", "RunRow"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604, RUF022 - made of the table above, in its order
    "__version__",
    *_HOME_OF,
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'clew' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
