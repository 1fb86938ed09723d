"""Reading and writing batches of events; old formats are lifted to today's before they are decoded.

A batch is a JSON array of events, stored with the version of the event format it was written in. To change
the format of an event: raise `kernel.events.VERSION`, append the step from the former version to `UPCASTERS`,
and keep a journal of the former version under `tests/fixtures`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from clew.errors import StorageError
from clew.kernel.events import VERSION, AnyEvent

#: `UPCASTERS[n - 1]` leads from format n to n + 1: it takes one event as plain data (a dict with its ``type``)
#: and returns one, never none or two, because the numbers of events do not change.
UPCASTERS: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = ()

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(list[AnyEvent])


def encode_events(events: Sequence[AnyEvent]) -> bytes:
    """A batch in today's format."""
    return _ENCODER.encode(events)


def decode_events(data: bytes | str, version: int) -> list[AnyEvent]:
    """A batch as it was written by `version`, in today's types.

    Raises:
        StorageError: written by a newer Clew, or damaged.
    """
    if version > VERSION:
        raise StorageError(
            f"they are of format {version}, written by a newer Clew; this one reads up to {VERSION}. "
            "Install that version"
        )
    if version < 1:
        raise StorageError(f"they are damaged: there is no format {version}")
    try:
        return _DECODER.decode(data if version == VERSION else _lift(data, version))
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError) as error:
        raise StorageError(f"they are damaged: {error}") from error


def _lift(data: bytes | str, version: int) -> bytes:
    # Encoded once more, because values are decoded as the text they are stored as.
    events = msgspec.json.decode(data, type=list[dict[str, Any]])
    for step in UPCASTERS[version - 1 :]:
        events = [step(event) for event in events]
    return _ENCODER.encode(events)
