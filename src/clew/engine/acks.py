"""Acknowledgements: who handed in a signal learns when what follows from it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from clew.errors import ClewError

#: Done when the events of its signal are durable; the result says why the signal was refused, or nothing.
Ack = asyncio.Future[str]
#: Acknowledgements that are due, each with its result.
Acks = list[tuple[Ack, str]]


def acknowledge(acks: Acks) -> None:
    """What follows is durable."""
    for ack, refusal in acks:
        if not ack.done():
            ack.set_result(refusal)


def reject(acks: Iterable[Ack], error: Exception | None) -> None:
    """What follows will not be durable; `error` says why, or nothing if the engine was closed."""
    for ack in acks:
        if not ack.done():
            ack.set_exception(error or ClewError("the engine was closed; resume the run to go on"))
            ack.exception()  # whoever waits is told; whoever does not has no use for a warning
