"""Turn an exception into a fact: bounded text, without secrets, that a retry policy can match.

The traceback keeps the frames a person can act on. Frames of Clew and of the event loop lie between any two
of the user's and are left out; no frame shows local values, which may hold secrets.
"""

from __future__ import annotations

import errno
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from clew.bodies.output import storable
from clew.errors import (
    ClewError,
    InvalidInputError,
    MemoryConflictError,
    Permanent,
    Retryable,
    StepInterruptedError,
    UnresolvedBodyError,
    UnstorableError,
)
from clew.kernel.values import ErrorInfo

MAX_MESSAGE = 4_000
MAX_TRACEBACK = 16_000

#: How what Clew itself found is called in an `ErrorInfo`; making the attempt again is of no use.
_KINDS: dict[type[BaseException], str] = {
    UnstorableError: "unstorable",
    InvalidInputError: "invalid input",
    UnresolvedBodyError: "unresolved",
    StepInterruptedError: "interrupted",
    MemoryConflictError: "conflict",
}


class BodyError(ClewError):
    """A body failed, and what is known about it is already a fact.

    Args:
        info: what is stored.
    """

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(f"{info.type}: {info.message}")
        self.info = info


def unmasked(text: str) -> str:
    """Mask nothing: for what runs where no secret is known."""
    return text


def error_info(exc: BaseException, *, mask: Callable[[str], str] = unmasked) -> ErrorInfo:
    """Describe `exc` for the journal.

    Args:
        exc: what a body raised.
        mask: replaces the secrets in a text.

    Returns:
        An `ErrorInfo` whose `classes` are the names of the class and its bases. Of an exception group they are
        those of the group and those that all its members have in common, so that a policy on ``ConnectionError``
        fits a group of nothing else. After them comes what is known of the outside: ``http 503``, ``exit code 3``,
        ``signal 9``, ``errno ENOSPC``.
    """
    if isinstance(exc, BodyError):
        info = exc.info
        return ErrorInfo(
            type=info.type,
            message=bounded(mask(info.message), MAX_MESSAGE),
            classes=info.classes,
            retryable=info.retryable,
            retry_after_s=info.retry_after_s,
            traceback=bounded(mask(info.traceback), MAX_TRACEBACK),
        )
    leaves = [*_leaves(exc)]
    kind = next((name for cls, name in _KINDS.items() if isinstance(exc, cls)), "")
    return ErrorInfo(
        type=kind or type(exc).__name__,
        message=bounded(mask(_message(exc)), MAX_MESSAGE),
        classes=_classes(exc, leaves),
        retryable=False if kind else _retryable(leaves),
        retry_after_s=max((s for leaf in leaves if (s := _retry_after(leaf)) is not None), default=None),
        traceback=bounded(mask(_traceback(exc)), MAX_TRACEBACK),
    )


