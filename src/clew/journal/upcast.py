"""Reading and writing batches of events; old formats are lifted to today's before they are decoded.

A batch is a JSON array of events, stored with the version of the event format it was written in. To change
the format of an event: raise `kernel.events.VERSION`, add an upcaster from the former version here, and keep
a journal of the former version under `tests/fixtures`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from clew.errors import StorageError
from clew.kernel.events import VERSION, AnyEvent

#: From a version to the next: takes and returns one event as plain data (a dict with its ``type``).
UPCASTERS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(list[AnyEvent])


def encode_events(events: Sequence[AnyEvent]) -> bytes:
    """A batch in today's format."""
    return _ENCODER.encode(events)


def decode_events(data: bytes, version: int) -> list[AnyEvent]:
    """A batch as it was written by `version`, in today's types.

    Raises:
        StorageError: written by a newer Clew, or damaged.
    """
    if version > VERSION:
        raise StorageError(
            f"events of format {version} were written by a newer Clew; this one reads up to {VERSION}"
        )
    try:
        if version == VERSION:
            return _DECODER.decode(data)
        plain = msgspec.json.decode(data, type=list[dict[str, Any]])
        return msgspec.convert([_lift(event, version) for event in plain], list[AnyEvent])
    except msgspec.MsgspecError as error:
        raise StorageError(f"a batch of events cannot be read: {error}") from error


def _lift(event: dict[str, Any], version: int) -> dict[str, Any]:
    for step in range(version, VERSION):
        event = UPCASTERS[step](event)
    return event
