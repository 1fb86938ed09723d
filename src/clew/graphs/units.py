"""Times and sizes as people write them: ``90s``, ``1.5h``, ``512MB``, ``1GiB``."""

from __future__ import annotations

import re
from typing import Any

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|d)")
_DECIMAL = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BYTES = {**_DECIMAL, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?i?b)", re.IGNORECASE)


def seconds_of(value: Any) -> Any:
    """Seconds of a time as files write it: a number, or ``90s``, ``5m``, ``1.5h``; anything else as it is."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) * _SECONDS[found[2]] if found else value


def bytes_of(value: Any) -> Any:
    """Bytes of a size as files write it: a number, or ``512MB``, ``1GiB``; anything else as it is."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2].lower() not in _BYTES:
        return value
    return int(float(found[1]) * _BYTES[found[2].lower()])


def shorter(first: float | None, second: float | None) -> float | None:
    """The shorter of two times, either of which may be missing."""
    return min((each for each in (first, second) if each is not None), default=None)
