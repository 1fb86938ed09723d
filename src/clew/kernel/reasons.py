"""The errors that the machine itself finds, in words for the person who has to act on them."""

from __future__ import annotations

from clew.kernel.state import Visit
from clew.kernel.values import ErrorInfo


def because(visit: Visit, others: int = 0) -> ErrorInfo:
    """The error of a group, told by the member that failed first; `others` failed besides it."""
    error = visit.error
    assert error is not None
    more = f" (and {others} more)" if others else ""
    return ErrorInfo(type=error.type, message=f"{visit.path}: {error.message}{more}", classes=error.classes)


def timed_out(what: str, limit_s: float | None) -> ErrorInfo:
    """A time limit in seconds was reached."""
    message = f"{what} took longer than its time limit of {limit_s:g} s"
    return ErrorInfo(type="timeout", message=message, classes=("TimeoutError", "OSError", "Exception"))


def interrupted(visit: Visit) -> ErrorInfo:
    """An attempt of unknown effect was lost with its process."""
    return ErrorInfo(
        type="interrupted",
        message=f"attempt {visit.attempt} was under way when its process ended, and whether it took effect is not "
        "known; look, then retry the run, or declare on_interrupt='retry' if repeating it does no harm",
        retryable=False,
    )


def interrupted_too_often(visit: Visit, limit: int) -> ErrorInfo:
    """A visit was lost with its process more often than is allowed."""
    return ErrorInfo(
        type="interrupted",
        message=f"the process ended {visit.interruptions} times during this node, more than the limit of {limit}; "
        "it may be what ends it (memory, a crash in native code); raise Graph(max_interruptions=...) or mend it, "
        "then retry the run",
        retryable=False,
    )
