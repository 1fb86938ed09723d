"""Counts the requests that a body makes in this process, and lets somebody refuse them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

#: Told of each request before it is made; may raise.
_METER: ContextVar[Callable[[], None] | None] = ContextVar("clew_meter", default=None)


@contextmanager
def metered(on_request: Callable[[], None]) -> Generator[None]:
    """All requests that are made in here, also by tasks that are begun in here, are told before they are made.

    Args:
        on_request: told of each; what it raises is raised where the request was to be made.
    """
    token = _METER.set(on_request)
    try:
        yield
    finally:
        _METER.reset(token)


def request() -> None:
    """A request is about to be made; raises what its meter does."""
    meter = _METER.get()
    if meter is not None:
        meter()
