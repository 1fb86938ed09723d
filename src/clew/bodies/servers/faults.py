"""What goes wrong with a server, as facts: which server, what, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

import mcp_types as types
from mcp import MCPError
from pydantic import ValidationError

from clew.bodies.errors import BodyError, error_info
from clew.graphs.servers import Server
from clew.kernel.values import ErrorInfo

#: Characters of what a server said that are told.
TOLD = 2_000

#: Codes of the protocol that say by themselves what an error is.
_KINDS = {
    types.CONNECTION_CLOSED: "network",
    types.REQUEST_TIMEOUT: "timeout",
    types.PARSE_ERROR: "invalid output",
    types.INVALID_PARAMS: "invalid parameters",
    types.METHOD_NOT_FOUND: "tool not found",
}
#: Another attempt gets the same answer.
_USELESS = frozenset(("invalid parameters", "tool not found"))


def fault(
    server: Server,
    kind: str,
    said: str,
    *classes: str,
    retryable: bool | None = None,
    retry_after_s: float | None = None,
) -> BodyError:
    """An error of a server.

    Args:
        server: which one.
        kind: its type, as for `clew.bodies.taxonomy`.
        said: what is wrong, and what to do.
        *classes: what else a retry policy may name.
        retryable: whether another attempt is of use, if that is known.
        retry_after_s: the least delay before that.
    """
    return BodyError(
        ErrorInfo(
            type=kind,
            message=f"server {server.name}: {said}",
            classes=(*dict.fromkeys((*classes, "Exception")),),
            retryable=retryable,
            retry_after_s=retry_after_s,
        )
    )


def refusal(server: Server, error: MCPError, *, greeted: bool) -> BodyError:
    """The error that a server answers a request with.

    Args:
        server: which one.
        error: the answer.
        greeted: it has shown that it is a server of tools.
    """
    said = shortened(error.message)
    if error.code == types.PARSE_ERROR:  # the library tells every way in which it is none
        said = said.partition("\n")[0]
    if not greeted:
        said = f"it does not speak as a server of tools does: {said}"
    kind = _KINDS.get(error.code, "tool failed") if greeted else "invalid output"
    told = f"{said} (error {error.code})"
    return fault(
        server, kind, told, f"mcp {error.code}", "MCPError", retryable=False if kind in _USELESS else None
    )


def nonsense(server: Server, error: ValidationError | RuntimeError) -> BodyError:
    """The error of an answer that is not what the protocol, or the tool's own schema, asks for."""
    if isinstance(error, ValidationError):
        what = f"its answer is none of the protocol: {_first_problem(error)}"
    else:
        what = shortened(str(error))
    return fault(server, "invalid output", what, type(error).__name__, "ValueError")


def unreachable(server: Server, error: Exception, *, has_begun: bool = False) -> BodyError:
    """The error of a server that cannot be reached, or whose answer has broken off."""
    info = error_info(error)
    why = info.message or info.type
    said = f"its answer broke off: {why}" if has_begun else f"{server.url} is not reached: {why}"
    hint = "" if has_begun else "; is it running, and is the address right?"
    return fault(server, info.type, said + hint, *info.classes)


_WHAT_TO_DO = {
    401: "; give it headers, such as Authorization: Bearer secret://NAME",
    403: "; may these headers do that?",
    404: "; is the path right? It often ends in /mcp",
    405: "; is this the address of a server of tools? It often ends in /mcp",
}


def refused(server: Server, status: int, reason: str, text: str, retry_after_s: float | None) -> BodyError:
    """The error of a request that was answered with a status of 400 or more."""
    said = f"{server.url} answers {status} {reason}".rstrip()
    told = f": {shortened(text)}" if text.strip() else ""
    return fault(
        server,
        f"http {status}",
        f"{said}{told}{_WHAT_TO_DO.get(status, '')}",
        "HTTPStatusError",
        "HTTPError",
        retry_after_s=retry_after_s,
    )


def not_started(server: Server, error: OSError | ValueError) -> BodyError:
    """The error of a program that cannot be started."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        said = f"there is no program {server.command[0]}; is it installed, and on the PATH?"
        return fault(server, "tool not found", said, "FileNotFoundError", "OSError", retryable=False)
    info = error_info(error)
    return fault(server, info.type, f"{server.command[0]} cannot be started: {info.message}", *info.classes)


def died(server: Server, code: int | None, words: str) -> BodyError:
    """The error of a program that has ended.

    Args:
        server: which one.
        code: its exit code, negative for a signal; None if it is not known.
        words: what it has said, if anything.
    """
    how = "" if code is None else f" with exit code {code}" if code >= 0 else f", killed by signal {-code}"
    said = joined([f"its program ({shlex.join(server.command)}) has ended{how}", words])
    return fault(server, "process died", said, "ProcessLookupError", "OSError")


def unexpected(server: Server, error: Exception) -> BodyError:
    """Any other error of the library."""
    info = error_info(error)
    return BodyError(
        ErrorInfo(
            type=info.type,
            message=f"server {server.name}: {shortened(info.message) or info.type}",
            classes=info.classes,
            traceback=info.traceback,
        )
    )


def shortened(text: str) -> str:
    """What a server said, in a length for messages."""
    text = text.strip()
    return text if len(text) <= TOLD else f"{text[:TOLD]}… ({len(text):,} characters)"


def joined(parts: Iterable[str]) -> str:
    """Clauses of a message, those that there are."""
    return "; ".join(filter(None, parts))


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
