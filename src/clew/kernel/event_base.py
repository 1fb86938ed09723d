"""What all events have in common; they are in `events`."""

from __future__ import annotations

import msgspec


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag=_snake):
    """What all events have in common."""

    at: float
