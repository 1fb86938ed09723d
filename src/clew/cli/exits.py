"""Exit codes: part of the interface, so they stand in one table; `clew --help` and docs/cli.md print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clew.errors import ClewError

COMPLETED = 0
FAILED = 1
USAGE = 2
CANCELLED = 3
NOT_FOUND = 4
BUSY = 5
STORAGE = 6
BUG = 70
INTERRUPTED = 130
TERMINATED = 143

MEANINGS = {
    COMPLETED: "done; the run completed (rollback: it was rolled back)",
    FAILED: "the run failed or was rolled back (rollback: not wholly; doctor: something does not work)",
    USAGE: "the command, the graph or a value is not valid, or the run refuses it; nothing was changed",
    CANCELLED: "the run was cancelled",
    NOT_FOUND: "no such run, node, entry, file or database",
    BUSY: "another process drives the run",
    STORAGE: "the database or file cannot be opened, read or written",
    BUG: "a fault of Clew itself",
    INTERRUPTED: "stopped by Ctrl-C; the run can be resumed",
    TERMINATED: "stopped by SIGTERM; the run can be resumed",
}

OF_STATE = {
    "completed": COMPLETED,
    "failed": FAILED,
    "cancelled": CANCELLED,
    "rolled_back": FAILED,
    "rollback_failed": FAILED,
}

_OF_ERROR = {
    "GraphError": USAGE,
    "InvalidInputError": USAGE,
    "RunConflictError": USAGE,
    "UnstorableError": USAGE,
    "UnresolvedBodyError": USAGE,
    "RefusedError": USAGE,
    "UnknownRunError": NOT_FOUND,
    "UnknownEntryError": NOT_FOUND,
    "RunBusyError": BUSY,
    "RunFencedError": BUSY,
    "StorageError": STORAGE,
    "RunFailedError": FAILED,
    "InternalError": BUG,
}


def of_error(error: ClewError) -> int:
    """The exit code that an error of Clew means; that of its nearest base in the table."""
    return next((_OF_ERROR[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _OF_ERROR), FAILED)
