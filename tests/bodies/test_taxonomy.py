"""PL4: what went wrong with a tool, by kind, from real exceptions, exit codes and statuses."""

import errno
import os
import socket
import subprocess
import sys
import urllib.error
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from clew.bodies.errors import BodyError, error_info
from clew.bodies.taxonomy import ERROR_TYPES, RULES, classified, rule_of
from clew.bodies.tools.programs import run
from clew.errors import InvalidInputError, Permanent, Retryable, UnresolvedBodyError
from clew.graphs.tools import Tools
from clew.kernel.values import ErrorInfo


def of(exc: BaseException) -> ErrorInfo:
    return classified(error_info(exc))


def raised(by: Callable[[], Any]) -> ErrorInfo:
    try:
        by()
    except BaseException as error:
        return of(error)
    raise AssertionError("nothing was raised")


def refused(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://x.invalid/")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("exc", "kind", "retryable"),
    [
        (ValueError("x"), "tool failed", None),
        (FileNotFoundError(errno.ENOENT, "x"), "tool failed", None),
        (UnresolvedBodyError("x"), "tool not found", False),
        (InvalidInputError("x"), "invalid parameters", False),
        (httpx.InvalidURL("x"), "invalid parameters", False),
        (MemoryError(), "resource exhausted", None),
        (OSError(errno.ENOSPC, "full"), "resource exhausted", None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "network", None),
        (OSError(errno.ENETUNREACH, "x"), "network", None),
        (socket.gaierror(-2, "x"), "network", None),
        (httpx.ConnectError("x"), "network", None),
        (httpx.ReadTimeout("x"), "timeout", None),
        (TimeoutError(), "timeout", None),
        (subprocess.TimeoutExpired("x", 1), "timeout", None),
        (PermissionError(errno.EACCES, "x"), "permission denied", False),
        (OSError(errno.EROFS, "x"), "permission denied", False),
        (KeyboardInterrupt(), "user cancelled", False),
        (OSError(errno.EIO, "x"), "system", None),
        (ExceptionGroup("x", [TimeoutError(), TimeoutError()]), "timeout", None),
        (ExceptionGroup("x", [TimeoutError(), ValueError()]), "tool failed", None),
    ],
)
def test_exceptions(exc: BaseException, kind: str, retryable: bool | None) -> None:
    info = of(exc)
    assert (info.type, info.retryable) == (kind, retryable)
    assert info.classes[0] == kind
    assert type(exc).__name__ in info.classes  # what it was is still matched


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "invalid parameters", False),
        (401, "permission denied", False),
        (403, "permission denied", False),
        (404, "tool failed", False),
        (408, "timeout", None),
        (409, "tool failed", None),
        (422, "invalid parameters", False),
        (424, "dependency failed", False),
        (429, "resource exhausted", None),
        (500, "tool failed", None),
        (502, "network", None),
        (503, "network", None),
        (504, "timeout", None),
        (507, "resource exhausted", None),
    ],
)
def test_statuses_whoever_made_the_request(status: int, kind: str, retryable: bool | None) -> None:
    by_url = urllib.error.HTTPError("http://x.invalid/", status, "no", None, None)  # type: ignore[arg-type]
    by_node = BodyError(ErrorInfo(type=f"http {status}", message="x", classes=("HTTPStatusError",)))
    for exc in (refused(status), by_url, by_node):
        info = of(exc)
        assert (info.type, info.retryable) == (kind, retryable), exc
        assert f"http {status}" in info.classes
    by_url.close()


@pytest.mark.parametrize(
    ("script", "kind", "fact"),
    [
        ("import sys; sys.exit(3)", "tool failed", "exit code 3"),
        ("import sys; sys.exit(124)", "timeout", "exit code 124"),
        ("import sys; sys.exit(126)", "permission denied", "exit code 126"),
        ("import sys; sys.exit(130)", "user cancelled", "exit code 130"),
        ("import os; os.kill(os.getpid(), 24)", "resource exhausted", "signal 24"),
        ("import os; os.kill(os.getpid(), 9)", "tool failed", "signal 9"),
    ],
)
def test_ends_of_programs(script: str, kind: str, fact: str) -> None:
    argv = [sys.executable, "-S", "-c", script]
    infos = [raised(lambda: run(argv)), raised(lambda: subprocess.run(argv, check=True))]
    for info in infos:
        assert info.type == kind, info
        assert fact in info.classes


def test_a_tool_that_is_not_there() -> None:
    assert raised(lambda: Tools().get("x")).type == "tool not found"


def test_an_error_that_speaks_for_itself_is_believed() -> None:
    assert of(Permanent("x")).retryable is False
    assert of(Retryable("x", after_s=3)).retryable is True
    told = ErrorInfo(type="resource exhausted", message="x", classes=("ResourceExhausted",), retryable=False)
    info = of(BodyError(told))
    assert (info.type, info.retryable) == ("resource exhausted", False)
    own = ErrorInfo(type="invalid input", message="x", classes=("InvalidInputError",), retryable=True)
    assert classified(own).retryable is True


def test_what_is_classified_is_not_classified_again() -> None:
    once = of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert classified(once) == once


def test_the_table_is_whole() -> None:
    assert {rule.type for rule in RULES} == {*ERROR_TYPES}
    names = [name for rule in RULES for name in rule.names]
    assert len(names) == len(set(names))  # so that the order of rules is about several names of one error only
    assert rule_of(["http 418"]).type == "tool failed"
