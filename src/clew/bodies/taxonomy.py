"""What went wrong with a tool, by kind: one table of exceptions, exit codes and HTTP statuses.

An error of a tool has one of ten types (`ErrorType`), so that policies and people need not know what the tool is
made of. What it was before stands in its `classes`; a retry policy on either fits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import msgspec

from clew.kernel.values import ErrorInfo

ErrorType = Literal[
    "tool not found",
    "tool failed",
    "invalid parameters",
    "resource exhausted",
    "network",
    "timeout",
    "permission denied",
    "dependency failed",
    "user cancelled",
    "system",
]

#: All of them.
ERROR_TYPES: tuple[ErrorType, ...] = get_args(ErrorType)


class Rule(NamedTuple):
    """What an error is that has one of these names.

    Attributes:
        type: its type.
        retryable: false if another attempt is of no use; otherwise the policy of the node decides.
        names: types and classes of errors, and facts about them (``exit code 124``, ``http 404``,
            ``errno ENOSPC``).
    """

    type: ErrorType
    retryable: bool
    names: frozenset[str]


def _http(*statuses: int) -> list[str]:
    return [f"http {status}" for status in statuses]


def _exits(*codes: int) -> list[str]:
    return [f"exit code {code}" for code in codes]


def _signals(*numbers: int) -> list[str]:
    """By which signal a program ended, and what a shell makes of that."""
    return [*(f"signal {number}" for number in numbers), *_exits(*(128 + number for number in numbers))]


def _errnos(*names: str) -> list[str]:
    return [f"errno {name}" for name in names]


def _rule(kind: ErrorType, *names: Iterable[str] | str, retryable: bool = True) -> Rule:
    several = ([each] if isinstance(each, str) else each for each in names)
    return Rule(kind, retryable, frozenset(name for each in several for name in each))


#: The first one that fits holds: what is more exact comes before what is less so.
RULES = (
    _rule("tool not found", "ToolNotFoundError", "unresolved", "UnresolvedBodyError", retryable=False),
    _rule("dependency failed", _http(424), retryable=False),
    _rule("user cancelled", "cancelled", "KeyboardInterrupt", _signals(2), retryable=False),
    _rule(
        "resource exhausted",
        ("MemoryError", "output too large"),
        _http(413, 429, 507),
        _errnos("ENOSPC", "EDQUOT", "EFBIG", "ENOMEM", "EMFILE", "ENFILE"),
        _signals(24, 25),  # the system's own limits of processor time and of the size of files
    ),
    _rule(
        "invalid parameters",
        ("invalid input", "InvalidInputError", "InvalidURL", "UnsupportedProtocol"),
        _http(400, 406, 411, 414, 415, 416, 417, 422, 431),
        retryable=False,
    ),
    _rule("tool failed", _http(404, 405, 410, 501), "unstorable", "UnstorableError", retryable=False),
    _rule(
        "permission denied",
        ("PermissionError", "UnknownSecretError"),
        _http(401, 402, 403, 407, 451),
        _errnos("EACCES", "EPERM", "EROFS"),
        _exits(126),
        retryable=False,
    ),
    _rule(
        "timeout",
        ("heartbeat", "TimeoutError", "TimeoutException", "TimeoutExpired", "Timeout"),
        _http(408, 504),
        _exits(124),
        _errnos("ETIMEDOUT"),
    ),
    # That a file, a folder or a program is not there, or is there, is no fault of the system.
    _rule(
        "tool failed",
        ("FileNotFoundError", "FileExistsError", "NotADirectoryError", "IsADirectoryError", "not found"),
        _http(409, 412, 418, 423, 426, 428, 500, 505, 506, 508, 510, 511),
    ),
    _rule(
        "network",
        ("ConnectionError", "TransportError", "gaierror", "herror", "SSLError", "URLError", "IncompleteRead"),
        _http(421, 425, 502, 503, 520, 521, 522, 523),
        _errnos("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN", "EADDRNOTAVAIL"),
    ),
    _rule("system", "UnenforceableLimitError", retryable=False),
    _rule("system", "process died", "LaunchError", "KeeperDiedError", "StorageError", "InternalError", "OSError"),
)


def classified(info: ErrorInfo) -> ErrorInfo:
    """The error of a tool, with its type from the table; what it was stays in its classes.

    An error that says itself whether another attempt is of use is believed.
    """
    if info.type in ERROR_TYPES:
        kind, retryable = info.type, info.retryable
    else:
        rule = rule_of((info.type, *info.classes))
        kind = rule.type
        retryable = False if info.retryable is None and not rule.retryable else info.retryable
    classes = dict.fromkeys((kind, info.type, *info.classes))
    return msgspec.structs.replace(info, type=kind, classes=tuple(classes), retryable=retryable)


def rule_of(names: Iterable[str]) -> Rule:
    """The first rule that fits one of the names; if none does, the tool failed for reasons of its own."""
    known = frozenset(names)
    return next((rule for rule in RULES if rule.names & known), _OTHER)


_OTHER = Rule("tool failed", retryable=True, names=frozenset())
