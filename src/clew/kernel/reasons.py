"""The errors that the machine itself finds, in words for the person who has to act on them."""

from __future__ import annotations

from clew.kernel.values import ErrorInfo
from clew.kernel.visits import Visit


def because(visit: Visit, others: int = 0) -> ErrorInfo:
    """The error of a group, told by the member that failed first; `others` failed besides it."""
    error = visit.error
    assert error is not None
    more = f" (and {others} more)" if others else ""
    return ErrorInfo(type=error.type, message=f"{visit.path}: {error.message}{more}", classes=error.classes)


def timed_out(what: str, limit_s: float | None) -> ErrorInfo:
    """A time limit in seconds was reached; None if the graph was changed and declares none any more."""
    message = f"{what} took longer than its time limit{_of(limit_s)}"
    return ErrorInfo(type="timeout", message=message, classes=("TimeoutError", "OSError", "Exception"))


def _of(limit_s: float | None) -> str:
    return f" of {limit_s:g} s" if limit_s is not None else ""


def silent(limit_s: float | None) -> ErrorInfo:
    """A body gave no sign of life for so many seconds."""
    message = (
        f"the body was silent for longer than its heartbeat{_of(limit_s)}; it is to call ctx.heartbeat() or "
        "ctx.progress() more often, or needs a longer heartbeat="
    )
    return ErrorInfo(type="heartbeat", message=message, classes=("TimeoutError", "OSError", "Exception"))


def said_to_have_failed(visit: Visit, by: str) -> ErrorInfo:
    """A person was asked about a lost attempt."""
    who = f" by {by}" if by else ""
    message = f"attempt {visit.attempt} was lost with its process, and was said{who} to have failed"
    return ErrorInfo(type="interrupted", message=message, retryable=False)


def not_agreed(by: str) -> ErrorInfo:
    """Somebody did not agree to what cannot be undone."""
    who = f" by {by}" if by else ""
    message = f"it cannot be undone, and was not agreed to{who}"
    return ErrorInfo(type="user cancelled", message=message, retryable=False)


def interrupted(visit: Visit) -> ErrorInfo:
    """An attempt of unknown effect was lost with its process."""
    return ErrorInfo(
        type="interrupted",
        message=f"attempt {visit.attempt} was under way when its process ended, and whether it took effect is not "
        "known; look, then retry the run, or declare on_interrupt='retry' if repeating it does no harm, 'ask' to "
        "be asked, or probe= to find out",
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
