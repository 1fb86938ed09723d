"""What an engine and its worker processes say to each other: JSON with its length before it, on a socket.

It is not the standard output of the process, which belongs to the body.
"""

from __future__ import annotations

import msgspec

from clew.kernel.values import ErrorInfo

#: Bytes before each message: its length, big-endian.
HEADER = 8
#: Bytes of a message; a header that says more was not written by us.
MAX_MESSAGE = 1 << 40


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="job"):
    """One attempt of a synchronous function.

    Attributes:
        ref: ``module:qualname``.
        script: for functions of ``__main__``, the path of the program.
        folder: what has to be on ``sys.path``.
        inputs: JSON text of each parameter.
        absent: parameters whose node failed (``on_error="continue"``), with its id.
        run: the run's id.
        path: the visit.
        attempt: which try.
        idempotency_key: the visit's.
        failed_upstream: errors of the nodes it depends on.
        log_level: records below it are not kept.
        heartbeat_s: the longest silence of the body, in seconds.
        probe: the function is a probe; its output is what `bodies.probes` makes of its answer.
        updates: its output says what changes in the state of a state graph.
        marker: set by the pool; written to both output streams when the body has ended, so that it is known
            what belongs to the attempt.
    """

    ref: str
    script: str = ""
    folder: str = ""
    inputs: dict[str, msgspec.Raw] = {}
    absent: dict[str, str] = {}
    run: str = ""
    path: str = ""
    attempt: int = 1
    idempotency_key: str = ""
    failed_upstream: dict[str, ErrorInfo] = {}
    log_level: int = 30
    heartbeat_s: float | None = None
    probe: bool = False
    updates: bool = False
    marker: str = ""


class Answer(msgspec.Struct, frozen=True, tag="answer", omit_defaults=True):
    """The secret that was asked for, or why there is none."""

    value: str | None = None
    why: str = ""


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """The body wants a secret."""

    name: str


class Progressed(msgspec.Struct, frozen=True, tag="progressed"):
    """The body tells how far it is."""

    fraction: float
    message: str


class Emitted(msgspec.Struct, frozen=True, tag="emitted"):
    """The body shows an item."""

    item: msgspec.Raw


class Beaten(msgspec.Struct, frozen=True, tag="beaten"):
    """The body is alive."""


class Logged(msgspec.Struct, frozen=True, tag="logged"):
    """The body has logged something."""

    text: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The body has returned; `output` is encoded."""

    output: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The body has raised."""

    error: ErrorInfo


ToChild = Job | Answer
ToParent = Asked | Progressed | Emitted | Beaten | Logged | Done | Failed


def framed(message: ToChild | ToParent) -> bytes:
    """The message as it is sent."""
    text = msgspec.json.encode(message)
    return len(text).to_bytes(HEADER, "big") + text
