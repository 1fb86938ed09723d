"""What the engine, the keeper of a step and the step's first process say to each other: data in JSON.

On the socket between engine and keeper go an `Order`, then perhaps `Stop` one way, and `Started` and `Report`
the other, each with its length before it.
"""

from __future__ import annotations

import os

import msgspec

from clew.workers.isolation.choosing import Enforcement
from clew.workers.isolation.limits import Outcome

_HEADER = 4
#: How often steps tell what they use, when somebody wants to know, in seconds.
SAMPLE_S = 0.05
#: Bytes of a message; more is none of ours.
MAX_MESSAGE = 1 << 26


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order"):
    """One step to be run.

    Attributes:
        argv: the program and its arguments; empty for a worker process, which gets its job on a socket.
        env: all of its environment, as names and values.
        folder: where it runs, and what `Limits.disk_bytes` is about; without symbolic links.
        enforcement: how it is held to its limits.
        read: what it may read, if that is restricted; paths without symbolic links.
        write: what it may write, if that is restricted; paths without symbolic links.
        temporary: it gets a folder for temporary files.
        small_files: a single file must not become larger than `Limits.disk_bytes`: all that it may write to
            counts for that.
        sys_path: where a worker process looks for modules.
        engine: the process that wants it; if that ends, so does the step.
        grace_s: between being asked to end and being killed.
        tells_s: how often a `Sample` is wanted, in seconds; 0 is never.
    """

    argv: tuple[bytes, ...] = ()
    env: tuple[tuple[bytes, bytes], ...]
    folder: str
    enforcement: Enforcement
    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None
    temporary: bool = False
    small_files: bool = False
    sys_path: tuple[str, ...] = ()
    engine: int
    grace_s: float
    tells_s: float = 0.0


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="sample"):
    """What a step uses, while it runs.

    Attributes:
        cpu_s: processor time so far, in seconds.
        memory_bytes: memory now.
        processes: processes now.
        connections: stream connections so far.
    """

    cpu_s: float = 0.0
    memory_bytes: int = 0
    processes: int = 0
    connections: int = 0


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag="stop"):
    """End the step; kill it if it has not ended by itself after a while."""

    grace_s: float


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """The program runs."""

    pid: int


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="report"):
    """The step has ended, or was never begun.

    Attributes:
        outcome: how it ended.
        stage: what failed while it was started; empty if it was.
        why: what the system said about that.
        errno: and its number.
        fault: a mistake of ours, as a traceback.
    """

    outcome: Outcome = Outcome()
    stage: str = ""
    why: str = ""
    errno: int = 0
    fault: str = ""


Message = Order | Stop | Started | Sample | Report

_DECODER = msgspec.json.Decoder(Message)  # made once: that takes as long as a fork


def framed(message: Message) -> bytes:
    """The message as it is sent."""
    text = msgspec.json.encode(message)
    return len(text).to_bytes(_HEADER, "big") + text


class Inbox:
    """Puts messages together again."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes; return the messages that are whole. Raises ValueError for what is none of ours."""
        self._held += data
        found: list[Message] = []
        while len(self._held) >= _HEADER:
            size = int.from_bytes(self._held[:_HEADER], "big")
            if size > MAX_MESSAGE:
                raise ValueError("a message of this size is none of ours")
            if len(self._held) < _HEADER + size:
                break
            found.append(_DECODER.decode(bytes(self._held[_HEADER : _HEADER + size])))
            del self._held[: _HEADER + size]
        return found


def send_all(descriptor: int, message: Message) -> None:
    """Write a message; waits until there is room. Raises OSError if nobody is there any more."""
    data = framed(message)
    while data:
        data = data[os.write(descriptor, data) :]