def bounded(text: str, limit: int) -> str:
    """Shorten `text` to some `limit` characters, keeping both ends, and make it storable."""
    if len(text) > limit:
        head, tail = limit * 3 // 4, limit // 4
        text = f"{text[:head]}\n... {len(text) - head - tail:,} characters left out ...\n{text[-tail:]}"
    return storable(text)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3), as seconds from the response's own Date.

    A date is compared with the server's clock, not with ours: they may differ by more than the delay. Without
    a Date header, or when it is neither form, nothing is known.
    """
    text = (headers.get("retry-after") or headers.get("Retry-After") or "").strip()
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = _seconds_between(headers.get("date") or headers.get("Date") or "", text)
    return min(max(seconds, 0.0), 86_400.0 * 366) if seconds is not None and math.isfinite(seconds) else None


def _seconds_between(start: str, end: str) -> float | None:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - heavy, and needed for a failure only

    try:
        return (parsedate_to_datetime(end) - parsedate_to_datetime(start)).total_seconds()
    except (ValueError, TypeError):  # no date, or one with and one without a zone
        return None


def _retry_after(exc: BaseException) -> float | None:
    if isinstance(exc, Retryable):
        return exc.after_s
    headers = getattr(getattr(exc, "response", None), "headers", None)
    return retry_after_s(cast("Mapping[str, str]", headers)) if isinstance(headers, Mapping) else None


def _retryable(leaves: list[BaseException]) -> bool | None:
    if any(isinstance(leaf, Permanent) for leaf in leaves):
        return False
    return True if all(isinstance(leaf, Retryable) for leaf in leaves) else None


def _leaves(exc: BaseException) -> Iterator[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        for member in cast("BaseExceptionGroup[BaseException]", exc).exceptions:
            yield from _leaves(member)
    else:
        yield exc


def _classes(exc: BaseException, leaves: list[BaseException]) -> tuple[str, ...]:
    classes = [*type(exc).__mro__[:-1]]
    if leaves != [exc]:
        shared = set[type]().union(*(type(leaf).__mro__ for leaf in leaves[:1]))
        shared.intersection_update(*(type(leaf).__mro__ for leaf in leaves))
        classes += [cls for cls in type(leaves[0]).__mro__[:-1] if cls in shared and cls not in classes]
    known = set(_facts(leaves[0])).intersection(*map(_facts, leaves[1:])) if leaves else set[str]()
    return (*dict.fromkeys(cls.__name__ for cls in classes), *sorted(known))


def _facts(exc: BaseException) -> Iterator[str]:
    """What an exception tells of a status, of a program's end, or of the system."""
    answer: object = getattr(exc, "response", None)
    for holder, name in ((answer, "status_code"), (answer, "status"), (exc, "status"), (exc, "code")):
        status: object = getattr(holder, name, None)
        if isinstance(status, int) and 400 <= status <= 599 and not isinstance(exc, SystemExit):
            yield f"http {status:d}"
            break
    if isinstance(code := getattr(exc, "returncode", None), int):
        yield f"signal {-code}" if code < 0 else f"exit code {code}"
    if isinstance(exc, OSError) and exc.errno is not None and exc.errno in errno.errorcode:
        yield f"errno {errno.errorcode[exc.errno]}"


def _message(exc: BaseException) -> str:
    if isinstance(exc, BaseExceptionGroup):
        leaves = [*_leaves(cast("BaseExceptionGroup[BaseException]", exc))]
        told = "; ".join(f"{type(leaf).__name__}: {_message(leaf)}" for leaf in leaves[:10])
        more = f"; and {len(leaves) - 10} more" if len(leaves) > 10 else ""
        return f"{exc.message}: {told}{more}"
    try:
        text = str(exc)
    except Exception as error:
        text = f"(its message could not be made: {type(error).__name__} in {type(exc).__name__}.__str__)"
    notes: object = getattr(exc, "__notes__", ())
    lines = [note for note in cast("list[object]", notes) if isinstance(note, str)] if notes else []
    return "\n".join([text, *lines])


# Tracebacks --------------------------------------------------------------------------------------------

# pathlib would cost the start of each worker process 5 ms.
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120
_LOOP = tuple(
    f"{os.sep}{name}" for name in (f"asyncio{os.sep}", f"concurrent{os.sep}futures{os.sep}", "threading.py")
)


def _traceback(exc: BaseException) -> str:
    try:
        found = traceback.TracebackException.from_exception(exc, compact=True)
    except Exception as error:
        return f"(the traceback could not be made: {type(error).__name__})\n"
    _trim(found)
    return "".join(found.format())


def _trim(found: traceback.TracebackException) -> None:
    """Drop the frames that are not the user's, also of what caused the exception."""
    kept = [frame for frame in found.stack if not _is_plumbing(frame.filename)]
    found.stack = traceback.StackSummary.from_list(kept)
    related: list[Any] = [found.__cause__, found.__context__, *(found.exceptions or ())]
    for each in related:
        if each is not None:
            _trim(each)


def _is_plumbing(filename: str) -> bool:
    if filename.startswith((_OURS, "<frozen ")):
        return True
    return filename.startswith(sys.base_prefix) and any(name in filename for name in _LOOP)
